//! From stored records back to an engine.

use std::path::Path;
use std::sync::Arc;

use brownout_core::effect::{Derived, Effect};
use brownout_core::engine::{ENGINE_VERSION, Engine};
use brownout_core::model::{Catalogue, ChannelId, Evidence, Policy, Seq, UtcTime};
use brownout_store::embedded::{
    Admin, CheckpointFolder, Clock, CommentLog, EmbeddedLog, EmbeddedStore, LogReader, Maintenance,
    ReadOnlyStore, SqliteDerived, SqliteHistory,
};
use brownout_store::port::{Checkpoints, DerivedStore, EvidenceLog, StoreError};

use super::keeper::CALM_MAX;

/// An opened folder with its engine at the log's end.
pub(super) struct Parts {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) last_received_at: Option<UtcTime>,
    pub(super) log: EmbeddedLog,
    pub(super) comments: CommentLog,
    pub(super) checkpoints: CheckpointFolder,
    pub(super) checkpoints_again: CheckpointFolder,
    pub(super) derived: SqliteDerived,
    pub(super) history: Arc<SqliteHistory>,
    pub(super) admin: Arc<Admin>,
    pub(super) maintenance: Arc<Maintenance>,
    pub(super) counters: Arc<brownout_store::counters::Counters>,
}

/// Brings the engine and what is derived up to the log's end.
pub(super) fn recover(mut store: EmbeddedStore) -> Result<Parts, StoreError> {
    let reader = store.log.reader();
    let engine = engine_at_end(&store.checkpoints, &reader, Some(&mut store.derived))?;
    Ok(Parts {
        engine,
        clock: store.info.clock,
        last_received_at: store.log.last_received_at(),
        log: store.log,
        comments: store.comments,
        checkpoints_again: store.checkpoints.clone(),
        checkpoints: store.checkpoints,
        derived: store.derived,
        history: store.history,
        admin: store.admin,
        maintenance: store.maintenance,
        counters: store.counters,
    })
}

/// The engine of a folder that is only read.
pub(super) fn read_only(store: &ReadOnlyStore) -> Result<Engine, StoreError> {
    engine_at_end(&store.checkpoints, &store.log, None)
}

/// An engine at the log's end: the newest checkpoint that is not ahead of what is derived, and
/// the records after it. What they derive is applied where it is not yet.
pub(super) fn engine_at_end(
    checkpoints: &CheckpointFolder,
    reader: &LogReader,
    mut derived: Option<&mut SqliteDerived>,
) -> Result<Engine, StoreError> {
    let applied = match &derived {
        Some(derived) => derived.applied()?,
        None => Seq(u64::MAX),
    };
    let mut engine = checkpoints
        .newest(applied)?
        .filter(|checkpoint| checkpoint.engine == ENGINE_VERSION)
        .and_then(|checkpoint| Engine::restore(&checkpoint.state))
        .unwrap_or_default();
    let from = engine.seq().next();
    let mut records = 0u64;
    let mut owed = Owed::default();
    run(&mut engine, reader, from, |engine, count| {
        records += count;
        while let Some(effect) = engine.poll_effect() {
            if let (Effect::Persist(seq, rows), Some(derived)) = (effect, derived.as_deref_mut()) {
                owed.take(seq, rows, derived)?;
            }
        }
        Ok(())
    })?;
    if let Some(derived) = derived {
        // A checkpoint after the last row that was derived can be used at the next start, too.
        owed.sets.push((engine.seq(), Box::new(std::mem::take(&mut owed.calm))));
        derived.apply_all(&owed.sets)?;
    }
    if records > 0 {
        tracing::info!(records, from = from.0, "replayed the log");
    }
    Ok(engine)
}

/// Most sets that are made durable together while history is made again: one by one, each would
/// wait for a flush of the medium.
const SETS_MAX: usize = 256;

/// What a replay derived and history does not have yet.
#[derive(Default)]
struct Owed {
    /// Calm sets, as one.
    calm: Derived,
    sets: Vec<(Seq, Box<Derived>)>,
}

