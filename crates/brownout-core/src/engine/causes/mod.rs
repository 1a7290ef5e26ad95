//! Who is to blame when several services rise at once: each for itself, one for the others, or
//! something that they share.
//!
//! Pure: from what rises in one tick and the catalogue to an explanation for each service. Evidence is
//! weighed in nats, not counted in percent; `docs/decisions/007-causes.md` says why.

mod clues;
mod networks;
mod parts;
mod rise;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Catalogue, ServiceId};
use crate::verdict::{Bond, Cause, Clue};
use clues::Party;
pub(crate) use rise::Rise;
use serde::{Deserialize, Serialize};

/// From this evidence on, in nats, a rise counts as another's echo: odds of 4 to 1. The scoreboard
/// says how many bystanders are blamed, and how many failures swallowed, at this value.
const ECHO_NATS: f64 = 1.5;
/// What is held as an echo stays one down to this evidence, so that a state does not flicker.
const STILL_ECHO_NATS: f64 = -4.0;
/// ... and one that is less likely than this speaks for itself after a while: odds of 1 to 12.
const UNLIKELY_ECHO_NATS: f64 = -2.5;
/// A service whose rise is in doubt waits for more evidence from here on; see `WAIT_MILLIS`.
const DOUBT_NATS: f64 = -1.0;
/// What fails with others, by what they share, is an echo only if much speaks for it.
const DESPITE_SHARED_NATS: f64 = 3.5;
/// A cause that is above its usual band without departing, for the noise of a busy service hides much,
/// needs so much evidence: odds of 150 to 1.
const QUIET_CAUSE_NATS: f64 = 5.0;
/// What brought, in so many minutes, up to so many times less than another that is not published yet may be
/// its cause all the same; and the most that speaks for it, which is a short wait.
const RIVAL_MINUTES: u32 = 10;
const RIVAL_TIMES: f64 = 1.5;
const RIVAL_NATS_MAX: f64 = -0.01;
/// Most services, the largest, that one is compared with.
const CAUSES_MAX: usize = 16;
/// Most services that are explained at once; what is beyond speaks for itself.
const RISING_MAX: usize = 2_000;

/// A service whose reports rise.
pub(crate) struct Rising<'a> {
    pub(crate) service: ServiceId,
    pub(crate) rise: &'a Rise,
    /// It departs now or has an open incident. The others are only above their usual band: they may
    /// be a cause that is about to show.
    pub(crate) departs: bool,
    /// It has an open incident.
    pub(crate) is_open: bool,
    /// What it is held down for, if it is.
    pub(crate) held: Option<(Bond, Cause)>,
}

/// Why a service rises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Explanation {
    pub(crate) bond: Bond,
    pub(crate) cause: Cause,
    /// Evidence for it, in nats.
    pub(crate) nats: f64,
    /// Not in doubt any more.
    pub(crate) is_certain: bool,
    /// Sources above usual here and at the cause, or over all services that share it.
    pub(crate) here: u32,
    pub(crate) there: u32,
    pub(crate) clues: Vec<Clue>,
}

impl Explanation {
    /// Whether it keeps an incident that is open already from being detected: it is certain, or an echo
    /// is not ruled out.
    pub(crate) fn holds(&self) -> bool {
        self.is_certain || self.bond == Bond::Echo
    }

    /// Whether the clues have turned against what it was held for.
    pub(crate) fn is_unlikely(&self) -> bool {
        self.bond == Bond::Echo && self.nats < UNLIKELY_ECHO_NATS
    }
}

