//! What came of a scenario, line by line, and whether it is what was expected.

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use brownout_core::model::{Catalogue, CityId, Facet, Geography, IncidentId, UtcTime};
use brownout_core::snapshot::{Change, IncidentView, Snapshot, State};
use serde::{Deserialize, Serialize};

use crate::scenario::{ExpectationKind, Scenario, UNNAMED};
use brownout_core::verdict::{Bond, Cause};

pub use judge::Judged;

/// One line: how a scope stood at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineLine {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: UtcTime,
    /// The service's slug.
    pub service: String,
    /// `world`, a country (`PK`), a region (`PK-PB`), a city's name or a network (`AS17557`).
    pub scope: String,
    /// How it stood: `insufficient`, `calm`, `possible`, `confirmed` or `ended`.
    pub state: State,
    /// Distinct sources in the 15 minutes up to then.
    pub observed: u32,
    /// Usual mean for these 15 minutes, to a hundredth; null while it is still being learned.
    pub expected: Option<f64>,
    /// Why there is a line: `possible`, `confirmed`, `peak`, `ended`, `operator`, `held`,
    /// `released`, or `sampled` at a time that an expectation names.
    /// Why there is a line: `possible`, `confirmed`, `peak`, `ended`, `explained`,
    /// `operator`, or `sampled` at a
    /// time that an expectation names.
    pub change: String,
}

/// Lines in the order in which they became known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline {
    /// The lines.
    pub lines: Vec<TimelineLine>,
}

/// A line that only one of two timelines has.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// Only the golden one has it.
    Missing(TimelineLine),
    /// Only the new one has it.
    Unexpected(TimelineLine),
}

impl Timeline {
    /// A JSON array, a line each.
    pub fn to_json(&self) -> String {
        let lines: Vec<String> =
            self.lines.iter().filter_map(|line| serde_json::to_string(line).ok()).collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    }

    /// JSON objects, one a line.
    pub fn to_ndjson(&self) -> String {
        self.lines
            .iter()
            .filter_map(|line| serde_json::to_string(line).ok())
            .fold(String::new(), |text, line| text + &line + "\n")
    }

    /// Comma-separated values with a header. Cells that a spreadsheet would take for a formula do
    /// not occur: names of cities come from the geography, slugs from the catalogue.
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail; a line that did would only be left out.
        let _ = writer.write_record(["at", "service", "scope", "state", "observed", "expected", "change"]);
        for line in &self.lines {
            let _ = writer.write_record([
                line.at.to_string().as_str(),
                &line.service,
                &line.scope,
                state_word(line.state),
                &line.observed.to_string(),
                &line.expected.map_or_else(String::new, |mean| mean.to_string()),
                &line.change,
            ]);
        }
        writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Columns for a terminal.
    pub fn to_table(&self) -> String {
        let width = |of: fn(&TimelineLine) -> &str, least: usize| {
            self.lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0).max(least)
        };
        let (service, scope) = (width(|line| &line.service, 7), width(|line| &line.scope, 5));
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:20}  {:service$}  {:scope$}  {:12}  {:>8}  {:>8}  change",
            "at", "service", "scope", "state", "observed", "expected"
        );
        for line in &self.lines {
            let _ = writeln!(
                text,
                "{:20}  {:service$}  {:scope$}  {:12}  {:>8}  {:>8}  {}",
                line.at.to_string(),
                line.service,
                line.scope,
                state_word(line.state),
                line.observed,
                line.expected.map_or_else(|| "unknown".to_owned(), |mean| format!("{mean:.1}")),
                line.change
            );
        }
        text
    }

    /// Reads what [`Timeline::to_ndjson`] wrote. The error names the line.
    pub fn from_ndjson(text: &str) -> Result<Timeline, String> {
        let numbered = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
        let lines = numbered.map(|(line, number)| {
            serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))
        });
        Ok(Timeline { lines: lines.collect::<Result<_, _>>()? })
    }

    /// What differs from a golden timeline: lines only there, then lines only here, in their order.
    pub fn differences(&self, golden: &Timeline) -> Vec<Difference> {
        let only = |these: &Timeline, those: &Timeline| -> Vec<TimelineLine> {
            let mut left: Vec<&TimelineLine> = those.lines.iter().collect();
            let mut only = Vec::new();
            for line in &these.lines {
                match left.iter().position(|other| *other == line) {
                    Some(index) => drop(left.remove(index)),
                    None => only.push(line.clone()),
                }
            }
            only
        };
        let missing = only(golden, self).into_iter().map(Difference::Missing);
        missing.chain(only(self, golden).into_iter().map(Difference::Unexpected)).collect()
    }
}

