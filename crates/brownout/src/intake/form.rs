//! The plain HTML form: the same report, answered with pages that the host renders.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;

use super::problem::{Problem, Reason};
use super::single::{CityField, Receipt, ReportRequest};
use super::{Client, Intake};

/// What was entered, as it came. It is a stranger's text: pages escape it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FormReport {
    /// Slug of the kind of problem.
    pub kind: String,
    /// ISO 3166-1 alpha-2, or empty.
    pub country: String,
    /// ISO 3166-2, or empty.
    pub region: String,
    /// A city's name or GeoNames number, or empty.
    pub city: String,
    /// Free text, or empty.
    pub comment: String,
    /// Proof of work, or empty: the name that ALTCHA clients give the field.
    pub altcha: String,
}

/// The pages around the form. The host renders them.
pub trait FormPages: Send + Sync + 'static {
    /// The form again, as a whole page, with what was entered and what is wrong with it.
    fn problem(&self, slug: &str, entered: &FormReport, problem: &Problem) -> String;

    /// The address of the page that thanks, where the browser is sent so that a reload does not
    /// report again.
    fn done_location(&self, slug: &str, receipt: &Receipt) -> String;
}

/// Pages that are hardly any, for hosts that have only the interface.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainPages;

impl FormPages for PlainPages {
    fn problem(&self, _slug: &str, _entered: &FormReport, problem: &Problem) -> String {
        format!("<!doctype html><title>{0}</title><p>{0}.", problem.reason.title())
    }

    fn done_location(&self, slug: &str, _receipt: &Receipt) -> String {
        format!("/s/{slug}")
    }
}

/// Empty fields are fields that were not filled in.
fn filled(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

impl FormReport {
    fn request<'a>(&'a self, slug: &'a str) -> ReportRequest<'a> {
        ReportRequest {
            service: Cow::Borrowed(slug),
            kind: Cow::Borrowed(&self.kind),
            country: filled(&self.country),
            region: filled(&self.region),
            city: filled(&self.city).map(|city| match city.parse() {
                Ok(number) => CityField::Number(number),
                Err(_) => CityField::Name(city),
            }),
            comment: filled(&self.comment),
            proof: filled(&self.altcha),
        }
    }
}

/// `POST /s/{slug}/report`. A refusal is counted here, because its page shows what was entered.
pub(super) async fn answer_form(
    intake: &Intake,
    client: &Client,
    slug: &str,
    headers: &HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut entered = FormReport::default();
    match take_form(intake, client, slug, headers, body, &mut entered).await {
        Ok(receipt) => see_other(&intake.pages.done_location(slug, &receipt)),
        Err(problem) => {
            intake.metrics.refuse(problem.reason);
            page(intake.pages.problem(slug, &entered, &problem), &problem)
        }
    }
}

async fn take_form(
    intake: &Intake,
    client: &Client,
    slug: &str,
    headers: &HeaderMap,
    body: Body,
    entered: &mut FormReport,
) -> Result<Receipt, Problem> {
    intake.slow_down(client)?;
    // A page elsewhere could make its visitors report without knowing. Browsers say so; whoever
    // has an older browser or none is not kept out.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(Problem::new(Reason::CrossSite, "Please report on this site itself."));
    }
    super::body::require_plain(headers)?;
    super::body::require_type(headers, &["application/x-www-form-urlencoded"])?;
    let settings = &intake.settings;
    let body = super::body::read(headers, body, settings.report_bytes_max, settings.body_timeout).await?;
    *entered = serde_urlencoded::from_bytes(&body)
        .map_err(|_| Problem::new(Reason::MalformedForm, "The form could not be read."))?;
    if entered.kind.trim().is_empty() {
        return Err(Problem::new(Reason::KindMissing, "Please choose what is wrong, then send it again."));
    }
    intake.take(client, &entered.request(slug), false).await
}

fn see_other(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn page(html: String, problem: &Problem) -> Response<Body> {
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(brownout_web::PAGE_POLICY));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
