use super::*;

/// What was reached on the 30 series, less a little: a step back is refused.
const DECLARED_MIN: f64 = 74.0;

#[test]
fn ours_does_not_step_back_on_labelled_windows() {
    let folder = Path::new(FOLDER);
    if !folder.exists() {
        println!("skipped: {FOLDER} is not there");
        return;
    }
    let corpus = corpus::read(folder).expect("series and windows");
    let mut tally = Tally::default();
    for series in &corpus {
        let judge = Judge::of(series);
        tally = tally.plus(judge.tally(&ours(series), busy::CALL));
    }
    let score = tally.score().expect("windows");
    assert!(score >= DECLARED_MIN, "{score}: {tally:?}");
}

#[test]
fn halves_hold_half_of_every_category() {
    let series = |name: &str| Series {
        name: name.to_owned(),
        times: (0..100).map(brownout_core::model::UtcTime::from_seconds).collect(),
        values: vec![0.0; 100],
        windows: vec![(50, 59)],
    };
    let corpus: Vec<Series> = ["a/1", "a/2", "a/3", "b/1", "b/2"].map(series).to_vec();
    assert_eq!(categories(&corpus), ["a", "b"]);
    let judges: Vec<Judge> = corpus.iter().map(Judge::of).collect();
    let mut scores = vec![0.0; 100];
    scores[50] = 1.0;
    let parts: Vec<(&Judge, &[f64])> = judges.iter().map(|judge| (judge, &scores[..])).collect();
    // A perfect detector is perfect on every half, and chosen before one that says nothing.
    let silence = vec![0.0; 100];
    let silent: Vec<(&Judge, &[f64])> = judges.iter().map(|judge| (judge, &silence[..])).collect();
    assert!((crossed(&corpus, &[silent.clone(), parts, silent], 7) - 100.0).abs() < 1e-9);
}
