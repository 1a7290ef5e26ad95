//! What a scenario expects of whoever watches it.

use std::fmt;

use brownout_core::incident::ExtentKind;
use brownout_core::model::{Asn, CountryCode, Facet, UtcTime};
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
    /// `expect 10:02 x PK possible observed 65 within 5`, `expect 10:02 x PK calm usual 3 within 2`: how
    /// it stands at a time.
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
        /// Usual mean of these 15 minutes and how far off it may be.
        usual: Option<(u32, u32)>,
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
    /// `expect held x`: an incident was held at "possible" for a doubt; `expect never held x`: none was.
    Held {
        /// The service's slug.
        service: String,
        /// Whether it is to be.
        is_held: bool,
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
    /// `expect silence by 14:15`, `expect silence PK by 14:15`: it is told that nothing comes in, or
    /// next to nothing from a country.
    Silence {
        /// The country; `None` is everything.
        country: Option<CountryCode>,
        /// The latest time.
        at: UtcTime,
    },
    /// `expect no silence`.
    NoSilence,
    /// `expect extent x network 3320`, `expect extent at 14:30 x city Milwaukee`, `expect extent x several US,
    /// GB`, `expect extent x world`: how far an incident is said to reach; without a time always and never
    /// anything else, from the first time that it is said.
    Extent {
        /// When; `None` is always.
        at: Option<UtcTime>,
        /// The service's slug.
        service: String,
        /// What kind of places.
        kind: ExtentKind,
        /// The places; where none is named, any will do.
        facets: Vec<Facet>,
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
        "no" if cursor.take("silence") => Ok(ExpectationKind::NoSilence),
        "silence" => {
            let everything = cursor.take("by");
            let country = if everything { None } else { Some(places::country(cursor)?) };
            if !everything {
                cursor.expect("by")?;
            }
            Ok(ExpectationKind::Silence { country, at: time_of(draft.start, cursor)? })
        }
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
            if cursor.take("held") {
                let service = slug(known_service(scenario, cursor)?);
                return Ok(ExpectationKind::Held { service, is_held: false });
            }
            cursor.expect("confirmed")?;
            Ok(ExpectationKind::NeverConfirmed { service: slug(known_service(scenario, cursor)?) })
        }
        "held" => {
            Ok(ExpectationKind::Held { service: slug(known_service(scenario, cursor)?), is_held: true })
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
        "extent" => extent(draft, cursor),
        "by" => {
            let at = time_of(draft.start, cursor)?;
            let scope = scope(scenario, cursor)?;
            let state = state(cursor)?;
            if !matches!(state, State::Possible | State::Confirmed | State::Ended) {
                return Err(cursor.error_before("only possible, confirmed or ended can be reached by a time"));
            }
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
                "no", "one", "never", "held", "peak", "wave", "waves", "places", "networks", "silence",
                "extent", "caused", "common", "by", "10:02",
            ];
            Err(cursor.unknown("something that can be expected", word, known))
        }
    }
}

/// The words for kinds of extents in a scenario.
const EXTENT_WORDS: [(&str, ExtentKind); 6] = [
    ("network", ExtentKind::Network),
    ("city", ExtentKind::City),
    ("region", ExtentKind::Region),
    ("country", ExtentKind::Country),
    ("several", ExtentKind::Several),
    ("world", ExtentKind::World),
];

/// The word for a kind of extent.
pub(crate) fn extent_word(kind: ExtentKind) -> &'static str {
    EXTENT_WORDS.iter().find(|(_, known)| *known == kind).map_or("?", |(word, _)| word)
}

fn extent(draft: &Draft, cursor: &mut Cursor<'_>) -> Result<ExpectationKind, ScenarioError> {
    let at = if cursor.take("at") { Some(time_of(draft.start, cursor)?) } else { None };
    let service = draft.scenario.services[known_service(&draft.scenario, cursor)?].slug.clone();
    let word = cursor.word("a kind of extent such as network")?;
    let found = EXTENT_WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    let kind = found
        .ok_or_else(|| cursor.unknown("a kind of extent", word, EXTENT_WORDS.map(|(known, _)| known)))?;
    let mut facets = Vec::new();
    while !cursor.is_done() && (facets.is_empty() || cursor.take(",")) {
        facets.push(match kind {
            ExtentKind::Network => {
                let number = cursor.whole("a network's number", (1, u64::from(u32::MAX)))? as u32;
                Asn::new(number).map_or(Facet::All, Facet::Network)
            }
            ExtentKind::City => {
                let name = cursor.any("a city")?.text;
                Facet::City(draft.scenario.cities[known_city(&draft.scenario, cursor, name, None)?].id)
            }
            ExtentKind::Region => Facet::Region(places::region(cursor)?),
            ExtentKind::Country | ExtentKind::Several => Facet::Country(places::country(cursor)?),
            ExtentKind::World => return Err(cursor.error("the world has no places to name")),
        });
    }
    Ok(ExpectationKind::Extent { at, service, kind, facets })
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
    let service = scenario.services[scope.service].slug.clone();
    let (mut wanted, mut observed, mut usual) = (None, None, None);
    while !cursor.is_done() {
        if cursor.take("observed") {
            let sources = cursor.whole("distinct sources in 15 minutes", (0, 5_000_000))? as u32;
            observed = Some((sources, within(cursor)?));
        } else if cursor.take("usual") {
            let sources = cursor.whole("the usual mean of 15 minutes", (0, 5_000_000))? as u32;
            usual = Some((sources, within(cursor)?));
        } else {
            wanted = Some(state(cursor)?);
        }
    }
    if wanted.is_none() && observed.is_none() && usual.is_none() {
        return Err(cursor.error("a state such as possible, `observed` or `usual` is expected here"));
    }
    Ok(ExpectationKind::At { at, service, country: scope.country, state: wanted, observed, usual })
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
