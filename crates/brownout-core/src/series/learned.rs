//! What a series has taught: its level and its noise.

use libm::{exp, log, pow, sqrt};
use serde::{Deserialize, Serialize};

use super::negative_binomial::Expected;
use crate::model::Policy;

/// How fast and how boldly to learn, worked out once from the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningRates {
    /// What an hour's evidence keeps of its weight after one more hour.
    pub keep_per_hour: f64,
    /// The same for what the level is drawn to.
    pub keep_lately_per_hour: f64,
    /// The same for the noise, which is larger while the weekly shape is not known yet.
    pub keep_noise_per_hour: f64,
    /// Hours before an hour is learned from.
    pub lag_hours: u32,
}

impl LearningRates {
    /// From the policy's half-life and lag.
    pub fn new(policy: &Policy) -> Self {
        let hours = f64::from(policy.learning_half_life_days) * 24.0;
        LearningRates {
            keep_per_hour: exp(-log(2.0) / hours),
            keep_lately_per_hour: exp(-log(2.0) / LATELY_HOURS),
            keep_noise_per_hour: exp(-log(2.0) / NOISE_HOURS_KEPT.min(hours)),
            lag_hours: policy.learning_lag_hours,
        }
    }
}

/// Level and noise of one series, as sums that fade.
///
/// The level is that of a Gamma-Poisson model: `(a + Σ w y) / (a / prior + Σ w p)` with counts y,
/// profile factors p and weights w. A service that grows by a tenth a week would be half a month ahead
/// of it, so the same sums over the last days draw it to where it is moving, as far as they tell more
/// than their noise (see [`Learned::level`]).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Σ w y, in sources.
    counted: f32,
    /// Σ w p, in hours.
    exposure: f32,
    /// Σ w ((y − m)² − y), the numerator of the moment estimate of 1/k.
    noise: f32,
    /// Σ w m², its denominator.
    noise_base: f32,
    /// Σ w y and Σ w p once more, with weights that fade within days: where the level is moving to.
    counted_lately: f32,
    exposure_lately: f32,
    /// Everything before this hour is learned from or left out for good.
    pub folded_hour: u32,
}

/// Shape of the prior of a level: a service may be a hundred times busier or calmer than its
/// category (standard deviation of the logarithm about 2).
pub(crate) const LEVEL_SHAPE: f64 = 0.2;
/// Prior of the noise of an hour of the clock: one Gamma(4) factor per hour, as in the reference
/// simulation, that changes at any minute of it (see `SIZE_WITHIN_HOUR`).
const NOISE_SIZE: f64 = 6.0;
/// How many hours' worth of evidence the prior of the noise weighs.
const NOISE_PRIOR_HOURS: f64 = 12.0;
/// Hours of exposure below which a level is called a guess.
const LEARNING_HOURS: f32 = 24.0;
/// Hours of exposure that are left when what is usual changes for good: no less, for it is no guess.
const ANEW_HOURS: f32 = LEARNING_HOURS + 2.0;
/// How many times as much, or as little, a level is that has changed for good.
const CHANGED_TIMES: f64 = 1.3;
/// From here on outliers are down-weighted; before, there is nothing to call an outlier.
const OUTLIER_HOURS: f32 = 48.0;
/// Half-life of what is known of the noise, in hours: a week. Until its weekly shape is known, a service
/// that is twice as busy on weekends looks noisy, and would be blind for months if that were kept.
const NOISE_HOURS_KEPT: f64 = 168.0;
/// Half-life of what the level is drawn to, in hours: half a week.
const LATELY_HOURS: f64 = 84.0;
/// From here on the level can move; before, the long sums are as young as the short ones.
const LATELY_FROM_HOURS: f32 = 24.0 * 8.0;
/// Noise that the mean of the last days is taken to have: that of the prior.
const DRIFTING_SIZE: f64 = NOISE_SIZE;
/// How far a level moves in such a time, as a relative standard deviation: by a tenth.
const DRIFT: f64 = 0.1;

impl Learned {
    /// Nothing learned before `hour`, counted in hours since the epoch.
    pub fn new(hour: u32) -> Self {
        Learned {
            counted: 0.0,
            exposure: 0.0,
            noise: 0.0,
            noise_base: 0.0,
            counted_lately: 0.0,
            exposure_lately: 0.0,
            folded_hour: hour,
        }
    }

