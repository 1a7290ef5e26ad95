//! What several services share: something that they are built on, or something that nobody wrote down.

use std::collections::{BTreeMap, BTreeSet};

use libm::{lgamma, log};

use super::parts::Counted;
use super::rise::Rise;
use super::{Explanation, Rising};
use crate::model::{Catalogue, ServiceId};
use crate::verdict::{Bond, Cause};

/// Fewest services, of those that depart or are about to, that make a common cause of a pattern.
const SERVICES_MIN: usize = 3;
/// Beginnings of what has one cause lie within so many minutes, ...
pub(super) const TOGETHER_MINUTES: u32 = 20;
/// ... and where only the pattern speaks for it, within so many.
const PATTERN_MINUTES: u32 = 3;
/// Evidence for something that services are built on when nobody reports it, in nats; and the fewest
/// categories of them, for those of one may be each other's echoes.
const DEPENDENCY_NATS: f64 = 5.0;
const CATEGORIES_MIN: usize = 2;
/// What is built on something that is reported less than this share of it is no proof against it.
const REPORTED_SHARE_MIN: f64 = 0.2;
/// In a pattern the smallest rise is at least this share of the largest: less looks like an echo.
const PATTERN_SHARE_MIN: f64 = 0.03;
const PATTERN_PLACES_MIN: f64 = 0.5;
const PATTERN_SOURCES_MIN: f64 = 8.0;
/// Services, the largest, whose beginning is tried as that of all.
const ANCHORS_MAX: usize = 50;

pub(super) type Explained = BTreeMap<ServiceId, Explanation>;

