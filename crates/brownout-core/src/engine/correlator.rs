//! The only part that sees across parts of a service and across services: it opens, follows and
//! ends incidents and publishes judgements.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::causes::{Explanation, Rise};
use super::holding::{Fate, Holding, pour};
use super::looking::Signal;
use super::ongoing::Incident;
use super::subject::{Behind, Watch};
use crate::effect::Derived;
use crate::incident::{Doubt, Extent};
use crate::model::{Catalogue, Facet, OperatorAction, Policy, ServiceId, UtcTime};
use crate::snapshot::{Bar, IncidentView, SettledSignal, Silence, State};
use crate::verdict::Part;

/// How long an ended incident stays in the snapshot, in days.
const ENDED_DAYS: i64 = 7;
/// Most ended incidents in the snapshot.
const ENDED_MAX: usize = 500;

/// What the shards saw of one service in one tick.
#[derive(Clone, Debug)]
pub(crate) struct ServiceLook {
    pub(crate) service: ServiceId,
    /// Sorted by facet.
    pub(crate) signals: Vec<Signal>,
    /// What rises, where a part departs, an incident is followed or the whole is above usual.
    pub(crate) rise: Option<Rise>,
    /// The service as a whole.
    pub(crate) whole: Part,
    pub(crate) sources_hour: u32,
    pub(crate) subnets: u32,
    /// Where it fails, if that was asked and the counts decide it.
    pub(crate) extent: Option<Extent>,
    pub(crate) learning: bool,
    /// An incident has gone on for so long that what it brings counts as usual.
    pub(crate) became_usual: bool,
    /// Why next to nothing can be heard of it.
    pub(crate) silence: Option<Silence>,
    /// Why the rise may be nobody's, the largest first.
    pub(crate) doubts: Vec<Doubt>,
    /// What settled counts said in the last hours.
    pub(crate) settled: Vec<SettledSignal>,
}

/// What becomes of learning: nothing is learned during an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Freeze {
    Begin,
    /// An operator says that it still is none of what is usual.
    Extend,
    End,
}

/// A decision that goes back to a shard with the next tick.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) service: ServiceId,
    pub(crate) watched: BTreeMap<Facet, Watch>,
    pub(crate) freeze: Option<Freeze>,
    pub(crate) behind: Behind,
}

/// Open and lately ended incidents, and what operators asked for since the last tick.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Correlator {
    open: IndexMap<ServiceId, Incident, FxBuildHasher>,
    /// Ended a short while ago: a new departure goes on with them.
    cooling: IndexMap<ServiceId, Incident, FxBuildHasher>,
    ended: Vec<Arc<IncidentView>>,
    asked: Vec<OperatorAction>,
    holding: Holding,
}

/// The circumstances of one tick.
#[derive(Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    pub(crate) at: UtcTime,
    pub(crate) full_minute: bool,
    pub(crate) policy: &'a Policy,
    pub(crate) policy_digest: &'a str,
    pub(crate) catalogue: &'a Catalogue,
}

impl Decision {
    /// A service that is held down is followed as a whole and in the parts that depart, and what is
    /// reported meanwhile teaches nothing.
    fn hold(look: &ServiceLook) -> Self {
        let departing = look.signals.iter().filter(|signal| signal.departs).map(|signal| signal.facet);
        let watched = departing.chain([Facet::All]).map(|facet| (facet, Watch::Departures)).collect();
        Decision { service: look.service, watched, freeze: Some(Freeze::Begin), behind: Behind::Nothing }
    }

    /// What was laid to another is left behind; what only waited was laid to nobody.
    fn let_go(service: ServiceId, is_explained: bool) -> Self {
        let behind = if is_explained { Behind::Everything } else { Behind::Nothing };
        Decision { service, watched: BTreeMap::new(), freeze: Some(Freeze::End), behind }
    }
}

impl Correlator {
    /// Remembers what an operator asked for; it takes effect with the next tick.
    pub(crate) fn ask(&mut self, action: OperatorAction) {
        self.asked.push(action);
    }

    /// Whether anything needs looks more often than once a minute.
    pub(crate) fn is_busy(&self) -> bool {
        !self.open.is_empty() || !self.asked.is_empty() || self.holding.is_busy()
    }

