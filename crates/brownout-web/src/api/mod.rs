//! The JSON interface, version 1. Its types are its own: what the engine calls its parts may change,
//! what is on the wire may only grow.

mod causes;
mod located;
mod part;
mod reach;
mod status;
mod wire;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use brownout_core::model::{Asn, ChannelId, CityId, Facet, ProblemKind, SeriesKey, Service, UtcTime};
use brownout_core::snapshot::{IncidentView, State as Condition};
use brownout_store::port::IncidentCursor;
use serde::{Deserialize, Serialize};
use utoipa::OpenApi;

use crate::asked::Name;
use crate::cache::{Key, Kind};
use crate::respond::{Document, Failure, Problem, cached, fresh, problem};
use crate::router::{called, find_incident, history, incident_entity, version, version_of};
use crate::site::WebState;
use crate::view::View;
use crate::zone::Zone;

/// The description of the interface, for a host to merge with that of its own routes.
#[derive(OpenApi)]
#[openapi(
    info(title = "Brownout", version = "1", description = "Is it down, where, since when, and how do we know?",
         license(name = "CC BY 4.0 (data)", identifier = "CC-BY-4.0")),
    paths(status, services, service, series, incidents, incident, countries, causes, crate::events::stream),
    components(schemas(Problem<'_>))
)]
struct Description;

/// The OpenAPI description of everything this crate answers with JSON or events.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

fn view(site: &WebState) -> View {
    View { site: site.clone(), snapshot: site.snapshot.load_full(), zone: Zone::utc() }
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|_| Failure::Internal)
}

fn answer(outcome: Result<Response, Failure>) -> Response {
    outcome.unwrap_or_else(Failure::for_program)
}

/// An answer made from the whole snapshot.
async fn whole(
    site: WebState,
    kind: Kind,
    headers: HeaderMap,
    make: fn(&View) -> Result<String, Failure>,
) -> Response {
    let view = view(&site);
    let version = version(&site, &view.snapshot);
    answer(cached(&site, Key::new(kind, 0), version, Document::Json, &headers, move || make(&view)).await)
}

/// How things stand, over all services.
#[utoipa::path(get, path = "/api/v1/status", tag = "status",
    responses((status = 200, body = status::Status), (status = 304, description = "As the given ETag says"), Problem))]
pub(crate) async fn status(State(site): State<WebState>, headers: HeaderMap) -> Response {
    whole(site, Kind::ApiStatus, headers, |view| json(&status::Status::new(view))).await
}

/// All services with their state.
#[utoipa::path(get, path = "/api/v1/services", tag = "services",
    responses((status = 200, body = wire::Services), (status = 304, description = "As the given ETag says"), Problem))]
pub(crate) async fn services(State(site): State<WebState>, headers: HeaderMap) -> Response {
    whole(site, Kind::ApiServices, headers, |view| json(&wire::Services::new(view))).await
}

/// One service with its judgement, chart and places.
#[utoipa::path(get, path = "/api/v1/services/{slug}", tag = "services",
    params(("slug" = String, Path, description = "The service's slug; of an alias, the problem's detail names the slug")),
    responses((status = 200, body = wire::ServiceDetail), Problem))]
pub(crate) async fn service(State(site): State<WebState>, Name(slug): Name, headers: HeaderMap) -> Response {
    let outcome = async {
        let view = view(&site);
        let Some(id) = view.snapshot.catalogue.find(&slug).map(|service| service.id) else {
            return Ok(no_service(&view, &slug));
        };
        let status = site.status(&view.snapshot, id).ok_or(Failure::NotFound)?;
        let version = version_of(&site, &view.snapshot, status.version);
        let render = move || {
            let service = view.snapshot.catalogue.get(id).ok_or(Failure::NotFound)?;
            json(&wire::ServiceDetail::new(&view, service, &status))
        };
        cached(&site, Key::new(Kind::ApiService, id.0.into()), version, Document::Json, &headers, render)
            .await
    }
    .await;
    answer(outcome)
}

/// That there is no such service; of an alias, which service it means.
fn no_service(view: &View, name: &str) -> Response {
    let Some(meant) = called(&view.snapshot, name) else { return Failure::NotFound.for_program() };
    let detail =
        format!("No service has this slug. As an alias it means the one whose slug is “{}”.", meant.slug);
    let failure = Failure::NotFound;
    problem(failure.status(), failure.reason(), failure.title(), &detail)
}

/// Countries with reports in the last hour: those with very few sources are left out.
#[utoipa::path(get, path = "/api/v1/countries", tag = "status",
    responses((status = 200, body = wire::Countries), Problem))]
