//! Measurements of probes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use brownout_core::model::{Asn, Catalogue, CountryCode, Evidence, UtcTime};
use brownout_core::reach::{Answer, Control, Fingerprints, Measurement, Signs, Target, Vantage};
use brownout_core::report::FUTURE_MINUTES_MAX;
use brownout_probe::wire::{Batch, MEASUREMENTS_MAX, Received};
use brownout_probe::{Guard, Purpose, parse_target};
use brownout_store::embedded::Probe;

use super::super::problem::{Problem, Reason};
use super::super::sink::Submission;
use super::super::{AddressFacts, Intake};
use super::schedule::url_of;
use super::{Asked, Asking, BATCH_BYTES_MAX, ProbeDesk, on_disk, parse, told};

/// How old a measurement may be, in days: a probe may have been offline.
const AGE_DAYS_MAX: i64 = 7;

/// `POST /api/v1/probes/measurements`.
pub(super) async fn answer(State(intake): Asking, request: Request) -> Response<Body> {
    intake.probe_request(request, BATCH_BYTES_MAX, submit).await
}

async fn submit(intake: Arc<Intake>, asked: Asked) -> Result<Response<Body>, Problem> {
    if !intake.settings.is_live {
        return Err(Problem::new(Reason::NotLive, "It takes no measurements either."));
    }
    let (probe, _) = intake.signer(&asked, Purpose::Measurements).await?;
    let facts = (intake.lookup)(asked.client.address);
    // A probe that goes away while its batch is written must not leave it half done.
    let dealt = tokio::spawn(async move { keep(&intake, &probe, facts, asked.body).await });
    dealt.await.map_err(|_| Problem::new(Reason::Internal, "Nothing was kept; please send it again."))?
}

async fn keep(
    intake: &Intake,
    probe: &Probe,
    facts: AddressFacts,
    body: Bytes,
) -> Result<Response<Body>, Problem> {
    let desk = intake.desk()?;
    // What one probe sends is dealt with in its order, or a batch could be kept twice.
    let turn = &desk.turns[probe.id as usize % desk.turns.len()];
    let _turn = turn.lock().await;
    let id = probe.id;
    let last =
        on_disk(&desk.admin, move |admin| admin.probe(id)).await?.map_or(u64::MAX, |probe| probe.sequence);
    // It may be long, and must hold up no other request.
    let parsed = tokio::task::spawn_blocking(move || parse::<Batch>(&body)).await;
    let batch = parsed.map_err(|_| Problem::new(Reason::Internal, "The batch could not be read."))??;
    if batch.sequence <= last {
        let detail = format!("The last batch kept has the sequence {last}.");
        return Err(Problem::new(Reason::MeasurementsReplayed, detail));
    }
    let count = batch.measurements.len();
    if count > MEASUREMENTS_MAX {
        return Err(Problem::new(Reason::TooManyLines, format!("At most {MEASUREMENTS_MAX} measurements.")));
    }
    let now = intake.sink.now();
    if !desk.count(id, u32::try_from(count).unwrap_or(u32::MAX), now) {
        let problem = Problem::new(Reason::TooManyMeasurements, "Please wait for the next hour.");
        return Err(Problem { retry_after_seconds: Some(900), ..problem });
    }
    let (country, network) = place_of(probe, facts);
    let Some(country) = country else {
        let detail = "The operator can say so: brownout probe invite --country.";
        return Err(Problem::new(Reason::PlaceUnknown, detail));
    };
    let id = Some(operator_number(&probe.operator));
    let vantage =
        Vantage { country: Some(country), network, resolver_network: None, id, software: String::new() };
    let catalogue = Arc::clone(&intake.world.load().catalogue);
    let (mut evidence, mut refused) = (Vec::new(), Vec::new());
    for (place, measurement) in (0..).zip(batch.measurements) {
        match judge(&measurement, desk, &catalogue, now) {
            Ok(()) => evidence.push(Evidence::Measurement(Box::new(taken(intake, measurement, &vantage)))),
            Err(reason) => {
                intake.metrics.refuse_lines(reason, 1);
                refused.push((place, reason.slug().to_owned()));
            }
        }
    }
    let accepted = evidence.len();
    if accepted > 0 {
        intake.sink.submit(Submission { evidence, comment: None, clock: None }).await?;
    }
    // After the log has them: should the program end between the two, they come again rather than never.
    let (id, sequence) = (probe.id, batch.sequence);
    on_disk(&desk.admin, move |admin| admin.note_probe_sequence(id, sequence, now)).await?;
    intake.metrics.measurements.inc_by(accepted as u64);
    let accepted = u32::try_from(accepted).unwrap_or(u32::MAX);
    Ok(told(&Received { accepted, refused, country: Some(country), network }))
}

