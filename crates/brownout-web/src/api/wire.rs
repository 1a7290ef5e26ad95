//! What is on the wire: times in RFC 3339 and UTC, countries in ISO alpha-2, counts as numbers.

use std::sync::Arc;

use brownout_core::model::{Facet, Minute, Service, UtcTime};
use brownout_core::snapshot::{
    Change, Chart as CoreChart, IncidentView, PlaceView, ServiceView, State as Condition,
};
use brownout_core::verdict::{
    Verdict as CoreVerdict, confidence_words, doubt_name, doubt_words, explained, sentence, source_words,
};
use brownout_store::port::{IncidentCursor, Step, Steps};
use serde::Serialize;
use utoipa::ToSchema;

use super::located::Located;
use super::part::Part;
use super::reach::Reachability;
use crate::chart::bar_start;
use crate::view::{View, is_learning};

/// How something stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Not enough data to say anything.
    Insufficient,
    /// Within the usual band.
    Calm,
    /// Possible problems.
    Possible,
    /// Detected problems.
    Confirmed,
    /// Over.
    Ended,
}

impl From<Condition> for State {
    fn from(state: Condition) -> Self {
        match state {
            Condition::Insufficient => State::Insufficient,
            Condition::Calm => State::Calm,
            Condition::Possible => State::Possible,
            Condition::Confirmed => State::Confirmed,
            Condition::Ended => State::Ended,
        }
    }
}

/// A part of the world or of a service's reports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Scope {
    /// `world`, `country`, `region`, `city`, `network`, `kind` or `channel`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// ISO 3166 code, GeoNames number, `AS` number, or slug; absent for the world.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The name in English.
    name: String,
}

impl Scope {
    pub(crate) fn new(view: &View, facet: Facet) -> Self {
        let (kind, code) = match facet {
            Facet::All => ("world", None),
            Facet::Country(code) => ("country", Some(code.to_string())),
            Facet::Region(code) => ("region", Some(code.to_string())),
            Facet::City(id) => ("city", Some(id.0.to_string())),
            Facet::Network(asn) => ("network", Some(asn.to_string())),
            Facet::Kind(kind) => ("kind", Some(kind.slug().to_owned())),
            Facet::Channel(id) => ("channel", Some(id.0.to_string())),
        };
        Scope { kind, code, name: view.facet_name(facet) }
    }
}

pub(super) fn time(at: UtcTime) -> String {
    at.to_string()
}

/// Two decimals are more than an expected count means; a float's noise must not change an ETag.
pub(super) fn figure(value: f32) -> f64 {
    if value.is_finite() { (f64::from(value) * 100.0).round() / 100.0 } else { 0.0 }
}

/// The same, or null where it is only a guess: while what is usual is still being learned.
pub(super) fn known(value: f32, is_guess: bool) -> Option<f64> {
    (!is_guess).then(|| figure(value))
}

/// One service in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceSummary {
    slug: String,
    name: String,
    category: &'static str,
    state: State,
    /// Since when the state is not calm.
    since: Option<String>,
    /// Distinct sources in the last 15 minutes.
    observed: u32,
    /// Whether what is usual is still being learned: then `expected` is null, here and for all parts.
    learning: bool,
    /// Usual mean for these 15 minutes; null while it is still being learned.
    expected: Option<f64>,
    /// Name of the incident that lasts.
    incident: Option<String>,
}

impl ServiceSummary {
    fn new(view: &View, service: &Service, status: &ServiceView) -> Self {
        ServiceSummary {
            slug: service.slug.clone(),
            name: service.name.clone(),
            category: service.category.slug(),
            state: status.state.into(),
            since: status.since.map(time),
            observed: status.observed,
            learning: status.learning,
            expected: known(status.usual.mean, status.learning),
            incident: status.incident.and_then(|id| view.incident_name(id)),
        }
    }
}

