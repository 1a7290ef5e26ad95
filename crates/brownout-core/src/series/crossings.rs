//! How often chance alone brings a window of a noisy count over a level: the common measure of
//! windows of all lengths and of series of all sizes.

use libm::{exp, expm1, lgamma, log, log1p};

use super::incomplete_gamma::{ln_lower, ln_upper};
use super::negative_binomial::{Expected, glr, ln_mass};

/// How long the noise of a count holds together, in hours: within it the rate is raised or lowered as
/// a whole, beyond it the noise averages out.
pub const NOISE_HOURS: f64 = 1.0;

/// Size of the noise within an hour, as a share of the size that hours of the clock show: noise that
/// turns at any minute of them averages within them. The variance of the mean of a factor over an hour
/// that it shares with the next is 2/3 of the factor's.
pub const SIZE_WITHIN_HOUR: f64 = 2.0 / 3.0;

/// Readings that chance gives every few hours are not worked out, in nats of likelihood ratio.
const GLR_MIN: f64 = 2.0;

/// Size of the noise of a window of `hours`, for noise of size `hour_size` within an hour: a mean of n
/// independent Gamma factors of shape k is nearly one of shape n k. Windows that lie across two such
/// hours average too, but those that lie within one do not, and they make the tail.
pub fn size_of_window(hour_size: f64, hours: f64) -> f64 {
    hour_size * (hours / NOISE_HOURS).max(1.0)
}

/// A window that slides over a series and is looked at again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sliding {
    /// Its length, greater than 0.
    pub hours: f64,
    /// How long it is from one look to the next, greater than 0 and at most `hours`.
    pub step_hours: f64,
}

/// ln of how many times an hour chance alone brings the count of a sliding window to `count` or over
/// it, anew. `expected` is that of the window. Positive infinity for a count that is nothing unusual.
///
/// While the noise holds still at a factor g, a window of w hours that is looked at every s hours is newly
/// at x counts or over them when it is so and not all of x lay in the part that it shares with the window
/// before: r(g) = P(X >= x | g) (1 - (1 - s/w)^x) / s an hour. (Without a pause between looks and for
/// sparse counts that is (x / w) P(X = x | g), which is exact for a Poisson process.) But an hour whose
/// noise is so high that it must come there brings one crossing and not many, so where r(g) is over one
/// in the time that noise holds, it counts as one. With g* where r is one, chance crosses as often as
/// the integral of r over noise up to g* (given x, a Gamma factor of shape k has shape k + x), and once
/// for every noise over g*.
pub fn ln_crossings_per_hour(count: u64, window: Sliding, expected: Expected) -> f64 {
    let x = count as f64;
    let Expected { mean, size } = expected;
    if x <= mean + 0.5 || mean <= 0.0 || glr(x, expected) < GLR_MIN {
        return f64::INFINITY;
    }
    let share_of_step = (window.step_hours / window.hours).min(1.0);
    let ln_looks = log(-expm1(x * log1p(-share_of_step)) / window.step_hours);
    let holds_hours = window.hours.max(NOISE_HOURS);
    let mean_there = saturating_mean(x, ln_looks + log(holds_hours));
    let factor = mean_there / mean;
    // Of the noise up to g*, most lies at the mean of the factor given x, or at g*.
    let mean_mostly = mean_there.min(mean * (size + x) / (size + mean));
    let below = ln_mass(x, expected) + ln_looks + ln_lower(size + x, (size + mean) * factor)
        - log1p(-mean_mostly / (x + 1.0));
    let above = ln_upper(size, size * factor) - log(holds_hours);
    let larger = below.max(above);
    larger + log1p(exp(below.min(above) - larger))
}

/// The mean m of Poisson counts at which looks P(X >= x) is one; just below x where it is less for all.
///
/// The tail is little more than P(X = x) / (1 - m / (x + 1)), the sum that it would be if all ratios of
/// neighbours were as large as the first.
fn saturating_mean(x: f64, ln_looks: f64) -> f64 {
    let c = ln_looks - lgamma(x + 1.0);
    let ln_found = |mean: f64| c + x * log(mean) - mean - log1p(-mean / (x + 1.0));
    let (mut low, mut high) = (0.0, x);
    if ln_found(high) <= 0.0 {
        return high;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if ln_found(middle) > 0.0 {
            high = middle
        } else {
            low = middle
        }
        if high - low < 1e-6 * high {
            break;
        }
    }
    low.max(f64::MIN_POSITIVE)
}

