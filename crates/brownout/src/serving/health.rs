//! `/healthz`, `/readyz` and `/metrics`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use brownout_core::snapshot::Snapshot;
use brownout_store::counters::Counters;
use brownout_web::WebState;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::Observatory;
use crate::config::{self, Config};
use crate::host::HostCounters;
use crate::intake::TrustedProxies;

/// What is asked about an observatory's health.
struct Watched {
    /// Value of the label `site`: the base path without its slash, or `main`.
    name: String,
    site: WebState,
    counters: Arc<HostCounters>,
    storage: Option<Arc<Counters>>,
    degraded: Option<&'static str>,
}

/// Answers for all observatories of the process.
pub struct Health {
    registry: Registry,
    settings: config::Metrics,
    proxies: TrustedProxies,
    watched: Vec<Watched>,
}

impl Health {
    /// Watches these observatories.
    pub fn new(registry: Registry, config: &Config, observatories: &[&Observatory]) -> Self {
        let watched = observatories.iter().map(|observatory| Watched {
            name: match observatory.base_path.trim_start_matches('/') {
                "" => "main".to_owned(),
                name => name.to_owned(),
            },
            site: observatory.site.clone(),
            counters: observatory.instance.counters.clone(),
            storage: observatory.instance.storage.clone(),
            degraded: observatory.instance.degraded.as_ref().map(super::public_reason),
        });
        let proxies = super::settings(config).proxies;
        Health { registry, settings: config.metrics.clone(), proxies, watched: watched.collect() }
    }

    /// The addresses, at the root.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
    }
}

impl Watched {
    /// Why it is not ready; nothing when it is.
    fn problems(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(self.degraded.map(|why| format!("takes nothing in: {why}")));
        if self.counters.storage_failing.load(Ordering::Relaxed) != 0 {
            problems.push("the log cannot be written".to_owned());
        }
        if snapshot.catalogue.is_empty() {
            problems.push("nothing has been shown yet".to_owned());
        }
        problems
    }
}

/// 200 when every observatory takes reports in and shows something, else 503; the reasons either way.
async fn ready(State(health): State<Arc<Health>>) -> Response {
    let mut fine = true;
    let sites: Vec<_> = health
        .watched
        .iter()
        .map(|watched| {
            let snapshot = watched.site.current();
            let problems = watched.problems(&snapshot);
            fine &= problems.is_empty();
            json!({
                "site": watched.name,
                "ready": problems.is_empty(),
                "problems": problems,
                "at": snapshot.at.to_string(),
                "seq": snapshot.seq.0,
            })
        })
        .collect();
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(json!({ "ready": fine, "sites": sites }))).into_response()
}