/// Explains what rises; a service that is not in the answer speaks for itself.
pub(crate) fn explain(rising: &[Rising<'_>], catalogue: &Catalogue) -> BTreeMap<ServiceId, Explanation> {
    let mut explained = BTreeMap::new();
    let mut order: Vec<&Rising<'_>> = rising.iter().collect();
    order.sort_by(|these, those| {
        let size = |one: &Rising<'_>| one.rise.above(rise::COURSE_MINUTES);
        size(those).total_cmp(&size(these)).then(these.service.cmp(&those.service))
    });
    order.truncate(RISING_MAX);
    networks::explain(&order, catalogue, &mut explained);
    shared::dependencies(&order, catalogue, &mut explained);
    let beside_pattern = shared::patterns(&order, catalogue, &mut explained);
    echoes(&order, catalogue, &mut explained, &beside_pattern);
    explained
}

/// Compares each with those that rise more, the largest first: what is an echo is nobody's cause. What is
/// held as an echo comes last, for it may outlast its cause.
fn echoes(
    order: &[&Rising<'_>],
    catalogue: &Catalogue,
    explained: &mut BTreeMap<ServiceId, Explanation>,
    beside_pattern: &BTreeSet<ServiceId>,
) {
    let mut causes: Vec<(Party<'_>, bool)> = Vec::new();
    let owners: Vec<Cause> = explained.values().map(|known| known.cause).collect();
    let is_held = |one: &&&Rising<'_>| one.held.is_some_and(|(bond, _)| bond == Bond::Echo);
    let (held, others) = (order.iter().filter(is_held), order.iter().filter(|one| !is_held(one)));
    for small in others.chain(held) {
        let Some(service) = catalogue.get(small.service) else { continue };
        let party = Party { service, rise: small.rise };
        let known = explained.get(&small.service).map(|known| (known.bond, known.is_certain));
        let is_bystander = matches!(known, Some((Bond::Network, true)));
        // What a network's fault is laid to by its customers' reports is failing itself.
        let is_cause = owners.contains(&Cause::Service(small.service));
        let is_shared = match known {
            Some((bond, _)) => matches!(bond, Bond::Dependency | Bond::Pattern),
            None => beside_pattern.contains(&small.service),
        };
        let candidates = || causes.iter().copied().chain(rivals(small, order, catalogue, &causes));
        let found = if is_bystander || is_cause { None } else { best(party, small, is_shared, candidates()) };
        let needed = if is_shared { DESPITE_SHARED_NATS } else { 0.0 };
        let is_echo = found.as_ref().is_some_and(|found| {
            let still = small.held.is_some_and(|(bond, _)| bond == Bond::Echo);
            found.nats >= if still && !is_shared { STILL_ECHO_NATS } else { needed + DOUBT_NATS }
        });
        if let Some(found) = found.filter(|_| is_echo) {
            explained.insert(small.service, found);
        }
        let explains_itself = explained.get(&small.service).is_none_or(|known| !known.bond.is_innocent());
        if explains_itself && causes.len() < CAUSES_MAX {
            causes.push((party, small.departs));
        }
    }
}

/// What was published before `small` and is nearly as large may turn out to be the larger within minutes.
fn rivals<'a>(
    small: &Rising<'_>,
    order: &[&Rising<'a>],
    catalogue: &'a Catalogue,
    causes: &[(Party<'a>, bool)],
) -> Vec<(Party<'a>, bool)> {
    if small.is_open || small.held.is_some() {
        return Vec::new();
    }
    let least = small.rise.above(RIVAL_MINUTES) / RIVAL_TIMES;
    let is_known = |one: &Rising<'_>| causes.iter().any(|(known, _)| known.service.id == one.service);
    let is_rival = |one: &&&Rising<'a>| {
        one.is_open && one.held.is_none() && one.rise.above(RIVAL_MINUTES) >= least && !is_known(one)
    };
    let party =
        |one: &&Rising<'a>| Some((Party { service: catalogue.get(one.service)?, rise: one.rise }, false));
    order.iter().filter(is_rival).filter_map(party).take(CAUSES_MAX).collect()
}

/// The cause among those that rise more which the clues point to most.
fn best<'a>(
    party: Party<'_>,
    small: &Rising<'_>,
    is_shared: bool,
    causes: impl Iterator<Item = (Party<'a>, bool)>,
) -> Option<Explanation> {
    let mut best: Option<Explanation> = None;
    for (large, departs) in causes {
        // Declared: it fails with what it is built on, see `shared::dependencies`.
        if party.service.depends_on.contains(&large.service.slug) {
            continue;
        }
        let cause = Cause::Service(large.service.id);
        // Of several that fail, which one it echoes may be seen later; that it is an echo is seen already.
        let is_held = small.held.is_some_and(|(bond, _)| bond == Bond::Echo);
        let (mut nats, clues) = clues::weigh(party, large, is_held);
        if is_shared {
            nats -= clues::of_both(&clues);
        }
        if large.rise.above(rise::COURSE_MINUTES) < small.rise.above(rise::COURSE_MINUTES) {
            nats = nats.min(RIVAL_NATS_MAX);
        }
        if best.as_ref().is_some_and(|best| best.nats >= nats) {
            continue;
        }
        let needed = match (is_shared, is_held) {
            (true, _) => DESPITE_SHARED_NATS,
            (_, true) => STILL_ECHO_NATS,
            _ => ECHO_NATS,
        };
        best = Some(Explanation {
            bond: Bond::Echo,
            cause,
            nats,
            is_certain: nats >= if departs { needed } else { needed.max(QUIET_CAUSE_NATS) },
            here: small.rise.excess().round() as u32,
            there: large.rise.excess().round() as u32,
            clues,
        });
    }
    best
}
