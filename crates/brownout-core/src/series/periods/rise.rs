//! The odds that a rise is going on.
//!
//! A hidden Markov chain (Le Strat and Carrat 1999, "Monitoring epidemiologic surveillance data using
//! hidden Markov models"): calm, or a rise of one of several strengths, in standard deviations of the
//! count. Rises begin seldom, grow and fade, and end after about a week of periods. The filter weighs all
//! beginnings and courses at once: strong rises show in one period, weak ones by adding up, and when
//! counts are back at the usual the odds fall again.

use libm::{exp, lgamma, log, sqrt};

use crate::series::negative_binomial::{Expected, ln_mass};

/// Strengths of a rise, in standard deviations; the first is calm.
const STRENGTHS: [f64; 5] = [0.0, 0.8, 2.0, 4.5, 10.0];
const STATES: usize = STRENGTHS.len();
/// How probable it is that a rise begins in a period.
const BEGINS: f64 = 1.0 / 200.0;
/// How a rise begins, by strength.
const BEGINS_AT: [f64; STATES] = [0.0, 0.4, 0.3, 0.2, 0.1];
/// How probable it is that a rise of the least strength ends; stronger ones fade first.
const ENDS: f64 = 0.2;
const ENDS_AT_ONCE: f64 = 0.02;
const GROWS: f64 = 0.25;
const FADES: f64 = 0.25;
/// Odds are kept within e to the power of this, so that what is over is forgotten in time.
const LN_ODDS_MAX: f64 = 40.0;

/// The chances of all states, given the counts so far.
#[derive(Clone, Debug)]
pub(super) struct Rise {
    chances: [f64; STATES],
    ln_odds: f64,
}

impl Default for Rise {
    fn default() -> Self {
        let mut chances = [0.0; STATES];
        chances[0] = 1.0;
        Rise { chances, ln_odds: -LN_ODDS_MAX }
    }
}

impl Rise {
    pub(super) fn ln_odds(&self) -> f64 {
        self.ln_odds
    }

    pub(super) fn probability_calm(&self) -> f64 {
        1.0 / (1.0 + exp(self.ln_odds))
    }

    /// Takes a count of which mean and variance were expected in calm.
    pub(super) fn step(&mut self, count: f64, mean: f64, variance: f64) {
        let before = self.moved_on();
        let deviation = sqrt(variance);
        let mut logs = [0.0; STATES];
        for (state, value) in logs.iter_mut().enumerate() {
            let risen = mean + STRENGTHS[state] * deviation;
            *value = log(before[state]) + ln_density(count, risen, variance * risen / mean);
        }
        let rise = ln_sum(&logs[1..]);
        self.ln_odds = (rise - logs[0]).clamp(-LN_ODDS_MAX, LN_ODDS_MAX);
        let calm = self.probability_calm();
        // No chance is quite nothing, so that its logarithm is finite.
        self.chances = logs.map(|value| (exp(value - rise) * (1.0 - calm)).max(1e-30));
        self.chances[0] = calm;
    }

    /// The chances one period later, before its count is known.
    fn moved_on(&self) -> [f64; STATES] {
        let mut moved = [0.0; STATES];
        moved[0] = self.chances[0] * (1.0 - BEGINS);
        for state in 1..STATES {
            moved[state] += self.chances[0] * BEGINS * BEGINS_AT[state];
            let chance = self.chances[state];
            let end = if state == 1 { ENDS } else { ENDS_AT_ONCE };
            let grow = if state + 1 < STATES { GROWS } else { 0.0 };
            let fade = if state > 1 { FADES } else { 0.0 };
            moved[0] += chance * end;
            moved[state] += chance * (1.0 - end - grow - fade);
            if state + 1 < STATES {
                moved[state + 1] += chance * grow;
            }
            if state > 1 {
                moved[state - 1] += chance * fade;
            }
        }
        moved
    }
}

fn ln_sum(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + log(logs.iter().map(|value| exp(value - most)).sum())
}

/// ln of how probable a count is: negative binomial where the variance is over the mean, else Poisson on
/// a scale on which they are equal.
fn ln_density(count: f64, mean: f64, variance: f64) -> f64 {
    /// Sizes over this are Poisson in all digits that matter.
    const SIZE_MAX: f64 = 1e6;
    let size = mean * mean / (variance - mean).max(1e-12);
    if variance > mean && size < SIZE_MAX {
        return ln_mass(count, Expected { mean, size });
    }
    let scale = (variance / mean).min(1.0);
    let (x, m) = (count / scale, mean / scale);
    x * log(m) - m - lgamma(x + 1.0) - log(scale)
}
