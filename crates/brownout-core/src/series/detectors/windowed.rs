//! The largest of one statistic over windows that end now.

use super::{Detector, Sums, Usual};
use crate::series::negative_binomial::{Expected, glr};

/// Says the largest of a statistic over windows of several lengths, and 0 while all are less. The noise
/// has one size for all windows.
#[derive(Clone, Debug)]
pub struct Windowed {
    sums: Sums,
    windows: Vec<u32>,
    statistic: fn(f64, Expected) -> f64,
}

impl Windowed {
    /// For windows of so many intervals each; `statistic` is given a window's count and what is usual
    /// for it.
    pub fn new(windows: Vec<u32>, statistic: fn(f64, Expected) -> f64) -> Self {
        let longest = windows.iter().max().map_or(0, |longest| *longest as usize);
        Windowed { sums: Sums::new(longest), windows, statistic }
    }

    /// The window-limited generalised likelihood ratio for a rise, in nats.
    pub fn glr(windows: Vec<u32>) -> Self {
        Windowed::new(windows, glr)
    }
}

impl Detector for Windowed {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.sums.push(count, usual.mean);
        let statistics = self.windows.iter().map(|window| {
            let (count, mean) = self.sums.latest(*window as usize);
            (self.statistic)(count as f64, Expected { mean, size: usual.noise_size })
        });
        statistics.fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_that_says_most_is_heard() {
        let usual = Usual { mean: 2.0, noise_size: 4.0 };
        let mut both = Windowed::glr(vec![1, 6]);
        let (mut short, mut long) = (Windowed::glr(vec![1]), Windowed::glr(vec![6]));
        for count in [2, 2, 2, 30, 2, 2, 6, 7, 6, 8, 7, 6] {
            let (short, long) = (short.step(count, usual), long.step(count, usual));
            assert_eq!(both.step(count, usual), short.max(long));
        }
    }
}