/// All services.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Services {
    serial: u64,
    at: String,
    services: Vec<ServiceSummary>,
}

impl Services {
    pub(crate) fn new(view: &View) -> Self {
        let snapshot = &view.snapshot;
        let summary = |status: &Arc<ServiceView>| {
            let service = snapshot.catalogue.get(status.service)?;
            Some(ServiceSummary::new(view, service, status))
        };
        Services {
            serial: snapshot.serial,
            at: time(snapshot.at),
            services: snapshot.services.iter().filter_map(summary).collect(),
        }
    }
}

/// A published judgement.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    revision: u32,
    as_of: String,
    state: State,
    /// The judgement in one sentence of English.
    sentence: String,
    /// What stands behind it, not a probability: `moderate` is detected problems that rest on many
    /// reports from several countries, `strong` is independent kinds of evidence that agree, and
    /// `weak` is everything else. The page `/about` gives the figures.
    confidence: &'static str,
    /// How far it reaches; null while that is not clear, and where there is no incident.
    located: Option<Located>,
    /// The parts that are above usual by themselves, worst first.
    extent: Vec<Scope>,
    /// Reasons in words, strongest first.
    reasons: Vec<String>,
    /// Kinds of evidence that were looked at.
    looked_at: Vec<&'static str>,
    /// Kinds of evidence that were not: they count neither for nor against.
    not_looked_at: Vec<&'static str>,
    ruleset: u32,
    policy: String,
    /// Hash of the content, hex.
    hash: String,
}

impl Verdict {
    fn new(view: &View, verdict: &CoreVerdict) -> Self {
        let names = view.names();
        Verdict {
            revision: verdict.revision,
            as_of: time(verdict.as_of),
            state: verdict.state.into(),
            sentence: sentence(verdict, names),
            confidence: confidence_words(verdict.confidence),
            located: verdict.located.as_ref().map(|extent| Located::new(view, extent)),
            extent: verdict.extent.iter().map(|facet| Scope::new(view, *facet)).collect(),
            reasons: explained(verdict, names),
            looked_at: verdict.looked_at.iter().map(|source| source_words(*source)).collect(),
            not_looked_at: verdict.not_looked_at.iter().map(|source| source_words(*source)).collect(),
            ruleset: verdict.ruleset,
            policy: verdict.policy.clone(),
            hash: verdict.hash.clone(),
        }
    }
}

/// Counts over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Chart {
    /// Start of the first bar.
    start: String,
    step_minutes: u32,
    /// Whether the last bar's interval has not ended yet.
    incomplete: bool,
    bars: Vec<Bar>,
}

/// One interval.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bar {
    at: String,
    /// Distinct sources; null where nothing was collected.
    count: Option<u32>,
    /// Of what is usual, like the next two; null while it is still being learned.
    p10: Option<f64>,
    median: Option<f64>,
    p90: Option<f64>,
    /// Sources from which the interval alone would be a departure; null as well.
    threshold: Option<f64>,
}

impl Chart {
    fn new(chart: &CoreChart, is_guess: bool) -> Self {
        let bar = |(index, bar): (usize, &brownout_core::snapshot::Bar)| Bar {
            at: time(bar_start(chart, index)),
            count: bar.count,
            p10: known(bar.usual.p10, is_guess),
            median: known(bar.usual.median, is_guess),
            p90: known(bar.usual.p90, is_guess),
            threshold: known(bar.threshold, is_guess),
        };
        Chart {
            start: time(chart.start.start()),
            step_minutes: chart.step_minutes,
            incomplete: chart.incomplete,
            bars: chart.bars.iter().enumerate().map(bar).collect(),
        }
    }
}

/// A place or network of a service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Place {
    scope: Scope,
    state: State,
    since: Option<String>,
    /// Distinct sources in the last 15 minutes.
    observed: u32,
    /// Usual mean for these 15 minutes; null while it is still being learned.
    expected: Option<f64>,
    /// Sources per million internet users, for a country where their number is known.
    per_million: Option<f64>,
}

