//! The bounded queue in front of the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use brownout_core::model::{Evidence, UtcTime};
use brownout_store::embedded::EncodedBatch;
use tokio::sync::oneshot;

use super::{HostCounters, Time};
use crate::intake::{Accepted, Comment, Refusal, Sink, Submission, Submitting};

/// Most submissions that wait. Beyond, the newest is refused.
const SUBMISSIONS_MAX: usize = 4096;
/// When a refused client may try again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What became of a submission.
type Outcome = Result<Accepted, Refusal>;

/// Something for the log's thread.
pub(super) struct Job {
    pub(super) encoded: EncodedBatch,
    pub(super) evidence: Vec<Evidence>,
    pub(super) comment: Option<Comment>,
    pub(super) clock: Option<UtcTime>,
    pub(super) reply: oneshot::Sender<Outcome>,
}

/// Hands submissions to the log's thread; they are durable when `submit` returns.
pub struct HostSink {
    /// Gone once nothing is taken any more.
    jobs: ArcSwapOption<SyncSender<Job>>,
    time: Arc<Time>,
    counters: Arc<HostCounters>,
    /// Most pieces of evidence that wait. Beyond, the newest submission is refused.
    evidence_max: u64,
    refusal: Refusal,
}

impl HostSink {
    pub(super) fn new(
        time: Arc<Time>,
        counters: Arc<HostCounters>,
        evidence_max: u64,
    ) -> (Arc<Self>, Receiver<Job>) {
        let (sender, receiver) = sync_channel(SUBMISSIONS_MAX);
        let sink = HostSink {
            jobs: ArcSwapOption::from_pointee(sender),
            time,
            counters,
            evidence_max,
            refusal: Refusal::ShuttingDown,
        };
        (Arc::new(sink), receiver)
    }

    /// A sink that takes nothing, for a folder that cannot be written.
    pub(super) fn closed(time: Arc<Time>, counters: Arc<HostCounters>, refusal: Refusal) -> Arc<Self> {
        Arc::new(HostSink { jobs: ArcSwapOption::empty(), time, counters, evidence_max: 0, refusal })
    }

    /// Takes nothing from now on; what waits is still written.
    pub(super) fn close(&self) {
        self.jobs.store(None);
    }

    fn enqueue(&self, submission: Submission) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        let jobs = self.jobs.load();
        let Some(jobs) = &*jobs else { return Err(self.refusal) };
        let count = submission.evidence.len() as u64;
        // Room is taken before it is used: the log's thread gives it back, maybe before this one
        // comes to its next line.
        let waiting = self.counters.queued_evidence.fetch_add(count, Ordering::Relaxed);
        self.counters.queued_submissions.fetch_add(1, Ordering::Relaxed);
        let sent = if waiting + count > self.evidence_max {
            self.counters.refused_overload.fetch_add(1, Ordering::Relaxed);
            Err(Refusal::Overloaded { retry_after: RETRY_AFTER })
        } else {
            self.send(jobs, submission)
        };
        if sent.is_err() {
            self.counters.queued_evidence.fetch_sub(count, Ordering::Relaxed);
            self.counters.queued_submissions.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    fn send(
        &self,
        jobs: &SyncSender<Job>,
        submission: Submission,
    ) -> Result<oneshot::Receiver<Outcome>, Refusal> {
        // Encoding here spreads it over the threads that serve requests.
        let encoded = EncodedBatch::encode(&submission.evidence).map_err(|error| {
            tracing::error!(%error, "evidence could not be encoded");
            Refusal::StorageFailed
        })?;
        let (reply, waiting) = oneshot::channel();
        let job = Job {
            encoded,
            evidence: submission.evidence,
            comment: submission.comment,
            clock: submission.clock,
            reply,
        };
        match jobs.try_send(job) {
            Ok(()) => Ok(waiting),
            Err(TrySendError::Full(_)) => {
                self.counters.refused_overload.fetch_add(1, Ordering::Relaxed);
                Err(Refusal::Overloaded { retry_after: RETRY_AFTER })
            }
            Err(TrySendError::Disconnected(_)) => Err(Refusal::ShuttingDown),
        }
    }
}

impl Sink for HostSink {
    fn submit(&self, submission: Submission) -> Submitting<'_> {
        Box::pin(async move {
            let waiting = self.enqueue(submission)?;
            waiting.await.unwrap_or(Err(Refusal::ShuttingDown))
        })
    }

    fn now(&self) -> UtcTime {
        self.time.now()
    }
}
