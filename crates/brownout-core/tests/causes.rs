//! Several services at once through the engine: who is laid to whom, the same with any number of shards
//! and from any checkpoint.

use brownout_core::engine::Engine;
use brownout_core::model::{
    Asn, Catalogue, Category, ChannelId, Evidence, Place, ProblemKind, Report, Seq, Service, ServiceId,
    SourceKeys, UtcTime, Weight,
};
use brownout_core::snapshot::{Snapshot, State};
use brownout_core::verdict::{Bond, Cause, Reason};

const LARGE: u32 = 0;
const SMALL: u32 = 1;
const PROVIDER: u32 = 2;
const OTHERS: [u32; 3] = [3, 4, 5];
const START: &str = "2025-01-13T00:00:00Z";
const HOURS: i64 = 30;

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("not zero")
}

fn services() -> Vec<Service> {
    let service = |id: u32, slug: &str, category| Service::new(ServiceId(id), slug, slug, category);
    let mut services = vec![
        service(LARGE, "large", Category::Social),
        service(SMALL, "small", Category::Social),
        service(PROVIDER, "provider", Category::Internet),
        service(3, "bank", Category::Finance),
        service(4, "game", Category::Games),
        service(5, "shop", Category::Shopping),
    ];
    services[PROVIDER as usize].networks = vec![asn(3320)];
    services
}

/// Splitmix64.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A log of 30 calm hours, with more reports a minute of each service from hour 28 on.
fn records(
    rate: impl Fn(i64, u32) -> f64,
    network: impl Fn(i64, u32, u64) -> u32,
) -> Vec<(UtcTime, Evidence)> {
    let start: UtcTime = START.parse().expect("a time");
    let catalogue = Catalogue::new(services()).expect("a catalogue");
    let mut records = vec![(start, Evidence::Catalogue(Box::new(catalogue)))];
    let mut seed = 1;
    for minute in 0..HOURS * 60 {
        let mut reports = Vec::new();
        for service in 0..6 {
            let mean = 0.5 + rate(minute - 28 * 60, service);
            seed += 1;
            let jitter = mixed(seed) as f64 / u64::MAX as f64;
            for _ in 0..(mean + jitter) as u32 {
                seed += 1;
                let at = start.plus_millis(minute * 60_000 + (mixed(seed) % 60_000) as i64);
                let on = network(minute - 28 * 60, service, mixed(seed + 1_000_000_000));
                let source = SourceKeys {
                    generation: 1,
                    source: mixed(seed ^ 0xABCD),
                    subnet: mixed(seed ^ 0xEF01),
                    previous: None,
                };
                let report = Report {
                    service: ServiceId(service),
                    kind: ProblemKind::Unreachable,
                    channel: ChannelId::WEB,
                    occurred_at: at,
                    place: Place { country: "DE".parse().ok(), region: None, city: None },
                    network: Some(asn(on)),
                    source,
                    weight: Weight::FULL,
                };
                reports.push((at, Evidence::Report(report)));
            }
        }
        reports.sort_by_key(|(at, _)| *at);
        records.extend(reports);
    }
    records
}

/// Feeds an engine as a host does; `each` sees it after every tick at a full minute.
fn live(mut engine: Engine, records: &[(UtcTime, Evidence)], mut each: impl FnMut(&mut Engine)) -> Engine {
    let mut seq = engine.seq();
    let mut tell = |engine: &mut Engine, at: UtcTime, evidence: &Evidence| {
        seq = Seq(seq.0 + 1);
        engine.handle_evidence(seq, at, evidence);
        while engine.poll_effect().is_some() {}
    };
    for (at, evidence) in records {
        while let Some(due) = engine.poll_timeout().filter(|due| due <= at) {
            tell(&mut engine, due, &Evidence::Tick);
            if due.millis().rem_euclid(60_000) == 0 {
                each(&mut engine);
            }
        }
        tell(&mut engine, *at, evidence);
    }
    engine
}

fn anywhere(_: i64, _: u32, chance: u64) -> u32 {
    [3320, 3209, 6805, 8881][(chance % 4) as usize]
}

