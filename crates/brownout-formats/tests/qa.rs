//! Simulated measurements of web connectivity 0.5 against what was written of them before.

use std::path::Path;

use brownout_core::reach::{Fingerprints, Measurement, analyse, flags};

const EXPECTED: &str = include_str!("../../brownout-lab/reach/wc05-qa.txt");

#[test]
fn simulated_measurements_are_judged_as_was_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ooni/wc05-qa");
    if !folder.is_dir() {
        println!("skip: {} is not there", folder.display());
        return;
    }
    let mut wrong = Vec::new();
    for line in EXPECTED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [name, state, mechanism, _] = parts[..] else { panic!("{line}") };
        let document = std::fs::read(folder.join(format!("{name}.json"))).expect("a measurement");
        let measurement = brownout_formats::ooni::read(&document).expect(name);
        let analysis = analyse(&measurement, &Fingerprints::default());
        let ours = (analysis.state.word(), analysis.mechanism.map_or("-", |mechanism| mechanism.word()));
        if ours != (state, mechanism) {
            wrong.push(format!("{name}: {ours:?}, not {state} {mechanism}: {:?}", analysis.findings));
        }
        // What is kept of it says the same, also when it was written and read.
        let kept = measurement.keep(&Fingerprints::default());
        let text = serde_json::to_string(&kept).expect("JSON");
        let again: Measurement = serde_json::from_str(&text).expect(name);
        assert_eq!(again, kept, "{name}");
        assert_eq!(analyse(&kept, &Fingerprints::default()), analysis, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_flags_are_those_in_the_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ooni/wc05-qa");
    if !folder.is_dir() {
        println!("skip: {} is not there", folder.display());
        return;
    }
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let document = std::fs::read(&path).expect("a measurement");
        let measurement = brownout_formats::ooni::read(&document).expect("a measurement");
        let keys = serde_json::from_slice::<serde_json::Value>(&document).expect("JSON")["test_keys"].take();
        let ours = flags(&measurement);
        let number = |name: &str| keys[name].as_u64().unwrap_or(0);
        let verdict = keys["blocking"].as_str();
        let theirs = (number("x_blocking_flags"), number("x_null_null_flags"), number("x_dns_flags"));
        let same = (u64::from(ours.blocking.0), u64::from(ours.null_null.0), u64::from(ours.dns.0)) == theirs
            && ours.verdict == verdict
            && ours.accessible == keys["accessible"].as_bool();
        if !same {
            wrong.push(format!(
                "{}: {ours:?}, not {theirs:?} {verdict:?} {}",
                path.display(),
                keys["accessible"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
