//! The request and its answer.

use super::super::compare::likeness;
use super::super::measurement::{BaselineFetch, Fetch, Response, Transport};
use super::super::rules::{
    HTTP_ALONE, HTTP_BLOCK_PAGE, HTTP_BROKEN_REDIRECT, HTTP_BROKEN_REDIRECT_EVERYWHERE, HTTP_CHALLENGE,
    HTTP_DIFFERENT, HTTP_ERROR, HTTP_ERROR_EVERYWHERE, HTTP_FAILURE, HTTP_FAILURE_ALONE,
    HTTP_FAILURE_EVERYWHERE, HTTP_REFUSAL, HTTP_RESET, HTTP_SAME_PAGE, HTTP_UNFINISHED, HTTP_VALID_TLS, Rule,
};
use super::super::scene::Hop;
use super::super::{Failure, Finding, Layer, Mechanism};

/// Judges the answer that a person would have seen; `None` where none was asked for, or where it sends on.
pub(in super::super) fn judge(hop: &Hop<'_>) -> Option<Finding> {
    let is_usual = |fetch: &&Fetch| fetch.endpoint.is_none_or(|endpoint| hop.is_usual(endpoint));
    let mut fetches: Vec<&Fetch> = hop.fetches().filter(is_usual).collect();
    // One that came to its end says more than those that did not.
    fetches.sort_by_key(|fetch| fetch.failure.is_some());
    let fetch = *fetches.first()?;
    let (rule, mechanism) = match (fetch.failure, &fetch.response) {
        (Some(failure), response) => of_failure(hop, fetch, failure, response.as_ref())?,
        (None, Some(response)) if response.is_redirect() => return None,
        (None, Some(response)) => of_answer(hop, fetch, response),
        (None, None) => return None,
    };
    Some(Finding { hop: hop.number, layer: Layer::Http, rule, mechanism, failure: fetch.failure })
}

type Found = (&'static Rule, Option<Mechanism>);

/// The control's last answer, if it was asked for one.
fn there<'a>(hop: &Hop<'a>) -> Option<&'a BaselineFetch> {
    hop.scene.control()?.fetch.as_ref()
}

fn of_failure(hop: &Hop<'_>, fetch: &Fetch, failure: Failure, response: Option<&Response>) -> Option<Found> {
    if !failure.tells() {
        return None;
    }
    let theirs = there(hop);
    let works = theirs.map(|theirs| theirs.failure.is_none() && theirs.response.is_some());
    let is_redirect = matches!(failure, Failure::RedirectInvalid | Failure::RedirectsTooMany);
    Some(match works {
        Some(false) if is_redirect => (&HTTP_BROKEN_REDIRECT_EVERYWHERE, Some(Mechanism::SiteRedirect)),
        _ if is_redirect && is_authentic(hop, fetch) => {
            (&HTTP_BROKEN_REDIRECT, Some(Mechanism::SiteRedirect))
        }
        Some(true) if failure == Failure::Timeout && response.is_some() => {
            (&HTTP_UNFINISHED, Some(Mechanism::Throttle))
        }
        Some(true) if failure == Failure::ConnectionReset => (&HTTP_RESET, Some(Mechanism::HttpReset)),
        Some(true) => (&HTTP_FAILURE, Some(mechanism_of(failure))),
        Some(false) => (&HTTP_FAILURE_EVERYWHERE, Some(Mechanism::SiteHttp)),
        None => (&HTTP_FAILURE_ALONE, Some(mechanism_of(failure))),
    })
}

fn mechanism_of(failure: Failure) -> Mechanism {
    match failure {
        Failure::ConnectionReset => Mechanism::HttpReset,
        Failure::Eof => Mechanism::HttpEof,
        Failure::Timeout => Mechanism::HttpTimeout,
        _ => Mechanism::HttpFailure,
    }
}

