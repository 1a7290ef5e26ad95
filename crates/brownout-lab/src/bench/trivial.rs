//! What everything is compared with: the same framework with a handler that does nothing.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::client::Got;

/// A server with as many threads as the program has; it ends when it is dropped.
pub(super) struct Trivial {
    _runtime: Runtime,
    pub(super) address: SocketAddr,
}

impl Trivial {
    /// Answers 200 to a POST on `/`, and to a GET on `/` the same bytes and headers as `page`.
    pub(super) fn start(page: Option<&Got>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let body = Bytes::from(page.map(|page| page.body.clone()).unwrap_or_default());
        let headers: Vec<(HeaderName, HeaderValue)> = page
            .map_or(&[][..], |page| &page.headers)
            .iter()
            // The server itself writes these two.
            .filter(|(name, _)| !["content-length", "date", "connection"].contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
            .collect();
        let answer = move || {
            let (body, headers) = (body.clone(), headers.clone());
            async move {
                let mut response = Response::new(Body::from(body));
                response.headers_mut().extend(headers);
                response
            }
        };
        let router = Router::new().route("/", post(|| async { "ok" })).route("/page", get(answer));
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Trivial { _runtime: runtime, address })
    }
}
