//! The published judgement: what the evidence says, why, and what it cannot say.

use serde::{Deserialize, Serialize};

use crate::incident::{Doubt, Extent};
use crate::model::{Facet, IncidentId, ServiceId, UtcTime};
use crate::snapshot::{Rarest, State};

mod cause;
mod cause_words;
mod doubt_words;
mod judge;
mod phrases;
mod reach_words;
mod reason_words;
mod words;

pub use cause::{Bond, Cause, Clue, ClueKind, odds};
pub use doubt_words::{doubt_name, doubt_words};
pub use judge::{Facts, Part, RULESET, judge};

pub use cause_words::cause_name;
pub use phrases::grouped;
pub use reach_words::{
    bracket_words, disruption_sentence, reach_sentence, reach_state_words, signal_sentence, spot_name,
};
pub use reason_words::{explain, explained, limits, silence_sentence, would_change};
pub use words::{
    Names, confidence_meaning, confidence_words, extent_words, headline, place_name, sentence, source_words,
    state_words,
};

/// Where the fault lies, as far as can be told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locus {
    /// There is nothing to locate.
    NoIncident,
    /// Reports alone cannot tell where it lies.
    Undetermined,
}

/// How much stands behind a judgement: coverage and independent groups of evidence. Never a
/// probability. [`confidence_meaning`] says it to readers, with the figures in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// One group of evidence, and not enough of it for more; also every judgement that finds nothing.
    Weak,
    /// One group of evidence, from many people in several countries, on a service whose usual is
    /// known and which no operator holds.
    Moderate,
    /// Independent groups of evidence agree and nothing contradicts. Reports alone never give it.
    Strong,
}

/// A kind of evidence, to say which were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// People's reports.
    Crowd,
    /// Measurements from vantage points.
    Reachability,
    /// The global routing table.
    Routing,
    /// Flow telemetry.
    Traffic,
    /// What the operator says.
    Statements,
}

/// One reason for or against, with its figures. Words are made from it elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// More people report than usual.
    ReportsAboveUsual {
        /// Where: the service as a whole, or a part.
        facet: Facet,
        /// Distinct sources in the last 15 minutes.
        observed: u32,
        /// Usual mean for these 15 minutes.
        expected: f32,
        /// What made it possible, or confirmed it where that was rarer.
        rarest: Rarest,
    },
    /// Reports are within their usual band.
    ReportsAsUsual {
        /// Distinct sources in the last 15 minutes.
        observed: u32,
        /// Usual mean for these 15 minutes.
        expected: f32,
    },
    /// Several countries report at once, which one country's filtering would not do.
    ManyCountries {
        /// How many are above their usual band.
        countries: u32,
    },
    /// Only one country reports more than usual.
    OneCountry {
        /// Which.
        facet: Facet,
    },
    /// What is above usual lies in these places or with these networks' customers, and little elsewhere.
    Located {
        /// Which.
        facets: Vec<Facet>,
        /// Their share of what is above usual, in percent.
        percent: u8,
    },
    /// Where within the extent most is above usual.
    MostAffected {
        /// Places, most first.
        facets: Vec<Facet>,
    },
    /// Few subnets stand behind many sources.
    FewSubnets {
        /// Distinct subnets in the last hour.
        subnets: u32,
        /// Distinct sources in the last hour.
        sources: u32,
    },
    /// Reports, where nobody knows yet what is usual.
    ReportsCounted {
        /// Distinct sources in the last 15 minutes.
        observed: u32,
    },
    /// An incident is open, and no part of it is above usual just now.
    Easing {
        /// Distinct sources of the service as a whole in the last 15 minutes.
        observed: u32,
        /// Usual mean for these 15 minutes.
        expected: f32,
    },
    /// The baseline is still a prior, so "usual" is a guess.
    StillLearning,
    /// Next to nothing comes in through a channel or from a country, or from anywhere, so silence says
    /// nothing.
    NothingComesIn {
        /// What is silent; `All` is everything.
        facet: Facet,
        /// Since when.
        since: UtcTime,
        /// Reports that would be usual since then, over all services.
        expected: f32,
    },
    /// An operator holds the incident.
    Held {
        /// Why.
        reason: String,
    },
    /// Reports fell back to their usual band.
    BackToUsual,
    /// They did not fall, but went on for so long that they count as usual.
    BecameUsual {
        /// For how many hours.
        hours: u32,
        /// Distinct sources in the last 15 minutes.
        observed: u32,
    },
    /// It is held at "possible", for the reports may not be people's.
    Doubted {
        /// Why, and how many.
        doubt: Doubt,
    },
    /// Something else most likely is behind these reports.
    LikelyCausedBy {
        /// What.
        cause: Cause,
        /// How it reaches this service.
        bond: Bond,
        /// Odds for it, to one; 0 where they are not known.
        odds: u32,
        /// Sources above usual here since it began.
        here: u32,
        /// The same at the cause; where that is shared, over all services that share it.
        there: u32,
        /// Services that share it, this one included; 0 for an echo.
        services: u32,
    },
    /// One clue of the reason before.
    Clue {
        /// What it looks at, and how much it says.
        clue: Clue,
    },
    /// The rise may be another's; more evidence is awaited for a minute or two.
    BeingWeighed {
        /// What it may be.
        cause: Cause,
    },
    /// Reports on other services most likely are because of this one.
    Explains {
        /// How it reaches them.
        bond: Bond,
        /// The most reported of them.
        services: Vec<ServiceId>,
        /// How many there are.
        count: u32,
    },
}

/// A judgement. A new one supersedes it; it is never edited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The service.
    pub service: ServiceId,
    /// The incident it judges; `None` while there is none.
    pub incident: Option<IncidentId>,
    /// Counts from 1 within an incident; 0 when there is none.
    pub revision: u32,
    /// When it was made.
    pub as_of: UtcTime,
    /// Possible, confirmed, ended, calm or insufficient.
    pub state: State,
    /// Since when the state is not calm.
    pub since: Option<UtcTime>,
    /// The parts that are above usual by themselves, worst first: `All`, or places and networks.
    pub extent: Vec<Facet>,
    /// How far it reaches, by the scan over places and networks; `None` while that is not clear, and
    /// where there is no incident.
    pub located: Option<Extent>,
    /// Where the fault lies.
    pub locus: Locus,
    /// How much stands behind it.
    pub confidence: Confidence,
    /// Reasons, strongest first.
    pub reasons: Vec<Reason>,
    /// Kinds of evidence that were looked at.
    pub looked_at: Vec<Source>,
    /// Kinds of evidence that were not: they count neither for nor against.
    pub not_looked_at: Vec<Source>,
    /// Version of the rules that made it.
    pub ruleset: u32,
    /// Digest of the policy that made it.
    pub policy: String,
    /// Hash of all the above, hex.
    pub hash: String,
}

impl Verdict {
    /// What keeps it at "possible" without an operator, the largest doubt first.
    pub fn doubts(&self) -> impl Iterator<Item = &Doubt> {
        self.reasons.iter().filter_map(|reason| match reason {
            Reason::Doubted { doubt } => Some(doubt),
            _ => None,
        })
    }

    /// Whether the reports are laid to something else, and the service is held to be well.
    pub fn is_explained(&self) -> bool {
        let innocent =
            |reason: &Reason| matches!(reason, Reason::LikelyCausedBy { bond, .. } if bond.is_innocent());
        self.reasons.iter().any(innocent)
    }

    /// Whether what is usual was still a guess, so that no figure of it means anything to a reader.
    pub fn is_learning(&self) -> bool {
        self.reasons.contains(&Reason::StillLearning)
    }
}
