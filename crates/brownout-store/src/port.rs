//! The storage port: an evidence log, checkpoints, a verdict ledger and a history to read.

use std::fmt;
use std::str::FromStr;

use brownout_core::effect::{Derived, RollUp};
use brownout_core::model::{Evidence, IncidentId, Minute, Record, Seq, SeriesKey, ServiceId, UtcTime};
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

    /// The same for several sets, in the order of their positions: where that is cheaper, they become
    /// durable together. After an error the first of them may be applied.
    fn apply_all(&mut self, sets: &[(Seq, Box<Derived>)]) -> Result<(), StoreError> {
        sets.iter().try_for_each(|(seq, derived)| self.apply(*seq, derived))
    }
}

/// Which intervals of history are whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Spans `[from, to)` in which evidence was collected throughout and counts are final, oldest
    /// first, each a whole number of five-minute intervals.
    pub spans: Vec<(Minute, Minute)>,
    /// The end of the last span of all, asked for or not: later counts are not history yet. `None`
    /// before there is any.
    pub settled_until: Option<Minute>,
}

/// One five-minute interval of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// First minute of the interval; a multiple of five.
    pub start: Minute,
    /// Distinct sources, weighted, in hundredths.
    pub hundredths: u32,
    /// Usual mean for the interval, in sources; `None` where nobody reported, for it is not kept then.
    pub expected: Option<f32>,
}

/// Counts of one series: an interval that is missing is one of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// The intervals, oldest first.
    pub steps: Vec<Step>,
    /// See [`Collected::settled_until`].
    pub settled_until: Option<Minute>,
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

    /// Spans that reach into `[from, to)`, uncut.
    fn collected(&self, from: Minute, to: Minute) -> Result<Collected, StoreError>;

    /// Counts of one series in `[from, to)`, oldest first, at most `limit`: its roll-ups, and a zero
    /// for each interval in which evidence was collected and nobody reported, from the series' first
    /// roll-up on.
    fn steps(&self, key: SeriesKey, from: Minute, to: Minute, limit: usize) -> Result<Steps, StoreError> {
        // Asked first: what is applied meanwhile is then a count too many, never a false zero.
        let Collected { spans, settled_until } = self.collected(from, to)?;
        let counted = self.roll_ups(key, from, to, limit)?;
        let began = self.roll_ups(key, Minute(0), to, 1)?.first().map(|row| row.start);
        let mut steps: Vec<Step> = counted
            .iter()
            .map(|row| Step { start: row.start, hundredths: row.hundredths, expected: Some(row.expected) })
            .collect();
        if let Some(began) = began {
            let lowest = from.max(began);
            let starts = spans.iter().flat_map(|(first, end)| {
                first.0.max(lowest.0).div_ceil(5)..(end.0 / 5).min(to.0.div_ceil(5))
            });
            let zero = |step: u32| Step { start: Minute(step * 5), hundredths: 0, expected: None };
            let known = |start: Minute| counted.binary_search_by_key(&start, |row| row.start).is_ok();
            steps.extend(starts.map(zero).filter(|step| !known(step.start)).take(limit));
            steps.sort_unstable_by_key(|step| step.start);
            steps.truncate(limit);
        }
        Ok(Steps { steps, settled_until })
    }

    /// Incidents behind `from`, latest first and those of one moment by service, at most `limit`.
    fn incidents(&self, from: IncidentCursor, limit: usize) -> Result<Vec<IncidentView>, StoreError>;

    /// One incident.
    fn incident(&self, id: IncidentId) -> Result<Option<IncidentView>, StoreError>;

    /// Published judgements of an incident, oldest first.
    fn verdicts(&self, id: IncidentId) -> Result<Vec<Verdict>, StoreError>;
}

/// A place in the list of incidents, from which one reads on. A time alone would not do: whatever one
/// cause breaks opens in one tick, and the end of a page may fall between two of these incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentCursor {
    opened_at: UtcTime,
    /// The last service already read of those whose incident opened then; `None` leaves out all of them.
    after: Option<ServiceId>,
}

impl IncidentCursor {
    /// Before everything that opened at this time or later.
    pub fn before(opened_at: UtcTime) -> Self {
        IncidentCursor { opened_at, after: None }
    }

    /// Behind an incident already read.
    pub fn after(read: &IncidentView) -> Self {
        IncidentCursor { opened_at: read.opened_at, after: Some(read.id.service) }
    }

    /// Whether an incident is still to be read.
    pub fn is_before(self, incident: &IncidentView) -> bool {
        let is_left = self.after.is_some_and(|after| incident.id.service > after);
        incident.opened_at < self.opened_at || (incident.opened_at == self.opened_at && is_left)
    }

    /// When the incidents opened that it stands at.
    pub(crate) fn opened_at(self) -> UtcTime {
        self.opened_at
    }

    /// The service behind which it stands.
    pub(crate) fn service(self) -> Option<ServiceId> {
        self.after
    }
}

/// A time, and behind `~` the number of a service.
impl fmt::Display for IncidentCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            None => self.opened_at.fmt(f),
            Some(service) => write!(f, "{}~{}", self.opened_at, service.0),
        }
    }
}

impl FromStr for IncidentCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (time, service) =
            text.split_once('~').map_or((text, None), |(time, service)| (time, Some(service)));
        let opened_at = time.parse().map_err(|_| NotACursor)?;
        let after = service.map(str::parse).transpose().map_err(|_| NotACursor)?.map(ServiceId);
        Ok(IncidentCursor { opened_at, after })
    }
}

/// A text that is no place in the list of incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACursor;

impl fmt::Display for NotACursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither a time such as 2025-03-10T10:02:00Z nor the end of a page")
    }
}

impl std::error::Error for NotACursor {}
