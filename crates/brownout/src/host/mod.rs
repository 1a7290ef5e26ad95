//! One data folder at work: a bounded queue, one thread that writes the log and drives the engine,
//! and one that keeps what is derived.
//!
//! Evidence goes one way: [`Instance::sink`] → queue → log (durable, then acknowledged) → engine →
//! snapshot and derived rows. Readers see the snapshot and the history and never this thread.

mod gathering;
mod group;
mod keeper;
pub mod lane;
mod recover;
mod sink;
pub mod stage;
mod time;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use brownout_core::engine::{ENGINE_VERSION, Engine};
use brownout_core::model::{Catalogue, ChannelId, Evidence, Policy, UtcTime};
use brownout_core::snapshot::Snapshot;
use brownout_store::embedded::{Admin, Clock, EmbeddedStore, Options, Retention, Rolling};
use brownout_store::port::{History, StoreError};
use tokio::sync::watch;

use crate::intake::Refusal;
use crate::reference::catalogue::{Numbers, ServiceEntry, assign};

pub use recover::{Replay, Replayed, catalogue_of, channels_of, replay};
pub use sink::HostSink;
pub(crate) use time::Time;
pub use worker::wall_clock;

/// Most days that a virtual clock may be moved on at once. Each of them costs ticks: a mistyped
/// century would fill the disk.
pub const CLOCK_DAYS_MAX: i64 = 400;

/// What an instance is made of.
pub struct Setup {
    /// The data folder.
    pub folder: PathBuf,
    /// The machine's clock, or one that batches move.
    pub clock: Clock,
    /// When segments are closed.
    pub rolling: Rolling,
    /// How long they are kept.
    pub retention: Retention,
    /// The services to know, before they are numbered.
    pub services: Vec<ServiceEntry>,
    /// The policy to use.
    pub policy: Policy,
    /// Digest of the geography in use.
    pub geography: String,
    /// Time between two snapshots, at least.
    pub publish_every: Duration,
    /// Pieces of evidence that may wait for the log; beyond, the newest submission is refused.
    pub queue_reports_max: u64,
    /// Page views since the last call, asked for once a minute.
    pub page_views: Box<dyn Fn() -> Vec<Evidence> + Send>,
}

/// What happens inside, for `/metrics` and `/readyz`.
#[derive(Debug, Default)]
pub struct HostCounters {
    /// Submissions that wait.
    pub queued_submissions: AtomicU64,
    /// Pieces of evidence in them.
    pub queued_evidence: AtomicU64,
    /// Submissions refused because the queue was full (newest refused).
    pub refused_overload: AtomicU64,
    /// Submissions refused because the medium failed.
    pub refused_storage: AtomicU64,
    /// Groups written.
    pub groups: AtomicU64,
    /// Snapshots drawn.
    pub snapshots: AtomicU64,
    /// Time of the last tick's work, in microseconds.
    pub tick_micros: AtomicU64,
    /// Time of the last snapshot's drawing, in microseconds.
    pub snapshot_micros: AtomicU64,
    /// Sets of derived rows that could not be kept in time (all of them are rebuilt at the next
    /// start).
    pub derived_dropped: AtomicU64,
    /// The last append failed: 1, else 0.
    pub storage_failing: AtomicU64,
    /// History is behind the log and stays so until the next start rebuilds it: 1, else 0.
    pub history_behind: AtomicU64,
    /// Comments that could not be kept beside their reports, which were.
    pub comments_lost: AtomicU64,
    /// Times the machine's clock was found set back by a second or more.
    pub clock_set_back: AtomicU64,
    /// How far the folder's time is ahead of the machine's, in milliseconds.
    pub clock_ahead_millis: AtomicU64,
}