    /// Sources per hour at a factor of 1, given the level that would be assumed without data.
    ///
    /// The long mean L is moved towards that of the last days by w = d² / (d² + v), where d is how far
    /// levels drift and v = (1 / L + 1 / k) / h is the squared relative error of a mean over h hours of
    /// counts with noise of size k.
    pub fn level(&self, prior: f64) -> f64 {
        let long = self.long_level(prior);
        if self.exposure < LATELY_FROM_HOURS || self.exposure_lately <= 0.0 {
            return long;
        }
        let hours = f64::from(self.exposure_lately);
        let error = (1.0 / long + 1.0 / DRIFTING_SIZE) / hours;
        let weight = DRIFT * DRIFT / (DRIFT * DRIFT + error);
        long + weight * (f64::from(self.counted_lately) / hours - long)
    }

    fn long_level(&self, prior: f64) -> f64 {
        (LEVEL_SHAPE + f64::from(self.counted)) / (LEVEL_SHAPE / prior.max(1e-6) + f64::from(self.exposure))
    }

    /// Sources that were learned from and the hours over which, old ones faded.
    pub fn seen(&self) -> (f64, f64) {
        (f64::from(self.counted), f64::from(self.exposure))
    }

    /// The level is still more of a guess than an observation.
    pub fn is_learning(&self) -> bool {
        self.exposure < LEARNING_HOURS
    }

    /// Size k of the noise of an hour, given the size that would be assumed without data.
    ///
    /// The moment estimate Σ w ((y − m)² − y) / Σ w m² of 1/k has a standard deviation of about
    /// √(2 Σ w m²) / Σ w m² even where there is no noise beyond Poisson's. A series is taken for quieter than the
    /// prior only as far as it is so beyond that doubt, so that none is by luck: the rarest readings are those of
    /// series whose noise was thought too small.
    pub fn noise_size(&self, prior: f64, level: f64) -> f64 {
        let weight = NOISE_PRIOR_HOURS * level * level;
        let base = f64::from(self.noise_base);
        let total = (weight + base).max(1e-12);
        let estimate = (weight / prior + f64::from(self.noise)) / total;
        let cautious = (estimate + sqrt(2.0 * base) / total).min(1.0 / prior);
        (1.0 / estimate.max(cautious).max(1e-9)).clamp(0.5, 200.0)
    }

    /// The noise's size when there is no parent to ask.
    pub const fn noise_size_default() -> f64 {
        NOISE_SIZE
    }

    /// What to expect of an interval in which level and profile give `mean` counts: the noise of the
    /// counts, the doubt about the level and the doubt about the profile (a squared relative
    /// deviation) add up: 1/k = 1/k_interval + 1/shape + doubt. `noise_size` is that of an hour, from
    /// which the level was learned, `interval_size` that of the interval.
    pub fn expected(&self, mean: f64, noise_size: f64, interval_size: f64, profile_doubt: f64) -> Expected {
        // Under noise of size k an hour tells at most as much as k counts.
        let told = f64::from(self.counted).min(noise_size * f64::from(self.exposure));
        let shape = LEVEL_SHAPE + told;
        Expected { mean, size: 1.0 / (1.0 / interval_size + 1.0 / shape + profile_doubt) }
    }

    /// Hours up to `hour` passed without a count: they fade what was known and count as exposure.
    pub fn pass_silently(&mut self, hour: u32, rates: LearningRates) {
        let hours = hour.saturating_sub(self.folded_hour);
        if hours == 0 {
            return;
        }
        let keep = pow(rates.keep_per_hour, f64::from(hours)) as f32;
        let keep_lately = pow(rates.keep_lately_per_hour, f64::from(hours)) as f32;
        let keep_noise = pow(rates.keep_noise_per_hour, f64::from(hours)) as f32;
        self.fade(keep, keep_lately, keep_noise);
        self.exposure += (1.0 - keep) / (1.0 - rates.keep_per_hour as f32);
        self.exposure_lately += (1.0 - keep_lately) / (1.0 - rates.keep_lately_per_hour as f32);
        self.folded_hour = hour;
    }

    /// Hours up to `hour` are left out: an incident, or nothing was collected.
    pub fn leave_out(&mut self, hour: u32) {
        self.folded_hour = self.folded_hour.max(hour);
    }

