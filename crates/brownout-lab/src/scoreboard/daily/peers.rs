//! What others use, written from its published definition.

use libm::sqrt;

/// The early aberration reporting systems of the CDC (Hutwagner et al. 2003, "The bioterrorism
/// preparedness and response Early Aberration Reporting System").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ears {
    /// Against the seven days before.
    C1,
    /// Against the seven days that end two days before.
    C2,
    /// What C2 exceeds 1 by, over three days.
    C3,
}

const BASELINE_DAYS: usize = 7;
const GUARD_DAYS: usize = 2;
/// A deviation is taken to be at least so much, so that silence is no division by zero.
const DEVIATION_MIN: f64 = 0.5;

impl Ears {
    /// Over this is one in a hundred, if the statistic is normal.
    pub(super) const THRESHOLD: f64 = 2.326;

    /// The statistic of every day.
    pub(super) fn statistics(self, counts: &[u32]) -> Vec<f64> {
        let c2 = |day: usize| standardised(counts, day, GUARD_DAYS);
        (0..counts.len())
            .map(|day| match self {
                Ears::C1 => standardised(counts, day, 0),
                Ears::C2 => c2(day),
                Ears::C3 => (day.saturating_sub(2)..=day).map(|day| (c2(day) - 1.0).max(0.0)).sum(),
            })
            .collect()
    }
}

/// How many deviations a count lies over the mean of the seven days before it and its guard.
fn standardised(counts: &[u32], day: usize, guard: usize) -> f64 {
    let Some(from) = day.checked_sub(BASELINE_DAYS + guard) else { return 0.0 };
    let baseline = counts[from..from + BASELINE_DAYS].iter().map(|count| f64::from(*count));
    let number = BASELINE_DAYS as f64;
    let mean = baseline.clone().sum::<f64>() / number;
    let squares: f64 = baseline.map(|count| (count - mean) * (count - mean)).sum();
    (f64::from(counts[day]) - mean) / sqrt(squares / (number - 1.0)).max(DEVIATION_MIN)
}
