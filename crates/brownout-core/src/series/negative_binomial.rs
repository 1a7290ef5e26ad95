//! The negative binomial distribution: counts whose rate itself varies.
//!
//! Parametrised by mean m and size k (variance m + m²/k); k → ∞ is Poisson. All functions use
//! `libm`, so they give the same bits on every machine.

use libm::{exp, lgamma, log, log1p};

/// What is expected of a count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Mean, at least 0.
    pub mean: f64,
    /// Size, greater than 0.
    pub size: f64,
}

/// Smallest mean that is worked with, so that "never seen before" stays finite.
const MEAN_MIN: f64 = 1e-9;

/// ln P(X >= x), at most 0.
///
/// P(X >= x) is the regularised incomplete beta function I_z(x, k) with z = m / (m + k)
/// (Abramowitz and Stegun 26.5.26), evaluated by its continued fraction in logarithms, so that
/// tails far below the smallest double are still told apart.
pub fn ln_tail(x: u32, expected: Expected) -> f64 {
    if x == 0 {
        return 0.0;
    }
    let mean = expected.mean.max(MEAN_MIN);
    let size = expected.size;
    let a = f64::from(x);
    let z = mean / (mean + size);
    if z < (a + 1.0) / (a + size + 2.0) {
        ln_beta_front(a, size, z) + log(continued_fraction(a, size, z))
    } else {
        let below = exp(ln_beta_front(size, a, 1.0 - z)) * continued_fraction(size, a, 1.0 - z);
        if below >= 1.0 { f64::MIN } else { log1p(-below) }
    }
}

/// Whether P(X >= x) is less than a probability, given by its logarithm, for x above the mean.
///
/// The tail is P(X = x) (1 + r + r r' + ..) with ratios r of neighbours. Adding up stops as soon as
/// the sum, or the sum with a geometric bound of its rest, decides; that takes a step or two.
pub fn is_rarer(x: u32, expected: Expected, ln_probability: f64) -> bool {
    const STEPS_MAX: u32 = 64;
    let mean = expected.mean.max(MEAN_MIN);
    let size = expected.size;
    let z = mean / (mean + size);
    // How often the first term fits into the probability.
    let fits = exp(ln_probability - ln_beta_front(f64::from(x), size, z));
    let ratio = |i: f64| (i + size) / (i + 1.0) * z;
    let (mut sum, mut term) = (0.0, 1.0);
    for step in 0..STEPS_MAX {
        sum += term;
        if sum >= fits {
            return false;
        }
        let i = f64::from(x) + f64::from(step);
        term *= ratio(i);
        // From here on ratios go towards z, from above or from below.
        let largest = ratio(i + 1.0).max(z);
        if largest < 1.0 && sum + term / (1.0 - largest) < fits {
            return true;
        }
    }
    ln_tail(x, expected) < ln_probability
}

/// A lower bound of ln P(X >= x) for `x` of at least 1, of which `glr` is the likelihood ratio: that of P(X = x),
/// which is exp(-glr) times what it would be with a mean of x, by Stirling's bounds of the factorials.
pub fn ln_tail_at_least(x: u32, glr: f64, expected: Expected) -> f64 {
    let (x, size) = (f64::from(x), expected.size);
    let spread = std::f64::consts::TAU * x * (1.0 + x / size);
    -glr - 0.5 * log(spread) - 1.0 / (12.0 * x) - 1.0 / (12.0 * size)
}

/// ln of z^a (1-z)^b / (a B(a, b)), which is ln P(X = a) for size b.
fn ln_beta_front(a: f64, b: f64, z: f64) -> f64 {
    lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(z) + b * log1p(-z) - log(a)
}

/// ln P(X = x).
pub fn ln_mass(x: f64, expected: Expected) -> f64 {
    let mean = expected.mean.max(MEAN_MIN);
    let size = expected.size;
    let at_zero = -size * log1p(mean / size);
    if x <= 0.0 { at_zero } else { ln_beta_front(x, size, mean / (mean + size)) }
}

/// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by the
/// method of Lentz.
fn continued_fraction(a: f64, b: f64, z: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * z / (a + 1.0));
    let mut fraction = d;
    // The number of terms grows with the square root of the larger parameter; a count of ten
    // million needs a few thousand.
    for step in 1..20_000 {
        let m = f64::from(step);
        let even = m * (b - m) * z / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= c * d;
        let odd = -(a + m) * (a + b + m) * z / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let change = c * d;
        fraction *= change;
        if (change - 1.0).abs() < 1e-12 {
            break;
        }
    }
    fraction
}

