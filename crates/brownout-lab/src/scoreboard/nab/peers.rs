//! Peers that are written here: a windowed Gaussian and Bayesian online change-point detection.

use std::collections::VecDeque;

use libm::{erfc, exp, lgamma, log, log1p};

/// Rows of the Gaussian's window, the benchmark's own choice for this peer.
const WINDOW_ROWS: usize = 6400;
/// So many rows share one estimate of mean and spread, as there.
const STEP_ROWS: usize = 100;

/// How improbable each value is under a Gaussian fitted to a long window before it: 1 less the
/// probability of the tail on its side.
pub(super) fn windowed_gaussian(values: &[f64]) -> Vec<f64> {
    let mut window: VecDeque<f64> = VecDeque::new();
    let mut coming = Vec::new();
    let (mut mean, mut deviation) = (0.0, 1.0);
    let mut scores = Vec::with_capacity(values.len());
    for value in values {
        let ready = !window.is_empty();
        let beyond = (value - mean).abs() / deviation;
        scores.push(if ready { 1.0 - 0.5 * erfc(beyond / std::f64::consts::SQRT_2) } else { 0.0 });
        if window.len() < WINDOW_ROWS {
            window.push_back(*value);
            (mean, deviation) = moments(&window);
        } else {
            coming.push(*value);
            if coming.len() == STEP_ROWS {
                window.drain(..STEP_ROWS);
                window.extend(coming.drain(..));
                (mean, deviation) = moments(&window);
            }
        }
    }
    scores
}

fn moments(window: &VecDeque<f64>) -> (f64, f64) {
    let count = window.len() as f64;
    let mean = window.iter().sum::<f64>() / count;
    let variance = window.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (mean, variance.sqrt().max(1e-6))
}

/// Rows between changes that are expected, and run lengths that are kept.
const RUN_ROWS: f64 = 200.0;
const RUNS_MAX: usize = 300;
/// A run that began so lately is a new one.
const YOUNG_ROWS: usize = 5;

/// What a run of values has taught: the normal-inverse-gamma posterior.
#[derive(Clone, Copy)]
struct Run {
    ln_weight: f64,
    mean: f64,
    strength: f64,
    shape: f64,
    rate: f64,
}

impl Run {
    const NEW: Run = Run { ln_weight: 0.0, mean: 0.0, strength: 1.0, shape: 1.0, rate: 1.0 };

    /// ln of the predictive density of the next value, a Student t.
    fn ln_density(&self, value: f64) -> f64 {
        let freedom = 2.0 * self.shape;
        let scale = self.rate * (self.strength + 1.0) / (self.shape * self.strength);
        let square = (value - self.mean) * (value - self.mean) / scale;
        lgamma(0.5 * (freedom + 1.0))
            - lgamma(0.5 * freedom)
            - 0.5 * log(std::f64::consts::PI * freedom * scale)
            - 0.5 * (freedom + 1.0) * log(1.0 + square / freedom)
    }

    fn learn(&mut self, value: f64) {
        self.rate +=
            self.strength * (value - self.mean) * (value - self.mean) / (2.0 * (self.strength + 1.0));
        self.mean = (self.strength * self.mean + value) / (self.strength + 1.0);
        self.strength += 1.0;
        self.shape += 0.5;
    }
}

/// Bayesian online change-point detection (Adams and MacKay 2007) with a Gaussian of unknown mean and
/// spread, on values scaled by those of the probation: the probability that a new run began with one of
/// the latest rows.
pub(super) fn change_points(values: &[f64], probation: usize) -> Vec<f64> {
    let begin: VecDeque<f64> = values.iter().take(probation.max(1)).copied().collect();
    let (mean, deviation) = moments(&begin);
    let hazard = 1.0 / RUN_ROWS;
    // The youngest run is the last; their weights sum to 1.
    let mut runs: VecDeque<Run> = VecDeque::new();
    let mut scores = Vec::with_capacity(values.len());
    for value in values {
        let value = (value - mean) / deviation;
        runs.iter_mut().for_each(|run| run.ln_weight += log(1.0 - hazard));
        runs.push_back(Run { ln_weight: log(hazard), ..Run::NEW });
        let mut total = f64::NEG_INFINITY;
        for run in &mut runs {
            run.ln_weight += run.ln_density(value);
            total = ln_sum(total, run.ln_weight);
            run.learn(value);
        }
        runs.iter_mut().for_each(|run| run.ln_weight -= total);
        if runs.len() > RUNS_MAX {
            drop_lightest(&mut runs);
        }
        let young = runs.iter().rev().take(YOUNG_ROWS).map(|run| exp(run.ln_weight)).sum::<f64>();
        scores.push(young.min(1.0));
    }
    scores
}

/// The run that says least goes; never a young one.
fn drop_lightest(runs: &mut VecDeque<Run>) {
    let old = runs.len() - YOUNG_ROWS;
    let by_weight =
        |(_, one): &(usize, &Run), (_, other): &(usize, &Run)| one.ln_weight.total_cmp(&other.ln_weight);
    if let Some((lightest, _)) = runs.iter().enumerate().take(old).min_by(by_weight) {
        runs.remove(lightest);
    }
}

/// ln(e^one + e^other).
fn ln_sum(one: f64, other: f64) -> f64 {
    let (large, small) = if one > other { (one, other) } else { (other, one) };
    if small == f64::NEG_INFINITY { large } else { large + log1p(exp(small - large)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> Vec<f64> {
        let noise = |row: u32| f64::from(row * 7919 % 1009) / 1009.0;
        (0..1200).map(|row| noise(row) + if row < 800 { 10.0 } else { 20.0 }).collect()
    }

    fn highest(scores: &[f64], from: usize) -> usize {
        let highest = (from..scores.len()).rev().max_by(|one, other| scores[*one].total_cmp(&scores[*other]));
        highest.expect("a row")
    }

    #[test]
    fn both_find_a_new_level_where_it_begins() {
        assert_eq!(highest(&windowed_gaussian(&levels()), 150), 800);
        let scores = change_points(&levels(), 150);
        assert!((800..805).contains(&highest(&scores, 150)), "{:?}", &scores[795..810]);
        assert!(scores[1100] < 0.2 && scores[804] > 0.9, "{:?}", &scores[795..810]);
    }

    #[test]
    fn neither_looks_ahead() {
        let (levels, cut) = (levels(), 900);
        assert_eq!(windowed_gaussian(&levels[..cut])[..], windowed_gaussian(&levels)[..cut]);
        assert_eq!(change_points(&levels[..cut], 150)[..], change_points(&levels, 150)[..cut]);
    }
}
