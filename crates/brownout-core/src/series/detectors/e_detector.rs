//! The Shiryaev-Roberts e-detector with a guaranteed average run length.

use libm::{exp, log, log1p};

use super::cusum::ln_ratio;
use super::{Detector, Usual};

/// Factors by which a rise may multiply the mean.
const FACTORS: [f64; 7] = [1.5, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0];

/// Shiryaev-Roberts R <- (1 + R) L over a mixture of shifts (Shin, Ramdas, Rinaldo, "E-detectors: a
/// nonparametric framework for sequential change detection", 2022). The answer is ln R.
///
/// An alarm at R >= 1/a has an average run length of at least 1/a intervals, *when the usual mean and
/// noise are right given the past*. Noise that intervals share breaks that condition.
#[derive(Clone, Debug, Default)]
pub struct EDetector {
    /// ln R of every shift; `None` before the first interval, where R is 0.
    ln_r: [Option<f64>; FACTORS.len()],
}

impl Detector for EDetector {
    fn step(&mut self, count: u32, usual: Usual) -> f64 {
        let mean = usual.mean.max(1e-9);
        for (ln_r, factor) in self.ln_r.iter_mut().zip(FACTORS) {
            let ln_ratio = ln_ratio(count, mean, factor * mean, usual.noise_size);
            *ln_r = Some(ln_r.map_or(0.0, ln_one_more) + ln_ratio);
        }
        let largest = self.ln_r.iter().flatten().copied().fold(f64::MIN, f64::max);
        let sum: f64 = self.ln_r.iter().flatten().map(|ln_r| exp(ln_r - largest)).sum();
        (largest + log(sum / FACTORS.len() as f64)).max(0.0)
    }
}

/// ln(1 + e^x).
fn ln_one_more(x: f64) -> f64 {
    x.max(0.0) + log1p(exp(-x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_one_an_interval_in_calm_and_steeply_in_a_rise() {
        // Counts that alternate as their mean says: R grows by about one an interval.
        let mut detector = EDetector::default();
        let usual = Usual { mean: 1.0, noise_size: 1e6 };
        let last = (0..1000).map(|step| detector.step(u32::from(step % 2 == 0) * 2, usual)).last();
        assert!(last.is_some_and(|ln_r| ln_r < log(1000.0)), "{last:?}");
        let risen = (0..5).map(|_| detector.step(12, usual)).last();
        assert!(risen.is_some_and(|ln_r| ln_r > 20.0), "{risen:?}");
    }
}
