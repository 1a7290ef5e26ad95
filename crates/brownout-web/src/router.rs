//! Addresses and what answers at them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use brownout_core::model::{CountryCode, IncidentId, Service, UtcTime};
use brownout_core::snapshot::{IncidentView, Snapshot};
use brownout_store::port::{IncidentCursor, StoreError};
use serde::Deserialize;

use crate::asked::{Name, refuse};
use crate::cache::{Key, Kind, Version};
use crate::pages::{country, incident, info, report, service, world};
use crate::respond::{Document, Failure, apart, cached, fresh, html, preflight};
use crate::site::WebState;
use crate::view::View;
use crate::zone::Zone;
use crate::{api, assets, events};

/// All addresses of one site, under its base path. It has no fallback, so that several sites and
/// other routes can be merged; see [`not_found`].
pub fn router(state: WebState) -> Router {
    let base = state.options.base_path.clone();
    let path = |tail: &str| format!("{base}{tail}");
    let api = |tail: &str| format!("{base}/api/v1{tail}");
    let mut router = Router::new()
        .route(&path("/"), get(world_page))
        .route(&path("/s/{slug}"), get(service_page))
        .route(&path("/s/{slug}/report"), get(report_form))
        .route(&path("/s/{slug}/reported"), get(reported))
        .route(&path("/i/{name}"), get(incident_page))
        .route(&path("/c/{code}"), get(country_page))
        .route(&path("/incidents"), get(incidents_page))
        .route(&path("/about"), get(about_page))
        .route(&path("/report"), get(report_choose))
        .route(&path("/assets/{name}"), get(asset))
        .route(&path("/robots.txt"), get(robots));
    let interface = Router::new()
        .route(&api("/status"), get(api::status).options(preflight))
        .route(&api("/services"), get(api::services).options(preflight))
        .route(&api("/services/{slug}"), get(api::service).options(preflight))
        .route(&api("/services/{slug}/series"), get(api::series).options(preflight))
        .route(&api("/incidents"), get(api::incidents).options(preflight))
        .route(&api("/incidents/{name}"), get(api::incident).options(preflight))
        .route(&api("/countries"), get(api::countries).options(preflight))
        .route(&api("/causes"), get(api::causes).options(preflight))
        .route(&api("/events"), get(events::stream).options(preflight))
        .route(&api("/openapi.json"), get(api::document).options(preflight))
        .method_not_allowed_fallback(wrong_method);
    router = router.merge(interface);
    if !base.is_empty() {
        let home = path("/");
        router = router.route(&base, get(move || async move { Redirect::permanent(&home) }));
    }
    router.with_state(state)
}

/// What answers everything that has no address: problem details under `/api/`, else a page. Meant
/// for [`Router::fallback_service`].
pub fn not_found(state: WebState) -> Router {
    Router::new().fallback(missing).with_state(state)
}

/// The page that says that there is no such page.
pub fn render_not_found(site: &WebState) -> String {
    let view = View { site: site.clone(), snapshot: site.snapshot.load_full(), zone: Zone::utc() };
    info::error(&view, Failure::NotFound)
}

async fn missing(State(site): State<WebState>, uri: Uri) -> Response {
    refuse(&site, &uri, Failure::NotFound)
}

/// The router adds the header `Allow` with the methods that the address knows.
async fn wrong_method() -> Response {
    Failure::WrongMethod.for_program()
}

/// What a reader may add to a page's address.
#[derive(Debug, Default, Deserialize)]
struct PageQuery {
    tz: Option<String>,
    q: Option<String>,
    at: Option<String>,
    before: Option<String>,
}

fn page_query(uri: &Uri) -> Result<PageQuery, Failure> {
    if uri.query().is_none_or(str::is_empty) {
        return Ok(PageQuery::default());
    }
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|_| Failure::BadRequest("The query cannot be read."))
}

impl PageQuery {
    fn zone(&self, site: &WebState) -> Result<Zone, Failure> {
        match self.tz.as_deref().map(str::trim) {
            None | Some("") => Ok(Zone::utc()),
            Some(name) => site
                .zones
                .get(name)
                .ok_or(Failure::BadRequest("There is no such time zone; write it like Asia/Karachi.")),
        }
    }

    /// What is searched for: short, so that searches cannot fill the cache with long keys.
    fn search(&self) -> String {
        self.q.as_deref().unwrap_or("").trim().chars().take(64).collect()
    }
}

/// The version of everything that is made from the whole snapshot.
pub(crate) fn version(site: &WebState, snapshot: &Snapshot) -> Version {
    version_of(site, snapshot, snapshot.serial)
}

