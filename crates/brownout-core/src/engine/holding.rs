//! What is held down because another is to blame, and what several services share.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::causes::{Explanation, Rise, Rising, explain};
use super::correlator::{Circumstances, ServiceLook};
use super::looking::Signal;
use super::ongoing::Incident;
use crate::model::{Catalogue, Facet, Minute, ServiceId, UtcTime};
use crate::series::Reading;
use crate::snapshot::{CauseMember, CauseView, Onset, State};
use crate::verdict::{Bond, Cause, ClueKind, Part, Reason, odds};

/// How long a rise that may be another's waits for evidence before it is published, in milliseconds.
/// Only a rise beside a larger one of a related service ever waits.
///
/// It waits no more when it has not departed for as long: one that comes and goes with every minute would
/// begin to wait again and again.
const WAIT_MILLIS: i64 = 120_000;
/// The same where an echo is at least as likely as not.
const LONG_WAIT_MILLIS: i64 = 300_000;
/// The same where nearly all reporters are on one network: other services' reports from there tell
/// whether it is the network, and come by and by.
const NETWORK_WAIT_MILLIS: i64 = 600_000;
/// How long a rise that was laid to another speaks for itself before it is published.
const ALONE_MILLIS: i64 = 180_000;
/// The same while the other is still above usual, but the clues have turned against an echo: noise of
/// five minutes must not turn them twice.
const UNLIKELY_MILLIS: i64 = 480_000;
/// The same while it was only in doubt.
const DOUBT_MILLIS: i64 = 60_000;
/// What is held and brings, in so many minutes, less than this share of its fullest ones is an echo that
/// outlasts its cause: a failure of its own would go on when the other is over. The noise of ten minutes
/// alone makes no three of one.
const FADING_MINUTES: u32 = 10;
const FADING_SHARE: f64 = 0.33;
/// Windows by which what is held departs again, in minutes at most.
const FRESH_MINUTES: u32 = 60;
/// How long a beginning is remembered; counts by the minute are known for as long.
const BEGAN_MINUTES: u32 = 60;
/// Clues told with a judgement, and how much they say at least, in decibans.
const CLUES_TOLD: usize = 4;
const CLUE_DECIBANS_MIN: f32 = 2.0;
/// Services named where one explains several.
const NAMED_MAX: usize = 5;
/// Most members of a group in the snapshot.
const MEMBERS_MAX: usize = 200;

/// A service whose rise is laid to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    since: UtcTime,
    last_elevated_at: UtcTime,
    last_departed_at: UtcTime,
    explanation: Explanation,
    /// Since when it departs and nothing explains it any more.
    alone_since: Option<UtcTime>,
    /// Most sources above usual in `FADING_MINUTES` since it is held.
    fullest: f64,
    observed: u32,
    expected: f64,
}

/// Services that have a cause in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    bond: Bond,
    cause: Cause,
    since: UtcTime,
    state: State,
    members: BTreeMap<ServiceId, CauseMember>,
    /// The rarest of what its members showed: ln of times a year.
    ln_per_year: f64,
}

/// What is held down, what open incidents are laid to, and what is common to several.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Holding {
    held: IndexMap<ServiceId, Held, FxBuildHasher>,
    /// Of services with an open incident.
    known: BTreeMap<ServiceId, Explanation>,
    groups: Vec<Group>,
    /// When what departs was first seen to begin.
    began: BTreeMap<ServiceId, Onset>,
}

/// What becomes of a service that has no open incident.
pub(crate) enum Fate {
    /// It speaks for itself; true if it was held until now.
    Speaks(bool),
    /// It is held down; true if it was not until now.
    IsHeld(bool),
    /// It was held down and is calm again; true if it was laid to another for certain.
    IsOver(bool),
}

impl Held {
    fn new(look: &ServiceLook, explanation: &Explanation, at: UtcTime) -> Self {
        Held {
            since: at,
            last_elevated_at: at,
            last_departed_at: at,
            explanation: explanation.clone(),
            alone_since: None,
            fullest: 0.0,
            observed: look.whole.observed,
            expected: look.whole.expected,
        }
    }
}

