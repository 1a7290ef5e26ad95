//! The engine over virtual days: it stays calm, sees a surge, and says the same again.

use brownout_core::effect::Effect;
use brownout_core::engine::Engine;
use brownout_core::model::{
    Catalogue, Category, ChannelId, CountryCode, Evidence, Facet, OperatorAction, Place, ProblemKind, Record,
    Report, Seq, Service, ServiceId, SourceKeys, UtcTime, Weight,
};
use brownout_core::snapshot::{Change, State};
use brownout_core::verdict::Reason;

/// A small generator with an explicit seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// Records of a log that is written as a host writes it: ticks whenever the engine asks.
struct World {
    engine: Engine,
    records: Vec<Record>,
    random: Random,
    changes: Vec<(UtcTime, Facet, Change, u32)>,
    /// First minutes of intervals that were told to be whole.
    collected: Vec<u32>,
    /// Hundredths of service 0 as a whole that became history, with the first minute of the interval.
    history: Vec<(u32, u32)>,
}

fn service(id: u32, slug: &str) -> Service {
    Service::new(ServiceId(id), slug, slug.to_uppercase(), Category::Social)
}

impl World {
    fn new(seed: u64, shards: usize, start: &str) -> Self {
        let mut world = World {
            engine: Engine::with_shards(shards),
            records: Vec::new(),
            random: Random(seed),
            changes: Vec::new(),
            collected: Vec::new(),
            history: Vec::new(),
        };
        let at = start.parse().expect("a time");
        let services = (0..5).map(|id| service(id, &format!("s{id}"))).collect();
        world.append(at, Evidence::Catalogue(Box::new(Catalogue::new(services).expect("a catalogue"))));
        world.append(at, Evidence::Policy(Box::default()));
        world.append(at, Evidence::Tick);
        world
    }

    fn append(&mut self, at: UtcTime, evidence: Evidence) {
        let record = Record { seq: Seq(self.records.len() as u64 + 1), received_at: at, evidence };
        self.engine.handle(&record);
        self.records.push(record);
        while let Some(effect) = self.engine.poll_effect() {
            if let Effect::Persist(_, derived) = effect {
                self.collected.extend(derived.collected.iter().map(|start| start.0));
                let whole = derived.roll_ups.iter().filter(|row| row.key.facet == Facet::All);
                self.history.extend(whole.map(|row| (row.start.0, row.hundredths)));
                for incident in &derived.incidents {
                    for entry in &incident.timeline {
                        let line = (entry.at, entry.facet, entry.change.clone(), entry.observed);
                        if !self.changes.contains(&line) {
                            self.changes.push(line);
                        }
                    }
                }
            }
        }
    }

    /// Lets a minute pass with these many reports of service 0 per country.
    fn minute(&mut self, start: UtcTime, counts: &[(&str, f64)]) {
        let mut reports = Vec::new();
        for (country, mean) in counts {
            for _ in 0..self.random.poisson(*mean) {
                let at = start.plus_millis((self.random.unit() * 60_000.0) as i64);
                reports.push((at, *country, self.random.next()));
            }
        }
        reports.sort();
        for (at, country, source) in reports {
            self.tick_before(at);
            self.append(
                at,
                Evidence::Report(Report {
                    service: ServiceId(0),
                    kind: ProblemKind::ALL[(source % 11) as usize],
                    channel: ChannelId::WEB,
                    occurred_at: at,
                    place: Place {
                        country: country.parse::<CountryCode>().ok(),
                        region: None,
                        city: brownout_core::model::CityId::new((source % 7) as u32 + 1),
                    },
                    network: None,
                    source: SourceKeys { generation: 1, source, subnet: source / 3, previous: None },
                    weight: Weight::FULL,
                }),
            );
        }
        self.tick_before(start.plus_seconds(60).plus_millis(1));
    }

    fn tick_before(&mut self, at: UtcTime) {
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due < at) {
            self.append(due, Evidence::Tick);
        }
    }

    fn play(&mut self, from: &str, minutes: i64, counts: &[(&str, f64)]) {
        let start: UtcTime = from.parse().expect("a time");
        for minute in 0..minutes {
            self.minute(start.plus_seconds(minute * 60), counts);
        }
    }
}

const CALM: [(&str, f64); 3] = [("US", 3.0), ("GB", 0.5), ("PK", 0.1)];

