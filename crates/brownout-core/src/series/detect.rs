//! Is there more than usual? One reading of one series at one instant.

use libm::{exp, log};

use super::crossings::{Sliding, ln_crossings_per_hour};
use super::negative_binomial::{Expected, glr, is_rarer, ln_tail_at_least};
use super::ring::MinuteRing;
use crate::model::{Minute, UtcTime};
use crate::snapshot::{Onset, Rarest};

/// The windows that are looked at, each ending now. Up to an hour they are whole minutes; the two
/// long ones, for places where an outage is a few reports an hour, are whole hours and the running
/// one.
pub const WINDOWS_MINUTES: [u32; WINDOWS] = [1, 5, 15, 30, 60, 180, 360];
const WINDOWS: usize = 7;

/// Index of the 15-minute window, the one that people are shown.
const SHOWN: usize = 2;
/// Index of the 60-minute window, the longest of whole minutes.
const HOUR: usize = 4;
/// Index of the longest window.
const LONGEST: usize = WINDOWS - 1;

/// A busy series is looked at every ten seconds.
const LOOK_HOURS: f64 = 10.0 / 3600.0;

/// ln of the hours in a year of 365.25 days.
const LN_HOURS_PER_YEAR: f64 = 9.078_636_2;

/// A series has seven windows and a usual that it learned itself: together they are crossed as often as
/// eight windows would be that know nothing of each other and know the usual. Measured in calm
/// service-years (docs/scoreboard.md, the policy without floors), where four gave twice the promise from
/// 0.2 to 10 reports an hour alike.
const LN_WINDOWS: f64 = 2.079_441_5; // ln 8

/// An interval's count departs from usual while chance alone would reach it less often than this.
const ELEVATED_LN_P: f64 = -4.605_170_185_988_091; // ln 0.01

/// A rise of the last hour is over once its last 15 minutes are so much likelier, in nats, at the usual rate
/// than at that of the 45 minutes before: twenty times.
const OVER_NATS: f64 = 2.995_732_3; // ln 20

/// Where more than this many sources an hour are usual the last hour says all.
const MANY_PER_HOUR: f64 = 40.0;

/// The room that a quiet series is asked for first, in sources.
const ROOM_MIN: u32 = 4;

/// Fewest sources in an interval that can keep an incident going.
const ELEVATED_SOURCES_MIN: u32 = 3;

/// Readings that chance alone gives less often than this, in a year, are a departure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// ln of the allowed false alarms a year.
    pub ln_per_year: f64,
    /// Fewest sources within the window.
    pub sources_min: u32,
}

/// Counts of the windows that end at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Windows {
    /// Hundredths of sources per window, as in [`WINDOWS_MINUTES`].
    pub hundredths: [u64; WINDOWS],
    /// How long each window really is at this instant, in minutes.
    pub minutes: [f64; WINDOWS],
    /// Whether a window holds counts of before the last incident ended, so that nothing departs by it.
    pub reaches_back: [bool; WINDOWS],
}

impl Windows {
    /// The windows of a ring that end at `at`. `hour` gives the hundredths of a whole hour. The last
    /// incident ended at `over`: the long windows do not reach back to that hour, and those of whole
    /// minutes, which are also shown, say whether they do.
    pub fn of(ring: &MinuteRing, at: UtcTime, over: Minute, hour: impl Fn(u32) -> u32) -> Self {
        let mut windows = Windows::default();
        let since_millis = at.millis_since(over.start());
        for (index, &minutes) in WINDOWS_MINUTES.iter().enumerate().take(HOUR + 1) {
            (windows.hundredths[index], windows.minutes[index]) = span(ring, at, minutes);
            windows.reaches_back[index] = i64::from(minutes) * 60_000 > since_millis;
        }
        // At a full hour the running one has not begun, and the last whole one stands in its place.
        let last = at.plus_millis(-1).minute().hour();
        let into = 60.0 - (Minute((last + 1) * 60).start().millis_since(at) as f64 / 60_000.0);
        for (index, &length) in WINDOWS_MINUTES.iter().enumerate().skip(HOUR + 1) {
            let hours = (length / 60).min(last.saturating_sub(over.hour()));
            windows.hundredths[index] = (0..hours).map(|back| u64::from(hour(last - back))).sum();
            windows.minutes[index] = f64::from(hours) * 60.0 - 60.0 + into;
        }
        windows
    }

