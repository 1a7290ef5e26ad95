//! Refusals, as `application/problem+json` (RFC 9457) with a stable reason.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use brownout_core::report::RejectReason;

use super::sink::Refusal;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident, $slug:literal, $status:literal, $title:literal;)*) => {
        /// Why a request or a line was refused. The name is stable and is what counters carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name),* }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];
            /// The name used in interfaces and counters.
            pub const fn slug(self) -> &'static str { match self { $(Reason::$name => $slug),* } }
            /// The HTTP status.
            pub const fn status(self) -> u16 { match self { $(Reason::$name => $status),* } }
            /// A short summary, the same for every occurrence.
            pub const fn title(self) -> &'static str { match self { $(Reason::$name => $title),* } }
        }
    };
}

reasons! {
    /// The body is not JSON.
    MalformedJson, "malformed_json", 400, "The body is not JSON";
    /// The body is JSON, but a field is missing, unknown or of the wrong type.
    InvalidField, "invalid_field", 422, "A field is missing, unknown or of the wrong type";
    /// The body is not a form.
    MalformedForm, "malformed_form", 400, "The body is not a form";
    /// A line of a batch is longer than allowed.
    LineTooLong, "line_too_long", 422, "The line is too long";
    /// The time is not RFC 3339.
    BadTime, "bad_time", 422, "The time is not RFC 3339";
    /// A weight above 100.
    BadWeight, "bad_weight", 422, "The weight is not 0 to 100";
    /// A source name that is empty or too long.
    BadSource, "bad_source", 422, "The source is empty or too long";
    /// The catalogue has no such service.
    UnknownService, "unknown_service", 422, "No such service in the catalogue";
    /// The form came without a choice of what is wrong.
    KindMissing, "kind_missing", 422, "What is wrong was not chosen";
    /// No such kind of problem.
    UnknownKind, "unknown_kind", 422, "No such kind of problem";
    /// The place does not exist or contradicts itself.
    BadPlace, "bad_place", 422, "The place does not exist or contradicts itself";
    /// The comment is too long.
    CommentTooLong, "comment_too_long", 422, "The comment is too long";
    /// The operator takes no comments.
    CommentsOff, "comments_off", 422, "No comments are taken here";
    /// Single reports to a replay, whose time is not now.
    NotLive, "not_live", 409, "This is a replay; it takes no reports";
    /// The time is too far ahead.
    InTheFuture, "in_the_future", 422, "The time is too far in the future";
    /// The body is larger than allowed.
    BodyTooLarge, "body_too_large", 413, "The body is too large";
    /// More lines than allowed.
    TooManyLines, "too_many_lines", 413, "The batch has too many lines";
    /// The body did not arrive in time.
    BodyTimeout, "body_timeout", 408, "The body did not arrive in time";
    /// The body could not be read, or its compression is broken.
    BodyUnreadable, "body_unreadable", 400, "The body could not be read";
    /// Not a media type or encoding that is understood here.
    UnsupportedMediaType, "unsupported_media_type", 415, "Unsupported media type or encoding";
    /// A method that the address does not know.
    MethodNotAllowed, "method_not_allowed", 405, "The address does not take this method";
    /// Posted by a page of another site.
    CrossSite, "cross_site", 403, "Posted from another site";
    /// Too many requests from one network.
    RateLimited, "rate_limited", 429, "Too many requests from your network";
    /// The proof of work does not check.
    ProofInvalid, "proof_invalid", 422, "The proof of work is not valid";
    /// The proof of work was used before.
    ProofReplayed, "proof_replayed", 422, "The proof of work was used before";
    /// The challenge is too old.
    ProofExpired, "proof_expired", 422, "The proof of work has expired";
    /// An idempotency key that is empty, too long or not printable.
    BadIdempotencyKey, "bad_idempotency_key", 400, "The idempotency key is not valid";
    /// An idempotency key that came before with another body.
    IdempotencyMismatch, "idempotency_mismatch", 422, "The idempotency key was used with another body";
    /// No token.
    TokenMissing, "token_missing", 401, "A token is needed";
    /// A token that nobody gave out.
    TokenInvalid, "token_invalid", 401, "The token is not valid";
    /// A token that was taken back.
    TokenRevoked, "token_revoked", 403, "The token was revoked";
    /// A token that is good once and was used.
    TokenUsed, "token_used", 403, "The token was used before";
    /// Probes are not let in here.
    ProbesOff, "probes_off", 404, "No probes are let in here";
    /// No probe has this number.
    ProbeUnknown, "probe_unknown", 401, "No such probe";
    /// A probe that was taken back.
    ProbeRevoked, "probe_revoked", 403, "The probe was revoked";
    /// A signature that is not of the key, or over something else.
    BadSignature, "bad_signature", 401, "The signature is not valid";
    /// A key that is none, or another probe's.
    BadKey, "bad_key", 422, "The key cannot be taken";
    /// A probe's clock that is far from ours.
    ClockWrong, "clock_wrong", 422, "The probe's clock is wrong";
    /// A batch of measurements that came before.
    MeasurementsReplayed, "measurements_replayed", 409, "These measurements came before";
    /// A measurement that is too old.
    MeasurementStale, "measurement_stale", 422, "The measurement is too old";
    /// A measurement of what is on no schedule.
    NotScheduled, "not_scheduled", 422, "The target is not on the schedule";
    /// More measurements than one probe may send.
    TooManyMeasurements, "too_many_measurements", 429, "Too many measurements from one probe";
    /// It is not known where a probe is.
    PlaceUnknown, "place_unknown", 422, "It is not known where this probe is";
    /// A clock was sent where none may be.
    ClockNotAllowed, "clock_not_allowed", 403, "This token may not set the clock";
    /// The virtual clock only moves on.
    ClockBackwards, "clock_backwards", 409, "The virtual clock only moves forward";
    /// The virtual clock only moves on by so much at once.
    ClockTooFar, "clock_too_far", 422, "The virtual clock may not move that far at once";
    /// The queue is full.
    Overloaded, "overloaded", 503, "Too busy, try again soon";
    /// No room is left.
    StorageFull, "storage_full", 503, "No room is left to keep reports";
    /// Storage is read-only.
    StorageReadOnly, "storage_read_only", 503, "Reports cannot be kept at present";
    /// Storage fails in another way.
    StorageFailed, "storage_failed", 503, "Reports cannot be kept at present";
    /// The program is stopping.
    ShuttingDown, "shutting_down", 503, "Restarting, try again soon";
    /// Something of ours failed.
    Internal, "internal", 500, "Something failed here";
}