#[test]
fn a_week_of_calm_stays_calm() {
    let mut world = World::new(1, 1, "2025-03-01T00:00:00Z");
    world.play("2025-03-01T00:00:00Z", 7 * 1440, &CALM);
    assert_eq!(world.changes, vec![]);
    let snapshot = world.engine.snapshot();
    assert_eq!(snapshot.services[0].state, State::Calm);
    assert_eq!(snapshot.services[1].state, State::Insufficient);
    let usual = snapshot.services[0].usual;
    assert!((usual.mean - 54.0).abs() < 12.0, "{usual:?}");
}

#[test]
fn a_surge_is_possible_then_detected_then_ended() {
    let mut world = surge(1);
    let states: Vec<_> = world
        .changes
        .iter()
        .filter(|(_, facet, ..)| *facet == Facet::All)
        .map(|(_, _, change, _)| change.clone())
        .collect();
    assert_eq!(states, vec![Change::Possible, Change::Confirmed, Change::Peak, Change::Ended]);
    let possible = &world.changes[0];
    assert!(possible.0 <= "2025-03-06T10:03:00Z".parse().expect("a time"), "{possible:?}");
    let snapshot = world.engine.snapshot();
    assert_eq!(snapshot.incidents.len(), 1);
    let incident = &snapshot.incidents[0];
    assert_eq!(incident.state, State::Ended);
    assert!(incident.scopes[0].peak > 1200, "{}", incident.scopes[0].peak);
    assert!(incident.scopes.iter().any(|scope| scope.facet == Facet::Country("US".parse().expect("code"))));
    // An incident is not learned: what is usual stays what it was.
    let usual = snapshot.services[0].usual.mean;
    assert!(usual < 80.0, "{usual}");
}

#[test]
fn a_service_that_leaves_the_catalogue_ends_its_incident_and_loses_nothing() {
    let mut world = World::new(7, 1, "2025-03-03T00:00:00Z");
    world.play("2025-03-03T00:00:00Z", 3 * 1440 + 600, &CALM);
    world.play("2025-03-06T10:00:00Z", 20, &[("US", 90.0), ("GB", 3.0), ("PK", 0.3)]);
    assert_eq!(world.engine.snapshot().incidents[0].state, State::Confirmed);
    let left = Catalogue::new(vec![service(1, "s1")]).expect("a catalogue");
    world.append("2025-03-06T10:20:01Z".parse().expect("a time"), Evidence::Catalogue(Box::new(left)));
    world.play("2025-03-06T10:21:00Z", 240, &CALM);
    let snapshot = world.engine.snapshot();
    assert!(snapshot.incidents.iter().all(|incident| incident.state == State::Ended));
    assert_eq!(world.changes.iter().filter(|change| change.2 == Change::Ended).count(), {
        world.changes.iter().filter(|change| change.2 == Change::Possible).count()
    });
    // Whoever reported it, before and after it left, became history; of the last half hour more may come.
    let settled: UtcTime = "2025-03-06T13:45:00Z".parse().expect("a time");
    let reports = world.records.iter().filter_map(|record| match &record.evidence {
        Evidence::Report(report) if report.occurred_at < settled => Some(report),
        _ => None,
    });
    let history = world.history.iter().filter(|(start, _)| *start < settled.minute().0);
    assert_eq!(history.map(|(_, hundredths)| u64::from(*hundredths)).sum::<u64>(), {
        100 * (reports.count() as u64 - snapshot.totals.repeats - snapshot.totals.over_subnet_cap)
    });
}

fn surge(shards: usize) -> World {
    let mut world = World::new(7, shards, "2025-03-03T00:00:00Z");
    world.play("2025-03-03T00:00:00Z", 3 * 1440 + 600, &CALM);
    world.play("2025-03-06T10:00:00Z", 40, &[("US", 90.0), ("GB", 3.0), ("PK", 0.3)]);
    world.play("2025-03-06T10:40:00Z", 180, &CALM);
    world
}

#[test]
fn shards_change_nothing() {
    let (mut one, mut many) = (surge(1), surge(4));
    assert_eq!(one.changes, many.changes);
    assert_eq!(one.records, many.records);
    let (a, b) = (one.engine.snapshot(), many.engine.snapshot());
    assert_eq!(a.incidents, b.incidents);
    assert_eq!(a.totals, b.totals);
}

