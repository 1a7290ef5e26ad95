//! One person's report: from the request's bytes to a durable record and its answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use brownout_core::model::{
    CityId, CountryCode, Evidence, Place, RegionCode, Report, Seq, ServiceId, SourceKeys, UtcTime, Weight,
};
use brownout_core::report::{CityName, Draft, RejectReason, StatedPlace, check, source_keys};

use super::idempotency::{Turn, key_of};
use super::problem::{Problem, Reason, inert_json};
use super::proof::Credit;
use super::sink::{Comment, Submission};
use super::world::World;
use super::{Client, Intake, unix_seconds};

/// A report as the public interface takes it.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest<'a> {
    /// Slug of the service, as in its page's address.
    #[serde(borrow)]
    pub service: Cow<'a, str>,
    /// What is wrong: `unreachable`, `login`, `slow`, `app`, `messages`, `media`, `payments`,
    /// `connection`, `calls`, `other_network` or `other`.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// ISO 3166-1 alpha-2.
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub country: Option<Cow<'a, str>>,
    /// ISO 3166-2, such as `PK-PB`.
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub region: Option<Cow<'a, str>>,
    /// A city, by name or by GeoNames number.
    #[serde(borrow, default)]
    pub city: Option<CityField<'a>>,
    /// At most 500 characters. Kept apart from the report and never shown without moderation.
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub comment: Option<Cow<'a, str>>,
    /// Proof of work: the base64 text that an ALTCHA client makes.
    #[serde(borrow, default, deserialize_with = "borrowed")]
    pub proof: Option<Cow<'a, str>>,
}

/// Reads an optional text where it lies: by itself serde copies what is inside an `Option`.
fn borrowed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Option::<Text<'de>>::deserialize(deserializer)?.map(|Text(text)| text))
}

/// A city by GeoNames number or by name.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum CityField<'a> {
    /// GeoNames number.
    Number(u32),
    /// Name, in any case.
    Name(#[serde(borrow)] Cow<'a, str>),
}

impl ReportRequest<'_> {
    fn draft(&self) -> Draft<'_> {
        let city = self.city.as_ref().map(|city| match city {
            CityField::Number(number) => CityName::Number(*number),
            CityField::Name(name) => CityName::Name(name),
        });
        Draft {
            service: &self.service,
            kind: &self.kind,
            place: StatedPlace { country: self.country.as_deref(), region: self.region.as_deref(), city },
            comment: self.comment.as_deref(),
        }
    }
}

/// What the reporter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The record's position in the log.
    pub seq: Seq,
    /// When the log took it.
    pub received_at: UtcTime,
    /// How much it counts.
    pub weight: Weight,
    /// Where it is counted.
    pub place: Place,
}

/// A report that may be taken.
struct Checked {
    report: Report,
    comment: Option<Comment>,
    /// The proof that was used up for it.
    spent: Option<[u8; 16]>,
}

/// A receipt as the public interface gives it.
#[derive(Serialize)]
struct ReceiptJson<'a> {
    id: u64,
    #[serde(serialize_with = "as_text")]
    received_at: UtcTime,
    service: &'a str,
    country: Option<CountryCode>,
    region: Option<RegionCode>,
    city: Option<CityId>,
    weight_percent: u8,
    counted_note: &'a str,
}

fn as_text<S: Serializer>(at: &UtcTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// Reads a report's JSON.
pub fn parse_report(body: &[u8]) -> Result<ReportRequest<'_>, Problem> {
    serde_json::from_slice(body).map_err(|error| json_problem(&error))
}

/// What is wrong with JSON, and where.
pub(super) fn json_problem(error: &serde_json::Error) -> Problem {
    let reason = match error.classify() {
        serde_json::error::Category::Data => Reason::InvalidField,
        _ => Reason::MalformedJson,
    };
    Problem { position: Some((error.line(), error.column())), ..Problem::new(reason, error.to_string()) }
}

/// `POST /api/v1/reports`: what is answered, or why not.
pub(super) async fn answer_json(
    intake: &Arc<Intake>,
    client: &Client,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Problem> {
    intake.slow_down(client)?;
    super::body::require_plain(headers)?;
    super::body::require_type(headers, &["application/json"])?;
    let settings = &intake.settings;
    let body = super::body::read(headers, body, settings.report_bytes_max, settings.body_timeout).await?;
    let request = parse_report(&body)?;
    let Some(name) = key_of(headers, || client.owner())? else {
        let receipt = intake.take(client, &request, true).await?;
        return Ok(created(intake.answer_of(&request.service, &receipt)));
    };
    match intake.answers.turn(name, &body).await? {
        Turn::Known(answer) => {
            intake.metrics.idempotent_repeats.inc();
            Ok(created(answer))
        }
        Turn::First(first) => {
            let (intake, client) = (Arc::clone(intake), *client);
            see_through(async move {
                let request = parse_report(&body)?;
                let receipt = intake.take(&client, &request, true).await?;
                let answer = intake.answer_of(&request.service, &receipt);
                first.finish(answer.clone(), intake.uptime_seconds(), &intake.metrics);
                Ok(created(answer))
            })
            .await
        }
    }
}

/// Does work to its end, though the client may be gone before: what it asks for again under the same
/// key must then be known.
pub(super) async fn see_through<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let failed = |_| Err(Problem::new(Reason::Internal, "The request could not be finished."));
    tokio::spawn(work).await.unwrap_or_else(failed)
}

