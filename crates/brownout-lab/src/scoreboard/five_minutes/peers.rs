//! What others use, written from its published definition.

use std::collections::VecDeque;

use brownout_core::series::detectors::{Detector, Usual};
use brownout_core::series::negative_binomial::{Expected, ln_tail};

use super::generator::{INTERVALS_PER_DAY, INTERVALS_PER_HOUR};

/// Counts and means of the last hour.
#[derive(Default)]
struct Hour(VecDeque<(u32, f64)>);

impl Hour {
    fn push(&mut self, count: u32, mean: f64) {
        self.0.push_front((count, mean));
        self.0.truncate(INTERVALS_PER_HOUR);
    }

    fn latest(&self, intervals: usize) -> (f64, f64) {
        let sum = |(x, m): (f64, f64), (count, mean): &(u32, f64)| (x + f64::from(*count), m + mean);
        self.0.iter().take(intervals).fold((0.0, 0.0), sum)
    }
}

/// Lengths of the windows of those that have several, in intervals.
const WINDOWS: [usize; 4] = [1, 3, 6, 12];

/// Observed over expected plus one, in 15 minutes: the usual rule of dashboards.
#[derive(Default)]
pub(super) struct Ratio(Hour);

impl Detector for Ratio {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.0.push(count, usual.mean);
        let (x, m) = self.0.latest(3);
        x / (m + 1.0)
    }
}

/// The largest Poisson likelihood ratio over windows up to an hour: noise beyond Poisson's is ignored.
#[derive(Default)]
pub(super) struct PoissonGlr(Hour);

impl Detector for PoissonGlr {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.0.push(count, usual.mean);
        let ratios = WINDOWS.map(|window| {
            let (x, m) = self.0.latest(window);
            if x <= m { 0.0 } else { x * libm::log(x / m) - (x - m) }
        });
        ratios.into_iter().fold(0.0, f64::max)
    }
}

/// The smallest negative binomial tail over windows up to an hour, as its negative logarithm.
#[derive(Default)]
pub(super) struct Tail(Hour);

impl Detector for Tail {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.0.push(count, usual.mean);
        let tails = WINDOWS.map(|window| {
            let (x, mean) = self.0.latest(window);
            if x <= mean { 0.0 } else { -ln_tail(x as u32, Expected { mean, size: usual.noise_size }) }
        });
        tails.into_iter().fold(0.0, f64::max)
    }
}

/// EARS C2 (Hutwagner et al. 2003) on 15-minute counts at the same time of day: mean and deviation of
/// the seven days that end two days ago.
#[derive(Default)]
pub(super) struct Ears {
    hour: Hour,
    /// 15-minute counts that end with each interval, newest first.
    before: VecDeque<f64>,
}

impl Ears {
    const GUARD_DAYS: usize = 2;
    const DAYS: usize = 7;
    /// A deviation is taken to be at least so much, so that silence is no division by zero.
    const DEVIATION_MIN: f64 = 0.5;
}

impl Detector for Ears {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.hour.push(count, usual.mean);
        let (now, _) = self.hour.latest(3);
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