#[test]
fn a_replay_and_a_restart_give_the_same_state_byte_for_byte() {
    let world = surge(1);
    let whole = world.engine.checkpoint();
    let mut replayed = Engine::new();
    let mut restarted = Engine::new();
    for record in &world.records {
        replayed.handle(record);
        restarted.handle(record);
        if record.seq.0 % 5000 == 0 {
            restarted = Engine::restore(&restarted.checkpoint()).expect("a checkpoint");
            // A tail may overlap a checkpoint.
            restarted.handle(record);
        }
    }
    assert!(replayed.checkpoint() == whole);
    assert!(restarted.checkpoint() == whole);
    assert!(Engine::restore(&whole[..whole.len() / 2]).is_none());
}

#[test]
fn a_late_report_is_counted_and_charted_and_never_detected_on() {
    let mut world = World::new(3, 1, "2025-03-03T00:00:00Z");
    world.play("2025-03-03T00:00:00Z", 180, &CALM);
    let now: UtcTime = "2025-03-03T03:00:00Z".parse().expect("a time");
    let before = world.engine.snapshot();
    for source in 0..500u64 {
        let late = Report {
            service: ServiceId(0),
            kind: ProblemKind::Login,
            channel: ChannelId::WEB,
            occurred_at: now.plus_seconds(-3600),
            place: Place::default(),
            network: None,
            source: SourceKeys { generation: 1, source, subnet: source, previous: None },
            weight: Weight::FULL,
        };
        world.append(now, Evidence::Report(late));
    }
    world.tick_before(now.plus_seconds(600));
    let after = world.engine.snapshot();
    assert_eq!(after.totals.late, 500);
    assert!(after.incidents.is_empty() && world.changes.is_empty());
    let charted = |snapshot: &brownout_core::snapshot::Snapshot| -> u32 {
        snapshot.services[0].chart.bars.iter().filter_map(|bar| bar.count).sum()
    };
    assert!(charted(&after) >= charted(&before) + 500, "{} {}", charted(&before), charted(&after));
    assert_eq!(
        after.services[0].kinds.iter().find(|(kind, _)| *kind == ProblemKind::Login).map(|(_, n)| *n > 400),
        Some(false)
    );
}

#[test]
fn intervals_without_a_report_are_history_too_and_those_of_a_pause_are_not() {
    let start: UtcTime = "2025-03-01T00:00:00Z".parse().expect("a time");
    let mut world = World::new(8, 1, "2025-03-01T00:00:00Z");
    let mut minutes = |from: i64, to: i64| {
        // What the host does first after a pause.
        world.append(start.plus_seconds(from * 60), Evidence::Tick);
        for minute in from..to {
            world.minute(start.plus_seconds(minute * 60), &[]);
        }
        std::mem::take(&mut world.collected).iter().map(|at| at - start.minute().0).collect::<Vec<_>>()
    };
    // The first minutes are settled when no report of theirs can come any more.
    assert_eq!(minutes(0, 20), [0]);
    assert_eq!(minutes(20, 41), [5, 10, 15, 20]);
    assert_eq!(minutes(60, 120), [25, 30, 35, 60, 65, 70, 75, 80, 85, 90, 95, 100]);
}

#[test]
fn what_was_counted_before_a_long_pause_becomes_history() {
    let mut world = World::new(9, 1, "2025-03-01T00:00:00Z");
    world.play("2025-03-01T00:00:00Z", 60, &CALM);
    let reports =
        world.records.iter().filter(|record| matches!(record.evidence, Evidence::Report(_))).count();
    world.append("2025-03-01T20:00:00Z".parse().expect("a time"), Evidence::Tick);
    let hundredths: u32 = world.history.iter().map(|(_, hundredths)| hundredths).sum();
    assert_eq!(hundredths as usize, reports * 100);
    assert!(world.history.is_sorted());
}

#[test]
fn a_hold_is_judged_at_the_next_look() {
    let mut world = World::new(11, 1, "2025-03-03T00:00:00Z");
    world.play("2025-03-03T00:00:00Z", 3 * 1440, &CALM);
    let start: UtcTime = "2025-03-06T00:00:00Z".parse().expect("a time");
    let minutes = (0..30).map(|minute| start.plus_seconds(minute * 60));
    let opened = minutes.clone().find(|at| {
        world.minute(*at, &[("US", 18.0)]);
        !world.changes.is_empty()
    });
    let opened = opened.expect("an incident");
    let incident = world.engine.snapshot().incidents[0].id;
    let hold = OperatorAction::Hold { incident, reason: "a drill".to_owned() };
    world.append(opened.plus_seconds(61), Evidence::Operator(Box::new(hold)));
    world.tick_before(opened.plus_seconds(85));
    let snapshot = world.engine.snapshot();
    let last = snapshot.incidents[0].verdicts.last().expect("a verdict");
    let reasons = &last.reasons;
    assert!(reasons.contains(&Reason::Held { reason: "a drill".to_owned() }), "{reasons:?}");
}

