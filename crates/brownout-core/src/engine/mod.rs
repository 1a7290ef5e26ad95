//! The engine: driven by records, it never drives.
//!
//! One way through a tick: shards look at what changed, in `seq` order up to the tick; the
//! correlator takes their looks, sorted by service, and opens, follows and ends incidents; its
//! decisions go back to the shards with the next tick. Nothing flows backwards inside a tick, and
//! nothing depends on how many shards there are.

mod arrivals;
mod causes;
mod clocks;
mod correlator;
mod doubts;
#[cfg(test)]
mod driven;
mod gaps;
mod holding;
mod learning;
#[cfg(test)]
mod learning_tests;
mod locate;
mod looking;
mod ongoing;
mod order;
mod priors;
mod publish;
mod reaching;
mod recent;
mod routes;
mod settled;
#[cfg(test)]
mod settled_tests;
mod shard;
mod sources;
mod subject;
mod subnets;
mod usual;
mod week;

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::effect::{Derived, Effect};
use crate::model::{
    Catalogue, ChannelId, Evidence, Facet, Minute, Policy, Record, Report, Seq, ServiceId, UtcTime,
};
use crate::reach::Countries;
use crate::series::LearningRates;
use crate::snapshot::{Snapshot, Totals};
use arrivals::Arrivals;
use correlator::{Circumstances, Correlator, Decision};
use gaps::Gaps;
use priors::Priors;
use publish::Publisher;
use shard::Shard;
use sources::Standing;
use subject::Subject;

/// Version of the engine: replay is exact for one version and policy.
pub const ENGINE_VERSION: &str = "21";

/// Looks are taken on this grid while something happens, in milliseconds.
const TICK_MILLIS: i64 = 10_000;

/// Five-minute steps up to a tick, or before a pause, whose counts are still held then.
const STEPS_HELD: u32 = 8;

/// How many reports' sources are looked up together: as many reads of memory as a processor has
/// under way at once, times a few.
const FETCHED_AHEAD: usize = 32;

