//! Report intake: what strangers send, turned into evidence or refused with a counted reason.
//!
//! A request goes one way: client address, limits, body, words, proof of work, keys, sink. After
//! the keys are made the address is gone. The answer is sent when the evidence is durable.

mod agents;
mod batch;
mod body;
mod client;
mod form;
mod idempotency;
mod limits;
mod lines;
mod metrics;
mod openapi;
mod probes;
mod problem;
mod proof;
mod salts;
mod single;
mod sink;
mod times;
mod views;
mod world;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, Response, header};
use axum::routing::{get, post};
use serde_json::json;

use brownout_core::model::{ChannelId, UtcTime};
use brownout_core::report::{Counting, Prefix};

use agents::Agents;
use idempotency::Answers;
use limits::{Gauge, Limits, Pace};
use proof::Proofs;

pub use batch::{
    BATCH_LINES_MAX, ChannelNames, Judged, LINE_BYTES_MAX, SOURCE_BYTES_MAX, TokenCheck, TokenGrant,
    TokenLookup, judge,
};
pub use client::{ForwardedBy, Network, NetworkError, TrustedProxies};
pub use form::{FormPages, FormReport, PlainPages};
pub use idempotency::ANSWERS_MAX;
pub use limits::Rate;
pub use lines::{BatchLine, Line};
pub use metrics::IntakeMetrics;
pub use openapi::openapi;
pub use probes::{ProbeDesk, ProbePlan};
pub use problem::{Problem, Reason};
pub use salts::{FillRandom, SaltBox, Salts, Turned, system_random};
pub use single::{CityField, Receipt, ReportRequest, parse_report};
pub use sink::{Accepted, Comment, Refusal, Sink, Submission, Submitting};
pub use views::PageViewCounter;
pub use world::World;

pub use crate::reference::addresses::AddressFacts;

/// Looks up what an address says.
pub type AddressLookup = Box<dyn Fn(IpAddr) -> AddressFacts + Send + Sync>;

/// When reporters are asked for a proof of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProofMode {
    /// Never.
    Off,
    /// While reports are unusually many, from everywhere or from one network.
    #[default]
    Auto,
    /// Always.
    On,
}

/// Limits and rules that an operator sets.
#[derive(Clone, Debug)]
pub struct IntakeSettings {
    /// Whose word about a client's address is taken.
    pub proxies: TrustedProxies,
    /// Largest body of a single report, in bytes.
    pub report_bytes_max: usize,
    /// Longest time for a single report's body.
    pub body_timeout: Duration,
    /// Largest body of a batch, in bytes, also after decompression.
    pub batch_bytes_max: usize,
    /// Longest time for a batch's body.
    pub batch_timeout: Duration,
    /// Single reports and challenges of one source (/32 or /64); beyond, 429.
    pub source_rate: Rate,
    /// The same for its subnet (/24 or /48).
    pub subnet_rate: Rate,
    /// When a proof of work is asked for.
    pub proof: ProofMode,
    /// Reports per second, over all, from which `Auto` asks everybody.
    pub proof_from_per_second: u64,
    /// Rate of one source from which `Auto` asks it.
    pub proof_source_rate: Rate,
    /// Rate of one subnet from which `Auto` asks it.
    pub proof_subnet_rate: Rate,
    /// Whether a single report may carry a comment.
    pub comments: bool,
    /// Whether single reports are taken: not where the clock is a script's.
    pub is_live: bool,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        IntakeSettings {
            proxies: TrustedProxies::default(),
            report_bytes_max: 16 << 10,
            body_timeout: Duration::from_secs(10),
            batch_bytes_max: 16 << 20,
            batch_timeout: Duration::from_secs(60),
            source_rate: Rate::new(6, 12),
            subnet_rate: Rate::new(120, 240),
            proof: ProofMode::Auto,
            proof_from_per_second: 50,
            proof_source_rate: Rate::new(2, 6),
            proof_subnet_rate: Rate::new(20, 40),
            comments: true,
            is_live: true,
        }
    }
}

