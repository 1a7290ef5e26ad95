//! Sensitivity, specificity, detection and timeliness, as the paper defines them.

use std::ops::Range;

use super::simulator::{Run, SIZES};

/// What is true of a run, on its judged days.
pub(super) struct Truth {
    /// For each size of outbreak, whether it brought cases on the day.
    outbreak: Vec<Vec<bool>>,
    /// Its first judged day and the one after its last; empty where it brought none.
    days: Vec<Range<usize>>,
}

impl Truth {
    pub(super) fn of(run: &Run) -> Self {
        let judged = |cases: &[u32]| cases[run.judged.clone()].iter().map(|cases| *cases > 0).collect();
        let outbreak: Vec<Vec<bool>> = run.eventful.iter().map(|eventful| judged(&eventful.cases)).collect();
        let days = outbreak.iter().map(|days| {
            let first = days.iter().position(|day| *day).unwrap_or(0);
            first..days.iter().rposition(|day| *day).map_or(first, |last| last + 1)
        });
        Truth { days: days.collect(), outbreak }
    }

    /// The days of the outbreak of a size.
    pub(super) fn days(&self, size: usize) -> Range<usize> {
        self.days[size].clone()
    }
}

/// What a detector said on the judged days of one run: statistics, larger the stranger a day is.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) calm: Vec<f64>,
    /// For each size of outbreak.
    pub(super) eventful: Vec<Vec<f64>>,
    /// Days of the calm series on which it alarms at its own nominal rate; `None` if it has none.
    pub(super) nominal: Option<Share>,
}

/// How many of some things are so.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    pub(super) of: u64,
    pub(super) are: u64,
}

impl Share {
    fn add(&mut self, is: bool) {
        self.of += 1;
        self.are += u64::from(is);
    }

    pub(super) fn plus(self, other: Share) -> Share {
        Share { of: self.of + other.of, are: self.are + other.are }
    }

    pub(super) fn value(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.are as f64 / self.of as f64 }
    }
}

/// Standard error of the mean of shares of independent runs; `None` for fewer than two. False alarms come
/// in clusters, so it is not that of independent days.
pub(super) fn standard_error(shares: &[Share]) -> Option<f64> {
    let number = shares.len() as f64;
    let mean = shares.iter().map(|share| share.value()).sum::<f64>() / number;
    let squares: f64 = shares.iter().map(|share| (share.value() - mean) * (share.value() - mean)).sum();
    (shares.len() >= 2).then(|| libm::sqrt(squares / (number - 1.0) / number))
}

/// What came of outbreaks of one size in one signal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Share of the days of outbreaks with an alarm.
    pub(super) sensitivity: f64,
    /// Share of the other days of the same runs without one.
    pub(super) specificity: f64,
    /// Share of outbreaks with an alarm on any of their days.
    pub(super) found: f64,
    /// Part of an outbreak that is over when its first alarm comes, 1 where none comes.
    pub(super) timeliness: f64,
}

/// Where the days lie of which a share may be over the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Specificity {
    /// In the runs with an outbreak, outside of it: the specificity of the paper. Alarms that stay on
    /// after an outbreak count.
    BesideOutbreaks,
    /// In the same runs without the outbreak.
    InCalm,
}

/// What came of one signal, for each size, at the threshold over which a share of the days without an
/// outbreak lie.
pub(super) fn outcomes(runs: &[(&Truth, &Said)], specificity: Specificity, share: f64) -> Vec<Outcome> {
    (0..SIZES.len())
        .map(|size| {
            let days: Vec<f64> = match specificity {
                Specificity::InCalm => runs.iter().flat_map(|(_, said)| said.calm.iter().copied()).collect(),
                Specificity::BesideOutbreaks => {
                    runs.iter().flat_map(|(truth, said)| beside(truth, said, size)).collect()
                }
            };
            outcome(runs, size, threshold(days, share))
        })
        .collect()
}

/// Statistics of the days on which an outbreak brought nothing.
fn beside<'a>(truth: &'a Truth, said: &'a Said, size: usize) -> impl Iterator<Item = f64> + 'a {
    let days = said.eventful[size].iter().zip(&truth.outbreak[size]);
    days.filter(|(_, outbreak)| !**outbreak).map(|(statistic, _)| *statistic)
}

fn outcome(runs: &[(&Truth, &Said)], size: usize, threshold: f64) -> Outcome {
    let (mut within, mut without, mut found) = (Share::default(), Share::default(), Share::default());
    let mut late = 0.0;
    for (truth, said) in runs {
        let mut first = None;
        for (day, statistic) in said.eventful[size].iter().enumerate() {
            let alarm = *statistic > threshold;
            if truth.outbreak[size][day] {
                within.add(alarm);
                first = first.or(alarm.then_some(day));
            } else {
                without.add(alarm);
            }
        }
        let days = truth.days(size);
        if !days.is_empty() {
            found.add(first.is_some());
            late += first.map_or(1.0, |first| (first - days.start) as f64 / days.len() as f64);
        }
    }
    Outcome {
        sensitivity: within.value(),
        specificity: 1.0 - without.value(),
        found: found.value(),
        timeliness: if found.of == 0 { 1.0 } else { late / found.of as f64 },
    }
}

/// The lowest threshold over which at most a share of these statistics lie.
fn threshold(mut statistics: Vec<f64>, share: f64) -> f64 {
    statistics.sort_unstable_by(|a, b| b.total_cmp(a));
    let allowed = (statistics.len() as f64 * share) as usize;
    statistics.get(allowed).copied().unwrap_or(f64::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_outbreaks_and_delays_are_counted() {
        let truth = Truth {
            outbreak: vec![vec![false, true, true, false, true, false]; SIZES.len()],
            days: vec![1..5; SIZES.len()],
        };
        let eventful = vec![vec![9.0, 0.0, 9.0, 0.0, 0.0, 0.0]; SIZES.len()];
        let said = Said { calm: vec![1.0, 5.0, 2.0, 3.0], eventful, nominal: None };
        let outcome = outcomes(&[(&truth, &said)], Specificity::InCalm, 0.25)[0];
        assert!((outcome.sensitivity - 1.0 / 3.0).abs() < 1e-12);
        assert!((outcome.specificity - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!((outcome.found, outcome.timeliness), (1.0, 0.25));
        // Of the three days beside the outbreak, one may lie over the threshold, and the highest does.
        let outcome = outcomes(&[(&truth, &said)], Specificity::BesideOutbreaks, 0.34)[0];
        assert!((outcome.sensitivity - 1.0 / 3.0).abs() < 1e-12);
        assert!((outcome.specificity - 2.0 / 3.0).abs() < 1e-12);
        // One of four calm days may lie over the threshold, which is the second highest.
        assert_eq!(threshold(said.calm, 0.25), 3.0);
    }

    #[test]
    fn the_error_of_a_rate_is_that_of_its_runs() {
        let share = |are| Share { of: 100, are };
        assert_eq!(standard_error(&[share(1)]), None);
        let error = standard_error(&[share(0), share(2)]).unwrap();
        assert!((error - 0.01).abs() < 1e-12, "{error}");
    }
}