impl Owed {
    fn take(
        &mut self,
        seq: Seq,
        mut rows: Box<Derived>,
        derived: &mut impl DerivedStore,
    ) -> Result<(), StoreError> {
        rows.absorb(std::mem::take(&mut self.calm));
        if rows.is_calm() && rows.collected.len() < CALM_MAX {
            self.calm = *rows;
            return Ok(());
        }
        self.sets.push((seq, rows));
        if self.sets.len() >= SETS_MAX {
            derived.apply_all(&self.sets)?;
            self.sets.clear();
        }
        Ok(())
    }
}

/// Feeds the log to an engine; `after` is called after each batch with its size.
fn run(
    engine: &mut Engine,
    reader: &LogReader,
    from: Seq,
    mut after: impl FnMut(&mut Engine, u64) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut batches = match reader.batches(from) {
        Ok(batches) => batches,
        // What is older than the horizon and has no usable checkpoint is gone; begin where the
        // log begins.
        Err(StoreError::NotRetained(_)) => {
            let first = reader.first_seq()?;
            tracing::warn!(
                first = first.0,
                "no checkpoint of this version reaches back to the log's beginning"
            );
            reader.batches(first)?
        }
        Err(error) => return Err(error),
    };
    let mut evidence: Vec<Evidence> = Vec::new();
    while let Some(head) = batches.next_into(&mut evidence) {
        match head {
            Ok(head) => {
                engine.handle_batch(head.first_seq, head.received_at, &evidence);
                after(engine, evidence.len() as u64)?;
            }
            Err(StoreError::Corrupt(what)) => tracing::error!(what, "records were lost"),
            Err(error) => return Err(error),
        }
        evidence.clear();
    }
    Ok(())
}

/// The catalogue in force at the end of a folder's log, which is only read.
///
/// # Errors
/// When it is no data folder, or its log cannot be read.
pub fn catalogue_of(folder: &Path) -> Result<Arc<Catalogue>, StoreError> {
    Ok(read_only(&EmbeddedStore::open_read_only(folder)?)?.catalogue().clone())
}

/// The channels that a folder's log knows, which is only read; none where there is no log yet.
///
/// # Errors
/// When the log cannot be read.
pub fn channels_of(folder: &Path) -> Result<Vec<(ChannelId, String)>, StoreError> {
    if !folder.join("log").is_dir() {
        return Ok(Vec::new());
    }
    let engine = read_only(&EmbeddedStore::open_read_only(folder)?)?;
    Ok(engine.channels().map(|(id, name)| (id, name.to_owned())).collect())
}

/// What is run again, and by which rules.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The last record that is run.
    pub to: Seq,
    /// Stands in for every policy that the log holds.
    pub policy: Option<Policy>,
}

/// What a replay of a folder's log gave.
pub struct Replayed {
    /// The engine at the end.
    pub engine: Engine,
    /// Records that were taken.
    pub records: u64,
    /// The position after which the replay began: not 0 where older records are no longer there
    /// and a checkpoint, or nothing, stands for them.
    pub began_after: Seq,
    /// Ranges that could not be read, a line each.
    pub lost: Vec<String>,
}

