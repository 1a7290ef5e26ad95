//! The recorder writes what snapshots tell, and judges expectations by it.

use std::sync::Arc;

use brownout_core::model::{
    Catalogue, CityId, CountryCode, Facet, Geography, IncidentId, Minute, Seq, ServiceId, UtcTime,
};
use brownout_core::snapshot::{
    Band, Change, Chart, IncidentView, Onset, PlaceView, Rarest, ScopeView, ServiceView, Snapshot, State,
    TimelineEntry, Totals, Wave,
};
use brownout_core::verdict::{Confidence, Locus, Reason, Verdict};
use brownout_lab::Scenario;
use brownout_lab::timeline::{Difference, Recorder, Timeline};

const SCENARIO: &str = r#"
title "t"
start 2025-03-10T09:00Z
end 2025-03-10T12:00Z
service x social "X"
city PK-PB Lahore 1172451 30%
city PK-SD Karachi 1174872 20%
expect 10:02 x PK possible observed 65
expect 10:02 x PK possible observed 60 within 4
expect 10:02 x PK confirmed
expect by 10:02 x PK possible
expect by 10:01 x PK possible
expect one incident x
expect no incident
expect never confirmed x
expect peak x PK 109 at 10:30
expect peak x PK 65 at 10:02
expect wave x PK 65 within 1 at 10:02
expect waves x PK at least 2
expect waves x PK at least 3
expect places x PK Lahore
expect places x PK Lahore, Karachi
expect networks x PK 17557
"#;

fn at(time: &str) -> UtcTime {
    format!("2025-03-10T{time}:00Z").parse().expect("a time")
}

fn pk() -> Facet {
    Facet::Country("PK".parse::<CountryCode>().expect("a country"))
}

fn lahore() -> Facet {
    Facet::City(CityId::new(1_172_451).expect("not zero"))
}

fn scope(facet: Facet, state: State) -> ScopeView {
    let minute = |time| at(time).minute();
    ScopeView {
        facet,
        state,
        since: at("10:02"),
        confirmed_at: None,
        ended_at: None,
        observed: 65,
        expected: 1.5,
        peak: 109,
        peak_at: minute("10:30"),
        rarest: Rarest::default(),
        onset: Onset { earliest: minute("09:45"), likeliest: minute("09:47"), latest: minute("09:50") },
        settled: None,
        waves: vec![
            Wave { start: minute("09:47"), peak_at: minute("10:02"), peak: 65, end: Some(minute("10:10")) },
            Wave { start: minute("10:20"), peak_at: minute("10:30"), peak: 109, end: None },
        ],
    }
}

fn verdict() -> Arc<Verdict> {
    Arc::new(Verdict {
        service: ServiceId(0),
        incident: None,
        revision: 0,
        as_of: at("10:00"),
        state: State::Calm,
        since: None,
        extent: Vec::new(),
        located: None,
        locus: Locus::NoIncident,
        confidence: Confidence::Weak,
        reasons: Vec::new(),
        looked_at: Vec::new(),
        not_looked_at: Vec::new(),
        ruleset: 1,
        policy: String::new(),
        hash: String::new(),
    })
}

fn snapshot(scenario: &Scenario, serial: u64, time: &str, changes: &[(&str, Facet, Change)]) -> Snapshot {
    let entry = |(time, facet, change): &(&str, Facet, Change)| TimelineEntry {
        at: at(time),
        facet: *facet,
        change: change.clone(),
        observed: 65,
        expected: 1.504,
    };
    let incident = IncidentView {
        id: IncidentId { service: ServiceId(0), opened: Minute(at("10:02").minute().0) },
        version: serial,
        state: State::Possible,
        opened_at: at("10:02"),
        confirmed_at: None,
        ended_at: None,
        held: None,
        doubts: Vec::new(),
        scopes: vec![
            scope(Facet::All, State::Possible),
            scope(pk(), State::Possible),
            scope(lahore(), State::Possible),
        ],
        timeline: changes.iter().map(entry).collect(),
        verdicts: Vec::new(),
        chart: Chart::default(),
    };
    let view = ServiceView {
        service: ServiceId(0),
        version: serial,
        state: State::Possible,
        learning: false,
        incident: None,
        since: None,
        observed: 70,
        usual: Band::default(),
        verdict: verdict(),
        chart: Chart::default(),
        kinds: Vec::new(),
        channels: Vec::new(),
        page_views: 0,
        countries: vec![PlaceView {
            facet: pk(),
            state: State::Possible,
            since: None,
            observed: 65,
            expected: 1.5,
        }],
        regions: Vec::new(),
        cities: Vec::new(),
        networks: Vec::new(),
        incidents: Vec::new(),
        last_report_at: None,
        reach: None,
    };
    Snapshot {
        channels: Vec::new(),
        serial,
        at: at(time),
        seq: Seq(serial),
        last_report_at: None,
        catalogue: Arc::new(Catalogue::new(scenario.catalogue_entries(ServiceId(0))).expect("a catalogue")),
        services: vec![Arc::new(view)],
        silences: Vec::new(),
        disruptions: Vec::new(),
        incidents: if changes.is_empty() { Vec::new() } else { vec![Arc::new(incident)] },
        causes: Vec::new(),
        countries: Vec::new(),
        place_sources_min: 3,
        totals: Totals::default(),
    }
}

