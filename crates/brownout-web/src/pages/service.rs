//! The page of one service: the judgement first, then what it rests on.

use askama::Template;
use brownout_core::model::{Facet, Service};
use brownout_core::snapshot::{PlaceView, ServiceView, State};
use brownout_core::verdict::{confidence_words, explained, headline, limits, would_change};

use super::reach::{Reach, beside};
use super::{render, unknown, world};
use crate::chart::{self, Marks, Row};
use crate::map::{self, STEPS, Spot};
use crate::marks;
use crate::respond::Failure;
use crate::view::{IncidentRow, PlaceTable, Shell, View, rate_words};
use crate::zone::{counted, expected, multiple, thousands, usual_words};

/// Rows of each table of places that are shown, and that are there at all.
const PLACES_SHOWN: usize = 5;
const PLACES_MAX: usize = 20;

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage {
    shell: Shell,
    name: String,
    category: &'static str,
    class: &'static str,
    mark: String,
    sentence: String,
    /// Nothing was collected in the newest interval: a count of zero would be a lie.
    silent: bool,
    observed: String,
    one: bool,
    usual: String,
    band: String,
    since: Option<String>,
    lasted: String,
    judged: String,
    confidence: &'static str,
    learning: bool,
    last_report: String,
    incident: Option<String>,
    report: String,
    chart_title: String,
    chart: String,
    rows: Vec<Row>,
    spark: String,
    unknown: String,
    reach: Option<Reach>,
    /// Whether people and measurements agree.
    beside: Option<&'static str>,
    reasons: Vec<String>,
    limits: String,
    would_change: &'static str,
    kinds: Vec<KindRow>,
    kinds_total: String,
    map: String,
    map_base: String,
    legend: Vec<&'static str>,
    tables: Vec<PlaceTable>,
    page_views: String,
    views: &'static str,
    channels: Vec<(String, String)>,
    incidents: Vec<IncidentRow>,
    about: Vec<String>,
    status_page: Option<String>,
}

struct KindRow {
    label: &'static str,
    count: String,
    percent: u64,
}

/// The page.
pub(crate) fn page(view: &View, service: &Service, status: &ServiceView) -> Result<String, Failure> {
    let verdict = &status.verdict;
    let names = view.names();
    let chart_title = chart_title(view, status);
    let shade = status.since.filter(|_| matches!(status.state, State::Possible | State::Confirmed));
    let drawing =
        Marks { shade: shade.map(|since| (since.minute(), None)), waves: &[], is_guess: status.learning };
    let incident = status.incident.and_then(|id| view.incident_name(id));
    let kinds_total: u64 = status.kinds.iter().map(|(_, count)| u64::from(*count)).sum();
    render(&ServicePage {
        shell: view.shell(&title(view, service, status), &service.slug),
        name: service.name.clone(),
        category: service.category.label(),
        class: marks::class(status.state),
        mark: marks::mark(status.state),
        sentence: headline(verdict, names),
        silent: chart::silent(&status.chart),
        observed: thousands(status.observed.into()),
        one: status.observed == 1,
        usual: usual_words(status.usual.median),
        band: format!("{} to {}", expected(status.usual.p10), expected(status.usual.p90)),
        since: status.since.map(|at| view.time(at)),
        lasted: status.since.map_or_else(String::new, |at| view.ago(at)),
        judged: view.time(verdict.as_of),
        confidence: confidence_words(verdict.confidence),
        learning: status.learning,
        last_report: last_report(view, status),
        incident: incident.map(|name| view.link(&format!("/i/{name}"))),
        report: view.report_link(&format!("/s/{}/report", service.slug)),
        chart: chart::draw(&status.chart, &drawing, &view.zone, &chart_title),
        chart_title,
        rows: chart::rows(&status.chart, &view.zone, status.learning),
        spark: chart::sparkline(&status.chart),
        unknown: unknown(),
        beside: status.reach.as_ref().and_then(|reach| beside(status.state, reach.state(view.snapshot.at))),
        reach: status.reach.as_ref().map(|reach| Reach::new(view, reach)),
        reasons: explained(verdict, names).iter().map(|reason| marks::capital(reason)).collect(),
        limits: limits(verdict),
        would_change: would_change(verdict),
        kinds: status
            .kinds
            .iter()
            .map(|(kind, count)| KindRow {
                label: kind.label(),
                count: thousands((*count).into()),
                percent: (u64::from(*count) * 100 + kinds_total / 2) / kinds_total.max(1),
            })
            .collect(),
        kinds_total: thousands(kinds_total),
        map: map_of(view, status),
        map_base: world::map_base(view),
        legend: STEPS.iter().map(|(_, words)| *words).collect(),
        tables: [
            table(view, status, ("countries", "Countries"), &status.countries),
            table(view, status, ("cities", "Cities"), &status.cities),
            table(view, status, ("networks", "Networks"), &status.networks),
            table(view, status, ("regions", "Regions"), &status.regions),
        ]
        .into_iter()
        .filter(|table| !table.rows.is_empty())
        .collect(),
        page_views: thousands(status.page_views.into()),
        views: if status.page_views == 1 { "view" } else { "views" },
        channels: status
            .channels
            .iter()
            .map(|(id, count)| (view.facet_name(Facet::Channel(*id)), thousands((*count).into())))
            .collect(),
        incidents: status
            .incidents
            .iter()
            .filter_map(|id| view.snapshot.incident(*id))
            .filter_map(|one| view.incident_row(one))
            .collect(),
        about: about(view, service),
        // A link of the catalogue may only lead to a page, never run anything.
        status_page: service.status_page.clone().filter(|link| is_page(link)),
    })
}

