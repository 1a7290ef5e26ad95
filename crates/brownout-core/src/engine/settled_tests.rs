//! What is settled hangs on what happened, and not on the order in which it was told.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::Engine;
use super::driven::Driven;
use crate::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, Facet, Place, PreviousKeys, ProblemKind, Report,
    ServiceId, SourceKeys, UtcTime, Weight,
};
use crate::snapshot::SettledSignal;

const DAYS: i64 = 9;
const LATE_MILLIS: i64 = 15 * 60_000;

fn begin() -> UtcTime {
    "2025-03-01T00:00:00Z".parse().expect("a time")
}

/// A report by a number from which all that it says is drawn.
fn report(number: u64, occurred_at: UtcTime, source: u64, subnet: u64, rotated: bool) -> Report {
    let kinds = ProblemKind::ALL;
    let countries = ["PK", "US", "GB"];
    let place = Place {
        country: countries[(subnet % 3) as usize].parse::<CountryCode>().ok(),
        region: None,
        city: CityId::new(1 + (subnet % 5) as u32),
    };
    let old = (source + 1, subnet + 1);
    let new = (source + 1_000_001, subnet + 1_000_001);
    let ((source, subnet), previous) = match rotated {
        true => (new, Some(PreviousKeys { source: old.0, subnet: old.1 })),
        false => (old, None),
    };
    Report {
        service: ServiceId(0),
        kind: kinds[(number % kinds.len() as u64) as usize],
        channel: ChannelId((number / 7 % 2) as u16),
        occurred_at,
        place,
        network: Asn::new(1 + (subnet % 2) as u32),
        source: SourceKeys { generation: 1 + u32::from(rotated), source, subnet, previous },
        weight: if number.is_multiple_of(5) { Weight::from_percent(25) } else { Weight::FULL },
    }
}

/// History of facets that are series from their first report on: start, facet, hundredths.
type History = Vec<(u32, Facet, u32)>;

struct Host {
    driven: Driven,
    history: History,
    signals: BTreeMap<Facet, SettledSignal>,
}

impl Host {
    fn of(driven: Driven) -> Self {
        Host { driven, history: Vec::new(), signals: BTreeMap::new() }
    }

    fn pass(&mut self, to: UtcTime) {
        let Host { driven, history, signals } = self;
        driven.pass(to, |engine, derived| {
            let is_local = |facet| matches!(facet, Facet::City(_) | Facet::Network(_));
            let rows = derived.iter().flat_map(|derived| &derived.roll_ups);
            let rows = rows.filter(|row| !is_local(row.key.facet));
            history.extend(rows.map(|row| (row.start.0, row.key.facet, row.hundredths)));
            for subject in engine.state.shards.iter().flat_map(|shard| shard.subjects.values()) {
                let settled = subject.settled.signals();
                signals.extend(settled.map(|signal| (signal.facet, signal.clone())));
            }
        });
    }
}

/// Nine calm days.
fn taught() -> &'static [u8] {
    static TAUGHT: OnceLock<Vec<u8>> = OnceLock::new();
    TAUGHT.get_or_init(|| {
        let mut host = Host::of(Driven::with_one_service(begin()));
        for number in 0..(DAYS * 24 * 6) as u64 {
            let at = begin().plus_millis(number as i64 * 600_000 + (number % 7) as i64 * 60_000);
            host.pass(at);
            let source = 10_000 + number;
            host.driven.tell(at, &Evidence::Report(report(number, at, source, source, false)));
        }
        host.pass(begin().plus_seconds(DAYS * 86_400));
        host.driven.engine.checkpoint()
    })
}

/// Salts rotate so long after the calm days.
const ROTATION_MILLIS: i64 = 1_500_000;

/// What happened: when (milliseconds after the calm days), by which source of which subnet, and how much
/// later it was told in either order.
type Told = (i64, u64, u64, [i64; 2]);

fn told() -> impl Strategy<Value = Told> {
    let delay = || prop_oneof![Just(0), 0..LATE_MILLIS];
    let keys = prop_oneof![
        // Everyone for themselves, some again and again, and a crowd in two subnets.
        (0u64..400).prop_map(|source| (source, source)),
        (0u64..12).prop_map(|source| (source, source)),
        (500u64..560).prop_map(|source| (source, 900 + source % 2)),
    ];
    (0..2_400_000i64, keys, [delay(), delay()])
        .prop_map(|(at, (source, subnet), delays)| (at, source, subnet, delays))
}

/// Plays what happened as it was told in one of the orders; `twice` tells everything again in the other.
fn play(all: &[Told], order: usize, twice: bool) -> Host {
    let engine = Engine::restore(taught()).expect("an engine");
    let mut host = Host::of(Driven { engine });
    let start = begin().plus_seconds(DAYS * 86_400);
    let mut sent = Vec::new();
    for (number, (at, source, subnet, delays)) in all.iter().enumerate() {
        let mut send = |delay: i64| {
            // By the salt of the moment.
            let is_rotated = source == subnet && at + delay >= ROTATION_MILLIS;
            let report = report(number as u64, start.plus_millis(*at), *source, *subnet, is_rotated);
            sent.push((start.plus_millis(at + delay), report));
        };
        send(delays[order]);
        if twice {
            send(delays[1 - order]);
        }
    }
    sent.sort_by_key(|(received_at, _)| *received_at);
    for (received_at, report) in sent {
        host.pass(received_at);
        host.driven.tell(received_at, &Evidence::Report(report));
    }
    host.pass(start.plus_seconds(2 * 3600));
    host
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_changes_nothing_that_is_settled(
        all in prop::collection::vec(told(), 1..400),
    ) {
        let [one, other] = [play(&all, 0, false), play(&all, 1, false)];
        prop_assert_eq!(one.history, other.history);
        prop_assert_eq!(one.signals, other.signals);
    }

    #[test]
    fn a_duplicate_never_counts_twice(all in prop::collection::vec(told(), 1..200)) {
        let [once, twice] = [play(&all, 0, false), play(&all, 0, true)];
        prop_assert_eq!(once.history, twice.history);
        prop_assert_eq!(once.signals, twice.signals);
    }
}

#[test]
fn a_surge_is_a_settled_signal() {
    let all: Vec<Told> =
        (0..300).map(|number| (600_000 + number as i64 * 3_000, number, number, [0, 800_000])).collect();
    let [at_once, late] = [play(&all, 0, false), play(&all, 1, false)];
    let signal = &at_once.signals[&Facet::All];
    assert!(signal.recurrence_years > 10.0 && signal.peak > 200 && signal.ended_at.is_some(), "{signal:?}");
    let start = begin().plus_seconds(DAYS * 86_400).minute();
    assert!((start.plus(8)..start.plus(13)).contains(&signal.onset.likeliest), "{signal:?}");
    assert_eq!(at_once.signals, late.signals);
}

#[test]
fn what_was_put_in_order_is_looked_at_from_then_on() {
    // One person, told the wrong way round; then a surge.
    let mut all: Vec<Told> =
        vec![(0, 3, 3, [610_000; 2]), (60_000, 3, 3, [0, 600_000]), (30_000, 3, 3, [400_000; 2])];
    all.extend(
        (0..200).map(|number| (1_200_000 + number as i64 * 3_000, 600 + number, 600 + number, [0, 0])),
    );
    for order in 0..2 {
        let mut host = play(&all, order, false);
        let snapshot = host.driven.engine.snapshot();
        assert!(!snapshot.incidents.is_empty(), "order {order}");
    }
}
