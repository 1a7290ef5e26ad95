//! The storage port: an evidence log, checkpoints, a verdict ledger and a history to read.

use std::fmt;

use brownout_core::effect::{Derived, RollUp};
use brownout_core::model::{Evidence, IncidentId, Minute, Record, Seq, SeriesKey, UtcTime};
use brownout_core::snapshot::IncidentView;
use brownout_core::verdict::Verdict;

/// What went wrong, in terms a host can act on.
#[derive(Debug)]
pub enum StoreError {
    /// No room is left; nothing of the batch was kept. Try again later.
    Full(String),
    /// The medium cannot be written; nothing of the batch was kept.
    ReadOnly(String),
    /// Another process holds the folder.
    Locked(String),
    /// Stored bytes do not check: what, and where.
    Corrupt(String),
    /// Asked for something older than what is retained.
    NotRetained(Seq),
    /// Anything else the medium says.
    Io(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Full(what) => write!(f, "storage is full: {what}"),
            StoreError::ReadOnly(what) => write!(f, "storage is read-only: {what}"),
            StoreError::Locked(what) => write!(f, "in use by another process: {what}"),
            StoreError::Corrupt(what) => write!(f, "stored data are damaged: {what}"),
            StoreError::NotRetained(seq) => write!(f, "record {seq} is older than what is retained"),
            StoreError::Io(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StoreError {}

/// What one append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of the first record; the others follow without a gap.
    pub first_seq: Seq,
    /// The time all of them were given: `now`, or the log's last time if the clock went back.
    pub received_at: UtcTime,
}

/// The append-only evidence log. One writer; durable when `append` returns.
pub trait EvidenceLog {
    /// Appends all batches under one flush to the medium. A batch is kept whole or not at all,
    /// also across a crash. On an error nothing of any batch is kept and the log can be used on.
    fn append(&mut self, now: UtcTime, batches: &[Vec<Evidence>]) -> Result<Vec<Appended>, StoreError>;

    /// Reads records in `seq` order, beginning with `from`, up to the last that is durable.
    fn read(
        &self,
        from: Seq,
    ) -> Result<Box<dyn Iterator<Item = Result<Record, StoreError>> + '_>, StoreError>;

    /// The last durable position; 0 when empty.
    fn last_seq(&self) -> Seq;

    /// The time of the last durable record.
    fn last_received_at(&self) -> Option<UtcTime>;

    /// The first position that is still there.
    fn first_seq(&self) -> Seq;
}

/// The engine's state at a position of the log, as bytes that only the engine understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last record that is in the state.
    pub seq: Seq,
    /// Version of the engine that wrote it.
    pub engine: String,
    /// Digest of the policy in force.
    pub policy: String,
    /// The state.
    pub state: Vec<u8>,
}

/// Checkpoints. A damaged one is passed over, never used.
pub trait Checkpoints {
    /// Writes one durably.
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// The newest that checks and is not after `not_after`.
    fn newest(&self, not_after: Seq) -> Result<Option<Checkpoint>, StoreError>;
}

/// Takes what is derived. Applying the same position twice changes nothing.
pub trait DerivedStore {
    /// The position up to which everything is applied.
    fn applied(&self) -> Result<Seq, StoreError>;

    /// Applies what was derived up to `seq`, durably and whole; ignored if `seq` is applied already.
    fn apply(&mut self, seq: Seq, derived: &Derived) -> Result<(), StoreError>;
}

/// What readers ask of the past. Never blocks the writer.
pub trait History: Send + Sync {
    /// Roll-ups of one series in `[from, to)`, oldest first, at most `limit`.
    fn roll_ups(
        &self,
        key: SeriesKey,
        from: Minute,
        to: Minute,
        limit: usize,
    ) -> Result<Vec<RollUp>, StoreError>;

    /// Incidents opened before `before`, latest first, at most `limit`.
    fn incidents(&self, before: UtcTime, limit: usize) -> Result<Vec<IncidentView>, StoreError>;

    /// One incident.
    fn incident(&self, id: IncidentId) -> Result<Option<IncidentView>, StoreError>;

    /// Published judgements of an incident, oldest first.
    fn verdicts(&self, id: IncidentId) -> Result<Vec<Verdict>, StoreError>;
}
