//! Sensitivity, specificity, detection and timeliness, as the paper defines them.

use super::simulator::{Eventful, Run};

/// Of what a detector said on the days of one kind of runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    days: u64,
    alarms: u64,
}

impl Counts {
    fn add(&mut self, alarm: bool) {
        self.days += 1;
        self.alarms += u64::from(alarm);
    }

    pub(super) fn share(self) -> f64 {
        if self.days == 0 { 0.0 } else { self.alarms as f64 / self.days as f64 }
    }
}

/// What came of the runs of one signal at one threshold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Alarms on the days of outbreaks.
    pub(super) outbreak_days: Counts,
    /// Alarms on the other days of the same runs.
    pub(super) other_days: Counts,
    /// Alarms within outbreaks, each counted once.
    pub(super) outbreaks: Counts,
    /// The part of each outbreak that was over when its first alarm came, 1 where none came.
    late: f64,
}

impl Outcome {
    /// Takes the alarms of one run with an outbreak; `alarm` answers for judged days.
    pub(super) fn add(&mut self, run: &Run, eventful: &Eventful, alarm: impl Fn(usize) -> bool) {
        let mut first = None;
        for day in run.judged.clone() {
            if eventful.cases[day] > 0 {
                self.outbreak_days.add(alarm(day));
                first = first.or(alarm(day).then_some(day));
            } else {
                self.other_days.add(alarm(day));
            }
        }
        if !eventful.days.is_empty() {
            self.outbreaks.add(first.is_some());
            let length = eventful.days.len() as f64;
            self.late += first.map_or(1.0, |first| (first - eventful.days.start) as f64 / length);
        }
    }

    pub(super) fn sensitivity(&self) -> f64 {
        self.outbreak_days.share()
    }

    pub(super) fn specificity(&self) -> f64 {
        1.0 - self.other_days.share()
    }

    pub(super) fn timeliness(&self) -> f64 {
        if self.outbreaks.days == 0 { 1.0 } else { self.late / self.outbreaks.days as f64 }
    }
}

/// The lowest threshold over which at most a share of these statistics lie.
pub(super) fn threshold(statistics: &[f64], share: f64) -> f64 {
    let mut sorted = statistics.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let allowed = (sorted.len() as f64 * share) as usize;
    sorted.get(allowed).copied().unwrap_or(f64::NEG_INFINITY)
}
