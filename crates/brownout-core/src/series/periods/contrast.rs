//! How far the periods of a cycle differ from each other at present, as a part of how they usually do.
//!
//! What comes on top of the usual, such as a yearly epidemic, has a cycle of its own: days of the week that
//! are more alike than the usual ones. With usual factors f, a base b and an addition e that is the same on
//! all days, the mean of a day is b f + e = (b + e) (1 + s (f - 1)), where the part s is b / (b + e). So at
//! some times of the season the usual factors say too much, and at others, having been learned from all,
//! too little.

use libm::{exp, exp2};

use super::Rhythm;
use super::level::deviance;
use super::seasonal::Seasonal;

/// Parts of the usual differences that are tried; the first is as usual.
const PARTS: [f64; 7] = [1.0, 0.0, 0.25, 0.5, 0.75, 1.25, 1.5];
const COUNT: usize = PARTS.len();
/// What a part other than the first has to forecast better by, in deviance, before it is heard.
const HANDICAP: f64 = 4.0;
/// In how many cycles half of the record of a part is forgotten.
const RECORD_HALF_LIFE_CYCLES: f64 = 4.0;
/// Least weight of a count in the record of the season.
const RECORDED_IN_RISE: f64 = 0.5;
/// Of a usual factor at least so much is left.
const LEFT_MIN: f64 = 0.25;

#[derive(Clone, Debug)]
pub(super) struct Contrast {
    /// What is kept of the record from one period to the next.
    kept: f64,
    /// Deviance of the forecasts of each part: the past fading, and by time of the season.
    deviances: [f64; COUNT],
    by_season: Seasonal<COUNT>,
    part: f64,
}

impl Contrast {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        Contrast {
            kept: exp2(-1.0 / (RECORD_HALF_LIFE_CYCLES * f64::from(rhythm.cycle))),
            deviances: [0.0; COUNT],
            by_season: Seasonal::new(rhythm),
            part: PARTS[0],
        }
    }

    /// The factor that holds at present instead of the usual one.
    pub(super) fn of(&self, usual: f64) -> f64 {
        factor(usual, self.part)
    }

    /// Takes a count. `usual` is the factor of its period, `mean` what an average period would have had,
    /// `phi` its variance over its mean; and how far it is no outlier, and how far no rise goes on, 0 to 1.
    pub(super) fn learn(&mut self, count: f64, usual: f64, (mean, phi): (f64, f64), weights: (f64, f64)) {
        let (is_usual, calm) = weights;
        let protected = is_usual * calm.max(super::TAUGHT_IN_RISE);
        let mut deviances = [0.0; COUNT];
        for (index, part) in PARTS.iter().enumerate() {
            deviances[index] = deviance(count, mean * factor(usual, *part), phi);
            self.deviances[index] = self.kept * self.deviances[index] + protected * deviances[index];
        }
        self.by_season.add(deviances, calm.max(RECORDED_IN_RISE));
    }

    /// Ends the running cycle: each part is heard by how well it forecast, by Bayes's rule.
    pub(super) fn close_cycle(&mut self) {
        self.by_season.close_cycle();
        let seasonal = self.by_season.sums();
        let handicap = |index: usize| if index == 0 { 0.0 } else { HANDICAP };
        let record = |index: usize| self.deviances[index] + seasonal[index] + handicap(index);
        let least = (0..COUNT).map(record).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for (index, part) in PARTS.iter().enumerate() {
            let weight = exp(-0.5 * (record(index) - least));
            sum += weight * part;
            weights += weight;
        }
        self.part = sum / weights;
    }

    /// Forgets how parts did while nothing was known of the season.
    pub(super) fn forget_season(&mut self) {
        self.by_season.forget();
    }
}

/// The factor of which the usual one differs from 1 by so large a part. More than the whole would leave
/// nothing of small ones.
fn factor(usual: f64, part: f64) -> f64 {
    (1.0 + part * (usual - 1.0)).max(LEFT_MIN * usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_addition_that_is_alike_on_all_days_is_learned_and_let_go_again() {
        let mut contrast = Contrast::new(Rhythm::DAYS);
        let usual = [0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6];
        let mut weeks = |number: usize, base: f64, addition: f64| {
            for _ in 0..number {
                for factor in usual {
                    let count = base * factor + addition;
                    contrast.learn(count, factor, (base + addition, 1.0), (1.0, 1.0));
                }
                contrast.close_cycle();
            }
            usual.map(|factor| contrast.of(factor))
        };
        let [first, .., last] = weeks(8, 40.0, 0.0);
        assert!((first - 0.4).abs() < 0.05 && (last - 1.6).abs() < 0.05, "{first} {last}");
        let [first, .., last] = weeks(12, 40.0, 40.0);
        assert!((first - 0.7).abs() < 0.05 && (last - 1.3).abs() < 0.05, "{first} {last}");
        let [first, .., last] = weeks(25, 40.0, 0.0);
        assert!((first - 0.4).abs() < 0.05 && (last - 1.6).abs() < 0.05, "{first} {last}");
    }

    #[test]
    fn no_factor_is_nothing() {
        assert_eq!(factor(0.2, 1.5), 0.05);
        assert_eq!(factor(0.2, 0.0), 1.0);
    }
}
