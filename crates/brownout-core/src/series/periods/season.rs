//! The slow part of what is usual: level, trend and season, by regression on the totals of whole cycles.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use libm::{cos, exp, log, pow, sin, sqrt};

use super::{OUTLYING, Rhythm};

/// Harmonics of the season.
const HARMONICS: usize = 6;
/// Intercept, trend, and a cosine and a sine of each harmonic.
const TERMS: usize = 2 + 2 * HARMONICS;
/// The past that is looked at, in seasons.
const SEASONS: usize = 8;
/// Cycles just past that are left out of the fit: what goes on in them may be no part of the usual.
const GUARD_CYCLES: usize = 2;
/// Cycles that are needed before anything is fitted.
const CYCLES_MIN: usize = 4;
/// Cycles after which the level is known.
const SETTLED_CYCLES: usize = 6;
/// Most steps of Newton's method per refit; each refit begins where the last ended.
const NEWTON_STEPS: u32 = 4;
/// A step is the last that moves no coefficient by more: a tenth of a percent of the mean.
const MOVED_MIN: f64 = 1e-3;

/// The total of one cycle.
#[derive(Clone, Copy, Debug)]
struct Total {
    count: f64,
    /// Factors of the periods that were counted, added up: the length of the cycle in average periods.
    exposure: f64,
}

/// log-linear regression of totals on trend and season.
#[derive(Clone, Debug)]
pub(super) struct Season {
    rhythm: Rhythm,
    totals: VecDeque<Total>,
    running: Total,
    /// Number of the first cycle in `totals`.
    first: u64,
    beta: [f64; TERMS],
    /// Cycle at which the trend of `beta` is zero.
    origin: f64,
    /// Harmonics at the middle of each cycle of the season.
    waves: Vec<[f64; 2 * HARMONICS]>,
}