/// Whether nobody on the way can have written an answer: it came under the certificate of the site, or of
/// where the site itself sent.
fn is_authentic(hop: &Hop<'_>, fetch: &Fetch) -> bool {
    let mut shakes = hop.handshakes(Transport::Tcp).chain(hop.handshakes(Transport::Quic)).filter(|shake| {
        fetch.endpoint.is_none_or(|endpoint| endpoint == shake.endpoint) && shake.failure.is_none()
    });
    fetch.is_tls && hop.is_own_way() && shakes.any(|shake| shake.is_verified)
}

fn of_answer(hop: &Hop<'_>, fetch: &Fetch, response: &Response) -> Found {
    let scene = hop.scene;
    let is_authentic = is_authentic(hop, fetch);
    if !is_authentic && scene.is_block_page(hop.number, response) {
        return (&HTTP_BLOCK_PAGE, Some(Mechanism::HttpBlockPage));
    }
    if is_challenge(response) || scene.measurement.signs.challenges.contains(&hop.number) {
        return (&HTTP_CHALLENGE, Some(Mechanism::HttpChallenge));
    }
    let theirs = there(hop).and_then(|theirs| theirs.response.as_ref().filter(|_| theirs.failure.is_none()));
    if is_authentic {
        return of_own_answer(response, theirs);
    }
    let Some(theirs) = theirs else { return (&HTTP_ALONE, None) };
    let likeness = likeness(response, theirs);
    if likeness.is_same() {
        return if response.status >= 500 {
            (&HTTP_ERROR_EVERYWHERE, Some(Mechanism::SiteHttp))
        } else {
            (&HTTP_SAME_PAGE, None)
        };
    }
    if is_refusal(response.status) && likeness.is_same_server() {
        return (&HTTP_REFUSAL, Some(Mechanism::HttpRefusal));
    }
    if response.status >= 500 && likeness.is_same_server() {
        return (&HTTP_ERROR, Some(Mechanism::HttpError));
    }
    (&HTTP_DIFFERENT, Some(Mechanism::HttpDiff))
}

/// The site itself has answered.
fn of_own_answer(response: &Response, theirs: Option<&Response>) -> Found {
    let is_well_there = theirs.map(|theirs| theirs.status < 400);
    let is_error = response.status >= 500;
    match is_well_there {
        Some(true) if is_refusal(response.status) => (&HTTP_REFUSAL, Some(Mechanism::HttpRefusal)),
        Some(true) if is_error => (&HTTP_ERROR, Some(Mechanism::HttpError)),
        Some(false) if is_error && theirs.is_some_and(|theirs| theirs.status >= 500) => {
            (&HTTP_ERROR_EVERYWHERE, Some(Mechanism::SiteHttp))
        }
        None if is_error => (&HTTP_ERROR, Some(Mechanism::HttpError)),
        _ => (&HTTP_VALID_TLS, None),
    }
}

/// Whether a status says that this reader is not served: forbidden, too many requests, or for legal reasons
/// (RFC 9110, RFC 6585, RFC 7725).
fn is_refusal(status: u16) -> bool {
    matches!(status, 401 | 403 | 406 | 429 | 451)
}

/// Whether an answer asks for a proof of being human: those of the large content networks say so in a header
/// field or a title of their own.
pub(in super::super) fn is_challenge(response: &Response) -> bool {
    let title = response.title.as_deref().unwrap_or_default().to_lowercase();
    let body = &response.body[..response.body.len().min(16_384)];
    let has = |sign: &str| body.windows(sign.len()).any(|part| part.eq_ignore_ascii_case(sign.as_bytes()));
    let is_of_network = response.header("cf-ray").is_some()
        || response.header("x-amzn-waf-action").is_some()
        || response.header("x-datadome").is_some();
    let is_refused = matches!(response.status, 202 | 403 | 405 | 429 | 503);
    response.header("cf-mitigated").is_some_and(|value| value.eq_ignore_ascii_case("challenge"))
        || response.header("x-amzn-waf-action").is_some_and(|value| {
            value.eq_ignore_ascii_case("challenge") || value.eq_ignore_ascii_case("captcha")
        })
        || (is_refused
            && is_of_network
            && (title.contains("just a moment") || has("captcha") || has("challenge")))
}