/// The large one fails; the small one gets one report for fifty there.
fn echo(minute: i64, service: u32) -> f64 {
    match service {
        LARGE if (0..60).contains(&minute) => 200.0,
        SMALL if (0..62).contains(&minute) => 4.0,
        _ => 0.0,
    }
}

fn state(snapshot: &Snapshot, service: u32) -> State {
    snapshot.services[service as usize].state
}

#[test]
fn an_echo_is_held_down_and_says_why() {
    let mut seen = Vec::new();
    let mut reasons = Vec::new();
    live(Engine::new(), &records(echo, anywhere), |engine| {
        let snapshot = engine.snapshot();
        seen.push((state(&snapshot, LARGE), state(&snapshot, SMALL)));
        let verdict = &snapshot.services[SMALL as usize].verdict;
        reasons.extend(verdict.is_explained().then(|| verdict.reasons.clone()));
    });
    assert!(seen.iter().any(|(large, _)| *large == State::Confirmed));
    assert!(seen.iter().all(|(_, small)| matches!(small, State::Calm | State::Insufficient)));
    let named = |reason: &Reason| {
        let wanted = Cause::Service(ServiceId(LARGE));
        matches!(reason, Reason::LikelyCausedBy { cause, bond: Bond::Echo, .. } if *cause == wanted)
    };
    assert!(reasons.len() > 30 && reasons.iter().all(|reasons| reasons.iter().any(named)));
}

#[test]
fn a_failure_that_began_long_before_is_its_own() {
    let before = |minute: i64, service: u32| match service {
        SMALL if (-50..60).contains(&minute) => 12.0,
        LARGE => echo(minute, LARGE),
        _ => 0.0,
    };
    let mut worst = State::Insufficient;
    live(Engine::new(), &records(before, anywhere), |engine| {
        let now = state(&engine.snapshot(), SMALL);
        worst = worst.max(if now == State::Ended { worst } else { now });
    });
    assert_eq!(worst, State::Confirmed);
}

#[test]
fn a_network_that_nobody_reports_is_to_blame_for_what_its_customers_report() {
    let rate = |minute: i64, service: u32| {
        f64::from(u8::from((0..60).contains(&minute) && OTHERS.contains(&service))) * 4.0
    };
    let on = |minute: i64, service: u32, chance: u64| match OTHERS.contains(&service) && minute >= 0 {
        true if !chance.is_multiple_of(16) => 3320,
        _ => anywhere(minute, service, chance),
    };
    let (mut others, mut provider, mut members) = (Vec::new(), Vec::new(), 0);
    live(Engine::new(), &records(rate, on), |engine| {
        let snapshot = engine.snapshot();
        others.extend(OTHERS.map(|service| state(&snapshot, service)));
        provider.push(state(&snapshot, PROVIDER));
        let of_network = snapshot.causes.iter().filter(|one| one.bond == Bond::Network);
        for one in of_network {
            assert_eq!(one.cause, Cause::Service(ServiceId(PROVIDER)));
            members = members.max(one.count);
        }
    });
    assert!(others.iter().all(|state| matches!(state, State::Calm | State::Insufficient)));
    assert!(provider.contains(&State::Confirmed));
    assert_eq!(members, 3);
}

#[test]
fn shards_and_restarts_change_nothing() {
    let records = records(echo, anywhere);
    let look = |engine: &mut Engine| {
        let snapshot = engine.snapshot();
        format!("{:?} {:?}", snapshot.causes, snapshot.services[SMALL as usize].verdict)
    };
    let mut once = Vec::new();
    live(Engine::new(), &records, |engine| once.push(look(engine)));
    let mut sharded = Vec::new();
    live(Engine::with_shards(4), &records, |engine| sharded.push(look(engine)));
    assert!(once == sharded);
    // In the middle of the echo.
    let start: UtcTime = START.parse().expect("a time");
    let half = start.plus_seconds((28 * 60 + 30) * 60);
    let split = records.iter().position(|(at, _)| *at >= half).expect("later records");
    let mut restarted = Vec::new();
    let first = live(Engine::new(), &records[..split], |engine| restarted.push(look(engine)));
    let again = Engine::restore(&first.checkpoint()).expect("a checkpoint");
    live(again, &records[split..], |engine| restarted.push(look(engine)));
    assert!(once == restarted);
}
