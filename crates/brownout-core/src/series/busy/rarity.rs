//! How rare a distance is among those that came before.

use libm::{floor, log, log10, pow};

/// Distances are counted in bins, each larger than the one below by this factor: far finer than what
/// they are used for.
const FACTOR: f64 = 1.05;
const BINS: usize = 2048;
/// The bin that holds 1; the outermost hold 2e-22 and 5e21, and what is beyond.
const BIN_OF_ONE: i64 = BINS as i64 / 2;
/// The part of all distances that the tail is taken from, as usual for a peak-over-threshold fit (Siffer
/// and others, "Anomaly detection in streams with extreme value theory", 2017, take 2%).
const TAIL_PART: f64 = 0.05;
/// Distances that a tail is at least taken from.
const TAIL_COUNT_MIN: f64 = 5.0;
/// At so many, all counts are halved: what is long ago fades, and counts stay bounded.
const COUNT_MAX: u64 = 1 << 16;

/// The distribution of the distances so far, and how far out in its tail a new one lies.
#[derive(Clone, Debug)]
pub(super) struct Rarity {
    bins: Vec<u32>,
    count: u64,
}

impl Default for Rarity {
    fn default() -> Self {
        Rarity { bins: vec![0; BINS], count: 0 }
    }
}

/// Distances from a lower edge on.
struct Tail {
    from: f64,
    count: f64,
    mean_excess: f64,
}

impl Rarity {
    /// Minus the decimal logarithm of the share of distances that are as large, then counts this one. A
    /// distance that is not there says nothing and is not counted.
    pub(super) fn step(&mut self, distance: Option<f64>) -> f64 {
        let Some(distance) = distance else { return 0.0 };
        let orders = if distance > 0.0 { self.orders(distance) } else { 0.0 };
        self.learn(distance);
        orders
    }

    fn orders(&self, distance: f64) -> f64 {
        // This distance is one of them, so that the rarest of n is 1 in n and never 0.
        let all = (self.count + 1) as f64;
        let tail = self.tail();
        match tail {
            // All were 0 so far.
            None => log10(all),
            Some(tail) if distance > tail.from => {
                let beyond = (distance - tail.from) / tail.mean_excess;
                (log10(all / tail.count) + beyond / std::f64::consts::LN_10).max(0.0)
            }
            Some(_) => {
                let as_large: u64 = self.bins[bin(distance)..].iter().map(|bin| u64::from(*bin)).sum();
                log10(all / (as_large + 1) as f64)
            }
        }
    }

    /// The largest distances, down to whole bins; excesses over a threshold are exponential where the
    /// law is not heavier (Pickands, "Statistical inference using extreme order statistics", 1975).
    fn tail(&self) -> Option<Tail> {
        let wanted = (self.count as f64 * TAIL_PART).max(TAIL_COUNT_MIN);
        let (mut count, mut sum, mut lowest) = (0.0, 0.0, None);
        for (place, in_bin) in self.bins.iter().enumerate().rev() {
            if *in_bin > 0 {
                count += f64::from(*in_bin);
                sum += f64::from(*in_bin) * edge(place as f64 + 0.5);
                lowest = Some(place);
                if count >= wanted {
                    break;
                }
            }
        }
        let from = edge(lowest? as f64);
        Some(Tail { from, count, mean_excess: sum / count - from })
    }

    fn learn(&mut self, distance: f64) {
        if distance > 0.0 {
            let bin = &mut self.bins[bin(distance)];
            *bin = bin.saturating_add(1);
        }
        self.count += 1;
        if self.count >= COUNT_MAX {
            self.bins.iter_mut().for_each(|bin| *bin /= 2);
            self.count /= 2;
        }
    }
}

/// The bin of a distance greater than 0.
fn bin(distance: f64) -> usize {
    let place = floor(log(distance) / log(FACTOR)) as i64 + BIN_OF_ONE;
    place.clamp(0, BINS as i64 - 1) as usize
}

/// The distance at a place among the bins; whole numbers are lower edges.
fn edge(place: f64) -> f64 {
    pow(FACTOR, place - BIN_OF_ONE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_distances_get_their_own_probability() {
        let mut rarity = Rarity::default();
        // Quantiles of the exponential law in a mixed order.
        let count = 10_007;
        for step in 0..count {
            let uniform = (f64::from(step * 4999 % count) + 0.5) / f64::from(count);
            rarity.step(Some(-log(uniform)));
        }
        for orders in [0.5, 1.0, 2.0, 3.0, 4.0, 6.0] {
            let said = rarity.orders(orders * std::f64::consts::LN_10);
            assert!((said - orders).abs() < 0.1 + 0.05 * orders, "{orders}: {said}");
        }
    }

    #[test]
    fn the_unit_does_not_matter_and_more_is_never_less_rare() {
        let distances: Vec<f64> = (1..2000).map(|step| f64::from(step * 7919 % 1009)).collect();
        let (mut small, mut large) = (Rarity::default(), Rarity::default());
        for (count, distance) in distances.iter().enumerate() {
            let (small, large) = (small.step(Some(distance * 1e-6)), large.step(Some(distance * 1e6)));
            // Bins lie otherwise, which matters while there are few.
            assert!(count < 500 || (small - large).abs() < 0.33, "{distance}: {small} {large}");
        }
        let said: Vec<f64> = (1..4000).map(|distance| large.orders(f64::from(distance) * 1e6)).collect();
        assert!(said.windows(2).all(|pair| pair[0] <= pair[1] + 0.05), "{said:?}");
    }

    #[test]
    fn the_first_that_is_not_nothing_is_as_rare_as_one_in_all() {
        let mut rarity = Rarity::default();
        assert!((0..999).all(|_| rarity.step(Some(0.0)) == 0.0));
        assert_eq!(rarity.step(None), 0.0);
        assert!((rarity.step(Some(1e-300)) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn counts_stay_bounded() {
        let mut rarity = Rarity::default();
        for step in 0..300_000_u32 {
            assert!(rarity.step(Some(f64::from(step % 100))).is_finite());
        }
        assert!(rarity.count <= COUNT_MAX && rarity.bins.len() == BINS);
    }
}