impl Season {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        Season {
            rhythm,
            totals: VecDeque::new(),
            running: Total { count: 0.0, exposure: 0.0 },
            first: 0,
            beta: [0.0; TERMS],
            origin: 0.0,
            waves: (0..rhythm.cycles_per_season).map(|cycle| waves(f64::from(cycle) + 0.5, rhythm)).collect(),
        }
    }

    /// Mean of an average period around period number `at`.
    pub(super) fn mean(&self, at: u64) -> f64 {
        let cycle = f64::from(self.rhythm.cycle);
        let row = self.row((at as f64 + 0.5) / cycle);
        exp(dot(&row, &self.beta).clamp(-30.0, 30.0))
    }

    /// Takes the count of a period whose factor is given.
    pub(super) fn learn(&mut self, count: f64, factor: f64) {
        self.running.count += count;
        self.running.exposure += factor;
    }

    /// Ends the running cycle and refits. `phi` is the variance of a count over its mean.
    pub(super) fn close_cycle(&mut self, phi: f64) {
        let total = std::mem::replace(&mut self.running, Total { count: 0.0, exposure: 0.0 });
        self.totals.push_back(total);
        if self.totals.len() > SEASONS * usize::from(self.rhythm.cycles_per_season) {
            self.totals.pop_front();
            self.first += 1;
        }
        self.fit(phi);
    }

    /// Whether the level is known.
    pub(super) fn is_settled(&self) -> bool {
        self.totals.len() >= SETTLED_CYCLES
    }

    /// Whether a refit has just begun to know level, season or trend, or the first season is well over, so
    /// that forecasts before say little about those after.
    pub(super) fn has_changed(&self) -> bool {
        let season = usize::from(self.rhythm.cycles_per_season);
        let known = [SETTLED_CYCLES, season + GUARD_CYCLES, season + season / 4, 2 * season + GUARD_CYCLES];
        known.contains(&self.totals.len())
    }

    /// Whether a refit has just begun to know the season.
    pub(super) fn has_begun(&self) -> bool {
        self.totals.len() == usize::from(self.rhythm.cycles_per_season) + GUARD_CYCLES
    }

    fn fit(&mut self, phi: f64) {
        let known = self.totals.len();
        let used = if known >= CYCLES_MIN + GUARD_CYCLES { known - GUARD_CYCLES } else { known };
        let totals = || self.totals.iter().take(used);
        let exposure: f64 = totals().map(|total| total.exposure).sum();
        let count: f64 = totals().map(|total| total.count).sum();
        if exposure <= 0.0 {
            return;
        }
        // Half a count keeps the logarithm of nothing finite.
        let mean = log((count + 0.5) / (exposure + 0.5));
        if known < CYCLES_MIN {
            self.beta = [0.0; TERMS];
            self.beta[0] = mean;
            return;
        }
        self.move_origin((self.first as f64) + used as f64);
        let phi = phi.max(self.scale(used));
        let ridge = self.ridge(used, phi);
        if ridge[2] >= NEVER {
            self.beta = [0.0; TERMS];
            self.beta[0] = mean;
        }
        let mut beta = self.beta;
        for _ in 0..NEWTON_STEPS {
            let next = self.newton(beta, &ridge, used, phi);
            let moved = next.iter().zip(&beta).map(|(next, last)| (next - last).abs()).fold(0.0, f64::max);
            beta = next;
            if moved < MOVED_MIN {
                break;
            }
        }
        if beta.iter().all(|value| value.is_finite()) {
            self.beta = beta;
        }
    }

    /// Variance over mean that the middle residual of the last fit shows. While a fit is far off, nearly all
    /// totals would be outliers by the noise of counts alone, and weights would keep it where it is.
    fn scale(&self, used: usize) -> f64 {
        let mut sizes: Vec<f64> = Vec::with_capacity(used);
        for (index, total) in self.totals.iter().take(used).enumerate() {
            if total.exposure > 0.0 {
                sizes.push(residual(total.count, self.mean_of_cycle(index, total, &self.beta)).abs());
            }
        }
        let middle = sizes.len() / 2;
        if sizes.is_empty() {
            return 0.0;
        }
        let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
        (*median / MEDIAN_OF_NORMAL) * (*median / MEDIAN_OF_NORMAL)
    }

    fn mean_of_cycle(&self, index: usize, total: &Total, beta: &[f64; TERMS]) -> f64 {
        let row = self.row_of_cycle(self.first + index as u64);
        total.exposure * exp(dot(&row, beta).clamp(-30.0, 30.0))
    }

    /// What holds each term at nothing, as an inverse variance. Higher harmonics are held more tightly,
    /// as a smoothing spline does; trend and season need the past that shows them.
    fn ridge(&self, used: usize, phi: f64) -> [f64; TERMS] {
        let season = usize::from(self.rhythm.cycles_per_season);
        let mut ridge = [1e-9; TERMS];
        ridge[1] = if used >= 2 * season { 4.0 * phi } else { NEVER };
        for harmonic in 1..=HARMONICS {
            let held = if used >= season { 0.25 * phi * pow(harmonic as f64, 4.0) } else { NEVER };
            ridge[2 * harmonic] = held;
            ridge[2 * harmonic + 1] = held;
        }
        ridge
    }

    /// Sets where the trend is zero, which keeps intercept and trend apart, without a change of the fit.
    fn move_origin(&mut self, origin: f64) {
        self.beta[0] += self.beta[1] * (origin - self.origin) / f64::from(self.rhythm.cycles_per_season);
        self.origin = origin;
    }

    /// One step towards the largest penalised quasi-likelihood, outlying totals down-weighted.
    fn newton(&self, beta: [f64; TERMS], ridge: &[f64; TERMS], used: usize, phi: f64) -> [f64; TERMS] {
        let mut gradient = [0.0; TERMS];
        let mut information = [[0.0; TERMS]; TERMS];
        for (index, total) in self.totals.iter().take(used).enumerate() {
            if total.exposure <= 0.0 {
                continue;
            }
            let row = self.row_of_cycle(self.first + index as u64);
            let mean = total.exposure * exp(dot(&row, &beta).clamp(-30.0, 30.0));
            let weight = weight(total.count, mean, phi);
            for term in 0..TERMS {
                gradient[term] += weight * (total.count - mean) * row[term];
                for other in 0..=term {
                    information[term][other] += weight * mean * row[term] * row[other];
                }
            }
        }
        for term in 0..TERMS {
            gradient[term] -= ridge[term] * beta[term];
            information[term][term] += ridge[term] + 1e-9;
        }
        let step = solve(information, gradient);
        let mut next = beta;
        for term in 0..TERMS {
            // A long step from a poor start would overshoot the exponential.
            next[term] += step[term].clamp(-2.0, 2.0);
        }
        next
    }

    /// The terms at the middle of a cycle.
    fn row_of_cycle(&self, cycle: u64) -> [f64; TERMS] {
        let season = u64::from(self.rhythm.cycles_per_season);
        self.row_with(cycle as f64 + 0.5, &self.waves[(cycle % season) as usize])
    }

    /// The terms at a place on the scale of cycles.
    fn row(&self, cycles: f64) -> [f64; TERMS] {
        self.row_with(cycles, &waves(cycles, self.rhythm))
    }

    fn row_with(&self, cycles: f64, waves: &[f64; 2 * HARMONICS]) -> [f64; TERMS] {
        let mut row = [1.0; TERMS];
        row[1] = (cycles - self.origin) / f64::from(self.rhythm.cycles_per_season);
        row[2..].copy_from_slice(waves);
        row
    }
}