/// What the host brings.
pub struct IntakeParts {
    /// Takes what is accepted.
    pub sink: Arc<dyn Sink>,
    /// Services and places that exist.
    pub world: World,
    /// What an address says.
    pub lookup: AddressLookup,
    /// What a token allows.
    pub tokens: TokenLookup,
    /// Names of the tokens' channels.
    pub channel_names: ChannelNames,
    /// The pages around the form.
    pub pages: Box<dyn FormPages>,
    /// The salts.
    pub salts: SaltBox,
    /// Limits and rules.
    pub settings: IntakeSettings,
    /// Counters, registered by the host.
    pub metrics: IntakeMetrics,
    /// Who deals with probes, where they are let in.
    pub probes: Option<ProbeDesk>,
}

/// Takes reports. All its memory is bounded.
pub struct Intake {
    sink: Arc<dyn Sink>,
    world: ArcSwap<World>,
    lookup: AddressLookup,
    tokens: TokenLookup,
    channel_names: ChannelNames,
    /// Channels whose names this run has written to the log; at most one per channel number.
    told: Mutex<BTreeSet<ChannelId>>,
    pages: Box<dyn FormPages>,
    salts: SaltBox,
    settings: IntakeSettings,
    metrics: IntakeMetrics,
    started: Instant,
    limits: Limits,
    calm: Limits,
    gauge: Gauge,
    proofs: Proofs,
    agents: Agents,
    answers: Answers,
    probes: Option<ProbeDesk>,
}

/// Whose request it is. It lives as long as the request and is never stored.
#[derive(Clone, Copy)]
struct Client {
    address: IpAddr,
    /// A hash of the user agent, for telling apart who shares an address.
    agent: u32,
}

impl Client {
    /// To whom an idempotency key belongs.
    fn owner(&self) -> Vec<u8> {
        match Prefix::source(self.address) {
            Prefix::V4(bytes) => bytes.to_vec(),
            Prefix::V6(bytes) => bytes.to_vec(),
        }
    }
}

impl Intake {
    /// Puts intake together. It fails only when the machine has no random bytes.
    pub fn new(parts: IntakeParts) -> io::Result<Self> {
        let settings = parts.settings;
        Ok(Intake {
            sink: parts.sink,
            world: ArcSwap::from_pointee(parts.world),
            lookup: parts.lookup,
            tokens: parts.tokens,
            channel_names: parts.channel_names,
            told: Mutex::default(),
            pages: parts.pages,
            salts: parts.salts,
            metrics: parts.metrics,
            started: Instant::now(),
            limits: Limits::new(settings.source_rate, settings.subnet_rate),
            calm: Limits::new(settings.proof_source_rate, settings.proof_subnet_rate),
            gauge: Gauge::default(),
            proofs: Proofs::new(system_random)?,
            agents: Agents::default(),
            answers: Answers::default(),
            probes: parts.probes,
            settings,
        })
    }

    /// Checks reports against this from now on.
    pub fn set_world(&self, world: World) {
        self.world.store(Arc::new(world));
    }

    /// How often a source counts, by the policy in force.
    pub fn counting(&self) -> Counting {
        self.world.load().counting
    }

    /// The counters.
    pub fn metrics(&self) -> &IntakeMetrics {
        &self.metrics
    }

    /// Turns the salts over and forgets what is due; the host calls it every minute. An error is of
    /// the salts' folder: intake goes on, and the next call tries again.
    pub fn housekeep(&self, now: UtcTime) -> io::Result<()> {
        self.limits.sweep();
        self.calm.sweep();
        self.proofs.sweep(unix_seconds());
        self.answers.sweep(self.uptime_seconds());
        let world = self.world.load();
        // User agents behind one address are told apart for longer than their reports matter.
        let agents_kept_seconds = i64::from(world.counting.repeat_minutes) * 120;
        self.agents.sweep(self.uptime_seconds(), agents_kept_seconds);
        self.salts.set_overlap(world.salt_overlap_minutes);
        let turned = self.salts.turn(now).inspect_err(|_| {
            self.metrics.salt_errors.inc();
        })?;
        if turned.made {
            self.metrics.salt_rotations.inc();
        }
        Ok(())
    }