impl Holding {
    /// Puts the first sight of a beginning in the place of later ones.
    ///
    /// A beginning is looked for as one step. What grows for long looks like a step of the last
    /// minutes, and would seem to begin after its own echoes.
    pub(crate) fn remember_beginnings(&mut self, looks: &mut [ServiceLook], now: Minute) {
        let mut began = BTreeMap::new();
        for look in looks {
            let departs = look.signals.iter().any(|signal| signal.departs);
            let old = self.began.get(&look.service).filter(|old| now.since(old.earliest) <= BEGAN_MINUTES);
            let Some(Rise { onset, .. }) = look.rise.as_mut() else { continue };
            match old {
                Some(old) if onset.earliest > old.latest => *onset = *old,
                None if !departs => continue,
                _ => {}
            }
            began.insert(look.service, *onset);
        }
        self.began = began;
    }

    /// Explains what rises in this tick.
    pub(crate) fn explain(
        &self,
        looks: &[ServiceLook],
        is_open: impl Fn(ServiceId) -> bool,
        catalogue: &Catalogue,
    ) -> BTreeMap<ServiceId, Explanation> {
        let rising = looks.iter().filter_map(|look| {
            let known = self.held.get(&look.service).map(|held| &held.explanation);
            let known = known.filter(|known| known.is_certain).or_else(|| self.known.get(&look.service));
            let departs = look.signals.iter().any(|signal| signal.departs);
            Some(Rising {
                service: look.service,
                rise: look.rise.as_ref()?,
                departs: departs || known.is_some() || is_open(look.service),
                held: known.map(|known| (known.bond, known.cause)),
            })
        });
        let rising: Vec<Rising<'_>> = rising.collect();
        explain(&rising, catalogue)
    }

    /// Decides on a service without an open incident.
    pub(crate) fn decide(
        &mut self,
        look: &ServiceLook,
        explanation: Option<&Explanation>,
        now: Circumstances<'_>,
    ) -> Fate {
        let departs = look.signals.iter().any(|signal| signal.departs);
        // Hours of what was laid to another are no news when that is over.
        let is_fresh = |signal: &Signal| signal.reading.window_minutes <= FRESH_MINUTES;
        let departs_lately = look.signals.iter().any(|signal| signal.departs && is_fresh(signal));
        let elevated = look.signals.iter().any(|signal| signal.reading.elevated);
        let innocent = explanation.filter(|found| found.bond.is_innocent());
        let Some(held) = self.held.get_mut(&look.service) else {
            let Some(found) = innocent.filter(|_| departs) else { return Fate::Speaks(false) };
            let held = Held::new(look, found, now.at);
            self.held.insert(look.service, held);
            return Fate::IsHeld(true);
        };
        (held.observed, held.expected) = (look.whole.observed, look.whole.expected);
        if elevated {
            held.last_elevated_at = now.at;
        }
        if departs {
            held.last_departed_at = now.at;
        }
        let quiet = i64::from(now.policy.quiet_minutes) * 60_000;
        let is_waiting = !held.explanation.is_certain;
        if let Some(found) = innocent {
            // Once certain, only other evidence undoes it, not less of the same.
            if found.is_certain || is_waiting {
                held.explanation = found.clone();
            }
        }
        let waited = now.at.millis_since(held.since) >= wait_millis(&held.explanation);
        let unlikely = innocent.is_some_and(Explanation::is_unlikely);
        // What others' failure brought fades after it; what goes on is a failure of its own.
        let last = look.rise.as_ref().map_or(0.0, |rise| rise.above(FADING_MINUTES));
        held.fullest = held.fullest.max(last);
        let fades = last < FADING_SHARE * held.fullest;
        let is_alone = departs_lately && (innocent.is_none() || unlikely) && (is_waiting || !fades);
        held.alone_since = is_alone.then(|| held.alone_since.unwrap_or(now.at));
        // What was certain for an hour does not end with one look.
        let alone_for = held.alone_since.map_or(0, |since| now.at.millis_since(since));
        let speaks = match is_waiting {
            true => departs && !held.explanation.is_certain && (waited || alone_for >= DOUBT_MILLIS),
            false => is_alone && alone_for >= if unlikely { UNLIKELY_MILLIS } else { ALONE_MILLIS },
        };
        let over = now.at.millis_since(held.last_elevated_at) >= quiet
            || (is_waiting && now.at.millis_since(held.last_departed_at) >= WAIT_MILLIS);
        if speaks {
            self.held.shift_remove(&look.service);
            return Fate::Speaks(true);
        }
        if over {
            self.held.shift_remove(&look.service);
            // What only waited was laid to nobody.
            return Fate::IsOver(!is_waiting);
        }
        Fate::IsHeld(false)
    }

