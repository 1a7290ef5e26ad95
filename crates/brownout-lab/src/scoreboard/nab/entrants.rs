//! Who is compared.

use brownout_core::series::busy;

use super::corpus::Series;
use super::peers;

/// Where an entrant's scores come from.
#[derive(Clone, Copy)]
pub(super) enum Found {
    /// From Rust, a series at a time.
    Here(fn(&Series) -> Vec<f64>),
    /// From the script of Python peers, by this name.
    InPython(&'static str),
}

/// A detector by its name.
pub(super) struct Entrant {
    pub(super) name: &'static str,
    pub(super) found: Found,
    /// The threshold that was said beforehand; peers have none.
    pub(super) declared: Option<f64>,
}

const fn peer(name: &'static str, found: Found) -> Entrant {
    Entrant { name, found, declared: None }
}

/// Ours, then those it is measured against.
pub(super) const ENTRANTS: [Entrant; 13] = [
    Entrant {
        name: "**Brownout: busy series**",
        found: Found::Here(super::ours),
        declared: Some(busy::CALL),
    },
    peer("windowed Gaussian", Found::Here(|series| peers::windowed_gaussian(&series.values))),
    peer(
        "Bayesian change-point",
        Found::Here(|series| peers::change_points(&series.values, series.probation())),
    ),
    peer("river: half-space trees", Found::InPython("river-half-space-trees")),
    peer("river: Gaussian scorer", Found::InPython("river-gaussian")),
    peer("river: one-class SVM on lags", Found::InPython("river-one-class-svm")),
    peer("adtk: persist", Found::InPython("adtk-persist")),
    peer("adtk: level shift", Found::InPython("adtk-level-shift")),
    peer("adtk: quartiles", Found::InPython("adtk-quartiles")),
    peer("stumpy: left matrix profile", Found::InPython("stumpy-left-profile")),
    peer("PyOD: kNN on lags", Found::InPython("pyod-knn")),
    peer("PyOD: ECOD on lags", Found::InPython("pyod-ecod")),
    peer("PyOD: isolation forest on lags", Found::InPython("pyod-isolation-forest")),
];

/// Rows over which a score has to be the highest, as a part of those before it, and their bounds: the same
/// as ours.
const NEWS_PART: f64 = 0.06;
const NEWS_ROWS: (usize, usize) = (20, 1000);
/// Scores before the first rank.
const LEARNED_FIRST: usize = 50;

/// The scores that are over all of the latest ones, as ours are; 0 elsewhere, and where there is none.
pub(super) fn only_news(scores: &[f64]) -> Vec<f64> {
    let is_news = |row: usize| {
        let latest = ((row as f64 * NEWS_PART) as usize).clamp(NEWS_ROWS.0, NEWS_ROWS.1);
        let before = &scores[row.saturating_sub(latest)..row];
        before.iter().all(|earlier| earlier.is_nan() || *earlier < scores[row])
    };
    (0..scores.len()).map(|row| if is_news(row) { scores[row] } else { 0.0 }).collect()
}

/// The share of earlier scores that are lower, for peers whose scores mean something else in every series;
/// then only what is news.
pub(super) fn ranked(scores: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = Vec::with_capacity(scores.len());
    let mut ranks = Vec::with_capacity(scores.len());
    for score in scores {
        let score = if score.is_nan() { f64::NEG_INFINITY } else { *score };
        let lower = sorted.partition_point(|earlier| *earlier < score);
        let counts = sorted.len() >= LEARNED_FIRST;
        ranks.push(if counts { lower as f64 / (sorted.len() + 1) as f64 } else { 0.0 });
        sorted.insert(lower, score);
    }
    only_news(&ranks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_of_earlier_scores_and_fall_silent_after_a_higher_one() {
        let mut scores: Vec<f64> = (0..200).map(|row| f64::from(row % 10)).collect();
        scores[120] = 1e9;
        scores[121] = 1e8;
        scores[122] = f64::NAN;
        let ranks = ranked(&scores);
        assert_eq!(ranks[120], 120.0 / 121.0);
        assert_eq!((ranks[121], ranks[122]), (0.0, 0.0));
        assert!(ranks[..50].iter().all(|rank| *rank == 0.0));
        assert_eq!(ranked(&scores[..121])[..], ranks[..121]);
    }
}
