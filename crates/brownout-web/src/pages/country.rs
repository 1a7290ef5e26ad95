//! The page of one country: what is not calm there.

use askama::Template;
use brownout_core::model::{CountryCode, Facet};
use brownout_core::snapshot::{PlaceView, State};

use super::{render, unknown};
use crate::marks;
use crate::respond::Failure;
use crate::view::{PlaceRow, Shell, View, rate_words};
use crate::zone::{expected, thousands};

/// Rows of cities and regions.
const PLACES_MAX: usize = 60;
/// Of these, rows that are not folded away.
const PLACES_SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "country.html")]
struct CountryPage {
    shell: Shell,
    name: String,
    class: &'static str,
    sentence: String,
    observed: String,
    rate: Option<String>,
    rows: Vec<Row>,
    places: Vec<(PlaceRow, String)>,
    more_places: Vec<(PlaceRow, String)>,
    unknown: String,
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
    let observed = status.map_or(0, |status| status.observed);
    let mut rows = Vec::new();
    let mut worst = State::Calm;
    for (id, state) in status.map_or(&[][..], |status| &status.services) {
        let Some(service) = snapshot.catalogue.get(*id) else { continue };
        worst = worst.max(*state);
        let here = snapshot
            .services
            .iter()
            .find(|one| one.service == *id)
            .and_then(|one| one.countries.iter().find(|place| place.facet == Facet::Country(country)));
        rows.push(Row {
            name: service.name.clone(),
            href: view.service_link(service),
            mark: marks::mark(*state),
            observed: here.map_or_else(|| "0".to_owned(), |place| thousands(place.observed.into())),
            expected: here.map_or_else(|| "unknown".to_owned(), |place| expected(place.expected)),
            since: here.and_then(|place| place.since).map_or_else(String::new, |at| view.time(at)),
        });
    }
    let sentence = match rows.len() {
        0 => format!("No problems detected in {name}."),
        1 => format!("One service is not calm in {name}."),
        many => format!("{many} services are not calm in {name}."),
    };
    let mut places = places(view, country);
    let more_places = places.split_off(PLACES_SHOWN.min(places.len()));
    render(&CountryPage {
        shell: view.shell(&format!("{name} - {}", view.site.options.title), "*"),
        name,
        class: marks::class(worst),
        sentence,
        observed: thousands(observed.into()),
        rate: view.rate(country, observed).map(rate_words),
        rows,
        places,
        more_places,
        unknown: unknown(),
    })
}

/// Regions and cities of the country with reports, over all services, most sources first.
fn places(view: &View, country: CountryCode) -> Vec<(PlaceRow, String)> {
    let inside = |place: &&PlaceView| match place.facet {
        Facet::City(id) => view.site.geography.city(id).is_some_and(|city| city.country == country),
        Facet::Region(code) => code.country() == country,
        _ => false,
    };
    let mut found: Vec<(&PlaceView, &str)> = Vec::new();
    for status in &view.snapshot.services {
        let Some(service) = view.snapshot.catalogue.get(status.service) else { continue };
        let all = status.cities.iter().chain(&status.regions).filter(inside);
        found.extend(all.map(|place| (place, service.name.as_str())));
    }
    found.sort_by_key(|(place, _)| (std::cmp::Reverse(place.state), std::cmp::Reverse(place.observed)));
    found.truncate(PLACES_MAX);
    found.into_iter().map(|(place, service)| (view.place_row(place), service.to_owned())).collect()
}
