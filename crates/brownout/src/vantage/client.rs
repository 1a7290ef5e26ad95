//! What a probe says to its observatory.

use std::fmt;
use std::time::Duration;

use brownout_core::model::UtcTime;
use brownout_core::reach::Target;
use brownout_probe::wire::{
    AskSchedule, Enrol, Enrolled, PROBE_HEADER, Received, Rotate, SIGNATURE_HEADER, Schedule, from_hex,
    key_in, to_hex,
};
use brownout_probe::{
    Guard, HeaderName, HeaderValue, Identity, Posted, Prober, Purpose, is_signed, parse_target,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Enrolment;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The observatory cannot be reached, or is busy: it is worth trying again.
    Later(String),
    /// These measurements came before: they are delivered.
    Known,
    /// It refused, and would again: its reason and words.
    Refused(String, String),
    /// What it answered is not to be believed.
    Untrue(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Later(why) => write!(out, "the observatory cannot be asked now: {why}"),
            Trouble::Known => out.write_str("the observatory has these measurements"),
            Trouble::Refused(reason, detail) => write!(out, "the observatory refuses ({reason}): {detail}"),
            Trouble::Untrue(why) => write!(out, "the observatory's answer is not to be believed: {why}"),
        }
    }
}

impl std::error::Error for Trouble {}

#[derive(Deserialize)]
struct Problem {
    reason: String,
    detail: String,
}

/// A line to one observatory.
pub struct Client<'a> {
    prober: &'a Prober,
    observatory: String,
}

impl<'a> Client<'a> {
    /// A line to an observatory by its URL.
    pub fn new(prober: &'a Prober, observatory: &str) -> Self {
        Client { prober, observatory: observatory.trim_end_matches('/').to_owned() }
    }

    /// Enrols a key with a token.
    ///
    /// # Errors
    /// The observatory cannot be reached, refuses, or answers what it should not.
    pub async fn enrol(&self, token: &str, key: &Identity) -> Result<Enrolled, Trouble> {
        let body = json(&Enrol { token: token.to_owned(), key: to_hex(&key.public()) })?;
        let signature = key.sign(Purpose::Enrol, body.as_bytes());
        let enrolled: Enrolled = answer(&self.post("enrol", body, &signature, None).await?)?;
        match key_in(&enrolled.observatory_key) {
            Some(_) => Ok(enrolled),
            None => Err(Trouble::Untrue("its key is none")),
        }
    }

    /// Brings a new key in the place of the old.
    ///
    /// # Errors
    /// As for [`Client::enrol`].
    pub async fn rotate(&self, who: &Enrolment, old: &Identity, new: &Identity) -> Result<(), Trouble> {
        let word = new.sign(Purpose::NewKey, who.probe.to_string().as_bytes());
        let body = json(&Rotate { key: to_hex(&new.public()), signature: to_hex(&word) })?;
        let signature = old.sign(Purpose::Rotate, body.as_bytes());
        self.post("rotate", body, &signature, Some(who.probe)).await.map(|_| ())
    }

    /// Asks for the schedule, and takes none that is not the observatory's own, for this probe, and in force.
    ///
    /// # Errors
    /// As for [`Client::enrol`].
    pub async fn schedule(&self, who: &Enrolment, key: &Identity, now: UtcTime) -> Result<Schedule, Trouble> {
        let body = json(&AskSchedule { at: now })?;
        let signature = key.sign(Purpose::AskSchedule, body.as_bytes());
        let posted = self.post("schedule", body, &signature, Some(who.probe)).await?;
        let signed = posted.header(SIGNATURE_HEADER).and_then(from_hex).unwrap_or_default();
        let theirs = key_in(&who.observatory_key).ok_or(Trouble::Untrue("its key is none"))?;
        if !is_signed(&theirs, Purpose::Schedule, &posted.body, &signed) {
            return Err(Trouble::Untrue("the schedule is not signed by its key"));
        }
        let schedule: Schedule = answer(&posted)?;
        match () {
            () if schedule.probe != who.probe => Err(Trouble::Untrue("the schedule is another probe's")),
            () if schedule.expires_at <= now => Err(Trouble::Untrue("the schedule is over")),
            () if schedule.every_seconds < 60 => {
                Err(Trouble::Untrue("it asks more often than once a minute"))
            }
            () => Ok(schedule),
        }
    }

    /// Sends a batch as it is.
    ///
    /// # Errors
    /// As for [`Client::enrol`]; [`Trouble::Known`] where it came before.
    pub async fn submit(&self, who: &Enrolment, key: &Identity, body: &str) -> Result<Received, Trouble> {
        let signature = key.sign(Purpose::Measurements, body.as_bytes());
        answer(&self.post("measurements", body.to_owned(), &signature, Some(who.probe)).await?)
    }

    async fn post(
        &self,
        what: &str,
        body: String,
        signature: &[u8],
        probe: Option<u32>,
    ) -> Result<Posted, Trouble> {
        let url = format!("{}/api/v1/probes/{what}", self.observatory);
        let target: Target = parse_target(&url, Guard::Any)
            .map_err(|error| Trouble::Refused("url".to_owned(), format!("{url}: {error}")))?;
        let value =
            |text: String| HeaderValue::try_from(text).map_err(|_| Trouble::Untrue("a header is none"));
        let mut headers = vec![
            (HeaderName::from_static("content-type"), HeaderValue::from_static("application/json")),
            (HeaderName::from_static(SIGNATURE_HEADER), value(to_hex(signature))?),
        ];
        if let Some(probe) = probe {
            headers.push((HeaderName::from_static(PROBE_HEADER), value(probe.to_string())?));
        }
        let posted = self.prober.post(&target, headers, body.into(), PATIENCE).await;
        let posted = posted.map_err(|error| Trouble::Later(error.to_string()))?;
        if posted.status == 200 {
            return Ok(posted);
        }
        let problem: Problem = serde_json::from_slice(&posted.body).unwrap_or_else(|_| Problem {
            reason: posted.status.to_string(),
            detail: "it gave no reason; is this an observatory's address?".to_owned(),
        });
        Err(match (problem.reason.as_str(), posted.status) {
            ("measurements_replayed", _) => Trouble::Known,
            (_, 408 | 425 | 429 | 500..) => Trouble::Later(problem.detail),
            _ => Trouble::Refused(problem.reason, problem.detail),
        })
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|_| Trouble::Untrue("the request cannot be written"))
}

fn answer<T: DeserializeOwned>(posted: &Posted) -> Result<T, Trouble> {
    serde_json::from_slice(&posted.body).map_err(|_| Trouble::Untrue("it is no answer to this question"))
}
