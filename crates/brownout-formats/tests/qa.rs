//! Simulated measurements of web connectivity 0.5 against what was written of them before.

use std::path::Path;

use brownout_core::reach::{Fingerprints, analyse};

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
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