/// Runs a stored log again. Effects that reach outside are discarded; `watch` sees the engine with
/// everything that a tick derived, and how many records have been taken.
///
/// A log whose beginning is no longer kept is run from the oldest checkpoint that reaches back to
/// where it begins.
///
/// # Errors
/// When the log cannot be read.
pub fn replay(
    folder: &Path,
    what: &Replay,
    mut watch: impl FnMut(&Engine, Seq, Option<&Derived>, u64),
) -> Result<Replayed, StoreError> {
    let reader = LogReader::open(folder);
    let first = reader.first_seq()?;
    let mut engine = horizon(folder, first)?;
    let began_after = engine.seq();
    let (mut records, mut lost) = (0, Vec::new());
    let mut batches = reader.batches(first.max(began_after.next()))?;
    let mut evidence: Vec<Evidence> = Vec::new();
    // A log that begins later has no policy of its own at its beginning.
    let mut owed = what.policy.as_ref().filter(|_| first > Seq(1));
    while let Some(head) = batches.next_into(&mut evidence) {
        let head = match head {
            Ok(head) if head.first_seq > what.to => break,
            Ok(head) => head,
            Err(StoreError::Corrupt(gap)) => {
                lost.push(gap);
                continue;
            }
            Err(error) => return Err(error),
        };
        if let Some(policy) = owed.take() {
            let policy = Evidence::Policy(Box::new(policy.clone()));
            engine.handle_evidence(Seq(head.first_seq.0 - 1), head.received_at, &policy);
        }
        let wanted = usize::try_from(what.to.0 - head.first_seq.0).unwrap_or(usize::MAX).saturating_add(1);
        evidence.truncate(wanted);
        if let Some(policy) = &what.policy {
            for evidence in &mut evidence {
                if let Evidence::Policy(recorded) = evidence {
                    **recorded = policy.clone();
                }
            }
        }
        engine.handle_batch(head.first_seq, head.received_at, &evidence);
        records += evidence.len() as u64;
        watch(&engine, head.first_seq, None, records);
        while let Some(effect) = engine.poll_effect() {
            if let Effect::Persist(seq, derived) = effect {
                watch(&engine, seq, Some(&derived), records);
            }
        }
    }
    Ok(Replayed { engine, records, began_after, lost })
}

/// The engine with which a log that begins at `first` is run.
fn horizon(folder: &Path, first: Seq) -> Result<Engine, StoreError> {
    if first <= Seq(1) {
        return Ok(Engine::new());
    }
    let checkpoints = EmbeddedStore::open_read_only(folder)?.checkpoints;
    let Some(seq) = checkpoints.oldest_valid_from(Seq(first.0 - 1))? else { return Ok(Engine::new()) };
    let checkpoint = checkpoints.load(seq)?;
    let fits = checkpoint.engine == ENGINE_VERSION;
    Ok(fits.then(|| Engine::restore(&checkpoint.state)).flatten().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use brownout_core::effect::RollUp;
    use brownout_core::model::{Facet, Minute, SeriesKey, ServiceId};

    use super::*;

    /// Remembers how many sets came together, and what they said.
    #[derive(Default)]
    struct Together {
        groups: Vec<usize>,
        collected: Vec<Minute>,
    }

    impl DerivedStore for Together {
        fn applied(&self) -> Result<Seq, StoreError> {
            Ok(Seq(0))
        }

        fn apply(&mut self, _: Seq, _: &Derived) -> Result<(), StoreError> {
            Err(StoreError::Io("one by one".to_owned()))
        }

        fn apply_all(&mut self, sets: &[(Seq, Box<Derived>)]) -> Result<(), StoreError> {
            self.groups.push(sets.len());
            self.collected.extend(sets.iter().flat_map(|(_, derived)| derived.collected.clone()));
            Ok(())
        }
    }

    #[test]
    fn history_is_made_again_in_groups_and_in_order() {
        let (mut owed, mut store) = (Owed::default(), Together::default());
        let key = SeriesKey { service: ServiceId(1), facet: Facet::All };
        for number in 0..2 * SETS_MAX as u32 + 1 {
            let [calm, busy] = [number * 10, number * 10 + 5].map(Minute);
            let roll_up = RollUp { key, start: busy, hundredths: 100, expected: 1.0 };
            let sets = [(calm, Vec::new()), (busy, vec![roll_up])];
            for (minute, roll_ups) in sets {
                let derived = Derived { collected: vec![minute], roll_ups, ..Derived::default() };
                owed.take(Seq(u64::from(minute.0) + 1), Box::new(derived), &mut store).expect("kept");
            }
        }
        assert_eq!((&store.groups[..], owed.sets.len()), (&[SETS_MAX; 2][..], 1));
        let expected: Vec<Minute> = (0..4 * SETS_MAX as u32).map(|number| Minute(number * 5)).collect();
        assert_eq!(store.collected, expected);
    }
}