/// The word for a state in files.
pub fn state_word(state: State) -> &'static str {
    match state {
        State::Insufficient => "insufficient",
        State::Calm => "calm",
        State::Possible => "possible",
        State::Confirmed => "confirmed",
        State::Ended => "ended",
    }
}

/// How a scope stood when an expectation asked.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    state: State,
    observed: u32,
    expected: Option<f64>,
}

/// Writes the timeline of incidents as they change, whatever they come from.
#[derive(Debug)]
pub struct Chronicle {
    geography: Arc<Geography>,
    /// Names that win over the geography's.
    cities: BTreeMap<CityId, String>,
    timeline: Timeline,
    /// Each incident as last seen, with its service's slug.
    incidents: BTreeMap<IncidentId, (String, Arc<IncidentView>)>,
}

impl Chronicle {
    /// An empty timeline; names of cities come from the geography.
    pub fn new(geography: Arc<Geography>) -> Self {
        Chronicle {
            geography,
            cities: BTreeMap::new(),
            timeline: Timeline::default(),
            incidents: BTreeMap::new(),
        }
    }

    /// Takes in incidents as they are now. What has not changed costs next to nothing.
    pub fn observe(&mut self, catalogue: &Catalogue, incidents: &[Arc<IncidentView>]) {
        for view in incidents {
            let before = self.incidents.get(&view.id).map(|(_, before)| before);
            if before.is_some_and(|before| Arc::ptr_eq(before, view) || before.version == view.version) {
                continue;
            }
            let Some(service) = catalogue.get(view.id.service) else { continue };
            let told = before.map_or(&[][..], |before| &before.timeline);
            let is_guess = view.verdicts.last().is_some_and(|verdict| verdict.is_learning());
            let mut lines = Vec::new();
            for entry in view.timeline.iter().filter(|entry| !told.contains(entry)) {
                let (state, change) = match &entry.change {
                    Change::Possible => (State::Possible, "possible"),
                    Change::Confirmed => (State::Confirmed, "confirmed"),
                    Change::Ended => (State::Ended, "ended"),
                    Change::Peak => (state_at(view, entry.facet, entry.at), "peak"),
                    Change::Explained => (State::Ended, "explained"),
                    Change::Operator(_) => (view.state, "operator"),
                    Change::Held(_) => (State::Possible, "held"),
                    Change::Released => (State::Possible, "released"),
                };
                lines.push(TimelineLine {
                    at: entry.at,
                    service: service.slug.clone(),
                    scope: self.scope_name(entry.facet),
                    state,
                    observed: entry.observed,
                    expected: known(entry.expected, is_guess),
                    change: change.to_owned(),
                });
            }
            self.timeline.lines.append(&mut lines);
            self.incidents.insert(view.id, (service.slug.clone(), Arc::clone(view)));
        }
    }

    /// What a part of a service is called: `world`, `PK`, `PK-PB`, a city's name, `AS17557`.
    pub fn scope_name(&self, facet: Facet) -> String {
        match facet {
            Facet::All => "world".to_owned(),
            Facet::Country(country) => country.to_string(),
            Facet::Region(region) => region.to_string(),
            Facet::Network(asn) => asn.to_string(),
            Facet::Kind(kind) => kind.slug().to_owned(),
            Facet::Channel(channel) => format!("channel {}", channel.0),
            Facet::City(id) => {
                let own = self.cities.get(&id).cloned();
                let known = || self.geography.city(id).map(|city| city.name.clone());
                own.or_else(known).unwrap_or_else(|| format!("city {}", id.0))
            }
        }
    }

    /// What was written so far.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }
}

/// Watches snapshots of a scenario and writes the timeline.
#[derive(Debug)]
pub struct Recorder {
    scenario: Arc<Scenario>,
    chronicle: Chronicle,
    /// By position in the scenario's expectations.
    samples: Vec<Option<Sample>>,
    /// What fell silent, and when that was first told.
    silences: BTreeMap<String, UtcTime>,
    /// Services, and what their rises were laid to.
    laid: BTreeSet<(String, String)>,
    /// What services had in common, and how many at most.
    common: BTreeMap<String, u32>,
}

impl Recorder {
    /// Names of cities come from the scenario first, then from the geography.
    pub fn new(scenario: Arc<Scenario>, geography: Arc<Geography>) -> Self {
        let samples = vec![None; scenario.expectations.len()];
        let mut chronicle = Chronicle::new(geography);
        chronicle.cities = scenario.cities.iter().map(|city| (city.id, city.name.clone())).collect();
        let (silences, laid, common) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Recorder { scenario, chronicle, samples, silences, laid, common }
    }

