//! What others use, written from its published definition.

use std::collections::VecDeque;

use brownout_core::series::detectors::{Detector, Sums, Usual, Windowed};
use brownout_core::series::negative_binomial::{Expected, ln_tail};

use super::generator::INTERVALS_PER_DAY;

/// Lengths of the windows of those that have several, in intervals.
const WINDOWS: [u32; 4] = [1, 3, 6, 12];

/// Observed over expected plus one, in 15 minutes: the usual rule of dashboards.
pub(super) fn ratio() -> Windowed {
    Windowed::new(vec![3], |x, usual| x / (usual.mean + 1.0))
}

/// The largest negative binomial likelihood ratio over windows up to an hour.
pub(super) fn glr() -> Windowed {
    Windowed::glr(WINDOWS.to_vec())
}

/// The largest Poisson likelihood ratio over windows up to an hour: noise beyond Poisson's is ignored.
pub(super) fn poisson_glr() -> Windowed {
    Windowed::new(
        WINDOWS.to_vec(),
        |x, Expected { mean, .. }| {
            if x <= mean { 0.0 } else { x * libm::log(x / mean) - (x - mean) }
        },
    )
}

/// The smallest negative binomial tail over windows up to an hour, as its negative logarithm.
pub(super) fn tail() -> Windowed {
    let statistic = |x, usual: Expected| if x <= usual.mean { 0.0 } else { -ln_tail(x as u32, usual) };
    Windowed::new(WINDOWS.to_vec(), statistic)
}

/// EARS C2 (Hutwagner et al. 2003) on 15-minute counts at the same time of day: mean and deviation of
/// the seven days that end two days ago.
pub(super) struct Ears {
    sums: Sums,
    /// 15-minute counts that end with each interval, newest first.
    before: VecDeque<f64>,
}

impl Ears {
    const GUARD_DAYS: usize = 2;
    const DAYS: usize = 7;
    /// A deviation is taken to be at least so much, so that silence is no division by zero.
    const DEVIATION_MIN: f64 = 0.5;
    /// Intervals of 15 minutes.
    const QUARTER: usize = 3;

    pub(super) fn new() -> Self {
        Ears { sums: Sums::new(Self::QUARTER), before: VecDeque::new() }
    }
}

impl Detector for Ears {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.sums.push(count, usual.mean);
        let now = self.sums.latest(Self::QUARTER).0 as f64;
        self.before.push_front(now);
        self.before.truncate((Self::GUARD_DAYS + Self::DAYS) * INTERVALS_PER_DAY);
        let days = Self::GUARD_DAYS..Self::GUARD_DAYS + Self::DAYS;
        let same_time: Vec<f64> =
            days.filter_map(|day| self.before.get(day * INTERVALS_PER_DAY).copied()).collect();
        if same_time.len() < Self::DAYS {
            return 0.0;
        }
        let number = Self::DAYS as f64;
        let mean = same_time.iter().sum::<f64>() / number;
        let squares: f64 = same_time.iter().map(|count| (count - mean) * (count - mean)).sum();
        (now - mean) / libm::sqrt(squares / (number - 1.0)).max(Self::DEVIATION_MIN)
    }
}
