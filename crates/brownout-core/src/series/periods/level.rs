//! How far the latest counts run over or under trend and season, and how quickly that is believed.

use libm::{exp, exp2, log};

use super::Rhythm;
use super::seasonal::Seasonal;

/// A way to forecast the ratio of counts to the seasonal mean.
#[derive(Clone, Copy, Debug)]
struct Follower {
    /// In how many cycles half of the past is forgotten; infinite follows nothing.
    half_life_cycles: f64,
    /// Whether a ratio that grows is taken to grow on (Brown's double exponential smoothing, of
    /// logarithms).
    grows_on: bool,
}

const fn follower(half_life_cycles: f64, grows_on: bool) -> Follower {
    Follower { half_life_cycles, grows_on }
}

/// From one that trusts trend and season alone to those that follow the last days.
const FOLLOWERS: [Follower; 8] = [
    follower(f64::INFINITY, false),
    follower(8.0, false),
    follower(3.0, false),
    follower(1.0, false),
    follower(0.4, false),
    follower(2.0, true),
    follower(1.0, true),
    follower(0.5, true),
];
const COUNT: usize = FOLLOWERS.len();
/// Followers that forget this quickly learn from rises in full: they are heard where rises are usual.
const AGILE_CYCLES: f64 = 2.0;
/// In how many cycles half of a follower's record is forgotten.
const RECORD_HALF_LIFE_CYCLES: f64 = 4.0;
/// A single count says at most so much about a follower, in units of its deviance.
const DEVIANCE_MAX: f64 = 9.0;
/// Deviances are not divided by less.
const PHI_MIN: f64 = 0.05;
/// Least weight of a count in the record of the season.
const RECORDED_IN_RISE: f64 = 0.5;
/// A ratio of 1 counts as much as so many counts.
const PRIOR_COUNTS: f64 = 0.5;
/// What growth adds to the logarithm of a ratio is at most so much.
const GROWTH_MAX: f64 = 0.4;
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

/// What is known of a count that is learned from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    pub(super) count: f64,
    /// What trend, season and cycle expected.
    pub(super) seasonal: f64,
    /// How far it is no outlier, and how far no rise goes on, 0 to 1.
    pub(super) usual: f64,
    pub(super) calm: f64,
    /// Variance over mean of such a count.
    pub(super) phi: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Level {
    /// What is kept from one period to the next, of the past and of the record.
    kept: [f64; COUNT],
    record_kept: f64,
    states: [State; COUNT],
    /// Deviance per period of each follower, by time of the season, over that of the first.
    by_season: Seasonal<COUNT>,
    forecast: f64,
}

impl Level {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        let per_period = |half_life_cycles: f64| exp2(-1.0 / (half_life_cycles * f64::from(rhythm.cycle)));
        Level {
            kept: FOLLOWERS.map(|follower| per_period(follower.half_life_cycles)),
            record_kept: per_period(RECORD_HALF_LIFE_CYCLES),
            states: [State::default(); COUNT],
            by_season: Seasonal::new(rhythm),
            forecast: 1.0,
        }
    }

    /// The ratio that is expected of the next count.
    pub(super) fn forecast(&self) -> f64 {
        self.forecast
    }

    /// Takes a count.
    pub(super) fn learn(&mut self, lesson: Lesson) {
        let Lesson { count, seasonal, usual, calm, phi } = lesson;
        let protected = usual * calm.max(super::TAUGHT_IN_RISE);
        let mut deviances = [0.0; COUNT];
        for index in 0..COUNT {
            deviances[index] = deviance(count, seasonal * self.ratio(index), phi);
            let state = &mut self.states[index];
            state.deviance = self.record_kept * state.deviance + protected * deviances[index];
            let half_life = FOLLOWERS[index].half_life_cycles;
            if half_life.is_finite() {
                let weight = if half_life <= AGILE_CYCLES { 1.0 } else { protected };
                let kept = self.kept[index];
                state.counted = kept * state.counted + weight * count;
                state.expected = kept * state.expected + weight * seasonal;
                let ratio = plain_ratio(state);
                state.smoothed += (1.0 - kept) * weight * (log(ratio) - state.smoothed);
            }
        }
        self.by_season.add(deviances, calm.max(RECORDED_IN_RISE));
        self.forecast = self.mix();
    }

    /// Forgets how followers did while nothing was known of the season.
    pub(super) fn forget_season(&mut self) {
        self.by_season.forget();
    }

    /// Ends the running cycle.
    pub(super) fn close_cycle(&mut self) {
        self.by_season.close_cycle();
        self.forecast = self.mix();
    }

    /// Followers are heard by how well they forecast lately, and at this time of the season in the past:
    /// Bayes's rule on their fading records.
    fn mix(&self) -> f64 {
        let seasonal = self.by_season.sums();
        let mut records = [0.0; COUNT];
        for index in 0..COUNT {
            records[index] = self.states[index].deviance + seasonal[index] + handicap(FOLLOWERS[index]);
        }
        let least = records.iter().copied().fold(f64::INFINITY, f64::min);
        let (mut sum, mut weights) = (0.0, 0.0);
        for (index, record) in records.iter().enumerate() {
            let weight = exp(-0.5 * (record - least));
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
        ratio * exp((once - twice + slope).clamp(-GROWTH_MAX, GROWTH_MAX))
    }
}

/// What a follower has to forecast better by, in deviance, before it is heard. A rise of two weeks must
/// not be enough for those that would take it for the usual.
fn handicap(follower: Follower) -> f64 {
    if follower.half_life_cycles <= AGILE_CYCLES {
        14.0
    } else if follower.half_life_cycles.is_finite() {
        4.0
    } else {
        0.0
    }
}

fn plain_ratio(state: &State) -> f64 {
    ((state.counted + PRIOR_COUNTS) / (state.expected + PRIOR_COUNTS)).clamp(1.0 / RATIO_MAX, RATIO_MAX)
}

/// How badly a mean forecast a count, of which the variance over the mean is `phi`: twice the logarithm of
/// the likelihood ratio, by Poisson's distribution.
pub(super) fn deviance(count: f64, mean: f64, phi: f64) -> f64 {
    let mean = mean.max(super::MEAN_MIN);
    (2.0 * (x_ln_ratio(count, mean) - (count - mean)) / phi.max(PHI_MIN)).min(DEVIANCE_MAX)
}

fn x_ln_ratio(x: f64, mean: f64) -> f64 {
    if x > 0.0 { x * log(x / mean) } else { 0.0 }
}
