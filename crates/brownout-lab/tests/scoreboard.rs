//! A small scoreboard: a step back of the detectors is refused.

use brownout_lab::scoreboard::{Section, Settings, run};

#[test]
fn no_detector_of_ours_steps_back() {
    let settings = Settings { months_per_class: 40, ..Settings::quick(2) };
    let board = run(&settings, &[Section::FiveMinutes], |_| {});
    let missed: Vec<_> = board.bars.iter().filter(|bar| !bar.met).collect();
    assert!(board.bars.len() == 4 && missed.is_empty(), "{missed:#?}\n{board}");
}

#[test]
fn the_daily_watch_does_not_step_back() {
    let settings = Settings { daily_runs: 3, daily_calm_runs: 12, ..Settings::quick(2) };
    let board = run(&settings, &[Section::Daily], |_| {});
    let missed: Vec<_> = board.bars.iter().filter(|bar| !bar.met).collect();
    assert!(board.bars.len() == 3 && missed.is_empty(), "{missed:#?}\n{board}");
}

#[test]
fn threads_change_no_figure() {
    let settings = |threads| Settings { months_per_class: 2, ..Settings::quick(threads) };
    let board = |threads| run(&settings(threads), &[Section::FiveMinutes], |_| {}).to_string();
    assert_eq!(board(1), board(3));
}
