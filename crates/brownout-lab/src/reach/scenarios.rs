//! What can happen to a site, and what is to be said of it.

use std::net::Ipv4Addr;

use brownout_core::model::{
    Asn, Catalogue, Category, CountryCode, Evidence, Policy, Service, ServiceId, UtcTime,
};
use brownout_core::reach::{Fingerprints, Mechanism, Reachability, Sign, Spot};
use brownout_core::snapshot::Snapshot;

use super::world::{Field, How, Interference, Probe, Site, World};
use crate::direct::Direct;

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What interferes while it lasts.
    pub interferences: Vec<Interference>,
    /// One probe that lies.
    pub has_liar: bool,
    /// One probe whose resolver is broken.
    pub has_broken_resolver: bool,
    /// What is to be said: all of it and nothing else.
    pub expected: Vec<Expected>,
}

/// Something that is to be said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expected {
    /// Of a service: its host, where, whether of the place as a whole, the state, and how it fails.
    Signal(&'static str, Spot, bool, Reachability, Option<Mechanism>),
    /// Of a place: that no measurements come from it.
    Silence(Spot),
    /// Of a service: that it fails in a country at an address that so many others have, which fail too.
    Shared(&'static str, CountryCode, usize),
}

/// What was said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All that was said, sorted.
    pub told: Vec<Expected>,
    /// Minutes from the beginning until all that is expected was told; nothing where it was not.
    pub delay_minutes: Option<i64>,
    /// Whether the beginning lies in every bracket.
    pub is_bracketed: bool,
    /// Whether all of it was over once the interference was.
    pub is_ended: bool,
}

const SITE: &str = "site.example";
const SHARED: [&str; 3] = ["shared-a.example", "shared-b.example", "shared-c.example"];
const PK: CountryCode = code(*b"PK");
const COUNTRIES: [CountryCode; 4] = [PK, code(*b"TR"), code(*b"DE"), code(*b"BR")];
/// Probes in each network.
const PROBES: u64 = 3;
/// Rounds of measurements: twenty minutes apart, a quiet half day, four hours of interference, five after it.
const ROUND_MINUTES: i64 = 20;
const QUIET_ROUNDS: i64 = 36;
const ROUNDS: i64 = 12;
const ROUNDS_AFTER: i64 = 16;

const fn code(letters: [u8; 2]) -> CountryCode {
    match CountryCode::new(letters) {
        Some(code) => code,
        None => panic!("not a country"),
    }
}

const fn network(number: u32) -> Asn {
    match Asn::new(number) {
        Some(network) => network,
        None => panic!("not a network"),
    }
}

/// The first of a country's two networks.
const FIRST: Asn = network(64_601);