impl Place {
    fn new(view: &View, place: &PlaceView, is_guess: bool) -> Self {
        let rate = match place.facet {
            Facet::Country(code) => view.rate(code, place.observed),
            _ => None,
        };
        Place {
            scope: Scope::new(view, place.facet),
            state: place.state.into(),
            since: place.since.map(time),
            observed: place.observed,
            expected: known(place.expected, is_guess),
            per_million: rate.map(|rate| (rate * 1000.0).round() / 1000.0),
        }
    }
}

/// A count of one kind or channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Share {
    scope: Scope,
    /// Distinct sources in the last hour.
    sources: u32,
}

/// One service in full.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceDetail {
    serial: u64,
    at: String,
    #[serde(flatten)]
    summary: ServiceSummary,
    last_report_at: Option<String>,
    verdict: Verdict,
    /// The last 24 h.
    chart: Chart,
    countries: Vec<Place>,
    regions: Vec<Place>,
    cities: Vec<Place>,
    networks: Vec<Place>,
    kinds: Vec<Share>,
    channels: Vec<Share>,
    /// Views of the service's page in the last hour: never a part of the counts.
    page_views: u32,
    /// Incidents of the last seven days, latest first.
    incidents: Vec<String>,
    /// How it is reached, where that is measured.
    reachability: Option<Reachability>,
}

impl ServiceDetail {
    pub(crate) fn new(view: &View, service: &Service, status: &ServiceView) -> Self {
        let places =
            |list: &[PlaceView]| list.iter().map(|place| Place::new(view, place, status.learning)).collect();
        let share = |facet, sources| Share { scope: Scope::new(view, facet), sources };
        ServiceDetail {
            serial: status.version,
            at: time(view.snapshot.at),
            summary: ServiceSummary::new(view, service, status),
            last_report_at: status.last_report_at.map(time),
            verdict: Verdict::new(view, &status.verdict),
            chart: Chart::new(&status.chart, status.learning),
            countries: places(&status.countries),
            regions: places(&status.regions),
            cities: places(&status.cities),
            networks: places(&status.networks),
            kinds: status.kinds.iter().map(|(kind, count)| share(Facet::Kind(*kind), *count)).collect(),
            channels: status.channels.iter().map(|(id, count)| share(Facet::Channel(*id), *count)).collect(),
            page_views: status.page_views,
            incidents: status.incidents.iter().filter_map(|id| view.incident_name(*id)).collect(),
            reachability: status.reach.as_ref().map(|reach| Reachability::new(view, reach)),
        }
    }
}

/// One incident in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Incident {
    name: String,
    service: String,
    state: State,
    opened_at: String,
    confirmed_at: Option<String>,
    ended_at: Option<String>,
    /// Most sources in any 15 minutes so far, over the whole service; where only places stand out,
    /// in the largest of them. Null is not known.
    peak: Option<u32>,
    peak_at: Option<String>,
    /// Distinct sources in the last 15 minutes, of the same part as `peak`.
    observed: Option<u32>,
    /// Places and networks, most sources at peak first.
    places: Vec<Scope>,
}

impl Incident {
    pub(super) fn new(view: &View, incident: &IncidentView) -> Option<Self> {
        let service = view.snapshot.catalogue.get(incident.id.service)?;
        let whole = incident.scopes.iter().find(|scope| scope.facet == Facet::All);
        let largest = whole.or_else(|| incident.scopes.iter().max_by_key(|scope| scope.peak));
        let places = incident.scopes.iter().filter(|scope| scope.facet != Facet::All);
        Some(Incident {
            name: incident.id.name(&service.slug),
            service: service.slug.clone(),
            state: incident.state.into(),
            opened_at: time(incident.opened_at),
            confirmed_at: incident.confirmed_at.map(time),
            ended_at: incident.ended_at.map(time),
            peak: largest.map(|scope| scope.peak),
            peak_at: largest.map(|scope| time(scope.peak_at.start())),
            observed: largest.map(|scope| scope.observed),
            places: places.map(|scope| Scope::new(view, scope.facet)).collect(),
        })
    }
}

