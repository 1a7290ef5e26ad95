//! Probes: they enrol with a token that is good once, get a signed schedule and bring signed measurements.
//!
//! A request goes one way: body, probe, signature, sequence, targets, place, sink. Where a probe is, the operator
//! says or its address does; what it says of itself is not believed. After that the address is gone.

mod enrol;
mod schedule;
mod submit;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use axum::routing::post;
use brownout_core::model::{Service, UtcTime};
use brownout_probe::wire::{PROBE_HEADER, SIGNATURE_HEADER, from_hex};
use brownout_probe::{Identity, Purpose, is_signed};
use brownout_store::embedded::{Admin, Probe};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::{Problem, Reason, inert_json};
use super::{Client, Intake};

/// Largest request but for measurements, in bytes.
const REQUEST_BYTES_MAX: usize = 4 << 10;
/// Largest batch of measurements, in bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// How far a probe's clock may be from ours when it asks for its schedule, in seconds.
const CLOCK_SECONDS_MAX: i64 = 600;
/// Batches that are dealt with side by side; those of one probe one after the other.
const TURNS: usize = 64;

/// What an operator says of probes.
#[derive(Clone, Debug, Default)]
pub struct ProbePlan {
    /// Slugs of the services that are measured; empty is all.
    pub services: Vec<String>,
    /// Seconds between two measurements of a target.
    pub every_seconds: u32,
    /// Where the control is asked.
    pub control_url: Option<String>,
    /// The file with the control's token, read at each question so that it can be changed.
    pub control_token_file: Option<PathBuf>,
    /// A name that exists and is blocked nowhere.
    pub innocent_name: String,
    /// Other resolvers on port 53.
    pub other_resolvers: Vec<String>,
    /// Others over HTTPS.
    pub https_resolvers: Vec<String>,
    /// Most measurements of one probe in an hour.
    pub measurements_per_hour_max: u32,
}

/// Deals with probes.
pub struct ProbeDesk {
    admin: Arc<Admin>,
    identity: Identity,
    plan: ProbePlan,
    turns: Vec<tokio::sync::Mutex<()>>,
    /// The hour that is counted, and how many measurements of each probe came in it.
    counted: Mutex<(i64, BTreeMap<u32, u32>)>,
}

impl ProbeDesk {
    /// Puts it together.
    pub fn new(admin: Arc<Admin>, identity: Identity, plan: ProbePlan) -> Self {
        let turns = (0..TURNS).map(|_| tokio::sync::Mutex::new(())).collect();
        ProbeDesk { admin, identity, plan, turns, counted: Mutex::default() }
    }

    /// Whether a service's targets are measured.
    fn is_scheduled(&self, service: &Service) -> bool {
        self.plan.services.is_empty() || self.plan.services.contains(&service.slug)
    }

    /// Counts measurements of a probe; false when it has brought enough in this hour.
    fn count(&self, probe: u32, measurements: u32, now: UtcTime) -> bool {
        let hour = now.millis().div_euclid(3_600_000);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != hour {
            *counted = (hour, BTreeMap::new());
        }
        let count = counted.1.entry(probe).or_default();
        let sum = count.saturating_add(measurements);
        let is_fine = sum <= self.plan.measurements_per_hour_max;
        if is_fine {
            *count = sum;
        }
        is_fine
    }
}

pub(super) fn router() -> Router<Arc<Intake>> {
    Router::new()
        .route("/api/v1/probes/enrol", post(enrol::answer))
        .route("/api/v1/probes/rotate", post(enrol::answer_rotate))
        .route("/api/v1/probes/schedule", post(schedule::answer))
        .route("/api/v1/probes/measurements", post(submit::answer))
}

/// A request's parts once its body is read.
struct Asked {
    client: Client,
    headers: HeaderMap,
    body: Bytes,
}

impl Intake {
    /// Deals with a request of a probe.
    async fn probe_request<F>(
        self: &Arc<Self>,
        request: Request,
        bytes_max: usize,
        deal: impl FnOnce(Arc<Self>, Asked) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Result<Response<Body>, Problem>>,
    {
        let (head, body) = request.into_parts();
        let client = self.client(&head.extensions, &head.headers);
        let dealt = async {
            super::body::require_type(&head.headers, &["application/json"])?;
            let patience = Duration::from_secs(60);
            let body = super::body::read(&head.headers, body, bytes_max, patience).await?;
            deal(Arc::clone(self), Asked { client, headers: head.headers, body }).await
        };
        let dealt = dealt.await.map_err(|problem| self.slow_stranger(&client, problem));
        self.finish(dealt)
    }

    /// Who shows no valid token or signature may not try for ever.
    fn slow_stranger(&self, client: &Client, problem: Problem) -> Problem {
        let is_strange = matches!(
            problem.reason,
            Reason::TokenInvalid | Reason::TokenUsed | Reason::ProbeUnknown | Reason::BadSignature
        );
        match is_strange.then(|| self.slow_down(client)) {
            Some(Err(slower)) => slower,
            _ => problem,
        }
    }

    fn desk(&self) -> Result<&ProbeDesk, Problem> {
        let off =
            || Problem::new(Reason::ProbesOff, "The operator can let them in: [probes] enabled = true.");
        self.probes.as_ref().ok_or_else(off)
    }

    /// The probe that signed a request, once its signature is found valid.
    async fn signer(&self, asked: &Asked, purpose: Purpose) -> Result<(Probe, [u8; 32]), Problem> {
        let desk = self.desk()?;
        let id = asked.headers.get(PROBE_HEADER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let unknown = || Problem::new(Reason::ProbeUnknown, "Enrol first: brownout probe enrol.");
        let id = id.ok_or_else(unknown)?;
        let probe = on_disk(&desk.admin, move |admin| admin.probe(id)).await?.ok_or_else(unknown)?;
        let key = probe.key.ok_or_else(unknown)?;
        if !is_signed(&key, purpose, &asked.body, &signature_in(&asked.headers)) {
            let detail = "The body, the purpose or the key is another than was signed.";
            return Err(Problem::new(Reason::BadSignature, detail));
        }
        if probe.revoked.is_some() {
            return Err(Problem::new(Reason::ProbeRevoked, "The operator has taken this probe back."));
        }
        Ok((probe, key))
    }
}

/// The signature that a request carries; what is none is empty.
fn signature_in(headers: &HeaderMap) -> Vec<u8> {
    let text = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    text.and_then(from_hex).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let reason = if error.is_data() { Reason::InvalidField } else { Reason::MalformedJson };
        Problem { position: Some((error.line(), error.column())), ..Problem::new(reason, error.to_string()) }
    })
}

/// Asks the administrative database without holding up other requests.
async fn on_disk<T: Send + 'static>(
    admin: &Arc<Admin>,
    ask: impl FnOnce(&Admin) -> Result<T, brownout_store::port::StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let admin = Arc::clone(admin);
    match tokio::task::spawn_blocking(move || ask(&admin)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(%error, "probes cannot be looked up");
            Err(Problem::new(Reason::Internal, "Nothing was kept; please try again later."))
        }
        Err(_) => Err(Problem::new(Reason::Internal, "Nothing was kept; please try again later.")),
    }
}

fn told(value: &impl Serialize) -> Response<Body> {
    told_text(inert_json(value))
}

fn told_text(json: String) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

type Asking = State<Arc<Intake>>;
