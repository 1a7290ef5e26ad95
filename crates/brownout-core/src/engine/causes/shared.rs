//! What several services share: a network, something that they are built on, or something that nobody
//! wrote down.

use std::collections::{BTreeMap, BTreeSet};

use libm::{lgamma, log};

use super::clues::{concentration, is_provider, percent};
use super::parts::{Counted, Parts};
use super::rise::{NOISE_OF_USUAL, Rise};
use super::{Explanation, Rising};
use crate::model::{Asn, Catalogue, ServiceId};
use crate::verdict::{Bond, Cause, Clue, ClueKind};

/// Fewest services, of those that depart or are about to, that make a common cause of a pattern.
const SERVICES_MIN: usize = 3;
/// Evidence of one service for a fault of the network that most of its reporters are on, in nats, from
/// which it is counted, and of all of them together from which the network is blamed.
const NETWORK_MEMBER_NATS: f64 = 0.7;
const NETWORK_NATS: f64 = 6.0;
/// What is held for a network's fault stays held down to this.
const STILL_NETWORK_NATS: f64 = -2.0;
/// What begins beside others on that network waits for more evidence from here on.
const DOUBT_NETWORK_NATS: f64 = -1.0;
/// Fewest reporters above usual on a network whose fault is known that make a service one of its victims,
/// and how many times their usual part of all they are at least.
const CUSTOMERS_MIN: f64 = 5.0;
const CUSTOMERS_TIMES: f64 = 1.5;
/// Most networks that fail at once for the same services.
const FAULTS_MAX: usize = 3;
/// Where several networks have more than this share of all that is usual, their customers are just people.
const FAULTS_SHARE_MAX: f64 = 0.7;
/// Beginnings of what has one cause lie within so many minutes, ...
const TOGETHER_MINUTES: u32 = 20;
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

type Explained = BTreeMap<ServiceId, Explanation>;

/// One service's part in a fault of a network.
#[derive(Clone)]
struct Customer<'a, 'b> {
    rising: &'a Rising<'b>,
    /// It is the one that stands out most, or that it is held for.
    is_first: bool,
    nats: f64,
    /// Sources above usual on that network, on all that fail with it, and of all.
    on: f64,
    on_failing: f64,
    all: f64,
    /// The usual share of those that fail.
    usual_share: f64,
    whole: Counted<()>,
}

impl Customer<'_, '_> {
    /// Without the reporters on that network, who are more than their usual part, it would be within the
    /// noise of an hour.
    fn is_calm_elsewhere(&self) -> bool {
        let whole = self.whole;
        self.on >= CUSTOMERS_MIN
            && self.on_failing >= CUSTOMERS_TIMES * self.usual_share * self.all
            && whole.observed - self.on_failing < NOISE_OF_USUAL * whole.usual
    }
}