/// A running data folder.
pub struct Instance {
    /// Where readers find the newest picture.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Tells the newest snapshot's serial.
    pub updates: watch::Receiver<u64>,
    /// The past; `None` while there is no database of it.
    pub history: Option<Arc<dyn History>>,
    /// Tokens and moderation; `None` on a folder that cannot be written.
    pub admin: Option<Arc<Admin>>,
    /// The services, numbered.
    pub catalogue: Arc<Catalogue>,
    /// Numbers of services from here on have never been given.
    pub service_numbers: u32,
    /// What happens inside.
    pub counters: Arc<HostCounters>,
    /// What storage did; `None` on a folder that cannot be written.
    pub storage: Option<Arc<brownout_store::counters::Counters>>,
    /// Why nothing can be taken in, when the folder cannot be written.
    pub degraded: Option<StoreError>,
    sink: Arc<HostSink>,
    /// Tells the keeping thread not to try again what fails.
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Instance {
    /// Opens the folder, brings the engine up to the end of the log, and starts the threads. A
    /// folder that cannot be written is served as it is, and takes nothing in.
    ///
    /// # Errors
    /// When the folder is in use, or what it holds is not a data folder at all.
    pub fn open(setup: Setup) -> Result<Self, StoreError> {
        match Self::recover(&setup) {
            Ok(parts) => Self::start(parts, setup),
            Err(error @ (StoreError::ReadOnly(_) | StoreError::Full(_))) => {
                Self::open_degraded(&setup.folder, setup.clock, error)
            }
            Err(error) => Err(error),
        }
    }

    /// The same for a folder that must be writable.
    ///
    /// # Errors
    /// As for [`Instance::open`], and when the folder cannot be written.
    pub fn open_writable(setup: Setup) -> Result<Self, StoreError> {
        Self::start(Self::recover(&setup)?, setup)
    }

    fn recover(setup: &Setup) -> Result<recover::Parts, StoreError> {
        let options = Options { clock: setup.clock, rolling: setup.rolling };
        recover::recover(EmbeddedStore::open(&setup.folder, options, wall_clock())?)
    }

    fn start(mut parts: recover::Parts, setup: Setup) -> Result<Self, StoreError> {
        let catalogue = Arc::new(number(&parts.engine, setup.services.clone())?);
        let given = parts.engine.service_numbers();
        keep_channels(&parts)?;
        let first = first_records(&parts.engine, &catalogue, &parts.admin, &setup);
        let snapshot = Arc::new(ArcSwap::new(parts.engine.snapshot()));
        let counters = Arc::new(HostCounters::default());
        let time = Arc::new(time_of(parts.clock, parts.last_received_at, &counters));
        let (publish, updates) = watch::channel(snapshot.load().serial);
        let (sink, jobs) = HostSink::new(time.clone(), counters.clone(), setup.queue_reports_max);
        let (keeper, keeper_thread) = keeper::start(
            parts.derived,
            parts.checkpoints,
            parts.maintenance,
            setup.retention,
            counters.clone(),
        )?;
        let stopping = keeper.stopping();
        let (history, admin, storage) = (parts.history.clone(), parts.admin.clone(), parts.counters.clone());
        let mut worker = worker::Worker {
            log: parts.log,
            comments: parts.comments,
            admin: parts.admin,
            engine: parts.engine,
            keeper,
            time,
            jobs,
            first,
            snapshot: snapshot.clone(),
            publish,
            publish_every: setup.publish_every,
            counters: counters.clone(),
            page_views: setup.page_views,
            rebuild: worker::Rebuild { checkpoints: parts.checkpoints_again },
            flush: Duration::ZERO,
        };
        // Live pages know all services from the first moment; a virtual clock has yet to begin.
        worker.begin_live();
        let thread = std::thread::Builder::new()
            .name("brownout-log".to_owned())
            .spawn(move || {
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run()));
                if ended.is_err() {
                    // Pages that stand still for ever would be worse than a start from the log.
                    tracing::error!(
                        "the engine's thread ended by a panic; the program ends, to be started again"
                    );
                    std::process::abort();
                }
            })
            .map_err(|error| StoreError::Io(format!("cannot start a thread: {error}")))?;
        Ok(Instance {
            snapshot,
            updates,
            history: Some(history),
            admin: Some(admin),
            service_numbers: catalogue.iter().map(|service| service.id.0 + 1).max().unwrap_or(0).max(given),
            catalogue,
            counters,
            storage: Some(storage),
            degraded: None,
            sink,
            stopping,
            threads: vec![thread, keeper_thread],
        })
    }

    fn open_degraded(folder: &Path, clock: Clock, why: StoreError) -> Result<Self, StoreError> {
        let store = EmbeddedStore::open_read_only(folder)?;
        let mut engine = recover::read_only(&store)?;
        let snapshot = engine.snapshot();
        let counters = Arc::new(HostCounters::default());
        let time = time_of(clock, Some(engine.now()), &counters);
        let refusal = match &why {
            StoreError::Full(_) => Refusal::StorageFull,
            _ => Refusal::ReadOnly,
        };
        let (_, updates) = watch::channel(snapshot.serial);
        Ok(Instance {
            snapshot: Arc::new(ArcSwap::new(snapshot)),
            updates,
            history: store.history.map(|history| history as Arc<dyn History>),
            admin: None,
            catalogue: engine.catalogue().clone(),
            service_numbers: engine.service_numbers(),
            counters: counters.clone(),
            storage: None,
            degraded: Some(why),
            sink: HostSink::closed(Arc::new(time), counters, refusal),
            stopping: Arc::default(),
            threads: Vec::new(),
        })
    }

    /// Takes evidence in.
    pub fn sink(&self) -> Arc<HostSink> {
        self.sink.clone()
    }

    /// Writes out what is under way, checkpoints and ends the threads.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        self.sink.close();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the data folder had ended by a panic");
            }
        }
    }
}