    /// The same windows with only a part, from 0 to 1, of what is above usual in them: the first in those
    /// of whole minutes, the second in the long ones. `usual` gives what is expected of the `minutes` up
    /// to now.
    #[must_use]
    pub fn of_rise(&self, (short, long): (f64, f64), usual: impl Fn(f64) -> Expected) -> Self {
        let mut windows = *self;
        for (index, (count, minutes)) in windows.hundredths.iter_mut().zip(self.minutes).enumerate() {
            let part = if index > HOUR { long } else { short };
            let (all, usual) = (*count as f64, 100.0 * usual(minutes).mean);
            *count = (all.min(usual) + (all - usual).max(0.0) * part) as u64;
        }
        windows
    }

    /// Whole sources of the 15 minutes up to now.
    pub fn shown(&self) -> u32 {
        whole(self.hundredths[SHOWN])
    }

    /// Whole sources of the 60 minutes up to now.
    pub fn hour(&self) -> u32 {
        whole(self.hundredths[HOUR])
    }

    /// Whole sources of the longest window beyond what is usual in it.
    fn risen(&self, usual: Expected) -> u32 {
        whole(self.hundredths[LONGEST].saturating_sub((100.0 * usual.mean) as u64))
    }
}

/// Hundredths in a window of whole minutes that ends at `at`, and how long it really is, in minutes.
/// Within a minute the running minute is the last one, counted for as long as it has lasted; at a
/// full minute the last one is the minute before.
fn span(ring: &MinuteRing, at: UtcTime, minutes: u32) -> (u64, f64) {
    let last = at.plus_millis(-1).minute();
    (ring.sum(last, minutes), f64::from(minutes) - short_by(at))
}

/// Hundredths as a whole number of sources, rounded.
pub(crate) fn whole(hundredths: u64) -> u32 {
    u32::try_from((hundredths + 50) / 100).unwrap_or(u32::MAX)
}

/// What one look at a series says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Sources in the 15 minutes up to now.
    pub observed: u32,
    /// Sources above usual in the longest window, the last six hours: in so long a time some come on any
    /// day, and say nothing.
    pub risen_longest: u32,
    /// Usual mean of the 15 minutes.
    pub expected: f64,
    /// ln of how many times a year chance alone gives a reading at least this rare, over all
    /// windows. Positive infinity when nothing is above usual.
    pub ln_per_year: f64,
    /// The window that is the rarest, in minutes.
    pub window_minutes: u32,
    /// Sources in that window.
    pub window_sources: u32,
    /// Usual mean of that window.
    pub window_expected: f64,
    /// Generalised likelihood ratio of that window, in nats.
    pub glr: f64,
    /// It goes on: the 15 minutes are above their 99th percentile, or the 60 minutes are and the last 15 do
    /// not show that it is over.
    pub elevated: bool,
}

impl Reading {
    /// Whether the reading is a departure under a budget.
    pub fn exceeds(&self, budget: Budget) -> bool {
        self.ln_per_year <= budget.ln_per_year && self.window_sources >= budget.sources_min
    }

    /// How a series goes on, without asking in which window it is the rarest.
    pub fn of_course(windows: &Windows, usual: impl Fn(f64) -> Expected) -> Self {
        let shown = usual(windows.minutes[SHOWN]);
        let observed = windows.shown();
        Reading {
            observed,
            risen_longest: windows.risen(usual(windows.minutes[LONGEST])),
            expected: shown.mean,
            ln_per_year: f64::INFINITY,
            window_minutes: WINDOWS_MINUTES[SHOWN],
            window_sources: observed,
            window_expected: shown.mean,
            glr: 0.0,
            elevated: goes_on(observed, windows.hour(), |index| usual(windows.minutes[index])),
        }
    }