/// Cosine and sine of each harmonic at a place on the scale of cycles.
fn waves(cycles: f64, rhythm: Rhythm) -> [f64; 2 * HARMONICS] {
    let seasons = cycles / f64::from(rhythm.cycles_per_season);
    let angle = TAU * (seasons - libm::floor(seasons));
    let (c, s) = (cos(angle), sin(angle));
    let (mut real, mut imaginary) = (c, s);
    let mut waves = [0.0; 2 * HARMONICS];
    for harmonic in 0..HARMONICS {
        waves[2 * harmonic] = real;
        waves[2 * harmonic + 1] = imaginary;
        (real, imaginary) = (real * c - imaginary * s, real * s + imaginary * c);
    }
    waves
}

/// Holds a term at nothing whatever the data say.
const NEVER: f64 = 1e12;

/// Half of the sizes of standard normals are under this.
const MEDIAN_OF_NORMAL: f64 = 0.6745;

/// The Anscombe residual, which is nearly normal for counts, with the variance of counts over their mean
/// (Farrington et al. 1996).
fn residual(count: f64, mean: f64) -> f64 {
    1.5 * (pow(count, 2.0 / 3.0) * pow(mean, -1.0 / 6.0) - sqrt(mean))
}

/// Weight by the standardised residual.
fn weight(count: f64, mean: f64, phi: f64) -> f64 {
    let size = residual(count, mean).abs() / sqrt(phi);
    if size <= OUTLYING { 1.0 } else { (OUTLYING / size) * (OUTLYING / size) }
}

fn dot(a: &[f64; TERMS], b: &[f64; TERMS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves for a symmetric positive matrix, of which the lower half is given, by Cholesky's method.
fn solve(mut matrix: [[f64; TERMS]; TERMS], mut right: [f64; TERMS]) -> [f64; TERMS] {
    for column in 0..TERMS {
        for before in 0..column {
            let factor = matrix[column][before];
            for row in &mut matrix[column..] {
                row[column] -= row[before] * factor;
            }
        }
        let root = sqrt(matrix[column][column].max(1e-12));
        for row in &mut matrix[column..] {
            row[column] /= root;
        }
    }
    for row in 0..TERMS {
        for before in 0..row {
            right[row] -= matrix[row][before] * right[before];
        }
        right[row] /= matrix[row][row];
    }
    for row in (0..TERMS).rev() {
        for after in row + 1..TERMS {
            right[row] -= matrix[after][row] * right[after];
        }
        right[row] /= matrix[row][row];
    }
    right
}
