//! What shares one flush.

use brownout_core::model::{Evidence, Seq, UtcTime};
use brownout_store::embedded::EncodedBatch;

use super::sink::Job;

/// Batches that wait to be made durable together, each with its time.
#[derive(Default)]
pub(super) struct Group {
    pub(super) batches: Vec<(UtcTime, EncodedBatch)>,
    /// The job and its place in `batches`.
    pub(super) jobs: Vec<(usize, Job)>,
}

impl Group {
    pub(super) fn push(&mut self, at: UtcTime, mut job: Job) {
        let encoded = std::mem::replace(&mut job.encoded, EncodedBatch::with_capacity(0));
        self.jobs.push((self.batches.len(), job));
        self.batches.push((at, encoded));
    }

    /// Where each batch begins in the log when the first begins at `first`.
    pub(super) fn starts(&self, first: Seq) -> Vec<Seq> {
        let next = |next: &mut Seq, (_, batch): &(UtcTime, EncodedBatch)| {
            let start = *next;
            next.0 += batch.len() as u64;
            Some(start)
        };
        self.batches.iter().scan(first, next).collect()
    }
}

/// Encodes the program's own records, which always can be.
pub(super) fn encoded(evidence: &[Evidence]) -> EncodedBatch {
    EncodedBatch::encode(evidence).unwrap_or_else(|error| {
        tracing::error!(%error, "a record of the program's own could not be encoded");
        EncodedBatch::with_capacity(0)
    })
}