/// The version of what is made from one view.
pub(crate) fn version_of(site: &WebState, snapshot: &Snapshot, serial: u64) -> Version {
    Version {
        serial,
        minute: snapshot.at.minute().0,
        stale_minutes: site.stale_seconds(snapshot).map_or(0, |age| (age / 60) as u32 + 1),
    }
}

/// A page, or the page that says why there is none.
fn page(site: &WebState, outcome: Result<Response, Failure>) -> Response {
    outcome.unwrap_or_else(|failure| failed(site, failure))
}

/// The page that says what went wrong.
pub(crate) fn failed(site: &WebState, failure: Failure) -> Response {
    let view = View { site: site.clone(), snapshot: site.snapshot.load_full(), zone: Zone::utc() };
    html(failure.status(), info::error(&view, failure))
}

async fn world_page(State(site): State<WebState>, uri: Uri, headers: HeaderMap) -> Response {
    let outcome = searched(&site, Kind::World, &uri, &headers, world::page).await;
    page(&site, outcome)
}

async fn report_choose(State(site): State<WebState>, uri: Uri, headers: HeaderMap) -> Response {
    if let Some(base) = site.options.live_base() {
        return Redirect::to(&format!("{base}/report")).into_response();
    }
    let outcome = searched(&site, Kind::ReportChoose, &uri, &headers, report::choose).await;
    page(&site, outcome)
}

/// A page that lists services by a search.
async fn searched(
    site: &WebState,
    kind: Kind,
    uri: &Uri,
    headers: &HeaderMap,
    render: fn(&View, &str) -> Result<String, Failure>,
) -> Result<Response, Failure> {
    let query = page_query(uri)?;
    let zone = query.zone(site)?;
    let search = query.search();
    let snapshot = site.snapshot.load_full();
    let version = version(site, &snapshot);
    let text = (!search.is_empty()).then(|| Arc::from(search.to_lowercase().as_str()));
    let key = Key { kind, entity: 0, text, zone: zone.key() };
    let view = View { site: site.clone(), snapshot, zone };
    cached(site, key, version, Document::Page, headers, move || render(&view, &search)).await
}

async fn service_page(State(site): State<WebState>, Name(slug): Name, parts: Parts) -> Response {
    if let Some(there) = called(&site.snapshot.load(), &slug) {
        let query = parts.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let address = format!("{}/s/{}{query}", site.options.base_path, there.slug);
        // Not for ever: an alias may come to mean another service.
        return (StatusCode::FOUND, [(header::LOCATION, address)]).into_response();
    }
    let outcome = service_answer(&site, &slug, &parts).await;
    page(&site, outcome)
}

/// The service that has this name as an alias, where no service has it as its slug.
pub(crate) fn called<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Service> {
    let name = name.to_lowercase();
    let catalogue = &snapshot.catalogue;
    let is_meant = |service: &&Service| service.aliases.contains(&name);
    catalogue.find(&name).is_none().then(|| catalogue.iter().find(is_meant)).flatten()
}

async fn service_answer(site: &WebState, slug: &str, parts: &Parts) -> Result<Response, Failure> {
    let zone = page_query(&parts.uri)?.zone(site)?;
    let snapshot = site.snapshot.load_full();
    let id = snapshot.catalogue.find(slug).ok_or(Failure::NotFound)?.id;
    let status = site.status(&snapshot, id).ok_or(Failure::NotFound)?;
    (site.hooks.service_viewed)(id, parts);
    let version = version_of(site, &snapshot, status.version);
    let key = Key { kind: Kind::Service, entity: id.0.into(), text: None, zone: zone.key() };
    let view = View { site: site.clone(), snapshot, zone };
    let render = move || {
        let service = view.snapshot.catalogue.get(id).ok_or(Failure::NotFound)?;
        service::page(&view, service, &status)
    };
    cached(site, key, version, Document::Page, &parts.headers, render).await
}

async fn report_form(
    State(site): State<WebState>,
    Name(slug): Name,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let (Some(base), true) =
        (site.options.live_base(), site.snapshot.load().catalogue.find(&slug).is_some())
    {
        return Redirect::to(&format!("{base}/s/{slug}/report")).into_response();
    }
    let outcome = report_form_answer(&site, &slug, &uri, &headers).await;
    page(&site, outcome)
}

