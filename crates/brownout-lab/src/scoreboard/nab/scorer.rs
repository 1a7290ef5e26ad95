//! The benchmark's score, from its definition (Lavin and Ahmad, "Evaluating real-time anomaly detection
//! algorithms: the Numenta anomaly benchmark", 2015), with the weights of the standard profile.
//!
//! The earliest call in a window earns from nearly 1 at its beginning to nothing at its end, and a window
//! without a call costs 1. Every call outside costs 0.11, less just after a window. What a detector
//! without any call gets counts as 0, and what calls at the first row of all windows alone would get as 100.

use std::collections::BTreeMap;

use super::corpus::Series;

/// What a window that was missed costs.
const MISS: f64 = 1.0;
/// What a call outside of windows costs at most.
const FALSE_CALL: f64 = 0.11;
/// The steepness of the benchmark's sigmoid, in widths of a window.
const STEEPNESS: f64 = 5.0;
/// So many widths after a window a call costs all that it can.
const FAR_WIDTHS: f64 = 3.0;

/// Calls of one detector on one series, and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Between minus the windows and the windows, less false calls.
    pub(super) points: f64,
    pub(super) windows: usize,
    pub(super) found: usize,
    pub(super) false_calls: usize,
}

impl Tally {
    pub(super) fn plus(self, other: Tally) -> Tally {
        Tally {
            points: self.points + other.points,
            windows: self.windows + other.windows,
            found: self.found + other.found,
            false_calls: self.false_calls + other.false_calls,
        }
    }

    /// 0 for silence, 100 for perfection; `None` where no window is.
    pub(super) fn score(self) -> Option<f64> {
        let silence = -(self.windows as f64) * MISS;
        let perfect = self.windows as f64;
        (self.windows > 0).then(|| 100.0 * (self.points - silence) / (perfect - silence))
    }
}

/// What every row would bring if it were called.
pub(super) struct Judge {
    rows: Vec<(f64, Option<usize>)>,
    probation: usize,
    windows: usize,
}

impl Judge {
    pub(super) fn of(series: &Series) -> Self {
        let mut windows = series.windows.iter().copied().enumerate().peekable();
        let mut before: Option<(usize, usize)> = None;
        let mut rows = Vec::with_capacity(series.values.len());
        for row in 0..series.values.len() {
            match windows.peek() {
                Some((window, (first, last))) if *first <= row => {
                    let width = (last - first + 1) as f64;
                    let place = -((last - row + 1) as f64) / width;
                    rows.push((sigmoid(place) / sigmoid(-1.0), Some(*window)));
                    if row == *last {
                        before = Some((*first, *last));
                        windows.next();
                    }
                }
                _ => {
                    // A window of one row has no width to measure by.
                    let widths = before.map_or(FAR_WIDTHS, |(first, last)| {
                        (row - last) as f64 / (last - first).max(1) as f64
                    });
                    let share = if widths >= FAR_WIDTHS { -1.0 } else { sigmoid(widths) };
                    rows.push((FALSE_CALL * share, None));
                }
            }
        }
        Judge { rows, probation: series.probation(), windows: series.windows.len() }
    }

    /// What calls at `threshold` or over it bring. Rows without a score are not calls.
    pub(super) fn tally(&self, scores: &[f64], threshold: f64) -> Tally {
        let mut tally = Tally { windows: self.windows, ..Tally::default() };
        let mut best = vec![-MISS; self.windows];
        for ((worth, window), score) in self.rows.iter().zip(scores).skip(self.probation) {
            if *score >= threshold {
                match window {
                    Some(window) => best[*window] = best[*window].max(*worth),
                    None => {
                        tally.points += worth;
                        tally.false_calls += 1;
                    }
                }
            }
        }
        tally.found = best.iter().filter(|points| **points > -MISS).count();
        tally.points += best.iter().sum::<f64>();
        tally
    }
}

/// From 1 far before to -1 far after.
fn sigmoid(place: f64) -> f64 {
    2.0 / (1.0 + libm::exp(STEEPNESS * place)) - 1.0
}

/// The tally of several series at one threshold.
pub(super) fn tally<'a>(parts: impl IntoIterator<Item = (&'a Judge, &'a [f64])>, threshold: f64) -> Tally {
    let tallies = parts.into_iter().map(|(judge, scores)| judge.tally(scores, threshold));
    tallies.fold(Tally::default(), Tally::plus)
}

