//! The world: what happens now first, then where, then every service.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use brownout_core::model::{Category, Facet, IncidentId, Service, ServiceId};
use brownout_core::snapshot::{CauseView, ServiceView, State};
use brownout_core::verdict::{Bond, Cause, cause_name, silence_sentence, state_words};

use super::render;
use crate::map::{self, STEPS, Spot};
use crate::respond::Failure;
use crate::view::{IncidentRow, Shell, View, rate_words};
use crate::zone::{counted, thousands};
use crate::{assets, chart, marks};

/// Services listed on one page; the others are found by searching.
const LISTED_MAX: usize = 500;
/// Services up to which all categories are unfolded.
const UNFOLDED_MAX: usize = 40;
/// Incidents shown on the first page of each kind.
const INCIDENTS_MAX: usize = 30;
/// Services named in the entry of what they share.
const MEMBERS_SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "world.html")]
struct World {
    shell: Shell,
    headline: String,
    freshness: String,
    /// What several services share, one entry each.
    causes: Vec<CauseRow>,
    ongoing: Vec<IncidentRow>,
    /// Where it is silent, in sentences.
    silences: Vec<String>,
    ended: Vec<IncidentRow>,
    map: String,
    map_base: String,
    legend: Vec<&'static str>,
    countries: Vec<CountryRow>,
    /// Sources in an hour from which a country is shown.
    few: u32,
    query: String,
    groups: Vec<Group>,
    hidden: usize,
}

/// One thing to blame for what several services show.
struct CauseRow {
    name: String,
    href: Option<String>,
    mark: String,
    class: &'static str,
    words: String,
    services: Vec<(String, String)>,
    rest: u32,
    since: String,
}

struct CountryRow {
    name: String,
    href: String,
    observed: String,
    rate: String,
    services: String,
}

/// The services of one category.
pub(crate) struct Group {
    pub(crate) label: &'static str,
    /// Not folded away: something in it is not calm, or there is little to see in all.
    open: bool,
    pub(crate) rows: Vec<ServiceRow>,
}

/// One service in a list.
pub(crate) struct ServiceRow {
    pub(crate) name: String,
    href: String,
    pub(crate) report: String,
    is_notable: bool,
    glyph: &'static str,
    word: &'static str,
    spark: String,
    observed: String,
}

/// The page, with the services whose name contains `query`.
pub(crate) fn page(view: &View, query: &str) -> Result<String, Failure> {
    let snapshot = &view.snapshot;
    // What shares a cause stands in the cause's entry, once for all.
    let shared: BTreeSet<IncidentId> = shared(view).collect();
    let rows = |ended: bool| {
        let chosen = snapshot.incidents.iter().filter(|one| (one.state == State::Ended) == ended);
        let chosen = chosen.filter(|one| !shared.contains(&one.id));
        chosen.take(INCIDENTS_MAX).filter_map(|one| view.incident_row(one)).collect::<Vec<_>>()
    };
    let (ongoing, ended) = (rows(false), rows(true));
    let (groups, hidden) = groups(view, query);
    let title = format!("{}: is it down?", view.site.options.title);
    render(&World {
        shell: view.shell(&title, "*"),
        headline: headline(
            snapshot.incidents.iter().map(|one| one.state),
            snapshot.silences.iter().any(|silence| silence.facet == Facet::All),
        ),
        freshness: freshness(view),
        causes: snapshot.causes.iter().map(|cause| cause_row(view, cause)).collect(),
        ongoing,
        silences: snapshot.silences.iter().map(|one| silence_sentence(one, view.names())).collect(),
        ended,
        map: map::overlay(&spots(view), "Countries with reports"),
        map_base: map_base(view),
        legend: STEPS.iter().map(|(_, words)| *words).collect(),
        countries: countries(view),
        few: snapshot.place_sources_min,
        query: query.to_owned(),
        groups,
        hidden,
    })
}

