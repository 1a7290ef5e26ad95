//! The page of one country: what is not calm there.

use askama::Template;
use brownout_core::model::{CountryCode, Facet, Service};
use brownout_core::reach::{Disruption, ReachPlace, ReachView, Spot};
use brownout_core::snapshot::{PlaceView, ServiceView, State};
use brownout_core::verdict::{disruption_sentence, silence_sentence};

use super::{render, unknown};
use crate::marks;
use crate::respond::Failure;
use crate::view::{PlaceRow, Shell, View, rate_words};
use crate::zone::{expected_or_unknown, thousands};

/// Rows of each table of places.
const PLACES_MAX: usize = 40;
/// Of these, rows that are not folded away.
const PLACES_SHOWN: usize = 6;

#[derive(Template)]
#[template(path = "country.html")]
struct CountryPage {
    shell: Shell,
    name: String,
    class: &'static str,
    sentence: String,
    /// Why silence says nothing here.
    silence: Option<String>,
    /// Reports of the last 15 minutes; `None` where there were too few in an hour to tell.
    observed: Option<String>,
    /// Sources in an hour from which a country is shown.
    few: u32,
    rate: Option<String>,
    rows: Vec<Row>,
    places: Vec<Places>,
    unknown: String,
    /// Services that are measured from here, those that fail first.
    reach: Vec<ReachRow>,
    reach_more: Vec<ReachRow>,
    /// That the country or a network in it seems to be cut off.
    disruptions: Vec<String>,
}

/// One service as it is reached from here.
struct ReachRow {
    name: String,
    href: String,
    row: super::reach::Row,
}

/// Places of one kind, each with the service that is reported there.
struct Places {
    id: &'static str,
    title: &'static str,
    rows: Vec<(PlaceRow, String)>,
    more: Vec<(PlaceRow, String)>,
}

struct Row {
    name: String,
    href: String,
    mark: String,
    observed: String,
    expected: String,
    since: String,
}

/// The page.
pub(crate) fn page(view: &View, country: CountryCode) -> Result<String, Failure> {
    let snapshot = &view.snapshot;
    let name = view.facet_name(Facet::Country(country));
    let status = snapshot.countries.iter().find(|one| one.country == country);
    let mut rows = Vec::new();
    let mut worst = State::Calm;
    for (id, state) in status.map_or(&[][..], |status| &status.services) {
        let Some(service) = snapshot.catalogue.get(*id) else { continue };
        worst = worst.max(*state);
        let status = view.site.status(snapshot, *id);
        let here = status
            .as_ref()
            .and_then(|one| one.countries.iter().find(|place| place.facet == Facet::Country(country)));
        let is_guess = status.as_ref().is_none_or(|one| one.learning);
        rows.push(Row {
            name: service.name.clone(),
            href: view.service_link(service),
            mark: marks::mark(*state),
            observed: here.map_or_else(|| "0".to_owned(), |place| thousands(place.observed.into())),
            expected: here
                .map_or_else(|| "unknown".to_owned(), |place| expected_or_unknown(place.expected, is_guess)),
            since: here.and_then(|place| place.since).map_or_else(String::new, |at| view.time(at)),
        });
    }
    let silence = snapshot
        .silences
        .iter()
        .find(|one| matches!(one.facet, Facet::All) || one.facet == Facet::Country(country));
    if rows.is_empty() && silence.is_some() {
        worst = State::Insufficient;
    }
    let fails = newly_failing(view, country);
    if rows.is_empty() && !fails.is_empty() {
        worst = State::Possible;
    }
    let sentence = match rows.len() {
        0 if silence.is_some() && fails.is_empty() => format!("Not enough data on {name}."),
        0 if !fails.is_empty() => format!("{} from {name}, by measurements.", not_reached(&fails)),
        0 => format!("No problems detected in {name}."),
        1 => format!("One service is not calm in {name}."),
        many => format!("{many} services are not calm in {name}."),
    };
    let mut reach = reach_rows(view, country);
    let reach_more = reach.split_off(PLACES_SHOWN.min(reach.len()));
    render(&CountryPage {
        shell: view.shell(&format!("{name} - {}", view.site.options.title), "*"),
        name,
        class: marks::class(worst),
        sentence,
        silence: silence.map(|one| silence_sentence(one, view.names())),
        observed: status.map(|status| thousands(status.observed.into())),
        few: snapshot.place_sources_min,
        rate: status.and_then(|status| view.rate(country, status.observed)).map(rate_words),
        rows,
        // A city and the region around it often have one name, so they never share a table.
        places: [regions(view, country), cities(view, country)]
            .into_iter()
            .filter(|table| !table.rows.is_empty())
            .collect(),
        unknown: unknown(),
        reach,
        reach_more,
        disruptions: disruptions(view, country),
    })
}