    /// The rarest window, as it is told.
    pub fn rarest(&self) -> Rarest {
        Rarest {
            minutes: self.window_minutes,
            observed: self.window_sources,
            expected: self.window_expected as f32,
            recurrence_years: self.recurrence_years(),
        }
    }

    /// How many years lie between such readings by chance, at most a thousand million.
    pub fn recurrence_years(&self) -> f64 {
        exp((-self.ln_per_year).min(20.723_265_836_946_41)) // ln 1e9
    }
}

/// ln of how many times a year chance alone brings any window of a series to a reading as rare as
/// `count` sources in one of `minutes`, of which `expected` are usual.
pub(crate) fn ln_per_year(count: u32, minutes: u32, expected: Expected) -> f64 {
    let window = Sliding { hours: f64::from(minutes) / 60.0, step_hours: LOOK_HOURS };
    ln_crossings_per_hour(u64::from(count), window, expected) + LN_HOURS_PER_YEAR + LN_WINDOWS
}

/// Looks at all windows. `usual` gives what is expected of the `minutes` up to `at`.
pub fn read(windows: &Windows, usual: impl Fn(f64) -> Expected) -> Reading {
    let mut reading = Reading::of_course(windows, &usual);
    // By what is usual and not by what is seen: more of it must not make it say less.
    let is_busy = usual(60.0).mean > MANY_PER_HOUR;
    for (index, &minutes) in WINDOWS_MINUTES.iter().enumerate() {
        // A minute that has hardly begun says nothing about a minute.
        let begun = windows.minutes[index] >= 0.5 * f64::from(minutes);
        if !begun || windows.reaches_back[index] || (index > HOUR && is_busy) {
            continue;
        }
        let counted = whole(windows.hundredths[index]);
        let expected = usual(windows.minutes[index]);
        let ratio = glr(windows.hundredths[index] as f64 / 100.0, expected);
        if ratio <= 0.0 {
            continue;
        }
        let ln_per_year = ln_per_year(counted, minutes, expected);
        if ln_per_year < reading.ln_per_year {
            reading.ln_per_year = ln_per_year;
            reading.window_minutes = minutes;
            reading.window_sources = counted;
            reading.window_expected = expected.mean;
            reading.glr = ratio;
        }
    }
    reading
}

/// Whether a rise goes on at `at`, as [`Reading::elevated`] has it. Nothing departs that does not, and
/// it is far less work than a whole reading.
pub fn is_elevated(ring: &MinuteRing, at: UtcTime, usual: impl Fn(f64) -> Expected) -> bool {
    let [shown_minutes, hour_minutes] = elevation_minutes(at);
    let shown = whole(span(ring, at, WINDOWS_MINUTES[SHOWN]).0);
    if departs(shown, || usual(shown_minutes)) {
        return true;
    }
    // No window holds more than all that is held, which is at hand.
    let of_hour = usual(hour_minutes);
    if !departs(whole(ring.total()), || of_hour) {
        return false;
    }
    let hour = whole(span(ring, at, WINDOWS_MINUTES[HOUR]).0);
    goes_on(shown, hour, |index| if index == SHOWN { usual(shown_minutes) } else { of_hour })
}

/// The intervals, in minutes, whose usual [`is_elevated`] asks for at an instant, and no others.
pub fn elevation_minutes(at: UtcTime) -> [f64; 2] {
    [SHOWN, HOUR].map(|index| f64::from(WINDOWS_MINUTES[index]) - short_by(at))
}

/// By how much of a minute a window of whole minutes that ends at `at` falls short, for the running one has
/// not lasted so long.
fn short_by(at: UtcTime) -> f64 {
    let into = (at.millis() - at.minute().start().millis()) as f64 / 60_000.0;
    if into > 0.0 { 1.0 - into } else { 0.0 }
}

