//! Where it fails: scripts whose extents are known, straight through the engine.

use std::sync::Arc;

use brownout_core::model::{Catalogue, Evidence, Geography, Policy, ServiceId};
use brownout_lab::direct::{Direct, report};
use brownout_lab::timeline::{Judged, Recorder};
use brownout_lab::{ExpectationKind, Pace, Player, Scenario, find};

/// What became of a script's expectations, played with one seed.
fn play(name: &str, seed: Option<u64>) -> Vec<Judged> {
    let scenario = Arc::new(Scenario::parse(find(name).expect("a shipped scenario")).expect("it parses"));
    let catalogue = Catalogue::new(scenario.catalogue_entries(ServiceId(0))).expect("a catalogue");
    let mut recorder = Recorder::new(scenario.clone(), Geography::embedded());
    let mut direct = Direct::new(catalogue.clone(), &Policy::default(), scenario.plays_from());
    for step in Player::new(scenario, seed, Pace::default()) {
        direct.pass(step.clock.plus_millis(-1), |engine, _| recorder.observe(&engine.snapshot()));
        let lines = step.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines {
            let report = report(line, &catalogue).expect("a report");
            direct.tell(step.clock, &Evidence::Report(report));
        }
    }
    recorder.observe(&direct.engine.snapshot());
    recorder.judge()
}

#[test]
fn scripts_say_where_it_fails() {
    for name in ["city-outage", "isp-outage", "isp-200", "growing"] {
        for judged in play(name, None) {
            assert!(judged.met, "{name}: {} not met: {}", judged.expectation, judged.reason);
        }
    }
}

#[test]
fn the_extent_does_not_hang_on_the_seed() {
    for name in ["city-outage", "isp-outage", "isp-200", "growing"] {
        for seed in 100..106 {
            for judged in play(name, Some(seed)) {
                let is_extent = matches!(judged.expectation.kind, ExpectationKind::Extent { .. });
                assert!(
                    judged.met || !is_extent,
                    "{name}, seed {seed}: {} not met: {}",
                    judged.expectation,
                    judged.reason
                );
            }
        }
    }
}
