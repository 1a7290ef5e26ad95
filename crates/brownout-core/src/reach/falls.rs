//! Whether a level that is known every hour has fallen: the share of a country that answers, the prefixes that
//! are seen of it, the measurements that come from it.

use serde::{Deserialize, Serialize};

use super::sequential::Bracket;
use crate::model::{Minute, UtcTime};

/// The hours of one level, and whether it has fallen.
///
/// What is usual at an hour is the median of the same hour of the day, and of those beside it, over the last
/// week: nights are thinner than days, and five days are enough to know. The spread is by how much the lowest
/// tenth is below that: a province of ten hosts is whole most of the time, and its median distance nothing. Falls add up (Page 1954): an hour alone that is as thin as others were before is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Falls {
    /// The last week, oldest first; nothing where an hour was not measured, or is part of a fall.
    hours: Vec<Option<f32>>,
    /// The hour after the last of them.
    next: u32,
    sum: f64,
    /// First hour since the sum was last 0.
    since: u32,
    fallen: bool,
    calm_hours: u8,
    low_hours: u8,
}

/// What changed in a level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fall {
    /// Whether it fell, or has come back.
    pub begins: bool,
    /// When it was told: at the end of an hour.
    pub told_at: UtcTime,
    /// When it was.
    pub bracket: Bracket,
    /// The level of the hour in which it was told.
    pub level: f64,
    /// What is usual at that hour.
    pub usual: f64,
}

const WEEK_HOURS: usize = 168;
/// Values of the time of day that must be known before anything is told.
const VALUES_MIN: usize = 6;
/// A spread is no less than this part of what is usual: levels of a few hundred hosts are no steadier.
const SPREAD_MIN: f64 = 0.025;
/// The lowest tenth of a normal law is so many standard deviations below its middle.
const TENTH_TO_DEVIATION: f64 = 1.28;
/// A fall leaves less than this part of what is usual: where IODA warns by active probing.
const LEFT_MAX: f64 = 0.8;
/// So many hours in a row, where more than half is left: single hours are thin everywhere.
const LOW_HOURS: u8 = 3;
/// An hour tells by how many deviations it is lower, less this, ...
const DRIFT: f64 = 1.0;
/// ... and no more than so many, ...
const HOUR_MAX: f64 = 6.0;
/// ... or so many where not even half of what is usual is left, which needs no second hour.
const HALF_GONE: f64 = 10.0;
/// Deviations that add up to a fall. Nine hours of two deviations do, or three of four.
const FALL: f64 = 8.0;
/// Hours within two deviations of what is usual after which it has come back.
const CALM_HOURS: u8 = 3;

impl Falls {
    /// Whether it has fallen.
    pub fn is_fallen(&self) -> bool {
        self.fallen
    }

    /// What is usual at an hour, and its spread; `None` while too little is known.
    pub fn usual(&self, hour: u32) -> Option<(f64, f64)> {
        let mut values: Vec<f64> = Vec::new();
        for days in 1..=7u32 {
            for beside in 0..=2u32 {
                let then = (hour + beside).checked_sub(24 * days + 1)?;
                values.extend(self.value(then).map(f64::from));
            }
        }
        if values.len() < VALUES_MIN {
            return None;
        }
        let usual = median(&mut values);
        let mut below: Vec<f64> = values.iter().map(|value| (usual - value).max(0.0)).collect();
        below.sort_unstable_by(f64::total_cmp);
        let spread = below[(values.len() - 1) * 9 / 10] / TENTH_TO_DEVIATION;
        Some((usual, spread.max(SPREAD_MIN * usual).max(1e-9)))
    }

    fn value(&self, hour: u32) -> Option<f32> {
        let back = self.next.checked_sub(hour)? as usize;
        let index = self.hours.len().checked_sub(back)?;
        self.hours.get(index).copied().flatten()
    }

