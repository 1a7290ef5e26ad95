//! The thread that keeps what is derived, checkpoints, and looks after the folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brownout_core::effect::Derived;
use brownout_core::engine::{ENGINE_VERSION, Engine};
use brownout_core::model::Seq;
use brownout_store::embedded::{CheckpointFolder, Maintenance, Retention, SqliteDerived};
use brownout_store::port::{Checkpoint, Checkpoints, DerivedStore, StoreError};

use super::{HostCounters, wall_clock};

/// Most sets of derived rows that wait. Beyond, on a live folder, everything until the next start
/// is dropped and rebuilt from the log then; on a virtual one the engine waits.
const WAITING_MAX: usize = 1024;
/// How often segments are sealed and old ones let go.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(60);
/// Pause before a failed write is tried again. It is until it succeeds: what waits meanwhile is
/// bounded by the queue.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Most calm intervals that are kept as one: two weeks. A year in which nothing happens should not
/// cost a flush of the medium for every five minutes.
pub(super) const CALM_MAX: usize = 4032;

enum Task {
    Keep(Seq, Box<Derived>),
    Checkpoint(Checkpoint),
    Stop,
}

/// Hands work to the keeping thread.
pub(super) struct Keeper {
    tasks: SyncSender<Task>,
    /// Some derived rows were dropped: nothing later may be kept before a rebuild.
    behind: Arc<AtomicBool>,
    /// The folder is being closed: nothing is tried again.
    stopping: Arc<AtomicBool>,
    counters: Arc<HostCounters>,
}

impl Keeper {
    /// Keeps derived rows. `wait` says whether to wait for room or to fall behind.
    pub(super) fn keep(&self, seq: Seq, derived: Box<Derived>, wait: bool) {
        let task = Task::Keep(seq, derived);
        let lost = if wait {
            self.tasks.send(task).is_err()
        } else {
            match self.tasks.try_send(task) {
                Ok(()) => false,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => true,
            }
        };
        if lost {
            self.counters.derived_dropped.fetch_add(1, Ordering::Relaxed);
            self.counters.history_behind.store(1, Ordering::Relaxed);
            if !self.behind.swap(true, Ordering::AcqRel) {
                tracing::error!(%seq, "history cannot keep up; it is rebuilt from the log at the next start");
            }
        }
    }

    /// Keeps the engine's state. `wait` says whether to wait for room or to leave it out: the log
    /// must not stand still for what only makes the next start quicker.
    pub(super) fn checkpoint(&self, engine: &Engine, wait: bool) {
        let checkpoint = Checkpoint {
            seq: engine.seq(),
            engine: ENGINE_VERSION.to_owned(),
            policy: engine.policy_digest().to_owned(),
            state: engine.checkpoint(),
        };
        if wait {
            let _ = self.tasks.send(Task::Checkpoint(checkpoint));
        } else if self.tasks.try_send(Task::Checkpoint(checkpoint)).is_err() {
            tracing::error!("a checkpoint was left out; the next start takes longer");
        }
    }

    /// Where to say that the folder is being closed. Then nothing is tried again, so that a medium
    /// that fails holds nobody up.
    pub(super) fn stopping(&self) -> Arc<AtomicBool> {
        self.stopping.clone()
    }

    /// Ends the thread once what waits is kept.
    pub(super) fn stop(&self) {
        let _ = self.tasks.send(Task::Stop);
    }
}

/// Starts the thread.
pub(super) fn start(
    derived: SqliteDerived,
    checkpoints: CheckpointFolder,
    maintenance: Arc<Maintenance>,
    retention: Retention,
    counters: Arc<HostCounters>,
) -> Result<(Keeper, JoinHandle<()>), StoreError> {
    let (tasks, receiver) = sync_channel(WAITING_MAX);
    let behind = Arc::new(AtomicBool::new(false));
    let stopping = Arc::new(AtomicBool::new(false));
    let keeping = Keeping {
        derived,
        checkpoints,
        maintenance,
        retention,
        behind: behind.clone(),
        stopping: stopping.clone(),
        counters: counters.clone(),
        maintained: Instant::now(),
    };
    let keeper = Keeper { tasks, behind, stopping, counters };
    let thread = std::thread::Builder::new()
        .name("brownout-keep".to_owned())
        .spawn(move || keeping.run(&receiver))
        .map_err(|error| StoreError::Io(format!("cannot start a thread: {error}")))?;
    Ok((keeper, thread))
}

struct Keeping<D> {
    derived: D,
    checkpoints: CheckpointFolder,
    maintenance: Arc<Maintenance>,
    retention: Retention,
    behind: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
    counters: Arc<HostCounters>,
    /// When the folder was last looked after.
    maintained: Instant,
}

