//! Batches of partners and importers: many lines, one submission, one answer.

use std::io::Read;
use std::sync::{Arc, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use serde_json::{Value, json};

use brownout_core::model::{Asn, ChannelId, Evidence, ProblemKind, Report, UtcTime, Weight};
use brownout_core::report::{FUTURE_MINUTES_MAX, PartnerKey, RejectReason, partner_keys};

use super::Intake;
use super::idempotency::{Turn, key_of};
use super::lines::{BatchLine, Line};
use super::problem::{Problem, Reason, inert_json};
use super::single::see_through;
use super::sink::Submission;
use super::times::Times;
use super::world::World;

/// Most lines of one batch.
pub const BATCH_LINES_MAX: usize = 50_000;
/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 4 << 10;
/// Longest name of a source or subnet, in bytes.
pub const SOURCE_BYTES_MAX: usize = 128;
/// Refused lines that are named in the answer.
const REFUSED_LISTED_MAX: usize = 100;
/// Bodies above this are read on a thread of their own, so that they hold up no other request.
const INLINE_BYTES_MAX: usize = 1 << 20;
/// Header by which a scenario or an import moves the virtual clock.
const CLOCK_HEADER: &str = "brownout-clock";

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// The channel its reports are counted on.
    pub channel: ChannelId,
    /// It may move the clock; only in folders that have a virtual one.
    pub virtual_clock: bool,
    /// What its reports weigh at most.
    pub weight: Weight,
}

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenCheck {
    /// It is good for this.
    Granted(TokenGrant),
    /// Nobody gave it out.
    Unknown,
    /// It was taken back.
    Revoked,
}

/// Looks up a token. It should compare hashes, so that its time tells nothing.
pub type TokenLookup = Box<dyn Fn(&str) -> TokenCheck + Send + Sync>;

/// The name of a channel that the log may not know yet; `None` where it does.
pub type ChannelNames = Box<dyn Fn(ChannelId) -> Option<String> + Send + Sync>;

/// The lines of a batch, judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// The reports, in the order of their lines.
    pub evidence: Vec<Evidence>,
    /// The first refused lines, from 1, with the reason.
    pub refused: Vec<(usize, Problem)>,
    /// How many lines were refused for each reason.
    refused_counts: Vec<(Reason, u64)>,
}

impl Judged {
    /// How many lines were refused.
    pub fn refused_total(&self) -> u64 {
        self.refused_counts.iter().map(|(_, count)| count).sum()
    }

    /// How many lines were refused for each reason.
    pub fn refused_by_reason(&self) -> &[(Reason, u64)] {
        &self.refused_counts
    }

    fn refuse(&mut self, line: usize, problem: Problem) {
        match self.refused_counts.iter_mut().find(|(reason, _)| *reason == problem.reason) {
            Some((_, count)) => *count += 1,
            None => self.refused_counts.push((problem.reason, 1)),
        }
        if self.refused.len() < REFUSED_LISTED_MAX {
            self.refused.push((line, problem));
        }
    }
}

/// Judges the lines of a batch. `now` bounds how far a line may run ahead.
pub fn judge(
    body: &[u8],
    world: &World,
    grant: TokenGrant,
    key: &PartnerKey,
    now: UtcTime,
) -> Result<Judged, Problem> {
    let mut judged = Judged::default();
    let lines = memchr::memchr_iter(b'\n', body).count() + 1;
    if lines > BATCH_LINES_MAX + 1 {
        let detail = format!("At most {BATCH_LINES_MAX} lines.");
        return Err(Problem::new(Reason::TooManyLines, detail));
    }
    let mut judge = Judge {
        world,
        grant,
        key,
        latest: now.plus_seconds(FUTURE_MINUTES_MAX * 60),
        times: Times::default(),
    };
    // A body that is text as a whole is not checked again line by line.
    let text = std::str::from_utf8(body).ok();
    judged.evidence.reserve_exact(lines);
    let mut start = 0;
    for number in 1..=lines {
        let end = memchr::memchr(b'\n', &body[start..]).map_or(body.len(), |length| start + length);
        let range = start..end;
        start = (end + 1).min(body.len());
        if body[range.clone()].iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line = match text {
            Some(text) => text.get(range),
            None => std::str::from_utf8(&body[range]).ok(),
        };
        match judge.line(line) {
            Ok(report) => judged.evidence.push(Evidence::Report(report)),
            Err(problem) => judged.refuse(number, problem),
        }
    }
    Ok(judged)
}

/// What is the same for all lines of a batch, and what the last line taught.
struct Judge<'a> {
    world: &'a World,
    grant: TokenGrant,
    key: &'a PartnerKey,
    latest: UtcTime,
    times: Times,
}