/// The threshold with the highest score, and that score: every score of any row is tried. Infinite, and
/// the score of silence, where no call helps.
pub(super) fn optimised(parts: &[(&Judge, &[f64])]) -> (f64, f64) {
    let mut rows: Vec<(f64, usize, Option<usize>, f64)> = Vec::new();
    for (series, (judge, scores)) in parts.iter().enumerate() {
        let judged = judge.rows.iter().zip(*scores).skip(judge.probation);
        let comparable = judged.filter(|(_, score)| !score.is_nan());
        rows.extend(comparable.map(|((worth, window), score)| (*score, series, *window, *worth)));
    }
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    let silence = tally(parts.iter().copied(), f64::INFINITY);
    let mut now =
        Tally { points: -(silence.windows as f64) * MISS, windows: silence.windows, ..Tally::default() };
    let mut best = (f64::INFINITY, now.points);
    let mut found = BTreeMap::new();
    for (place, (score, series, window, worth)) in rows.iter().enumerate() {
        now.points += match window {
            None => *worth,
            Some(window) => {
                let so_far = found.entry((*series, *window)).or_insert(-MISS);
                let more = (worth - *so_far).max(0.0);
                *so_far += more;
                more
            }
        };
        let is_last_of_its_score = rows.get(place + 1).is_none_or(|next| next.0 < *score);
        if is_last_of_its_score && now.points > best.1 {
            best = (*score, now.points);
        }
    }
    (best.0, Tally { points: best.1, ..now }.score().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use brownout_core::model::UtcTime;

    use super::*;

    /// A hundred rows, of which 15 are probation, with two windows of ten.
    fn series(windows: &[(usize, usize)]) -> Series {
        Series {
            name: "folder/file.csv".to_owned(),
            times: (0..100).map(UtcTime::from_seconds).collect(),
            values: vec![0.0; 100],
            windows: windows.to_vec(),
        }
    }

    fn calls(rows: &[usize]) -> Vec<f64> {
        (0..100).map(|row| f64::from(u8::from(rows.contains(&row)))).collect()
    }

    fn score(windows: &[(usize, usize)], rows: &[usize]) -> Tally {
        Judge::of(&series(windows)).tally(&calls(rows), 0.5)
    }

    const WINDOWS: [(usize, usize); 2] = [(30, 39), (70, 79)];

    #[test]
    fn silence_is_0_and_the_first_rows_of_all_windows_are_100() {
        assert_eq!(score(&WINDOWS, &[]).score(), Some(0.0));
        assert_eq!(score(&WINDOWS, &[30, 70]).score(), Some(100.0));
        assert_eq!(score(&WINDOWS, &[30]).score(), Some(50.0));
        assert_eq!(score(&[], &[30]).score(), None);
    }

    #[test]
    fn the_sigmoid_is_as_published() {
        // The paper's own examples: the left edge, the middle, the right edge and a width after it.
        for (place, worth) in [(-1.0, 0.98661), (-0.5, 0.84828), (0.0, 0.0), (1.0, -0.98661)] {
            assert!((sigmoid(place) - worth).abs() < 1e-5, "{place}: {}", sigmoid(place));
        }
    }

    #[test]
    fn only_the_earliest_call_in_a_window_counts() {
        // The sixth row of ten is half a width before the end.
        let late = score(&WINDOWS, &[35]);
        assert!((late.points - (0.84828 / 0.98661 - 1.0)).abs() < 1e-5, "{late:?}");
        assert_eq!((late.found, late.false_calls), (1, 0));
        assert_eq!(score(&WINDOWS, &[35, 36, 37, 38, 39]), late);
        let last = score(&WINDOWS, &[39]);
        assert!(last.points > -1.0 && last.found == 1, "the last row still finds it: {last:?}");
    }

    #[test]
    fn false_calls_cost_less_just_after_a_window() {
        // Before any window: the whole weight.
        assert!((score(&WINDOWS, &[20]).points - (-2.0 - 0.11)).abs() < 1e-12);
        // Nine rows after a window of ten is one width, as the benchmark counts it.
        assert!((score(&WINDOWS, &[48]).points - (-2.0 - 0.11 * 0.98661)).abs() < 1e-6);
        // Three widths on, the whole weight again.
        assert!((score(&WINDOWS, &[66]).points - (-2.0 - 0.11)).abs() < 1e-12);
        let many = score(&WINDOWS, &[20, 21, 22]);
        assert!((many.points - (-2.0 - 0.33)).abs() < 1e-12 && many.false_calls == 3);
    }

    #[test]
    fn the_probation_is_not_judged() {
        assert_eq!(score(&WINDOWS, &[0, 5, 14]), score(&WINDOWS, &[]));
        assert_ne!(score(&WINDOWS, &[15]), score(&WINDOWS, &[]));
    }

    #[test]
    fn the_optimised_threshold_is_the_best_of_all() {
        let judge = Judge::of(&series(&WINDOWS));
        let mut scores: Vec<f64> = (0..100).map(|row| f64::from(row * 37 % 100)).collect();
        scores[50] = f64::NAN;
        let (threshold, best) = optimised(&[(&judge, &scores)]);
        assert_eq!(judge.tally(&scores, threshold).score(), Some(best));
        let all = scores.iter().filter_map(|threshold| judge.tally(&scores, *threshold).score());
        assert_eq!(all.fold(0.0, f64::max), best);
        // Every call is a false one: silence is best.
        assert_eq!(optimised(&[(&judge, &calls(&[20]))]).1, 0.0);
    }
}
