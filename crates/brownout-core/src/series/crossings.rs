//! How often chance alone brings a window of a noisy count over a level: the common measure of
//! windows of all lengths and of series of all sizes.

use libm::log;

use super::negative_binomial::{Expected, glr, ln_mass, ln_tail};

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

/// ln of how many times an hour chance alone brings the count of a sliding window of `hours` to
/// `count` or over it, anew. `expected` is that of the window. Positive infinity for a count that is
/// nothing unusual.
///
/// Two bounds hold, and the smaller one is taken.
/// - While the noise holds still, a window of w hours comes to x counts when one arrives that finds
///   x - 1 others in the w hours behind it. For a Poisson process whose rate has a Gamma factor that is
///   (x / w) P(X = x), without approximation.
/// - No more often than looks that know nothing of each other find it there: P(X >= x) times their
///   number. The share of the variance that is Poisson's is new after w hours, that of the noise when
///   the noise is.
pub fn ln_crossings_per_hour(count: u64, hours: f64, expected: Expected) -> f64 {
    let x = count as f64;
    let Expected { mean, size } = expected;
    if x <= mean + 0.5 || glr(x, expected) < GLR_MIN {
        return f64::INFINITY;
    }
    let anew = ln_mass(x, expected) + log(x / hours);
    let share_of_noise = mean / (mean + size);
    let looks = (1.0 - share_of_noise) / hours + share_of_noise / hours.max(NOISE_HOURS);
    let found = ln_tail(u32::try_from(count).unwrap_or(u32::MAX), expected) + log(looks);
    anew.min(found)
}

/// ln of how many times as often a count one lower is met: P(X = x - 1) / P(X = x).
pub fn ln_step(count: u64, expected: Expected) -> f64 {
    let x = (count as f64).max(1.0);
    let Expected { mean, size } = expected;
    log(x * (mean + size) / ((x - 1.0 + size) * mean.max(1e-9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_counts_cross_as_often_as_clusters_of_arrivals() {
        // Three arrivals within a quarter of an hour, at one in five hours: P(X >= 3) is 2.0e-5, and an
        // hour has four such windows.
        let poisson = Expected { mean: 0.05, size: 1e9 };
        let rate = libm::exp(ln_crossings_per_hour(3, 0.25, poisson));
        let tail_times_looks = 4.0 * 2.0e-5;
        assert!(rate < 1.2 * tail_times_looks && rate > 0.8 * tail_times_looks, "{rate}");
    }

    #[test]
    fn busy_counts_cross_as_often_as_their_noise_is_high() {
        // The factor is over 3.5 with probability e^-14 (1 + 14 + 98 + 457.3) = 4.7e-4, once an hour.
        let busy = Expected { mean: 1e6, size: 4.0 };
        let rate = libm::exp(ln_crossings_per_hour(3_500_000, 0.25, busy));
        assert!((rate - 4.74e-4).abs() < 2e-5, "{rate}");
    }

    #[test]
    fn more_is_rarer_and_the_usual_is_nothing() {
        let expected = Expected { mean: 4.0, size: 4.0 };
        let mut last = f64::INFINITY;
        for count in 4..200 {
            let rate = ln_crossings_per_hour(count, 0.5, expected);
            assert!(rate <= last, "{count}: {rate} after {last}");
            last = rate;
        }
        assert_eq!(ln_crossings_per_hour(4, 0.5, expected), f64::INFINITY);
        assert_eq!(ln_crossings_per_hour(0, 0.5, Expected { mean: 0.0, size: 4.0 }), f64::INFINITY);
    }
}
