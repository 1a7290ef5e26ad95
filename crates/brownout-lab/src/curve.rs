//! Minute counts that meet given trailing sums exactly.
//!
//! A published figure is a count of the 15 minutes up to a moment: an anchor at minute T of height
//! N means that the minutes T-15 to T-1 hold N sources together. Between anchors nothing is known,
//! so each anchor's window is as flat as it can be and the rate runs geometrically from one window
//! to the next. The trailing sum then never exceeds the higher of two neighbouring anchors between
//! them, unless their windows overlap.

use std::fmt;

/// Minutes that a published figure covers.
pub const WINDOW_MINUTES: u32 = 15;
const WINDOW: usize = WINDOW_MINUTES as usize;
/// Rate below which an interpolation does not go, per minute, for it is geometric.
const RATE_MIN: f64 = 0.02;
/// Minutes in which what exceeds the baseline halves after the last anchor.
const TAIL_HALF_LIFE_MINUTES: f64 = 6.0;
const TAIL_MINUTES_MAX: usize = 180;

/// Counts per minute from a first minute on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    /// Minute of the first count, on the caller's scale.
    pub first: u32,
    /// Sources per minute.
    pub counts: Vec<u32>,
}

impl Curve {
    /// The count of a minute; `None` outside the curve.
    pub fn at(&self, minute: u32) -> Option<u32> {
        let index = minute.checked_sub(self.first)?;
        self.counts.get(index as usize).copied()
    }
}

/// Anchors that contradict each other: no counts of zero or more meet all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Position of the first anchor of the group whose windows overlap.
    pub first: usize,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anchors less than 15 minutes apart contradict each other: no counts meet all of them")
    }
}

/// Counts for anchors `(minute, sum of the 15 minutes before it)`, in rising order of minutes, each
/// at minute 15 or later. `baseline` is the usual rate per minute, to which the end falls back.
pub fn solve(anchors: &[(u32, u32)], baseline: f64) -> Result<Curve, Contradiction> {
    let Some(&(first_at, _)) = anchors.first() else {
        return Ok(Curve { first: 0, counts: Vec::new() });
    };
    let first = first_at.saturating_sub(WINDOW_MINUTES);
    let mut curve = Curve { first, counts: Vec::new() };
    let mut pinned: Vec<bool> = Vec::new();
    let mut begin = 0;
    while begin < anchors.len() {
        let end = overlap_end(anchors, begin);
        let group = &anchors[begin..end];
        let origin = group[0].0.saturating_sub(WINDOW_MINUTES);
        let solved = solve_group(group, origin).ok_or(Contradiction { first: begin })?;
        if begin > 0 {
            let gap = (origin - first) as usize - curve.counts.len();
            let from = f64::from(anchors[begin - 1].1) / WINDOW as f64;
            let last = curve.counts.last().map_or(from, |count| f64::from(*count));
            // A lone window is flat, so its exact rate is known better than its last whole count.
            let lone_before = begin == 1 || anchors[begin - 1].0 - anchors[begin - 2].0 >= WINDOW_MINUTES;
            let to = if group.len() == 1 { f64::from(group[0].1) / WINDOW as f64 } else { solved[0].into() };
            extend(&mut curve.counts, geometric(if lone_before { from } else { last }, to, gap));
            pinned.resize(curve.counts.len(), false);
        }
        curve.counts.extend(solved);
        pinned.resize(curve.counts.len(), true);
        begin = end;
    }
    let last = anchors.last().map_or(0.0, |(_, sum)| f64::from(*sum) / WINDOW as f64);
    extend(&mut curve.counts, tail(last, baseline));
    pinned.resize(curve.counts.len(), false);
    lower_bumps(&mut curve, &pinned, anchors, baseline);
    Ok(curve)
}

/// One past the last anchor whose window overlaps, directly or through others, that of `begin`.
fn overlap_end(anchors: &[(u32, u32)], begin: usize) -> usize {
    let mut end = begin + 1;
    while end < anchors.len() && anchors[end].0 - anchors[end - 1].0 < WINDOW_MINUTES {
        end += 1;
    }
    end
}

