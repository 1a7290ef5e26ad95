//! TokenUse, and another key for a probe that is enrolled.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use brownout_probe::wire::{Enrol, Enrolled, Rotate, from_hex, key_in, to_hex};
use brownout_probe::{Purpose, is_signed};
use brownout_store::embedded::TokenUse;

use super::super::Intake;
use super::super::problem::{Problem, Reason};
use super::{Asked, Asking, REQUEST_BYTES_MAX, on_disk, parse, signature_in, told};

/// `POST /api/v1/probes/enrol`.
pub(super) async fn answer(State(intake): Asking, request: Request) -> Response<Body> {
    intake.probe_request(request, REQUEST_BYTES_MAX, enrol).await
}

/// `POST /api/v1/probes/rotate`.
pub(super) async fn answer_rotate(State(intake): Asking, request: Request) -> Response<Body> {
    intake.probe_request(request, REQUEST_BYTES_MAX, rotate).await
}

async fn enrol(intake: Arc<Intake>, asked: Asked) -> Result<Response<Body>, Problem> {
    let desk = intake.desk()?;
    let wanted: Enrol = parse(&asked.body)?;
    let key =
        key_in(&wanted.key).ok_or_else(|| Problem::new(Reason::BadKey, "A key is 64 hexadecimal digits."))?;
    // Who brings a key must have its other half.
    if !is_signed(&key, Purpose::Enrol, &asked.body, &signature_in(&asked.headers)) {
        return Err(Problem::new(Reason::BadSignature, "The request is signed by the key that it brings."));
    }
    let (hash, now) = (*blake3::hash(wanted.token.as_bytes()).as_bytes(), intake.sink.now());
    match on_disk(&desk.admin, move |admin| admin.enrol_probe(&hash, &key, now)).await? {
        TokenUse::Done(probe) => {
            tracing::info!(probe = probe.name, "a probe is enrolled");
            let observatory_key = to_hex(&desk.identity.public());
            Ok(told(&Enrolled { probe: probe.id, name: probe.name, observatory_key }))
        }
        TokenUse::Unknown => Err(Problem::new(Reason::TokenInvalid, "Ask the operator for a token.")),
        TokenUse::Used => Err(Problem::new(Reason::TokenUsed, "A token enrols one probe, once.")),
        TokenUse::Over => Err(Problem::new(Reason::TokenRevoked, "Ask the operator for a new token.")),
        TokenUse::KeyTaken => Err(Problem::new(Reason::BadKey, "Another probe has this key.")),
    }
}

async fn rotate(intake: Arc<Intake>, asked: Asked) -> Result<Response<Body>, Problem> {
    let (probe, old) = intake.signer(&asked, Purpose::Rotate).await?;
    let wanted: Rotate = parse(&asked.body)?;
    let bad = |detail: &str| Problem::new(Reason::BadKey, detail);
    let key = key_in(&wanted.key).ok_or_else(|| bad("A key is 64 hexadecimal digits."))?;
    let signature = from_hex(&wanted.signature).unwrap_or_default();
    if !is_signed(&key, Purpose::NewKey, probe.id.to_string().as_bytes(), &signature) {
        return Err(bad("The new key has not signed the probe's number."));
    }
    let id = probe.id;
    if !on_disk(&intake.desk()?.admin, move |admin| admin.rotate_probe(id, &old, &key)).await? {
        return Err(bad("Another probe has this key, or this one has another by now."));
    }
    tracing::info!(probe = probe.name, "a probe has a new key");
    Ok(told(&serde_json::json!({ "probe": id })))
}