impl Judge<'_> {
    fn line(&mut self, text: Option<&str>) -> Result<Report, Problem> {
        let text = text.ok_or_else(|| Problem::new(Reason::MalformedJson, "The line is not UTF-8."))?;
        if text.len() > LINE_BYTES_MAX {
            return Err(Problem::new(Reason::LineTooLong, format!("At most {LINE_BYTES_MAX} bytes.")));
        }
        match Line::scan(text) {
            Some(line) => self.report(&line),
            None => self.report(&BatchLine::parse(text)?.as_line()),
        }
    }

    fn report(&mut self, line: &Line<'_>) -> Result<Report, Problem> {
        let service = self.world.catalogue.find(line.service).ok_or(RejectReason::UnknownService)?.id;
        let kind = ProblemKind::from_slug(line.kind).ok_or(RejectReason::UnknownKind)?;
        let occurred_at = self.times.parse(line.at).ok_or_else(|| {
            Problem::new(Reason::BadTime, "Write times as RFC 3339 has them, such as 2025-03-10T10:02:00Z.")
        })?;
        if occurred_at > self.latest {
            return Err(RejectReason::InTheFuture.into());
        }
        let name_fits = |name: &str| (1..=SOURCE_BYTES_MAX).contains(&name.len());
        if !name_fits(line.source) || !line.subnet.is_none_or(name_fits) {
            return Err(Problem::new(Reason::BadSource, format!("1 to {SOURCE_BYTES_MAX} bytes.")));
        }
        Ok(Report {
            service,
            kind,
            channel: self.grant.channel,
            occurred_at,
            place: self.world.places.resolve(&line.place, None)?,
            network: line.asn.and_then(Asn::new),
            source: partner_keys(self.key, service, line.source.as_bytes(), line.subnet.map(str::as_bytes)),
            weight: self.weight(line.weight)?,
        })
    }

    fn weight(&self, percent: Option<u32>) -> Result<Weight, Problem> {
        match percent {
            None => Ok(self.grant.weight),
            Some(percent @ 0..=100) => {
                // Both are at most 100, so the product fits.
                Ok(Weight::from_percent((percent * u32::from(self.grant.weight.percent()) / 100) as u8))
            }
            Some(_) => Err(Problem::new(Reason::BadWeight, "In percent, 0 to 100.")),
        }
    }
}

/// `POST /api/v1/reports/batch`: what is answered, or why not.
pub(super) async fn answer_batch(
    intake: &Arc<Intake>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, Problem> {
    let grant = authorize(intake, headers)?;
    let clock = clock(headers, grant)?;
    let gzip = is_gzip(headers)?;
    let bytes_max = intake.settings.batch_bytes_max;
    let body = super::body::read(headers, body, bytes_max, intake.settings.batch_timeout).await?;
    if !body.is_empty() || clock.is_none() {
        super::body::require_type(headers, &["application/x-ndjson", "application/ndjson"])?;
    }
    let owner = || [b"channel ".as_slice(), &grant.channel.0.to_le_bytes()].concat();
    let first = match key_of(headers, owner)? {
        None => None,
        Some(name) => match intake.answers.turn(name, &body).await? {
            Turn::First(first) => Some(first),
            Turn::Known(answer) => {
                intake.metrics.idempotent_repeats.inc();
                return Ok(ok(answer));
            }
        },
    };
    let now = clock.unwrap_or_else(|| intake.sink.now());
    let key = intake.partner_key(grant);
    let world = intake.world.load_full();
    let large = gzip || body.len() > INLINE_BYTES_MAX;
    let work = move || {
        let body = if gzip { inflate(&body, bytes_max)? } else { body };
        judge(&body, &world, grant, &key, now)
    };
    let judged = if large {
        let failed = |_| Problem::new(Reason::Internal, "The batch could not be read.");
        tokio::task::spawn_blocking(work).await.map_err(failed)??
    } else {
        work()?
    };
    for (reason, lines) in &judged.refused_counts {
        intake.metrics.refuse_lines(*reason, *lines);
    }
    let Some(first) = first else { return Ok(ok(submit(intake, judged, grant.channel, clock).await?)) };
    let intake = Arc::clone(intake);
    see_through(async move {
        let answer = submit(&intake, judged, grant.channel, clock).await?;
        first.finish(answer.clone(), intake.uptime_seconds(), &intake.metrics);
        Ok(ok(answer))
    })
    .await
}

fn ok(answer: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(answer));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Hands the lines over as one submission and writes the answer. A channel's first batch begins with
/// the channel's record: the log has both or neither.
async fn submit(
    intake: &Intake,
    mut judged: Judged,
    channel: ChannelId,
    clock: Option<UtcTime>,
) -> Result<Bytes, Problem> {
    let count = judged.evidence.len();
    let mut evidence = std::mem::take(&mut judged.evidence);
    let untold = (count > 0 && !intake.is_told(channel)).then(|| (intake.channel_names)(channel)).flatten();
    let before = u64::from(untold.is_some());
    if let Some(name) = untold {
        evidence.insert(0, Evidence::Channel { id: channel, name });
    }
    let accepted = match (count, clock) {
        // Nothing to keep, so there is nothing to wait for.
        (0, None) => None,
        _ => Some(intake.sink.submit(Submission { evidence, comment: None, clock }).await?),
    };
    if count > 0 {
        intake.tell(channel);
    }
    intake.metrics.batches.inc();
    intake.metrics.accepted_batch.inc_by(count as u64);
    let refused: Vec<Value> =
        judged.refused.iter().map(|(line, problem)| refused_line(*line, problem)).collect();
    let answer = json!({
        "accepted": count,
        "refused_total": judged.refused_total(),
        "refused": refused,
        "first_seq": accepted.filter(|_| count > 0).map(|accepted| accepted.first_seq.0 + before),
        "received_at": accepted.map(|accepted| accepted.received_at.to_string()),
    });
    Ok(inert_json(&answer).into())
}

fn refused_line(line: usize, problem: &Problem) -> Value {
    let mut value = json!({ "line": line, "reason": problem.reason.slug(), "detail": problem.detail });
    if let (Some((_, column)), Some(object)) = (problem.position, value.as_object_mut()) {
        object.insert("column".into(), json!(column));
    }
    value
}

impl Intake {
    /// Whether the log has this channel's record from this run of the program.
    fn is_told(&self, channel: ChannelId) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(&channel)
    }

    fn tell(&self, channel: ChannelId) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(channel);
    }

    /// The key for a partner's names: of the live salt, or fixed where the clock is virtual.
    fn partner_key(&self, grant: TokenGrant) -> PartnerKey {
        if grant.virtual_clock {
            return PartnerKey::fixed(grant.channel);
        }
        let salts = self.salts.salts();
        PartnerKey::live(&salts.current, salts.previous.as_ref(), grant.channel)
    }
}