/// Counts from `origin` to the last anchor of a group of overlapping windows.
fn solve_group(group: &[(u32, u32)], origin: u32) -> Option<Vec<u32>> {
    let windows: Vec<(usize, u64)> =
        group.iter().map(|&(at, sum)| ((at - WINDOW_MINUTES - origin) as usize, u64::from(sum))).collect();
    let length = windows.last()?.0 + WINDOW;
    let fitted = round(&fit(&windows, length));
    let counts = if meets(&fitted, &windows) { fitted } else { lowest(&windows, length)? };
    counts.into_iter().map(|count| u32::try_from(count).ok()).collect()
}

/// Iterative proportional fitting from a flat start: of all rates that meet the sums, the flattest.
fn fit(windows: &[(usize, u64)], length: usize) -> Vec<f64> {
    let mut rates = vec![1.0_f64; length];
    for _ in 0..2000 {
        let mut worst = 0.0_f64;
        for &(start, sum) in windows {
            let held: f64 = rates[start..start + WINDOW].iter().sum();
            let factor = if held > 0.0 { sum as f64 / held } else { 0.0 };
            worst = worst.max((factor - 1.0).abs());
            rates[start..start + WINDOW].iter_mut().for_each(|rate| *rate *= factor);
        }
        if worst < 1e-14 {
            break;
        }
    }
    rates
}

/// Whole counts whose running sum is the running sum of the rates, rounded down. Sums that are
/// whole stay as they are, because both ends of such a window have the same fraction.
fn round(rates: &[f64]) -> Vec<i64> {
    let mut sum = 0.0;
    let mut before = 0;
    let whole = |rate: &f64| {
        sum += rate;
        let now = (sum + 1e-6) as i64;
        let count = now - before;
        before = now;
        count
    };
    rates.iter().map(whole).collect()
}

fn meets(counts: &[i64], windows: &[(usize, u64)]) -> bool {
    counts.iter().all(|count| *count >= 0)
        && windows.iter().all(|&(start, sum)| counts[start..start + WINDOW].iter().sum::<i64>() == sum as i64)
}

/// The lowest running sums that meet all windows, if any do: longest paths over the differences.
/// Exact where fitting converges too slowly, at the price of flatness.
fn lowest(windows: &[(usize, u64)], length: usize) -> Option<Vec<i64>> {
    let mut sums = vec![0_i64; length + 1];
    for _ in 0..=length + 1 {
        let mut changed = false;
        let mut raise = |sums: &mut Vec<i64>, at: usize, to: i64| {
            if sums[at] < to {
                sums[at] = to;
                changed = true;
            }
        };
        for at in 1..=length {
            let to = sums[at - 1];
            raise(&mut sums, at, to);
        }
        for &(start, sum) in windows {
            let (low, high) = (sums[start] + sum as i64, sums[start + WINDOW] - sum as i64);
            raise(&mut sums, start + WINDOW, low);
            raise(&mut sums, start, high);
        }
        if !changed {
            return Some(sums.windows(2).map(|pair| pair[1] - pair[0]).collect());
        }
    }
    None
}

fn geometric(from: f64, to: f64, steps: usize) -> impl Iterator<Item = f64> {
    let (from, to) = (from.max(RATE_MIN), to.max(RATE_MIN));
    (1..=steps).map(move |step| from * libm::pow(to / from, step as f64 / (steps + 1) as f64))
}

fn tail(from: f64, baseline: f64) -> impl Iterator<Item = f64> {
    let excess = from - baseline;
    (1..=TAIL_MINUTES_MAX)
        .map(move |step| excess * libm::exp2(-(step as f64) / TAIL_HALF_LIFE_MINUTES))
        .take_while(move |left| left.abs() > 0.01 + baseline * 0.02)
        .map(move |left| baseline + left)
}

