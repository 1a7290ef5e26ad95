//! The control: the same target, at the same time, from a trusted network, through the same code.

use std::net::SocketAddr;

use brownout_core::reach::{Baseline, BaselineFetch, Failure, Handshake, Resolver, Run, Target, Transport};
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::target::parse_target;
use crate::{Guard, Prober, TargetError};

/// Most endpoints that a control tries because a probe asks for it.
const ENDPOINTS_MAX: usize = 16;

/// What a probe asks of a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlQuestion {
    /// The target's URL.
    pub url: String,
    /// Addresses that the probe was given, which the control is to try too.
    #[serde(default)]
    pub endpoints: Vec<SocketAddr>,
}

/// What a control found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlAnswer {
    /// Name and version of what measured.
    pub software: String,
    /// What it found.
    pub found: Baseline,
}

/// Where a control is asked.
#[derive(Clone, Debug)]
pub struct ControlPoint {
    target: Target,
    authorization: Option<HeaderValue>,
}

impl ControlPoint {
    /// A control by its URL, with the token that it wants if it does.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, TargetError> {
        let authorization = match token.map(|token| HeaderValue::try_from(format!("Bearer {token}"))) {
            None => None,
            Some(Ok(mut value)) => {
                value.set_sensitive(true);
                Some(value)
            }
            Some(Err(_)) => return Err(TargetError::Credentials),
        };
        Ok(ControlPoint { target: parse_target(url, Guard::Any)?, authorization })
    }
}

impl Prober {
    /// What this prober, as a control, finds of a target and of the endpoints that a probe was given. It waits
    /// for its turn like a measurement.
    pub async fn baseline(&self, question: &ControlQuestion) -> Result<ControlAnswer, TargetError> {
        let target = parse_target(&question.url, self.settings.guard)?;
        // Only where the target would be reached, so that nobody is sent to any other door.
        let is_door = |endpoint: &&SocketAddr| endpoint.port() == target.port;
        let also: Vec<SocketAddr> =
            question.endpoints.iter().filter(is_door).copied().take(ENDPOINTS_MAX).collect();
        let _turn = self.runs.acquire().await.ok();
        let (run, _) = self.run(&target, &also, None).await;
        Ok(ControlAnswer { software: software(), found: baseline_of(run) })
    }

    /// Asks a control of a target.
    pub(crate) async fn ask_control(
        &self,
        point: &ControlPoint,
        question: ControlQuestion,
    ) -> Option<Baseline> {
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        headers.extend(point.authorization.clone().map(|value| (AUTHORIZATION, value)));
        let body = Bytes::from(serde_json::to_vec(&question).ok()?);
        let posted = self.post(&point.target, headers, body, self.settings.timeouts.control).await.ok()?;
        let answer =
            (posted.status == 200).then(|| serde_json::from_slice::<ControlAnswer>(&posted.body).ok())?;
        answer.map(|answer| answer.found)
    }
}

/// Name and version of this program, as measurements carry it.
pub fn software() -> String {
    format!("brownout-probe {}", env!("CARGO_PKG_VERSION"))
}

/// What all controls can tell, out of a run.
fn baseline_of(run: Run) -> Baseline {
    let usual = || {
        run.lookups
            .iter()
            .filter(|one| one.hop == 0 && one.resolver == Resolver::System && !one.is_control_name)
    };
    let mut addresses = Vec::new();
    for answer in usual().flat_map(|lookup| &lookup.answers) {
        if !addresses.contains(answer) {
            addresses.push(*answer);
        }
    }
    let lookup_failure = addresses.is_empty().then(|| usual().find_map(|lookup| lookup.failure)).flatten();
    let shakes = |transport: Transport| -> Vec<(SocketAddr, Option<Failure>)> {
        let of = |one: &&Handshake| one.hop == 0 && one.transport == transport && !one.is_control_name;
        run.handshakes.iter().filter(of).map(|one| (one.endpoint, one.failure)).collect()
    };
    let (handshakes, quic) = (shakes(Transport::Tcp), shakes(Transport::Quic));
    let connects: Vec<(SocketAddr, Option<Failure>)> =
        run.connects.iter().filter(|one| one.hop == 0).map(|one| (one.endpoint, one.failure)).collect();
    let failed = (handshakes.iter().chain(&connects)).find_map(|(_, failure)| *failure);
    let last =
        run.fetches.into_iter().filter(|one| one.transport == Transport::Tcp).max_by_key(|one| one.hop);
    let fetch = match last {
        Some(fetch) => {
            let response = fetch.response.map(|mut response| {
                response.body = Vec::new();
                response
            });
            Some(BaselineFetch { failure: fetch.failure, response })
        }
        // What got in the way of asking.
        None => Some(BaselineFetch {
            failure: lookup_failure.or(failed).or(Some(Failure::Other)),
            response: None,
        }),
    };
    Baseline { addresses, lookup_failure, connects, handshakes, quic, fetch }
}