    fn uptime_seconds(&self) -> i64 {
        self.started.elapsed().as_secs() as i64
    }

    fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Client {
        let peer = client::peer_address(extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let mut hasher = DefaultHasher::new();
        hasher.write(headers.get(header::USER_AGENT).map_or(&[], |agent| agent.as_bytes()));
        Client { address: self.settings.proxies.client(peer, headers), agent: hasher.finish() as u32 }
    }

    /// Refuses a client that asks too often.
    fn slow_down(&self, client: &Client) -> Result<(), Problem> {
        match self.paced(&self.limits, client) {
            Pace::Fine => Ok(()),
            Pace::TooFast(wait) => {
                let problem = Problem::new(Reason::RateLimited, "Please wait; nothing was kept.");
                Err(Problem { retry_after_seconds: Some(wait.as_secs() + 1), ..problem })
            }
        }
    }

    /// Whether everybody is asked for a proof of work now, so that a form can bring its challenge
    /// along.
    pub fn asks_everybody_for_proof(&self) -> bool {
        match self.settings.proof {
            ProofMode::Off => false,
            ProofMode::On => true,
            ProofMode::Auto => self.gauge.rate(self.started.elapsed()) >= self.settings.proof_from_per_second,
        }
    }

    /// Whether this client's report counts less without a proof of work.
    fn is_proof_asked(&self, client: &Client) -> bool {
        // The limiter is asked in any case, or it would not know who was busy before.
        let busy = self.settings.proof == ProofMode::Auto && self.paced(&self.calm, client) != Pace::Fine;
        busy || self.asks_everybody_for_proof()
    }

    fn paced(&self, limits: &Limits, client: &Client) -> Pace {
        let (pace, shared) = limits.check(client.address);
        if shared {
            self.metrics.limiter_overflow.inc();
        }
        pace
    }

    fn challenge(&self, client: &Client) -> Result<Response<Body>, Problem> {
        self.slow_down(client)?;
        let challenge = self.proofs.challenge(unix_seconds())?;
        self.metrics.challenges.inc();
        let body = json!({
            "asked": self.is_proof_asked(client),
            "parameters": challenge.parameters,
            "signature": challenge.signature,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// The answer, or the refusal counted and written out.
    fn finish(&self, result: Result<Response<Body>, Problem>) -> Response<Body> {
        result.unwrap_or_else(|problem| {
            self.metrics.refuse(problem.reason);
            problem.into_response()
        })
    }
}

/// Seconds since the epoch by the machine's clock, for what expires on the outside.
fn unix_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs() as i64)
}

/// The routes of intake.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/api/v1/reports", post(report_json))
        .route("/api/v1/reports/batch", post(report_batch))
        .route("/api/v1/reports/challenge", get(challenge))
        .route("/s/{slug}/report", post(report_form))
        .merge(probes::router())
        .method_not_allowed_fallback(wrong_method)
        .with_state(intake)
}

/// The router adds the header `Allow` with the methods that the address knows.
async fn wrong_method(State(intake): State<Arc<Intake>>, method: Method) -> Response<Body> {
    let detail = format!("{method} is not understood here.");
    intake.finish(Err(Problem::new(Reason::MethodNotAllowed, detail)))
}

async fn report_json(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let client = intake.client(&head.extensions, &head.headers);
    let result = single::answer_json(&intake, &client, &head.headers, body).await;
    intake.finish(result)
}

async fn report_form(
    State(intake): State<Arc<Intake>>,
    slug: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    // What is not even text is no service that there is.
    let slug = slug.map_or_else(|_| String::new(), |Path(slug)| slug);
    let (head, body) = request.into_parts();
    let client = intake.client(&head.extensions, &head.headers);
    form::answer_form(&intake, &client, &slug, &head.headers, body).await
}

async fn report_batch(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let result = batch::answer_batch(&intake, &head.headers, body).await;
    intake.finish(result)
}

async fn challenge(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let client = intake.client(request.extensions(), request.headers());
    intake.finish(intake.challenge(&client))
}

#[cfg(test)]
mod tests;