/// How many hundredths of sources may come to a series that is not elevated before it can be: fewer than
/// that need no look. `usual` gives the least that is usual of the `minutes` up to any instant for which
/// this is to hold.
pub(crate) fn room(ring: &MinuteRing, at: UtcTime, usual: impl Fn(f64) -> Expected) -> u32 {
    let (shown, hour) = (span(ring, at, WINDOWS_MINUTES[SHOWN]), span(ring, at, WINDOWS_MINUTES[HOUR]));
    let (shown, hour) = (whole(shown.0), whole(hour.0));
    // The running minute may have hardly begun.
    let [of_shown, of_hour] = [SHOWN, HOUR].map(|index| usual(f64::from(WINDOWS_MINUTES[index] - 1)));
    let is_calm = |more: u32| {
        !departs(shown.saturating_add(more), || of_shown) && !departs(hour.saturating_add(more), || of_hour)
    };
    let most = (hour / 8).max(ROOM_MIN);
    let rooms = std::iter::successors(Some(most), |more| (*more > 1).then_some(more / 2));
    rooms.into_iter().find(|more| is_calm(*more)).map_or(0, |more| more.saturating_mul(100))
}

fn goes_on(shown: u32, hour: u32, usual: impl Fn(usize) -> Expected) -> bool {
    departs(shown, || usual(SHOWN))
        || (departs(hour, || usual(HOUR)) && !is_over(shown, hour.saturating_sub(shown), || usual(SHOWN)))
}

/// Whether a count of 15 minutes tells that what came in the 45 minutes `before` has come to its end: the
/// log likelihood ratio of two Poisson rates, x ln(λ/μ) − (λ − μ). The noise of hours is common to both.
fn is_over(shown: u32, before: u32, usual: impl Fn() -> Expected) -> bool {
    let (usual, rate) = (usual().mean.max(1e-9), f64::from(before) / 3.0);
    rate > usual && f64::from(shown) * log(rate / usual) - (rate - usual) < -OVER_NATS
}

fn departs(observed: u32, usual: impl Fn() -> Expected) -> bool {
    if observed < ELEVATED_SOURCES_MIN {
        return false;
    }
    let usual = usual();
    // Most are within the noise that anybody would see, and bounds from above (Chernoff's, ln P <= -G) and
    // below tell the clear cases of the others with much less work.
    if is_near(observed, usual) {
        return false;
    }
    let ratio = glr(f64::from(observed), usual);
    if ratio <= 0.0 || ln_tail_at_least(observed, ratio, usual) >= ELEVATED_LN_P {
        return false;
    }
    -ratio < ELEVATED_LN_P || is_rarer(observed, usual, ELEVATED_LN_P)
}

/// Within two standard deviations of the mean, where more than one in a hundred lie for every mean and size
/// of at least 0.05 and three sources or more (a test goes through them; a normal variable has 2.3% beyond).
fn is_near(observed: u32, usual: Expected) -> bool {
    let above = f64::from(observed) - usual.mean;
    above <= 0.0
        || (usual.size >= 0.05 && above * above <= 4.0 * (usual.mean + usual.mean * usual.mean / usual.size))
}

