//! How far the latest counts run over or under trend and season, and how quickly that is believed.

use libm::{exp, exp2, log};

use super::Rhythm;

/// A way to forecast the ratio of counts to the seasonal mean.
#[derive(Clone, Copy, Debug)]
struct Follower {
    /// In how many cycles half of the past is forgotten; infinite follows nothing.
    half_life_cycles: f64,
    /// Whether a ratio that grows is taken to grow on (Brown's double exponential smoothing, of
    /// logarithms).
    grows_on: bool,
}

/// From one that trusts trend and season alone to one that follows the last days.
const FOLLOWERS: [Follower; 6] = [
    Follower { half_life_cycles: f64::INFINITY, grows_on: false },
    Follower { half_life_cycles: 8.0, grows_on: false },
    Follower { half_life_cycles: 3.0, grows_on: false },
    Follower { half_life_cycles: 1.0, grows_on: false },
    Follower { half_life_cycles: 2.0, grows_on: true },
    Follower { half_life_cycles: 1.0, grows_on: true },
];
/// In how many cycles half of a follower's record is forgotten.
const RECORD_HALF_LIFE_CYCLES: f64 = 8.0;
/// A single count says at most so much about a follower, in units of its deviance.
const DEVIANCE_MAX: f64 = 9.0;
/// A ratio of 1 counts as much as so many counts.
const PRIOR_COUNTS: f64 = 0.5;
/// Ratios that are believed lie between its inverse and this.
const RATIO_MAX: f64 = 50.0;

#[derive(Clone, Copy, Debug, Default)]
struct State {
    counted: f64,
    expected: f64,
    /// ln of the ratio, smoothed once more.
    smoothed: f64,
    /// Deviance of its forecasts, the past fading.
    deviance: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Level {
    /// What is kept from one period to the next, of the past and of the record.
    kept: [f64; FOLLOWERS.len()],
    record_kept: f64,
    states: [State; FOLLOWERS.len()],
    forecast: f64,
}

impl Level {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        let per_period = |half_life_cycles: f64| exp2(-1.0 / (half_life_cycles * f64::from(rhythm.cycle)));
        Level {
            kept: FOLLOWERS.map(|follower| per_period(follower.half_life_cycles)),
            record_kept: per_period(RECORD_HALF_LIFE_CYCLES),
            states: [State::default(); FOLLOWERS.len()],
            forecast: 1.0,
        }
    }

    /// The ratio that is expected of the next count.
    pub(super) fn forecast(&self) -> f64 {
        self.forecast
    }

    /// Takes a count of which `seasonal` was expected by trend, season and cycle. `phi` is the variance of
    /// counts over their mean.
    pub(super) fn learn(&mut self, count: f64, seasonal: f64, weight: f64, phi: f64) {
        for index in 0..FOLLOWERS.len() {
            let mean = (seasonal * self.ratio(index)).max(super::MEAN_MIN);
            let state = &mut self.states[index];
            let deviance = (2.0 * (x_ln_ratio(count, mean) - (count - mean)) / phi).min(DEVIANCE_MAX);
            state.deviance = self.record_kept * state.deviance + weight * deviance;
            if FOLLOWERS[index].half_life_cycles.is_finite() {
                let kept = self.kept[index];
                state.counted = kept * state.counted + weight * count;
                state.expected = kept * state.expected + weight * seasonal;
                let ratio = plain_ratio(state);
                state.smoothed += (1.0 - kept) * weight * (log(ratio) - state.smoothed);
            }
        }
        self.forecast = self.mix();
    }

    /// Followers are heard by how well they forecast, which is Bayes's rule on their fading records.
    fn mix(&self) -> f64 {
        let least = self.states.iter().map(|state| state.deviance).fold(f64::INFINITY, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for index in 0..FOLLOWERS.len() {
            let weight = exp(-0.5 * (self.states[index].deviance - least));
            sum += weight * log(self.ratio(index));
            weights += weight;
        }
        exp(sum / weights)
    }

    /// What one follower forecasts.
    fn ratio(&self, index: usize) -> f64 {
        let (follower, state) = (FOLLOWERS[index], &self.states[index]);
        if !follower.half_life_cycles.is_finite() {
            return 1.0;
        }
        let ratio = plain_ratio(state);
        if !follower.grows_on {
            return ratio;
        }
        // Level and slope of Brown's method; the slope is that of one period.
        let (once, twice, kept) = (log(ratio), state.smoothed, self.kept[index]);
        let slope = (1.0 - kept) / kept * (once - twice);
        exp(2.0 * once - twice + slope).clamp(1.0 / RATIO_MAX, RATIO_MAX)
    }
}

fn plain_ratio(state: &State) -> f64 {
    ((state.counted + PRIOR_COUNTS) / (state.expected + PRIOR_COUNTS)).clamp(1.0 / RATIO_MAX, RATIO_MAX)
}

fn x_ln_ratio(x: f64, mean: f64) -> f64 {
    if x > 0.0 { x * log(x / mean) } else { 0.0 }
}