    /// Takes over a service whose incident was withdrawn.
    pub(crate) fn take(&mut self, look: &ServiceLook, explanation: &Explanation, at: UtcTime) {
        self.known.remove(&look.service);
        self.held.insert(look.service, Held::new(look, explanation, at));
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

    /// Brings the groups up to date with what is held and known; `at` is the present.
    pub(crate) fn regroup(&mut self, looks: &[ServiceLook], now: Circumstances<'_>) {
        let look = |service: ServiceId| {
            let found = looks.binary_search_by_key(&service, |look| look.service).ok();
            found.map(|index| &looks[index])
        };
        let held = self.held.iter().map(|(service, held)| (*service, held.since, &held.explanation, true));
        let known = self.known.iter().map(|(service, known)| (*service, now.at, known, false));
        let mut groups: Vec<Group> = Vec::new();
        for (service, since, found, is_held) in held.chain(known) {
            if !found.is_certain {
                continue;
            }
            let old = self.groups.iter().find(|one| (one.bond, one.cause) == (found.bond, found.cause));
            let index = groups
                .iter()
                .position(|one| (one.bond, one.cause) == (found.bond, found.cause))
                .unwrap_or_else(|| {
                    groups.push(Group {
                        bond: found.bond,
                        cause: found.cause,
                        since: old.map_or(since, |old| old.since),
                        state: old.map_or(State::Possible, |old| old.state),
                        members: BTreeMap::new(),
                        ln_per_year: old.map_or(0.0, |old| old.ln_per_year),
                    });
                    groups.len() - 1
                });
            let group = &mut groups[index];
            let old = old.and_then(|old| old.members.get(&service));
            let look = look(service);
            let share = if found.bond == Bond::Network { share_on_network(found) } else { 1.0 };
            let member = CauseMember {
                service,
                since: old.map_or(since, |old| old.since),
                is_held,
                observed: look.map_or(0, |look| (f64::from(look.whole.observed) * share).round() as u32),
                expected: look.map_or(0.0, |look| (look.whole.expected * share) as f32),
                odds: odds(found.nats),
            };
            let rarest = look.into_iter().flat_map(|look| &look.signals).map(|one| one.reading.ln_per_year);
            group.ln_per_year = rarest.fold(group.ln_per_year, f64::min);
            group.members.insert(service, member);
        }
        groups.sort_by_key(|group| (group.since, group.bond, group.cause));
        for group in &mut groups {
            group.step(now);
        }
        self.groups = groups;
    }

    /// What is laid to a service of the catalogue that nobody need report itself, as a signal of its
    /// own: customers or dependents rise, so it fails.
    pub(crate) fn pooled(&self) -> impl Iterator<Item = (ServiceId, Signal)> + '_ {
        self.groups.iter().filter_map(|group| {
            let Cause::Service(owner) = group.cause else { return None };
            let tells = match group.bond {
                Bond::Network => true,
                Bond::Dependency => group.members.len() >= 3,
                Bond::Echo | Bond::Pattern => false,
            };
            if !tells {
                return None;
            }
            let observed: u32 = group.members.values().map(|member| member.observed).sum();
            let expected: f64 = group.members.values().map(|member| f64::from(member.expected)).sum();
            let risen = observed.saturating_sub(libm::ceil(expected) as u32);
            let reading = Reading {
                observed,
                risen_longest: risen,
                expected,
                ln_per_year: group.ln_per_year,
                window_minutes: 15,
                window_sources: observed,
                glr: 0.0,
                elevated: f64::from(observed) > 2.0 * expected,
            };
            let signal = Signal {
                facet: Facet::All,
                reading,
                departs: reading.elevated,
                departs_strongly: reading.elevated,
                sound: (observed, risen),
                onset: None,
            };
            Some((owner, signal))
        })
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
        let own = |group: &&Group| group.cause == Cause::Service(service);
        reasons.extend(self.groups.iter().filter(own).map(|group| {
            let mut members: Vec<&CauseMember> = group.members.values().collect();
            members.sort_by_key(|member| (std::cmp::Reverse(member.observed), member.service));
            Reason::Explains {
                bond: group.bond,
                services: members.iter().take(NAMED_MAX).map(|member| member.service).collect(),
                count: group.members.len() as u32,
            }
        }));
        reasons
    }

