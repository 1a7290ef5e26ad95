//! Which of many counts rose: the expectation-based scan statistic over subsets, for negative
//! binomial counts.
//!
//! A hypothesis is a subset S of cells and one factor q by which what is usual there was multiplied.
//! Its statistic is the log likelihood ratio against "everything is as usual", the sum over S of
//! x ln q − (x + k) ln((k + q m) / (k + m)) for counts x, means m and sizes k; with one cell and its
//! best q that is [`glr`], and with k → ∞ Kulldorff's F = C ln(C/B) + B − C in its expectation-based
//! form (Neill, "Expectation-based scan statistics for monitoring spatial time series data", 2009).
//!
//! There are 2^n subsets and no need to look at them all. For a given q the best subset holds
//! exactly the cells whose own term exceeds what naming one more cell costs (Speakman, Somanchi,
//! McFowland and Neill, "Penalized fast subset scanning", 2016), so that a few dozen factors, each in
//! linear time, find the best of all subsets. For Poisson counts these are the cells in the order of
//! their ratio x / m, which is the linear-time subset scan of Neill (2012).

use libm::log;

use super::negative_binomial::{Expected, glr};

/// Factors that are tried: 1.5 · 1.25^i, from half as much again to some six thousand fold.
const FACTORS: u32 = 38;
const FACTOR_FIRST: f64 = 1.5;
const FACTOR_STEP: f64 = 1.25;
/// Most subsets with a factor of their own each that one scan looks for.
const CLUSTERS_MAX: usize = 8;
/// Smallest statistic, with the cost of naming taken off, that is something: e^3 is twenty to one,
/// which Kass and Raftery ("Bayes factors", 1995) call strong.
pub const STATISTIC_MIN: f64 = 3.0;

/// The same for a further subset beside the first. The first is looked for because something is known
/// to be wrong; a further one may be chance, and is looked for every minute as long as the first lasts.
const FURTHER_MIN: f64 = 2.0 * STATISTIC_MIN;

/// A count and what was expected of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Sources, at least 0.
    pub counted: f64,
    /// Usual mean and size.
    pub usual: Expected,
}

impl Cell {
    /// Sources beyond the usual mean; negative below it.
    pub fn excess(&self) -> f64 {
        self.counted - self.usual.mean
    }

    /// Log likelihood ratio of "`factor` times as much" against "as usual", in nats.
    pub fn ratio(&self, factor: f64) -> f64 {
        let (mean, size) = (self.usual.mean.max(1e-9), self.usual.size);
        self.counted * log(factor) - (self.counted + size) * log((size + factor * mean) / (size + mean))
    }

    /// The same with the factor that suits the count best.
    pub fn best_ratio(&self) -> f64 {
        glr(self.counted, self.usual)
    }

    /// Several cells as one, their noises taken as independent: variances add up, so that
    /// 1/k = Σ (m²/k) / (Σ m)².
    pub fn sum(cells: impl Iterator<Item = Cell>) -> Cell {
        let (mut counted, mut mean, mut spread, mut size) = (0.0, 0.0, 0.0, f64::INFINITY);
        for cell in cells {
            counted += cell.counted;
            mean += cell.usual.mean;
            spread += cell.usual.mean * cell.usual.mean / cell.usual.size;
            size = size.min(cell.usual.size);
        }
        let size = if spread > 0.0 { mean * mean / spread } else { size.min(1e9) };
        Cell { counted, usual: Expected { mean, size } }
    }
}

/// The cells that rose, and by how much that explains the counts better than calm does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Indices of cells, most excess first.
    pub members: Vec<usize>,
    /// Log likelihood ratio with the cost of naming taken off, in nats.
    pub statistic: f64,
}

/// Finds the cells that rose. After the best subset is found, what is left is scanned again, for
/// places are hit with different force (Zhang, Assunção and Kulldorff, "Spatial scan statistics
/// adjusted for multiple clusters", 2010). `naming_cost` is what each further cell must bring, in nats:
/// the logarithm of the number of cells to choose from.
pub fn scan(cells: &[Cell], naming_cost: f64) -> Found {
    let mut found = Found::default();
    let mut left: Vec<usize> =
        (0..cells.len()).filter(|index| cells[*index].counted > cells[*index].usual.mean).collect();
    for _ in 0..CLUSTERS_MAX {
        let (statistic, factor) = best_factor(cells, &left, naming_cost);
        if statistic < if found.members.is_empty() { STATISTIC_MIN } else { FURTHER_MIN } {
            break;
        }
        found.statistic += statistic;
        let rises = |index: &usize| cells[*index].ratio(factor) > naming_cost;
        found.members.extend(left.iter().copied().filter(rises));
        left.retain(|index| !rises(index));
    }
    found.members.sort_by(|a, b| cells[*b].excess().total_cmp(&cells[*a].excess()).then(a.cmp(b)));
    found
}

