//! What every adapter must keep: the suite runs against an adapter and panics where it does not.
//!
//! An adapter's own tests call [`run`]; a failed promise panics with the promise's words.

use std::sync::Arc;

use brownout_core::effect::{Derived, RollUp};
use brownout_core::model::{
    Asn, ChannelId, CountryCode, Evidence, Facet, IncidentId, Minute, PageViews, Place, ProblemKind, Record,
    Report, Seq, SeriesKey, ServiceId, SourceKeys, UtcTime, Weight,
};
use brownout_core::snapshot::{Chart, IncidentView, Rarest, State};
use brownout_core::verdict::{Confidence, Locus, Reason, Source, Verdict};

use crate::port::{Appended, Checkpoint, Checkpoints, DerivedStore, EvidenceLog, History, IncidentCursor};

/// The parts of a store that is open.
pub struct Parts {
    /// Its log.
    pub log: Box<dyn EvidenceLog>,
    /// Its checkpoints.
    pub checkpoints: Box<dyn Checkpoints>,
    /// Its derived store.
    pub derived: Box<dyn DerivedStore>,
    /// Its history.
    pub history: Arc<dyn History>,
}

/// Runs the whole suite. `new` makes an empty store and gives back what opens it: each call, after
/// the parts of the call before are dropped, must give what was kept.
pub fn run(new: &mut dyn FnMut() -> Box<dyn FnMut() -> Parts>) {
    an_empty_log_begins_at_one(&mut new());
    positions_have_no_gap_and_survive_reopening(&mut new());
    time_never_goes_back(&mut new());
    reading_begins_anywhere(&mut new());
    the_newest_checkpoint_not_after_is_found(&mut new());
    derived_state_is_applied_once(&mut new());
    history_keeps_its_order_and_limits(&mut new());
    pages_of_incidents_lose_none_and_repeat_none(&mut new());
    silence_is_told_from_nothing_known(&mut new());
}

type Open = Box<dyn FnMut() -> Parts>;

fn an_empty_log_begins_at_one(open: &mut Open) {
    let mut parts = open();
    assert_eq!((parts.log.first_seq(), parts.log.last_seq()), (Seq(1), Seq(0)), "an empty log begins at 1");
    assert_eq!(parts.log.last_received_at(), None, "an empty log has no time");
    assert_eq!(read(&parts, 0), [], "an empty log has no records");
    let appended = append(&mut parts, 5, &[vec![]]);
    assert_eq!(
        appended,
        [Appended { first_seq: Seq(1), received_at: time(5) }],
        "an empty batch takes no room"
    );
    assert_eq!(parts.log.last_seq(), Seq(0), "an empty batch takes no room");
    assert!(parts.checkpoints.newest(Seq(u64::MAX)).expect("readable").is_none(), "no checkpoint is there");
    assert_eq!(parts.derived.applied().expect("readable"), Seq(0), "nothing is applied");
}

fn positions_have_no_gap_and_survive_reopening(open: &mut Open) {
    let mut parts = open();
    let first = append(&mut parts, 1, &[batch(0, 3), batch(3, 1)]);
    let second = append(&mut parts, 2, &[batch(4, 2)]);
    let firsts: Vec<Seq> = first.iter().chain(&second).map(|it| it.first_seq).collect();
    assert_eq!(firsts, [Seq(1), Seq(4), Seq(5)], "positions follow without a gap");
    let before = read(&parts, 1);
    drop(parts);
    let mut parts = open();
    assert_eq!(read(&parts, 1), before, "what was appended is there after reopening");
    assert_eq!((parts.log.last_seq(), parts.log.last_received_at()), (Seq(6), Some(time(2))));
    assert_eq!(append(&mut parts, 3, &[batch(6, 1)])[0].first_seq, Seq(7), "positions go on after reopening");
    let evidence: Vec<Evidence> = read(&parts, 1).into_iter().map(|record| record.evidence).collect();
    assert_eq!(evidence, batch(0, 7), "records come back as they were");
}

fn time_never_goes_back(open: &mut Open) {
    let mut parts = open();
    append(&mut parts, 100, &[batch(0, 1)]);
    assert_eq!(append(&mut parts, 40, &[batch(1, 1)])[0].received_at, time(100), "time never goes back");
    drop(parts);
    let mut parts = open();
    assert_eq!(append(&mut parts, 50, &[batch(2, 1)])[0].received_at, time(100), "nor after reopening");
    assert_eq!(append(&mut parts, 101, &[batch(3, 1)])[0].received_at, time(101), "and then goes on");
}

