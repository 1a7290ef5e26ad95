//! Report intake: what strangers send, turned into evidence or refused with a counted reason.
//!
//! A request goes one way: client address, limits, body, words, proof of work, keys, sink. After
//! the keys are made the address is gone. The answer is sent when the evidence is durable.

mod batch;
mod body;
mod client;
mod lines;
mod metrics;
mod problem;
mod salts;
mod single;
mod sink;
mod times;
mod world;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use axum::routing::post;

use brownout_core::model::{Asn, Place};

pub use batch::{
    BATCH_LINES_MAX, Judged, LINE_BYTES_MAX, SOURCE_BYTES_MAX, TokenCheck, TokenGrant, TokenLookup, judge,
};
pub use client::{ForwardedBy, Network, NetworkError, TrustedProxies};
pub use lines::Line;
pub use metrics::IntakeMetrics;
pub use problem::{Problem, Reason};
pub use salts::{FillRandom, SaltBox, Salts, Turned, system_random};
pub use single::{CityField, Receipt, ReportRequest, parse_report};
pub use sink::{Accepted, Comment, Refusal, Sink, Submission, Submitting};
pub use world::World;

/// What an address says about its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressFacts {
    /// Where, as finely as is known.
    pub place: Place,
    /// In which network.
    pub network: Option<Asn>,
}

/// Looks up what an address says.
pub type AddressLookup = Box<dyn Fn(IpAddr) -> AddressFacts + Send + Sync>;

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
}

impl Default for IntakeSettings {
    fn default() -> Self {
        IntakeSettings {
            proxies: TrustedProxies::default(),
            report_bytes_max: 4 << 10,
            body_timeout: Duration::from_secs(10),
            batch_bytes_max: 16 << 20,
            batch_timeout: Duration::from_secs(60),
        }
    }
}

/// What intake works with.
pub struct Intake {
    sink: Arc<dyn Sink>,
    world: ArcSwap<World>,
    lookup: AddressLookup,
    tokens: TokenLookup,
    salts: SaltBox,
    settings: IntakeSettings,
    metrics: IntakeMetrics,
}

/// Whose request it is. It lives as long as the request and is never stored.
struct Client {
    address: IpAddr,
}

impl Intake {
    /// Puts intake together.
    pub fn new(
        sink: Arc<dyn Sink>,
        world: World,
        lookup: AddressLookup,
        tokens: TokenLookup,
        salts: SaltBox,
        settings: IntakeSettings,
    ) -> Self {
        let world = ArcSwap::from_pointee(world);
        Intake { sink, world, lookup, tokens, salts, settings, metrics: IntakeMetrics::default() }
    }

    /// Checks reports against this from now on.
    pub fn set_world(&self, world: World) {
        self.world.store(Arc::new(world));
    }

    /// The counters.
    pub fn metrics(&self) -> &IntakeMetrics {
        &self.metrics
    }

    fn client(&self, extensions: &axum::http::Extensions, headers: &HeaderMap) -> Client {
        let peer = client::peer_address(extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Client { address: self.settings.proxies.client(peer, headers) }
    }

    /// The answer, or the refusal counted and written out.
    fn finish(&self, result: Result<Response<Body>, Problem>) -> Response<Body> {
        result.unwrap_or_else(|problem| {
            self.metrics.refuse(problem.reason);
            problem.into_response()
        })
    }
}

/// The routes of intake.
pub fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route("/api/v1/reports", post(report_json))
        .route("/api/v1/reports/batch", post(report_batch))
        .with_state(intake)
}

async fn report_json(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let client = intake.client(&head.extensions, &head.headers);
    let result = single::answer_json(&intake, &client, &head.headers, body).await;
    intake.finish(result)
}

async fn report_batch(State(intake): State<Arc<Intake>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let result = batch::answer_batch(&intake, &head.headers, body).await;
    intake.finish(result)
}