#[test]
fn what_goes_on_for_three_days_is_usual_unless_an_operator_says_that_it_is_not() {
    let played = |extends: bool| {
        let mut world = World::new(12, 1, "2025-03-03T00:00:00Z");
        world.play("2025-03-03T00:00:00Z", 3 * 1440, &CALM);
        world.play("2025-03-06T00:00:00Z", 60 * 60, &[("US", 15.0)]);
        let incident = world.engine.snapshot().incidents[0].id;
        assert_eq!(world.engine.snapshot().incidents[0].state, State::Confirmed);
        if extends {
            let reason = "The cable is still cut.".to_owned();
            let at = "2025-03-08T12:00:00Z".parse().expect("a time");
            world.append(at, Evidence::Operator(Box::new(OperatorAction::Extend { incident, reason })));
        }
        world.play("2025-03-08T12:00:00Z", 24 * 60, &[("US", 15.0)]);
        let snapshot = world.engine.snapshot();
        let view = snapshot.incidents.iter().find(|view| view.id == incident).expect("known");
        (view.state, view.verdicts.last().expect("a verdict").reasons[0].clone(), view.timeline.clone())
    };
    let (state, reason, _) = played(false);
    assert!(
        state == State::Ended && matches!(reason, Reason::BecameUsual { hours: 72..80, .. }),
        "{reason:?}"
    );
    let (state, _, timeline) = played(true);
    assert_eq!(state, State::Confirmed);
    let words = Change::Operator("The cable is still cut.".to_owned());
    assert!(timeline.iter().any(|entry| entry.change == words));
}

#[test]
fn countries_are_summed_before_small_ones_are_left_out() {
    let mut world = World::new(1, 2, "2025-03-10T09:00:00Z");
    let at: UtcTime = "2025-03-10T09:01:00Z".parse().expect("a time");
    // Two sources in PK on each of four services, and one alone in GB.
    for (source, (service, country)) in (0..8).map(|index| (index % 4, "PK")).chain([(0, "GB")]).enumerate() {
        let place = Place { country: country.parse().ok(), region: None, city: None };
        let source = source as u64;
        world.append(
            at,
            Evidence::Report(Report {
                service: ServiceId(service),
                kind: ProblemKind::ALL[0],
                channel: ChannelId::WEB,
                occurred_at: at,
                place,
                network: None,
                source: SourceKeys { generation: 1, source, subnet: source, previous: None },
                weight: Weight::FULL,
            }),
        );
    }
    world.tick_before(at.plus_seconds(60));
    let snapshot = world.engine.snapshot();
    let told: Vec<(String, u32)> =
        snapshot.countries.iter().map(|one| (one.country.to_string(), one.observed)).collect();
    assert_eq!(told, [("PK".to_owned(), 8)]);
    assert!(snapshot.services.iter().all(|view| view.countries.is_empty()), "none is shown by itself");
}

#[test]
fn what_is_still_being_learned_is_not_called_calm() {
    let mut world = World::new(5, 1, "2025-03-03T00:00:00Z");
    world.play("2025-03-03T00:00:00Z", 120, &CALM);
    let young = world.engine.snapshot();
    assert_eq!(young.services[0].state, State::Insufficient);
    assert!(young.services[0].verdict.is_learning());
    world.play("2025-03-03T02:00:00Z", 1440, &CALM);
    assert_eq!(world.engine.snapshot().services[0].state, State::Calm);
}