/// All scenarios.
pub fn scenarios() -> Vec<Scenario> {
    use Mechanism as M;
    use Reachability as R;
    let here = |how, host| Interference { country: Some(PK), network: None, host, how };
    let quiet = |name| Scenario {
        name,
        interferences: Vec::new(),
        has_liar: false,
        has_broken_resolver: false,
        expected: Vec::new(),
    };
    let national = |name, how, state, mechanism| Scenario {
        interferences: vec![here(how, Some(SITE))],
        expected: vec![Expected::Signal(SITE, Spot::Country(PK), true, state, Some(mechanism))],
        ..quiet(name)
    };
    vec![
        quiet("nothing at all"),
        national("a bogus address for the name", How::DnsBogon, R::Blocked, M::DnsBogon),
        national("the name is denied", How::DnsNxdomain, R::Blocked, M::DnsNxdomain),
        national("connections are dropped", How::TcpDrop, R::LikelyBlocked, M::TcpIpBlock),
        national("connections are refused on the way", How::TcpReset, R::LikelyBlocked, M::TcpIpBlock),
        national("resets for the name in the handshake", How::TlsResetSni, R::Blocked, M::TlsResetSni),
        national("a false certificate", How::TlsMitm, R::Blocked, M::TlsSelfSigned),
        national("sent to a block page", How::BlockPage, R::Blocked, M::DnsAddress),
        national("slowed down", How::Throttle, R::Impaired, M::Throttle),
        national("the site refuses one country", How::Refusal, R::Impaired, M::HttpRefusal),
        Scenario {
            interferences: vec![Interference { network: Some(FIRST), ..here(How::TlsResetSni, Some(SITE)) }],
            expected: vec![Expected::Signal(
                SITE,
                Spot::Country(PK),
                false,
                R::Blocked,
                Some(M::TlsResetSni),
            )],
            ..quiet("one provider resets")
        },
        Scenario {
            interferences: vec![Interference { network: Some(FIRST), ..here(How::CutOff, None) }],
            expected: vec![Expected::Silence(Spot::Network(PK, FIRST))],
            ..quiet("a provider is cut off")
        },
        Scenario {
            interferences: vec![Interference { country: None, ..here(How::Down, Some(SITE)) }],
            expected: vec![Expected::Signal(SITE, Spot::World, true, R::Down, Some(M::SiteTcp))],
            ..quiet("the site is down")
        },
        Scenario {
            interferences: SHARED.map(|host| here(How::TcpDrop, Some(host))).to_vec(),
            expected: SHARED
                .iter()
                .flat_map(|host| {
                    let how = Some(M::TcpIpBlock);
                    let signal = Expected::Signal(host, Spot::Country(PK), true, R::LikelyBlocked, how);
                    [signal, Expected::Shared(host, PK, 2)]
                })
                .collect(),
            ..quiet("an address of a content network is blocked")
        },
        Scenario {
            interferences: vec![Interference { country: None, ..here(How::V6Broken, None) }],
            ..quiet("IPv6 is broken everywhere")
        },
        Scenario { has_liar: true, ..quiet("a probe lies") },
        Scenario { has_broken_resolver: true, ..quiet("a probe with a broken resolver") },
    ]
}

/// The sites that are measured.
pub fn sites() -> Vec<Site> {
    let own = |host, last| Site { host, address: Ipv4Addr::new(104, 244, 42, last) };
    let shared = SHARED.map(|host| Site { host, address: Ipv4Addr::new(104, 16, 7, 7) });
    let mut sites = vec![own(SITE, 1), own("other.example", 2), own("third.example", 3)];
    sites.extend(shared);
    sites
}

/// Who measures.
pub fn probes(scenario: &Scenario) -> Vec<Probe> {
    let mut probes = Vec::new();
    for (index, country) in (0u32..).zip(COUNTRIES) {
        for network_of_two in 0..2 {
            for _ in 0..PROBES {
                probes.push(Probe {
                    id: probes.len() as u64 + 1,
                    country,
                    network: network(FIRST.0.get() + 2 * index + network_of_two),
                    lies: false,
                    is_resolver_broken: false,
                });
            }
        }
    }
    if let Some(first) = probes.first_mut() {
        first.lies = scenario.has_liar;
        first.is_resolver_broken = scenario.has_broken_resolver;
    }
    probes
}

fn catalogue(sites: &[Site]) -> Option<Catalogue> {
    let service = |(number, site): (u32, &Site)| {
        let slug = site.host.trim_end_matches(".example").to_owned();
        let mut service = Service::new(ServiceId(number), slug.clone(), slug, Category::Social);
        service.targets = vec![site.host.to_owned()];
        service
    };
    Catalogue::new((0..).zip(sites).map(service).collect()).ok()
}

/// Plays a scenario in a simulated network, with a seed for its luck.
pub fn play(scenario: &Scenario, seed: u64) -> Option<Outcome> {
    play_in(&mut World::new(seed), scenario, seed)
}