fn reach_rows(view: &View, country: CountryCode) -> Vec<ReachRow> {
    let mut places = Vec::new();
    for status in &view.snapshot.services {
        let Some(reach) = &status.reach else { continue };
        let here = reach.countries.iter().find(|one| one.place == Spot::Country(country));
        let Some((here, service)) = here.zip(view.snapshot.catalogue.get(status.service)) else { continue };
        places.push((here, service));
    }
    places.sort_by_key(|(here, service)| {
        (std::cmp::Reverse(here.state.severity()), std::cmp::Reverse(here.day.measured), service.id)
    });
    places.truncate(PLACES_MAX);
    let row = |(here, service): (&ReachPlace, &Service)| ReachRow {
        name: service.name.clone(),
        href: format!("{}#reach", view.service_link(service)),
        row: super::reach::Row::new(view, here),
    };
    places.into_iter().map(row).collect()
}

/// Services that newly are not reached from a country, or not as elsewhere.
fn newly_failing(view: &View, country: CountryCode) -> Vec<String> {
    let now = view.snapshot.at;
    let fails = |reach: &ReachView| reach.news(now).any(|one| one.place == Spot::Country(country));
    let services =
        view.snapshot.services.iter().filter(|one| one.reach.as_ref().is_some_and(|reach| fails(reach)));
    services.filter_map(|one| Some(view.snapshot.catalogue.get(one.service)?.name.clone())).collect()
}

fn not_reached(names: &[String]) -> String {
    match names {
        [one] => format!("{one} is not reached as usual"),
        [one, other] => format!("{one} and {other} are not reached as usual"),
        [one, rest @ ..] => format!("{one} and {} more services are not reached as usual", rest.len()),
        [] => String::new(),
    }
}

fn disruptions(view: &View, country: CountryCode) -> Vec<String> {
    let now = view.snapshot.at;
    let is_here = |one: &&Disruption| {
        let is_recent = one.ended.is_none_or(|ended| now.millis_since(ended.latest) < 7 * 86_400_000);
        one.place.country() == Some(country) && is_recent
    };
    let here = view.snapshot.disruptions.iter().rev().filter(is_here);
    here.take(PLACES_SHOWN).map(|one| disruption_sentence(one, view.names(), now)).collect()
}

fn regions(view: &View, country: CountryCode) -> Places {
    places(
        view,
        ("regions", "Regions"),
        |service| &service.regions,
        |facet| matches!(facet, Facet::Region(code) if code.country() == country),
    )
}

fn cities(view: &View, country: CountryCode) -> Places {
    let city = |id| view.site.geography.city(id);
    places(
        view,
        ("cities", "Cities"),
        |service| &service.cities,
        |facet| matches!(facet, Facet::City(id) if city(id).is_some_and(|city| city.country == country)),
    )
}

/// Places of one kind with reports in the last hour, over all services: those not calm first, then
/// most sources first.
fn places(
    view: &View,
    (id, title): (&'static str, &'static str),
    list: impl Fn(&ServiceView) -> &[PlaceView],
    is_inside: impl Fn(Facet) -> bool,
) -> Places {
    let mut found: Vec<(&PlaceView, bool, &str)> = Vec::new();
    for status in &view.snapshot.services {
        let Some(service) = view.snapshot.catalogue.get(status.service) else { continue };
        let inside = list(status).iter().filter(|place| is_inside(place.facet));
        found.extend(inside.map(|place| (place, status.learning, service.name.as_str())));
    }
    found.sort_by_key(|(place, ..)| (std::cmp::Reverse(place.state), std::cmp::Reverse(place.observed)));
    found.truncate(PLACES_MAX);
    let row = |(place, is_guess, service): (&PlaceView, bool, &str)| {
        (view.place_row(place, is_guess), service.to_owned())
    };
    let mut rows: Vec<_> = found.into_iter().map(row).collect();
    let more = rows.split_off(PLACES_SHOWN.min(rows.len()));
    Places { id, title, rows, more }
}
