//! Answers: headers, revalidation, and failures that say what happened.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::cache::{Encoding, Key, Ready, Version};
use crate::site::WebState;

/// What a page may do: load this site's own style, script and pictures, and nothing else. No text on
/// a page can become script, because no script may stand in a page.
///
/// The `Content-Security-Policy` of every page, for a host that sends one of ours by itself.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What kind of document an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Page,
    Json,
    Markdown,
    Csv,
}

impl Document {
    fn headers(self, headers: &mut HeaderMap) {
        let content_type = match self {
            Document::Page => "text/html; charset=utf-8",
            Document::Json => "application/json",
            Document::Markdown => "text/markdown; charset=utf-8",
            Document::Csv => "text/csv; charset=utf-8",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self {
            Document::Page => {
                headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
                headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
                // A reader always asks again and gets 304; a shared cache may answer for five seconds.
                headers.insert(
                    header::CACHE_CONTROL,
                    HeaderValue::from_static("public, max-age=0, s-maxage=5, must-revalidate"),
                );
            }
            Document::Json | Document::Markdown | Document::Csv => {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=5"));
            }
        }
    }
}

/// A page made by this crate's renderers, as an answer with the same headers as every page.
pub fn html(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    Document::Page.headers(response.headers_mut());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A ready body, or 304 when the reader has it.
pub(crate) fn send(ready: Ready, document: Document, asked: &HeaderMap) -> Response {
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, &ready.etag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(axum::body::Body::from(ready.body))
    };
    let headers = response.headers_mut();
    headers.reserve(10);
    document.headers(headers);
    headers.insert(header::ETAG, ready.etag);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(name) = ready.encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Whether `If-None-Match` names the tag, by the weak comparison of RFC 9110.
fn matches(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

/// The page from the cache, or made by `render` on a thread that may take its time.
pub(crate) async fn cached<R>(
    site: &WebState,
    key: Key,
    version: Version,
    document: Document,
    asked: &HeaderMap,
    render: R,
) -> Result<Response, Failure>
where
    R: FnOnce() -> Result<String, Failure> + Send + 'static,
{
    let encoding = Encoding::accepted(asked.get(header::ACCEPT_ENCODING));
    if let Some(ready) = site.cache.hit(&key, version, encoding) {
        return Ok(send(ready, document, asked));
    }
    let make = || async { apart(site, render).await? };
    let ready = site.cache.get(key, version, encoding, make).await?;
    Ok(send(ready, document, asked))
}

/// Runs what takes long on a thread of its own, a few at a time.
pub(crate) async fn apart<T, W>(site: &WebState, work: W) -> Result<T, Failure>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let _turn = site.workers.acquire().await.map_err(|_| Failure::Internal)?;
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Internal)
}

/// An answer that is not kept.
pub(crate) fn fresh(body: String, document: Document) -> Response {
    let digest = blake3::hash(body.as_bytes()).to_hex();
    let mut response = Response::new(axum::body::Body::from(Bytes::from(body)));
    let headers = response.headers_mut();
    document.headers(headers);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", &digest.as_str()[..16])) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no such page, service, incident or country.
    NotFound,
    /// A part of the request does not say what it should: which one.
    BadRequest(&'static str),
    /// The past cannot be read now.
    History,
    /// The past is not kept here.
    NotKept,
    /// As many readers of the stream as fit.
    Busy,
    /// The address does not take the method.
    WrongMethod,
    /// Our own fault.
    Internal,
}

impl Failure {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Failure::NotFound => StatusCode::NOT_FOUND,
            Failure::BadRequest(_) => StatusCode::BAD_REQUEST,
            Failure::History | Failure::NotKept | Failure::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Failure::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Failure::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable name in problem details. [`Problem::reason`] lists them all.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Failure::NotFound => "not_found",
            Failure::BadRequest(_) => "bad_request",
            Failure::History => "history_unavailable",
            Failure::NotKept => "history_not_kept",
            Failure::Busy => "too_many_readers",
            Failure::WrongMethod => "method_not_allowed",
            Failure::Internal => "internal",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Failure::NotFound => "There is no such page",
            Failure::BadRequest(_) => "This address cannot be read",
            Failure::History | Failure::NotKept => "The past cannot be shown now",
            Failure::Busy => "Too many readers",
            Failure::WrongMethod => "The address does not take this method",
            Failure::Internal => "Something went wrong here",
        }
    }

    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Failure::NotFound => "No service, incident, country or page has this address.",
            Failure::BadRequest(what) => what,
            Failure::History => {
                "The store does not answer. What happens now is still shown; try again later."
            }
            Failure::NotKept => "This observatory keeps no history beyond seven days.",
            Failure::Busy => "The stream has as many readers as it can serve. Try again in half a minute.",
            Failure::WrongMethod => "The header Allow names the methods that are taken here.",
            Failure::Internal => "The fault is ours, not yours. Try again.",
        }
    }

    /// As problem details, for programs.
    pub(crate) fn for_program(self) -> Response {
        let mut response = problem(self.status(), self.reason(), self.title(), self.detail());
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        }
        response
    }
}

/// Problem details of RFC 9457.
#[derive(Debug, Serialize, ToSchema, IntoResponses)]
#[response(
    status = "default",
    description = "Refused or failed; the reason says why",
    content_type = "application/problem+json"
)]
pub(crate) struct Problem<'a> {
    /// `urn:brownout:problem:` and the reason.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What happened here.
    detail: &'a str,
    /// Names the kind of problem; the same for every occurrence: `not_found`, `bad_request`,
    /// `method_not_allowed`, `history_unavailable`, `history_not_kept`, `too_many_readers` or
    /// `internal`.
    reason: &'a str,
}

/// Problem details of RFC 9457 as an answer. `reason` names the kind of problem, such as `not_found`.
pub fn problem(status: StatusCode, reason: &str, title: &str, detail: &str) -> Response {
    let kind = format!("urn:brownout:problem:{reason}");
    let body = Problem { kind, title, status: status.as_u16(), detail, reason };
    let body = serde_json::to_string(&body).unwrap_or_else(|_| "{}".to_owned());
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Lets pages of others read the interface: answers the browser's question before its request.
pub(crate) async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("if-none-match, last-event-id"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}
