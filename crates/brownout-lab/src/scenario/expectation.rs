//! What a scenario expects of whoever watches it.

use std::fmt;

use brownout_core::model::{CountryCode, UtcTime};
use brownout_core::snapshot::State;

/// One expectation and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Line of the scenario, from 1.
    pub line: u32,
    /// The statement as it was written.
    pub text: String,
    /// What it means.
    pub kind: ExpectationKind,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What can be expected. A country of `None` is the service as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectationKind {
    /// `expect 10:02 x PK possible observed 65 within 5`: how it stands at a time.
    At {
        /// When.
        at: UtcTime,
        /// The service's slug.
        service: String,
        /// Where.
        country: Option<CountryCode>,
        /// The state at that moment; `None` if any will do.
        state: Option<State>,
        /// Distinct sources and how far off they may be.
        observed: Option<(u32, u32)>,
    },
    /// `expect by 10:02 x PK possible`: this state, or a graver one, is reached by a time.
    By {
        /// The latest time.
        at: UtcTime,
        /// The service's slug.
        service: String,
        /// Where.
        country: Option<CountryCode>,
        /// The state.
        state: State,
    },
    /// `expect no incident`, `expect no incident x`.
    NoIncident {
        /// The service's slug; `None` is all.
        service: Option<String>,
    },
    /// `expect one incident x`: exactly one from start to end.
    OneIncident {
        /// The service's slug.
        service: String,
    },
    /// `expect never confirmed x`.
    NeverConfirmed {
        /// The service's slug.
        service: String,
    },
    /// `expect peak x US 40000 at 14:00 within 5`: the highest count of an incident's scope.
    Peak {
        /// The service's slug.
        service: String,
        /// Where.
        country: Option<CountryCode>,
        /// Distinct sources.
        sources: u32,
        /// How far off they may be.
        within: u32,
        /// When.
        at: Option<UtcTime>,
    },
    /// `expect wave x US 26579 at 16:35`: a wave of that height in the incident.
    Wave {
        /// The service's slug.
        service: String,
        /// Where.
        country: Option<CountryCode>,
        /// Distinct sources at its peak.
        sources: u32,
        /// How far off they may be.
        within: u32,
        /// When.
        at: Option<UtcTime>,
    },
    /// `expect waves x US at least 3`.
    Waves {
        /// The service's slug.
        service: String,
        /// Where.
        country: Option<CountryCode>,
        /// How many.
        least: u32,
    },
    /// `expect places x PK Lahore, Rawalpindi, Karachi`: cities that an incident names.
    Places {
        /// The service's slug.
        service: String,
        /// Their country.
        country: CountryCode,
        /// Names of cities of the scenario.
        cities: Vec<String>,
    },
    /// `expect networks x US 20115`: networks that an incident names.
    Networks {
        /// The service's slug.
        service: String,
        /// Their country.
        country: CountryCode,
        /// Numbers of networks.
        asns: Vec<u32>,
    },
}

/// The words for states in a scenario.
pub(super) const STATE_WORDS: [(&str, State); 5] = [
    ("insufficient", State::Insufficient),
    ("calm", State::Calm),
    ("possible", State::Possible),
    ("confirmed", State::Confirmed),
    ("ended", State::Ended),
];
