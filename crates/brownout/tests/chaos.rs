//! Three rounds of what `lab chaos` does fifty times.

use std::path::Path;
use std::time::Duration;

use brownout_lab::lab::chaos::{Chaos, play};

#[test]
fn killed_under_load_it_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut chaos = Chaos::new(Path::new(env!("CARGO_BIN_EXE_brownout")).to_owned(), folder.path().join("c"));
    chaos.load = (Duration::from_millis(500), Duration::from_millis(1500));
    let figures = play(&chaos, |line| println!("{line}")).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{figures}");
    assert_eq!((figures.rounds, figures.killed, figures.without_database), (3, 3, 1));
    assert_eq!((figures.lost, figures.twice), (0, 0));
    assert!(figures.single > 0 && figures.lines > 0, "there was load");
}
