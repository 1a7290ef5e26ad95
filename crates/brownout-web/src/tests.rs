//! The whole site through its router: what a reader and a program get.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use brownout_core::effect::RollUp;
use brownout_core::model::{Facet, IncidentId, Minute, SeriesKey, ServiceId};
use brownout_core::snapshot::{IncidentView, ScopeView};
use brownout_core::verdict::Verdict;
use brownout_store::port::{Collected, History, IncidentCursor, StoreError};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::fixtures::{HOSTILE, geography, now, site, snapshot};
use crate::{
    FormProblem, Hooks, Mode, SiteOptions, SiteParts, WebState, not_found, render_report_done,
    render_report_form, render_report_refused, router,
};

mod events;
mod past;
mod programs;
mod readers;

fn state(options: SiteOptions) -> WebState {
    site(snapshot(), options, 0)
}

/// A site without a past, whose host says with `updates` when it has published.
fn parts(updates: tokio::sync::watch::Receiver<u64>) -> SiteParts {
    SiteParts {
        snapshot: Arc::new(arc_swap::ArcSwap::from_pointee(snapshot())),
        geography: Arc::new(geography()),
        history: None,
        options: SiteOptions::default(),
        hooks: Hooks::with_clock(now),
        updates,
        more_api: None,
    }
}

fn app(state: WebState) -> Router {
    router(state.clone()).fallback_service(not_found(state))
}

pub(crate) fn plain() -> Router {
    app(state(SiteOptions::default()))
}

async fn ask(app: &Router, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response =
        app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.expect("a body").to_bytes().to_vec())
}

pub(crate) async fn text(app: &Router, path: &str) -> String {
    let (status, _, body) = ask(app, path, &[]).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    String::from_utf8(body).expect("text")
}

pub(crate) const PAGES: &[&str] = &[
    "/",
    "/?q=you",
    "/?q=nothing-like-it",
    "/?tz=Asia/Karachi",
    "/s/x",
    "/s/x?tz=Asia/Karachi",
    "/s/ptcl",
    "/s/spectrum",
    "/s/hostile",
    "/s/github",
    "/s/x/report",
    "/s/x/reported",
    "/s/x/reported?weight=reduced",
    "/s/hostile/report",
    "/i/x-2025-03-10-0947",
    "/i/x-2025-03-10-0947?at=2025-03-10T09:50:00Z",
    "/i/spectrum-2025-03-10-1621",
    "/i/github-2025-03-08-1105",
    "/c/PK",
    "/c/FR",
    "/incidents",
    "/about",
    "/report",
];

/// Every start tag has its end tag, in order; void elements have none.
fn assert_balanced(html: &str, path: &str) {
    const VOID: &[&str] = &["meta", "link", "input", "img", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap_or_else(|| panic!("{path}: a tag does not end"));
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{path}: quotes in <{tag}>");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{path}: </{name}>");
            continue;
        }
        let name = tag.split([' ', '\n', '/']).next().unwrap_or("");
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()), "{path}: <{tag}>");
        if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{path}: left open {open:?}");
}

