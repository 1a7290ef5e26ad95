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
//! | `admin.sqlite` | tokens, moderation | tokens are given anew |

mod file;
mod folder;
pub mod frame;
mod log;
mod reader;
mod rows;
mod sealed;
mod segment;
#[cfg(test)]
mod tests;
pub mod wire;

use std::path::Path;
use std::sync::Arc;

use brownout_core::model::{Seq, UtcTime};

use crate::counters::Counters;
use crate::port::StoreError;

use folder::{FolderLock, Layout};

pub use folder::{Clock, FORMAT, FolderInfo};
pub use frame::EncodedBatch;
pub use log::{EmbeddedLog, Rolling};
pub use reader::{BatchHead, Batches, LogReader, Records};

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
    /// What storage did since it was opened.
    pub counters: Arc<Counters>,
}

impl EmbeddedStore {
    /// Opens the folder, which is made if need be, and recovers from an interrupted run. `now` is
    /// written into a new folder.
    pub fn open(root: &Path, options: Options, now: UtcTime) -> Result<Self, StoreError> {
        let layout = Layout::new(root);
        layout.make_folders()?;
        let lock = Arc::new(FolderLock::take(root)?);
        let info = layout.describe(options.clock, now)?;
        let counters = Arc::new(Counters::default());
        log::remove_unfinished(&layout.log())?;
        let log = EmbeddedLog::open(&layout.log(), options.rolling, Seq(0), counters.clone(), Some(lock))?;
        Ok(EmbeddedStore { info, log, counters })
    }
}
