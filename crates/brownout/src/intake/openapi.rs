//! The description of these routes for programs.

use utoipa::OpenApi;

use super::lines::BatchLine;
use super::single::ReportRequest;

/// Describes the routes of intake.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

#[derive(OpenApi)]
#[openapi(
    paths(report, batch, challenge),
    components(schemas(ReportRequest, BatchLine, ReportAnswer, BatchAnswer, RefusedLine, ProblemDocument)),
    modifiers(&BearerToken)
)]
struct Description;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The answer to a report.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described, never made")]
struct ReportAnswer {
    /// Position in the evidence log.
    id: u64,
    /// When it was taken, RFC 3339.
    received_at: String,
    /// Slug of the service.
    service: String,
    /// Country in which it is counted.
    country: Option<String>,
    /// Region in which it is counted.
    region: Option<String>,
    /// City in which it is counted, by GeoNames number.
    city: Option<u32>,
    /// How much it weighs, if its source counts.
    weight_percent: u8,
    /// In words: its weight, and that a source counts again only after `repeat_minutes` of the policy
    /// (60 by default) without a report from it.
    counted_note: String,
}

/// The answer to a batch.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described, never made")]
struct BatchAnswer {
    /// Lines that are kept.
    accepted: u64,
    /// Lines that are not.
    refused_total: u64,
    /// The first hundred of these.
    refused: Vec<RefusedLine>,
    /// Position of the first accepted line; the others follow without a gap.
    first_seq: Option<u64>,
    /// When the batch was taken, RFC 3339.
    received_at: Option<String>,
}

/// A line that is not kept.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described, never made")]
struct RefusedLine {
    /// Number of the line, from 1.
    line: u64,
    /// Stable name of the reason.
    reason: String,
    /// In a sentence.
    detail: String,
    /// Where in the line the error is.
    column: Option<u64>,
}

/// A refusal, after RFC 9457.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "only described, never made")]
struct ProblemDocument {
    /// `urn:brownout:problem:` and the reason.
    r#type: String,
    /// A short summary.
    title: String,
    /// HTTP status.
    status: u16,
    /// This occurrence, in a sentence.
    detail: String,
    /// Stable name of the reason.
    reason: String,
    /// What was probably meant.
    did_you_mean: Option<String>,
    /// Line of the error in the body.
    line: Option<u64>,
    /// Column of the error in the body.
    column: Option<u64>,
    /// When it is worth trying again.
    retry_after_seconds: Option<u64>,
}

/// Report that a service fails. The answer comes when the report is durable. The body is not packed:
/// any Content-Encoding but `identity` is refused with 415 and `Accept-Encoding`.
#[utoipa::path(
    post,
    path = "/api/v1/reports",
    request_body = ReportRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "Same key and body within 24 hours: same answer, taken once")),
    responses(
        (status = 201, description = "Taken and durable", body = ReportAnswer),
        (status = "4XX", description = "Refused; the reason says why", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not kept; try again after Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[allow(dead_code, reason = "only described")]
fn report() {}

/// Send many reports of a partner, one JSON object a line (at most 50,000 lines of 4 KiB). The batch
/// is kept whole or not at all; lines that are refused are named in the answer.
#[utoipa::path(
    post,
    path = "/api/v1/reports/batch",
    request_body(content = BatchLine, content_type = "application/x-ndjson"),
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "As for a single report"),
        ("Brownout-Clock" = Option<String>, Header, description = "RFC 3339; only for tokens with a virtual clock; at most 400 days on at once"),
    ),
    security(("token" = [])),
    responses(
        (status = 200, description = "Accepted lines are durable", body = BatchAnswer),
        (status = "4XX", description = "Refused as a whole", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not kept; try again after Retry-After", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[allow(dead_code, reason = "only described")]
fn batch() {}

/// A challenge of an ALTCHA proof of work, valid for ten minutes, and whether one is asked for.
#[utoipa::path(
    get,
    path = "/api/v1/reports/challenge",
    responses(
        (status = 200, description = "An ALTCHA challenge with the field `asked`"),
        (status = "4XX", description = "Refused; the reason says why", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
#[allow(dead_code, reason = "only described")]
fn challenge() {}
