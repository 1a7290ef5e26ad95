//! A small scoreboard: a step back of the detectors is refused.

use brownout_lab::scoreboard::{Section, Settings};

#[test]
fn no_detector_of_ours_steps_back() {
    let settings = Settings { months_per_class: 40, ..Settings::quick(2) };
    let board = Section::FiveMinutes.measure(&settings, |_| {});
    let missed: Vec<_> = board.bars.iter().filter(|bar| !bar.met).collect();
    assert!(board.bars.len() == 4 && missed.is_empty(), "{missed:#?}\n{board}");
}

#[test]
fn the_daily_watch_does_not_step_back() {
    // A rate of one in a hundred cannot be told from so few runs; sensitivity and delay can.
    let settings = Settings { daily_runs: 2, daily_calm_runs: 1, ..Settings::quick(2) };
    let board = Section::Daily.measure(&settings, |_| {});
    assert!(board.bars.len() == 3 && board.bars[..2].iter().all(|bar| bar.met), "{board}");
}

#[test]
fn outages_among_real_reports_are_found_where_they_are() {
    let board = Section::Spectrum.measure(&Settings::quick(2), |_| {});
    if board.bars.is_empty() {
        println!("skipped: the real reports are not there");
        return;
    }
    let missed: Vec<_> = board.bars.iter().filter(|bar| !bar.met).collect();
    assert!(board.bars.len() == 3 && missed.is_empty(), "{missed:#?}\n{board}");
}

#[test]
fn no_innocent_service_of_the_published_pairs_is_blamed() {
    // A simulated world takes minutes; the documented incidents take seconds and allow no error.
    let settings = Settings { echo_engines: 0, ..Settings::quick(2) };
    let board = Section::Echoes.measure(&settings, |_| {});
    assert!(board.bars.len() == 2 && board.bars.iter().all(|bar| bar.met), "{board}");
}

#[test]
fn threads_change_no_figure() {
    let settings = |threads| Settings { months_per_class: 2, ..Settings::quick(threads) };
    let board = |threads| Section::FiveMinutes.measure(&settings(threads), |_| {}).to_string();
    assert_eq!(board(1), board(3));
}
