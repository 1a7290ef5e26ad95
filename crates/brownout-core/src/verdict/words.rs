//! Plain sentences from typed judgements.

use crate::model::{Catalogue, Facet, Geography};
use crate::snapshot::State;

use super::{Confidence, Reason, Source, Verdict};

/// Where names come from.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Names of services.
    pub catalogue: &'a Catalogue,
    /// Names of places.
    pub geography: &'a Geography,
}

/// A state in the public words.
pub fn state_words(state: State) -> &'static str {
    match state {
        State::Insufficient => "not enough data",
        State::Calm => "no problems detected",
        State::Possible => "possible problems",
        State::Confirmed => "detected problems",
        State::Ended => "ended",
    }
}

/// A confidence in words.
pub fn confidence_words(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Weak => "weak",
        Confidence::Moderate => "moderate",
        Confidence::Strong => "strong",
    }
}

/// A kind of evidence, in words.
pub fn source_words(source: Source) -> &'static str {
    match source {
        Source::Crowd => "people's reports",
        Source::Reachability => "reachability measurements",
        Source::Routing => "internet routing",
        Source::Traffic => "traffic telemetry",
        Source::Statements => "the operator's statements",
    }
}

/// The name of a place, network, kind or channel; a code where no name is known.
pub fn place_name(facet: Facet, names: Names<'_>) -> String {
    match facet {
        Facet::All => "worldwide".to_owned(),
        Facet::Country(code) => {
            names.geography.country(code).map_or_else(|| code.to_string(), |country| country.name.clone())
        }
        Facet::Region(code) => {
            names.geography.region(code).map_or_else(|| code.to_string(), |region| region.name.clone())
        }
        Facet::City(id) => {
            names.geography.city(id).map_or_else(|| format!("city {}", id.0), |city| city.name.clone())
        }
        Facet::Network(asn) => asn.to_string(),
        Facet::Kind(kind) => kind.label().to_owned(),
        Facet::Channel(channel) => format!("channel {}", channel.0),
    }
}

/// The one-sentence verdict.
pub fn sentence(verdict: &Verdict, names: Names<'_>) -> String {
    let service =
        names.catalogue.get(verdict.service).map_or("This service", |service| service.name.as_str());
    format!("{service}: {}.", state_words(verdict.state))
}

/// One reason, in words.
pub fn explain(reason: &Reason, _names: Names<'_>) -> String {
    format!("{reason:?}")
}
