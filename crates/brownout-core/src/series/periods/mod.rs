//! Counts per day, or per any other fixed period, that have a trend, a season, a short cycle (days of
//! the week) and special periods (holidays): what is usual for them, and departures from it.
//!
//! This is for reports and for series that somebody else counts once a period, with a history of years.
//! Five-minute series with hour-of-week profiles are read by [`read`](super::read).
//!
//! One [`Watch`] follows one series. It is fed one period after the other and answers each time with
//! what was expected, how strongly the series departs upwards, and how rarely it departs so far while
//! nothing happens. The stages:
//! 1. `season`: a log-linear regression of the totals of whole cycles on trend and harmonics of the
//!    season, refitted after every cycle, outliers down-weighted.
//! 2. `factors`: how the periods of a cycle, and special ones, differ from the average, and
//!    `contrast`: how far they do at present.
//! 3. `level`: how far the latest counts run over or under all that; how quickly this is believed is
//!    what would have forecast the series best.
//! 4. `spread`: the variance of a count, over-dispersed or under-dispersed.
//! 5. `rise`: the odds that a rise is going on, over all beginnings, lengths and sizes of it.
//! 6. `ranks`: where these odds stand among those of the series' own past. The promise of a rate of
//!    false alarms rests on this alone, not on the model being right.
//!
//! Memory is bounded by the [`Rhythm`]: about 30 kB for days in years.

mod contrast;
mod factors;
mod level;
mod ranks;
mod rise;
mod season;
mod seasonal;
mod spread;

use self::factors::Factors;
use self::level::{Lesson, Level};
use self::ranks::Ranks;
use self::rise::Rise;
use self::season::Season;
use self::spread::Spread;

/// How many kinds of special periods there can be.
pub const SPECIALS: usize = 4;

/// Standardised residuals over this are down-weighted by the inverse of their square (Noufaily et al.
/// 2013, "An improved algorithm for outbreak detection in multiple surveillance systems").
const OUTLYING: f64 = 2.58;

/// The lengths of what repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Periods of the short cycle: 7 for days of a week. From 1 to 168.
    cycle: u16,
    /// Whole cycles of the season: 52 for weeks of a year. From 2 to 400.
    cycles_per_season: u16,
}

impl Rhythm {
    /// Days in weeks in years of 52 weeks.
    pub const DAYS: Rhythm = Rhythm { cycle: 7, cycles_per_season: 52 };

    /// A cycle of so many periods (1 to 168) and a season of so many cycles (2 to 400); `None` outside.
    pub fn new(cycle: u16, cycles_per_season: u16) -> Option<Self> {
        let fits = (1..=168).contains(&cycle) && (2..=400).contains(&cycles_per_season);
        fits.then_some(Rhythm { cycle, cycles_per_season })
    }

    fn season(self) -> usize {
        usize::from(self.cycle) * usize::from(self.cycles_per_season)
    }
}

/// A kind of special period, such as a holiday or the first working day after one. Each kind has a factor
/// of its own, learned from its own periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special(u8);

impl Special {
    /// The kind of this number, below [`SPECIALS`]; `None` for others.
    pub const fn new(kind: u8) -> Option<Self> {
        if (kind as usize) < SPECIALS { Some(Special(kind)) } else { None }
    }
}

/// What is known of a period besides its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Period {
    /// Set for holidays and the like.
    pub special: Option<Special>,
    /// Set for a period of a known incident: it is judged, but teaches nothing.
    pub known_incident: bool,
}

/// What is said of a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The mean that was expected of the count, greater than 0.
    pub expected: f64,
    /// The variance that was expected of it, greater than 0.
    pub variance: f64,
    /// ln of the odds that a rise is going on.
    pub ln_odds: f64,
    /// The share of periods (0 to 1) in which odds as high as these are met while nothing happens;
    /// `None` while the series is too young to tell, and in a period in which nothing was counted and
    /// nothing ever is.
    pub probability: Option<f64>,
}

/// Follows one series.
#[derive(Clone, Debug)]
pub struct Watch {
    rhythm: Rhythm,
    season: Season,
    factors: Factors,
    level: Level,
    spread: Spread,
    rise: Rise,
    ranks: Ranks,
    /// Number of the next period, from 0, which begins a cycle.
    next: u64,
}

impl Watch {
    /// For a series whose first period begins a cycle.
    pub fn new(rhythm: Rhythm) -> Self {
        Watch {
            rhythm,
            season: Season::new(rhythm),
            factors: Factors::new(rhythm),
            level: Level::new(rhythm),
            spread: Spread::new(rhythm),
            rise: Rise::default(),
            ranks: Ranks::new(rhythm),
            next: 0,
        }
    }