/// Where a probe is: by its operator's word, else by the address that it sends from. Where the operator gives a
/// country and no network, the network is not to be known: it may be as good as a name.
fn place_of(probe: &Probe, facts: AddressFacts) -> (Option<CountryCode>, Option<Asn>) {
    match probe.country {
        Some(country) => (Some(country), probe.network),
        None => (facts.place.country, probe.network.or(facts.network)),
    }
}

fn judge(
    measurement: &Measurement,
    desk: &ProbeDesk,
    catalogue: &Catalogue,
    now: UtcTime,
) -> Result<(), Reason> {
    let at = measurement.started_at;
    match () {
        () if at > now.plus_seconds(FUTURE_MINUTES_MAX * 60) => Err(Reason::InTheFuture),
        () if at < now.plus_seconds(-AGE_DAYS_MAX * 86_400) => Err(Reason::MeasurementStale),
        () if is_scheduled(&measurement.target, desk, catalogue) => Ok(()),
        () => Err(Reason::NotScheduled),
    }
}

/// Whether a target is one of the schedule's, and what it says of itself is so.
fn is_scheduled(target: &Target, desk: &ProbeDesk, catalogue: &Catalogue) -> bool {
    let service = catalogue.service_at(&target.host).filter(|service| desk.is_scheduled(service));
    let is_listed =
        service.is_some_and(|service| service.targets.iter().any(|host| url_of(host) == target.url));
    is_listed && parse_target(&target.url, Guard::Any).as_ref() == Ok(target)
}

/// What is kept of a measurement: its place is ours to say, and so are signs and the networks of addresses.
fn taken(intake: &Intake, mut measurement: Measurement, vantage: &Vantage) -> Measurement {
    let software = std::mem::take(&mut measurement.vantage.software);
    measurement.vantage = Vantage { software, ..vantage.clone() };
    measurement.signs = Signs::default();
    // First cut to size, then looked up.
    let mut kept = measurement.keep(&Fingerprints::default());
    let name = |answer: &mut Answer| answer.network = (intake.lookup)(answer.address).network;
    for lookup in &mut kept.run.lookups {
        lookup.answers.iter_mut().chain(&mut lookup.second).for_each(name);
    }
    if let Control::Found(found) = &mut kept.control {
        found.addresses.iter_mut().for_each(name);
    }
    kept
}

/// A number for an operator, the same for all probes that the operator runs: they are one vantage point.
fn operator_number(operator: &str) -> u64 {
    let hash = blake3::hash(format!("brownout operator\0{operator}").as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use brownout_core::model::Place;

    use super::*;

    #[test]
    fn an_operators_word_goes_before_an_address() {
        let (pk, de) = ("PK".parse().ok(), "DE".parse().ok());
        let (said, seen) = (Asn::new(17_557), Asn::new(3_320));
        let place = Place { country: de, ..Place::default() };
        let facts = AddressFacts { place, network: seen };
        let probe = |country, network| Probe {
            id: 1,
            name: String::new(),
            operator: String::new(),
            country,
            network,
            invited: UtcTime::from_seconds(0),
            expires: UtcTime::from_seconds(0),
            enrolled: None,
            revoked: None,
            key: None,
            sequence: 0,
            seen: None,
        };
        assert_eq!(place_of(&probe(pk, said), facts), (pk, said));
        assert_eq!(place_of(&probe(pk, None), facts), (pk, None), "the network is not to be known");
        assert_eq!(place_of(&probe(None, said), facts), (de, said));
        assert_eq!(place_of(&probe(None, None), facts), (de, seen));
        assert_eq!(place_of(&probe(None, None), AddressFacts::default()), (None, None));
    }
}
