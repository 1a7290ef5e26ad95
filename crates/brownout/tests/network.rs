//! The real program among real servers and real packets, in network namespaces of its own. All scenarios:
//! `cargo run --release -p brownout-lab --features lab -- reach`.

use std::path::Path;

use brownout_lab::lab::reach::{Lab, missing};
use brownout_lab::reach::scenarios;

/// A block, and everything that must not be taken for one.
const PLAYED: [&str; 5] = [
    "resets for the name in the handshake",
    "the site is down",
    "the site refuses one country",
    "IPv6 is broken everywhere",
    "a probe with a broken resolver",
];

#[test]
fn a_block_is_told_from_what_is_none() {
    if let Some(why) = missing() {
        println!("skip: no real packets here: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_brownout"));
    let mut lab = Lab::new(program, folder.path(), 1).unwrap_or_else(|error| panic!("{error}"));
    let all = scenarios();
    for name in PLAYED {
        let scenario = all.iter().find(|scenario| scenario.name == name).expect(name);
        let outcome = lab.play(scenario, 1).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut expected = scenario.expected.clone();
        expected.sort();
        assert_eq!(outcome.told, expected, "{name}");
        assert!(outcome.is_bracketed && outcome.is_ended, "{name}: {outcome:?}");
    }
}