    /// What is usual has changed for good: the level is that of `counted` sources in hours whose factors add up
    /// to `factors`, known as well as after a day. Returns the part of its weight that what was known of the
    /// noise keeps; `None` where the level is what it was, for a service changes in some of its parts only.
    pub fn begin_anew(&mut self, counted: f64, factors: f64, prior: f64) -> Option<f32> {
        let (level, known) = (counted / factors.max(1e-9), self.level(prior));
        if level < CHANGED_TIMES * known && known < CHANGED_TIMES * level {
            return None;
        }
        let keep = (ANEW_HOURS / self.exposure.max(ANEW_HOURS)).min(1.0);
        self.fade(keep, keep, keep);
        (self.counted, self.counted_lately) =
            (level as f32 * self.exposure, level as f32 * self.exposure_lately);
        Some(keep)
    }

    /// The most sources of an hour under profile factor `factor` that are no outlier: what the shape of a week
    /// learns of an hour is cut off here instead of down-weighted. A Saturday that brings seven times what the
    /// other days and its evenings make expect is an outlier every week, and would never be learned; so it is
    /// in some weeks, while an hour's outage that nobody called moves one hour of the week by one such step.
    pub fn most_usual(&self, factor: f64, prior: Expected) -> f64 {
        if self.exposure < OUTLIER_HOURS {
            return f64::INFINITY;
        }
        let level = self.level(prior.mean);
        let mean = (level * factor).max(1e-6);
        let deviation = sqrt(1.0 + mean / self.noise_size(prior.size, level));
        pow(sqrt(mean) + OUTLIER_FROM * deviation / 1.5, 1.5) * pow(mean, 0.25)
    }

    /// Learns from one whole hour with `counted` sources under profile factor `factor`; returns
    /// the weight that the hour was given (1, or less for an outlier).
    pub fn learn(&mut self, counted: f64, factor: f64, prior: Expected, rates: LearningRates) -> f64 {
        let level = self.level(prior.mean);
        let mean = level * factor;
        let size = self.noise_size(prior.size, level);
        let weight = if self.exposure < OUTLIER_HOURS { 1.0 } else { outlier_weight(counted, mean, size) };
        let LearningRates { keep_per_hour, keep_lately_per_hour, keep_noise_per_hour, .. } = rates;
        self.fade(keep_per_hour as f32, keep_lately_per_hour as f32, keep_noise_per_hour as f32);
        self.counted += (weight * counted) as f32;
        self.exposure += (weight * factor) as f32;
        self.counted_lately += (weight * counted) as f32;
        self.exposure_lately += (weight * factor) as f32;
        if !self.is_learning() {
            let off = counted - mean;
            self.noise += (weight * (off * off - counted)) as f32;
            self.noise_base += (weight * mean * mean) as f32;
        }
        self.folded_hour += 1;
        weight
    }

    fn fade(&mut self, keep: f32, keep_lately: f32, keep_noise: f32) {
        self.counted *= keep;
        self.exposure *= keep;
        self.counted_lately *= keep_lately;
        self.exposure_lately *= keep_lately;
        self.noise *= keep_noise;
        self.noise_base *= keep_noise;
    }
}

/// The Anscombe residual from which on a count is an outlier, as in Farrington Flexible (Noufaily et al. 2013).
const OUTLIER_FROM: f64 = 2.58;