fn reading_begins_anywhere(open: &mut Open) {
    let mut parts = open();
    append(&mut parts, 1, &[batch(0, 4), batch(4, 4)]);
    for from in 1..=9 {
        let positions: Vec<u64> = read(&parts, from).iter().map(|record| record.seq.0).collect();
        assert_eq!(positions, (from..=8).collect::<Vec<_>>(), "reading begins at {from}");
    }
}

fn the_newest_checkpoint_not_after_is_found(open: &mut Open) {
    let mut parts = open();
    append(&mut parts, 1, &[batch(0, 30)]);
    let make = |seq: u64| Checkpoint {
        seq: Seq(seq),
        engine: "1.2.3".to_owned(),
        policy: "abc".to_owned(),
        state: vec![seq as u8; 3000],
    };
    for seq in [10, 30, 20] {
        parts.checkpoints.save(&make(seq)).expect("saved");
    }
    drop(parts);
    let parts = open();
    let newest = |not_after: u64| parts.checkpoints.newest(Seq(not_after)).expect("readable");
    assert_eq!(newest(9), None);
    assert_eq!(newest(29), Some(make(20)), "the newest that is not after");
    assert_eq!(newest(u64::MAX), Some(make(30)), "a checkpoint comes back as it was");
}

fn derived_state_is_applied_once(open: &mut Open) {
    let mut parts = open();
    append(&mut parts, 1, &[batch(0, 20)]);
    let derived = |hundredths: u32| Derived {
        roll_ups: vec![roll_up(1, 5, hundredths)],
        incidents: vec![Arc::new(incident(1, 5))],
        verdicts: vec![Arc::new(verdict(1, 5, hundredths))],
        ..Derived::default()
    };
    parts.derived.apply(Seq(10), &derived(100)).expect("applied");
    parts.derived.apply(Seq(10), &derived(999)).expect("ignored");
    parts.derived.apply(Seq(9), &derived(999)).expect("ignored");
    for reopened in [false, true] {
        if reopened {
            drop(parts);
            parts = open();
        }
        let id = incident(1, 5).id;
        assert_eq!(parts.derived.applied().expect("readable"), Seq(10));
        let roll_ups = parts.history.roll_ups(roll_up(1, 5, 0).key, Minute(0), Minute(100), 10);
        assert_eq!(roll_ups.expect("readable"), [roll_up(1, 5, 100)], "a position is applied once");
        assert_eq!(parts.history.incident(id).expect("readable"), Some(incident(1, 5)));
        assert_eq!(parts.history.verdicts(id).expect("readable"), [verdict(1, 5, 100)]);
    }
    parts.derived.apply(Seq(11), &derived(7)).expect("applied");
    let verdicts = parts.history.verdicts(incident(1, 5).id).expect("readable");
    assert_eq!(verdicts, [verdict(1, 5, 7), verdict(1, 5, 100)], "by revision");
    let roll_ups = |parts: &Parts| {
        parts.history.roll_ups(roll_up(1, 5, 0).key, Minute(0), Minute(100), 10).expect("readable")
    };
    assert_eq!(roll_ups(&parts), [roll_up(1, 5, 7)], "a later position replaces");
    let sets = [(11, 999), (12, 8), (14, 9)].map(|(seq, it)| (Seq(seq), Box::new(derived(it))));
    parts.derived.apply_all(&sets).expect("applied");
    assert_eq!(parts.derived.applied().expect("readable"), Seq(14));
    assert_eq!(roll_ups(&parts), [roll_up(1, 5, 9)], "of several the last one counts");
    let verdicts = parts.history.verdicts(incident(1, 5).id).expect("readable");
    assert_eq!(verdicts, [7, 8, 9, 100].map(|revision| verdict(1, 5, revision)), "and none is lost");
}

