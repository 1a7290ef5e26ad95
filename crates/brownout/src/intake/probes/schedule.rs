//! What probes are to measure.

use std::net::Ipv6Addr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Response};
use brownout_core::model::{Catalogue, UtcTime};
use brownout_probe::wire::{AskSchedule, ControlAccess, SIGNATURE_HEADER, Schedule, TARGETS_MAX, to_hex};
use brownout_probe::{Guard, Purpose, parse_target};

use super::super::Intake;
use super::super::problem::{Problem, Reason, inert_json};
use super::{Asked, Asking, CLOCK_SECONDS_MAX, ProbeDesk, REQUEST_BYTES_MAX, on_disk, parse, told_text};

/// How long a probe goes on with what it was told, without hearing of us.
const SCHEDULE_SECONDS: i64 = 24 * 3600;

/// `POST /api/v1/probes/schedule`.
pub(super) async fn answer(State(intake): Asking, request: Request) -> Response<Body> {
    intake.probe_request(request, REQUEST_BYTES_MAX, give).await
}

async fn give(intake: Arc<Intake>, asked: Asked) -> Result<Response<Body>, Problem> {
    let (probe, _) = intake.signer(&asked, Purpose::AskSchedule).await?;
    let AskSchedule { at } = parse(&asked.body)?;
    let now = intake.sink.now();
    if (at.millis() - now.millis()).abs() > CLOCK_SECONDS_MAX * 1000 {
        let detail =
            format!("It says {at}; here it is {now}. Set the clock, for every measurement has its time.");
        return Err(Problem::new(Reason::ClockWrong, detail));
    }
    let desk = intake.desk()?;
    let catalogue = Arc::clone(&intake.world.load().catalogue);
    let token_file = desk.plan.control_token_file.clone();
    let token = on_disk(&desk.admin, move |_| Ok(token_file.map(std::fs::read_to_string))).await?;
    let token = token.transpose().map_err(|error| {
        tracing::error!(%error, "the control's token cannot be read");
        Problem::new(Reason::Internal, "The schedule cannot be made at present.")
    })?;
    let token = token.map(|text| text.trim().to_owned());
    let schedule = schedule(desk, &catalogue, probe.id, now, token);
    // The very bytes that go out are signed.
    let body = inert_json(&schedule);
    let signature = to_hex(&desk.identity.sign(Purpose::Schedule, body.as_bytes()));
    let mut response = told_text(body);
    if let Ok(value) = HeaderValue::try_from(signature) {
        response.headers_mut().insert(HeaderName::from_static(SIGNATURE_HEADER), value);
    }
    Ok(response)
}

/// The URL by which a host is measured.
pub(super) fn url_of(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("https://[{address}]/"),
        Err(_) => format!("https://{host}/"),
    }
}

fn schedule(
    desk: &ProbeDesk,
    catalogue: &Catalogue,
    probe: u32,
    now: UtcTime,
    token: Option<String>,
) -> Schedule {
    let plan = &desk.plan;
    let services = catalogue.iter().filter(|service| desk.is_scheduled(service));
    let hosts = services.flat_map(|service| &service.targets);
    let urls = hosts.map(|host| url_of(host));
    Schedule {
        probe,
        issued_at: now,
        expires_at: now.plus_seconds(SCHEDULE_SECONDS),
        every_seconds: plan.every_seconds,
        targets: urls.filter(|url| parse_target(url, Guard::Any).is_ok()).take(TARGETS_MAX).collect(),
        control: plan.control_url.clone().map(|url| ControlAccess { url, token }),
        innocent_name: plan.innocent_name.clone(),
        other_resolvers: plan.other_resolvers.clone(),
        https_resolvers: plan.https_resolvers.clone(),
    }
}
