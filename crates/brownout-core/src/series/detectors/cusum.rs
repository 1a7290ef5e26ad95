//! The cumulative sum for slow and weak rises.

use libm::log;

use super::{Detector, Usual};

/// Negative binomial CUSUM (Höhle and Paul 2008) for a rise of the mean from m to `factor` m plus
/// `extra`: S <- max(0, S + y ln(m1/m0) - (y + k) ln((k + m1)/(k + m0))), in nats.
#[derive(Clone, Debug)]
pub struct Cusum {
    factor: f64,
    extra: f64,
    sum: f64,
}

impl Cusum {
    /// A factor of at least 1 and an extra count per interval of at least 0.
    pub fn new(factor: f64, extra: f64) -> Self {
        Cusum { factor, extra, sum: 0.0 }
    }
}

impl Detector for Cusum {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        let (mean, size) = (usual.mean.max(1e-9), usual.noise_size);
        self.sum = (self.sum + ln_ratio(count, mean, self.factor * mean + self.extra, size)).max(0.0);
        self.sum
    }
}

/// ln of the likelihood of a count under mean m1 over that under mean m0, for noise of one size.
pub(super) fn ln_ratio(count: u32, before: f64, after: f64, size: f64) -> f64 {
    let y = f64::from(count);
    y * log(after / before) - (y + size) * log((size + after) / (size + before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_rise_adds_up_and_calm_forgets_it() {
        let usual = Usual { mean: 4.0, noise_size: 50.0 };
        let mut cusum = Cusum::new(1.5, 0.0);
        assert_eq!(cusum.step(4, usual), 0.0, "the usual is less likely under the rise");
        let risen: Vec<f64> = (0..20).map(|_| cusum.step(6, usual)).collect();
        assert!(risen.windows(2).all(|pair| pair[0] < pair[1]) && risen[19] > 5.0, "{risen:?}");
        let calm = (0..40).map(|_| cusum.step(3, usual)).last();
        assert_eq!(calm, Some(0.0));
    }
}
