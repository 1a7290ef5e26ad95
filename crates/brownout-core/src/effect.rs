//! What the engine asks of its host: a closed list, and nothing else ever leaves it.

use std::sync::Arc;

use crate::model::{Minute, SeriesKey};
use crate::snapshot::IncidentView;
use crate::verdict::Verdict;

/// Something the host is to do. A replay of old records discards effects that reach outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Keep what was derived up to this position, whole and once.
    Persist(crate::model::Seq, Box<Derived>),
    /// Something to show has changed: draw a snapshot when readers are to have one.
    Publish,
}

/// What was derived since the last time.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// Roll-ups to add or replace.
    pub roll_ups: Vec<RollUp>,
    /// Incidents that changed, each as it is now.
    pub incidents: Vec<Arc<IncidentView>>,
    /// Judgements that were published.
    pub verdicts: Vec<Arc<Verdict>>,
    /// First minutes of the five-minute intervals that are history from here on, in order: evidence
    /// was collected throughout, and no report in them can still come. A series without a roll-up of
    /// such an interval had none there; of any other interval nothing is known.
    pub collected: Vec<Minute>,
}

impl Derived {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.is_calm() && self.collected.is_empty()
    }

    /// Whether it says at most that nothing happened.
    pub fn is_calm(&self) -> bool {
        self.roll_ups.is_empty() && self.incidents.is_empty() && self.verdicts.is_empty()
    }

    /// Takes in what a calm set just before it says, so that both can be kept as one.
    pub fn absorb(&mut self, calm: Derived) {
        let later = std::mem::replace(&mut self.collected, calm.collected);
        self.collected.extend(later);
    }
}

/// A count of one five-minute interval, kept for charts. Intervals without a count are not kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RollUp {
    /// Which series.
    pub key: SeriesKey,
    /// First minute of the interval; a multiple of five.
    pub start: Minute,
    /// Distinct sources, weighted, in hundredths.
    pub hundredths: u32,
    /// Usual mean for the interval, in sources.
    pub expected: f32,
}
