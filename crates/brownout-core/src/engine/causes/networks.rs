//! Networks that fail: their customers report the services that they use, and those are well.

use std::collections::{BTreeMap, BTreeSet};

use super::clues::{concentration, is_provider, percent};
use super::parts::{Counted, Parts};
use super::rise::NOISE_OF_USUAL;
use super::shared::{Explained, TOGETHER_MINUTES};
use super::{Explanation, Rising};
use crate::model::{Asn, Catalogue};
use crate::verdict::{Bond, Cause, Clue, ClueKind};

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
pub(super) fn explain(order: &[&Rising<'_>], catalogue: &Catalogue, explained: &mut Explained) {
    let mut found: BTreeMap<Cause, Vec<Customer<'_, '_>>> = BTreeMap::new();
    let known: BTreeSet<Cause> = order.iter().filter_map(|one| held_for_network(one)).collect();
    let customers = order.iter().filter_map(|rising| Reporters::of(rising, catalogue));
    let customers: Vec<Reporters<'_, '_>> = customers.collect();
    let mut together: BTreeMap<Cause, usize> = BTreeMap::new();
    for cause in customers.iter().flat_map(|reporters| &reporters.standing_out) {
        *together.entry(*cause).or_default() += 1;
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
    /// To whom each network belongs.
    causes: BTreeMap<Asn, Cause>,
    /// Sources above usual by network, most first.
    above: Vec<(Cause, f64)>,
    /// Networks of which clearly more report than usual, the largest.
    standing_out: Vec<Cause>,
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
        let cause_of = |asn: Asn| match catalogue.provider_of(asn) {
            Some(provider) => Cause::Service(provider.id),
            None => Cause::Network(asn),
        };
        let asns = parts.networks.iter().map(|counted| counted.what.asn);
        let causes: BTreeMap<Asn, Cause> = asns.map(|asn| (asn, cause_of(asn))).collect();
        let mut above: BTreeMap<Cause, f64> = BTreeMap::new();
        for counted in &parts.networks {
            let Some(cause) = causes.get(&counted.what.asn) else { continue };
            *above.entry(*cause).or_default() += counted.excess();
        }
        let mut above: Vec<(Cause, f64)> = above.into_iter().collect();
        above.sort_by(|these, those| those.1.total_cmp(&these.1).then(these.0.cmp(&those.0)));
        let mut reporters = Reporters { rising, catalogue, parts, causes, above, standing_out: Vec::new() };
        let stands_out = |(cause, on): &&(Cause, f64)| {
            let one = reporters.on(&[*cause]);
            *on >= CUSTOMERS_MIN && *on >= CUSTOMERS_TIMES * one.usual_share * one.all
        };
        let largest = reporters.above.iter().take(FAULTS_MAX);
        reporters.standing_out = largest.filter(stands_out).map(|(cause, _)| *cause).collect();
        reporters
    }

    /// As victim of the first of some networks, and of the others with it.
    fn on(&self, causes: &[Cause]) -> Customer<'a, 'b> {
        let is_of_them = |asn: Asn| self.causes.get(&asn).is_some_and(|cause| causes.contains(cause));
        let (on_failing, all) = self.parts.on_networks(is_of_them);
        let usual = self.parts.usual_shares(is_of_them);
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
        let is_shared = |other: &Cause| together.get(other).is_some_and(|count| *count >= 2);
        let mut causes = vec![cause];
        causes.extend(self.others(cause).filter(is_shared));
        if causes.len() == 1 {
            return alone;
        }
        let joint = self.on(&causes);
        if joint.usual_share <= FAULTS_SHARE_MAX && joint.nats > alone.nats { joint } else { alone }
    }

    /// Whether others report it lately than a network's customers, which were all that did at first.
    fn fails_lately(&self, cause: Cause, together: &BTreeMap<Cause, usize>) -> bool {
        let Some(parts) = &self.rising.rise.lately else { return false };
        let lately = Self::among(self.rising, parts, self.catalogue).with_others(cause, together);
        lately.nats < STILL_NETWORK_NATS && !lately.is_calm_elsewhere()
    }

    /// What stands out beside a network, and is none of the service's own.
    fn others(&self, cause: Cause) -> impl Iterator<Item = Cause> {
        self.standing_out.iter().copied().filter(move |other| *other != cause && !self.is_own(*other))
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
        let mut found = vec![(cause, first)];
        found.extend(
            self.others(cause).map(of).map(|(cause, one)| (cause, Customer { is_first: false, ..one })),
        );
        found
    }
}
