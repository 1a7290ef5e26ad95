//! What an address says, read so that whoever is misread is answered in the way that they read.

use axum::extract::{FromRequestParts, Path};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::response::Response;

use crate::respond::Failure;
use crate::router::failed;
use crate::site::WebState;

/// The one name that stands in an address: a slug, an incident, a country, a file.
pub(crate) struct Name(pub(crate) String);

impl FromRequestParts<WebState> for Name {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &WebState) -> Result<Self, Response> {
        let name = Path::<String>::from_request_parts(parts, site).await;
        name.map(|Path(name)| Name(name)).map_err(|_| {
            refuse(site, &parts.uri, Failure::BadRequest("The path is not percent-encoded UTF-8."))
        })
    }
}

/// Problem details under `/api/`, else a page.
pub(crate) fn refuse(site: &WebState, uri: &Uri, failure: Failure) -> Response {
    if uri.path().contains("/api/") { failure.for_program() } else { failed(site, failure) }
}