/// A list of incidents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Incidents {
    incidents: Vec<Incident>,
    /// `before` of the next page, where there may be one: give it back as it is.
    next_before: Option<String>,
}

impl Incidents {
    pub(crate) fn new(view: &View, incidents: &[Arc<IncidentView>], next: Option<IncidentCursor>) -> Self {
        Incidents {
            incidents: incidents.iter().filter_map(|one| Incident::new(view, one)).collect(),
            next_before: next.map(|next| next.to_string()),
        }
    }
}

/// One line of a timeline.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimelineEntry {
    at: String,
    scope: Scope,
    /// `possible`, `confirmed`, `peak`, `ended`, `explained` (withdrawn: another is to blame), `operator`,
    /// `held` or `released`.
    change: &'static str,
    /// What the operator wrote, or why it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    observed: u32,
    /// Usual mean; null while it is still being learned.
    expected: Option<f64>,
}

/// A reason to doubt that the reports of a rise are people's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Doubt {
    /// `few_subnets`, `strange_networks`, `strange_countries`, `one_kind`, `frozen_kinds`,
    /// `one_channel`, `no_page_views` or `replayed`.
    doubt: &'static str,
    /// The doubt in English.
    text: String,
    /// Distinct sources that are doubted ...
    doubtful: u32,
    /// ... of so many that were looked at.
    sources: u32,
}

impl Doubt {
    fn new(view: &View, doubt: &brownout_core::incident::Doubt) -> Self {
        Doubt {
            doubt: doubt_name(&doubt.cause),
            text: doubt_words(doubt, view.names()),
            doubtful: doubt.doubtful,
            sources: doubt.sources,
        }
    }
}

/// One incident in full.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentDetail {
    #[serde(flatten)]
    summary: Option<Incident>,
    /// Why an operator holds it at "possible".
    held: Option<String>,
    /// What else holds it there now, the largest doubt first.
    doubts: Vec<Doubt>,
    /// The judgement in force.
    verdict: Option<Verdict>,
    /// The service as a whole first.
    scopes: Vec<Part>,
    timeline: Vec<TimelineEntry>,
    /// All published judgements, oldest first.
    verdicts: Vec<Verdict>,
    chart: Chart,
    /// Licence of these data.
    licence: &'static str,
}

impl IncidentDetail {
    pub(crate) fn new(view: &View, _service: &Service, incident: &IncidentView) -> Self {
        let is_guess = is_learning(incident);
        let entry = |entry: &brownout_core::snapshot::TimelineEntry| {
            let (change, note) = match &entry.change {
                Change::Possible => ("possible", None),
                Change::Confirmed => ("confirmed", None),
                Change::Peak => ("peak", None),
                Change::Ended => ("ended", None),
                Change::Explained => ("explained", None),
                Change::Operator(text) => ("operator", Some(text.clone())),
                Change::Held(doubt) => ("held", Some(doubt_words(doubt, view.names()))),
                Change::Released => ("released", None),
            };
            TimelineEntry {
                at: time(entry.at),
                scope: Scope::new(view, entry.facet),
                change,
                note,
                observed: entry.observed,
                expected: known(entry.expected, is_guess),
            }
        };
        IncidentDetail {
            summary: Incident::new(view, incident),
            held: incident.held.clone(),
            doubts: incident.doubts.iter().map(|doubt| Doubt::new(view, doubt)).collect(),
            verdict: incident.verdicts.last().map(|verdict| Verdict::new(view, verdict)),
            scopes: incident.scopes.iter().map(|scope| Part::new(view, scope, is_guess)).collect(),
            timeline: incident.timeline.iter().map(entry).collect(),
            verdicts: incident.verdicts.iter().map(|verdict| Verdict::new(view, verdict)).collect(),
            chart: Chart::new(&incident.chart, is_guess),
            licence: "CC-BY-4.0",
        }
    }
}