/// Has the database of tokens and channels know every channel of the log, whatever happened to it.
fn keep_channels(parts: &recover::Parts) -> Result<(), StoreError> {
    if parts.counters.admin_set_aside.get() > 0 {
        tracing::error!(
            "admin.sqlite was damaged and is set aside as admin.sqlite.damaged; no token of before is known: \
            make new ones with `brownout token add`"
        );
    }
    let channels = parts.admin.keep_channels(parts.engine.channels())?;
    if channels > 0 {
        tracing::warn!(
            channels,
            "admin.sqlite did not know these channels of the log; their tokens may be lost with it"
        );
    }
    Ok(())
}

fn time_of(clock: Clock, last: Option<UtcTime>, counters: &HostCounters) -> Time {
    if clock == Clock::Virtual {
        return Time::at(last.unwrap_or_default());
    }
    let (time, behind) = Time::live(last);
    if let Some(behind) = behind {
        counters.clock_set_back.fetch_add(1, Ordering::Relaxed);
        counters.clock_ahead_millis.store(behind.unsigned_abs(), Ordering::Relaxed);
        tracing::error!(
            seconds = behind / 1000,
            "the machine's clock is behind the log; time goes on from the log, a tenth slower"
        );
    }
    time
}

/// Records that tell the engine of what has changed since it last ran.
fn first_records(engine: &Engine, catalogue: &Catalogue, admin: &Admin, setup: &Setup) -> Vec<Evidence> {
    let mut records = vec![Evidence::Engine { version: ENGINE_VERSION.to_owned() }];
    if **engine.catalogue() != *catalogue {
        records.push(Evidence::Catalogue(Box::new(catalogue.clone())));
    }
    if **engine.policy() != setup.policy || engine.seq().0 == 0 {
        records.push(Evidence::Policy(Box::new(setup.policy.clone())));
    }
    if engine.geography_digest() != setup.geography {
        records.push(Evidence::Geography { digest: setup.geography.clone() });
    }
    let own = [(ChannelId::WEB, "web".to_owned()), (ChannelId::PAGE_VIEWS, "page-views".to_owned())];
    for (id, name) in own.into_iter().chain(admin.channels().unwrap_or_default()) {
        if !engine.channels().any(|(known, _)| known == id) {
            records.push(Evidence::Channel { id, name });
        }
    }
    records
}

/// Numbers services on from what the engine has seen.
///
/// # Errors
/// When the services make no catalogue.
pub fn number(engine: &Engine, services: Vec<ServiceEntry>) -> Result<Catalogue, StoreError> {
    let mut numbers = Numbers::default();
    numbers.observe(engine.catalogue());
    numbers.reserve(engine.service_numbers());
    assign(services, &mut numbers).map_err(|error| StoreError::Io(error.to_string()))
}

#[cfg(test)]
mod tests;
