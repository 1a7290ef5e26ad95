//! What several services share, as it stands: the services that one cause explains.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::causes::Explanation;
use super::super::correlator::{Circumstances, ServiceLook};
use super::super::looking::Signal;
use super::super::ongoing::Incident;
use crate::model::{Facet, ServiceId, UtcTime};
use crate::series::Reading;
use crate::snapshot::{CauseMember, CauseView, Rarest, State};
use crate::verdict::{Bond, Cause, ClueKind, Part, Reason, odds};

/// Services named where one explains several.
const NAMED_MAX: usize = 5;
/// Most members of a group in the snapshot.
const MEMBERS_MAX: usize = 200;
/// Fewest dependents that open an incident of what they are built on when nobody reports that itself.
const DEPENDENTS_MIN: usize = 3;

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

/// All causes that explain something now, the oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Groups(Vec<Group>);

/// What one service is laid to for certain.
#[derive(Clone, Copy)]
pub(super) struct Laid<'a> {
    pub(super) service: ServiceId,
    pub(super) since: UtcTime,
    pub(super) found: &'a Explanation,
    /// It is held down for it, and has no incident of its own.
    pub(super) is_held: bool,
}

impl Groups {
    /// Brings the groups up to date with what is laid to something.
    pub(super) fn regroup<'a>(
        &mut self,
        laid: impl Iterator<Item = Laid<'a>>,
        looks: &[ServiceLook],
        now: Circumstances<'_>,
    ) {
        let look = |service: ServiceId| {
            let found = looks.binary_search_by_key(&service, |look| look.service).ok();
            found.map(|index| &looks[index])
        };
        let mut groups: Vec<Group> = Vec::new();
        for Laid { service, since, found, is_held } in laid {
            let old = self.of(found);
            let index = groups.iter().position(|one| one.is_of(found)).unwrap_or_else(|| {
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
        self.0 = groups;
    }

    fn of(&self, found: &Explanation) -> Option<&Group> {
        self.0.iter().find(|one| one.is_of(found))
    }

    /// How many services have the cause in common; 0 when it is none that is known yet.
    pub(super) fn count(&self, found: &Explanation) -> u32 {
        self.of(found).map_or(0, |group| group.members.len() as u32)
    }

    /// What a judgement of a service says of others that it explains.
    pub(super) fn explained_by(&self, service: ServiceId) -> impl Iterator<Item = Reason> + '_ {
        let own = self.0.iter().filter(move |group| group.cause == Cause::Service(service));
        own.map(|group| {
            let mut members: Vec<&CauseMember> = group.members.values().collect();
            members.sort_by_key(|member| (std::cmp::Reverse(member.observed), member.service));
            Reason::Explains {
                bond: group.bond,
                services: members.iter().take(NAMED_MAX).map(|member| member.service).collect(),
                count: group.members.len() as u32,
            }
        })
    }

    /// What is laid to a service of the catalogue that nobody need report itself, as a signal of its
    /// own: customers or dependents rise, so it fails.
    pub(super) fn pooled(&self) -> impl Iterator<Item = (ServiceId, Signal)> + '_ {
        self.0.iter().filter_map(|group| {
            let Cause::Service(owner) = group.cause else { return None };
            let tells = match group.bond {
                Bond::Network => true,
                Bond::Dependency => group.members.len() >= DEPENDENTS_MIN,
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
                window_expected: expected,
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

    /// As readers see it; `incident` gives the open incident of a service.
    pub(super) fn views<'a>(&self, incident: impl Fn(ServiceId) -> Option<&'a Incident>) -> Vec<CauseView> {
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
        self.0.iter().map(view).collect()
    }
}

impl Group {
    fn is_of(&self, found: &Explanation) -> bool {
        (self.bond, self.cause) == (found.bond, found.cause)
    }

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
                let whole = Part { facet: Facet::All, observed, expected, rarest: Rarest::default() };
                let look = ServiceLook {
                    service: owner,
                    signals: vec![signal],
                    rise: None,
                    whole,
                    sources_hour: observed,
                    subnets: observed,
                    extent: None,
                    learning: false,
                    became_usual: false,
                    silence: None,
                    doubts: Vec::new(),
                    settled: Vec::new(),
                };
                looks.insert(index, look);
            }
        }
    }
}
