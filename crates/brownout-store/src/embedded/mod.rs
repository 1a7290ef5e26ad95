//! The adapter that ships: everything in one data folder.
//!
//! | name | what | if it is lost |
//! |---|---|---|
//! | `LOCK`, `FOLDER.json` | one process at a time; format and clock | made again |
//! | `log/*.seg`, `log/*.parquet` | the evidence, open and sealed | ground state |
//! | `ledger/` | published verdicts | ground state |
//! | `checkpoints/` | the engine at positions of the log | start takes longer |
//! | `comments/` | what people wrote, apart from their reports | the texts are gone |
//! | `brownout.sqlite` | roll-ups, incidents, index of verdicts | rebuilt |
//! | `admin.sqlite` | tokens, moderation, orders | tokens are made anew; numbers of channels come from the log |

mod admin;
mod backup;
mod checkpoints;
mod comments;
mod derived;
mod file;
mod folder;
pub mod frame;
mod framed;
mod json;
mod ledger;
mod log;
mod maintenance;
mod orders;
mod probes;
mod reader;
mod rows;
mod sealed;
mod sealed_rows;
mod segment;
#[cfg(test)]
mod tests;
mod verify;
pub mod wire;

use std::path::Path;
use std::sync::Arc;

use brownout_core::model::{Seq, UtcTime};

use crate::counters::Counters;
use crate::port::{DerivedStore, StoreError};

use folder::{FolderLock, Layout};

pub use admin::{Admin, CommentState, Token};
pub use backup::backup;
pub use checkpoints::{CHECKPOINTS_KEPT, CheckpointFolder};
pub use comments::{COMMENT_BYTES_MAX, Comment, CommentLog, comments, delete_removed_comments};
pub use derived::{SqliteDerived, SqliteHistory};
pub use folder::{Clock, FORMAT, FolderInfo};
pub use frame::EncodedBatch;
pub use ledger::LedgerEntry;
pub use log::{EmbeddedLog, Rolling};
pub use maintenance::{Maintenance, Retention, Sealing};
pub use orders::{Order, OrderKind, Progress};
pub use probes::{Invitation, Probe, TokenUse};
pub use reader::{BatchHead, Batches, LogReader, Records};
pub use verify::{FolderStats, VerifyReport, cat, read_comments, stats, verify};

/// How a folder is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whose time the records carry.
    pub clock: Clock,
    /// When segments are closed.
    pub rolling: Rolling,
}

/// A data folder that is open for writing. Its parts may go to threads of their own; the folder
/// stays locked until the last of them is gone.
#[derive(Debug)]
pub struct EmbeddedStore {
    /// What the folder says of itself.
    pub info: FolderInfo,
    /// The evidence log, for the one writer.
    pub log: EmbeddedLog,
    /// Comments, for the same writer.
    pub comments: CommentLog,
    /// Checkpoints of the engine.
    pub checkpoints: CheckpointFolder,
    /// Takes what the engine derives.
    pub derived: SqliteDerived,
    /// What readers ask of the past.
    pub history: Arc<SqliteHistory>,
    /// Tokens, channels, moderation.
    pub admin: Arc<Admin>,
    /// Sealing, retention, backup.
    pub maintenance: Arc<Maintenance>,
    /// What storage did since it was opened.
    pub counters: Arc<Counters>,
}

impl EmbeddedStore {
    /// Opens the folder, which is made if need be, and recovers from an interrupted run. `now` is
    /// written into a new folder.
    ///
    /// Start the engine from `checkpoints.newest(derived.applied())` and the log after it: when the
    /// derived database was lost, that is the beginning or the retention horizon.
    pub fn open(root: &Path, options: Options, now: UtcTime) -> Result<Self, StoreError> {
        let layout = Layout::new(root);
        layout.refuse_foreign()?;
        layout.make_folders()?;
        let lock = Arc::new(FolderLock::take(root)?);
        let held = || Some(lock.clone());
        let info = layout.describe(options.clock, now)?;
        let counters = Arc::new(Counters::default());
        log::remove_unfinished(&layout.log())?;
        log::remove_half_sealed(&layout.log())?;
        log::remove_unfinished(&layout.checkpoints())?;
        log::remove_unfinished(&layout.comments())?;
        let checkpoints = CheckpointFolder::new(&layout.checkpoints(), counters.clone(), held());
        let derived =
            SqliteDerived::open(&layout.derived(), &layout.ledger(), counters.clone(), lock.clone())?;
        let newest = checkpoints.newest_valid()?.unwrap_or(Seq(0));
        let floor = newest.max(derived.applied()?).max(derived.last_published());
        let log = EmbeddedLog::open(&layout.log(), options.rolling, floor, counters.clone(), held())?;
        Ok(EmbeddedStore {
            comments: CommentLog::open(&layout.comments(), counters.clone(), held())?,
            history: Arc::new(SqliteHistory::open(&layout.derived(), false)?),
            admin: Arc::new(Admin::open_or_begin_anew(&layout.admin(), held(), &counters)?),
            maintenance: Arc::new(Maintenance::new(
                layout,
                log.progress(),
                checkpoints.clone(),
                counters.clone(),
                lock,
            )),
            info,
            log,
            checkpoints,
            derived,
            counters,
        })
    }

    /// What can be served of a folder that cannot be written: nothing is locked or changed.
    pub fn open_read_only(root: &Path) -> Result<ReadOnlyStore, StoreError> {
        let layout = Layout::new(root);
        let missing = || StoreError::Io(format!("{} is not a data folder", root.display()));
        let info = layout.read_info()?.ok_or_else(missing)?;
        // Where no journal can be made, the database is read as its one file says.
        let path = layout.derived();
        let history = SqliteHistory::open(&path, false).or_else(|_| SqliteHistory::open(&path, true)).ok();
        let history = history.map(Arc::new);
        let counters = Arc::new(Counters::default());
        let checkpoints = CheckpointFolder::new(&layout.checkpoints(), counters, None);
        Ok(ReadOnlyStore { info, log: LogReader::open(root), checkpoints, history })
    }
}

/// A data folder that is only read.
#[derive(Debug)]
pub struct ReadOnlyStore {
    /// What the folder says of itself.
    pub info: FolderInfo,
    /// The evidence log.
    pub log: LogReader,
    /// Checkpoints of the engine, to load.
    pub checkpoints: CheckpointFolder,
    /// What readers ask of the past, where there is a derived database that can be read.
    pub history: Option<Arc<SqliteHistory>>,
}
