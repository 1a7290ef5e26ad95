//! The variance of a count: φ m + c m² for mean m.
//!
//! φ is over 1 where counts come in clusters, and under 1 where they are more regular than chance (sums
//! that were divided or smoothed before). c is what misses of the forecast add, which grow with the mean.

use libm::exp2;

use super::Rhythm;
use super::seasonal::Seasonal;

/// Squared standardised residuals count at most so much.
const SQUARE_MAX: f64 = 25.0;
/// Weight of a period that certainly belongs to a rise.
const TAUGHT_IN_RISE: f64 = 0.05;
/// The same in the record of the season, where rises of every year shall show.
const RECORDED_IN_RISE: f64 = 0.3;
/// A time of the season is harder to forecast if its squared residuals exceed the usual by so many
/// standard deviations; beyond them, so many periods without an excess are added for caution.
const SURE_DEVIATIONS: f64 = 2.5;
const PRIOR_PERIODS: f64 = 10.0;
const FACTOR_MAX: f64 = 20.0;
/// Smallest φ. Rounding to whole counts adds the variance of [`ROUNDING`].
const PHI_MIN: f64 = 0.005;
const C_MAX: f64 = 0.5;
/// Variance of what rounding to whole counts changes.
const ROUNDING: f64 = 1.0 / 12.0;
/// Cycles that are seen before φ and c follow them.
const CYCLES_MIN: f64 = 4.0;

#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// What is kept from one period to the next: half of the past in one season.
    kept: f64,
    /// Periods that are needed.
    needed: f64,
    /// Sums over periods, the past fading: 1, mean, mean², and r²/mean and r² for residuals r.
    sums: [f64; 5],
    phi: f64,
    c: f64,
    /// Periods and squared standardised residuals by time of the season: some times are harder to
    /// forecast.
    by_season: Seasonal<2>,
    factor: f64,
}

impl Spread {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        let kept = exp2(-1.0 / rhythm.season() as f64);
        Spread {
            kept,
            needed: CYCLES_MIN * f64::from(rhythm.cycle),
            sums: [0.0; 5],
            phi: 1.0,
            c: 0.0,
            by_season: Seasonal::new(rhythm),
            factor: 1.0,
        }
    }

    /// Variance over mean of a count that is rightly forecast.
    pub(super) fn phi(&self) -> f64 {
        self.phi
    }

    /// Begins anew, as forecasts have just become better. What was known holds until there is enough.
    pub(super) fn doubt(&mut self) {
        self.sums = [0.0; 5];
    }

    /// Forgets which times of the season were hard to forecast, while nothing was known of it.
    pub(super) fn forget_season(&mut self) {
        self.by_season.forget();
        self.factor = 1.0;
    }

    pub(super) fn variance(&self, mean: f64) -> f64 {
        ((self.phi * mean + self.c * mean * mean) * self.factor).max(ROUNDING * mean.min(1.0))
    }

    /// Ends the running cycle.
    pub(super) fn close_cycle(&mut self) {
        self.by_season.close_cycle();
        let [periods, squares] = self.by_season.sums();
        // Only what chance does not explain: squares of standard normals have variance 2.
        let excess = squares - periods - SURE_DEVIATIONS * libm::sqrt(2.0 * periods);
        self.factor = (1.0 + excess.max(0.0) / (periods + PRIOR_PERIODS)).min(FACTOR_MAX);
    }

    /// Takes a count of which mean and variance were expected; `calm` is how probable it is that no rise
    /// goes on.
    pub(super) fn learn(&mut self, count: f64, mean: f64, variance: f64, calm: f64) {
        let weight = calm.max(TAUGHT_IN_RISE);
        let square = ((count - mean) * (count - mean)).min(SQUARE_MAX * variance);
        let plain = (self.phi * mean + self.c * mean * mean).max(ROUNDING * mean.min(1.0));
        self.by_season.add([1.0, (square / plain).min(SQUARE_MAX * FACTOR_MAX)], calm.max(RECORDED_IN_RISE));
        // What the time of the season explains is no part of φ and c.
        let square = square / self.factor;
        let mean = mean.max(1e-3);
        for (sum, new) in self.sums.iter_mut().zip([1.0, mean, mean * mean, square / mean, square]) {
            *sum = self.kept * *sum + weight * new;
        }
        let [periods, means, squares, ratios, residuals] = self.sums;
        if periods < self.needed {
            return;
        }
        // Least squares of r²/mean on φ + c mean.
        let determinant = periods * squares - means * means;
        let mut c = 0.0;
        if determinant > 1e-6 * periods * squares {
            let slope = (periods * residuals - means * ratios) / determinant;
            // r²/mean has about the variance 2 φ².
            let deviation = self.phi * libm::sqrt(2.0 * periods / determinant);
            c = (slope - SURE_DEVIATIONS * deviation).clamp(0.0, C_MAX);
        }
        let phi = (ratios - c * means) / periods;
        if phi < PHI_MIN {
            c = (ratios / means).min(C_MAX);
        }
        (self.phi, self.c) = (phi.max(PHI_MIN), c);
    }
}
