//! The engine under attack: four weeks of a service's life, then one act.

use std::collections::BTreeSet;

use brownout_core::effect::Effect;
use brownout_core::engine::Engine;
use brownout_core::model::{
    Catalogue, Category, Evidence, PageViews, Policy, Seq, Service, ServiceId, UtcTime,
};
use brownout_core::snapshot::Change;
use brownout_core::verdict::doubt_name;

use super::intake::Intake;
use super::strategy::{Act, earlier_rise, watched_millis};
use super::world::{BEGIN, HOUR_MILLIS, Sent, Size, World, usual_hour};
use crate::rng::Rng;

const DAYS: i64 = 28;
/// Day of the real rise that can be replayed.
const EARLIER_DAY: i64 = 18;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;

/// What came of an act.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// "Possible problems" were called.
    pub possible: bool,
    /// "Detected problems" were called.
    pub detected: bool,
    /// Why it was held, in the names of the interface.
    pub held: BTreeSet<&'static str>,
}

/// A service's first four weeks, from which acts are played as often as one likes.
#[derive(Debug)]
pub struct Stage {
    world: World,
    policy: Policy,
    size: Size,
    seed: u64,
    seq: Seq,
    now: UtcTime,
    checkpoint: Vec<u8>,
}

impl Stage {
    /// Lives through the four weeks. The same arguments give the same stage.
    pub fn new(size: Size, seed: u64, policy: &Policy) -> Self {
        let world = World::new();
        let mut play = Play::new(Engine::new(), Seq(0), policy);
        let service = Service::new(ServiceId(0), "played", "Played", Category::Social);
        // One name and number, made here, fit.
        let catalogue = Catalogue::new(vec![service]).unwrap_or_default();
        play.tell(BEGIN, &Evidence::Catalogue(Box::new(catalogue)));
        play.tell(BEGIN, &Evidence::Policy(Box::new(policy.clone())));
        let mut rng = Rng::new(seed, 0x57a6e);
        let earlier = UtcTime::from_millis(BEGIN.millis() + EARLIER_DAY * DAY_MILLIS + 14 * HOUR_MILLIS);
        let rise = earlier_rise(&world, seed, earlier);
        for hour in 0..DAYS * 24 {
            let begin = BEGIN.millis() + hour * HOUR_MILLIS;
            let mut sent = usual_hour(&world, &mut rng, size, begin);
            let of_hour = |one: &&Sent| (begin..begin + HOUR_MILLIS).contains(&one.at.millis());
            sent.extend(rise.iter().filter(of_hour));
            sent.sort_by_key(|one| one.at);
            play.send(&sent);
        }
        let now = UtcTime::from_millis(BEGIN.millis() + DAYS * DAY_MILLIS);
        play.pass(now);
        let checkpoint = play.engine.checkpoint();
        Stage { world, policy: policy.clone(), size, seed, seq: play.seq, now, checkpoint }
    }

    /// Plays an act with this many sources. `number` tells several plays of the same act apart.
    pub fn play(&self, act: Act, sources: u32, number: u64) -> Outcome {
        let Some(engine) = Engine::restore(&self.checkpoint) else { return Outcome::default() };
        let mut play = Play::new(engine, self.seq, &self.policy);
        let begin = self.now.plus_millis(act.begins_at_minute() * 60_000);
        let until = begin.plus_millis(watched_millis(act));
        let mut usual = Rng::new(self.seed, 0x0000_05a1 + number);
        let mut rng = Rng::new(self.seed, 0xac70_0000 + (number << 20) + u64::from(sources));
        let mut sent = act.sent(&self.world, &mut rng, (self.seed, begin), sources);
        let mut hour = self.now.millis();
        while hour < until.millis() {
            sent.extend(usual_hour(&self.world, &mut usual, self.size, hour));
            hour += HOUR_MILLIS;
        }
        sent.retain(|one| one.at < until);
        sent.sort_by_key(|one| one.at);
        // What was called before is not the act's.
        let first = sent.partition_point(|one| one.at < begin);
        play.send(&sent[..first]);
        play.pass(begin);
        play.outcome = Outcome::default();
        for one in &sent[first..] {
            // Nothing more can be called.
            if play.outcome.detected {
                return play.outcome;
            }
            play.send(std::slice::from_ref(one));
        }
        play.pass(until);
        play.outcome
    }
}

/// An engine, its host's clock and intake, and what was called.
struct Play {
    engine: Engine,
    seq: Seq,
    policy: Policy,
    intake: Intake,
    /// Views of the running minute, which are told when it is over.
    views: (u32, u32),
    outcome: Outcome,
}

impl Play {
    fn new(engine: Engine, seq: Seq, policy: &Policy) -> Self {
        let (policy, intake) = (policy.clone(), Intake::default());
        Play { engine, seq, policy, intake, views: (0, 0), outcome: Outcome::default() }
    }

    fn tell(&mut self, at: UtcTime, evidence: &Evidence) {
        self.seq = self.seq.next();
        self.engine.handle_evidence(self.seq, at, evidence);
    }

    fn send(&mut self, sent: &[Sent]) {
        for one in sent {
            self.pass(one.at);
            self.views.1 += one.views;
            if let Some(report) = self.intake.take(one, &self.policy) {
                self.tell(one.at, &Evidence::Report(report));
            }
        }
    }

    /// Lets time pass up to an instant, as a host does.
    fn pass(&mut self, to: UtcTime) {
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= to) {
            self.tell_views(at);
            self.tell(at, &Evidence::Tick);
            while let Some(effect) = self.engine.poll_effect() {
                let Effect::Persist(_, derived) = effect else { continue };
                for incident in &derived.incidents {
                    self.outcome.possible = true;
                    self.outcome.detected |= incident.confirmed_at.is_some();
                    for entry in &incident.timeline {
                        if let Change::Held(doubt) = &entry.change {
                            self.outcome.held.insert(doubt_name(&doubt.cause));
                        }
                    }
                }
            }
        }
        self.tell_views(to);
    }

    fn tell_views(&mut self, at: UtcTime) {
        let (minute, count) = self.views;
        if at.minute().0 != minute {
            self.views = (at.minute().0, 0);
            if count > 0 {
                let views = PageViews { service: ServiceId(0), country: None, count };
                self.tell(at, &Evidence::PageViews(views));
            }
        }
    }
}