/// Counts, detects and judges. Time moves only by the records it is given, in `seq` order.
#[derive(Debug)]
pub struct Engine {
    state: EngineState,
    effects: VecDeque<Effect>,
    publisher: Publisher,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct EngineState {
    now: UtcTime,
    seq: Seq,
    last_tick: Option<UtcTime>,
    gaps: Gaps,
    policy: Arc<Policy>,
    policy_digest: String,
    rates: LearningRates,
    catalogue: Arc<Catalogue>,
    geography: String,
    channels: IndexMap<ChannelId, String, FxBuildHasher>,
    /// Hour in which each service came into the catalogue.
    born: IndexMap<ServiceId, u32, FxBuildHasher>,
    priors: Priors,
    arrivals: Arrivals,
    shards: Vec<Shard>,
    correlator: Correlator,
    decisions: Vec<Decision>,
    /// Countries over all services, by measurements.
    countries: Countries,
    totals: Totals,
    last_report_at: Option<UtcTime>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine that has seen nothing. Its first records should be a catalogue and a policy;
    /// reports of services that are not in the catalogue are left out.
    pub fn new() -> Self {
        Self::with_shards(1)
    }

    /// The same with its services spread over several shards, which changes nothing that can be
    /// observed.
    pub fn with_shards(shards: usize) -> Self {
        let policy = Policy::default();
        Engine {
            state: EngineState {
                now: UtcTime::default(),
                seq: Seq::default(),
                last_tick: None,
                gaps: Gaps::default(),
                policy_digest: digest(&policy),
                rates: LearningRates::new(&policy),
                policy: Arc::new(policy),
                catalogue: Arc::default(),
                geography: String::new(),
                channels: IndexMap::default(),
                born: IndexMap::default(),
                priors: Priors::default(),
                arrivals: Arrivals::default(),
                shards: vec![Shard::default(); shards.max(1)],
                correlator: Correlator::default(),
                decisions: Vec::new(),
                countries: Countries::default(),
                totals: Totals::default(),
                last_report_at: None,
            },
            effects: VecDeque::new(),
            publisher: Publisher::default(),
        }
    }

    /// Takes the next record. Records at or before the last `seq` are ignored, so that a tail may
    /// overlap a checkpoint.
    pub fn handle(&mut self, record: &Record) {
        self.handle_evidence(record.seq, record.received_at, &record.evidence);
    }

    /// Takes evidence that the log took at `received_at`, at positions from `first` on. The same as
    /// one after the other, and faster.
    pub fn handle_batch(&mut self, first: Seq, received_at: UtcTime, evidence: &[Evidence]) {
        let mut seq = first;
        for some in evidence.chunks(FETCHED_AHEAD) {
            self.state.fetch(some);
            for evidence in some {
                self.handle_evidence(seq, received_at, evidence);
                seq = seq.next();
            }
        }
    }

    /// Takes the evidence of the record at `seq`, which the log took at `received_at`.
    pub fn handle_evidence(&mut self, seq: Seq, received_at: UtcTime, evidence: &Evidence) {
        let state = &mut self.state;
        if seq <= state.seq {
            return;
        }
        state.seq = seq;
        state.now = state.now.max(received_at);
        match evidence {
            Evidence::Report(report) => state.count(report),
            Evidence::PageViews(views) => {
                if let Some((shard, subject)) = state.subject(views.service) {
                    state.shards[shard].view(subject, views, state.now);
                }
            }
            Evidence::Measurement(measurement) => state.measure(measurement, seq),
            Evidence::Tick => self.handle_timeout(received_at),
            Evidence::Catalogue(catalogue) => state.adopt(catalogue),
            Evidence::Policy(policy) => {
                state.policy_digest = digest(policy);
                state.rates = LearningRates::new(policy);
                state.policy = Arc::new((**policy).clone());
            }
            Evidence::Geography { digest } => state.geography.clone_from(digest),
            Evidence::Channel { id, name } => {
                state.channels.insert(*id, name.clone());
            }
            Evidence::Engine { .. } => {}
            Evidence::Operator(action) => state.correlator.ask((**action).clone()),
        }
    }

    /// Time has come to `now`: takes looks, follows incidents, publishes.
    fn handle_timeout(&mut self, now: UtcTime) {
        let at = UtcTime::from_millis(now.millis() - now.millis().rem_euclid(TICK_MILLIS));
        let state = &mut self.state;
        if state.last_tick.is_some_and(|last| at <= last) {
            return;
        }
        state.gaps.tick(state.last_tick, at);
        let last = state.last_tick.replace(at).unwrap_or(at);
        let hour = at.minute().hour();
        for decision in std::mem::take(&mut state.decisions) {
            let shard = state.shard_of(decision.service);
            state.shards[shard].obey(&decision, at.minute());
        }
        let full_minute = at.minute() != last.minute();
        if last == at {
            state.arrivals.begin(hour);
        }
        state.arrivals.turn(at, state.rates);
        if full_minute {
            state.arrivals.listen(at, &state.policy, &mut state.gaps);
        }
        let mut derived = Derived::default();
        if full_minute {
            for shard in &mut state.shards {
                shard.put_in_order(&state.policy, state.rates);
            }
        }
        let is_fifth_minute = at.minute().0 / 5 != last.minute().0 / 5;
        // Before series without recent counts are put to rest.
        if is_fifth_minute {
            state.roll_up(at, last, &mut derived);
        }
        if hour != last.minute().hour() {
            state.arrivals.turn_hour(hour, &state.policy, state.rates, &state.gaps);
            for shard in &mut state.shards {
                shard.leave_out(hour, &state.arrivals);
                shard.turn_hour(hour, &state.policy, state.rates, &state.gaps);
            }
            if hour / 24 != last.minute().hour() / 24 {
                state.priors = Priors::work_out(&state.catalogue, &state.shards);
                state.forget_idle_places(at);
            }
        }
        state.step(at, full_minute, &mut derived);
        if is_fifth_minute {
            state.chart(at, &mut derived);
            state.countries.pass(at);
        }
        if !derived.is_empty() {
            self.effects.push_back(Effect::Persist(state.seq, Box::new(derived)));
        }
        self.effects.push_back(Effect::Publish);
    }

    /// When the host should append the next [`Evidence::Tick`]: soon while something happens,
    /// within the hour in any case. `None` until the first record has told the time.
    pub fn poll_timeout(&self) -> Option<UtcTime> {
        let state = &self.state;
        let last = state.last_tick.unwrap_or(state.now);
        let busy = state.last_tick.is_none()
            || state.correlator.is_busy()
            || !state.decisions.is_empty()
            || state.shards.iter().any(Shard::is_busy);
        let grid = if busy { TICK_MILLIS } else { 60_000 };
        let from = last.max(state.now).millis();
        (state.seq.0 > 0).then(|| UtcTime::from_millis(from - from.rem_euclid(grid) + grid))
    }

    /// The next thing the host is to do; ask until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Draws the picture that readers see. Asked for by [`Effect::Publish`]; a replay need not.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        self.publisher.publish(&mut self.state)
    }

    /// The last record taken.
    pub fn seq(&self) -> Seq {
        self.state.seq
    }

    /// The time up to which the engine has been told.
    pub fn now(&self) -> UtcTime {
        self.state.now
    }

    /// The catalogue in force.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.state.catalogue
    }

    /// One more than the highest number that any service ever had.
    pub fn service_numbers(&self) -> u32 {
        self.state.born.keys().map(|id| id.0.saturating_add(1)).max().unwrap_or(0)
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.state.policy
    }

    /// Digest of the policy in force.
    pub fn policy_digest(&self) -> &str {
        &self.state.policy_digest
    }

    /// Digest of the geography in force; empty before the first.
    pub fn geography_digest(&self) -> &str {
        &self.state.geography
    }

    /// Names of channels.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelId, &str)> {
        self.state.channels.iter().map(|(id, name)| (*id, name.as_str()))
    }

    /// The whole state as bytes, the same for the same records.
    pub fn checkpoint(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.state).unwrap_or_default()
    }

    /// An engine as it was when `bytes` were made by [`Engine::checkpoint`] of the same version;
    /// `None` when they are not such bytes.
    pub fn restore(bytes: &[u8]) -> Option<Self> {
        let state: EngineState = postcard::from_bytes(bytes).ok()?;
        let sound = !state.shards.is_empty();
        sound.then(|| Engine { state, effects: VecDeque::new(), publisher: Publisher::default() })
    }
}