/// Appends rates as whole counts, carrying fractions over.
fn extend(counts: &mut Vec<u32>, rates: impl Iterator<Item = f64>) {
    let rates: Vec<f64> = rates.collect();
    // Half a source of head start, so that a short low stretch is not always zero.
    let mut carried = 0.5;
    for rate in rates {
        carried += rate;
        let whole = carried as u32;
        carried -= f64::from(whole);
        counts.push(whole);
    }
}

/// Rounding may lift a trailing sum by one above its neighbouring anchors: takes it out of minutes
/// that no anchor covers, so that an anchor between lower ones is the highest moment around.
fn lower_bumps(curve: &mut Curve, pinned: &[bool], anchors: &[(u32, u32)], baseline: f64) {
    for (index, &(at, sum)) in anchors.iter().enumerate() {
        let next = anchors.get(index + 1);
        let last = curve.first + curve.counts.len() as u32;
        let usual = (baseline * WINDOW as f64) as u32;
        let (until, higher) = next.map_or((last, sum.max(usual)), |&(until, other)| (until, sum.max(other)));
        for moment in at + 1..until {
            let end = (moment - curve.first) as usize;
            let window = end.saturating_sub(WINDOW)..end;
            let mut over = curve.counts[window.clone()].iter().map(|count| u64::from(*count)).sum::<u64>()
                as i64
                - (i64::from(higher) - 1).max(0);
            for minute in window.rev() {
                if over > 0 && !pinned[minute] {
                    let taken = over.min(i64::from(curve.counts[minute]));
                    curve.counts[minute] -= taken as u32;
                    over -= taken;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trailing(curve: &Curve, at: u32) -> u64 {
        (at - WINDOW_MINUTES..at).filter_map(|minute| curve.at(minute)).map(u64::from).sum()
    }

    #[test]
    fn overlapping_windows_are_met_exactly() {
        let anchors = [(60, 20_538), (84, 4000), (95, 900)];
        let curve = solve(&anchors, 4.0).expect("feasible");
        for (at, sum) in anchors {
            assert_eq!(trailing(&curve, at), u64::from(sum));
        }
        assert!((61..84).all(|at| trailing(&curve, at) < 20_538));
    }

    #[test]
    fn contradictions_are_named() {
        // The middle window is covered by its neighbours, which hold far less.
        assert_eq!(solve(&[(15, 10), (20, 1000), (25, 10)], 0.0), Err(Contradiction { first: 0 }));
    }

    proptest! {
        #[test]
        fn anchors_apart_are_met_and_never_exceeded_between(
            steps in prop::collection::vec((15_u32..200, 0_u32..60_000), 1..12), baseline in 0.0_f64..20.0,
        ) {
            let mut at = 0;
            let anchors: Vec<(u32, u32)> = steps.iter().map(|(gap, sum)| { at += gap; (at, *sum) }).collect();
            let curve = solve(&anchors, baseline).expect("windows that do not overlap are always feasible");
            for &(at, sum) in &anchors {
                prop_assert_eq!(trailing(&curve, at), u64::from(sum));
            }
            for pair in anchors.windows(2) {
                let highest = u64::from(pair[0].1.max(pair[1].1));
                for moment in pair[0].0..=pair[1].0 {
                    prop_assert!(trailing(&curve, moment) <= highest, "at {}", moment);
                }
            }
        }

        #[test]
        fn any_sums_of_real_counts_can_be_met(
            counts in prop::collection::vec(0_u32..500, 16..120),
            picks in prop::collection::btree_set(15_u32..120, 1..10),
        ) {
            let real = Curve { first: 0, counts };
            let anchors: Vec<(u32, u32)> = picks.into_iter()
                .filter(|at| *at as usize <= real.counts.len())
                .map(|at| (at, trailing(&real, at) as u32))
                .collect();
            let curve = solve(&anchors, 1.0).expect("they were met once");
            for &(at, sum) in &anchors {
                prop_assert_eq!(trailing(&curve, at), u64::from(sum));
            }
        }
    }
}