/// The answer to a report that is durable.
fn created(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Intake {
    /// Checks a report, makes it durable, and says how it is counted.
    pub(super) async fn take(
        &self,
        client: &Client,
        request: &ReportRequest<'_>,
        strict_city: bool,
    ) -> Result<Receipt, Problem> {
        let Checked { report, comment, spent } = self.check(client, request, strict_city)?;
        let (weight, place) = (report.weight, report.place);
        let submission = Submission { evidence: vec![Evidence::Report(report)], comment, clock: None };
        let accepted = self.sink.submit(submission).await.inspect_err(|_| {
            // The client will come again with the same proof, and is right to.
            if let Some(proof) = spent {
                self.proofs.give_back(proof);
            }
        })?;
        self.metrics.accepted.inc();
        Ok(Receipt { seq: accepted.first_seq, received_at: accepted.received_at, weight, place })
    }

    fn check(
        &self,
        client: &Client,
        request: &ReportRequest<'_>,
        strict_city: bool,
    ) -> Result<Checked, Problem> {
        self.require_wanted(request)?;
        let world = self.world.load();
        let uptime = self.started.elapsed();
        let facts = (self.lookup)(client.address);
        let mut checked = check(&request.draft(), &world.catalogue, &world.places, facts.place, strict_city)
            .map_err(|reason| explain(&world, reason, &request.service))?;
        let service = checked.service;
        let comment = checked.comment.take().map(|text| Comment { service, text });
        let (weight, spent) = self.weigh(client, request.proof.as_deref(), &world, uptime)?;
        let keys = self.keys(client, service, uptime);
        let report = checked.into_report(self.sink.now(), facts.network, keys, weight);
        Ok(Checked { report, comment, spent })
    }

    /// A receipt as it is sent.
    fn answer_of(&self, service: &str, receipt: &Receipt) -> Bytes {
        let world = self.world.load();
        let json = ReceiptJson {
            id: receipt.seq.0,
            received_at: receipt.received_at,
            service,
            country: receipt.place.country,
            region: receipt.place.region,
            city: receipt.place.city,
            weight_percent: receipt.weight.percent(),
            counted_note: world.notes.of(receipt.weight),
        };
        inert_json(&json).into()
    }

    /// Refuses what the operator does not take at all.
    fn require_wanted(&self, request: &ReportRequest<'_>) -> Result<(), Problem> {
        if !self.settings.is_live {
            return Err(Problem::new(Reason::NotLive, "Report to the live site instead."));
        }
        let comment = request.comment.as_deref().is_some_and(|comment| !comment.trim().is_empty());
        if comment && !self.settings.comments {
            return Err(Problem::new(Reason::CommentsOff, "Send the report without its comment."));
        }
        Ok(())
    }

    /// What a report weighs, and the proof that was used up for it.
    fn weigh(
        &self,
        client: &Client,
        proof: Option<&str>,
        world: &World,
        uptime: Duration,
    ) -> Result<(Weight, Option<[u8; 16]>), Problem> {
        self.gauge.count(uptime);
        let asked = self.is_proof_asked(client);
        match proof.map(|proof| self.proofs.redeem(proof, unix_seconds())).transpose()? {
            Some(Credit::Full(name)) => {
                self.metrics.proofs.inc();
                return Ok((Weight::FULL, Some(name)));
            }
            Some(Credit::NoRoom) => {
                self.metrics.proof_store_full.inc();
            }
            None => {}
        }
        if !asked {
            return Ok((Weight::FULL, None));
        }
        self.metrics.weight_lowered.inc();
        Ok((world.weight_without_proof, None))
    }

    /// The keys by which the engine knows this reporter of this service again.
    fn keys(&self, client: &Client, service: ServiceId, uptime: Duration) -> SourceKeys {
        let salts = self.salts.salts();
        let keys = |slot| source_keys(&salts.current, salts.previous.as_ref(), service, client.address, slot);
        let first = keys(0);
        // While rotations overlap the older key finds the slots that were given under it.
        let (slot, overflow) = self.agents.slot(
            first.previous.map_or(first.source, |previous| previous.source),
            client.agent,
            uptime.as_secs() as i64,
        );
        if overflow {
            self.metrics.agents_overflow.inc();
        }
        if slot == 0 { first } else { keys(slot) }
    }
}

/// A refusal with what was probably meant.
fn explain(world: &World, reason: RejectReason, service: &str) -> Problem {
    let suggestion = match reason {
        RejectReason::UnknownService => world.did_you_mean(service),
        _ => None,
    };
    Problem { suggestion, ..Problem::from(reason) }
}