    /// Takes the level of an hour, counted from 1970, in the order of time; hours that are left out were not
    /// measured.
    pub fn step(&mut self, hour: u32, level: f64) -> Option<Fall> {
        if hour < self.next {
            return None;
        }
        if self.hours.is_empty() {
            self.next = hour;
        }
        let missing = (hour - self.next).min(WEEK_HOURS as u32);
        (0..missing).for_each(|_| self.push(None));
        self.next = hour;
        let known = self.usual(hour);
        let change = known.and_then(|(usual, spread)| self.judge(hour, level, usual, spread));
        // An hour that may be of a fall would make the next one usual.
        let is_low = known.is_some_and(|(usual, spread)| level < usual - 4.0 * spread);
        self.push((!self.fallen && !is_low).then_some(level as f32));
        change
    }

    fn push(&mut self, value: Option<f32>) {
        if self.hours.len() >= WEEK_HOURS {
            self.hours.remove(0);
        }
        self.hours.push(value);
        self.next += 1;
    }

    fn judge(&mut self, hour: u32, level: f64, usual: f64, spread: f64) -> Option<Fall> {
        let lower = (usual - level) / spread;
        let (begin, end) = (Minute(hour * 60).start(), Minute(hour * 60 + 60).start());
        if self.fallen {
            self.calm_hours = if lower < 2.0 { self.calm_hours + 1 } else { 0 };
            if self.calm_hours < CALM_HOURS {
                return None;
            }
            let first = begin.plus_seconds(-3600 * i64::from(CALM_HOURS - 1));
            (self.fallen, self.sum, self.calm_hours, self.low_hours) = (false, 0.0, 0, 0);
            let bracket = Bracket { earliest: first.plus_seconds(-3600), likeliest: first, latest: end };
            return Some(Fall { begins: false, told_at: end, bracket, level, usual });
        }
        let is_half_gone = level < 0.5 * usual;
        let most = if is_half_gone { HALF_GONE } else { HOUR_MAX };
        self.low_hours = if level < LEFT_MAX * usual { self.low_hours.saturating_add(1) } else { 0 };
        let before = self.sum;
        self.sum = (self.sum + lower.min(most) - DRIFT).max(0.0);
        if before <= 0.0 {
            self.since = hour;
        }
        let is_sustained = self.low_hours >= LOW_HOURS || is_half_gone;
        if self.sum < FALL || !is_sustained {
            return None;
        }
        self.fallen = true;
        let since = Minute(self.since * 60).start();
        let bracket = Bracket { earliest: since.plus_seconds(-3600), likeliest: since, latest: end };
        Some(Fall { begins: true, told_at: end, bracket, level, usual })
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five days at 98 by day and 92 by night, with a little noise.
    fn known() -> (Falls, u32) {
        let mut falls = Falls::default();
        let from = 420_000;
        for hour in from..from + 120 {
            let usual = if hour % 24 < 8 { 92.0 } else { 98.0 };
            assert_eq!(falls.step(hour, usual + f64::from(hour * 7 % 5) - 2.0), None);
        }
        (falls, from + 120)
    }

    #[test]
    fn a_country_that_goes_dark_is_told_in_the_hour_and_again_when_it_is_back() {
        let (mut falls, next) = known();
        let fall = falls.step(next, 14.0).expect("a fall");
        assert!(fall.begins && fall.bracket.likeliest == Minute(next * 60).start());
        assert!((1..100).all(|hour| falls.step(next + hour, 5.0).is_none()) && falls.is_fallen());
        let back: Vec<Fall> = (100..110).filter_map(|hour| falls.step(next + hour, 95.0)).collect();
        assert!(
            back.len() == 1
                && !back[0].begins
                && back[0].bracket.likeliest == Minute((next + 100) * 60).start()
        );
    }

    #[test]
    fn a_thin_hour_alone_is_no_fall_and_several_are() {
        let (mut falls, next) = known();
        assert_eq!(falls.step(next, 84.0), None);
        assert!((1..6).all(|hour| falls.step(next + hour, 92.0).is_none()));
        let told = (6..12).find_map(|hour| falls.step(next + hour, 72.0)).expect("a fall");
        assert!(told.told_at <= Minute((next + 9) * 60).start(), "{told:?}");
    }

    #[test]
    fn hours_that_were_not_measured_are_no_fall() {
        let (mut falls, next) = known();
        assert_eq!(falls.step(next + 30, 97.0), None);
        assert!(!falls.is_fallen());
    }
}