    /// Takes the count of the next period.
    pub fn step(&mut self, count: u32, period: Period) -> Reading {
        let phase = (self.next % u64::from(self.rhythm.cycle)) as usize;
        let seasonal = self.season.mean(self.next);
        let factor = self.factors.of(phase, period.special);
        let forecast = self.level.forecast();
        let expected = (seasonal * factor.mean * forecast).max(MEAN_MIN);
        let variance = self.spread.variance(expected)
            + expected * expected * factor.relative_variance * self.spread.phi();
        let is_closed = count == 0 && self.factors.is_closed(phase, period.special);
        let calm = self.rise.probability_calm();
        let mut probability = None;
        if !is_closed {
            self.rise.step(f64::from(count), expected, variance);
            probability = self.ranks.probability(self.rise.ln_odds());
            if !period.known_incident {
                self.ranks.add(self.rise.ln_odds());
            }
        }
        let reading = Reading { expected, variance, ln_odds: self.rise.ln_odds(), probability };
        if !period.known_incident {
            self.learn(f64::from(count), phase, period, (reading, calm));
        }
        self.next += 1;
        if self.next.is_multiple_of(u64::from(self.rhythm.cycle)) {
            self.season.close_cycle(self.spread.phi());
            self.factors.close_cycle();
            self.level.close_cycle();
            self.spread.close_cycle();
            if self.season.has_begun() {
                self.level.forget_season();
                self.spread.forget_season();
                self.factors.forget_season();
            }
            if self.season.has_changed() {
                self.spread.doubt();
                self.factors.doubt();
                self.ranks.doubt();
            }
        }
        reading
    }

    /// Lets a period teach, by how usual it looks and how calm it was before it: whether it is itself the
    /// first of a rise is left open, or high counts would be missing from what is usual.
    fn learn(&mut self, count: f64, phase: usize, period: Period, (reading, calm): (Reading, f64)) {
        let Reading { expected, variance, .. } = reading;
        let seasonal = self.season.mean(self.next);
        let standardised = (count - expected).abs() / libm::sqrt(variance);
        let weight = if standardised <= OUTLYING {
            1.0
        } else {
            (OUTLYING / standardised) * (OUTLYING / standardised)
        };
        let level = self.level.forecast();
        if period.special.is_none() || self.season.is_settled() {
            self.factors.learn(phase, period.special, count, seasonal * level, weight);
        }
        if period.special.is_none() {
            let factor = self.factors.of(phase, None).mean;
            self.season.learn(count, factor);
            self.spread.learn(count, expected, variance, calm);
            let phi = self.spread.phi();
            self.factors.learn_contrast(phase, count, (seasonal * level, phi), (weight, calm));
            self.level.learn(Lesson { count, seasonal: seasonal * factor, usual: weight, calm, phi });
        }
    }
}

/// Smallest mean that is expected.
const MEAN_MIN: f64 = 1e-6;