/// ln of how many times as often a count one lower is met: P(X = x - 1) / P(X = x).
pub fn ln_step(count: u64, expected: Expected) -> f64 {
    let x = (count as f64).max(1.0);
    let Expected { mean, size } = expected;
    log(x * (mean + size) / ((x - 1.0 + size) * mean.max(1e-9)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_count_has_an_answer(count in 0..20_000_000_u64, mean in 1e-9..1e7_f64, size in 1e-3..1e9_f64, minutes in 1..360_u32) {
            let window = Sliding { hours: f64::from(minutes) / 60.0, step_hours: 10.0 / 3600.0 };
            let rate = ln_crossings_per_hour(count, window, Expected { mean, size });
            prop_assert!(!rate.is_nan() && rate < 1e3 || rate == f64::INFINITY, "{rate}");
        }
    }

    fn without_pause(hours: f64) -> Sliding {
        Sliding { hours, step_hours: 1e-6 }
    }

    #[test]
    fn sparse_counts_cross_as_often_as_clusters_of_arrivals() {
        // Three arrivals within a quarter of an hour, at one in five hours: (3 / 0.25) e^-.05 .05^3 / 6.
        let poisson = Expected { mean: 0.05, size: 1e9 };
        let rate = exp(ln_crossings_per_hour(3, without_pause(0.25), poisson));
        assert!((rate - 2.41e-4).abs() < 4e-6, "{rate}");
        // Looked at only four times an hour it is the tail that is found.
        let rate = exp(ln_crossings_per_hour(3, Sliding { hours: 0.25, step_hours: 0.25 }, poisson));
        assert!((rate - 4.0 * 2.007e-5).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn busy_counts_cross_as_often_as_their_noise_is_high() {
        // The factor is over 3.5 with probability e^-14 (1 + 14 + 98 + 457.3) = 4.7e-4, once an hour.
        let busy = Expected { mean: 1e6, size: 4.0 };
        let rate = exp(ln_crossings_per_hour(3_500_000, without_pause(0.25), busy));
        assert!((rate - 4.74e-4).abs() < 2e-5, "{rate}");
    }

    #[test]
    fn between_the_two_a_simulation_says_the_same() {
        // 30 a quarter of an hour and noise of size 4: an hour with factor g crosses 90 at least once
        // with 1 - exp(-r(g)), added up over a fine grid of factors.
        let (mean, size, x) = (30.0, 4.0, 90.0);
        let (mut sum, step) = (0.0, 1e-3);
        for place in 1..20_000 {
            let g = f64::from(place) * step;
            let density = exp(size * log(size) + (size - 1.0) * log(g) - size * g - lgamma(size));
            let r = x / 0.25 * exp(x * log(g * mean) - g * mean - lgamma(x + 1.0));
            sum += density * step * -expm1(-r);
        }
        let rate = exp(ln_crossings_per_hour(90, without_pause(0.25), Expected { mean, size }));
        assert!(rate > 0.9 * sum && rate < 1.6 * sum, "{rate} {sum}");
    }

    #[test]
    fn more_is_rarer_and_the_usual_is_nothing() {
        let expected = Expected { mean: 4.0, size: 4.0 };
        let mut last = f64::INFINITY;
        for count in 4..200 {
            let rate = ln_crossings_per_hour(count, without_pause(0.5), expected);
            assert!(rate <= last, "{count}: {rate} after {last}");
            last = rate;
        }
        assert_eq!(ln_crossings_per_hour(4, without_pause(0.5), expected), f64::INFINITY);
        let nothing = Expected { mean: 0.0, size: 4.0 };
        assert_eq!(ln_crossings_per_hour(0, without_pause(0.5), nothing), f64::INFINITY);
    }
}