/// Weight of an observation by its Anscombe residual, as there: 1 up to that, then its inverse square. The
/// leverage term is left out: one hour of weeks has next to none.
fn outlier_weight(counted: f64, mean: f64, size: f64) -> f64 {
    let mean = mean.max(1e-6);
    let dispersion = 1.0 + mean / size;
    let residual = 1.5 * (pow(counted, 2.0 / 3.0) * pow(mean, -1.0 / 6.0) - sqrt(mean)) / sqrt(dispersion);
    if residual <= OUTLIER_FROM { 1.0 } else { 1.0 / (residual * residual) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Minute, UtcTime};
    use crate::series::Profile;

    fn rates() -> LearningRates {
        LearningRates::new(&Policy::default())
    }

    const PRIOR: Expected = Expected { mean: 6.0, size: 4.0 };

    #[test]
    fn a_level_is_learned_from_a_prior_that_is_far_off() {
        let mut learned = Learned::new(0);
        for _ in 0..48 {
            learned.learn(240.0, 1.0, PRIOR, rates());
        }
        let level = learned.level(PRIOR.mean);
        assert!((level - 240.0).abs() < 10.0, "{level}");
        assert!(!learned.is_learning());
    }

    #[test]
    fn an_outage_that_was_not_called_hardly_moves_the_level() {
        let mut learned = Learned::new(0);
        for _ in 0..200 {
            learned.learn(20.0, 1.0, PRIOR, rates());
        }
        let before = learned.level(PRIOR.mean);
        for _ in 0..3 {
            assert!(learned.learn(4000.0, 1.0, PRIOR, rates()) < 0.05);
        }
        let after = learned.level(PRIOR.mean);
        assert!(after < before * 1.5, "{before} {after}");
    }

    #[test]
    fn silence_lowers_the_level_and_is_the_same_in_one_step_or_many() {
        let mut at_once = Learned::new(0);
        at_once.learn(30.0, 1.0, PRIOR, rates());
        let mut by_steps = at_once;
        at_once.pass_silently(100, rates());
        for hour in 2..=100 {
            by_steps.pass_silently(hour, rates());
        }
        let (a, b) = (at_once.level(6.0), by_steps.level(6.0));
        assert!((a - b).abs() < 1e-3 && a < 0.5, "{a} {b}");
    }

    #[test]
    fn a_level_that_grows_is_followed_and_a_steady_one_is_not_disturbed() {
        let (mut growing, mut steady) = (Learned::new(0), Learned::new(0));
        let mut now = 50.0;
        for hour in 0..24 * 60 {
            // Two percent a day: 3.3 times as much in two months.
            now = 50.0 * libm::pow(1.02, f64::from(hour) / 24.0);
            growing.learn(now, 1.0, PRIOR, rates());
            steady.learn(if hour % 2 == 0 { 60.0 } else { 40.0 }, 1.0, PRIOR, rates());
        }
        let level = growing.level(PRIOR.mean);
        assert!(level > 0.85 * now && level <= now, "{level} {now}");
        assert!(growing.long_level(PRIOR.mean) < 0.75 * now);
        assert!((steady.level(PRIOR.mean) - 50.0).abs() < 0.5);
    }

    #[test]
    fn noise_is_learned_in_both_directions() {
        let (mut calm, mut wild) = (Learned::new(0), Learned::new(0));
        for hour in 0..400 {
            calm.learn(100.0 + f64::from(hour % 3), 1.0, PRIOR, rates());
            wild.learn(if hour % 4 == 0 { 250.0 } else { 50.0 }, 1.0, PRIOR, rates());
        }
        let calm = calm.noise_size(4.0, calm.level(6.0));
        let wild = wild.noise_size(4.0, wild.level(6.0));
        assert!(calm > 20.0 && wild < 4.0, "{calm} {wild}");
    }

    /// One hour as it is learned by the level and by the shape of the week.
    fn learn_hour(learned: &mut Learned, profile: &mut Profile, hour: u32, counted: f64) {
        let local = Minute(hour * 60 + 30);
        let factor = f64::from(profile.at(local.start()));
        let most = learned.most_usual(factor, PRIOR);
        learned.learn(counted, factor, PRIOR, rates());
        let level = learned.level(PRIOR.mean);
        profile.learn(local, (counted.min(most) / level) as f32, 4.0, 0.9);
    }

    #[test]
    fn a_weekend_unlike_other_days_is_learned_and_one_outage_hardly() {
        let (mut learned, mut profile) = (Learned::new(0), Profile::default());
        let monday = "2025-01-06T00:00:00Z".parse::<UtcTime>().expect("a time").minute().hour();
        let truth = |hour: u32| match (hour % 168 / 24, hour % 24) {
            (0..5, 8..18) => 2000.0,
            _ => 100.0,
        };
        for hour in 0..168 * 6 {
            learn_hour(&mut learned, &mut profile, monday + hour, truth(hour));
        }
        let known = |learned: &Learned, profile: &Profile, hour: u32| {
            learned.level(PRIOR.mean) * f64::from(profile.at(Minute((monday + hour) * 60 + 30).start()))
        };
        let saturday_night = 168 * 6 + 5 * 24 + 4;
        let before = known(&learned, &profile, saturday_night);
        assert!(before > 60.0 && before < 160.0, "{before}");
        // An hour of fifty times as many that nobody called.
        for hour in 168 * 6..168 * 7 {
            let times = if hour == saturday_night { 50.0 } else { 1.0 };
            learn_hour(&mut learned, &mut profile, monday + hour, times * truth(hour));
        }
        let after = known(&learned, &profile, saturday_night + 168);
        assert!(after < 1.5 * before, "{before} {after}");
    }
}