    /// Takes in a snapshot; call it after each tick. What has not changed costs next to nothing.
    pub fn observe(&mut self, snapshot: &Snapshot) {
        self.chronicle.observe(&snapshot.catalogue, &snapshot.incidents);
        for silence in &snapshot.silences {
            let name = self.chronicle.scope_name(silence.facet);
            self.silences.entry(name).or_insert(snapshot.at);
        }
        self.sample(snapshot);
        self.note_causes(snapshot);
    }

    fn note_causes(&mut self, snapshot: &Snapshot) {
        for found in &snapshot.causes {
            for cause in names_of(found.cause, &snapshot.catalogue) {
                if found.bond != Bond::Echo {
                    let most = self.common.entry(cause.clone()).or_default();
                    *most = (*most).max(found.count);
                }
                let slugs = found.members.iter().filter_map(|one| snapshot.catalogue.get(one.service));
                let is_network = cause.starts_with("AS");
                let laid = slugs.filter(|_| !is_network).map(|one| (one.slug.clone(), cause.clone()));
                self.laid.extend(laid);
            }
        }
    }

    /// Answers the expectations whose time has come.
    fn sample(&mut self, snapshot: &Snapshot) {
        let scenario = Arc::clone(&self.scenario);
        for (expectation, index) in scenario.expectations.iter().zip(0..) {
            let ExpectationKind::At { at, service, country, .. } = &expectation.kind else { continue };
            if self.samples[index].is_some() || snapshot.at < *at {
                continue;
            }
            let Some(view) = snapshot.service(service) else { continue };
            let place = |facet| view.countries.iter().find(|place| place.facet == facet);
            let sample = match country {
                None => Sample {
                    state: view.state,
                    observed: view.observed,
                    expected: known(view.usual.mean, view.learning),
                },
                Some(country) => match place(Facet::Country(*country)) {
                    Some(row) => Sample {
                        state: row.state,
                        observed: row.observed,
                        expected: known(row.expected, view.learning),
                    },
                    // Nobody there reported for an hour.
                    None => Sample {
                        state: State::Insufficient,
                        observed: 0,
                        expected: known(0.0, view.learning),
                    },
                },
            };
            self.samples[index] = Some(sample);
            self.chronicle.timeline.lines.push(TimelineLine {
                at: *at,
                service: service.clone(),
                scope: country.map_or_else(|| "world".to_owned(), |country| country.to_string()),
                state: sample.state,
                observed: sample.observed,
                expected: sample.expected,
                change: "sampled".to_owned(),
            });
        }
    }

    /// What was recorded so far.
    pub fn timeline(&self) -> &Timeline {
        &self.chronicle.timeline
    }

    /// Every expectation of the scenario, met or not, with the reason. Call it at the end.
    pub fn judge(&self) -> Vec<Judged> {
        let numbered = self.scenario.expectations.iter().zip(&self.samples);
        numbered.map(|(expectation, sample)| self.judge_one(expectation, *sample)).collect()
    }
}

/// What a cause is called: a slug, which also answers to its networks, a network, or neither.
fn names_of(cause: Cause, catalogue: &Catalogue) -> Vec<String> {
    match cause {
        Cause::Service(service) => catalogue.get(service).map_or_else(Vec::new, |known| {
            let networks = known.networks.iter().map(ToString::to_string);
            [known.slug.clone()].into_iter().chain(networks).collect()
        }),
        Cause::Network(asn) => vec![asn.to_string()],
        Cause::Unnamed => vec![UNNAMED.to_owned()],
    }
}

/// How a part stood at a moment, by the changes up to then. How it stands by now would not do: a peak
/// is told once it has passed, and the part may have ended since.
fn state_at(view: &IncidentView, facet: Facet, at: UtcTime) -> State {
    let changes = view.timeline.iter().filter(|entry| entry.facet == facet && entry.at <= at);
    let states = changes.filter_map(|entry| match entry.change {
        Change::Possible => Some((entry.at, State::Possible)),
        Change::Confirmed => Some((entry.at, State::Confirmed)),
        Change::Ended | Change::Explained => Some((entry.at, State::Ended)),
        Change::Peak | Change::Operator(_) | Change::Held(_) | Change::Released => None,
    });
    // Of one moment the later entry counts. What peaked was at least possible.
    states.max_by_key(|(at, _)| *at).map_or(State::Possible, |(_, state)| state)
}

/// A mean to a hundredth, or nothing where it is only a guess.
fn known(mean: f32, is_guess: bool) -> Option<f64> {
    (!is_guess).then(|| (f64::from(mean) * 100.0).round() / 100.0)
}

mod rfc3339 {
    use brownout_core::model::UtcTime;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(at: &UtcTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UtcTime, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
