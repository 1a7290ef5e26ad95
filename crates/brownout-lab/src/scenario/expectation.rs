//! What a scenario expects of whoever watches it.

use std::fmt;

use brownout_core::model::{CountryCode, UtcTime};
use brownout_core::snapshot::State;

use super::parse::{Draft, known_city, known_service, scope, time_of};
use super::text::{Cursor, ScenarioError, clock};
use super::{Scenario, places};

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
    /// `expect caused att by verizon-wireless`: the rise of a service is laid to another, and never to
    /// anything else.
    Caused {
        /// The service's slug.
        service: String,
        /// The slug of the other.
        by: String,
    },
    /// `expect common network 3320 at least 5`: the fault of a network is seen at so many services at
    /// once. `expect common aws-demo at least 3`: of a service that they are built on.
    /// `expect common unnamed at least 4`: of something that nobody wrote down.
    Common {
        /// A network such as `AS3320`, a slug, or `unnamed`.
        cause: String,
        /// How many services.
        least: u32,
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

/// The word for a cause that nobody wrote down.
pub(crate) const UNNAMED: &str = "unnamed";

/// The words for states in a scenario.
const STATE_WORDS: [(&str, State); 5] = [
    ("insufficient", State::Insufficient),
    ("calm", State::Calm),
    ("possible", State::Possible),
    ("confirmed", State::Confirmed),
    ("ended", State::Ended),
];

/// Reads what follows `expect`.
pub(super) fn read(draft: &Draft, cursor: &mut Cursor<'_>) -> Result<ExpectationKind, ScenarioError> {
    let scenario = &draft.scenario;
    let slug = |index: usize| scenario.services[index].slug.clone();
    let word = cursor.word("what is expected")?;
    match word {
        "no" => {
            cursor.expect("incident")?;
            let service = if cursor.is_done() { None } else { Some(known_service(scenario, cursor)?) };
            Ok(ExpectationKind::NoIncident { service: service.map(slug) })
        }
        "one" => {
            cursor.expect("incident")?;
            Ok(ExpectationKind::OneIncident { service: slug(known_service(scenario, cursor)?) })
        }
        "never" => {
            cursor.expect("confirmed")?;
            Ok(ExpectationKind::NeverConfirmed { service: slug(known_service(scenario, cursor)?) })
        }
        "peak" | "wave" => height(draft, cursor, word == "peak"),
        "waves" => {
            let scope = scope(scenario, cursor)?;
            cursor.expect("at")?;
            cursor.expect("least")?;
            let least = cursor.whole("how many waves", (1, 10_000))? as u32;
            Ok(ExpectationKind::Waves { service: slug(scope.service), country: scope.country, least })
        }
        "places" => {
            let service = slug(known_service(scenario, cursor)?);
            let country = places::country(cursor)?;
            let mut cities = Vec::new();
            while cities.is_empty() || cursor.take(",") {
                let name = cursor.any("a city")?.text;
                known_city(scenario, cursor, name, Some(country))?;
                cities.push(name.to_owned());
            }
            Ok(ExpectationKind::Places { service, country, cities })
        }
        "caused" => {
            let service = slug(known_service(scenario, cursor)?);
            cursor.expect("by")?;
            Ok(ExpectationKind::Caused { service, by: slug(known_service(scenario, cursor)?) })
        }
        "common" => {
            let cause = if cursor.take("network") {
                format!("AS{}", cursor.whole("a network's number", (1, u64::from(u32::MAX)))?)
            } else if cursor.take(UNNAMED) {
                UNNAMED.to_owned()
            } else {
                slug(known_service(scenario, cursor)?)
            };
            cursor.expect("at")?;
            cursor.expect("least")?;
            let least = cursor.whole("how many services", (1, 10_000))? as u32;
            Ok(ExpectationKind::Common { cause, least })
        }
        "networks" => {
            let service = slug(known_service(scenario, cursor)?);
            let country = places::country(cursor)?;
            let mut asns = Vec::new();
            while asns.is_empty() || cursor.take(",") {
                asns.push(cursor.whole("a network's number", (1, u64::from(u32::MAX)))? as u32);
            }
            Ok(ExpectationKind::Networks { service, country, asns })
        }
        "by" => {
            let at = time_of(draft.start, cursor)?;
            let scope = scope(scenario, cursor)?;
            let state = state(cursor)?;
            Ok(ExpectationKind::By { at, service: slug(scope.service), country: scope.country, state })
        }
        _ if clock(word).is_some() || word.contains('T') => {
            // The word is a time after all: read the line again from there.
            let mut again = cursor.clone();
            again.back();
            let at = time_of(draft.start, &mut again)?;
            *cursor = again;
            at_a_time(scenario, cursor, at)
        }
        _ => {
            let known = [
                "no", "one", "never", "peak", "wave", "waves", "places", "networks", "caused", "common",
                "by", "10:02",
            ];
            Err(cursor.unknown("something that can be expected", word, known))
        }
    }
}

fn state(cursor: &mut Cursor<'_>) -> Result<State, ScenarioError> {
    let word = cursor.word("a state such as possible")?;
    let found = STATE_WORDS.iter().find(|(known, _)| *known == word).map(|(_, state)| *state);
    found.ok_or_else(|| cursor.unknown("a state", word, STATE_WORDS.map(|(known, _)| known)))
}

fn within(cursor: &mut Cursor<'_>) -> Result<u32, ScenarioError> {
    if !cursor.take("within") {
        return Ok(0);
    }
    cursor.whole("how far off it may be", (0, 5_000_000)).map(|value| value as u32)
}

fn at_a_time(
    scenario: &Scenario,
    cursor: &mut Cursor<'_>,
    at: UtcTime,
) -> Result<ExpectationKind, ScenarioError> {
    let scope = scope(scenario, cursor)?;
    let mut wanted = None;
    let mut observed = None;
    if !cursor.take("observed") {
        wanted = Some(state(cursor)?);
        if cursor.is_done() {
            let service = scenario.services[scope.service].slug.clone();
            return Ok(ExpectationKind::At { at, service, country: scope.country, state: wanted, observed });
        }
        cursor.expect("observed")?;
    }
    let sources = cursor.whole("distinct sources in 15 minutes", (0, 5_000_000))? as u32;
    observed = observed.or(Some((sources, within(cursor)?)));
    let service = scenario.services[scope.service].slug.clone();
    Ok(ExpectationKind::At { at, service, country: scope.country, state: wanted, observed })
}

fn height(draft: &Draft, cursor: &mut Cursor<'_>, peak: bool) -> Result<ExpectationKind, ScenarioError> {
    let scope = scope(&draft.scenario, cursor)?;
    let sources = cursor.whole("distinct sources in 15 minutes", (0, 5_000_000))? as u32;
    let within = within(cursor)?;
    let at = if cursor.take("at") { Some(time_of(draft.start, cursor)?) } else { None };
    let service = draft.scenario.services[scope.service].slug.clone();
    let country = scope.country;
    Ok(if peak {
        ExpectationKind::Peak { service, country, sources, within, at }
    } else {
        ExpectationKind::Wave { service, country, sources, within, at }
    })
}