fn authorize(intake: &Intake, headers: &HeaderMap) -> Result<TokenGrant, Problem> {
    let missing = || Problem::new(Reason::TokenMissing, "Send Authorization: Bearer TOKEN.");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    match (intake.tokens)(token.trim()) {
        TokenCheck::Granted(grant) => Ok(grant),
        TokenCheck::Unknown => Err(Problem::new(Reason::TokenInvalid, "Ask the operator for a token.")),
        TokenCheck::Revoked => Err(Problem::new(Reason::TokenRevoked, "Ask the operator for a new token.")),
    }
}

fn clock(headers: &HeaderMap, grant: TokenGrant) -> Result<Option<UtcTime>, Problem> {
    let Some(value) = headers.get(CLOCK_HEADER) else { return Ok(None) };
    if !grant.virtual_clock {
        return Err(Problem::new(
            Reason::ClockNotAllowed,
            "Only scenarios and imports have a clock of their own.",
        ));
    }
    let time = value.to_str().ok().and_then(|text| text.parse().ok());
    let bad = || Problem::new(Reason::BadTime, "Brownout-Clock is RFC 3339, such as 2025-03-10T10:02:00Z.");
    time.map(Some).ok_or_else(bad)
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(_) => {
            let problem = Problem::new(Reason::UnsupportedMediaType, "Content-Encoding may be gzip.");
            Err(Problem { accepts_encoding: Some("gzip, identity"), ..problem })
        }
    }
}

/// Unpacks a body, which may not grow beyond the limit for plain ones. It is unpacked twice, first
/// without keeping anything: what is too large is refused before room is made for it, and what is
/// not gets exactly the room it needs.
fn inflate(body: &[u8], bytes_max: usize) -> Result<Bytes, Problem> {
    let broken = |_| Problem::new(Reason::BodyUnreadable, "The gzip stream is broken.");
    let reader = || flate2::read::MultiGzDecoder::new(body).take(bytes_max as u64 + 1);
    let bytes = std::io::copy(&mut reader(), &mut std::io::sink()).map_err(broken)?;
    if bytes > bytes_max as u64 {
        let detail = format!("At most {bytes_max} bytes after decompression.");
        return Err(Problem::new(Reason::BodyTooLarge, detail));
    }
    let mut plain = Vec::with_capacity(bytes as usize);
    reader().read_to_end(&mut plain).map_err(broken)?;
    Ok(plain.into())
}