pub(crate) async fn countries(State(site): State<WebState>, headers: HeaderMap) -> Response {
    whole(site, Kind::ApiCountries, headers, |view| json(&wire::Countries::new(view))).await
}

/// What several services' reports are laid to now: one that others echo, a network, something that they
/// are built on, or something proposed from the pattern.
#[utoipa::path(get, path = "/api/v1/causes", tag = "status",
    responses((status = 200, body = causes::Causes), Problem))]
pub(crate) async fn causes(State(site): State<WebState>, headers: HeaderMap) -> Response {
    whole(site, Kind::ApiCauses, headers, |view| json(&causes::Causes::new(view))).await
}

/// One incident, also one that is long over.
#[utoipa::path(get, path = "/api/v1/incidents/{name}", tag = "incidents",
    params(("name" = String, Path, description = "The incident's name, such as x-2025-03-10-0947")),
    responses((status = 200, body = wire::IncidentDetail), Problem))]
pub(crate) async fn incident(State(site): State<WebState>, Name(name): Name, headers: HeaderMap) -> Response {
    let outcome = async {
        let view = view(&site);
        let (service, incident) = find_incident(&site, &view.snapshot, &name).await?;
        let version = version_of(&site, &view.snapshot, incident.version);
        let key = Key::new(Kind::ApiIncident, incident_entity(incident.id));
        let render = move || incident_json(&view, &service, &incident);
        cached(&site, key, version, Document::Json, &headers, render).await
    }
    .await;
    answer(outcome)
}

/// The incident as the interface and the export give it.
pub(crate) fn incident_json(
    view: &View,
    service: &Service,
    incident: &IncidentView,
) -> Result<String, Failure> {
    json(&wire::IncidentDetail::new(view, service, incident))
}

/// Limits of one question about series, in minutes and points.
const SERIES_MINUTES_MAX: u32 = 31 * 24 * 60;
const SERIES_POINTS_MAX: usize = 10_000;
/// Incidents of one answer.
const INCIDENTS_MAX: usize = 100;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct SeriesQuery {
    facet: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// Counts of one service and part of the world, per five minutes. Very small counts of places and networks
/// are withheld.
#[utoipa::path(get, path = "/api/v1/services/{slug}/series", tag = "services",
    params(("slug" = String, Path, description = "The service's slug; of an alias, the problem's detail names the slug"),
           ("facet" = Option<String>, Query, description = "all, country:PK, region:PK-PB, city:1172451, network:AS17557, kind:login or channel:0"),
           ("from" = Option<String>, Query, description = "RFC 3339; a day before `to` where not given"),
           ("to" = Option<String>, Query, description = "RFC 3339, at most 31 days after `from`; now where not given")),
    responses((status = 200, body = wire::Series), Problem))]
pub(crate) async fn series(State(site): State<WebState>, Name(slug): Name, uri: Uri) -> Response {
    answer(series_answer(&site, &slug, &uri).await)
}

async fn series_answer(site: &WebState, slug: &str, uri: &Uri) -> Result<Response, Failure> {
    let query: SeriesQuery = parse_query(uri)?;
    let view = view(site);
    let Some(service) = view.snapshot.catalogue.find(slug).map(|service| service.id) else {
        return Ok(no_service(&view, slug));
    };
    let facet = parse_facet(query.facet.as_deref().unwrap_or("all"))
        .ok_or(Failure::BadRequest("“facet” is all, or a kind and a code such as country:PK."))?;
    let to =
        parse_time(query.to.as_deref())?.map_or_else(|| view.snapshot.at.minute().plus(1), UtcTime::minute);
    let from = parse_time(query.from.as_deref())?.map_or_else(|| to.minus(24 * 60), UtcTime::minute);
    if from >= to || to.since(from) > SERIES_MINUTES_MAX {
        return Err(Failure::BadRequest("“from” must be before “to”, by at most 31 days."));
    }
    let key = SeriesKey { service, facet };
    let found = history(site, move |store| store.steps(key, from, to, SERIES_POINTS_MAX)).await?;
    let series = wire::Series::new(&view, slug, facet, (from, to), &found);
    Ok(fresh(json(&series)?, Document::Json))
}

pub(crate) fn parse_query<T: Default + serde::de::DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    if uri.query().is_none() {
        return Ok(T::default());
    }
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|_| Failure::BadRequest("The query cannot be read."))
}

fn parse_time(text: Option<&str>) -> Result<Option<UtcTime>, Failure> {
    text.map(str::parse)
        .transpose()
        .map_err(|_| Failure::BadRequest("Times are written like 2025-03-10T10:02:00Z."))
}