/// Services that fail with what they are built on, by the catalogue.
pub(super) fn dependencies(order: &[&Rising<'_>], catalogue: &Catalogue, explained: &mut Explained) {
    let mut built: BTreeMap<ServiceId, Vec<&Rising<'_>>> = BTreeMap::new();
    let unexplained: Vec<&Rising<'_>> =
        order.iter().copied().filter(|one| !explained.contains_key(&one.service)).collect();
    for rising in &unexplained {
        let Some(service) = catalogue.get(rising.service) else { continue };
        for needed in service.depends_on.iter().filter_map(|slug| catalogue.find(slug)) {
            built.entry(needed.id).or_default().push(rising);
        }
    }
    let mut found: Vec<(f64, ServiceId, Vec<&Rising<'_>>)> = Vec::new();
    for (needed, mut dependents) in built {
        let own = order.iter().find(|one| one.service == needed);
        let began = |one: &Rising<'_>| one.rise.onset;
        let first = dependents.iter().chain(own).map(|one| began(one).latest).min();
        let Some(first) = first else { continue };
        let cause = Cause::Service(needed);
        dependents.retain(|one| {
            one.held == Some((Bond::Dependency, cause))
                || began(one).earliest.since(first) <= TOGETHER_MINUTES
        });
        let largest = dependents.iter().map(|one| one.rise.excess()).fold(0.0, f64::max);
        // What is only seen by another's customers is well itself.
        let own = own.filter(|own| own.departs && !explained.contains_key(&own.service));
        let is_reported = own.is_some_and(|own| own.rise.excess() >= REPORTED_SHARE_MIN * largest);
        let nats = by_chance(dependents.len(), unexplained.len(), needed, catalogue);
        let enough = dependents.len() >= SERVICES_MIN
            && nats >= DEPENDENCY_NATS
            && categories(&dependents, catalogue) >= CATEGORIES_MIN;
        if is_reported || enough {
            let nats = if is_reported { nats.max(DEPENDENCY_NATS) + 2.0 } else { nats };
            found.push((nats, needed, dependents));
        }
    }
    // What explains most comes first; a service is explained once.
    found.sort_by(|these, those| those.0.total_cmp(&these.0).then(these.1.cmp(&those.1)));
    for (nats, needed, dependents) in found {
        let there = dependents.iter().map(|one| one.rise.excess()).sum::<f64>().round() as u32;
        for one in dependents.into_iter().filter(|one| one.departs) {
            let here = one.rise.excess().round() as u32;
            explained.entry(one.service).or_insert(Explanation {
                bond: Bond::Dependency,
                cause: Cause::Service(needed),
                nats,
                is_certain: true,
                here,
                there,
                clues: Vec::new(),
            });
        }
    }
}

/// How surprising it is, in nats, that `dependents` of the `rising` services are built on one thing, if
/// they rose each by itself: a bound on the binomial tail, C(m, k) p^k, with the share of services that
/// are built on it.
fn by_chance(dependents: usize, rising: usize, needed: ServiceId, catalogue: &Catalogue) -> f64 {
    let Some(needed) = catalogue.get(needed) else { return 0.0 };
    let (k, m) = (dependents as f64, rising.max(dependents) as f64);
    let built = catalogue.iter().filter(|one| one.depends_on.contains(&needed.slug)).count() as f64;
    let share = (built + 1.0) / (catalogue.len() as f64 + 2.0);
    let ln_ways = lgamma(m + 1.0) - lgamma(k + 1.0) - lgamma(m - k + 1.0);
    -(ln_ways + k * log(share.min(1.0)))
}

fn categories(services: &[&Rising<'_>], catalogue: &Catalogue) -> usize {
    let of = |one: &&Rising<'_>| catalogue.get(one.service).map(|service| service.category);
    services.iter().filter_map(of).collect::<BTreeSet<_>>().len()
}

/// Services without any known relation that begin within the same minutes in the same places. Returns
/// those that do so too but are too small to be told from echoes by that alone.
pub(super) fn patterns(
    order: &[&Rising<'_>],
    catalogue: &Catalogue,
    explained: &mut Explained,
) -> BTreeSet<ServiceId> {
    let is_loose = |one: &&&Rising<'_>| {
        one.departs && !explained.contains_key(&one.service) && one.rise.excess() >= PATTERN_SOURCES_MIN
    };
    let loose: Vec<&Rising<'_>> = order.iter().filter(is_loose).copied().collect();
    // The window begins with one of them, and holds all whose beginning may lie in it; the larger the
    // rise, the better that is known.
    let alike = |anchor: &&Rising<'_>| -> Vec<&Rising<'_>> {
        let (from, to) = (anchor.rise.onset.likeliest, anchor.rise.onset.likeliest.plus(PATTERN_MINUTES));
        let begins = |one: &&&Rising<'_>| one.rise.onset.earliest <= to && one.rise.onset.latest >= from;
        let near: Vec<&Rising<'_>> = loose.iter().filter(begins).copied().collect();
        let largest = near.iter().map(|one| one.rise.excess()).fold(0.0, f64::max);
        let fits = |one: &&&Rising<'_>| {
            one.rise.excess() >= PATTERN_SHARE_MIN * largest
                && shared_places(one.rise, anchor.rise) >= PATTERN_PLACES_MIN
        };
        near.iter().filter(fits).copied().collect()
    };
    let most = loose.iter().take(ANCHORS_MAX).map(alike).max_by_key(Vec::len).unwrap_or_default();
    // Several of one category may be one company, or each other's echoes: it takes different ones.
    if categories(&most, catalogue) < SERVICES_MIN {
        return BTreeSet::new();
    }
    let is_member = |one: &Rising<'_>| most.iter().any(|member| member.service == one.service);
    let from = most.iter().map(|one| one.rise.onset.latest).min().unwrap_or_default();
    let is_beside = |one: &&&Rising<'_>| {
        one.departs
            && !is_member(one)
            && !explained.contains_key(&one.service)
            && one.rise.onset.earliest <= from.plus(PATTERN_MINUTES)
            && one.rise.onset.latest >= from
            && most.iter().any(|member| shared_places(one.rise, member.rise) >= PATTERN_PLACES_MIN)
    };
    let beside = order.iter().filter(is_beside).map(|one| one.service).collect();
    let there = most.iter().map(|one| one.rise.excess()).sum::<f64>().round() as u32;
    for one in most {
        let here = one.rise.excess().round() as u32;
        let (bond, cause) = (Bond::Pattern, Cause::Unnamed);
        let explanation =
            Explanation { bond, cause, nats: 0.0, is_certain: true, here, there, clues: Vec::new() };
        explained.insert(one.service, explanation);
    }
    beside
}

/// The part of two rises that comes from the same countries, 0 to 1; 1 where no country is known.
fn shared_places(these: &Rise, those: &Rise) -> f64 {
    let sum = |rise: &Rise| rise.parts.countries.iter().map(Counted::excess).sum::<f64>();
    let (here, there) = (sum(these), sum(those));
    if here <= 0.0 || there <= 0.0 {
        return 1.0;
    }
    let of = |rise: &Rise, country| {
        rise.parts.countries.iter().find(|one| one.what == country).map_or(0.0, Counted::excess)
    };
    these.parts.countries.iter().map(|one| (one.excess() / here).min(of(those, one.what) / there)).sum()
}
