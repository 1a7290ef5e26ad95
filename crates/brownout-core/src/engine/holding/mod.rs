//! What is held down because another is to blame, and what several services share.

mod groups;
mod held;
mod memory;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::causes::{Explanation, Rising, explain};
use super::correlator::{Circumstances, ServiceLook};
use super::looking::Signal;
use super::ongoing::Incident;
use crate::model::{Catalogue, Minute, ServiceId, UtcTime};
use crate::snapshot::CauseView;
use crate::verdict::{Bond, ClueKind, Reason, odds};
pub(crate) use groups::pour;
use groups::{Groups, Laid};
pub(crate) use held::Fate;
use held::Held;
use memory::Memory;

/// Clues told with a judgement, and how much they say at least, in decibans.
const CLUES_TOLD: usize = 4;
const CLUE_DECIBANS_MIN: f32 = 2.0;

/// What is held down, what open incidents are laid to, and what is common to several.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Holding {
    held: IndexMap<ServiceId, Held, FxBuildHasher>,
    /// Of services with an open incident.
    known: BTreeMap<ServiceId, Explanation>,
    groups: Groups,
    memory: Memory,
}

impl Holding {
    /// Puts the first sight of a beginning in the place of later ones.
    pub(crate) fn remember_beginnings(&mut self, looks: &mut [ServiceLook], now: Minute) {
        self.memory.remember_beginnings(looks, now);
    }

    /// Explains what rises in this tick.
    pub(crate) fn explain(
        &mut self,
        looks: &[ServiceLook],
        is_open: impl Fn(ServiceId) -> bool,
        catalogue: &Catalogue,
        at: UtcTime,
    ) -> BTreeMap<ServiceId, Explanation> {
        let rising = looks.iter().filter_map(|look| {
            let known = self.held.get(&look.service).map(|held| &held.explanation);
            let known = known.filter(|known| known.is_certain).or_else(|| self.known.get(&look.service));
            let departs = look.signals.iter().any(|signal| signal.departs);
            let is_open = is_open(look.service);
            Some(Rising {
                service: look.service,
                rise: look.rise.as_ref()?,
                departs: departs || known.is_some() || is_open,
                is_open,
                held: known.map(|known| (known.bond, known.cause)),
            })
        });
        let rising: Vec<Rising<'_>> = rising.collect();
        let explained = explain(&rising, catalogue);
        let unpublished = explained.iter().filter(|(service, _)| !is_open(**service));
        self.memory.suspect(unpublished.map(|(service, found)| (*service, found)), at);
        explained
    }

    /// Decides on a service without an open incident.
    pub(crate) fn decide(
        &mut self,
        look: &ServiceLook,
        explanation: Option<&Explanation>,
        now: Circumstances<'_>,
    ) -> Fate {
        let innocent = explanation.filter(|found| found.bond.is_innocent());
        let Some(held) = self.held.get_mut(&look.service) else {
            let departs = look.signals.iter().any(|signal| signal.departs);
            let found = innocent.or_else(|| self.memory.suspected(look.service));
            let Some(found) = found.filter(|_| departs) else { return Fate::Speaks(false) };
            self.held.insert(look.service, Held::new(found, now.at));
            return Fate::IsHeld(true);
        };
        let fate = held.step(look, innocent, now);
        if !matches!(fate, Fate::IsHeld(_)) {
            self.held.shift_remove(&look.service);
        }
        fate
    }

    /// Takes over a service whose incident was withdrawn.
    pub(crate) fn take(&mut self, service: ServiceId, explanation: &Explanation, at: UtcTime) {
        self.known.remove(&service);
        self.held.insert(service, Held::new(explanation, at));
    }

    /// Remembers what an open incident is laid to.
    pub(crate) fn know(&mut self, service: ServiceId, explanation: Option<&Explanation>) {
        if let Some(found) = explanation.filter(|found| found.is_certain) {
            self.known.insert(service, found.clone());
        }
    }

    /// Forgets an incident that is over.
    pub(crate) fn forget(&mut self, service: ServiceId) {
        self.known.remove(&service);
    }

    /// Brings the groups up to date with what is held and known.
    pub(crate) fn regroup(&mut self, looks: &[ServiceLook], now: Circumstances<'_>) {
        let held = self.held.iter().map(|(service, held)| Laid {
            service: *service,
            since: held.since,
            found: &held.explanation,
            is_held: true,
        });
        let known = self.known.iter().map(|(service, found)| Laid {
            service: *service,
            since: now.at,
            found,
            is_held: false,
        });
        self.groups.regroup(held.chain(known).filter(|laid| laid.found.is_certain), looks, now);
    }

    /// What is laid to a service of the catalogue that nobody need report itself, as a signal of its
    /// own: customers or dependents rise, so it fails.
    pub(crate) fn pooled(&self) -> impl Iterator<Item = (ServiceId, Signal)> + '_ {
        self.groups.pooled()
    }

    /// Whether a service is held down, for more than a doubt or also for that.
    pub(crate) fn is_held(&self, service: ServiceId) -> bool {
        self.held.contains_key(&service)
    }

    /// Whether anything is held down.
    pub(crate) fn is_busy(&self) -> bool {
        !self.held.is_empty()
    }

    /// What a judgement of a service says of causes; nothing where there is nothing to say.
    pub(crate) fn reasons(&self, service: ServiceId) -> Vec<Reason> {
        let held = self.held.get(&service).map(|held| &held.explanation);
        let mut reasons = match held.or_else(|| self.known.get(&service)) {
            Some(found) if found.is_certain => self.because(found),
            Some(found) => vec![Reason::BeingWeighed { cause: found.cause }],
            None => Vec::new(),
        };
        reasons.extend(self.groups.explained_by(service));
        reasons
    }

    fn because(&self, found: &Explanation) -> Vec<Reason> {
        let mut told: Vec<_> = found
            .clues
            .iter()
            .filter(|clue| clue.decibans.abs() >= CLUE_DECIBANS_MIN && clue.kind != ClueKind::Relation)
            .collect();
        told.sort_by(|these, those| those.decibans.abs().total_cmp(&these.decibans.abs()));
        let first = Reason::LikelyCausedBy {
            cause: found.cause,
            bond: found.bond,
            odds: if found.nats > 0.0 { odds(found.nats) } else { 0 },
            here: found.here,
            there: found.there,
            services: if found.bond == Bond::Echo { 0 } else { self.groups.count(found) },
        };
        let clues = told.into_iter().take(CLUES_TOLD).map(|clue| Reason::Clue { clue: *clue });
        [first].into_iter().chain(clues).collect()
    }

    /// As readers see it; `incident` gives the open incident of a service.
    pub(crate) fn views<'a>(&self, incident: impl Fn(ServiceId) -> Option<&'a Incident>) -> Vec<CauseView> {
        self.groups.views(incident)
    }
}
