//! Episodes through the engine: once with all services in it, and once each service in an engine of its
//! own, which sees the same reports and can lay them to nobody else.

use std::collections::BTreeMap;

use brownout_core::effect::Effect;
use brownout_core::engine::Engine;
use brownout_core::model::{
    Asn, Catalogue, ChannelId, Evidence, Place, ProblemKind, Report, Seq, Service, ServiceId, SourceKeys,
    UtcTime, Weight,
};
use brownout_core::verdict::{Bond, Cause};

use super::episode::{Episode, Surge};
use super::world::{World, pick};
use crate::rng::Rng;
use crate::scoreboard::shape_of_week;

const MINUTE_MILLIS: i64 = 60_000;
const DAY_MINUTES: i64 = 1440;
/// Monday, 6 January 2020.
const BEGIN_MILLIS: i64 = 1_578_268_800_000;
/// Calm days before the first episode.
const WARM_UP_MINUTES: i64 = 3 * DAY_MINUTES;
/// From the beginning of one episode to that of the next: never the same hour of the day twice in turn.
const SPACING_MINUTES: i64 = 10 * 60;
/// How often causes are looked at, in minutes.
const LOOK_MINUTES: i64 = 10;
/// Minutes of an episode in which they are.
const LOOKS_END: usize = 200;

/// What became of one service in one episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Reports beyond what is usual.
    pub(super) reports: u32,
    /// Minutes from the beginning of its surge.
    pub(super) possible: Option<f64>,
    pub(super) detected: Option<f64>,
    /// The same when it is alone.
    pub(super) possible_alone: Option<f64>,
    pub(super) detected_alone: Option<f64>,
    /// What it was laid to, and at how many looks.
    pub(super) named: BTreeMap<(Bond, Cause), u32>,
}

/// Outcomes by position of the surge; and bystanders called only because others were there, of how many.
pub(super) struct Played {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) bystanders: u32,
    pub(super) bystanders_blamed: u32,
    /// Services that were called although they are calm, and are the cause that others point to.
    pub(super) owner_called: bool,
}

/// Plays episodes one after the other.
pub(super) fn play(world: &World, episodes: &[Episode], mut rng: Rng) -> Vec<Played> {
    let mut all = Watched::new(world.catalogue());
    let mut alone: Vec<Watched> = world.services.iter().map(Watched::only).collect();
    let end = WARM_UP_MINUTES + SPACING_MINUTES * episodes.len() as i64;
    let mut factors: Vec<f64> = world.usual.iter().map(|usual| rng.gamma_factor(usual.noise)).collect();
    let phases: Vec<i64> = world.usual.iter().map(|_| i64::from(rng.below(60))).collect();
    let mut counts: Vec<Vec<u32>> = episodes.iter().map(|one| vec![0; one.surges.len()]).collect();
    let mut named: Vec<BTreeMap<(usize, Bond, Cause), u32>> = vec![BTreeMap::new(); episodes.len()];
    let mut reports: Vec<(i64, Report)> = Vec::new();
    for minute in 0..end {
        let episode = usize::try_from((minute - WARM_UP_MINUTES).div_euclid(SPACING_MINUTES)).ok();
        let into = (minute - WARM_UP_MINUTES).rem_euclid(SPACING_MINUTES) as usize;
        reports.clear();
        for (service, usual) in world.usual.iter().enumerate() {
            if minute % 60 == phases[service] {
                factors[service] = rng.gamma_factor(usual.noise);
            }
            let mean = usual.per_hour / 60.0 * shape(minute) * factors[service];
            for _ in 0..rng.poisson(mean) {
                let on = world.services[service].networks.clone();
                let on = (!on.is_empty()).then_some((on, usual.on_own));
                let drawn =
                    report(world, &mut rng, service, minute, (&usual.kinds, &usual.countries, on.as_ref()));
                reports.push(drawn);
            }
        }
        if let Some(index) = episode {
            for (number, surge) in episodes[index].surges.iter().enumerate() {
                let mean = surge.rate.get(into).copied().unwrap_or(0.0);
                let count = rng.poisson(mean);
                counts[index][number] += count;
                for _ in 0..count {
                    let how: How<'_> = (&surge.kinds, &surge.countries, surge.on.as_ref());
                    reports.push(report(world, &mut rng, surge.service, minute, how));
                }
            }
        }
        reports.sort_by_key(|(at, _)| *at);
        for (at, report) in &reports {
            let at = UtcTime::from_millis(*at);
            let own = &mut alone[report.service.0 as usize];
            for watched in [&mut all, own] {
                watched.pass(at);
                watched.tell(at, &Evidence::Report(*report));
            }
        }
        if let Some(index) = episode.filter(|_| minute % LOOK_MINUTES == 0 && into < LOOKS_END) {
            all.pass(at_minute(minute + 1));
            for cause in &all.engine.snapshot().causes {
                for member in &cause.members {
                    let key = (member.service.0 as usize, cause.bond, cause.cause);
                    *named[index].entry(key).or_default() += 1;
                }
            }
        }
    }
    for watched in alone.iter_mut().chain([&mut all]) {
        watched.pass(at_minute(end));
    }
    let judged = episodes.iter().enumerate();
    judged
        .map(|(index, episode)| judge((index, episode), (&all, &alone), &counts[index], &named[index]))
        .collect()
}