async fn report_form_answer(
    site: &WebState,
    slug: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let zone = page_query(uri)?.zone(site)?;
    let snapshot = site.snapshot.load_full();
    let id = snapshot.catalogue.find(slug).ok_or(Failure::NotFound)?.id;
    let challenge = site.challenge_url().map(str::to_owned);
    let version = version(site, &snapshot);
    let text = challenge.as_deref().map(Arc::from);
    let key = Key { kind: Kind::ReportForm, entity: id.0.into(), text, zone: zone.key() };
    let view = View { site: site.clone(), snapshot, zone };
    let render = move || {
        let service = view.snapshot.catalogue.get(id).ok_or(Failure::NotFound)?;
        report::form(&view, service, None, challenge.as_deref())
    };
    cached(site, key, version, Document::Page, headers, render).await
}

/// Where a browser is sent after a report was taken, so that loading again does not report again.
async fn reported(State(site): State<WebState>, Name(slug): Name, uri: Uri) -> Response {
    let snapshot = site.snapshot.load_full();
    let Some(service) = snapshot.catalogue.find(&slug) else { return failed(&site, Failure::NotFound) };
    let in_full = !uri.query().is_some_and(|query| query.split('&').any(|part| part == "weight=reduced"));
    html(StatusCode::OK, report::render_report_done(&site, service, in_full))
}

async fn country_page(
    State(site): State<WebState>,
    Name(code): Name,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let outcome = country_answer(&site, &code, &uri, &headers).await;
    page(&site, outcome)
}

async fn country_answer(
    site: &WebState,
    code: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let country: CountryCode = code.parse().map_err(|_| Failure::NotFound)?;
    site.geography.country(country).ok_or(Failure::NotFound)?;
    let zone = page_query(uri)?.zone(site)?;
    let snapshot = site.snapshot.load_full();
    let version = version(site, &snapshot);
    let entity = u64::from(u16::from_be_bytes(country.bytes()));
    let key = Key { kind: Kind::Country, entity, text: None, zone: zone.key() };
    let view = View { site: site.clone(), snapshot, zone };
    cached(site, key, version, Document::Page, headers, move || country::page(&view, country)).await
}

async fn about_page(State(site): State<WebState>, uri: Uri, headers: HeaderMap) -> Response {
    let outcome = async {
        let zone = page_query(&uri)?.zone(&site)?;
        let snapshot = site.snapshot.load_full();
        let version = version_of(&site, &snapshot, 0);
        let key = Key { kind: Kind::About, entity: 0, text: None, zone: zone.key() };
        let view = View { site: site.clone(), snapshot, zone };
        cached(&site, key, version, Document::Page, &headers, move || info::about(&view)).await
    }
    .await;
    page(&site, outcome)
}

/// Incidents per page of the list.
const INCIDENTS_PER_PAGE: usize = 50;

async fn incidents_page(State(site): State<WebState>, uri: Uri, headers: HeaderMap) -> Response {
    let outcome = incidents_answer(&site, &uri, &headers).await;
    page(&site, outcome)
}

async fn incidents_answer(site: &WebState, uri: &Uri, headers: &HeaderMap) -> Result<Response, Failure> {
    let query = page_query(uri)?;
    let zone = query.zone(site)?;
    let snapshot = site.snapshot.load_full();
    let view = View { site: site.clone(), snapshot: Arc::clone(&snapshot), zone: zone.clone() };
    let Some(before) = &query.before else {
        let version = version(site, &snapshot);
        let key = Key { kind: Kind::Incidents, entity: 0, text: None, zone: zone.key() };
        let render = move || {
            let shown: Vec<&IncidentView> = view.snapshot.incidents.iter().map(|one| &**one).collect();
            let next = older_than_shown(&view.snapshot);
            incident::list(&view, &shown, false, view.site.history.is_some().then_some(next))
        };
        return cached(site, key, version, Document::Page, headers, render).await;
    };
    let before: IncidentCursor =
        before.parse().map_err(|_| Failure::BadRequest("“before” is not a time."))?;
    let found = history(site, move |store| store.incidents(before, INCIDENTS_PER_PAGE)).await?;
    let next = found.last().filter(|_| found.len() == INCIDENTS_PER_PAGE).map(IncidentCursor::after);
    let shown: Vec<&IncidentView> = found.iter().collect();
    Ok(fresh(incident::list(&view, &shown, true, next)?, Document::Page))
}

/// Days for which an incident that ended stays in the snapshot.
const SHOWN_DAYS: i64 = 7;
/// From this many on the snapshot leaves out those that ended first.
const SHOWN_MAX: usize = 500;