/// One country over all services.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Country {
    scope: Scope,
    /// Distinct sources of the last 15 minutes, summed over services.
    observed: u32,
    per_million: Option<f64>,
    /// Services that are not calm there, worst first.
    services: Vec<CountryService>,
}

/// A service that is not calm in a country.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountryService {
    slug: String,
    state: State,
}

/// Countries with at least as many distinct sources in the last hour, over all services, as
/// `materialise_sources` of the policy (3 by default). Of any other country nothing is told: there were
/// none or very few.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Countries {
    serial: u64,
    at: String,
    countries: Vec<Country>,
}

impl Countries {
    pub(crate) fn new(view: &View) -> Self {
        let snapshot = &view.snapshot;
        let country = |country: &brownout_core::snapshot::CountryView| Country {
            scope: Scope::new(view, Facet::Country(country.country)),
            observed: country.observed,
            per_million: view
                .rate(country.country, country.observed)
                .map(|rate| (rate * 1000.0).round() / 1000.0),
            services: country
                .services
                .iter()
                .filter_map(|(id, state)| {
                    let slug = snapshot.catalogue.get(*id)?.slug.clone();
                    Some(CountryService { slug, state: (*state).into() })
                })
                .collect(),
        };
        Countries {
            serial: snapshot.serial,
            at: time(snapshot.at),
            countries: snapshot.countries.iter().map(country).collect(),
        }
    }
}

/// Counts of one part of a service. An interval that is missing is one in which nothing was collected,
/// or that is not settled yet: of it nothing is known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Series {
    service: String,
    scope: Scope,
    from: String,
    to: String,
    step_minutes: u32,
    /// Counts are history up to here: later ones follow once no report can come late any more, about
    /// 20 minutes after. Null before there is any history.
    settled_until: Option<String>,
    points: Vec<Point>,
}

/// One interval of five minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Point {
    at: String,
    /// Distinct sources; a report without a proof of work may count less than one. 0 says that nobody
    /// reported while reports were collected. Null where it is withheld.
    sources: Option<f64>,
    /// Whether the count is withheld for privacy: somebody reported, but of a place or network fewer
    /// than `materialise_sources` of the policy (3 by default), which could point at a person.
    withheld: bool,
    /// Usual mean for the interval; null where nobody reported and while it is still being learned. Of
    /// a service's first day, asked for later, it is the guess of that time.
    expected: Option<f64>,
}

impl Series {
    pub(crate) fn new(
        view: &View,
        slug: &str,
        facet: Facet,
        (from, to): (Minute, Minute),
        found: &Steps,
    ) -> Self {
        let is_guess = view.snapshot.service(slug).is_none_or(|status| status.learning);
        let floor = if is_place(facet) { view.snapshot.place_sources_min.saturating_mul(100) } else { 0 };
        let point = |one: &Step| {
            let withheld = (1..floor).contains(&one.hundredths);
            Point {
                at: time(one.start.start()),
                sources: (!withheld).then(|| f64::from(one.hundredths) / 100.0),
                withheld,
                expected: one.expected.and_then(|mean| known(mean, is_guess)),
            }
        };
        Series {
            service: slug.to_owned(),
            scope: Scope::new(view, facet),
            from: time(from.start()),
            to: time(to.start()),
            step_minutes: 5,
            settled_until: found.settled_until.map(|minute| time(minute.start())),
            points: found.steps.iter().map(point).collect(),
        }
    }
}

/// Whether a part of a service is small enough to point at a person.
fn is_place(facet: Facet) -> bool {
    matches!(facet, Facet::Country(_) | Facet::Region(_) | Facet::City(_) | Facet::Network(_))
}