/// Services whose reporters are all on one network are well, and the network is not.
pub(super) fn networks(order: &[&Rising<'_>], catalogue: &Catalogue, explained: &mut Explained) {
    let mut found: BTreeMap<Cause, Vec<Customer<'_, '_>>> = BTreeMap::new();
    let known: BTreeSet<Cause> = order.iter().filter_map(|one| held_for_network(one)).collect();
    let customers = order.iter().filter_map(|rising| Reporters::of(rising, catalogue));
    let customers: Vec<Reporters<'_, '_>> = customers.collect();
    let mut together: BTreeMap<Cause, usize> = BTreeMap::new();
    for cause in customers.iter().flat_map(Reporters::standing_out) {
        *together.entry(cause).or_default() += 1;
    }
    for reporters in &customers {
        for (cause, customer) in reporters.victims_of(&known, &together) {
            found.entry(cause).or_default().push(customer);
        }
    }
    for (cause, mut customers) in found {
        let is_own = |one: &Rising<'_>| Cause::Service(one.service) == cause;
        let owner_rises = order.iter().any(|one| is_own(one));
        let is_held = |one: &Customer<'_, '_>| one.rising.held == Some((Bond::Network, cause));
        let began = |one: &Customer<'_, '_>| one.rising.rise.onset;
        // A fault that is known and goes on brings new complaints at any time.
        let is_old = customers.iter().any(is_held);
        for one in customers.iter_mut().filter(|one| is_old && one.is_calm_elsewhere()) {
            one.nats = one.nats.max(NETWORK_MEMBER_NATS);
        }
        customers.retain(|one| is_held(one) || one.nats >= DOUBT_NETWORK_NATS);
        let first = customers.iter().map(|one| began(one).latest).min();
        let Some(first) = first else { continue };
        customers.retain(|one| is_old || began(one).earliest.since(first) <= TOGETHER_MINUTES);
        let nats: f64 = customers.iter().map(|one| one.nats).sum();
        let telling = customers.iter().filter(|one| one.nats >= NETWORK_MEMBER_NATS);
        let count = telling.clone().count() + usize::from(owner_rises);
        let departing = telling.filter(|one| one.rising.departs).count();
        // Two are enough: two services do not fail for the same customers by chance.
        let is_certain = is_old || (count >= 2 && departing >= 1 && nats >= NETWORK_NATS);
        let there = customers.iter().map(|one| one.on).sum::<f64>().round() as u32;
        for one in customers {
            let telling = is_held(&one) || one.nats >= NETWORK_MEMBER_NATS;
            // Beside others of that network it waits for more evidence.
            let fits = telling || is_certain;
            // One that everybody reports anyway fails by itself, whoever its first reporters were.
            if !fits || !one.rising.departs {
                continue;
            }
            let clue = ClueKind::TheirNetwork { percent: percent(one.on, one.all) };
            let explanation = Explanation {
                bond: Bond::Network,
                cause,
                nats,
                is_certain: is_certain && telling,
                here: one.rising.rise.excess().round() as u32,
                there,
                clues: vec![Clue::of_nats(clue, one.nats)],
            };
            // Of several that fail at once, the one that stands out most, unless only another is certain.
            let standing = explained.get(&one.rising.service).map(|standing| standing.is_certain);
            let is_better = match (standing, explanation.is_certain) {
                (Some(true), false) => false,
                (Some(false) | None, true) => true,
                _ => one.is_first,
            };
            if is_better {
                explained.insert(one.rising.service, explanation);
            }
        }
    }
}

fn held_for_network(rising: &Rising<'_>) -> Option<Cause> {
    rising.held.filter(|(bond, _)| *bond == Bond::Network).map(|(_, cause)| cause)
}

/// Whose customers those are that report a service.
struct Reporters<'a, 'b> {
    rising: &'a Rising<'b>,
    catalogue: &'a Catalogue,
    parts: &'a Parts,
    /// Sources above usual by network, most first.
    above: Vec<(Cause, f64)>,
}

impl<'a, 'b> Reporters<'a, 'b> {
    fn of(rising: &'a Rising<'b>, catalogue: &'a Catalogue) -> Option<Self> {
        // A provider's own reporters on another's network are no customers of that.
        if catalogue.get(rising.service).is_none_or(is_provider) {
            return None;
        }
        Some(Self::among(rising, &rising.rise.parts, catalogue))
    }

    fn among(rising: &'a Rising<'b>, parts: &'a Parts, catalogue: &'a Catalogue) -> Self {
        let mut above: BTreeMap<Cause, f64> = BTreeMap::new();
        for counted in &parts.networks {
            *above.entry(cause_of(counted.what.asn, catalogue)).or_default() += counted.excess();
        }
        let mut above: Vec<(Cause, f64)> = above.into_iter().collect();
        above.sort_by(|these, those| those.1.total_cmp(&these.1).then(these.0.cmp(&those.0)));
        Reporters { rising, catalogue, parts, above }
    }

    /// Networks of which clearly more report than usual, the largest.
    fn standing_out(&self) -> impl Iterator<Item = Cause> {
        let stands_out = |(cause, on): &&(Cause, f64)| {
            let one = self.on(&[*cause]);
            *on >= CUSTOMERS_MIN && *on >= CUSTOMERS_TIMES * one.usual_share * one.all
        };
        self.above.iter().take(FAULTS_MAX).filter(stands_out).map(|(cause, _)| *cause)
    }

    /// As victim of the first of some networks, and of the others with it.
    fn on(&self, causes: &[Cause]) -> Customer<'a, 'b> {
        let of = |asn: Asn| cause_of(asn, self.catalogue);
        let (on_failing, all) = self.parts.on_networks(|asn| causes.contains(&of(asn)));
        let usual = self.parts.usual_shares(|asn| causes.contains(&of(asn)));
        // Where only a part departs, the noise of the others is no evidence against its network.
        let all = self.rising.rise.of_part.map_or(all, |part| all.min(part.max(on_failing)));
        // Of what is held already, too few to tell are no evidence against it.
        let is_held = held_for_network(self.rising).is_some();
        let too_few = if is_held { 0.0 } else { f64::MIN };
        let nats = concentration(on_failing, all, usual).unwrap_or(too_few);
        let first = causes.first();
        let on = self.above.iter().find(|(cause, _)| Some(cause) == first).map_or(0.0, |(_, on)| *on);
        let (whole, usual_share) = (self.parts.whole, usual.everywhere);
        Customer { rising: self.rising, is_first: true, nats, on, on_failing, all, usual_share, whole }
    }

    /// The same, with those that stand out at several services where that tells more.
    fn with_others(&self, cause: Cause, together: &BTreeMap<Cause, usize>) -> Customer<'a, 'b> {
        let alone = self.on(&[cause]);
        let is_other = |other: &Cause| {
            *other != cause && !self.is_own(*other) && together.get(other).is_some_and(|count| *count >= 2)
        };
        let mut causes = vec![cause];
        causes.extend(self.standing_out().filter(is_other));
        let joint = self.on(&causes);
        if joint.usual_share <= FAULTS_SHARE_MAX && joint.nats > alone.nats { joint } else { alone }
    }

    /// Whether others report it lately than a network's customers, which were all that did at first.
    fn fails_lately(&self, cause: Cause, together: &BTreeMap<Cause, usize>) -> bool {
        let Some(parts) = &self.rising.rise.lately else { return false };
        let lately = Self::among(self.rising, parts, self.catalogue).with_others(cause, together);
        lately.nats < STILL_NETWORK_NATS && !lately.is_calm_elsewhere()
    }

    fn is_own(&self, cause: Cause) -> bool {
        cause == Cause::Service(self.rising.service)
    }

    /// The networks that it may be a victim of, unless they are its own: that which it is held for, else one
    /// whose fault is `known`, else the largest; and others that stand out as well.
    fn victims_of(
        &self,
        known: &BTreeSet<Cause>,
        together: &BTreeMap<Cause, usize>,
    ) -> Vec<(Cause, Customer<'a, 'b>)> {
        let of = |cause: Cause| (cause, self.with_others(cause, together));
        let first = match held_for_network(self.rising) {
            Some(cause) => Some(of(cause))
                .filter(|(_, one)| one.nats >= STILL_NETWORK_NATS && !self.fails_lately(cause, together)),
            None => {
                let is_known = |(cause, _): &&(Cause, f64)| known.contains(cause);
                let victim = self.above.iter().find(is_known).map(|(cause, _)| of(*cause));
                let victim =
                    victim.filter(|(_, one)| one.is_calm_elsewhere() && 2.0 * one.on > one.on_failing);
                victim.or_else(|| self.above.first().map(|(cause, _)| of(*cause)))
            }
        };
        let Some((cause, first)) = first.filter(|(cause, one)| !self.is_own(*cause) && one.nats > f64::MIN)
        else {
            return Vec::new();
        };
        let others = self.standing_out().filter(|other| *other != cause && !self.is_own(*other));
        let mut found = vec![(cause, first)];
        found.extend(others.map(of).map(|(cause, one)| (cause, Customer { is_first: false, ..one })));
        found
    }
}

fn cause_of(asn: Asn, catalogue: &Catalogue) -> Cause {
    match catalogue.provider_of(asn) {
        Some(provider) => Cause::Service(provider.id),
        None => Cause::Network(asn),
    }
}

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