/// Incidents that stand in the entry of what they share.
fn shared(view: &View) -> impl Iterator<Item = IncidentId> + '_ {
    let is_shared = |cause: &&CauseView| matches!(cause.bond, Bond::Dependency | Bond::Pattern);
    let members = view.snapshot.causes.iter().filter(is_shared).flat_map(|cause| &cause.members);
    members.filter_map(|member| view.site.status(&view.snapshot, member.service)?.incident)
}

fn cause_row(view: &View, cause: &CauseView) -> CauseRow {
    let link = |service: ServiceId| {
        let service = view.snapshot.catalogue.get(service)?;
        Some((service.name.clone(), view.service_link(service)))
    };
    let href = match cause.cause {
        Cause::Service(service) => link(service).map(|(_, href)| href),
        Cause::Network(_) | Cause::Unnamed => None,
    };
    let words = match cause.bond {
        Bond::Echo => "Reports on these services most likely are an echo of its problems",
        Bond::Network => "Its customers report these services, which most likely work",
        Bond::Dependency => "These services are built on it",
        Bond::Pattern => "Proposed from the pattern alone: these services began to rise together",
    };
    let named: Vec<_> =
        cause.members.iter().take(MEMBERS_SHOWN).filter_map(|member| link(member.service)).collect();
    let name = match cause.cause {
        Cause::Network(asn) => view.facet_name(Facet::Network(asn)),
        other => marks::capital(&cause_name(other, view.names())),
    };
    CauseRow {
        name,
        href,
        mark: marks::mark(cause.state),
        class: marks::class(cause.state),
        words: words.to_owned(),
        rest: cause.count.saturating_sub(named.len() as u32),
        services: named,
        since: view.time(cause.since),
    }
}

fn headline(states: impl Iterator<Item = State>, is_deaf: bool) -> String {
    let ongoing: Vec<State> = states.filter(|state| *state != State::Ended).collect();
    let confirmed = ongoing.iter().filter(|state| **state == State::Confirmed).count();
    let possible = ongoing.len() - confirmed;
    match (confirmed, possible) {
        (0, 0) if is_deaf => "Not enough data: no reports come in".to_owned(),
        (0, 0) => "No problems detected".to_owned(),
        (0, 1) => "Possible problems with one service".to_owned(),
        (0, many) => format!("Possible problems with {many} services"),
        (1, 0) => "Problems with one service".to_owned(),
        (many, 0) => format!("Problems with {many} services"),
        (1, some) => format!("Problems with one service, possible problems with {some} more"),
        (many, some) => format!("Problems with {many} services, possible problems with {some} more"),
    }
}

/// Says what was counted and when the last report came, so that silence can be told from calm.
fn freshness(view: &View) -> String {
    let snapshot = &view.snapshot;
    let watched = counted(snapshot.services.len() as u64, "service", "services");
    let reports = counted(snapshot.totals.sources_15_minutes, "report", "reports");
    let silent = snapshot.last_report_at.is_none_or(|at| snapshot.at.millis_since(at) > 24 * 3_600_000);
    if silent {
        let last = snapshot.last_report_at.map_or_else(
            || "none has ever come in".to_owned(),
            |at| format!("the last came {} ago", view.ago(at)),
        );
        return format!("No reports in 24 h on {watched} ({last}). As of {}.", view.time(snapshot.at));
    }
    let last = match snapshot.last_report_at {
        None => String::new(),
        Some(at) if snapshot.at.millis_since(at) < 10_000 => ", the last just now".to_owned(),
        Some(at) => format!(", the last {} ago", view.ago(at)),
    };
    format!("{watched} watched; {reports} in the last 15 min{last}. As of {}.", view.time(snapshot.at))
}

/// The address of the map without colours.
pub(crate) fn map_base(view: &View) -> String {
    format!("{}/assets/{}", view.site.options.base_path, assets::ASSETS.map.name)
}