impl From<RejectReason> for Reason {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::UnknownService => Reason::UnknownService,
            RejectReason::UnknownKind => Reason::UnknownKind,
            RejectReason::UnknownCountry
            | RejectReason::UnknownRegion
            | RejectReason::UnknownCity
            | RejectReason::PlaceContradicts => Reason::BadPlace,
            RejectReason::CommentTooLong => Reason::CommentTooLong,
            RejectReason::InTheFuture => Reason::InTheFuture,
        }
    }
}

/// One refusal, with what helps the client to do better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// This occurrence, in a sentence. It may repeat what the client sent.
    pub detail: String,
    /// Seconds after which it is worth trying again.
    pub retry_after_seconds: Option<u64>,
    /// What the client probably meant.
    pub suggestion: Option<String>,
    /// Line and column of the error in the body, from 1.
    pub position: Option<(usize, usize)>,
    /// The encodings that are taken, where the body came in another (RFC 9110, section 15.5.16).
    pub accepts_encoding: Option<&'static str>,
}

impl Problem {
    /// A refusal with its detail.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Problem {
            reason,
            detail: detail.into(),
            retry_after_seconds: None,
            suggestion: None,
            position: None,
            accepts_encoding: None,
        }
    }

    /// The problem document.
    pub fn to_json(&self) -> Value {
        let mut document = Map::new();
        let reason = self.reason;
        document.insert("type".into(), json!(format!("urn:brownout:problem:{}", reason.slug())));
        document.insert("title".into(), json!(reason.title()));
        document.insert("status".into(), json!(reason.status()));
        document.insert("detail".into(), json!(self.detail));
        document.insert("reason".into(), json!(reason.slug()));
        if let Some(suggestion) = &self.suggestion {
            document.insert("did_you_mean".into(), json!(suggestion));
        }
        if let Some((line, column)) = self.position {
            document.insert("line".into(), json!(line));
            document.insert("column".into(), json!(column));
        }
        if let Some(seconds) = self.retry_after_seconds {
            document.insert("retry_after_seconds".into(), json!(seconds));
        }
        Value::Object(document)
    }

    /// The HTTP answer.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(inert_json(&self.to_json())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(encodings) = self.accepts_encoding {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings));
        }
        if matches!(self.reason, Reason::TokenMissing | Reason::TokenInvalid) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<RejectReason> for Problem {
    fn from(reason: RejectReason) -> Self {
        Problem::new(reason.into(), reason.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (reason, detail, retry_after) = match refusal {
            Refusal::Overloaded { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                (Reason::Overloaded, "Nothing was kept; please send it again.", Some(seconds))
            }
            Refusal::StorageFull => (Reason::StorageFull, "Nothing was kept.", Some(60)),
            Refusal::StorageFailed => (Reason::StorageFailed, "Nothing was kept.", Some(60)),
            Refusal::ReadOnly => (Reason::StorageReadOnly, "Nothing was kept.", Some(60)),
            Refusal::ShuttingDown => {
                (Reason::ShuttingDown, "Nothing was kept; please send it again.", Some(5))
            }
            Refusal::ClockBackwards => (Reason::ClockBackwards, "The clock is already past that time.", None),
            Refusal::ClockTooFar => (
                Reason::ClockTooFar,
                "The clock is more than 400 days behind that time; move it on in shorter steps.",
                None,
            ),
        };
        Problem { retry_after_seconds: retry_after, ..Problem::new(reason, detail) }
    }
}

/// JSON in which no character can start markup, should a browser ever take it for a page.
pub(super) fn inert_json(value: &impl Serialize) -> String {
    // What is answered here has names for its fields and nothing that could fail to be written.
    let text = serde_json::to_string(value).unwrap_or_default();
    if memchr::memchr3(b'<', b'>', b'&', text.as_bytes()).is_none() {
        return text;
    }
    // These three stand only inside strings in JSON, so an escape always fits.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
