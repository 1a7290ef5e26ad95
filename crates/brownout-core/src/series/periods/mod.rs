//! Counts per day, or per any other fixed period, that have a trend, a season, a short cycle (days of
//! the week) and special periods (holidays): what is usual for them, and departures from it.
//!
//! This is for reports and for series that somebody else counts once a period, with a history of years.
//! Five-minute series with hour-of-week profiles are read by [`read`](super::read).
//!
//! One [`Watch`] follows one series. It is fed one period after the other and answers each time with
//! what was expected, how strongly the series departs upwards, and how rarely it departs so far while
//! nothing happens. The stages:
//! 1. [`season`]: a log-linear regression of the totals of whole cycles on trend and harmonics of the
//!    season, refitted after every cycle, outliers down-weighted.
//! 2. [`factors`]: how the periods of a cycle, and special ones, differ from the average.
//! 3. [`level`]: how far the latest counts run over or under all that; how quickly this is believed is
//!    what would have forecast the series best.
//! 4. [`spread`]: the variance of a count, over-dispersed or under-dispersed.
//! 5. [`rise`]: the odds that a rise is going on, over all beginnings, lengths and sizes of it.
//! 6. [`ranks`]: where these odds stand among those of the series' own past. The promise of a rate of
//!    false alarms rests on this alone, not on the model being right.
//!
//! Memory is bounded by the [`Rhythm`]: about 10 kB for days in years.

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
        let is_closed = count == 0 && self.factors.is_closed(phase, period.special, seasonal);
        let mut probability = None;
        if !is_closed {
            self.rise.step(f64::from(count), expected, variance);
            probability = self.ranks.probability(self.rise.ln_odds());
            if !period.known_incident {
                self.ranks.add(self.rise.ln_odds(), probability);
            }
        }
        let reading = Reading { expected, variance, ln_odds: self.rise.ln_odds(), probability };
        if !period.known_incident {
            self.learn(f64::from(count), phase, period, reading);
        }
        self.next += 1;
        if self.next.is_multiple_of(u64::from(self.rhythm.cycle)) {
            self.season.close_cycle(self.spread.phi());
            self.factors.close_cycle();
            self.level.close_cycle();
            self.spread.close_cycle();
            if self.season.has_changed() {
                self.spread.doubt();
                self.factors.doubt();
            }
        }
        reading
    }

    /// Lets a period teach, by how usual it looks.
    fn learn(&mut self, count: f64, phase: usize, period: Period, reading: Reading) {
        let Reading { expected, variance, .. } = reading;
        let seasonal = self.season.mean(self.next);
        let standardised = (count - expected).abs() / libm::sqrt(variance);
        let weight = if standardised <= OUTLYING {
            1.0
        } else {
            (OUTLYING / standardised) * (OUTLYING / standardised)
        };
        let level = self.level.forecast();
        self.factors.learn(phase, period.special, count, seasonal * level, weight);
        if period.special.is_none() {
            let factor = self.factors.of(phase, None).mean;
            self.season.learn(count, factor);
            let calm = self.rise.probability_calm();
            self.spread.learn(count, expected, variance, calm);
            let phi = self.spread.phi();
            self.level.learn(Lesson { count, seasonal: seasonal * factor, usual: weight, calm, phi });
        }
    }
}

/// Smallest mean that is expected.
const MEAN_MIN: f64 = 1e-6;

/// Weight that the level gives to a period which certainly belongs to a rise: little, so that a rise
/// does not become usual while it lasts, but not nothing, so that what stays does.
const TAUGHT_IN_RISE: f64 = 0.1;
