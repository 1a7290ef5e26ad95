//! `brownout probe control`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{get, post};
use brownout_probe::{ControlQuestion, Prober};
use clap::Args;
use serde_json::json;

use super::how::{How, prober, token_in};
use crate::cli::serve::runtime;
use crate::cli::{Console, Exit, Failure};
use crate::config::Config;
use crate::listener::ListenerMetrics;
use crate::serving::listen;

/// Largest question, in bytes.
const QUESTION_BYTES_MAX: usize = 16 << 10;
/// Most questions that wait for their turn; one more is told to come again.
const WAITING_MAX: usize = 256;

/// A control.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout probe control --token-file /etc/brownout/control.token\n  \
    brownout probe control --listen 127.0.0.1:8091 --allow-private   (a laboratory)\n\n\
    Run it on a network that nobody filters, behind a proxy that ends TLS. Probes send it what they are\n\
    about to measure (POST /api/v1/control); it measures the same at the same time through the same code\n\
    and answers with what it found. It keeps nothing. It connects to public addresses only, on the\n\
    target's own port, and to so many in a second; without a token it listens on this machine alone.")]
pub struct Control {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8091")]
    pub listen: SocketAddr,
    /// File with the token that probes must show
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How to measure.
    #[command(flatten)]
    pub how: How,
}

/// What answers.
struct Desk {
    prober: Prober,
    token: Option<blake3::Hash>,
    waiting: AtomicUsize,
}

pub(super) fn run(args: &Control, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let token = args.token_file.as_deref().map(token_in).transpose()?;
    if token.is_none() && !args.listen.ip().is_loopback() {
        return Err(Failure::usage(
            "a control that others can reach needs --token-file, or anybody could have it connect anywhere",
        ));
    }
    let settings = args.how.settings()?;
    runtime()?.block_on(async {
        let desk = Desk {
            prober: prober(settings)?,
            token: token.map(|token| blake3::hash(token.as_bytes())),
            waiting: AtomicUsize::new(0),
        };
        let mut config = Config::default().listen;
        config.address = args.listen;
        let listening = listen(&config).await.map_err(Failure::new)?;
        console.say(&format!("the control listens on http://{}/api/v1/control", listening.address));
        let router = Router::new()
            .route("/api/v1/control", post(answer))
            .route("/livez", get(async || "ok\n"))
            .layer(DefaultBodyLimit::max(QUESTION_BYTES_MAX))
            .with_state(Arc::new(desk));
        let served = listening.serve(router, ListenerMetrics::default(), || ()).await;
        served.map(|()| Exit::Ok).map_err(Failure::new)
    })
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response<Body> {
    if !desk.is_allowed(&headers) {
        return told(
            StatusCode::UNAUTHORIZED,
            json!({"error": "a token is needed, and it must be this control's"}),
        );
    }
    let question: ControlQuestion = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => return told(StatusCode::BAD_REQUEST, json!({"error": error.to_string()})),
    };
    let Some(_place) = Waiting::take(&desk) else {
        return told(StatusCode::SERVICE_UNAVAILABLE, json!({"error": "too many wait; try again later"}));
    };
    match desk.prober.baseline(&question).await {
        Ok(found) => told(StatusCode::OK, json!(found)),
        Err(error) => told(StatusCode::UNPROCESSABLE_ENTITY, json!({"error": error.to_string()})),
    }
}

fn told(status: StatusCode, value: serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let json = axum::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

impl Desk {
    /// Compares hashes, whose time tells nothing of the token.
    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(token) = self.token else { return true };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        shown
            .and_then(|text| text.strip_prefix("Bearer "))
            .is_some_and(|shown| blake3::hash(shown.as_bytes()) == token)
    }
}

/// A place among those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn take(desk: &'a Desk) -> Option<Self> {
        let place = Waiting(&desk.waiting);
        // What is taken here is given back when it is dropped.
        (desk.waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