impl EngineState {
    fn shard_of(&self, service: ServiceId) -> usize {
        service.0 as usize % self.shards.len()
    }

    /// Reads what these reports will need of the largest tables, where one after the other each would
    /// wait for memory. It changes nothing.
    fn fetch(&self, evidence: &[Evidence]) {
        let mut sum = 0u64;
        for evidence in evidence {
            let Evidence::Report(report) = evidence else { continue };
            let shard = &self.shards[self.shard_of(report.service)];
            if let Some(subject) = shard.subjects.get(&report.service) {
                sum = sum.wrapping_add(subject.sources.fetch(&report.source));
            }
        }
        std::hint::black_box(sum);
    }

    /// A catalogue service's shard and its place there.
    fn subject(&mut self, service: ServiceId) -> Option<(usize, usize)> {
        let shard = self.shard_of(service);
        let subjects = &mut self.shards[shard].subjects;
        let index = match subjects.get_index_of(&service) {
            Some(index) => index,
            None => {
                let born_hour = *self.born.get(&service)?;
                let category = self.catalogue.get(service).map(|service| service.category);
                let prior = category.map(|category| self.priors.of(category)).unwrap_or_default();
                subjects.insert_full(service, Subject::new(service, born_hour, prior)).0
            }
        };
        Some((shard, index))
    }

    fn adopt(&mut self, catalogue: &Catalogue) {
        let hour = self.now.minute().hour();
        for service in catalogue.iter() {
            self.born.entry(service.id).or_insert(hour);
        }
        self.catalogue = Arc::new(catalogue.clone());
    }

    fn count(&mut self, report: &Report) {
        self.totals.reports += 1;
        self.arrivals.count(report);
        self.last_report_at = Some(self.now);
        let late =
            self.now.millis_since(report.occurred_at) > i64::from(self.policy.lateness_minutes) * 60_000;
        let Some((shard, subject)) = self.subject(report.service) else { return };
        let shard = &mut self.shards[shard];
        let standing = if late {
            self.totals.late += 1;
            shard.chart_late(subject, report, &self.policy)
        } else {
            shard.count(subject, report, self.now, (&self.policy, self.rates))
        };
        match standing {
            Standing::New => {}
            Standing::Repeat => self.totals.repeats += 1,
            Standing::OverSubnetCap => self.totals.over_subnet_cap += 1,
        }
    }

    fn step(&mut self, at: UtcTime, full_minute: bool, derived: &mut Derived) {
        let mut looks = Vec::new();
        for shard in &mut self.shards {
            let known = (&*self.policy, &*self.catalogue, &self.arrivals);
            looks.append(&mut shard.look(at, full_minute, known));
        }
        looks.sort_by_key(|look| look.service);
        let now = Circumstances {
            at,
            full_minute: full_minute && at.millis().rem_euclid(60_000) == 0,
            policy: &self.policy,
            policy_digest: &self.policy_digest,
            catalogue: &self.catalogue,
        };
        self.decisions = self.correlator.step(looks, now, derived);
    }

    /// Five-minute counts become history once no report in them can be late any more.
    fn roll_up(&mut self, at: UtcTime, last: UtcTime, derived: &mut Derived) {
        let settled = |at: UtcTime| at.minute().minus(self.policy.lateness_minutes).0 / 5;
        let (from, to) = (settled(last), settled(at));
        // After a pause what was counted before it becomes history too; of the time between there is
        // nothing to say, and the rings remember no more than an hour.
        for step in (from..to).filter(|step| step - from < STEPS_HELD || to - step <= STEPS_HELD) {
            let start = Minute(step * 5);
            if !self.gaps.touch(start, 5) {
                derived.collected.push(start);
            }
            for shard in &mut self.shards {
                shard.roll_up(start, &self.policy, &mut derived.roll_ups);
            }
        }
        // Each shard's are in order already.
        derived.roll_ups.sort_by_key(|row| (row.start, row.key.service, row.key.facet.packed()));
    }

    /// Draws the last five minutes into the charts of open incidents.
    fn chart(&mut self, at: UtcTime, derived: &mut Derived) {
        let services: Vec<ServiceId> = self.correlator.open_services().collect();
        for service in services {
            let shard = self.shard_of(service);
            let Some(subject) = self.shards[shard].subjects.get(&service) else { continue };
            let Some(whole) = subject.series.get(&Facet::All) else { continue };
            let bar = |step: u32| publish::bar((subject, whole), step, &self.policy, &self.gaps);
            self.correlator.chart(service, at.minute().0 / 5 - 1, bar, derived);
        }
    }
}

/// Digest of a policy: BLAKE3 over its compact binary form, the first 16 hex digits.
fn digest(policy: &Policy) -> String {
    let bytes = postcard::to_allocvec(policy).unwrap_or_default();
    blake3::hash(&bytes).to_hex()[..16].to_owned()
}
