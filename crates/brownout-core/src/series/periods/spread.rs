//! The variance of a count: φ m + c m² for mean m.
//!
//! φ is over 1 where counts come in clusters, and under 1 where they are more regular than chance (sums
//! that were divided or smoothed before). c is what misses of the forecast add, which grow with the mean.

use libm::exp2;

use super::Rhythm;

/// Squared standardised residuals count at most so much: 2.58².
const SQUARE_MAX: f64 = 6.6564;
/// Mean of the square of a standard normal that is cut off there.
const SQUARE_MEAN: f64 = 0.9758;
/// Smallest φ. Rounding to whole counts adds the variance of [`ROUNDING`].
const PHI_MIN: f64 = 0.005;
const C_MAX: f64 = 0.5;
/// Variance of what rounding to whole counts changes.
const ROUNDING: f64 = 1.0 / 12.0;
/// What remains of the past when it is doubted.
const DOUBTED: f64 = 0.02;
/// φ = 1 counts as much as so many periods.
const PRIOR_PERIODS: f64 = 10.0;

#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// What is kept from one period to the next: half of the past in one season.
    kept: f64,
    /// Sums over periods, the past fading: 1, mean, mean², and r²/mean and r² for residuals r.
    sums: [f64; 5],
    phi: f64,
    c: f64,
}

impl Spread {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        let kept = exp2(-1.0 / rhythm.season() as f64);
        Spread { kept, sums: [0.0; 5], phi: 1.0, c: 0.0 }
    }

    /// Variance over mean of a count that is rightly forecast.
    pub(super) fn phi(&self) -> f64 {
        self.phi
    }

    /// Doubts what was learned before forecasts became better.
    pub(super) fn doubt(&mut self) {
        self.sums = self.sums.map(|sum| sum * DOUBTED);
    }

    pub(super) fn variance(&self, mean: f64) -> f64 {
        variance(self.phi, self.c, mean)
    }

    /// Takes a count of which mean and variance were expected.
    pub(super) fn learn(&mut self, count: f64, mean: f64, variance: f64, _weight: f64) {
        let square = ((count - mean) * (count - mean)).min(SQUARE_MAX * variance) / SQUARE_MEAN;
        let mean = mean.max(1e-3);
        for (sum, new) in self.sums.iter_mut().zip([1.0, mean, mean * mean, square / mean, square]) {
            *sum = self.kept * *sum + new;
        }
        let [periods, means, squares, ratios, residuals] = self.sums;
        let (periods, ratios) = (periods + PRIOR_PERIODS, ratios + PRIOR_PERIODS);
        // Least squares of r²/mean on φ + c mean.
        let determinant = periods * squares - means * means;
        let mut c = 0.0;
        if determinant > 1e-6 * periods * squares {
            c = ((periods * residuals - means * ratios) / determinant).clamp(0.0, C_MAX);
        }
        let phi = (ratios - c * means) / periods;
        if phi < PHI_MIN {
            c = (ratios / means).min(C_MAX);
        }
        (self.phi, self.c) = (phi.max(PHI_MIN), c);
    }
}

fn variance(phi: f64, c: f64, mean: f64) -> f64 {
    (phi * mean + c * mean * mean).max(ROUNDING * mean.min(1.0))
}
