//! What answers can be exchanged while it serves: a start on a disk without room shows what is there,
//! and goes on to take reports once there is room.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use brownout_web::WebState;
use tower_service::Service;

/// One observatory's addresses and pages.
struct Served {
    router: Router,
    site: WebState,
}

/// Answers with the observatory of the moment. Clones share it.
#[derive(Clone)]
pub struct Exchange(Arc<ArcSwap<Served>>);

impl Exchange {
    /// Begins with this one.
    pub fn new(router: Router, site: WebState) -> Self {
        Exchange(Arc::new(ArcSwap::from_pointee(Served { router, site })))
    }

    /// Answers with another one from the next request on. Streams of the last one end, so that their
    /// readers come again.
    pub fn put(&self, router: Router, site: WebState) {
        let last = self.0.swap(Arc::new(Served { router, site }));
        last.site.end_events();
    }

    /// Ends the streams of the one of the moment.
    pub fn end_events(&self) {
        self.0.load().site.end_events();
    }

    /// All addresses.
    pub fn router(&self) -> Router {
        Router::new().fallback_service(self.clone())
    }
}

impl Service<Request<Body>> for Exchange {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut router = self.0.load().router.clone();
        router.call(request)
    }
}
