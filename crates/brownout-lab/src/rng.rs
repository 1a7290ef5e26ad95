//! The lab's own small random generator: the same seed gives the same numbers on every machine.
//!
//! SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014), with
//! transcendental functions from `libm`, whose results do not depend on the platform.

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Rng(u64);

/// Mixes 64 bits; different inputs never give the same output.
pub const fn mix(value: u64) -> u64 {
    let mut mixed = value;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Rng {
    /// A generator for one purpose (`stream`) under a seed.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Rng(mix(seed ^ mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `bound - 1`; 0 when the bound is 0. The bias is below one in 2^32.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A number in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A count with a Poisson distribution; `mean` up to a few thousand.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        let mut left = mean;
        let mut count = 0;
        // Sums of Poisson counts are Poisson, and e^-16 is far from underflow.
        while left > 0.0 {
            let part = left.min(16.0);
            left -= part;
            count += self.poisson_small(part);
        }
        count
    }

    fn poisson_small(&mut self, mean: f64) -> u32 {
        let target = self.unit();
        let mut term = libm::exp(-mean);
        let mut sum = term;
        let mut count = 0;
        while target >= sum && count < 200 {
            count += 1;
            term *= mean / f64::from(count);
            sum += term;
        }
        count
    }

    /// A factor with a Gamma distribution of mean 1 and the given shape, which must be positive.
    ///
    /// Counts whose mean is multiplied by it are negative binomial with this size.
    /// Method of Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
    pub fn gamma_factor(&mut self, shape: f64) -> f64 {
        let boosted = if shape < 1.0 { shape + 1.0 } else { shape };
        let d = boosted - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        let mut value = d;
        // Each try succeeds with over 95%, so the limit is never felt.
        for _ in 0..1000 {
            let normal = self.normal();
            let v = (1.0 + c * normal) * (1.0 + c * normal) * (1.0 + c * normal);
            if v > 0.0 && libm::log(1.0 - self.unit()) < 0.5 * normal * normal + d - d * v + d * libm::log(v)
            {
                value = d * v;
                break;
            }
        }
        if shape < 1.0 {
            value *= libm::pow(1.0 - self.unit(), 1.0 / shape);
        }
        value / shape
    }

    /// A number with a normal distribution of mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_and_spread_that_was_asked_for() {
        let mut rng = Rng::new(1, 1);
        let (mean, shape, draws) = (12.0, 5.0, 20_000);
        let counts: Vec<f64> = (0..draws)
            .map(|_| {
                let factor = rng.gamma_factor(shape);
                f64::from(rng.poisson(mean * factor))
            })
            .collect();
        let average = counts.iter().sum::<f64>() / f64::from(draws);
        let variance = counts.iter().map(|x| (x - average) * (x - average)).sum::<f64>() / f64::from(draws);
        assert!((average - mean).abs() < 0.2, "{average}");
        // Negative binomial: mean + mean^2 / size.
        assert!((variance - 40.8).abs() < 3.0, "{variance}");
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut rng = Rng::new(9, 0);
        assert_eq!(rng.below(0), 0);
        assert!((0..10_000).all(|_| rng.below(7) < 7));
    }
}