fn history_keeps_its_order_and_limits(open: &mut Open) {
    let mut parts = open();
    append(&mut parts, 1, &[batch(0, 20)]);
    let derived = Derived {
        roll_ups: [15, 5, 10].map(|start| roll_up(1, start, start)).to_vec(),
        incidents: [7, 5, 9].map(|opened| Arc::new(incident(opened, opened))).to_vec(),
        ..Derived::default()
    };
    parts.derived.apply(Seq(3), &derived).expect("applied");
    let history = &parts.history;
    let key = roll_up(1, 5, 0).key;
    let starts = |from, to, limit| -> Vec<u32> {
        let found = history.roll_ups(key, Minute(from), Minute(to), limit).expect("readable");
        found.iter().map(|it| it.start.0).collect()
    };
    assert_eq!(starts(0, 100, 10), [5, 10, 15], "oldest first");
    assert_eq!(starts(5, 15, 10), [5, 10], "the end is not in it");
    assert_eq!(starts(0, 100, 2), [5, 10], "at most the limit");
    assert!(starts(15, 5, 2).is_empty(), "an empty interval is empty");
    let other = SeriesKey { facet: Facet::All, ..key };
    assert_eq!(history.roll_ups(other, Minute(0), Minute(100), 10).expect("readable"), []);
    let opened = |before: u32, limit| -> Vec<u32> {
        let found =
            history.incidents(IncidentCursor::before(Minute(before).start()), limit).expect("readable");
        found.iter().map(|view| view.id.opened.0).collect()
    };
    assert_eq!(opened(100, 10), [9, 7, 5], "latest first");
    assert_eq!(opened(9, 1), [7], "opened before, at most the limit");
    let unknown = IncidentId { service: ServiceId(99), opened: Minute(1) };
    assert_eq!(history.incident(unknown).expect("readable"), None);
    assert_eq!(history.verdicts(unknown).expect("readable"), []);
}

fn pages_of_incidents_lose_none_and_repeat_none(open: &mut Open) {
    let mut parts = open();
    append(&mut parts, 1, &[batch(0, 20)]);
    // Three of one tick, across two pages, and their neighbours in time.
    let all = [(8, 9), (1, 7), (3, 7), (12, 7), (2, 5)];
    let derived = Derived {
        incidents: all.map(|(service, opened)| Arc::new(incident(service, opened))).to_vec(),
        ..Derived::default()
    };
    parts.derived.apply(Seq(3), &derived).expect("applied");
    for limit in 1..=all.len() + 1 {
        let mut read = Vec::new();
        let mut from = IncidentCursor::before(UtcTime::MAX);
        loop {
            let page = parts.history.incidents(from, limit).expect("readable");
            let Some(last) = page.last() else { break };
            // As a reader keeps it: in an address.
            from = IncidentCursor::after(last).to_string().parse().expect("a cursor");
            read.extend(page.iter().map(|view| (view.id.service.0, view.id.opened.0)));
        }
        assert_eq!(read, all, "in pages of {limit}");
    }
    let at = Minute(7).start();
    let before = parts.history.incidents(IncidentCursor::before(at), 9).expect("readable");
    assert_eq!(before.len(), 1, "before a time is before all of that time");
    for text in ["", "~3", "2025-03-10T10:02:00Z~", "2025-03-10T10:02:00Z~x", "yesterday"] {
        assert!(text.parse::<IncidentCursor>().is_err(), "{text}");
    }
}

