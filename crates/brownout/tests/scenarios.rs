//! Every shipped scenario through intake and engine: its expectations hold, and the timeline of the
//! reference incident is the golden one, line by line.

use std::path::Path;
use std::sync::Arc;

use brownout::host::stage::perform;
use brownout::reference::catalogue;
use brownout_core::model::Policy;
use brownout_lab::timeline::{Difference, Timeline};
use brownout_lab::{Scenario, find, scenarios};

/// Set to write the golden file anew.
const UPDATE: &str = "BROWNOUT_UPDATE_GOLDEN";

/// Plays a scenario with its own seed; its timeline, after all expectations held.
fn play(name: &str) -> Timeline {
    let script = Arc::new(Scenario::parse(find(name).expect("a shipped scenario")).expect("it parses"));
    let known = catalogue::load(None).expect("the shipped catalogue");
    let (recorder, stage) =
        perform(&script, None, &Policy::default(), &known, |_| ()).expect("it can be played");
    assert_eq!(stage.refused, (0, None), "{name}: lines were refused");
    assert!(!script.expectations.is_empty(), "{name} expects nothing");
    for judged in recorder.judge() {
        assert!(judged.met, "{name}: {} not met: {}", judged.expectation, judged.reason);
    }
    recorder.timeline().clone()
}

#[test]
fn the_reference_incident_unfolds_as_it_is_written_down() {
    let timeline = play("x-2025-03-10");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/x-2025-03-10.ndjson");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, timeline.to_ndjson()).expect("written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file");
    let golden = Timeline::from_ndjson(&golden).expect("the golden file parses");
    let differences: Vec<Difference> = timeline.differences(&golden);
    assert!(differences.is_empty(), "set {UPDATE}=1 if this is right: {differences:#?}");
    assert_eq!(timeline.lines.len(), golden.lines.len());
}

#[test]
fn a_calm_day_of_three_hundred_services_has_no_incident() {
    assert!(play("calm-300").lines.iter().all(|line| line.change == "sampled"));
}

#[test]
fn the_other_shipped_scenarios_go_as_they_say() {
    let apart = ["x-2025-03-10", "calm-300"];
    let names: Vec<&str> =
        scenarios().iter().map(|(name, _)| *name).filter(|name| !apart.contains(name)).collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        play(name);
    }
}
