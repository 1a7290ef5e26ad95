//! The benchmark command runs from end to end against the real program. No figure is judged: that
//! is for a quiet machine.

use std::path::Path;

use brownout_lab::bench::{Settings, run};

#[test]
fn a_quick_benchmark_measures_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_brownout"));
    let settings = Settings { folder: folder.path().join("bench"), ..Settings::quick(program.to_owned()) };
    let paper = run(&settings).expect("measured");
    for figure in [
        "demo: start to first page",
        "serve: idle memory",
        "trivial handler",
        "durable single reports/s",
        "batch intake, reports/s",
        "replay of a log of the batches above",
        "replay of a log of the same, sealed",
        "replay of a log of the scenario",
        "service page/s, 64 connections",
        "service page/s while batches flood in",
        "active series in an engine",
        "active series in the program",
    ] {
        let line = paper.lines().find(|line| line.starts_with('|') && line.contains(figure));
        assert!(
            line.is_some_and(|line| line.chars().any(|char| ('1'..='9').contains(&char))),
            "{figure}\n{paper}"
        );
    }
}
