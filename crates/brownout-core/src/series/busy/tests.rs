use proptest::prelude::*;

use super::*;

const STEP_SECONDS: i64 = 300;

fn at(row: usize) -> UtcTime {
    UtcTime::from_seconds(1_700_000_000 + row as i64 * STEP_SECONDS)
}

fn answers(values: &[f64]) -> Vec<Answer> {
    let mut busy = Busy::default();
    values.iter().enumerate().map(|(row, value)| busy.step(at(row), *value).expect("finite")).collect()
}

/// Numbers in [0, 1) that look like chance and are always the same.
fn noise(row: usize) -> f64 {
    let mixed = (row as u64 ^ 0x9E37).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed >> 40) as f64 / (1_u64 << 24) as f64
}

/// Two weeks with a day of `height` between eight and sixteen o'clock.
fn days(height: f64) -> Vec<f64> {
    let hour = |row: usize| at(row).seconds() / 3600 % 24;
    (0..14 * 288).map(|row| if (8..16).contains(&hour(row)) { height } else { 20.0 } + noise(row)).collect()
}

fn called(answers: &[Answer]) -> Vec<usize> {
    (0..answers.len()).filter(|row| answers[*row].score >= CALL).collect()
}

#[test]
fn constant_series_and_exact_patterns_are_never_called() {
    assert!(answers(&[45.0; 5000]).iter().all(|answer| answer.score == 0.0));
    let square: Vec<f64> = (0..5000).map(|row| if row / 144 % 2 == 0 { 20.0 } else { 80.0 }).collect();
    let calls = called(&answers(&square));
    assert!(calls.iter().all(|row| *row < 2 * 288), "after two days a day is no news: {calls:?}");
}

#[test]
fn a_flat_series_that_jumps_is_called_at_once_and_once() {
    let mut values = vec![45.0; 3000];
    values[2000..].fill(46.0);
    assert_eq!(called(&answers(&values)), [2000]);
}

#[test]
fn calm_noise_is_called_a_few_times_a_month_at_most() {
    let uniform: Vec<f64> = (0..8640).map(noise).collect();
    let calls = called(&answers(&uniform)).len();
    assert!(calls <= 5, "{calls}");
    let normal: Vec<f64> = (0..8640).map(|row| (0..12).map(|part| noise(12 * row + part)).sum()).collect();
    let calls = called(&answers(&normal)).len();
    assert!(calls <= 25, "{calls}");
}

#[test]
fn a_spike_a_drop_and_a_new_level_are_called_at_once() {
    for change in [-200.0, 40.0, 300.0] {
        for rows in [1, 50, 1000] {
            let mut values = days(80.0);
            values[3000..(3000 + rows).min(14 * 288)].iter_mut().for_each(|value| *value += change);
            let answers = answers(&values);
            assert!(called(&answers).contains(&3000), "{change} for {rows}: {:?}", answers[3000]);
        }
    }
}

#[test]
fn a_day_that_does_not_come_is_called_by_the_time_of_day() {
    let mut values = days(80.0);
    let hour = |row: usize| at(row).seconds() / 3600 % 24;
    let begins = (2600..).find(|row| hour(*row) == 8).expect("a morning");
    let last = begins + 8 * 12;
    for (row, value) in values.iter_mut().enumerate().take(last).skip(begins) {
        *value = 20.0 + noise(row);
    }
    let answers = answers(&values);
    let first = called(&answers).into_iter().find(|row| (begins..last).contains(row)).expect("called");
    assert_eq!(answers[first].view, View::TimeOfDay);
    assert!(first < begins + 24, "called {} rows after the day should have begun", first - begins);
}

#[test]
fn what_was_seen_surprises_no_more() {
    let mut values = days(80.0);
    for spike in [1500, 1800, 2400, 3500] {
        values[spike] = 500.0 + 3.0 * noise(spike);
    }
    let answers = answers(&values);
    assert!(answers[1500].score >= CALL);
    assert!(answers[3500].surprise < answers[1500].surprise / 2.0, "{:?}", answers[3500]);
}

#[test]
fn what_is_not_a_number_is_refused_and_leaves_no_trace() {
    let (mut clean, mut dirty) = (Busy::default(), Busy::default());
    for row in 0..400 {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(dirty.step(at(row), bad), Err(Refused::NotANumber));
        }
        assert_eq!(clean.step(at(row), noise(row)), dirty.step(at(row), noise(row)));
    }
}

#[test]
fn gaps_and_clocks_that_are_set_back_are_borne() {
    let mut busy = Busy::default();
    let times =
        [0, 300, 300, -5_000_000, 86_400 * 400, 86_400 * 400 - 3600, i64::MAX / 1000, i64::MIN / 1000];
    for (row, seconds) in times.iter().cycle().take(1000).enumerate() {
        let answer = busy.step(UtcTime::from_seconds(*seconds), noise(row)).expect("finite");
        assert!((0.0..=1.0).contains(&answer.score));
    }
}

#[test]
fn memory_is_bounded() {
    let mut busy = Busy::default();
    for row in 0..3 * memory::ROWS {
        busy.step(at(row), noise(row)).expect("finite");
    }
    assert_eq!(busy.recent.len(), NEWS_ROWS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn scores_are_in_their_range_and_know_nothing_of_later_rows(
        values in proptest::collection::vec(prop_oneof![-1e3..1e3_f64, any::<f64>()], 60..400),
        cut in 0.0..1.0_f64,
    ) {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let all = answers(&values);
        prop_assert!(all.iter().all(|answer| (0.0..=1.0).contains(&answer.score)));
        prop_assert!(all.iter().all(|answer| answer.surprise >= 0.0 && answer.level.is_finite()));
        let cut = (values.len() as f64 * cut) as usize;
        prop_assert_eq!(&answers(&values[..cut])[..], &all[..cut]);
    }
}
