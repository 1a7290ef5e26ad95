//! Counters of everything that moves through intake.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::problem::Reason;

/// Why something was refused.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// What intake counts. Cloning shares the counters.
#[derive(Clone, Debug, Default)]
pub struct IntakeMetrics {
    refused: Family<ReasonLabel, Counter>,
    refused_lines: Family<ReasonLabel, Counter>,
    /// Reports accepted from people.
    pub accepted: Counter,
    /// Reports accepted from partners' batches.
    pub accepted_batch: Counter,
    /// Batches accepted.
    pub batches: Counter,
    /// Measurements accepted from probes.
    pub measurements: Counter,
    /// Challenges given out.
    pub challenges: Counter,
    /// Reports with a valid proof of work.
    pub proofs: Counter,
    /// Reports that count less because they came without the proof that was asked for.
    pub weight_lowered: Counter,
    /// Requests answered from memory because their idempotency key was known.
    pub idempotent_repeats: Counter,
    /// Answers forgotten before their day was over, because the store of answers was full.
    pub idempotency_evicted: Counter,
    /// Proofs not credited because the store of used proofs was full.
    pub proof_store_full: Counter,
    /// Requests counted in the shared bucket because a rate limiter had no room for their prefix.
    pub limiter_overflow: Counter,
    /// Reports whose user agents were not told apart because the store of agents was full.
    pub agents_overflow: Counter,
    /// Page views counted.
    pub page_views: Counter,
    /// Page views not counted because the minute had too many distinct services and countries.
    pub page_views_dropped: Counter,
    /// Salts made.
    pub salt_rotations: Counter,
    /// Salts that could not be made or destroyed; the cause is logged.
    pub salt_errors: Counter,
}

impl IntakeMetrics {
    /// Counts a refused request.
    pub fn refuse(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.slug() }).inc();
    }

    /// Counts refused lines of a batch.
    pub fn refuse_lines(&self, reason: Reason, lines: u64) {
        self.refused_lines.get_or_create(&ReasonLabel { reason: reason.slug() }).inc_by(lines);
    }

    /// Requests refused so far for this reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused.get_or_create(&ReasonLabel { reason: reason.slug() }).get()
    }

    /// Puts all counters into a registry, which names them `intake_...`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("intake");
        registry.register("refused", "Requests refused, by reason", self.refused.clone());
        registry.register("refused_lines", "Lines of batches refused, by reason", self.refused_lines.clone());
        let counters = [
            ("accepted", "Reports accepted from people", &self.accepted),
            ("accepted_batch", "Reports accepted from batches", &self.accepted_batch),
            ("batches", "Batches accepted", &self.batches),
            ("measurements", "Measurements accepted from probes", &self.measurements),
            ("challenges", "Challenges given out", &self.challenges),
            ("proofs", "Reports with a valid proof of work", &self.proofs),
            ("weight_lowered", "Reports that count less for want of a proof", &self.weight_lowered),
            ("idempotent_repeats", "Requests answered from memory", &self.idempotent_repeats),
            ("idempotency_evicted", "Answers forgotten early for want of room", &self.idempotency_evicted),
            ("proof_store_full", "Proofs not credited for want of room", &self.proof_store_full),
            ("limiter_overflow", "Requests counted in the shared bucket", &self.limiter_overflow),
            ("agents_overflow", "Reports whose agents were not told apart", &self.agents_overflow),
            ("page_views", "Page views counted", &self.page_views),
            ("page_views_dropped", "Page views not counted for want of room", &self.page_views_dropped),
            ("salt_rotations", "Salts made", &self.salt_rotations),
            ("salt_errors", "Salts that could not be made or destroyed", &self.salt_errors),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }
}
