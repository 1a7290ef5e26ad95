//! An adapter that keeps everything in memory: for scenarios, tests, and as the plainest statement
//! of what the port asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brownout_core::effect::{Derived, RollUp};
use brownout_core::model::{Evidence, IncidentId, Minute, Record, Seq, SeriesKey, UtcTime};
use brownout_core::snapshot::IncidentView;
use brownout_core::verdict::Verdict;

use crate::port::{
    Appended, Checkpoint, Checkpoints, Collected, DerivedStore, EvidenceLog, History, IncidentCursor,
    StoreError,
};

/// Storage that is gone with the process. Clones share what they hold.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Record>,
    checkpoints: BTreeMap<Seq, Checkpoint>,
    applied: Seq,
    roll_ups: BTreeMap<(SeriesKey, Minute), RollUp>,
    incidents: BTreeMap<IncidentId, IncidentView>,
    verdicts: BTreeMap<(IncidentId, u32), Verdict>,
    /// First minutes of whole intervals.
    collected: BTreeSet<Minute>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EvidenceLog for MemoryStore {
    fn append(&mut self, now: UtcTime, batches: &[Vec<Evidence>]) -> Result<Vec<Appended>, StoreError> {
        let mut state = self.state();
        let received_at = state.records.last().map_or(now, |last| last.received_at.max(now));
        let mut appended = Vec::with_capacity(batches.len());
        for batch in batches {
            let first_seq = Seq(state.records.len() as u64 + 1);
            appended.push(Appended { first_seq, received_at });
            let numbered = (first_seq.0..).map(Seq).zip(batch.iter().cloned());
            state.records.extend(numbered.map(|(seq, evidence)| Record { seq, received_at, evidence }));
        }
        Ok(appended)
    }

    fn read(
        &self,
        from: Seq,
    ) -> Result<Box<dyn Iterator<Item = Result<Record, StoreError>> + '_>, StoreError> {
        let mut next = from.0.saturating_sub(1) as usize;
        Ok(Box::new(std::iter::from_fn(move || {
            let record = self.state().records.get(next).cloned()?;
            next += 1;
            Some(Ok(record))
        })))
    }

    fn last_seq(&self) -> Seq {
        Seq(self.state().records.len() as u64)
    }

    fn last_received_at(&self) -> Option<UtcTime> {
        self.state().records.last().map(|record| record.received_at)
    }

    fn first_seq(&self) -> Seq {
        Seq(1)
    }
}

impl Checkpoints for MemoryStore {
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.state().checkpoints.insert(checkpoint.seq, checkpoint.clone());
        Ok(())
    }

    fn newest(&self, not_after: Seq) -> Result<Option<Checkpoint>, StoreError> {
        let state = self.state();
        Ok(state.checkpoints.range(..=not_after).next_back().map(|(_, checkpoint)| checkpoint.clone()))
    }
}

impl DerivedStore for MemoryStore {
    fn applied(&self) -> Result<Seq, StoreError> {
        Ok(self.state().applied)
    }

    fn apply(&mut self, seq: Seq, derived: &Derived) -> Result<(), StoreError> {
        let mut state = self.state();
        if seq <= state.applied {
            return Ok(());
        }
        state.applied = seq;
        state.roll_ups.extend(derived.roll_ups.iter().map(|it| ((it.key, it.start), *it)));
        state.collected.extend(&derived.collected);
        state.incidents.extend(derived.incidents.iter().map(|view| (view.id, (**view).clone())));
        for verdict in &derived.verdicts {
            if let Some(incident) = verdict.incident {
                state.verdicts.insert((incident, verdict.revision), (**verdict).clone());
            }
        }
        Ok(())
    }
}

impl History for MemoryStore {
    fn roll_ups(
        &self,
        key: SeriesKey,
        from: Minute,
        to: Minute,
        limit: usize,
    ) -> Result<Vec<RollUp>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let state = self.state();
        Ok(state.roll_ups.range((key, from)..(key, to)).map(|(_, it)| *it).take(limit).collect())
    }

    fn collected(&self, from: Minute, to: Minute) -> Result<Collected, StoreError> {
        let state = self.state();
        let mut spans: Vec<(Minute, Minute)> = Vec::new();
        for start in state.collected.iter().filter(|start| start.plus(5) > from && **start < to) {
            match spans.last_mut().filter(|last| last.1 == *start) {
                Some(last) => last.1 = start.plus(5),
                None => spans.push((*start, start.plus(5))),
            }
        }
        Ok(Collected { spans, settled_until: state.collected.last().map(|start| start.plus(5)) })
    }

    fn incidents(&self, from: IncidentCursor, limit: usize) -> Result<Vec<IncidentView>, StoreError> {
        let state = self.state();
        let mut views: Vec<_> = state.incidents.values().filter(|view| from.is_before(view)).collect();
        views.sort_by_key(|view| (std::cmp::Reverse(view.opened_at), view.id.service));
        Ok(views.into_iter().take(limit).cloned().collect())
    }

    fn incident(&self, id: IncidentId) -> Result<Option<IncidentView>, StoreError> {
        Ok(self.state().incidents.get(&id).cloned())
    }

    fn verdicts(&self, id: IncidentId) -> Result<Vec<Verdict>, StoreError> {
        let state = self.state();
        Ok(state.verdicts.range((id, 0)..=(id, u32::MAX)).map(|(_, verdict)| verdict.clone()).collect())
    }
}