fn recorded() -> Recorder {
    let scenario = Arc::new(Scenario::parse(SCENARIO).expect("it parses"));
    let mut recorder = Recorder::new(Arc::clone(&scenario), Arc::new(Geography::default()));
    let opened = [("10:02", pk(), Change::Possible), ("10:02", lahore(), Change::Possible)];
    let later = [opened.as_slice(), &[("10:30", pk(), Change::Peak)]].concat();
    recorder.observe(&snapshot(&scenario, 1, "10:01", &[]));
    recorder.observe(&snapshot(&scenario, 2, "10:02", &opened));
    recorder.observe(&snapshot(&scenario, 3, "10:03", &opened));
    recorder.observe(&snapshot(&scenario, 4, "10:40", &later));
    recorder
}

#[test]
fn each_change_is_one_line_and_each_asked_moment_another() {
    let recorder = recorded();
    let lines: Vec<String> = recorder
        .timeline()
        .lines
        .iter()
        .map(|line| {
            format!("{} {} {} {}", &line.at.to_string()[11..16], line.scope, line.observed, line.change)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "10:02 PK 65 possible",
            "10:02 Lahore 65 possible",
            "10:02 PK 65 sampled",
            "10:02 PK 65 sampled",
            "10:02 PK 65 sampled",
            "10:30 PK 65 peak",
        ]
    );
}

#[test]
fn expectations_are_met_or_not() {
    let judged = recorded().judge();
    let met: Vec<bool> = judged.iter().map(|judged| judged.met).collect();
    let expected = [
        true, false, false, true, false, true, false, true, true, false, true, true, false, true, false,
        false,
    ];
    assert_eq!(met, expected, "{judged:#?}");
    assert_eq!(judged[6].reason, "x-2025-03-10-1002");
    assert_eq!(judged[14].reason, "Lahore; not among them: Karachi");
}

#[test]
fn timelines_are_written_and_compared() {
    let timeline = recorded().timeline().clone();
    let text = timeline.to_ndjson();
    assert_eq!(
        text.lines().next(),
        Some(
            r#"{"at":"2025-03-10T10:02:00Z","service":"x","scope":"PK","state":"possible","observed":65,"expected":1.5,"change":"possible"}"#
        )
    );
    let mut golden = Timeline::from_ndjson(&text).expect("its own text");
    assert_eq!(timeline.differences(&golden), []);
    golden.lines[0].observed = 64;
    assert_eq!(
        timeline.differences(&golden),
        [Difference::Missing(golden.lines[0].clone()), Difference::Unexpected(timeline.lines[0].clone())]
    );
    let array: Vec<serde_json::Value> = serde_json::from_str(&timeline.to_json()).expect("JSON");
    assert_eq!(array.len(), 6);
    assert_eq!(timeline.to_csv().lines().count(), 7);
    assert!(timeline.to_csv().contains("2025-03-10T10:02:00Z,x,Lahore,possible,65,1.5,possible"));
    assert!(timeline.to_table().contains("10:30:00Z"));
    assert!(Timeline::from_ndjson("{}").is_err());
}

#[test]
fn a_peak_tells_how_its_part_stood_then_and_a_guess_is_not_a_figure() {
    let scenario = Arc::new(Scenario::parse(SCENARIO).expect("it parses"));
    // A peak is told once it has passed: here all at once, when the part had long ended.
    let all = [
        ("10:02", pk(), Change::Possible),
        ("10:02", lahore(), Change::Possible),
        ("10:10", pk(), Change::Confirmed),
        ("11:20", pk(), Change::Ended),
        ("10:05", pk(), Change::Peak),
        ("10:30", pk(), Change::Peak),
        ("10:30", lahore(), Change::Peak),
    ];
    let mut over = snapshot(&scenario, 2, "11:21", &all);
    let mut incident = (*over.incidents[0]).clone();
    (incident.state, incident.scopes[1].state) = (State::Ended, State::Ended);
    let guess = Verdict { reasons: vec![Reason::StillLearning], ..(*verdict()).clone() };
    incident.verdicts = vec![Arc::new(guess)];
    over.incidents = vec![Arc::new(incident)];
    let mut recorder = Recorder::new(Arc::clone(&scenario), Arc::new(Geography::default()));
    recorder.observe(&over);
    let timeline = recorder.timeline();
    let peaks: Vec<State> =
        timeline.lines.iter().filter(|line| line.change == "peak").map(|line| line.state).collect();
    assert_eq!(peaks, [State::Possible, State::Confirmed, State::Possible]);
    let changes = || timeline.lines.iter().filter(|line| line.change != "sampled");
    assert!(changes().all(|line| line.expected.is_none()), "what is being learned is not known");
    assert!(timeline.to_ndjson().contains(r#""expected":null"#));
    assert_eq!(&Timeline::from_ndjson(&timeline.to_ndjson()).expect("readable"), timeline);
    assert!(timeline.to_csv().contains(",65,,peak"), "{}", timeline.to_csv());
    assert!(timeline.to_table().contains("unknown  peak"), "{}", timeline.to_table());
}