/// When a rise that is seen now began: the start that makes what followed the most telling, and
/// all starts whose log likelihood is within 2 of it.
pub fn onset(ring: &MinuteRing, at: UtcTime, usual: impl Fn(f64) -> Expected) -> Onset {
    let last = at.plus_millis(-1).minute();
    let mut sum = 0u64;
    let mut ratios = [0.0f64; WINDOWS_MINUTES[HOUR] as usize];
    let (mut best, mut best_back) = (f64::MIN, 0u32);
    for back in 0..WINDOWS_MINUTES[HOUR].min(last.0) {
        sum += u64::from(ring.get(last.minus(back)));
        let ratio = glr(sum as f64 / 100.0, usual(f64::from(back + 1)));
        ratios[back as usize] = ratio;
        if ratio > best {
            (best, best_back) = (ratio, back);
        }
    }
    let near = |back: &u32| ratios[*back as usize] >= best - 2.0;
    let earliest = (best_back..WINDOWS_MINUTES[HOUR]).take_while(near).last().unwrap_or(best_back);
    let latest = (0..=best_back).rev().take_while(near).last().unwrap_or(best_back);
    Onset { earliest: last.minus(earliest), likeliest: last.minus(best_back), latest: last.minus(latest) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::negative_binomial::ln_tail;
    use super::*;

    fn usual(per_hour: f64) -> impl Fn(f64) -> Expected {
        move |minutes| Expected { mean: per_hour * minutes / 60.0, size: 4.0 }
    }

    fn at(minute: u32, second: i64) -> UtcTime {
        Minute(minute).start().plus_seconds(second)
    }

    #[test]
    fn at_a_full_minute_fifteen_whole_minutes_are_shown() {
        let mut ring = MinuteRing::new(Minute(100));
        for minute in 100..115 {
            ring.add(Minute(minute), 100);
        }
        ring.add(Minute(115), 900);
        assert_eq!(Windows::of(&ring, at(115, 0), Minute(0), |_| 0).shown(), 15);
        let within = Windows::of(&ring, at(115, 30), Minute(0), |_| 0);
        assert_eq!(within.shown(), 14 + 9);
        assert!((within.minutes[2] - 14.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_departs_by_what_was_before_the_last_incident_ended() {
        let mut ring = MinuteRing::new(Minute(1000));
        for minute in 965..970 {
            ring.add(Minute(minute), 20_000);
        }
        let budget = Budget { ln_per_year: libm::log(0.01), sources_min: 8 };
        let seen = |ring: &MinuteRing, over: u32| {
            let windows = Windows::of(ring, at(1000, 0), Minute(over), |_| 0);
            (read(&windows, usual(60.0)), windows.hour())
        };
        assert!(seen(&ring, 0).0.exceeds(budget) && seen(&ring, 930).0.exceeds(budget));
        let (reading, of_hour) = seen(&ring, 985);
        assert!(!reading.exceeds(budget), "{reading:?}");
        // What was counted is shown all the same.
        assert_eq!(of_hour, 1000);
        // A smaller rise after it departs by the windows that hold nothing else.
        for minute in 990..1000 {
            ring.add(Minute(minute), 4000);
        }
        let (reading, _) = seen(&ring, 985);
        assert!(reading.exceeds(budget) && reading.window_minutes <= 15, "{reading:?}");
    }

    #[test]
    fn a_surge_is_rare_and_an_ordinary_hour_is_not() {
        let mut ring = MinuteRing::new(Minute(1000));
        for minute in 940..1000 {
            ring.add(Minute(minute), 100);
        }
        let calm = read(&Windows::of(&ring, at(1000, 0), Minute(0), |_| 0), usual(60.0));
        assert!(calm.ln_per_year > 0.0 && !calm.elevated);
        for minute in 1000..1005 {
            ring.add(Minute(minute), 4000);
        }
        let surge = read(&Windows::of(&ring, at(1005, 0), Minute(0), |_| 0), usual(60.0));
        assert!(surge.exceeds(Budget { ln_per_year: libm::log(0.01), sources_min: 8 }), "{surge:?}");
        assert!(surge.recurrence_years() > 100.0 && surge.elevated);
        let onset = onset(&ring, at(1005, 0), usual(60.0));
        assert_eq!(onset.likeliest, Minute(1000));
        assert!(onset.earliest <= onset.likeliest && onset.likeliest <= onset.latest);
    }

    proptest! {
        /// More sources, whenever, are no less of a departure; more at present keep up what goes on.
        #[test]
        fn more_corroboration_never_lowers_a_signal(
            counts in prop::collection::vec(0u32..400, 60),
            hours in prop::collection::vec(0u32..8000, 6),
            per_hour in 0.05f64..90.0,
            more in prop::collection::vec((0usize..60, 1u32..2000), 1..8),
        ) {
            let signal = |counts: &[u32], hours: &[u32]| {
                let mut ring = MinuteRing::new(Minute(30_000));
                for (back, count) in counts.iter().enumerate() {
                    ring.add(Minute(30_059 - back as u32), *count);
                }
                let held = |hour: u32| match 500u32.checked_sub(hour) {
                    Some(0) => counts.iter().sum(),
                    Some(back) => hours.get(back as usize).copied().unwrap_or(0),
                    None => 0,
                };
                read(&Windows::of(&ring, at(30_060, 0), Minute(0), held), usual(per_hour))
            };
            let before = signal(&counts, &hours);
            let (mut added, mut recent) = (counts.clone(), counts.clone());
            for (back, count) in more {
                added[back] += count;
                recent[back % 15] += count;
            }
            let after = signal(&added, &hours);
            prop_assert!(after.ln_per_year <= before.ln_per_year, "{before:?} {after:?}");
            prop_assert!(after.observed >= before.observed && after.risen_longest >= before.risen_longest);
            let after = signal(&recent, &hours);
            prop_assert!(after.ln_per_year <= before.ln_per_year, "{before:?} {after:?}");
            prop_assert!(after.elevated || !before.elevated, "{before:?} {after:?}");
            // What has room is not elevated before the room is used up, wherever it comes to.
            let mut ring = MinuteRing::new(Minute(30_000));
            for (back, count) in counts.iter().enumerate() {
                ring.add(Minute(30_059 - back as u32), *count);
            }
            let left = room(&ring, at(30_060, 0), usual(per_hour));
            ring.add(Minute(30_059), left);
            let is_calm = !is_elevated(&ring, at(30_060, 0), usual(per_hour));
            prop_assert!(left == 0 || is_calm, "{left}");
            let earlier: Vec<u32> = hours.iter().map(|count| count + 700).collect();
            prop_assert!(signal(&counts, &earlier).ln_per_year <= before.ln_per_year);
        }
    }

    #[test]
    fn what_comes_at_an_even_rate_goes_on_however_much_it_is_and_what_stopped_does_not() {
        let usual = |index: usize| usual(20.0)(f64::from(WINDOWS_MINUTES[index]));
        for hour in 64..4000 {
            assert!(goes_on(hour / 4, hour, usual), "{hour}");
        }
        // Back at what is usual, after many or after some.
        for before in [45, 100, 4000] {
            assert!(!goes_on(5, before + 5, usual), "{before}");
        }
        // Few an hour in a place without any: a quarter of an hour of none is no end.
        let rare = |_| Expected { mean: 0.02, size: 4.0 };
        assert!(goes_on(0, 8, rare) && !goes_on(0, 20, rare));
    }

    #[test]
    fn what_is_near_the_mean_is_never_rare() {
        let grid = |from: f64, to: f64, step: f64| {
            std::iter::successors(Some(from), move |value| Some(value * step))
                .take_while(move |value| *value < to)
        };
        let mut seen = 0;
        for mean in grid(0.05, 2e5, 1.07) {
            for size in grid(0.05, 1e5, 1.25) {
                let usual = Expected { mean, size };
                let most = mean + 2.0 * libm::sqrt(mean + mean * mean / size);
                let most = most as u32;
                if most >= ELEVATED_SOURCES_MIN && is_near(most, usual) {
                    assert!(ln_tail(most, usual) > ELEVATED_LN_P, "{most} {usual:?}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 5_000, "{seen}");
    }

    #[test]
    fn three_reports_out_of_nowhere_are_below_the_floor() {
        let mut ring = MinuteRing::new(Minute(1000));
        ring.add(Minute(999), 300);
        let reading = read(&Windows::of(&ring, at(1000, 0), Minute(0), |_| 0), usual(0.01));
        assert!(!reading.exceeds(Budget { ln_per_year: 0.0, sources_min: 8 }));
    }
}