/// Looks back at one episode.
fn judge(
    (index, episode): (usize, &Episode),
    (all, alone): (&Watched, &[Watched]),
    counts: &[u32],
    named: &BTreeMap<(usize, Bond, Cause), u32>,
) -> Played {
    let from = WARM_UP_MINUTES + SPACING_MINUTES * index as i64;
    let span = (at_minute(from), at_minute(from + SPACING_MINUTES));
    let outcome = |(surge, reports): (&Surge, &u32)| {
        let begin = surge.rate.iter().position(|rate| *rate > 0.0).unwrap_or(0);
        let begin = at_minute(from + begin as i64);
        let minutes = |at: UtcTime| at.millis_since(begin) as f64 / MINUTE_MILLIS as f64;
        let service = ServiceId(surge.service as u32);
        let (possible, detected) = all.called(service, span);
        let (possible_alone, detected_alone) = alone[surge.service].called(service, span);
        let of_service = named.iter().filter(|((named, ..), _)| *named == surge.service);
        Outcome {
            reports: *reports,
            possible: possible.map(minutes),
            detected: detected.map(minutes),
            possible_alone: possible_alone.map(minutes),
            detected_alone: detected_alone.map(minutes),
            named: of_service.map(|((_, bond, cause), looks)| ((*bond, *cause), *looks)).collect(),
        }
    };
    let outcomes: Vec<Outcome> = episode.surges.iter().zip(counts).map(outcome).collect();
    let owner = episode.surges.iter().find_map(|surge| match surge.truth {
        super::episode::Truth::BuiltOn(owner) | super::episode::Truth::CustomersOf(owner) => Some(owner),
        _ => None,
    });
    let takes_part = |service: usize| {
        owner == Some(service) || episode.surges.iter().any(|surge| surge.service == service)
    };
    let others: Vec<usize> = (0..alone.len()).filter(|service| !takes_part(*service)).collect();
    let is_called =
        |watched: &Watched, service: usize| watched.called(ServiceId(service as u32), span).0.is_some();
    let blamed = others.iter().filter(|one| is_called(all, **one) && !is_called(&alone[**one], **one));
    Played {
        outcomes,
        bystanders: others.len() as u32,
        bystanders_blamed: blamed.count() as u32,
        owner_called: owner.is_some_and(|owner| is_called(all, owner)),
    }
}

fn at_minute(minute: i64) -> UtcTime {
    UtcTime::from_millis(BEGIN_MILLIS + minute * MINUTE_MILLIS)
}

fn shape(minute: i64) -> f64 {
    let of_day = minute.rem_euclid(DAY_MINUTES) as f64 / DAY_MINUTES as f64;
    shape_of_week(of_day - 0.8, minute.div_euclid(DAY_MINUTES) % 7 >= 5)
}

type How<'a> = (&'a [f64], &'a [f64], Option<&'a (Vec<Asn>, f64)>);

/// One report at an instant of the minute, from a source and subnet of its own.
fn report(
    world: &World,
    rng: &mut Rng,
    service: usize,
    minute: i64,
    (kinds, countries, on): How<'_>,
) -> (i64, Report) {
    let at = BEGIN_MILLIS + minute * MINUTE_MILLIS + i64::from(rng.below(MINUTE_MILLIS as u32));
    let mut country = pick(rng, countries);
    let own = on.filter(|(_, share)| rng.unit() < *share).and_then(|(networks, _)| networks.first());
    let network = match own {
        Some(network) => {
            country = world.country_of(*network);
            Some(*network)
        }
        None => world.network(rng, country),
    };
    let place: Place = world.place(rng, country);
    let report = Report {
        service: ServiceId(service as u32),
        kind: ProblemKind::ALL[pick(rng, kinds)],
        channel: ChannelId::WEB,
        occurred_at: UtcTime::from_millis(at),
        place,
        network,
        source: SourceKeys { generation: 1, source: rng.bits(), subnet: rng.bits(), previous: None },
        weight: Weight::FULL,
    };
    (at, report)
}

/// An engine, and what it called.
struct Watched {
    engine: Engine,
    seq: Seq,
    /// Of each service, when its incidents opened and were detected.
    calls: BTreeMap<(ServiceId, UtcTime), Option<UtcTime>>,
}

impl Watched {
    fn only(service: &Service) -> Self {
        let alone = Service { depends_on: Vec::new(), ..service.clone() };
        Watched::new(Catalogue::new(vec![alone]).unwrap_or_default())
    }

    fn new(catalogue: Catalogue) -> Self {
        let mut watched = Watched { engine: Engine::new(), seq: Seq(0), calls: BTreeMap::new() };
        watched.tell(at_minute(0), &Evidence::Catalogue(Box::new(catalogue)));
        watched
    }

    fn tell(&mut self, at: UtcTime, evidence: &Evidence) {
        self.seq = self.seq.next();
        self.engine.handle_evidence(self.seq, at, evidence);
    }

    /// Lets time pass up to an instant, as a host does.
    fn pass(&mut self, to: UtcTime) {
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= to) {
            self.tell(at, &Evidence::Tick);
            while let Some(effect) = self.engine.poll_effect() {
                let Effect::Persist(_, derived) = effect else { continue };
                for incident in &derived.incidents {
                    let key = (incident.id.service, incident.opened_at);
                    self.calls.insert(key, incident.confirmed_at);
                }
            }
        }
    }

    /// When a service was first called within a span, as possible and as detected.
    fn called(
        &self,
        service: ServiceId,
        (from, to): (UtcTime, UtcTime),
    ) -> (Option<UtcTime>, Option<UtcTime>) {
        let span = self.calls.range((service, from)..(service, to));
        let possible = span.clone().map(|((_, opened), _)| *opened).min();
        (possible, span.filter_map(|(_, detected)| *detected).min())
    }
}