#[test]
fn a_dead_collector_is_silence_and_not_calm() {
    let mut world = World::new(11, 1, "2025-03-03T00:00:00Z");
    world.play("2025-03-03T00:00:00Z", 3 * 1440, &CALM);
    let before = world.engine.snapshot();
    assert_eq!((before.silences.len(), before.services[0].state), (0, State::Calm));
    world.play("2025-03-06T00:00:00Z", 45, &[]);
    let deaf = world.engine.snapshot();
    assert_eq!(deaf.silences.iter().map(|silence| silence.facet).collect::<Vec<_>>(), [Facet::All]);
    let found = deaf.silences[0];
    assert!(found.since <= "2025-03-06T00:00:00Z".parse().expect("a time"), "{found:?}");
    assert!(found.expected > 80.0 && found.recurrence_years > 1.0, "{found:?}");
    assert_eq!(deaf.services[0].state, State::Insufficient);
    assert!(
        deaf.services[0].verdict.reasons.iter().any(|reason| matches!(reason, Reason::NothingComesIn { .. }))
    );
    // What was not collected is a gap in the chart, not a zero.
    let bars = &deaf.services[0].chart.bars;
    assert_eq!(bars[bars.len() - 4].count, None);
    world.play("2025-03-06T00:45:00Z", 20, &CALM);
    let after = world.engine.snapshot();
    assert_eq!((after.silences.len(), after.services[0].state), (0, State::Calm));
    // Two days later nothing of it is in what is usual.
    world.play("2025-03-06T01:05:00Z", 2 * 1440, &CALM);
    let usual = world.engine.snapshot().services[0].usual.mean;
    assert!((usual - before.services[0].usual.mean).abs() < 8.0, "{usual}");
    assert_eq!(world.changes, vec![]);
}

#[test]
fn a_country_that_is_cut_off_is_told_and_the_rest_goes_on() {
    let mut world = World::new(12, 1, "2025-03-03T00:00:00Z");
    let usual = [("US", 3.0), ("PK", 2.0)];
    world.play("2025-03-03T00:00:00Z", 3 * 1440, &usual);
    // Two in an hour still get through.
    world.play("2025-03-06T00:00:00Z", 120, &[("US", 3.0), ("PK", 0.03)]);
    let snapshot = world.engine.snapshot();
    let silent: Vec<Facet> = snapshot.silences.iter().map(|silence| silence.facet).collect();
    assert_eq!(silent, [Facet::Country("PK".parse().expect("a code"))]);
    assert_eq!(snapshot.services[0].state, State::Calm);
    world.play("2025-03-06T02:00:00Z", 20, &usual);
    assert_eq!(world.engine.snapshot().silences, []);
}

#[test]
fn a_night_is_no_silence() {
    let mut world = World::new(13, 1, "2025-03-03T00:00:00Z");
    for hour in 0..24 * 6 {
        let start = "2025-03-03T00:00:00Z".parse::<UtcTime>().expect("a time").plus_seconds(hour * 3600);
        let rate = if hour % 24 < 6 { 0.05 } else { 2.0 };
        for minute in 0..60 {
            world.minute(start.plus_seconds(minute * 60), &[("US", rate)]);
            if hour > 24 * 4 && minute % 10 == 0 {
                assert_eq!(world.engine.snapshot().silences, [], "hour {hour}");
            }
        }
    }
}

#[test]
fn an_incident_does_not_end_while_nothing_comes_in() {
    let mut world = World::new(7, 1, "2025-03-03T00:00:00Z");
    world.play("2025-03-03T00:00:00Z", 3 * 1440 + 600, &CALM);
    world.play("2025-03-06T10:00:00Z", 40, &[("US", 90.0), ("GB", 3.0), ("PK", 0.3)]);
    world.play("2025-03-06T10:40:00Z", 120, &[]);
    let deaf = world.engine.snapshot();
    assert_eq!(deaf.services[0].state, State::Confirmed);
    world.play("2025-03-06T12:40:00Z", 60, &CALM);
    assert_eq!(world.engine.snapshot().services[0].state, State::Calm);
}

#[test]
fn a_partner_who_sends_every_ten_minutes_is_not_silent_in_between() {
    let mut world = World::new(14, 1, "2025-03-03T00:00:00Z");
    let start: UtcTime = "2025-03-03T00:00:00Z".parse().expect("a time");
    for batch in 0..4 * 144 {
        let at = start.plus_seconds(batch * 600);
        world.minute(at, &[("US", 60.0)]);
        for minute in 1..10 {
            world.minute(at.plus_seconds(minute * 60), &[]);
            assert_eq!(world.engine.snapshot().silences, [], "{batch} {minute}");
        }
    }
    world.play("2025-03-07T00:00:00Z", 60, &[]);
    assert_eq!(world.engine.snapshot().silences.len(), 1);
}