    fn because(&self, found: &Explanation) -> Vec<Reason> {
        let group = self.groups.iter().find(|one| (one.bond, one.cause) == (found.bond, found.cause));
        let mut told: Vec<_> = found
            .clues
            .iter()
            .filter(|clue| clue.decibans.abs() >= CLUE_DECIBANS_MIN && clue.kind != ClueKind::Relation)
            .collect();
        told.sort_by(|these, those| those.decibans.abs().total_cmp(&these.decibans.abs()));
        let shared = found.bond != Bond::Echo;
        let first = Reason::LikelyCausedBy {
            cause: found.cause,
            bond: found.bond,
            odds: if found.nats > 0.0 { odds(found.nats) } else { 0 },
            here: found.here,
            there: found.there,
            services: group.filter(|_| shared).map_or(0, |group| group.members.len() as u32),
        };
        let clues = told.into_iter().take(CLUES_TOLD).map(|clue| Reason::Clue { clue: *clue });
        [first].into_iter().chain(clues).collect()
    }

    /// As readers see it; `incident` gives the open incident of a service.
    pub(crate) fn views<'a>(&self, incident: impl Fn(ServiceId) -> Option<&'a Incident>) -> Vec<CauseView> {
        let view = |group: &Group| {
            let own = match group.cause {
                Cause::Service(service) => incident(service),
                Cause::Network(_) | Cause::Unnamed => None,
            };
            let mut members: Vec<CauseMember> = group.members.values().copied().collect();
            members.sort_by_key(|member| (std::cmp::Reverse(member.observed), member.service));
            members.truncate(MEMBERS_MAX);
            CauseView {
                cause: group.cause,
                bond: group.bond,
                since: group.since,
                state: own.map_or(group.state, Incident::state),
                incident: own.map(Incident::id),
                count: group.members.len() as u32,
                members,
            }
        };
        self.groups.iter().map(view).collect()
    }
}

impl Group {
    /// Detected as an incident is: many sources soon, or fewer after longer.
    fn step(&mut self, now: Circumstances<'_>) {
        let observed: u32 = self.members.values().map(|member| member.observed).sum();
        let lasted = |minutes: u32| now.at.millis_since(self.since) >= i64::from(minutes) * 60_000;
        let policy = now.policy;
        let many = observed >= policy.detected_many_sources_min && lasted(policy.detected_many_minutes);
        let few = observed >= policy.detected_few_sources_min && lasted(policy.detected_few_minutes);
        if many || few {
            self.state = State::Confirmed;
        }
    }
}

fn wait_millis(found: &Explanation) -> i64 {
    match found.bond {
        Bond::Network => NETWORK_WAIT_MILLIS,
        _ if found.nats >= 0.0 => LONG_WAIT_MILLIS,
        _ => WAIT_MILLIS,
    }
}

/// The part of a service's reports that a network's fault explains.
fn share_on_network(found: &Explanation) -> f64 {
    let percent = found.clues.iter().find_map(|clue| match clue.kind {
        ClueKind::TheirNetwork { percent } => Some(percent),
        _ => None,
    });
    f64::from(percent.unwrap_or(100)) / 100.0
}

/// Puts what is pooled into the looks, which stay sorted: an owner's own signal of the whole grows by
/// it, and an owner that nobody reports gets a look.
pub(crate) fn pour(looks: &mut Vec<ServiceLook>, pooled: impl Iterator<Item = (ServiceId, Signal)>) {
    let mut seen = BTreeSet::new();
    for (owner, mut signal) in pooled {
        if !seen.insert(owner) {
            continue;
        }
        let (observed, expected) = (signal.reading.observed, signal.reading.expected);
        match looks.binary_search_by_key(&owner, |look| look.service) {
            Ok(index) => {
                let look = &mut looks[index];
                if let Some(own) = look.signals.iter_mut().find(|own| own.facet == Facet::All) {
                    signal.reading.elevated |= own.reading.elevated;
                    signal.departs |= own.departs;
                    signal.departs_strongly |= own.departs_strongly;
                    signal.onset = own.onset;
                    signal.reading.ln_per_year = signal.reading.ln_per_year.min(own.reading.ln_per_year);
                }
                signal.reading.observed += look.whole.observed;
                signal.reading.expected += look.whole.expected;
                look.whole.observed += observed;
                look.whole.expected += expected;
                look.signals.retain(|own| own.facet != Facet::All);
                // `All` sorts before every other facet.
                look.signals.insert(0, signal);
            }
            Err(index) => {
                let whole = Part { facet: Facet::All, observed, expected, recurrence_years: 0.0 };
                let look = ServiceLook {
                    service: owner,
                    signals: vec![signal],
                    rise: None,
                    whole,
                    sources_hour: observed,
                    subnets: observed,
                    extent: None,
                    learning: false,
                    silence: None,
                    doubts: Vec::new(),
                    settled: Vec::new(),
                };
                looks.insert(index, look);
            }
        }
    }
}