fn silence_is_told_from_nothing_known(open: &mut Open) {
    let mut parts = open();
    append(&mut parts, 1, &[batch(0, 20)]);
    let key = roll_up(1, 5, 0).key;
    let collected = |starts: &[u32], counted: &[u32]| Derived {
        collected: starts.iter().copied().map(Minute).collect(),
        roll_ups: counted.iter().map(|start| roll_up(1, *start, 100)).collect(),
        ..Derived::default()
    };
    let steps = |parts: &Parts, from, to, limit| {
        let found = parts.history.steps(key, Minute(from), Minute(to), limit).expect("readable");
        let counts: Vec<(u32, u32)> = found.steps.iter().map(|it| (it.start.0, it.hundredths)).collect();
        let usual = found.steps.iter().all(|it| it.expected.is_some() == (it.hundredths > 0));
        assert!(usual, "what is usual is known where something was counted");
        (counts, found.settled_until.map(|minute| minute.0))
    };
    assert_eq!(steps(&parts, 0, 100, 9), (vec![], None), "nothing is settled in a new store");
    parts.derived.apply(Seq(2), &collected(&[5, 10, 15], &[10])).expect("applied");
    parts.derived.apply(Seq(3), &collected(&[20], &[20])).expect("applied");
    parts.derived.apply(Seq(4), &collected(&[25], &[])).expect("applied");
    // From here to 40 nobody collected.
    parts.derived.apply(Seq(5), &collected(&[40, 45], &[35])).expect("applied");
    drop(parts);
    let parts = open();
    let all = vec![(10, 100), (15, 0), (20, 100), (25, 0), (35, 100), (40, 0), (45, 0)];
    assert_eq!(steps(&parts, 0, 100, 9), (all, Some(50)), "zeros from the first count on, and gaps");
    let cut = vec![(15, 0), (20, 100), (25, 0)];
    assert_eq!(steps(&parts, 12, 30, 9), (cut, Some(50)), "only what was asked for");
    assert_eq!(steps(&parts, 0, 100, 2).0, [(10, 100), (15, 0)], "at most the limit");
    assert_eq!(steps(&parts, 60, 100, 9), (vec![], Some(50)), "and where it ends");
    let spans = parts.history.collected(Minute(0), Minute(100)).expect("readable").spans;
    assert_eq!(spans, [(Minute(5), Minute(30)), (Minute(40), Minute(50))]);
}

fn append(parts: &mut Parts, seconds: i64, batches: &[Vec<Evidence>]) -> Vec<Appended> {
    parts.log.append(time(seconds), batches).expect("appended")
}

fn read(parts: &Parts, from: u64) -> Vec<Record> {
    parts.log.read(Seq(from)).expect("readable").map(|record| record.expect("whole")).collect()
}

fn time(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(1_741_600_000 + seconds)
}

fn batch(start: u64, count: u64) -> Vec<Evidence> {
    let country = CountryCode::new(*b"PK");
    let one = |number: u64| match number % 4 {
        0 => Evidence::Tick,
        1 => Evidence::PageViews(PageViews { service: ServiceId(2), country, count: number as u32 }),
        2 => Evidence::Engine { version: format!("0.{number}") },
        _ => Evidence::Report(Report {
            service: ServiceId(1),
            kind: ProblemKind::Login,
            channel: ChannelId::WEB,
            occurred_at: time(number as i64),
            place: Place { country, region: None, city: None },
            network: Asn::new(17_557),
            source: SourceKeys { generation: 1, source: number, subnet: number / 4, previous: None },
            weight: Weight::FULL,
        }),
    };
    (start..start + count).map(one).collect()
}

fn roll_up(service: u32, start: u32, hundredths: u32) -> RollUp {
    let facet = CountryCode::new(*b"GB").map_or(Facet::All, Facet::Country);
    let key = SeriesKey { service: ServiceId(service), facet };
    RollUp { key, start: Minute(start), hundredths, expected: 1.5 }
}

fn incident(service: u32, opened: u32) -> IncidentView {
    let opened = Minute(opened);
    IncidentView {
        id: IncidentId { service: ServiceId(service), opened },
        version: 3,
        state: State::Confirmed,
        opened_at: opened.start(),
        confirmed_at: Some(opened.end()),
        ended_at: None,
        held: None,
        doubts: Vec::new(),
        scopes: Vec::new(),
        timeline: Vec::new(),
        verdicts: vec![Arc::new(verdict(service, opened.0, 1))],
        chart: Chart::default(),
    }
}

fn verdict(service: u32, opened: u32, revision: u32) -> Verdict {
    let incident = IncidentId { service: ServiceId(service), opened: Minute(opened) };
    let rarest = Rarest { minutes: 60, observed: 90, expected: 0.4, recurrence_years: 1.0e12 / 3.0 };
    let facet = Facet::All;
    Verdict {
        service: incident.service,
        incident: Some(incident),
        revision,
        as_of: incident.opened.start(),
        state: State::Confirmed,
        since: Some(incident.opened.start()),
        extent: vec![Facet::All],
        located: None,
        locus: Locus::Undetermined,
        confidence: Confidence::Weak,
        reasons: vec![Reason::ReportsAboveUsual { facet, observed: 65, expected: 0.1, rarest }],
        looked_at: vec![Source::Crowd],
        not_looked_at: vec![Source::Routing],
        ruleset: 1,
        policy: "abc".to_owned(),
        hash: "def".to_owned(),
    }
}
