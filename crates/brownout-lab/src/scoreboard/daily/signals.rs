//! The sixteen signals: their means, their noise, and what comes on top of it.

use std::f64::consts::TAU;

use libm::{cos, exp, sin};

/// Weeks of a year of the simulation, which has 364 days.
pub(super) const WEEKS_PER_YEAR: usize = 52;
pub(super) const YEARS: usize = 7;
/// The last so many weeks are judged, and outbreaks begin in them.
pub(super) const JUDGED_WEEKS: usize = 49;

/// ln m(t) = alpha + beta (t + shift) + annual and weekly harmonics of t + shift, for days t from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    pub(super) alpha: f64,
    pub(super) beta: f64,
    /// Number of annual harmonics, all with the same cosine and sine.
    pub(super) annual: (u32, f64, f64),
    /// The same for weekly ones.
    pub(super) weekly: (u32, f64, f64),
    pub(super) shift: f64,
}

impl Mean {
    /// Mean of day `t`, from 1, where a week has so many days.
    pub(super) fn at(&self, t: usize, days_per_week: usize) -> f64 {
        let time = t as f64 + self.shift;
        let harmonics = |(number, cosine, sine): (u32, f64, f64), period: f64| -> f64 {
            let angles = (1..=number).map(|harmonic| TAU * f64::from(harmonic) * time / period);
            angles.map(|angle| cosine * cos(angle) + sine * sin(angle)).sum()
        };
        let year = (WEEKS_PER_YEAR * days_per_week) as f64;
        exp(self.alpha
            + self.beta * time
            + harmonics(self.annual, year)
            + harmonics(self.weekly, days_per_week as f64))
    }
}

/// An epidemic that comes every year, begins on one of some days and lasts for months.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epidemic {
    /// First day of the year on which it can begin, from 1, and how many such days there are.
    pub(super) begins: (usize, usize),
    /// Cases, in standard deviations of the first day's count by `mean` and `phi`.
    pub(super) size: f64,
    pub(super) mean: Mean,
    pub(super) phi: f64,
}

/// One signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal {
    /// Its number in the paper, which leaves out 2.
    pub(super) number: u32,
    /// 5 where nothing is counted on weekends, else 7.
    pub(super) days_per_week: usize,
    pub(super) mean: Mean,
    /// Variance of a count over its mean.
    pub(super) phi: f64,
    /// Counts are divided by this and rounded in the end.
    pub(super) divisor: f64,
    /// What the sizes of outbreaks go by: mean and variance over mean, before the division.
    pub(super) outbreak: (Mean, f64),
    pub(super) epidemic: Option<Epidemic>,
}

const fn mean(alpha: f64, annual: (u32, f64, f64), weekly: (u32, f64, f64), shift: f64) -> Mean {
    Mean { alpha, beta: 0.0, annual, weekly, shift }
}

/// A signal whose outbreaks go by its own mean.
const fn signal(number: u32, days_per_week: usize, mean: Mean, phi: f64) -> Signal {
    Signal { number, days_per_week, mean, phi, divisor: 1.0, outbreak: (mean, phi), epidemic: None }
}

const NONE: (u32, f64, f64) = (0, 0.0, 0.0);
const SIXTH: Mean = mean(6.0, (1, 0.3, 2.0), (1, 0.3, 0.5), -50.0);
const SEVENTH: Mean = mean(1.0, (1, 0.1, 2.0), (1, 0.05, 0.05), -50.0);
const FIRST: Mean = mean(6.0, (1, 0.2, 0.2), (2, 0.5, 0.4), 29.0);
const FOURTEENTH: Mean = mean(2.0, (1, 0.8, 0.8), (2, 0.8, 0.4), 57.0);
const WEEKDAYS: usize = 5;
const WEEK: usize = 7;