/// The generalised likelihood ratio for a rise, in nats: G = x ln κ − (x + k) ln((k + κ m)/(k + m))
/// with κ = max(1, x / m). It is Chernoff's bound too: ln P(X >= x) <= -G for x above the mean.
pub fn glr(x: f64, expected: Expected) -> f64 {
    let mean = expected.mean.max(MEAN_MIN);
    let size = expected.size;
    if x <= mean {
        return 0.0;
    }
    let kappa = x / mean;
    x * log(kappa) - (x + size) * log((size + kappa * mean) / (size + mean))
}

/// The smallest count whose cumulative probability is at least `probability` (0 to 1).
pub fn quantile(probability: f64, expected: Expected) -> u32 {
    let above = 1.0 - probability;
    // P(X >= x + 1) <= 1 - probability  <=>  the distribution function at x is large enough.
    let enough = |x: u32| exp(ln_tail(x.saturating_add(1), expected)) <= above;
    let mut high = 1u32;
    while !enough(high) && high < u32::MAX / 4 {
        high *= 2;
    }
    let mut low = 0u32;
    while low < high {
        let middle = low + (high - low) / 2;
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tail by adding up the probabilities, for comparison.
    fn tail_by_sum(x: u32, expected: Expected) -> f64 {
        let (m, k) = (expected.mean, expected.size);
        let mut below = 0.0;
        for i in 0..x {
            let i = f64::from(i);
            below += exp(lgamma(i + k) - lgamma(i + 1.0) - lgamma(k)
                + k * log(k / (k + m))
                + i * log(m / (m + k)));
        }
        1.0 - below
    }

    #[test]
    fn the_tail_agrees_with_the_sum() {
        for mean in [0.01, 0.3, 1.0, 7.5, 120.0] {
            for size in [0.2, 1.0, 4.0, 50.0] {
                for x in [1, 2, 5, 20, 100] {
                    let expected = Expected { mean, size };
                    let sum = tail_by_sum(x, expected);
                    if sum > 1e-9 {
                        let got = exp(ln_tail(x, expected));
                        assert!((got - sum).abs() < 1e-9 + 1e-6 * sum, "{mean} {size} {x}: {got} {sum}");
                    }
                }
            }
        }
    }

    #[test]
    fn tails_below_the_smallest_double_are_told_apart() {
        let expected = Expected { mean: 60.0, size: 400.0 };
        let (a, b) = (ln_tail(20_000, expected), ln_tail(40_000, expected));
        assert!(a.is_finite() && b.is_finite() && b < a && a < -745.0, "{a} {b}");
    }

    #[test]
    fn quantiles_hold_their_share() {
        let expected = Expected { mean: 20.0, size: 4.0 };
        for probability in [0.1, 0.5, 0.9] {
            let x = quantile(probability, expected);
            assert!(1.0 - exp(ln_tail(x + 1, expected)) >= probability);
            assert!(x == 0 || 1.0 - exp(ln_tail(x, expected)) < probability);
        }
        assert_eq!(quantile(0.5, Expected { mean: 0.001, size: 4.0 }), 0);
    }

    proptest! {
        #[test]
        fn the_tail_falls_with_the_count(mean in 0.0..1e4f64, size in 0.05..1e4f64, x in 0u32..100_000) {
            let expected = Expected { mean, size };
            let (here, next) = (ln_tail(x, expected), ln_tail(x + 1, expected));
            prop_assert!(here <= 0.0 && !here.is_nan() && !next.is_nan());
            prop_assert!(next <= here + 1e-9, "{here} {next}");
        }

        #[test]
        fn the_ratio_bounds_the_tail(mean in 0.001..1e4f64, size in 0.05..1e4f64, x in 1u32..100_000) {
            let expected = Expected { mean, size };
            let bound = -glr(f64::from(x), expected);
            prop_assert!(ln_tail(x, expected) <= bound + 1e-9 * bound.abs() + 1e-9);
        }

        #[test]
        fn rarer_is_what_the_tail_says(
            mean in 0.001..1e4f64, size in 0.05..1e4f64, above in 1.0..4.0f64, ln_p in -12.0..-0.7f64,
        ) {
            let expected = Expected { mean, size };
            let x = (mean * above) as u32 + 1;
            let tail = ln_tail(x, expected);
            prop_assume!((tail - ln_p).abs() > 1e-6);
            prop_assert_eq!(is_rarer(x, expected, ln_p), tail < ln_p);
        }

        #[test]
        fn the_ratio_is_zero_below_the_mean_and_grows_above(mean in 0.01..1e4f64, size in 0.05..1e4f64) {
            let expected = Expected { mean, size };
            prop_assert_eq!(glr(mean * 0.5, expected), 0.0);
            prop_assert!(glr(mean * 3.0, expected) > glr(mean * 2.0, expected));
        }
    }
}
