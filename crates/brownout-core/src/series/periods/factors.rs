//! How the periods of a cycle, and special periods, differ from the average period.

use libm::exp2;

use super::contrast::Contrast;
use super::{Rhythm, SPECIALS, Special};

/// A factor of 1 counts as much as so many counts that were seen.
const PRIOR_COUNTS: f64 = 0.5;
/// What remains of the past when it is doubted.
const DOUBTED: f64 = 0.1;
/// A period in which nothing was ever counted where so much was expected is closed.
const CLOSED_EXPECTED_MIN: f64 = 20.0;

/// Counts and what was expected of them, the past fading.
#[derive(Clone, Copy, Debug, Default)]
struct Ratio {
    counted: f64,
    expected: f64,
}

impl Ratio {
    fn value(self) -> f64 {
        (self.counted + PRIOR_COUNTS) / (self.expected + PRIOR_COUNTS)
    }
}

/// A factor, and how sure it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    pub(super) mean: f64,
    /// Variance over squared mean, for counts whose variance is their mean.
    pub(super) relative_variance: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Factors {
    phases: Vec<Ratio>,
    specials: [Ratio; SPECIALS],
    /// What the past keeps from one cycle to the next: half of it in two seasons.
    kept_per_cycle: f64,
    /// Average of the phases' ratios, by which they are divided.
    average: f64,
    contrast: Contrast,
}

impl Factors {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        Factors {
            phases: vec![Ratio::default(); usize::from(rhythm.cycle)],
            specials: [Ratio::default(); SPECIALS],
            kept_per_cycle: exp2(-0.5 / f64::from(rhythm.cycles_per_season)),
            average: 1.0,
            contrast: Contrast::new(rhythm),
        }
    }

    pub(super) fn of(&self, phase: usize, special: Option<Special>) -> Factor {
        let mean = self.contrast.of(self.usual(phase));
        let mut factor = Factor { mean, relative_variance: 1.0 / (self.phases[phase].counted + 2.0) };
        if let Some(special) = special {
            let ratio = self.specials[usize::from(special.0)];
            factor.mean *= ratio.value();
            factor.relative_variance += 1.0 / (ratio.counted + 2.0);
        }
        factor
    }

    /// The factor of a phase in the whole of the past.
    fn usual(&self, phase: usize) -> f64 {
        self.phases[phase].value() / self.average
    }

    /// Whether nothing is ever counted in such a period.
    pub(super) fn is_closed(&self, phase: usize, special: Option<Special>) -> bool {
        let is_closed = |ratio: Ratio| ratio.counted <= 0.0 && ratio.expected >= CLOSED_EXPECTED_MIN;
        is_closed(self.phases[phase])
            || special.is_some_and(|special| is_closed(self.specials[usize::from(special.0)]))
    }

    /// Takes the count of a period in which an average one would have had `average_mean`.
    pub(super) fn learn(
        &mut self,
        phase: usize,
        special: Option<Special>,
        count: f64,
        average_mean: f64,
        weight: f64,
    ) {
        if let Some(special) = special {
            let mean = average_mean * self.of(phase, None).mean;
            let ratio = &mut self.specials[usize::from(special.0)];
            // Few of them come: each counts, and the first in full.
            ratio.counted += count;
            ratio.expected += mean;
        } else {
            let ratio = &mut self.phases[phase];
            ratio.counted += weight * count;
            ratio.expected += weight * average_mean;
        }
    }

    /// Lets what was learned of special periods count little, as forecasts have just become better.
    pub(super) fn doubt(&mut self) {
        for ratio in &mut self.specials {
            ratio.counted *= DOUBTED;
            ratio.expected *= DOUBTED;
        }
    }

    /// Lets the past fade by one cycle.
    pub(super) fn close_cycle(&mut self) {
        let kept = self.kept_per_cycle;
        for ratio in self.phases.iter_mut().chain(&mut self.specials) {
            ratio.counted *= kept;
            ratio.expected *= kept;
        }
        self.average = self.phases.iter().map(|ratio| ratio.value()).sum::<f64>() / self.phases.len() as f64;
        self.contrast.close_cycle();
    }

    /// Lets a count of no special period say how far phases differ at present; see [`Contrast::learn`].
    pub(super) fn learn_contrast(&mut self, phase: usize, count: f64, mean: (f64, f64), weights: (f64, f64)) {
        let usual = self.usual(phase);
        self.contrast.learn(count, usual, mean, weights);
    }

    /// Forgets what was learned of it while nothing was known of the season.
    pub(super) fn forget_season(&mut self) {
        self.contrast.forget_season();
    }
}