fn table(
    view: &View,
    status: &ServiceView,
    (id, title): (&'static str, &'static str),
    list: &[PlaceView],
) -> PlaceTable {
    let row = |one| view.place_row(one, status.learning);
    let mut rows: Vec<_> = list.iter().take(PLACES_MAX).map(row).collect();
    let rest = rows.split_off(PLACES_SHOWN.min(rows.len()));
    // Of countries it is known how many people use the internet there.
    let rates = id == "countries";
    PlaceTable { id, title, rates, rows, rest }
}

fn is_page(link: &str) -> bool {
    link.starts_with("https://") || link.starts_with("http://")
}

fn title(view: &View, service: &Service, status: &ServiceView) -> String {
    let words = brownout_core::verdict::state_words(status.state);
    format!("{}: {words} - {}", service.name, view.site.options.title)
}

fn chart_title(view: &View, status: &ServiceView) -> String {
    match chart::peak(&status.chart) {
        None if status.chart.bars.iter().all(|bar| bar.count.is_none()) => {
            "No data in the last 24 h".to_owned()
        }
        None => "No reports in the last 24 h".to_owned(),
        Some((count, at, usual)) => {
            let times = multiple(count, usual)
                .filter(|_| !status.learning)
                .map_or_else(String::new, |times| format!(", {times} times usual"));
            let at = view.zone.clock_and_utc(at);
            let reports = counted(count.into(), "report", "reports");
            format!("Last 24 h: at most {reports} in 5 min, at {at}{times}")
        }
    }
}

fn last_report(view: &View, status: &ServiceView) -> String {
    match status.last_report_at {
        Some(at) => format!("Last report {}.", view.time(at)),
        None => "No report has come in yet.".to_owned(),
    }
}

fn map_of(view: &View, status: &ServiceView) -> String {
    let spots: Vec<Spot> = status
        .countries
        .iter()
        .filter_map(|place| {
            let Facet::Country(country) = place.facet else { return None };
            let rate = view.rate(country, place.observed)?;
            let name = view.facet_name(place.facet);
            Some(Spot {
                country,
                href: view.link(&format!("/c/{country}")),
                label: format!(
                    "{name}: {} reports, {} per million",
                    thousands(place.observed.into()),
                    rate_words(rate)
                ),
                rate,
            })
        })
        .collect();
    if spots.is_empty() { String::new() } else { map::overlay(&spots, "Countries with reports") }
}

fn about(view: &View, service: &Service) -> Vec<String> {
    let mut lines = Vec::new();
    if !service.depends_on.is_empty() {
        let name =
            |slug: &String| view.snapshot.catalogue.find(slug).map_or(slug.clone(), |one| one.name.clone());
        lines.push(format!(
            "Built on {}.",
            service.depends_on.iter().map(name).collect::<Vec<_>>().join(", ")
        ));
    }
    if let Some(users) = service.users {
        lines.push(format!("About {} users worldwide.", thousands(users)));
    }
    if lines.is_empty() && service.status_page.as_deref().is_some_and(is_page) {
        lines.push(String::new());
    }
    lines
}