/// Weight that the level gives to a period which certainly belongs to a rise: little, so that a rise
/// does not become usual while it lasts, but not nothing, so that what stays does.
const TAUGHT_IN_RISE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Days of a week whose weekend is calmer, in a year of two halves, with noise that is Poisson's.
    fn mean(day: u64) -> f64 {
        let weekend = if day % 7 >= 5 { 0.5 } else { 1.2 };
        20.0 * weekend * (1.0 + 0.3 * libm::cos(std::f64::consts::TAU * day as f64 / 364.0))
    }

    /// Numbers in [0, 1) (Knuth's multiplicative generator); the same seed gives the same numbers.
    struct Noise(u64);

    impl Noise {
        fn unit(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn poisson(&mut self, mean: f64) -> u32 {
            let (mut left, mut count) = (libm::exp(-mean), 0);
            let target = self.unit();
            let mut sum = left;
            while target >= sum && count < 1000 {
                count += 1;
                left *= mean / f64::from(count);
                sum += left;
            }
            count
        }
    }

    fn counts(seed: u64, days: u64) -> Vec<u32> {
        let mut noise = Noise(seed);
        noise.unit();
        (0..days).map(|day| noise.poisson(mean(day))).collect()
    }

    fn read(watch: &mut Watch, counts: &[u32]) -> Vec<Reading> {
        read_all(watch, counts, Period::default())
    }

    fn read_all(watch: &mut Watch, counts: &[u32], period: Period) -> Vec<Reading> {
        counts.iter().map(|count| watch.step(*count, period)).collect()
    }

    #[test]
    fn trend_season_and_week_are_learned() {
        let mut watch = Watch::new(Rhythm::DAYS);
        let readings = read(&mut watch, &counts(1, 3 * 364));
        for (day, reading) in (0_u64..).zip(&readings).skip(2 * 364 + 21) {
            let (expected, mean) = (reading.expected, mean(day));
            assert!((expected / mean - 1.0).abs() < 0.2, "day {day}: {expected} for {mean}");
        }
    }

    #[test]
    fn as_many_calm_days_stand_out_as_is_said() {
        let (mut days, mut below) = (0.0, 0.0);
        for seed in 0..8 {
            let mut watch = Watch::new(Rhythm::DAYS);
            let readings = read(&mut watch, &counts(100 + seed, 4 * 364));
            for reading in &readings[3 * 364..] {
                days += 1.0;
                below += f64::from(u8::from(reading.probability.is_some_and(|p| p <= 0.05)));
            }
        }
        // 146 are expected; they come in clusters of two or three.
        let share = below / days;
        assert!((0.035..0.065).contains(&share), "{share}");
    }

    #[test]
    fn a_rise_stands_out_at_once_or_by_adding_up() {
        let mut counts = counts(3, 3 * 364);
        let begin = 2 * 364 + 100;
        let mut strong = counts.clone();
        strong[begin] += 60;
        let readings = read(&mut Watch::new(Rhythm::DAYS), &strong);
        assert!(readings[begin].probability.is_some_and(|p| p < 1e-3), "{:?}", readings[begin]);
        for count in &mut counts[begin..begin + 10] {
            *count += 9;
        }
        let readings = read(&mut Watch::new(Rhythm::DAYS), &counts);
        let rarest = readings[begin..begin + 10].iter().filter_map(|reading| reading.probability);
        assert!(rarest.clone().fold(1.0, f64::min) < 2e-3, "{:?}", rarest.collect::<Vec<_>>());
    }

    #[test]
    fn a_past_outbreak_hardly_moves_what_is_usual() {
        let calm = counts(4, 3 * 364);
        let mut outbreak = calm.clone();
        for count in &mut outbreak[364 + 200..364 + 212] {
            *count += 60;
        }
        let calm = read(&mut Watch::new(Rhythm::DAYS), &calm);
        let after = read(&mut Watch::new(Rhythm::DAYS), &outbreak);
        // Two months later, and a year later on the same days.
        for day in (364 + 272..364 + 300).chain(2 * 364 + 200..2 * 364 + 212) {
            let ratio = after[day].expected / calm[day].expected;
            assert!((0.93..1.1).contains(&ratio), "day {day}: {ratio}");
        }
    }

    #[test]
    fn holidays_are_learned_from_holidays_alone() {
        let holiday = Period { special: Special::new(0), known_incident: false };
        let is_holiday = |day: u64| day % 91 == 30;
        let mut watch = Watch::new(Rhythm::DAYS);
        for (day, count) in (0..).zip(counts(5, 3 * 364)) {
            let (count, period) =
                if is_holiday(day) { (3 * count, holiday) } else { (count, Period::default()) };
            let reading = watch.step(count, period);
            if day > 2 * 364 && is_holiday(day) {
                assert!((reading.expected / (3.0 * mean(day)) - 1.0).abs() < 0.25, "{day}: {reading:?}");
            }
        }
        assert_eq!(Special::new(SPECIALS as u8), None);
    }

    #[test]
    fn days_that_are_closed_say_nothing_until_something_is_counted() {
        let mut counts = counts(6, 2 * 364);
        for (day, count) in counts.iter_mut().enumerate() {
            if day % 7 >= 5 {
                *count = 0;
            }
        }
        let mut watch = Watch::new(Rhythm::DAYS);
        let readings = read(&mut watch, &counts);
        let closed = readings[364..].iter().skip(5).step_by(7);
        assert!(closed.clone().all(|reading| reading.probability.is_none()), "{:?}", readings.last());
        read(&mut watch, &[20, 20, 20, 20, 20]);
        let saturday = watch.step(8, Period::default());
        assert!(saturday.probability.is_some_and(|p| p < 1e-3), "{saturday:?}");
    }

    #[test]
    fn a_known_incident_teaches_nothing() {
        let incident = Period { special: None, known_incident: true };
        let after = |during: u32| {
            let mut watch = Watch::new(Rhythm::DAYS);
            read(&mut watch, &counts(7, 400));
            read_all(&mut watch, &[during; 5], incident);
            watch.step(20, Period::default())
        };
        assert_eq!(after(0).expected.to_bits(), after(5000).expected.to_bits());
        assert_eq!(after(0).variance.to_bits(), after(5000).variance.to_bits());
    }

    #[test]
    fn only_rhythms_that_can_be_followed_are_made() {
        assert_eq!(Rhythm::new(7, 52), Some(Rhythm::DAYS));
        for (cycle, season) in [(0, 52), (169, 52), (7, 1), (7, 401)] {
            assert_eq!(Rhythm::new(cycle, season), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn whatever_is_counted_is_answered_and_the_same_twice(
            counts in prop::collection::vec(prop_oneof![0..5_u32, 0..2000_u32, Just(u32::MAX)], 1..160),
            cycle in 1..9_u16,
        ) {
            let rhythm = Rhythm::new(cycle, 8).unwrap();
            let (first, second) = (read(&mut Watch::new(rhythm), &counts), read(&mut Watch::new(rhythm), &counts));
            for (reading, again) in first.iter().zip(&second) {
                prop_assert!(reading.expected > 0.0 && reading.expected.is_finite(), "{reading:?}");
                prop_assert!(reading.variance > 0.0 && reading.variance.is_finite(), "{reading:?}");
                prop_assert!(!reading.ln_odds.is_nan());
                prop_assert!(reading.probability.is_none_or(|p| (0.0..=1.0).contains(&p)), "{reading:?}");
                prop_assert_eq!(reading, again);
            }
        }
    }
}
