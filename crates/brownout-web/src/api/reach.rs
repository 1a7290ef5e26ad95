//! How services are reached, on the wire.

use brownout_core::model::{Asn, CountryCode, Facet, Minute, ServiceId};
use brownout_core::reach::{
    Bracket as CoreBracket, Disruption as CoreDisruption, ReachPlace as CorePlace, ReachView, SLOT_MINUTES,
    Sign, Signal as CoreSignal, Slot as CoreSlot, Spot,
};
use brownout_core::verdict::{disruption_sentence, reach_sentence, signal_sentence};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::{Scope, time};
use crate::view::View;

/// How a service is reached.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reachability {
    /// `ok`, `impaired`, `likely_blocked`, `blocked`, `down` or `insufficient`. What is blocked for long is a
    /// state of things and does not make the whole blocked.
    state: &'static str,
    /// The same in words.
    sentence: String,
    /// Version of the rules by which single measurements are judged.
    ruleset: &'static str,
    /// The last 24 h of all places in one.
    day: Counts,
    /// Those that fail first.
    countries: Vec<ReachPlace>,
    /// What departed, latest first.
    signals: Vec<ReachSignal>,
    /// Countries in which it fails at an address that it shares with other services that fail there.
    shared_addresses: Vec<SharedAddress>,
}

/// Services that fail in a country at one address: who blocks one of them blocks all.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SharedAddress {
    scope: Scope,
    /// The others, by slug.
    services: Vec<String>,
}

/// Measurements by what they said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    measured: u32,
    ok: u32,
    impaired: u32,
    /// Plainly blocked, or by all appearances.
    blocked: u32,
    /// The control failed as well.
    down: u32,
    /// Nothing could be said.
    insufficient: u32,
}

/// Ten minutes of a place.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReachSlot {
    at: String,
    #[serde(flatten)]
    counts: Counts,
    /// The stage at which most of those failed that did: D, T, S, H or Q.
    layer: Option<char>,
}

/// One country or network.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReachPlace {
    scope: Scope,
    state: &'static str,
    /// How it fails, where it does: `dns.nxdomain`, `tls.reset.sni`, ...
    mechanism: Option<&'static str>,
    /// The newest change of what is the rule there.
    changed: Option<Bracket>,
    /// One vantage point alone says that something changed.
    doubted: bool,
    /// Most of all that is measured in the country fails.
    cut_off: bool,
    /// Vantage points of the last 24 h: networks of a country, probes of a network.
    vantage_points: u32,
    day: Counts,
    /// Ten minutes each; those without measurements are left out.
    slots: Vec<ReachSlot>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    networks: Vec<ReachPlace>,
}

/// An interval in which something changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bracket {
    earliest: String,
    likeliest: String,
    latest: String,
}

impl From<CoreBracket> for Bracket {
    fn from(bracket: CoreBracket) -> Self {
        Bracket {
            earliest: time(bracket.earliest),
            likeliest: time(bracket.likeliest),
            latest: time(bracket.latest),
        }
    }
}

/// A departure: one for a country, however many of its networks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReachSignal {
    scope: Scope,
    state: &'static str,
    mechanism: Option<&'static str>,
    /// Whether it is so in the place as a whole.
    whole: bool,
    networks: Vec<String>,
    hosts: Vec<String>,
    began: Bracket,
    told_at: String,
    ended: Option<Bracket>,
    /// Of so many looks since it began ...
    looks: u32,
    /// ... so many failed when it was told ...
    hits: u32,
    /// ... from so many networks of the country, or countries of the world.
    vantage_points: u32,
    /// The measurement that told it, by its position in the log.
    witness: u64,
    /// A state of things rather than something that happened.
    standing: bool,
    sentence: String,
}

/// A country or network that is cut off by all appearances.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Disruption {
    scope: Scope,
    /// `no_measurements` or `all_targets`.
    sign: &'static str,
    began: Bracket,
    told_at: String,
    ended: Option<Bracket>,
    sentence: String,
}

