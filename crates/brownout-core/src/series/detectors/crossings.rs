//! Windows of many lengths, compared by how often chance alone brings them so far.

use super::sums::Sums;
use super::{Detector, Usual};
use crate::series::crossings::{Sliding, ln_crossings_per_hour, ln_step, size_of_window};
use crate::series::negative_binomial::Expected;

/// A window that is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Its length.
    pub intervals: u32,
    /// How little of the budget of false alarms is spent on it, in nats.
    pub thrift: f64,
}

/// Share of the step to the next lower count by which a count stands for more than it is.
///
/// Counts are whole, so a threshold is only met at the next whole count above it, and a sparse series
/// would alarm less often than a busy one: there steps are of three or four nats. Half a step would make
/// up for it in one window; several windows of which each comes first at times need less. On the
/// scoreboard 0.15 to 0.25 do best.
const STEP_SHARE: f64 = 0.2;

/// The windowed negative binomial tail on the scale of [`ln_crossings_per_hour`]: the answer is the
/// logarithm of the hours that lie between such readings of one window by chance, so one threshold is
/// nearly one rate of false alarms for sparse series and busy ones.
#[derive(Clone, Debug)]
pub struct Crossings {
    sums: Sums,
    interval_hours: f64,
    windows: Vec<Window>,
}

impl Crossings {
    /// For intervals of so many hours.
    pub fn new(interval_hours: f64, windows: Vec<Window>) -> Self {
        let longest = windows.iter().map(|window| window.intervals as usize).max().unwrap_or(0);
        Crossings { sums: Sums::new(longest), interval_hours, windows }
    }
}

impl Detector for Crossings {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.sums.push(count, usual.mean);
        let mut rarest = 0.0_f64;
        for window in &self.windows {
            let (count, mean) = self.sums.latest(window.intervals as usize);
            let hours = f64::from(window.intervals) * self.interval_hours;
            let size = size_of_window(usual.noise_size, hours);
            let expected = Expected { mean, size };
            let sliding = Sliding { hours, step_hours: self.interval_hours };
            let rate = ln_crossings_per_hour(count, sliding, expected);
            if rate < f64::INFINITY {
                rarest = rarest.max(STEP_SHARE * ln_step(count, expected) - rate - window.thrift);
            }
        }
        rarest
    }
}
