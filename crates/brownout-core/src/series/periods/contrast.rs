//! How far the periods of a cycle differ from each other at present, as a power of how they usually do.
//!
//! What comes on top of the usual, such as a yearly epidemic, has a cycle of its own: days of the week that
//! are all alike, or more alike than the usual ones. So at some times of the season the usual factors say
//! too much, and at others, having been learned from all, too little.

use libm::{exp, exp2, log, pow};

use super::Rhythm;
use super::level::deviance;
use super::seasonal::Seasonal;

/// Powers of the usual factors that are tried; the first is as usual.
const POWERS: [f64; 7] = [1.0, 0.0, 0.25, 0.5, 0.75, 1.25, 1.5];
const COUNT: usize = POWERS.len();
/// What a power other than the first has to forecast better by, in deviance, before it is heard.
const HANDICAP: f64 = 4.0;
/// In how many cycles half of the record of a power is forgotten.
const RECORD_HALF_LIFE_CYCLES: f64 = 4.0;
/// Least weight of a count in the record of the season.
const RECORDED_IN_RISE: f64 = 0.5;

#[derive(Clone, Debug)]
pub(super) struct Contrast {
    /// What is kept of the record from one period to the next.
    kept: f64,
    /// For each power, the average over a cycle of the factors to that power.
    averages: [f64; COUNT],
    /// Deviance of the forecasts of each power: the past fading, and by time of the season.
    deviances: [f64; COUNT],
    by_season: Seasonal<COUNT>,
    power: f64,
    average: f64,
}

impl Contrast {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        Contrast {
            kept: exp2(-1.0 / (RECORD_HALF_LIFE_CYCLES * f64::from(rhythm.cycle))),
            averages: [1.0; COUNT],
            deviances: [0.0; COUNT],
            by_season: Seasonal::new(rhythm),
            power: POWERS[0],
            average: 1.0,
        }
    }

    /// The factor that holds at present instead of the usual one.
    pub(super) fn of(&self, usual: f64) -> f64 {
        pow(usual, self.power) / self.average
    }

    /// Takes a count. `usual` is the factor of its period, `mean` what an average period would have had,
    /// `phi` its variance over its mean; and how far it is no outlier, and how far no rise goes on, 0 to 1.
    pub(super) fn learn(&mut self, count: f64, usual: f64, (mean, phi): (f64, f64), weights: (f64, f64)) {
        let (is_usual, calm) = weights;
        let protected = is_usual * calm.max(super::TAUGHT_IN_RISE);
        let ln_usual = log(usual);
        let mut deviances = [0.0; COUNT];
        for (index, power) in POWERS.iter().enumerate() {
            let factor = exp(power * ln_usual) / self.averages[index];
            deviances[index] = deviance(count, mean * factor, phi);
            self.deviances[index] = self.kept * self.deviances[index] + protected * deviances[index];
        }
        self.by_season.add(deviances, calm.max(RECORDED_IN_RISE));
    }

    /// Ends the running cycle, of which the factors are now these: each power is heard by how well it
    /// forecast, by Bayes's rule.
    pub(super) fn close_cycle(&mut self, factors: impl Iterator<Item = f64> + Clone) {
        self.by_season.close_cycle();
        let seasonal = self.by_season.sums();
        let number = factors.clone().count() as f64;
        let average = |power: f64| factors.clone().map(|factor| pow(factor, power)).sum::<f64>() / number;
        let handicap = |index: usize| if index == 0 { 0.0 } else { HANDICAP };
        let record = |index: usize| self.deviances[index] + seasonal[index] + handicap(index);
        let least = (0..COUNT).map(record).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for (index, power) in POWERS.iter().enumerate() {
            let weight = exp(-0.5 * (record(index) - least));
            sum += weight * power;
            weights += weight;
        }
        self.power = sum / weights;
        self.average = average(self.power);
        self.averages = POWERS.map(average);
    }

    /// Forgets how powers did while nothing was known of the season.
    pub(super) fn forget_season(&mut self) {
        self.by_season.forget();
    }
}
