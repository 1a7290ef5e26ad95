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
/// After a step that moved every coefficient by less, the next one is taken with the same matrix, which has
/// hardly changed.
const MATRIX_KEPT_MAX: f64 = 0.1;

type Matrix = [[f64; TERMS]; TERMS];

/// The total of one cycle.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    count: f64,
    /// Factors of the periods that were counted, added up: the length of the cycle in average periods.
    exposure: f64,
    /// What of both each fit needs: count^(2/3), and exposure^(1/6).
    count_root: f64,
    exposure_root: f64,
}

impl Total {
    fn closed(self) -> Self {
        Total { count_root: pow(self.count, 2.0 / 3.0), exposure_root: pow(self.exposure, 1.0 / 6.0), ..self }
    }

    /// Mean by the logarithm of that of an average period, and the residual from it.
    ///
    /// The Anscombe residual, 1.5 (y^(2/3) m^(-1/6) - m^(1/2)), is nearly normal for counts, with the
    /// variance of counts over their mean (Farrington et al. 1996).
    fn mean_and_residual(&self, ln_average: f64) -> (f64, f64) {
        let root = self.exposure_root * exp(ln_average.clamp(-30.0, 30.0) / 6.0);
        let half = root * root * root;
        (half * half, 1.5 * (self.count_root / root - half))
    }
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
            running: Total::default(),
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
        let total = std::mem::take(&mut self.running);
        self.totals.push_back(total.closed());
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
        // One matrix serves for steps that are small.
        let (mut factored, mut moved) = (None, f64::INFINITY);
        for _ in 0..NEWTON_STEPS {
            let known = factored.take_if(|_| moved < MATRIX_KEPT_MAX);
            let (gradient, information) = self.slopes(&beta, &ridge, (used, phi), known.is_none());
            let root = known.unwrap_or_else(|| root(information));
            let step = solve(&root, gradient);
            moved = 0.0;
            for (value, step) in beta.iter_mut().zip(step) {
                // A long step from a poor start would overshoot the exponential.
                let step = step.clamp(-2.0, 2.0);
                *value += step;
                moved = step.abs().max(moved);
            }
            factored = Some(root);
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
                let row = self.row_of_cycle(self.first + index as u64);
                sizes.push(total.mean_and_residual(dot(&row, &self.beta)).1.abs());
            }
        }
        let middle = sizes.len() / 2;
        if sizes.is_empty() {
            return 0.0;
        }
        let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
        (*median / MEDIAN_OF_NORMAL) * (*median / MEDIAN_OF_NORMAL)
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

    /// Gradient and, where it is wanted, information of the penalised quasi-likelihood, outlying totals
    /// down-weighted.
    fn slopes(
        &self,
        beta: &[f64; TERMS],
        ridge: &[f64; TERMS],
        (used, phi): (usize, f64),
        is_matrix_wanted: bool,
    ) -> ([f64; TERMS], Matrix) {
        let mut gradient = [0.0; TERMS];
        let mut information = [[0.0; TERMS]; TERMS];
        let outlying = OUTLYING * sqrt(phi);
        for (index, total) in self.totals.iter().take(used).enumerate() {
            if total.exposure <= 0.0 {
                continue;
            }
            let row = self.row_of_cycle(self.first + index as u64);
            let (mean, residual) = total.mean_and_residual(dot(&row, beta));
            let size = residual.abs();
            let weight = if size <= outlying { 1.0 } else { (outlying / size) * (outlying / size) };
            let slope = weight * (total.count - mean);
            for (sum, value) in gradient.iter_mut().zip(row) {
                *sum += slope * value;
            }
            if is_matrix_wanted {
                for (term, sums) in information.iter_mut().enumerate() {
                    let by_term = weight * mean * row[term];
                    for (sum, value) in sums.iter_mut().zip(row) {
                        *sum += by_term * value;
                    }
                }
            }
        }
        for term in 0..TERMS {
            gradient[term] -= ridge[term] * beta[term];
            information[term][term] += ridge[term] + 1e-9;
        }
        (gradient, information)
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

fn dot(a: &[f64; TERMS], b: &[f64; TERMS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Cholesky's root of a symmetric positive matrix, in its lower half.
fn root(mut matrix: Matrix) -> Matrix {
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
    matrix
}

/// Solves for the matrix of a root.
fn solve(root: &Matrix, mut right: [f64; TERMS]) -> [f64; TERMS] {
    for row in 0..TERMS {
        for before in 0..row {
            right[row] -= root[row][before] * right[before];
        }
        right[row] /= root[row][row];
    }
    for row in (0..TERMS).rev() {
        for after in row + 1..TERMS {
            right[row] -= root[after][row] * right[after];
        }
        right[row] /= root[row][row];
    }
    right
}