impl<D: DerivedStore> Keeping<D> {
    fn run(mut self, tasks: &Receiver<Task>) {
        loop {
            match tasks.recv_timeout(MAINTENANCE_EVERY.saturating_sub(self.maintained.elapsed())) {
                Ok(Task::Keep(seq, derived)) => match self.keep_with_next(seq, derived, tasks) {
                    None => {}
                    Some(Task::Checkpoint(checkpoint)) => self.checkpoint(&checkpoint),
                    Some(Task::Keep(..) | Task::Stop) => return,
                },
                Ok(Task::Checkpoint(checkpoint)) => self.checkpoint(&checkpoint),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Task::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            self.maintain_if_due();
        }
    }

    /// Keeps a set; a calm one together with those that wait behind it. What else waited is given
    /// back.
    fn keep_with_next(
        &mut self,
        mut seq: Seq,
        mut derived: Box<Derived>,
        tasks: &Receiver<Task>,
    ) -> Option<Task> {
        let mut other = None;
        while other.is_none() && derived.is_calm() && derived.collected.len() < CALM_MAX {
            match tasks.try_recv() {
                Ok(Task::Keep(next, mut later)) => {
                    later.absorb(*std::mem::take(&mut derived));
                    (seq, derived) = (next, later);
                }
                Ok(task) => other = Some(task),
                Err(_) => break,
            }
        }
        self.keep(seq, &derived);
        other
    }

    fn keep(&mut self, seq: Seq, derived: &Derived) {
        if self.behind.load(Ordering::Acquire) {
            return;
        }
        let mut failed = false;
        loop {
            let error = match self.derived.apply(seq, derived) {
                Ok(()) if failed => return tracing::info!("history can be written again"),
                Ok(()) => return,
                Err(error) => error,
            };
            if matches!(error, StoreError::Corrupt(_)) || self.stopping.load(Ordering::Acquire) {
                self.behind.store(true, Ordering::Release);
                self.counters.history_behind.store(1, Ordering::Relaxed);
                tracing::error!(%seq, %error, "history is not written any more; the next start rebuilds it");
                return;
            }
            if !failed {
                tracing::error!(%error, "history cannot be written; it is tried again until it can");
            }
            failed = true;
            std::thread::sleep(RETRY_PAUSE);
            // On a full disk it is the old segments that make room again.
            self.maintain_if_due();
        }
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        // A start goes back to where history is; history must not be before its checkpoint.
        self.keep(checkpoint.seq, &Derived::default());
        if self.behind.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = self.checkpoints.save(checkpoint) {
            tracing::error!(%error, "a checkpoint could not be written; the next start takes longer");
        }
    }

    fn maintain_if_due(&mut self) {
        if self.maintained.elapsed() >= MAINTENANCE_EVERY {
            self.maintain();
            self.maintained = Instant::now();
        }
    }

    fn maintain(&self) {
        match self.maintenance.seal() {
            Ok(sealed) => {
                for sealing in sealed {
                    tracing::info!(?sealing, "sealed a segment");
                }
            }
            Err(error) => tracing::error!(%error, "a segment could not be sealed"),
        }
        if let Err(error) = self.maintenance.retain(wall_clock(), &self.retention) {
            tracing::error!(%error, "old segments could not be let go");
        }
    }
}

#[cfg(test)]
mod tests {
    use brownout_core::model::{Evidence, UtcTime};
    use brownout_store::embedded::{Clock, EmbeddedStore, Options, Rolling};
    use brownout_store::port::EvidenceLog;

    use super::*;

    /// A history for which there is no room.
    struct Full;

    impl DerivedStore for Full {
        fn applied(&self) -> Result<Seq, StoreError> {
            Ok(Seq(0))
        }

        fn apply(&mut self, _: Seq, _: &Derived) -> Result<(), StoreError> {
            Err(StoreError::Full("no room".to_owned()))
        }
    }

    #[test]
    fn the_folder_is_looked_after_while_history_cannot_be_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let rolling = Rolling { segment_bytes: 1, ..Rolling::default() };
        let options = Options { clock: Clock::Live, rolling };
        let mut store = EmbeddedStore::open(folder.path(), options, UtcTime::from_seconds(0)).expect("opens");
        for minute in 1..4 {
            let at = UtcTime::from_seconds(minute * 60);
            store.log.append(at, &[vec![Evidence::Tick]]).expect("appended");
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let mut keeping = Keeping {
            derived: Full,
            checkpoints: store.checkpoints.clone(),
            maintenance: store.maintenance.clone(),
            retention: Retention::default(),
            behind: Arc::default(),
            stopping: stopping.clone(),
            counters: Arc::default(),
            maintained: Instant::now().checked_sub(MAINTENANCE_EVERY).expect("up for a minute"),
        };
        let thread = std::thread::spawn(move || keeping.keep(Seq(1), &Derived::default()));
        let is_sealed = || {
            let files = std::fs::read_dir(folder.path().join("log")).expect("readable");
            files.flatten().any(|file| file.path().extension().is_some_and(|it| it == "parquet"))
        };
        let begun = Instant::now();
        while !is_sealed() {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing was sealed");
            std::thread::sleep(Duration::from_millis(20));
        }
        stopping.store(true, Ordering::Release);
        thread.join().expect("it ends");
    }
}