async fn metrics(
    State(health): State<Arc<Health>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    // Behind a proxy every peer is the proxy, which mostly stands on an allowed network.
    let client = health.proxies.known_client(peer.ip(), &headers);
    let allowed = health.settings.allow.iter().any(|block| block.contains(client));
    if !health.settings.enabled || !allowed {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut text = String::new();
    if encode(&mut text, &health.registry).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    // The text format ends with this mark, and what follows here goes before it.
    text.truncate(text.trim_end().trim_end_matches("# EOF").len());
    for (name, help, kind, samples) in families(&health.watched) {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let suffix = if kind == "counter" { "_total" } else { "" };
        for (site, value) in samples {
            let _ = writeln!(text, "{name}{suffix}{{site=\"{site}\"}} {value}");
        }
    }
    text.push_str("# EOF\n");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

type Family = (String, &'static str, &'static str, Vec<(String, u64)>);

/// Everything that moves inside, one family a name.
fn families(watched: &[Watched]) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut add = |name: &str, help: &'static str, kind: &'static str, site: &str, value: u64| {
        let name = format!("brownout_{name}");
        match families.iter_mut().find(|family| family.0 == name) {
            Some(family) => family.3.push((site.to_owned(), value)),
            None => families.push((name, help, kind, vec![(site.to_owned(), value)])),
        }
    };
    for one in watched {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (site, host, snapshot) = (one.name.as_str(), &one.counters, one.site.current());
        for (name, help, kind, value) in [
            (
                "queued_submissions",
                "Submissions that wait for the log.",
                "gauge",
                get(&host.queued_submissions),
            ),
            ("queued_evidence", "Pieces of evidence that wait.", "gauge", get(&host.queued_evidence)),
            ("refused_overload", "Submissions refused, queue full.", "counter", get(&host.refused_overload)),
            ("refused_storage", "Submissions refused, medium failed.", "counter", get(&host.refused_storage)),
            ("log_groups", "Groups written under one flush.", "counter", get(&host.groups)),
            ("log_failing", "1 while the log cannot be written.", "gauge", get(&host.storage_failing)),
            ("snapshots", "Snapshots drawn.", "counter", get(&host.snapshots)),
            ("tick_microseconds", "Work of the last tick.", "gauge", get(&host.tick_micros)),
            ("snapshot_microseconds", "Drawing of the last snapshot.", "gauge", get(&host.snapshot_micros)),
            ("derived_dropped", "Derived sets left to a rebuild.", "counter", get(&host.derived_dropped)),
            ("history_behind", "1 when history waits for a rebuild.", "gauge", get(&host.history_behind)),
            ("comments_lost", "Comments not kept.", "counter", get(&host.comments_lost)),
            ("clock_set_back", "Machine's clock set back.", "counter", get(&host.clock_set_back)),
            (
                "clock_ahead_milliseconds",
                "Log ahead of the machine's clock.",
                "gauge",
                get(&host.clock_ahead_millis),
            ),
            ("reports", "Reports taken.", "counter", snapshot.totals.reports),
            ("reports_repeated", "Repeats, not counted.", "counter", snapshot.totals.repeats),
            ("reports_late", "Reports too late to count.", "counter", snapshot.totals.late),
            (
                "reports_over_subnet_cap",
                "Beyond one subnet's share.",
                "counter",
                snapshot.totals.over_subnet_cap,
            ),
            (
                "reports_settled_early",
                "Order settled before the lateness bound.",
                "counter",
                snapshot.totals.settled_early,
            ),
            (
                "sources_15_minutes",
                "Distinct sources of 15 minutes.",
                "gauge",
                snapshot.totals.sources_15_minutes,
            ),
            ("series", "Series that exist.", "gauge", snapshot.totals.series),
            ("series_active", "Series with recent counts.", "gauge", snapshot.totals.series_active),
            (
                "snapshot_timestamp_seconds",
                "Time of the snapshot.",
                "gauge",
                snapshot.at.seconds().max(0) as u64,
            ),
        ] {
            add(name, help, kind, site, value);
        }
        for (name, value) in one.storage.iter().flat_map(|storage| storage.all()) {
            add(&format!("store_{name}"), "What storage did.", "counter", site, value);
        }
        let web = one.site.stats();
        for (name, kind, value) in [
            ("web_cache_hits", "counter", web.cache.hits),
            ("web_cache_misses", "counter", web.cache.misses),
            ("web_cache_evicted", "counter", web.cache.evicted),
            ("web_cache_entries", "gauge", web.cache.entries),
            ("web_cache_bytes", "gauge", web.cache.bytes),
            ("web_event_readers", "gauge", web.event_readers),
            ("web_event_readers_refused", "counter", web.event_readers_refused),
        ] {
            add(name, "Pages and readers.", kind, site, value);
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower_service::Service as _;

    use super::*;

    #[tokio::test]
    async fn figures_are_for_the_client_behind_a_proxy_not_for_the_proxy() {
        let config = Config::parse("b", "[proxies]\ntrusted = [\"127.0.0.1/32\"]\n").unwrap();
        let status = async |forwarded: Option<&str>| {
            let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
            if let Some(address) = forwarded {
                request.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
            }
            let mut router = Health::new(Registry::default(), &config, &[]).router();
            router.call(request).await.unwrap().status()
        };
        assert_eq!(status(Some("203.0.113.9")).await, StatusCode::NOT_FOUND);
        assert_eq!(status(Some("127.0.0.2")).await, StatusCode::OK);
        assert_eq!(status(None).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn figures_are_not_for_everybody_behind_a_local_proxy_that_nobody_declared() {
        let status = async |config: &str, header: &'static str, value: &str| {
            let config = Config::parse("b", config).unwrap();
            let mut request = Request::get("/metrics").header(header, value).body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
            let mut router = Health::new(Registry::default(), &config, &[]).router();
            router.call(request).await.unwrap().status()
        };
        for (header, value) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=203.0.113.9"),
        ] {
            assert_eq!(status("", header, value).await, StatusCode::NOT_FOUND, "{header}: {value}");
        }
        let open = "[metrics]\nallow = [\"0.0.0.0/0\"]\n";
        assert_eq!(status(open, "x-forwarded-for", "203.0.113.9").await, StatusCode::OK, "for everybody");
        assert_eq!(status("", "accept", "*/*").await, StatusCode::OK);
    }
}