/// The statistic of the best subset, and its factor.
fn best_factor(cells: &[Cell], left: &[usize], naming_cost: f64) -> (f64, f64) {
    let mut best = (0.0, FACTOR_FIRST);
    let mut factor = FACTOR_FIRST;
    // Each factor's terms in ascending order, so that the order of cells changes no bit of the sum.
    let mut terms = Vec::with_capacity(left.len());
    for _ in 0..FACTORS {
        terms.clear();
        let ratios = left.iter().map(|index| cells[*index].ratio(factor) - naming_cost);
        terms.extend(ratios.filter(|term| *term > 0.0));
        terms.sort_unstable_by(f64::total_cmp);
        let statistic: f64 = terms.iter().sum();
        if statistic > best.0 {
            best = (statistic, factor);
        }
        factor *= FACTOR_STEP;
    }
    best
}

/// Log likelihood ratio of "all of these rose by one factor", in nats; at least 0.
pub fn shared_ratio(cells: &[Cell]) -> f64 {
    let mut factor = 1.0;
    let mut best = 0.0f64;
    for _ in 0..2 * FACTORS {
        best = best.max(cells.iter().map(|cell| cell.ratio(factor)).sum());
        factor *= 1.12;
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(counted: f64, mean: f64, size: f64) -> Cell {
        Cell { counted, usual: Expected { mean, size } }
    }

    fn cells() -> impl Strategy<Value = Vec<Cell>> {
        let one = (0.0..60.0f64, 0.001..20.0f64, 0.2..40.0f64);
        prop::collection::vec(one.prop_map(|(x, m, k)| cell(x.floor(), m, k)), 1..12)
    }

    fn cost(cells: &[Cell]) -> f64 {
        log(cells.len() as f64)
    }

    /// The best statistic over all subsets and all factors that are tried.
    fn by_brute_force(cells: &[Cell], naming_cost: f64) -> f64 {
        let mut best = 0.0f64;
        for subset in 1u32..1 << cells.len() {
            let mut factor = FACTOR_FIRST;
            for _ in 0..FACTORS {
                let members = cells.iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1);
                best = best.max(members.map(|(_, cell)| cell.ratio(factor) - naming_cost).sum());
                factor *= FACTOR_STEP;
            }
        }
        best
    }

    #[test]
    fn one_cell_that_rose_is_found_among_many() {
        let mut cells = vec![cell(3.0, 2.5, 6.0); 40];
        cells[17] = cell(30.0, 0.4, 1.0);
        let found = scan(&cells, cost(&cells));
        assert_eq!(found.members, [17]);
        assert!(found.statistic > 10.0, "{found:?}");
    }

    #[test]
    fn cells_that_rose_by_different_factors_are_all_found() {
        let mut cells = vec![cell(20.0, 20.0, 10.0); 20];
        cells[3] = cell(20_000.0, 40.0, 10.0);
        cells[8] = cell(65.0, 1.5, 4.0);
        cells[9] = cell(400.0, 30.0, 20.0);
        assert_eq!(scan(&cells, cost(&cells)).members, [3, 9, 8]);
    }

    #[test]
    fn with_large_sizes_it_is_the_poisson_statistic() {
        let (c, b) = (120.0, 10.0);
        let one = cell(c, b, 1e9);
        let f = c * log(c / b) + b - c;
        assert!((one.best_ratio() - f).abs() < 1e-3);
        assert!((shared_ratio(&[one]) - f).abs() < 0.5);
    }

    proptest! {
        #[test]
        fn the_first_subset_is_the_best_of_all(cells in cells(), naming_cost in 0.0..4.0f64) {
            let all: Vec<usize> = (0..cells.len()).collect();
            let (fast, _) = best_factor(&cells, &all, naming_cost);
            let slow = by_brute_force(&cells, naming_cost);
            prop_assert!((fast - slow).abs() < 1e-6, "{fast} {slow}");
        }

        #[test]
        fn more_in_a_cell_that_is_named_keeps_it_named(cells in cells(), more in 1.0..500.0f64) {
            for index in scan(&cells, cost(&cells)).members {
                let mut grown = cells.clone();
                grown[index].counted += more;
                let found = scan(&grown, cost(&cells));
                prop_assert!(found.members.contains(&index), "{index} {grown:?} {found:?}");
            }
        }

        #[test]
        fn the_order_of_cells_changes_nothing(cells in cells(), turn in 0usize..12) {
            let mut turned = cells.clone();
            turned.rotate_left(turn % cells.len());
            let (one, other) = (scan(&cells, cost(&cells)), scan(&turned, cost(&cells)));
            prop_assert_eq!(one.statistic.to_bits(), other.statistic.to_bits());
            let mut back: Vec<usize> =
                other.members.iter().map(|index| (index + turn) % cells.len()).collect();
            let mut members = one.members.clone();
            back.sort_unstable();
            members.sort_unstable();
            prop_assert_eq!(members, back);
        }
    }
}