/// `all`, or a kind of part and its code.
fn parse_facet(text: &str) -> Option<Facet> {
    if text == "all" {
        return Some(Facet::All);
    }
    let (kind, code) = text.split_once(':')?;
    match kind {
        "country" => code.parse().ok().map(Facet::Country),
        "region" => code.parse().ok().map(Facet::Region),
        "city" => code.parse().ok().and_then(CityId::new).map(Facet::City),
        "network" => code.trim_start_matches("AS").parse().ok().and_then(Asn::new).map(Facet::Network),
        "kind" => ProblemKind::from_slug(code).map(Facet::Kind),
        "channel" => code.parse().ok().map(|number| Facet::Channel(ChannelId(number))),
        _ => None,
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct IncidentsQuery {
    state: Option<String>,
    limit: Option<String>,
    before: Option<String>,
}

/// Incidents: those ongoing and of the last seven days, or older ones with `before`.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents",
    params(("state" = Option<String>, Query, description = "ongoing, possible, confirmed or ended"),
           ("limit" = Option<usize>, Query, description = "1 to 100, and what is beyond is taken for the nearest; 50 where not given"),
           ("before" = Option<String>, Query, description = "RFC 3339: only incidents opened before, latest first, so that the time of asking begins with the latest; or `next_before` of an answer, which goes on behind its last incident and loses none of those that opened at one time")),
    responses((status = 200, body = wire::Incidents), Problem))]
pub(crate) async fn incidents(State(site): State<WebState>, uri: Uri) -> Response {
    answer(incidents_answer(&site, &uri).await)
}

async fn incidents_answer(site: &WebState, uri: &Uri) -> Result<Response, Failure> {
    let query: IncidentsQuery = parse_query(uri)?;
    let limit = match query.limit.as_deref().map(str::parse::<usize>) {
        None => 50,
        Some(Ok(limit)) => limit.clamp(1, INCIDENTS_MAX),
        Some(Err(_)) => return Err(Failure::BadRequest("“limit” is a number from 1 to 100.")),
    };
    let wanted = wanted_states(query.state.as_deref())?;
    let before: Option<IncidentCursor> =
        query.before.as_deref().map(str::parse).transpose().map_err(|_| {
            Failure::BadRequest("“before” is a time like 2025-03-10T10:02:00Z, or next_before of an answer.")
        })?;
    let view = view(site);
    let fits = |one: &Arc<IncidentView>| wanted.is_none_or(|states| states.contains(&one.state));
    let mut next = None;
    let found: Vec<Arc<IncidentView>> = match before {
        None => view.snapshot.incidents.iter().filter(|one| fits(one)).take(limit).cloned().collect(),
        Some(before) => {
            let read = history(site, move |store| store.incidents(before, limit)).await?;
            next = read.last().filter(|_| read.len() == limit).map(IncidentCursor::after);
            read.into_iter().map(Arc::new).filter(fits).collect()
        }
    };
    let body = wire::Incidents::new(&view, &found, next);
    Ok(fresh(json(&body)?, Document::Json))
}

fn wanted_states(text: Option<&str>) -> Result<Option<&'static [Condition]>, Failure> {
    match text {
        None | Some("") => Ok(None),
        Some("ongoing") => Ok(Some(&[Condition::Possible, Condition::Confirmed])),
        Some("possible") => Ok(Some(&[Condition::Possible])),
        Some("confirmed") => Ok(Some(&[Condition::Confirmed])),
        Some("ended") => Ok(Some(&[Condition::Ended])),
        Some(_) => Err(Failure::BadRequest("“state” is ongoing, possible, confirmed or ended.")),
    }
}

/// The description of the interface.
pub(crate) async fn document(State(site): State<WebState>, headers: HeaderMap) -> Response {
    let base = site.options.base_path.clone();
    let version = crate::cache::Version { serial: 0, minute: 0, stale_minutes: 0 };
    let more = site.more_api.clone();
    let make = move || {
        let mut document = openapi();
        if let Some(more) = more {
            document = document.merge_from(more);
        }
        if !base.is_empty() {
            document.servers = Some(vec![utoipa::openapi::Server::new(base)]);
        }
        json(&document)
    };
    answer(cached(&site, Key::new(Kind::OpenApi, 0), version, Document::Json, &headers, make).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_world_is_read_from_its_kind_and_code() {
        assert_eq!(parse_facet("all"), Some(Facet::All));
        assert_eq!(parse_facet("network:AS17557"), Asn::new(17557).map(Facet::Network));
        assert_eq!(parse_facet("kind:login"), Some(Facet::Kind(ProblemKind::Login)));
        for text in ["", "country", "country:PAK", "city:0", "network:", "planet:mars", "channel:99999"] {
            assert_eq!(parse_facet(text), None, "{text}");
        }
    }
}
