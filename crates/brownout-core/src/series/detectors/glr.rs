//! The window-limited generalised likelihood ratio.

use super::sums::Sums;
use super::{Detector, Usual};
use crate::series::negative_binomial::{Expected, glr};

/// The largest generalised likelihood ratio for a rise, in nats, over windows that end now. The noise
/// has one size for windows of all lengths.
#[derive(Clone, Debug)]
pub struct Glr {
    sums: Sums,
    windows: Vec<u32>,
}

impl Glr {
    /// For windows of so many intervals each.
    pub fn new(windows: Vec<u32>) -> Self {
        let longest = windows.iter().max().map_or(0, |longest| *longest as usize);
        Glr { sums: Sums::new(longest), windows }
    }
}

impl Detector for Glr {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        self.sums.push(count, usual.mean);
        let ratios = self.windows.iter().map(|window| {
            let (count, mean) = self.sums.latest(*window as usize);
            glr(count as f64, Expected { mean, size: usual.noise_size })
        });
        ratios.fold(0.0, f64::max)
    }
}