impl Reachability {
    pub(super) fn new(view: &View, reach: &ReachView) -> Self {
        let now = view.snapshot.at;
        Reachability {
            state: reach.state(now).word(),
            sentence: reach_sentence(reach, view.names(), now),
            ruleset: brownout_core::reach::RULESET,
            day: Counts::new(&reach.day),
            countries: reach.countries.iter().map(|place| ReachPlace::new(view, place)).collect(),
            signals: reach.signals.iter().map(|one| ReachSignal::new(view, one)).collect(),
            shared_addresses: reach
                .shared
                .iter()
                .map(|(country, others)| shared(view, *country, others))
                .collect(),
        }
    }
}

impl Counts {
    fn new(slot: &CoreSlot) -> Self {
        Counts {
            measured: slot.measured,
            ok: slot.ok,
            impaired: slot.impaired,
            blocked: slot.blocked,
            down: slot.down,
            insufficient: slot.insufficient,
        }
    }
}

fn shared(view: &View, country: CountryCode, others: &[ServiceId]) -> SharedAddress {
    let slug = |id: &ServiceId| Some(view.snapshot.catalogue.get(*id)?.slug.clone());
    SharedAddress {
        scope: Scope::new(view, Facet::Country(country)),
        services: others.iter().filter_map(slug).collect(),
    }
}

fn scope(view: &View, place: Spot) -> Scope {
    let facet = match place {
        Spot::World => Facet::All,
        Spot::Country(code) => Facet::Country(code),
        Spot::Network(_, network) => Facet::Network(network),
    };
    Scope::new(view, facet)
}

impl ReachPlace {
    fn new(view: &View, place: &CorePlace) -> Self {
        let slot = |slot: &CoreSlot| ReachSlot {
            at: time(Minute(slot.number * SLOT_MINUTES).start()),
            counts: Counts::new(slot),
            layer: slot.layer().map(|layer| layer.letter()),
        };
        ReachPlace {
            scope: scope(view, place.place),
            state: place.state.word(),
            mechanism: place.how.map(|how| how.word()),
            changed: place.since.map(|change| change.bracket.into()),
            doubted: place.is_doubted,
            cut_off: place.is_cut_off,
            vantage_points: place.vantages,
            day: Counts::new(&place.day),
            slots: place.slots.iter().map(slot).collect(),
            networks: place.networks.iter().map(|network| ReachPlace::new(view, network)).collect(),
        }
    }
}

impl ReachSignal {
    fn new(view: &View, signal: &CoreSignal) -> Self {
        let now = view.snapshot.at;
        ReachSignal {
            scope: scope(view, signal.place),
            state: signal.state.word(),
            mechanism: signal.how.map(|how| how.word()),
            whole: signal.is_whole,
            networks: signal.networks.iter().map(Asn::to_string).collect(),
            hosts: signal.hosts.clone(),
            began: signal.began.into(),
            told_at: time(signal.told_at),
            ended: signal.ended.map(|(bracket, _)| bracket.into()),
            looks: signal.looks,
            hits: signal.hits,
            vantage_points: signal.vantages,
            witness: signal.witness.0,
            standing: signal.is_standing_at(now),
            sentence: signal_sentence(signal, view.names(), now),
        }
    }
}

impl Disruption {
    pub(super) fn new(view: &View, disruption: &CoreDisruption) -> Self {
        Disruption {
            scope: scope(view, disruption.place),
            sign: match disruption.sign {
                Sign::Silence { .. } => "no_measurements",
                Sign::AllTargets { .. } => "all_targets",
            },
            began: disruption.began.into(),
            told_at: time(disruption.told_at),
            ended: disruption.ended.map(Bracket::from),
            sentence: disruption_sentence(disruption, view.names(), view.snapshot.at),
        }
    }
}
