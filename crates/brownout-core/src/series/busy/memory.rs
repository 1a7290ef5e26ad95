//! What a series has shown lately, and how near the nearest of it is.

use crate::model::UtcTime;

/// Rows that are remembered: at five minutes each, four weeks. What is older may surprise again.
pub(super) const ROWS: usize = 8192;
const DAY_SECONDS: i64 = 86_400;
/// Rows of other days are at the same time of day within an hour of it.
const SAME_TIME_SECONDS: i32 = 3600;
/// A row less than half a day old is of the same day.
const OTHER_DAY_SECONDS: i64 = DAY_SECONDS / 2;

/// Distances to the nearest remembered row; `None` where there is none to compare with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Nearest {
    pub(super) value: Option<f64>,
    pub(super) residual: Option<f64>,
    /// Among the rows of other days at the same time of day.
    pub(super) value_at_time_of_day: Option<f64>,
}

/// The latest rows, a ring; side by side, because every row is compared with all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    at_seconds: Vec<i64>,
    second_of_day: Vec<i32>,
    values: Vec<f64>,
    residuals: Vec<f64>,
    oldest: usize,
}

impl Memory {
    pub(super) fn nearest(&self, at: UtcTime, value: f64, residual: f64) -> Nearest {
        let some = |distance: f64| distance.is_finite().then_some(distance);
        Nearest {
            value: some(nearest(&self.values, value)),
            residual: some(nearest(&self.residuals, residual)),
            value_at_time_of_day: some(self.nearest_at_time_of_day(at, value)),
        }
    }

    fn nearest_at_time_of_day(&self, at: UtcTime, value: f64) -> f64 {
        let (now, of_day) = (at.seconds(), second_of_day(at));
        let mut nearest = f64::INFINITY;
        for (place, remembered) in self.values.iter().enumerate() {
            let apart = (of_day - self.second_of_day[place]).abs();
            let apart = apart.min(DAY_SECONDS as i32 - apart);
            let distance = (value - remembered).abs();
            if apart <= SAME_TIME_SECONDS
                && distance < nearest
                && now.saturating_sub(self.at_seconds[place]) >= OTHER_DAY_SECONDS
            {
                nearest = distance;
            }
        }
        nearest
    }

    pub(super) fn push(&mut self, at: UtcTime, value: f64, residual: f64) {
        if self.values.len() < ROWS {
            self.at_seconds.push(at.seconds());
            self.second_of_day.push(second_of_day(at));
            self.values.push(value);
            self.residuals.push(residual);
            return;
        }
        self.at_seconds[self.oldest] = at.seconds();
        self.second_of_day[self.oldest] = second_of_day(at);
        self.values[self.oldest] = value;
        self.residuals[self.oldest] = residual;
        self.oldest = (self.oldest + 1) % ROWS;
    }
}

/// Infinite where there is nothing, or where the difference is past what can be written.
fn nearest(remembered: &[f64], value: f64) -> f64 {
    remembered.iter().fold(f64::INFINITY, |nearest, other| nearest.min((value - other).abs()))
}

fn second_of_day(at: UtcTime) -> i32 {
    at.seconds().rem_euclid(DAY_SECONDS) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(hours: i64) -> UtcTime {
        UtcTime::from_seconds(hours * HOUR)
    }

    #[test]
    fn the_same_time_of_day_is_of_other_days_and_goes_around_midnight() {
        let mut memory = Memory::default();
        assert_eq!(memory.nearest(at(0), 1.0, 0.0), Nearest::default());
        memory.push(at(23), 5.0, 0.0);
        let seen = |hours| memory.nearest(at(hours), 7.0, 1.0).value_at_time_of_day;
        assert_eq!(seen(24), None, "an hour later is not another day");
        assert_eq!(seen(24 + 23), Some(2.0));
        assert_eq!(seen(24 + 24), Some(2.0), "an hour past it");
        assert_eq!(seen(24 + 25), None);
        assert_eq!(memory.nearest(at(24), 7.0, 1.0).value, Some(2.0));
        assert_eq!(memory.nearest(at(24), 7.0, 1.0).residual, Some(1.0));
    }

    #[test]
    fn the_oldest_rows_are_forgotten() {
        let mut memory = Memory::default();
        memory.push(at(0), 100.0, 0.0);
        for hour in 1..=ROWS as i64 {
            assert_eq!(memory.nearest(at(hour), 100.0, 0.0).value, Some(0.0));
            memory.push(at(hour), 1.0, 0.0);
        }
        assert_eq!(memory.nearest(at(9999), 100.0, 0.0).value, Some(99.0));
        assert_eq!((memory.values.len(), memory.at_seconds.len()), (ROWS, ROWS));
    }
}