#[tokio::test]
async fn every_page_is_whole_and_holds_no_script_but_our_own() {
    let app = plain();
    for path in PAGES {
        let html = text(&app, path).await;
        assert_balanced(&html, path);
        assert_eq!(html.matches("<script").count(), 1, "{path}");
        assert!(html.contains(r#"<script src="/assets/live-"#), "{path}");
        for danger in [" style=", " onclick", " onload", " onerror", "javascript:", "\u{202e}<"] {
            assert!(!html.contains(danger), "{path}: {danger}");
        }
        for address in html.split([' ', '"']).filter(|part| part.starts_with("http")) {
            assert!(address.starts_with("https://status.example.org"), "{path}: {address}");
        }
    }
    let html = text(&app, "/s/hostile").await;
    assert!(
        html.contains("&#60;script&#62;") || html.contains("&lt;script&gt;"),
        "the name is shown as text"
    );
}

#[tokio::test]
async fn every_link_leads_somewhere_and_stays_under_the_base_path() {
    let live = state(SiteOptions { base_path: "/live".to_owned(), ..SiteOptions::default() });
    let root = state(SiteOptions::default());
    let app = router(live).merge(router(root.clone())).fallback_service(not_found(root));
    let mut seen: BTreeSet<String> = PAGES.iter().map(|path| format!("/live{path}")).collect();
    let mut todo: Vec<String> = seen.iter().cloned().collect();
    while let Some(path) = todo.pop() {
        let (status, headers, body) = ask(&app, &path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        if !headers["content-type"].to_str().expect("text").starts_with("text/html") {
            continue;
        }
        let html = String::from_utf8(body).expect("text");
        for marker in ["href=\"", "src=\"", "action=\""] {
            for piece in html.split(marker).skip(1) {
                let target =
                    piece.split('"').next().expect("a quote").replace("&#38;", "&").replace("&amp;", "&");
                if target.starts_with("https://") || target.starts_with('#') {
                    continue;
                }
                assert!(target.starts_with("/live/"), "{path} leaves its site: {target}");
                let target = target.split('#').next().expect("a part").to_owned();
                if seen.insert(target.clone()) {
                    todo.push(target);
                }
            }
        }
    }
    assert!(seen.len() > 50, "{}", seen.len());
}

#[tokio::test]
async fn an_incident_that_goes_on_and_its_service_show_one_figure() {
    let mut falling = snapshot();
    let incident = Arc::make_mut(&mut falling.incidents[0]);
    let whole = incident.scopes.first_mut().expect("the service as a whole");
    // Told at the last full minute, when there were more.
    whole.observed = 77_777;
    let of_britain =
        |scope: &&mut ScopeView| matches!(scope.facet, Facet::Country(code) if code.as_str() == "GB");
    let britain = incident.scopes.iter_mut().find(of_britain).expect("the United Kingdom");
    britain.ended_at = Some(now());
    let service = falling.services.iter().find(|one| one.service == falling.incidents[0].id.service);
    let live = crate::zone::thousands(service.expect("its service").observed.into());
    let page = text(&app(site(falling, SiteOptions::default(), 4)), "/").await;
    assert!(!page.contains("77,777"));
    // Where it is over is not named as affected.
    assert!(page.contains("United States, Pakistan"), "{page}");
    assert!(page.matches(&live).count() >= 2, "{live}");
}

#[tokio::test]
async fn pages_forbid_what_they_do_not_need() {
    let (_, headers, _) = ask(&plain(), "/s/x", &[]).await;
    let policy = headers["content-security-policy"].to_str().expect("text");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(!headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_page_is_small_and_unpacks_to_itself() {
    let app = plain();
    let (_, _, identity) = ask(&app, "/s/x", &[]).await;
    let (_, headers, packed) = ask(&app, "/s/x", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(headers["content-encoding"], "br");
    assert_eq!(headers["vary"], "accept-encoding");
    assert!(packed.len() < 30 * 1024, "{} bytes", packed.len());
    let mut unpacked = Vec::new();
    brotli::Decompressor::new(&packed[..], 4096).read_to_end(&mut unpacked).expect("brotli");
    assert_eq!(unpacked, identity);
    let (_, headers, packed) = ask(&app, "/s/x", &[("accept-encoding", "gzip")]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, identity);
    let (_, _, world) = ask(&app, "/", &[("accept-encoding", "br")]).await;
    assert!(world.len() < 30 * 1024, "{} bytes", world.len());
}

#[tokio::test]
async fn a_reader_who_has_the_page_is_not_sent_it_again() {
    let site = state(SiteOptions::default());
    let app = app(site.clone());
    for path in ["/s/x", "/", "/api/v1/status", "/api/v1/openapi.json"] {
        let (_, headers, _) = ask(&app, path, &[]).await;
        let tag = headers["etag"].to_str().expect("text");
        let (status, again, body) = ask(&app, path, &[("if-none-match", &format!("W/\"old\", {tag}"))]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        assert_eq!(again["etag"], headers["etag"]);
        assert_eq!(ask(&app, path, &[("if-none-match", "\"old\"")]).await.0, StatusCode::OK);
    }
    let stats = site.stats().cache;
    assert_eq!((stats.misses, stats.hits), (4, 8));
}

#[tokio::test]
async fn a_new_snapshot_gives_a_new_page_and_an_unchanged_service_does_not() {
    let site = state(SiteOptions::default());
    let app = app(site.clone());
    let tag = |headers: HeaderMap| headers["etag"].clone();
    let before = (tag(ask(&app, "/s/x", &[]).await.1), tag(ask(&app, "/s/signal", &[]).await.1));
    let mut next = snapshot();
    next.serial = 42;
    let mut x = (*next.services[0]).clone();
    x.version = 42;
    x.observed = 7;
    next.services[0] = Arc::new(x);
    site.snapshot.store(Arc::new(next));
    let misses = site.stats().cache.misses;
    let after = (tag(ask(&app, "/s/x", &[]).await.1), tag(ask(&app, "/s/signal", &[]).await.1));
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1);
    assert_eq!(site.stats().cache.misses, misses + 1, "the unchanged page was ready");
}

#[tokio::test]
async fn old_data_are_called_old() {
    let fresh = text(&app(site(snapshot(), SiteOptions::default(), 30)), "/s/x").await;
    assert!(!fresh.contains("min old."));
    let stale = text(&app(site(snapshot(), SiteOptions::default(), 600)), "/s/x").await;
    assert!(stale.contains("These data are 10 min old."));
}

#[tokio::test]
async fn a_replay_says_so_on_every_page() {
    let mode = Mode::Scenario {
        name: "x".to_owned(),
        title: HOSTILE.to_owned(),
        speed: 60.0,
        live_path: Some("/live/".to_owned()),
    };
    let app = app(state(SiteOptions { mode, ..SiteOptions::default() }));
    for path in ["/report", "/s/x/report"] {
        let (status, headers, _) = ask(&app, path, &[]).await;
        assert_eq!(status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(headers[header::LOCATION], format!("/live{path}"));
    }
    assert_eq!(ask(&app, "/s/no-such/report", &[]).await.0, StatusCode::NOT_FOUND);
    for path in ["/", "/s/x", "/about"] {
        let html = text(&app, path).await;
        assert!(html.contains(r#"href="/live/report""#) && !html.contains(r#"href="/report""#), "{path}");
        assert!(html.contains("Replay of recorded and synthetic data"), "{path}");
        assert!(html.contains(r#"<a href="/live/">"#) && html.contains("10 March 2025, 16:42 UTC"), "{path}");
        assert_balanced(&html, path);
    }
}

#[tokio::test]
async fn silence_is_never_shown_as_calm() {
    let html = text(&plain(), "/s/ptcl").await;
    assert!(html.contains("Not enough data") && html.contains("Nothing was collected just now"));
    assert!(html.contains(r#"class="gap""#));
    let mut empty = snapshot();
    empty.last_report_at = None;
    empty.incidents.clear();
    let html = text(&app(site(empty, SiteOptions::default(), 0)), "/").await;
    assert!(html.contains("No reports in 24 h") && html.contains("none has ever come in"));
}

#[tokio::test]
async fn times_follow_the_reader_and_keep_utc() {
    let html = text(&plain(), "/s/x?tz=Asia/Karachi").await;
    assert!(html.contains("14:47 (09:47 UTC)") && html.contains(">Asia/Karachi</text>"));
    assert!(html.contains(r#"href="/c/PK?tz=Asia/Karachi""#));
    assert_eq!(ask(&plain(), "/s/x?tz=Mars/Olympus", &[]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_frozen_judgement_is_the_one_of_then() {
    let app = plain();
    let html = text(&app, "/i/x-2025-03-10-0947?at=2025-03-10T09:50:00Z").await;
    assert!(html.contains("revision 1.") && html.contains("Possible problems"));
    let early = "/i/x-2025-03-10-0947?at=2020-01-01T00:00:00Z";
    assert_eq!(ask(&app, early, &[]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_incident_can_be_taken_along() {
    let app = plain();
    let markdown = text(&app, "/i/x-2025-03-10-0947.md").await;
    assert!(markdown.contains("| Worldwide | detected problems |") && !markdown.contains("<script"));
    let csv = text(&app, "/i/x-2025-03-10-0947.csv").await;
    assert_eq!(csv.lines().count(), 97);
    let json: serde_json::Value =
        serde_json::from_str(&text(&app, "/i/x-2025-03-10-0947.json").await).expect("JSON");
    assert_eq!(json["scopes"][3]["scope"]["code"], "PK");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_readers_way() {
    let app = plain();
    for path in
        ["/s/nope", "/i/x-2025-03-10-0948", "/i/rubbish", "/c/ZZ", "/c/%F0%9F%92%A5", "/nope", "/s/..%2f"]
    {
        let (status, headers, body) = ask(&app, path, &[]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(headers["content-type"].to_str().expect("text").starts_with("text/html"), "{path}");
        assert_balanced(&String::from_utf8(body).expect("text"), path);
    }
    for (path, expected) in [
        ("/api/v1/services/nope", StatusCode::NOT_FOUND),
        ("/api/v1/incidents/nope", StatusCode::NOT_FOUND),
        ("/api/v1/nope", StatusCode::NOT_FOUND),
        ("/api/v1/incidents?state=bad", StatusCode::BAD_REQUEST),
        ("/api/v1/incidents?limit=-1", StatusCode::BAD_REQUEST),
        ("/api/v1/services/x/series?facet=planet:mars", StatusCode::BAD_REQUEST),
        ("/api/v1/services/x/series?from=2020-01-01T00:00:00Z", StatusCode::BAD_REQUEST),
        ("/api/v1/services/x/series", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let (status, headers, body) = ask(&app, path, &[]).await;
        assert_eq!(status, expected, "{path}");
        assert_eq!(headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(headers["access-control-allow-origin"], "*", "{path}");
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(problem["status"], expected.as_u16(), "{path}");
    }
}

#[tokio::test]
async fn the_wire_stays_what_it_was() {
    let app = plain();
    for (name, path) in [
        ("status", "/api/v1/status"),
        ("services", "/api/v1/services"),
        ("service", "/api/v1/services/x"),
        ("incidents", "/api/v1/incidents?state=ended"),
        ("incident", "/api/v1/incidents/x-2025-03-10-0947"),
        ("countries", "/api/v1/countries"),
        ("causes", "/api/v1/causes"),
    ] {
        let mut json: serde_json::Value = serde_json::from_str(&text(&app, path).await).expect("JSON");
        if let Some(bars) = json.pointer_mut("/chart/bars").and_then(|bars| bars.as_array_mut()) {
            bars.truncate(2);
        }
        // Sentences are the core's to change; here it matters where they stand.
        blank(&mut json);
        insta::assert_snapshot!(name, serde_json::to_string_pretty(&json).expect("JSON"));
    }
}

fn blank(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "sentence" => *value = "a sentence".into(),
                    "reasons" => *value = "reasons".into(),
                    _ => blank(value),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

#[test]
fn the_interface_is_described() {
    let document = serde_json::to_value(crate::openapi()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    for path in ["/api/v1/status", "/api/v1/services/{slug}/series", "/api/v1/events"] {
        assert!(paths.contains_key(path), "{path}");
    }
    // Every reference leads to a schema.
    let text = document.to_string();
    for piece in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = piece.split('"').next().expect("a name");
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_peak_of_an_incident_of_places_is_its_largest_places() {
    let site = state(SiteOptions::default());
    let mut changed = snapshot();
    let incident = Arc::make_mut(&mut changed.incidents[0]);
    incident.scopes.retain(|scope| scope.facet != Facet::All);
    let largest = incident.scopes.iter().map(|scope| scope.peak).max().expect("places");
    site.snapshot.store(Arc::new(changed));
    let (_, _, body) = ask(&app(site), "/api/v1/incidents", &[]).await;
    let document: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let incident = &document["incidents"][0];
    assert_eq!(incident["peak"], largest);
    assert!(incident["peak_at"].is_string(), "{incident}");
}

#[tokio::test]
async fn the_operator_is_named_and_only_safe_addresses_are_links() {
    let about = async |contact: &str| {
        let options = SiteOptions { contact: contact.to_owned(), ..SiteOptions::default() };
        let (_, _, body) = ask(&app(state(options)), "/about", &[]).await;
        String::from_utf8(body.to_vec()).expect("text")
    };
    assert!(!about("").await.contains("Who runs this"));
    assert!(about("mailto:a@x.example").await.contains(r#"<a href="mailto:a@x.example">a@x.example</a>"#));
    assert!(about("https://x.example").await.contains(r#"<a href="https://x.example">"#));
    let page = about("javascript:alert(1)<script>").await;
    assert!(!page.contains("href=\"javascript") && !page.contains("1)<script>"), "{page}");
}

#[test]
fn the_form_comes_back_with_what_was_entered_and_runs_nothing_of_it() {
    let site = state(SiteOptions { base_path: "/live".to_owned(), ..SiteOptions::default() });
    let service = snapshot().catalogue.find("hostile").cloned().expect("a service");
    let problem = FormProblem {
        message: HOSTILE.to_owned(),
        field: None,
        kind: Some("login".to_owned()),
        country: Some("PK".to_owned()),
        city: Some(format!("\"{HOSTILE}")),
        comment: Some(format!("</textarea>{HOSTILE}")),
    };
    let html = render_report_form(&site, &service, Some(&problem), Some("/api/v1/challenge"));
    assert_balanced(&html, "form");
    assert_eq!(html.matches("<script").count(), 1);
    assert!(html.contains(r#"value="login" required checked"#) && html.contains(r#"value="PK" selected"#));
    assert!(html.contains(r#"action="/live/s/hostile/report""#));
    assert!(html.contains(r#"data-challenge="/api/v1/challenge""#));
    for html in
        [render_report_done(&site, &service, true), render_report_refused(&site, &service, HOSTILE, Some(90))]
    {
        assert_balanced(&html, "answer");
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains(r#"href="/live/s/hostile""#));
    }
}

#[tokio::test]
async fn an_alias_leads_to_its_service() {
    let app = plain();
    let (status, headers, _) = ask(&app, "/s/Twitter?tz=Asia/Karachi", &[]).await;
    assert_eq!(
        (status, &headers["location"]),
        (StatusCode::FOUND, &"/s/x?tz=Asia/Karachi".parse().expect("text"))
    );
    for path in ["/api/v1/services/twitter", "/api/v1/services/twitter/series"] {
        let (status, _, body) = ask(&app, path, &[]).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(String::from_utf8_lossy(&body).contains("slug is “x”"), "{path}");
    }
    assert_eq!(ask(&app, "/s/x", &[]).await.0, StatusCode::OK);
    assert_eq!(ask(&app, "/s/nothing", &[]).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_country_with_very_few_reports_is_not_called_silent() {
    let app = plain();
    let html = text(&app, "/c/FR").await;
    assert!(html.contains("Fewer than 3 reports in the last hour over all services."), "{html}");
    assert!(text(&app, "/c/PK").await.contains(r#"<b class="big">102</b> reports"#));
    assert!(text(&app, "/").await.contains("fewer than 3 reports in the last hour"));
}

#[tokio::test]
async fn pages_of_others_may_read_the_interface() {
    let app = plain();
    let (_, headers, _) = ask(&app, "/api/v1/services/x", &[]).await;
    assert_eq!(headers["access-control-allow-origin"], "*");
    let request = Request::options("/api/v1/status").body(Body::empty()).expect("a request");
    let response = app.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}