/// Plays a scenario from a beginning, with a seed for the times at which probes look. Only what is told is looked
/// at, never what was done.
pub fn play_in(field: &mut dyn Field, scenario: &Scenario, seed: u64) -> Option<Outcome> {
    let begin: UtcTime = "2025-03-10T00:00:00Z".parse().ok()?;
    let (sites, probes) = (sites(), probes(scenario));
    let catalogue = catalogue(&sites)?;
    let mut direct = Direct::new(catalogue, &Policy::default(), begin);
    let at = |round: i64| begin.plus_seconds(60 * ROUND_MINUTES * round);
    let onset = at(QUIET_ROUNDS);
    let mut expected = scenario.expected.clone();
    expected.sort();
    let (mut delay_minutes, mut during) = (None, None);
    let mut rng = crate::rng::Rng::new(seed, 2);
    for round in 0..QUIET_ROUNDS + ROUNDS + ROUNDS_AFTER {
        let is_on = (QUIET_ROUNDS..QUIET_ROUNDS + ROUNDS).contains(&round);
        let met: &[Interference] = if is_on { &scenario.interferences } else { &[] };
        // Each probe looks at its own time of the round, as those of a jittered schedule do.
        let mut runs: Vec<(i64, usize)> = (0..probes.len())
            .map(|probe| (i64::from(rng.below(60 * ROUND_MINUTES as u32 - 60)), probe))
            .collect();
        runs.sort_unstable();
        for (second, probe) in runs {
            let now = at(round).plus_seconds(second);
            direct.pass(now, |_, _| {});
            for site in &sites {
                if let Some(measurement) = field.measure(&probes[probe], site, now, met) {
                    let kept = measurement.keep(&Fingerprints::default());
                    direct.tell(now, &Evidence::Measurement(Box::new(kept)));
                }
            }
            if is_on && delay_minutes.is_none() && told(&direct.engine.snapshot(), false) == expected {
                delay_minutes = Some(now.millis_since(onset) / 60_000);
            }
        }
        direct.pass(at(round + 1), |_, _| {});
        if round + 1 == QUIET_ROUNDS + ROUNDS {
            during = Some(direct.engine.snapshot());
        }
    }
    let (during, after) = (during?, direct.engine.snapshot());
    // That an address is shared is told only while it lasts.
    let mut all = told(&after, false);
    all.extend(told(&during, false).into_iter().filter(|one| matches!(one, Expected::Shared(..))));
    all.sort();
    let signals =
        || during.services.iter().filter_map(|view| view.reach.as_ref()).flat_map(|reach| &reach.signals);
    Some(Outcome {
        told: all,
        delay_minutes,
        is_bracketed: signals()
            .all(|one| one.began.earliest <= onset && one.began.latest >= onset.plus_seconds(-3600)),
        is_ended: told(&after, true).is_empty(),
    })
}

/// What was told so far, or of it what goes on.
fn told(snapshot: &Snapshot, only_open: bool) -> Vec<Expected> {
    let mut told = Vec::new();
    for view in &snapshot.services {
        let host = snapshot.catalogue.get(view.service).and_then(|service| service.targets.first());
        let Some(host) = [SITE, "other.example", "third.example"]
            .into_iter()
            .chain(SHARED)
            .find(|known| host.is_some_and(|host| host == known))
        else {
            continue;
        };
        let signals = view.reach.iter().flat_map(|reach| &reach.signals);
        told.extend(
            signals
                .filter(|one| !only_open || one.is_open())
                .map(|one| Expected::Signal(host, one.place, one.is_whole, one.state, one.how)),
        );
        let shared = view.reach.iter().flat_map(|reach| &reach.shared);
        told.extend(shared.map(|(country, others)| Expected::Shared(host, *country, others.len())));
    }
    let silences = snapshot.disruptions.iter().filter(|one| !only_open || one.ended.is_none());
    told.extend(
        silences
            .filter(|one| matches!(one.sign, Sign::Silence { .. }))
            .map(|one| Expected::Silence(one.place)),
    );
    told.sort();
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_is_told_as_what_it_is_and_nothing_else_is() {
        let mut wrong = Vec::new();
        for scenario in scenarios() {
            for seed in 1..=2 {
                let outcome = play(&scenario, seed).expect("a play");
                let mut expected = scenario.expected.clone();
                expected.sort();
                println!("{} ({seed}): {:?} min, {:?}", scenario.name, outcome.delay_minutes, outcome.told);
                let is_timely = scenario.expected.is_empty() || outcome.delay_minutes.is_some();
                if outcome.told != expected || !is_timely || !outcome.is_bracketed || !outcome.is_ended {
                    wrong.push(format!("{} ({seed}): {outcome:?}", scenario.name));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