fn spots(view: &View) -> Vec<Spot> {
    view.snapshot
        .countries
        .iter()
        .filter_map(|country| {
            let rate = view.rate(country.country, country.observed)?;
            let name = view.facet_name(Facet::Country(country.country));
            Some(Spot {
                country: country.country,
                href: view.link(&format!("/c/{}", country.country)),
                label: format!(
                    "{name}: {} reports, {} per million",
                    thousands(country.observed.into()),
                    rate_words(rate)
                ),
                rate,
            })
        })
        .collect()
}

fn countries(view: &View) -> Vec<CountryRow> {
    let name = |id: ServiceId| view.snapshot.catalogue.get(id).map(|service| service.name.as_str());
    view.snapshot
        .countries
        .iter()
        .map(|country| {
            let mut services: Vec<String> = country
                .services
                .iter()
                .take(3)
                .filter_map(|(id, state)| Some(format!("{} ({})", name(*id)?, state_words(*state))))
                .collect();
            if country.services.len() > 3 {
                services.push(format!("{} more", country.services.len() - 3));
            }
            CountryRow {
                name: view.facet_name(Facet::Country(country.country)),
                href: view.link(&format!("/c/{}", country.country)),
                observed: thousands(country.observed.into()),
                rate: view
                    .rate(country.country, country.observed)
                    .map_or_else(|| "unknown".to_owned(), rate_words),
                services: services.join(", "),
            }
        })
        .collect()
}

/// Services by category, what is called as was searched for and what is not calm first, and how many
/// are left out.
pub(crate) fn groups(view: &View, query: &str) -> (Vec<Group>, usize) {
    let query = query.to_lowercase();
    let by_id: BTreeMap<ServiceId, &ServiceView> =
        view.snapshot.services.iter().map(|one| (one.service, &**one)).collect();
    let mut found: Vec<(&Service, Option<&ServiceView>)> = view
        .snapshot
        .catalogue
        .iter()
        .filter(|service| query.is_empty() || service.is_found_by(&query))
        .map(|service| (service, by_id.get(&service.id).copied()))
        .collect();
    found.sort_by_cached_key(|(service, status)| {
        let state = status.map_or(State::Insufficient, |status| status.state);
        (!query.is_empty() && !service.is_called(&query), rank(state))
    });
    // Whoever asks for one service by its name wants to see it first.
    let asked = found.first().filter(|(service, _)| service.is_called(&query)).map(|(one, _)| one.category);
    let hidden = found.len().saturating_sub(LISTED_MAX);
    found.truncate(LISTED_MAX);
    let mut by_category: BTreeMap<Category, Vec<ServiceRow>> = BTreeMap::new();
    for (service, status) in found {
        by_category.entry(service.category).or_default().push(row(view, service, status));
    }
    let few = by_category.values().map(Vec::len).sum::<usize>() <= UNFOLDED_MAX;
    let mut groups: Vec<(Category, Vec<ServiceRow>)> = by_category.into_iter().collect();
    groups.sort_by_key(|(category, _)| asked.is_some_and(|asked| asked != *category));
    let group = |(category, rows): (Category, Vec<ServiceRow>)| Group {
        label: category.label(),
        open: few || rows.iter().any(|row| row.is_notable),
        rows,
    };
    (groups.into_iter().map(group).collect(), hidden)
}

fn rank(state: State) -> u8 {
    match state {
        State::Confirmed => 0,
        State::Possible => 1,
        State::Ended | State::Calm | State::Insufficient => 2,
    }
}

fn row(view: &View, service: &Service, status: Option<&ServiceView>) -> ServiceRow {
    let state = status.map_or(State::Insufficient, |status| status.state);
    ServiceRow {
        name: service.name.clone(),
        href: view.service_link(service),
        report: view.report_link(&format!("/s/{}/report", service.slug)),
        is_notable: matches!(state, State::Possible | State::Confirmed),
        glyph: marks::glyph(state),
        word: state_words(state),
        spark: status.map_or_else(String::new, |status| chart::sparkline(&status.chart)),
        observed: status
            .filter(|status| !chart::silent(&status.chart))
            .map_or_else(|| "no data".to_owned(), |status| thousands(status.observed.into())),
    }
}
