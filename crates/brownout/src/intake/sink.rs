//! The seam to the host: what intake hands over, and what it is told back.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use brownout_core::model::{Evidence, Seq, ServiceId, UtcTime};

/// What one request brings, kept whole or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Submission {
    /// Evidence in the order of the request. It may be empty when only `clock` is set.
    pub evidence: Vec<Evidence>,
    /// A person's words. They are no evidence: kept apart, moderated, off the pages.
    pub comment: Option<Comment>,
    /// The time to move a virtual clock to, before the evidence is taken.
    pub clock: Option<UtcTime>,
}

/// A person's words about a service, verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The service it is about.
    pub service: ServiceId,
    /// At most 500 characters of anything, markup included.
    pub text: String,
}

/// What became of a submission that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Position of the first piece of evidence; the others follow without a gap.
    pub first_seq: Seq,
    /// The time the log gave it.
    pub received_at: UtcTime,
}

/// Why nothing of a submission was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full. Try again after this time.
    Overloaded {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// No room is left on the medium.
    StorageFull,
    /// The medium cannot be written.
    ReadOnly,
    /// The medium fails in another way.
    StorageFailed,
    /// The program is stopping.
    ShuttingDown,
    /// The virtual clock cannot be moved there: it only moves on.
    ClockBackwards,
    /// The virtual clock cannot be moved there: it is too far ahead of the folder's time.
    ClockTooFar,
}

/// The answer to a submission, once it is durable or refused.
pub type Submitting<'a> = Pin<Box<dyn Future<Output = Result<Accepted, Refusal>> + Send + 'a>>;

/// Takes evidence and makes it durable. The host implements it; intake answers its client only
/// after `submit` returned.
pub trait Sink: Send + Sync + 'static {
    /// Makes a submission durable.
    fn submit(&self, submission: Submission) -> Submitting<'_>;

    /// The time of this folder: the machine's clock, or the virtual one.
    fn now(&self) -> UtcTime;
}