/// All of them, in the order of their numbers.
pub(super) const SIGNALS: [Signal; 16] = [
    signal(1, WEEK, FIRST, 2.0),
    signal(3, WEEK, mean(0.5, (1, 1.5, 1.4), (2, 0.5, 0.4), -167.0), 1.0),
    signal(4, WEEK, mean(5.5, NONE, (2, 0.3, 0.25), 1.0), 1.0),
    signal(5, WEEK, mean(2.0, NONE, (2, 0.3, 0.25), 1.0), 1.0),
    Signal {
        divisor: 10.0,
        epidemic: Some(Epidemic { begins: (1, 20), size: 3.0 * 5.0 * 80.0, mean: SIXTH, phi: 1.5 }),
        ..signal(6, WEEKDAYS, SIXTH, 1.5)
    },
    Signal {
        epidemic: Some(Epidemic { begins: (1, 20), size: 3.0 * 5.0 * 50.0, mean: SEVENTH, phi: 1.0 }),
        ..signal(7, WEEKDAYS, SEVENTH, 1.0)
    },
    Signal {
        mean: Mean { beta: 0.0001, ..mean(6.0, NONE, (1, 0.6, 0.9), 0.0) },
        divisor: 10.0,
        ..signal(8, WEEKDAYS, mean(6.0, NONE, (1, 0.6, 0.9), 0.0), 1.5)
    },
    signal(9, WEEKDAYS, mean(3.0, (1, 1.5, 0.1), (1, 0.2, 0.3), -150.0), 1.0),
    signal(10, WEEKDAYS, mean(3.0, (1, 0.2, 0.1), (1, 0.05, 0.15), -200.0), 1.0),
    signal(11, WEEKDAYS, mean(5.0, (1, 0.2, 0.1), (1, 0.05, 0.1), 0.0), 1.0),
    signal(12, WEEKDAYS, mean(0.5, (2, 0.4, 0.0), (1, 0.05, 0.15), 0.0), 1.0),
    Signal { divisor: 100.0, ..signal(13, WEEKDAYS, mean(9.0, (1, 0.5, 0.2), (1, 0.2, 0.5), 0.0), 1.0) },
    Signal {
        mean: Mean { beta: 0.0005, ..FOURTEENTH },
        outbreak: (FIRST, 2.0),
        ..signal(14, WEEK, FOURTEENTH, 4.0)
    },
    Signal {
        outbreak: (FOURTEENTH, 4.0),
        ..signal(15, WEEK, mean(0.05, (4, 0.01, 0.01), (1, 1.8, 0.1), -85.0), 1.0)
    },
    Signal {
        epidemic: Some(Epidemic { begins: (210, 21), size: 3.0 * 7.0 * 150.0, mean: SEVENTH, phi: 1.0 }),
        ..signal(16, WEEK, mean(3.0, (1, 0.8, 0.6), (2, 0.8, 0.4), 29.0), 4.0)
    },
    signal(17, WEEK, mean(6.0, NONE, (2, 0.8, 0.4), 1.0), 4.0),
];

/// How many more people come on a day of the week because of an outbreak. Day `t` is from 1, and a week
/// begins on Monday.
pub(super) fn weight_of_day(t: usize, days_per_week: usize) -> f64 {
    match (days_per_week, t % days_per_week) {
        (5, 1) => 1.5,
        (5, 0 | 2) => 1.1,
        (7, 0 | 6) => 2.0,
        _ => 1.0,
    }
}

/// Days of a year that are bank holidays in every year, from 0, Mondays and Tuesdays all of them: New
/// Year, early May, late August, Christmas and the day after.
const EVERY_YEAR: [usize; 5] = [0, 126, 238, 357, 358];
/// Good Friday of each year; Easter Monday is three days later.
const GOOD_FRIDAYS: [usize; YEARS] = [95, 109, 95, 88, 109, 95, 102];
/// Those of single years: a wedding, and late May, which moved for a jubilee.
const OTHERS: [&[usize]; YEARS] = [&[147], &[116, 147], &[154, 155], &[147], &[147], &[147], &[147]];

/// Whether each day is a bank holiday, where a week has so many days, the first of them Mondays.
pub(super) fn holidays(days_per_week: usize) -> Vec<bool> {
    let mut holidays = vec![false; YEARS * WEEKS_PER_YEAR * days_per_week];
    for year in 0..YEARS {
        let easter = [GOOD_FRIDAYS[year], GOOD_FRIDAYS[year] + 3];
        for day in EVERY_YEAR.iter().chain(&easter).chain(OTHERS[year]) {
            let (week, of_week) = (year * WEEKS_PER_YEAR + day / WEEK, day % WEEK);
            if of_week < days_per_week {
                holidays[week * days_per_week + of_week] = true;
            }
        }
    }
    holidays
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holidays_fall_on_working_days() {
        let (five, seven) = (holidays(WEEKDAYS), holidays(WEEK));
        let count = |days: &[bool]| days.iter().filter(|day| **day).count();
        assert_eq!(count(&five), 58);
        assert_eq!(count(&seven), 58);
        assert!(five[0] && seven[0] && seven[95] && seven[98] && !seven[96]);
    }

    #[test]
    fn means_follow_trend_season_and_week() {
        let first = SIGNALS[0];
        let at = |t| first.mean.at(t, first.days_per_week);
        assert!((at(1) - at(1 + 364)).abs() < 1e-6 * at(1), "a year later it is the same");
        assert!((at(6) / at(3) - 1.0).abs() > 0.2, "days of the week differ");
        let trend = SIGNALS.iter().find(|signal| signal.number == 14).unwrap();
        let ratio = trend.mean.at(400 + 364, 7) / trend.mean.at(400, 7);
        assert!((ratio - exp(0.0005 * 364.0)).abs() < 1e-9);
    }
}
