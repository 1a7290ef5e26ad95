//! The stream of changes: after each snapshot, which services and incidents are new in it.
//!
//! Nothing is queued per reader. Each remembers only the serial it was last told; what changed since
//! is read off the versions in the newest snapshot, so a slow reader skips and never falls behind,
//! and one that comes back with `Last-Event-ID` misses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use brownout_core::model::ServiceId;
use brownout_core::snapshot::Snapshot;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::parse_query;
use crate::marks::class;
use crate::respond::{Failure, Problem};
use crate::site::WebState;

/// Seconds between signs of life while nothing changes.
const HEARTBEAT_SECONDS: u64 = 15;
/// Most services named in one delta; a reader who missed more is told so.
const CHANGES_MAX: usize = 500;
/// Deltas kept ready, so that readers who are equally far share one.
const DELTAS_KEPT: usize = 16;

/// What is new since a serial.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delta {
    /// Serial of the snapshot.
    serial: u64,
    /// The time up to which the observatory has been told.
    at: String,
    /// Services whose view is new.
    services: Vec<ServiceChange>,
    /// Incidents of services whose view is new.
    incidents: Vec<IncidentChange>,
    /// More changed than is named here: ask for everything.
    partial: bool,
}

/// A service whose view is new.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceChange {
    slug: String,
    /// `insufficient`, `calm`, `possible`, `confirmed` or `ended`.
    state: &'static str,
    /// Distinct sources in the last 15 minutes.
    observed: u32,
}

/// An incident of a service whose view is new.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentChange {
    name: String,
    /// `possible`, `confirmed` or `ended`.
    state: &'static str,
}

impl Delta {
    /// What changed after `since`; without it, only where things stand.
    fn new(snapshot: &Snapshot, since: Option<u64>) -> Self {
        // A serial from the future belongs to an engine before a restart: everything may be new.
        let since = since.map(|since| if since > snapshot.serial { 0 } else { since });
        let new = |version: u64| since.is_some_and(|since| version > since);
        let mut services: Vec<ServiceChange> = snapshot
            .services
            .iter()
            .filter(|view| new(view.version))
            .filter_map(|view| {
                let slug = snapshot.catalogue.get(view.service)?.slug.clone();
                Some(ServiceChange { slug, state: class(view.state), observed: view.observed })
            })
            .take(CHANGES_MAX + 1)
            .collect();
        let partial = services.len() > CHANGES_MAX;
        services.truncate(CHANGES_MAX);
        // An incident's version counts its own changes; that it changed shows in its service.
        let changed: BTreeSet<ServiceId> =
            snapshot.services.iter().filter(|view| new(view.version)).map(|view| view.service).collect();
        let incidents = snapshot
            .incidents
            .iter()
            .filter(|view| changed.contains(&view.id.service))
            .filter_map(|view| {
                let slug = &snapshot.catalogue.get(view.id.service)?.slug;
                Some(IncidentChange { name: view.id.name(slug), state: class(view.state) })
            })
            .take(CHANGES_MAX)
            .collect();
        Delta { serial: snapshot.serial, at: snapshot.at.to_string(), services, incidents, partial }
    }
}

/// Deltas kept ready, by (since, serial).
#[derive(Debug, Default)]
pub(crate) struct EventCache {
    ready: Mutex<BTreeMap<(u64, u64), Arc<str>>>,
    refused: AtomicU64,
}

impl EventCache {
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn delta(&self, snapshot: &Snapshot, since: u64) -> Arc<str> {
        let key = (snapshot.serial, since);
        if let Some(text) = self.ready.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(text);
        }
        let text: Arc<str> = text(&Delta::new(snapshot, Some(since)));
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        while ready.len() >= DELTAS_KEPT {
            ready.pop_first();
        }
        ready.insert(key, Arc::clone(&text));
        text
    }
}

fn text(delta: &Delta) -> Arc<str> {
    serde_json::to_string(delta).unwrap_or_else(|_| "{}".to_owned()).into()
}

/// One reader's place among the readers, given back when the stream ends.
struct Seat(WebState);

impl Seat {
    fn take(site: &WebState) -> Option<Self> {
        let max = site.options.event_readers_max;
        let seats = &site.event_readers;
        let taken =
            seats.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now < max).then_some(now + 1));
        if taken.is_err() {
            site.events.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok().then(|| Seat(site.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.event_readers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Where a new reader begins: a page knows the serial that it was drawn from, and what changed
/// before its stream was open must not be missed.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Begin {
    since: Option<String>,
}

impl Begin {
    fn serial(&self) -> Result<Option<u64>, Failure> {
        let serial = self.since.as_deref().map(|text| text.trim().parse()).transpose();
        serial.map_err(|_| Failure::BadRequest("“since” is the serial of a snapshot, a number."))
    }
}

/// Changes as server-sent events: `delta` after each snapshot, with its serial as the event's id. Where
/// as many read as fit, one more is refused and may come back after `Retry-After`.
#[utoipa::path(get, path = "/api/v1/events", tag = "status",
    params(("Last-Event-ID" = Option<u64>, Header, description = "Serial of the last delta that was read"),
           ("since" = Option<u64>, Query, description = "Serial of what the reader has; the header wins")),
    responses((status = 200, body = Delta, content_type = "text/event-stream"),
              Problem))]
pub(crate) async fn stream(State(site): State<WebState>, uri: Uri, headers: HeaderMap) -> Response {
    let since = match parse_query::<Begin>(&uri).and_then(|begin| begin.serial()) {
        Ok(since) => since,
        Err(failure) => return failure.for_program(),
    };
    let Some(seat) = Seat::take(&site) else { return Failure::Busy.for_program() };
    let since = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse::<u64>().ok())
        .or(since);
    let mut updates = site.updates.clone();
    updates.mark_unchanged();
    let ending = site.ending.subscribe();
    let start = Reader { seat, updates, ending, since, greeted: false };
    let events = stream::unfold(start, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(HEARTBEAT_SECONDS)).text("alive");
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Some reverse proxies hold back a stream unless told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// One reader: the serial it was told last.
struct Reader {
    seat: Seat,
    updates: tokio::sync::watch::Receiver<u64>,
    ending: tokio::sync::watch::Receiver<bool>,
    since: Option<u64>,
    greeted: bool,
}

impl Reader {
    /// The next delta; `None` when the host has closed the site or the program stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.greeted {
                tokio::select! {
                    changed = self.updates.changed() => changed.ok()?,
                    _ = self.ending.wait_for(|ending| *ending) => return None,
                }
            }
            let first = !std::mem::replace(&mut self.greeted, true);
            let site = &self.seat.0;
            let snapshot = site.snapshot.load();
            let data = match self.since {
                None => text(&Delta::new(&snapshot, None)),
                Some(since) if since == snapshot.serial && !first => continue,
                Some(since) => site.events.delta(&snapshot, since),
            };
            self.since = Some(snapshot.serial);
            return Some(Event::default().event("delta").id(snapshot.serial.to_string()).data(&*data));
        }
    }
}
