//! A scenario: what people would have reported, when and where, and what should be made of it.

mod build;
mod expectation;
mod local;
mod parse;
mod places;
mod text;

use brownout_core::model::{
    Asn, Category, CityId, CountryCode, ProblemKind, RegionCode, Service, ServiceId, UtcTime,
};

use crate::curve::Curve;

pub use expectation::{Expectation, ExpectationKind};
pub(crate) use expectation::{UNNAMED, extent_word};
pub use local::{Clock, DaysOff};
pub use text::ScenarioError;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// The scenarios that come with the program: (name, text).
        pub fn scenarios() -> &'static [(&'static str, &'static str)] {
            &[$(($name, include_str!(concat!("../../scenarios/", $name, ".scenario")))),*]
        }
    };
}

shipped!(
    "x-2025-03-10",
    "calm-300",
    "flash",
    "slow-burn",
    "city-outage",
    "growing",
    "isp-200",
    "isp-outage",
    "brigade",
    "collector-dies",
    "cut-off",
    "clock-change",
    "holiday",
    "maintenance",
    "hosted-brigade",
    "echo",
    "isp-five-services",
    "office-hours",
    "bank-holiday",
    "short",
    "new-normal",
    "two-faults",
    "two-providers",
    "new-hours",
    "first-days",
    "clocks-apart",
    "holiday-eve",
    "steep-morning"
);

/// The text of a shipped scenario.
pub fn find(name: &str) -> Option<&'static str> {
    scenarios().iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Whether a figure is known from a source or made up to fill a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A source says so.
    Documented,
    /// Invented, as plausibly as could be.
    Synthetic,
}

/// A service in one country, or, without a country, in places that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScopeKey {
    /// Position in [`Scenario::services`].
    pub service: usize,
    /// The country.
    pub country: Option<CountryCode>,
}

/// A service that takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceLine {
    /// Its slug.
    pub slug: String,
    /// What it is for.
    pub category: Category,
    /// Its name.
    pub name: String,
    /// Shares of the kinds of problem; empty means the scenario's general mix.
    pub kinds: Vec<(ProblemKind, f64)>,
}

/// What is usual for a scope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Baseline {
    /// Where.
    pub scope: ScopeKey,
    /// Mean over the day, in sources per hour.
    pub per_hour: f64,
    /// Size of the negative binomial noise: the shape of a factor drawn every hour. Larger is
    /// steadier; `None` is Poisson.
    pub dispersion: Option<f64>,
}

/// A city and its share of its country's reports.
#[derive(Clone, Debug, PartialEq)]
pub struct City {
    /// Its region, with the country.
    pub region: RegionCode,
    /// Its name.
    pub name: String,
    /// Its GeoNames number.
    pub id: CityId,
    /// 0 to 1.
    pub share: f64,
}

/// A network and its share of its country's reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Its country.
    pub country: CountryCode,
    /// Its number.
    pub asn: Asn,
    /// 0 to 1.
    pub share: f64,
    /// Its name.
    pub name: String,
}

/// A figure that the counts must meet exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// The end of the 15 minutes that it counts; a whole minute.
    pub at: UtcTime,
    /// Where.
    pub scope: ScopeKey,
    /// Distinct sources in these 15 minutes.
    pub sources: u32,
    /// Known or invented.
    pub mark: Mark,
    /// Where it comes from.
    pub note: String,
}

/// The one city or network that an event is confined to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The whole scope.
    Everywhere,
    /// Position in [`Scenario::cities`].
    City(usize),
    /// Position in [`Scenario::networks`].
    Network(usize),
    /// A country, of all services.
    Country(CountryCode),
}

/// How an event adds reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventShape {
    /// At once, and over at the end.
    Pulse,
    /// From nothing to the full rate at the end, then over.
    Ramp,
    /// This many reports in all, each from a source of its own, all in so many subnets.
    Subnets(u32),
    /// Nothing is collected: reports of all services are lost, or those of one country.
    Silence,
}

/// Something that happens in an invented scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Its first minute.
    pub start: UtcTime,
    /// One past its last minute.
    pub end: UtcTime,
    /// Where; `None` for silence.
    pub scope: Option<ScopeKey>,
    /// Sources per hour, at most, on top of what is usual.
    pub per_hour: f64,
    /// Its course.
    pub shape: EventShape,
    /// The part of the scope that it is confined to.
    pub focus: Focus,
}

/// Something that was said or done, for the reader.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// When.
    pub at: UtcTime,
    /// A word for what it is, such as `statement` or `claim`.
    pub kind: String,
    /// Known or invented.
    pub mark: Mark,
    /// The text.
    pub text: String,
}

/// A scenario that has been read and whose anchors do not contradict each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it is about.
    pub title: String,
    /// Where its facts come from.
    pub sources: Vec<String>,
    /// Seed to play it with, if the caller gives none.
    pub seed: u64,
    /// The first minute.
    pub start: UtcTime,
    /// One past the last minute.
    pub end: UtcTime,
    /// Minutes of baseline alone before `start`.
    pub warm_up_minutes: u32,
    /// Weights of the hours of the day in local time; their mean is 1.
    pub hours: [f64; 24],
    /// Local time of countries; others live by UTC.
    pub clocks: Vec<Clock>,
    /// Weekends and holidays.
    pub days_off: DaysOff,
    /// Who takes part.
    pub services: Vec<ServiceLine>,
    /// Shares of the kinds of problem where a service has none of its own.
    pub kinds: Vec<(ProblemKind, f64)>,
    /// What is usual.
    pub baselines: Vec<Baseline>,
    /// Places.
    pub cities: Vec<City>,
    /// Networks.
    pub networks: Vec<Network>,
    /// Share of all lines that repeat a source, 0 to 0.9.
    pub repeats: f64,
    /// Views of a service's page per distinct source: (position in `services`, views).
    pub page_views: Vec<(usize, f64)>,
    /// Channels by which reports come in, with their shares. Never empty.
    pub channels: Vec<(String, f64)>,
    /// Figures to meet.
    pub anchors: Vec<Anchor>,
    /// Invented events.
    pub events: Vec<Event>,
    /// Things said and done.
    pub notes: Vec<Note>,
    /// What should be made of it.
    pub expectations: Vec<Expectation>,
    /// The counts of the scopes that have anchors.
    pub(crate) curves: Vec<(ScopeKey, Curve)>,
}

impl Scenario {
    /// Reads a scenario. The error says where, what and, when a word is nearly right, which.
    pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        parse::parse(text)
    }

    /// The first minute that is played, warm-up included.
    pub fn plays_from(&self) -> UtcTime {
        self.start.plus_seconds(-60 * i64::from(self.warm_up_minutes))
    }

    /// Entries for a catalogue that is to know the scenario's services, numbered from `first`.
    /// Where the catalogue has a service of that slug already, its own entry is the better one.
    pub fn catalogue_entries(&self, first: ServiceId) -> Vec<Service> {
        let numbered = self.services.iter().zip(first.0..);
        numbered
            .map(|(line, number)| {
                Service::new(ServiceId(number), line.slug.clone(), line.name.clone(), line.category)
            })
            .collect()
    }

    /// The usual rate of a scope in a minute, in sources per minute.
    pub(crate) fn usual(&self, scope: ScopeKey, minute: u32) -> f64 {
        let per_hour: f64 =
            self.baselines.iter().filter(|known| known.scope == scope).map(|known| known.per_hour).sum();
        per_hour / 60.0 * self.weight(scope.country, minute)
    }
}