    /// Takes one tick's looks, sorted by service. Returns decisions for the shards; what is to be
    /// kept goes into `derived`.
    pub(crate) fn step(
        &mut self,
        mut looks: Vec<ServiceLook>,
        now: Circumstances<'_>,
        derived: &mut Derived,
    ) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let asked = std::mem::take(&mut self.asked);
        let is_open = |service: ServiceId| self.open.contains_key(&service);
        self.holding.remember_beginnings(&mut looks, now.at.minute());
        let explained = self.holding.explain(&looks, is_open, now.catalogue, now.at);
        pour(&mut looks, self.holding.pooled());
        for look in &looks {
            let mut explanation = explained.get(&look.service);
            let mut was_held = false;
            if !self.open.contains_key(&look.service) {
                match self.holding.decide(look, explanation, now) {
                    Fate::Speaks(held) => {
                        was_held = held;
                        // What it was held for in spite of the clues is given up with it.
                        explanation = explanation.filter(|found| !(held && found.is_unlikely()));
                    }
                    Fate::IsHeld(is_new) => {
                        decisions.extend(is_new.then(|| Decision::hold(look)));
                        continue;
                    }
                    Fate::IsOver(is_explained) => {
                        decisions.push(Decision::let_go(look.service, is_explained));
                        continue;
                    }
                }
            }
            let opens = look.signals.iter().any(|signal| signal.departs);
            if opens || self.open.contains_key(&look.service) {
                decisions.extend(self.follow(look, (explanation, was_held), &asked, now, derived));
            }
        }
        self.holding.regroup(&looks, now);
        self.cooling.retain(|_, incident| incident.ended_within(now));
        let horizon = now.at.plus_seconds(-ENDED_DAYS * 86_400);
        self.ended.retain(|view| view.ended_at.is_none_or(|ended| ended >= horizon));
        self.ended.truncate(ENDED_MAX);
        decisions
    }

    /// Opens, follows or ends the incident of a service.
    fn follow(
        &mut self,
        look: &ServiceLook,
        (explanation, was_held): (Option<&Explanation>, bool),
        asked: &[OperatorAction],
        now: Circumstances<'_>,
        derived: &mut Derived,
    ) -> Option<Decision> {
        let mut opened = false;
        let (cooling, ended) = (&mut self.cooling, &mut self.ended);
        let incident = self.open.entry(look.service).or_insert_with(|| {
            opened = true;
            let again = cooling.shift_remove(&look.service).filter(|last| last.ended_within(now));
            if let Some(again) = &again {
                ended.retain(|view| view.id != again.id());
            }
            again.unwrap_or_else(|| Incident::new(look.service, now.at))
        });
        let before = incident.watched();
        let open = !incident.is_over();
        let mut changed = incident.obey(asked, now.at, look);
        let innocent = explanation.filter(|found| found.bond.is_innocent());
        let withdraws = innocent.filter(|found| found.is_certain && incident.state() == State::Possible);
        // The look that an operator's end came with must not open it again at once.
        let closed = open && incident.is_over();
        if let Some(found) = withdraws.filter(|_| open && !closed) {
            changed = true;
            incident.withdraw(now.at, look);
            self.holding.take(look.service, found, now.at);
        } else {
            changed |= !closed && incident.follow(look, now, innocent.is_some_and(Explanation::holds));
            self.holding.know(look.service, explanation);
            changed |= incident.doubt(look, now.at);
        }
        let over = incident.is_over();
        let extends = incident.is_extended_by(asked);
        changed |= incident.judge(look, now, &self.holding.reasons(look.service), derived);
        if changed {
            incident.change();
            derived.incidents.push(Arc::new(incident.view()));
        }
        let is_held = self.holding.is_held(look.service);
        let watched = if over { BTreeMap::new() } else { incident.watched() };
        let decision = (opened || over || extends || watched != before).then(|| {
            let freeze = match (over, opened && !was_held, extends) {
                (true, _, _) => Some(Freeze::End),
                (_, true, _) => Some(Freeze::Begin),
                (_, _, true) => Some(Freeze::Extend),
                _ => None,
            };
            match is_held {
                true => Decision { freeze: None, ..Decision::hold(look) },
                false => {
                    // What it was held with until now is part of the incident, or may become one.
                    let behind = if opened { Behind::Nothing } else { Behind::Unwatched };
                    Decision { service: look.service, watched, freeze, behind }
                }
            }
        });
        if over && let Some(incident) = self.open.shift_remove(&look.service) {
            self.holding.forget(look.service);
            self.ended.insert(0, Arc::new(incident.view()));
            self.cooling.insert(look.service, incident);
        }
        decision
    }

    /// What is held down because another is to blame.
    pub(crate) fn holding(&self) -> &Holding {
        &self.holding
    }

    /// Adds the bar of a past step to an open incident's chart; `bar` gives any step of it.
    pub(crate) fn chart(
        &mut self,
        service: ServiceId,
        step: u32,
        bar: impl Fn(u32) -> Bar,
        derived: &mut Derived,
    ) {
        let Some(incident) = self.open.get_mut(&service) else { return };
        incident.chart(step, bar);
        incident.change();
        derived.incidents.push(Arc::new(incident.view()));
    }

    pub(crate) fn open(&self, service: ServiceId) -> Option<&Incident> {
        self.open.get(&service)
    }

    /// Services with an open incident, in the order in which they opened.
    pub(crate) fn open_services(&self) -> impl Iterator<Item = ServiceId> + '_ {
        self.open.keys().copied()
    }

    pub(crate) fn ended(&self) -> &[Arc<IncidentView>] {
        &self.ended
    }
}