/// Where the past begins that the first page does not show. What is not shown ended, and so opened,
/// before it; the oldest that is shown would not do, for one that is ongoing may be older than many
/// that are not shown.
fn older_than_shown(snapshot: &Snapshot) -> IncidentCursor {
    let ended: Vec<UtcTime> = snapshot.incidents.iter().filter_map(|one| one.ended_at).collect();
    let horizon = snapshot.at.plus_seconds(-SHOWN_DAYS * 86_400);
    let first = ended.iter().min().filter(|_| ended.len() >= SHOWN_MAX);
    IncidentCursor::before(first.map_or(horizon, |first| horizon.max(*first)))
}

/// Asks the store about the past, away from the threads that answer.
pub(crate) async fn history<T: Send + 'static>(
    site: &WebState,
    ask: impl FnOnce(&dyn brownout_store::port::History) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let store = site.history.clone().ok_or(Failure::NotKept)?;
    apart(site, move || ask(&*store)).await?.map_err(|error| match error {
        StoreError::NotRetained(_) => Failure::NotFound,
        _ => Failure::History,
    })
}

/// The incident with this name, from the snapshot or else from the past.
pub(crate) async fn find_incident(
    site: &WebState,
    snapshot: &Snapshot,
    name: &str,
) -> Result<(Service, Arc<IncidentView>), Failure> {
    let (slug, opened) = IncidentId::parse_name(name).map_err(|_| Failure::NotFound)?;
    let service = snapshot.catalogue.find(slug).ok_or(Failure::NotFound)?;
    let id = IncidentId { service: service.id, opened };
    if let Some(found) = snapshot.incident(id) {
        return Ok((service.clone(), Arc::clone(found)));
    }
    if site.history.is_none() {
        return Err(Failure::NotFound);
    }
    let found = history(site, move |store| {
        let Some(mut incident) = store.incident(id)? else { return Ok(None) };
        if incident.verdicts.is_empty() {
            incident.verdicts = store.verdicts(id)?.into_iter().map(Arc::new).collect();
        }
        Ok(Some(incident))
    })
    .await?;
    Ok((service.clone(), Arc::new(found.ok_or(Failure::NotFound)?)))
}

/// A number for an incident, for the cache.
pub(crate) fn incident_entity(id: IncidentId) -> u64 {
    (u64::from(id.service.0) << 32) | u64::from(id.opened.0)
}

async fn incident_page(
    State(site): State<WebState>,
    Name(name): Name,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let outcome = incident_answer(&site, &name, &uri, &headers).await;
    page(&site, outcome)
}

async fn incident_answer(
    site: &WebState,
    name: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let (name, export) = split_export(name);
    let query = page_query(uri)?;
    let zone = query.zone(site)?;
    let snapshot = site.snapshot.load_full();
    let (service, incident) = find_incident(site, &snapshot, name).await?;
    let frozen = match query.at.as_deref().filter(|_| export.is_none()) {
        None => None,
        Some(at) => {
            let at: UtcTime = at.parse().map_err(|_| Failure::BadRequest("“at” is not a time."))?;
            let verdict = incident::verdict_at(&incident, Some(at));
            Some(verdict.ok_or(Failure::BadRequest("No judgement had been published by then."))?.revision)
        }
    };
    let (kind, document) = match (export, frozen) {
        (Some(kind), _) => kind,
        (None, Some(revision)) => (Kind::IncidentAt(revision), Document::Page),
        (None, None) => (Kind::Incident, Document::Page),
    };
    let version = version_of(site, &snapshot, incident.version);
    let key = Key { kind, entity: incident_entity(incident.id), text: None, zone: zone.key() };
    let view = View { site: site.clone(), snapshot, zone };
    let render = move || match kind {
        Kind::IncidentJson => api::incident_json(&view, &service, &incident),
        Kind::IncidentMarkdown => Ok(incident::markdown(&view, &service, &incident)),
        Kind::IncidentCsv => Ok(incident::csv(&incident)),
        _ => incident::page(&view, &service, &incident, frozen),
    };
    cached(site, key, version, document, headers, render).await
}

/// An incident's name and the export that is asked for behind it.
fn split_export(name: &str) -> (&str, Option<(Kind, Document)>) {
    let exports = [
        (".json", Kind::IncidentJson, Document::Json),
        (".md", Kind::IncidentMarkdown, Document::Markdown),
        (".csv", Kind::IncidentCsv, Document::Csv),
    ];
    for (suffix, kind, document) in exports {
        if let Some(name) = name.strip_suffix(suffix) {
            return (name, Some((kind, document)));
        }
    }
    (name, None)
}

async fn asset(Name(name): Name, headers: HeaderMap) -> Response {
    assets::serve(&name, &headers)
}

/// Crawlers may read everything but the stream and the forms.
async fn robots() -> Response {
    let body = "User-agent: *\nDisallow: /api/\nDisallow: /*/report\n";
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
