//! What storage did since it was opened. Everything that moves is counted.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts since the folder was opened, written by storage and read by anybody.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: Counter),* }

        impl Counters {
            /// All counts with their names, in a fixed order.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),*]
            }
        }
    };
}

counters! {
    /// Records made durable.
    appended_records,
    /// Frames made durable: batches that were not empty.
    appended_frames,
    /// Bytes made durable in the log.
    appended_bytes,
    /// Flushes of the log to the medium.
    fsyncs,
    /// Appends of which nothing was kept.
    failed_appends,
    /// Appends whose clock was behind the log's last time.
    clock_set_back,
    /// Bytes cut from interrupted writes when the folder was opened.
    torn_bytes_cut,
    /// Places in files of frames where bytes do not check.
    corrupt_frames,
    /// Records found lost, whatever the reason.
    lost_records,
    /// Checkpoints that do not check and were passed over.
    corrupt_checkpoints,
    /// Checkpoints written.
    checkpoints_saved,
    /// Checkpoints removed because newer ones are there.
    checkpoints_pruned,
    /// Segments rewritten as Parquet, read back, and their frames removed.
    sealed_segments,
    /// Records in them.
    sealed_records,
    /// Sealed segments removed by retention.
    retention_deleted,
    /// Sealed segments that retention would have removed but no checkpoint stands for.
    retention_held,
    /// Verdicts made durable in the ledger.
    ledger_verdicts,
    /// Comments made durable.
    comments_appended,
    /// Derived databases that were lost or damaged and begun anew.
    derived_rebuilt,
    /// Administrative databases that were damaged, set aside and begun anew: tokens are gone.
    admin_set_aside,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The count now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
