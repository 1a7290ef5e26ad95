//! What each part of ours contributes.

use brownout_core::series::busy::{CALL, Views};

use super::corpus::Series;
use super::entrants::only_news;
use super::scorer::{self, Judge};
use super::{PARTINGS, Parts, Settings, Table, answers, crossed, in_parallel};

/// Ours with something left out: how the views are put together, and whether only news is called.
struct Variant {
    name: &'static str,
    together: fn(Views) -> f64,
    only_news: bool,
}

const VARIANTS: [Variant; 7] = [
    Variant { name: "whole", together: |views| whole(views), only_news: true },
    Variant {
        name: "without the rule that only news is called",
        together: |views| whole(views),
        only_news: false,
    },
    Variant {
        name: "without the time of day",
        together: |views| 0.5 * (views.value + views.residual),
        only_news: true,
    },
    Variant {
        name: "without the residual",
        together: |views| views.value.max(0.5 * views.time_of_day),
        only_news: true,
    },
    Variant { name: "the value alone", together: |views| views.value, only_news: true },
    Variant { name: "the residual alone", together: |views| views.residual, only_news: true },
    Variant { name: "the time of day alone", together: |views| views.time_of_day, only_news: true },
];

fn whole(views: Views) -> f64 {
    (0.5 * (views.value + views.residual)).max(0.5 * views.time_of_day)
}

pub(super) fn table(settings: &Settings, corpus: &[Series], judges: &[Judge]) -> Table {
    let views = in_parallel(settings.threads, corpus.len() as u32, |series| {
        let answers = answers(&corpus[series as usize]).into_iter();
        answers.map(|answer| answer.map_or(Views::default(), |answer| answer.views)).collect::<Vec<_>>()
    });
    let mut rows = vec![
        ["variant", "at the declared threshold", "false calls", "at its optimised threshold"]
            .map(str::to_owned)
            .to_vec(),
    ];
    // Surprise is in decimal orders of rarity; the score is one less the probability.
    let declared = -libm::log10(1.0 - CALL);
    let scores: Vec<Vec<Vec<f64>>> = VARIANTS.iter().map(|variant| scores(variant, &views)).collect();
    let candidates: Vec<Parts<'_>> =
        scores.iter().map(|scores| judges.iter().zip(scores.iter().map(Vec::as_slice)).collect()).collect();
    for (variant, parts) in VARIANTS.iter().zip(&candidates) {
        let tally = scorer::tally(parts.iter().copied(), declared);
        rows.push(vec![
            variant.name.to_owned(),
            format!("{:.1}", tally.score().unwrap_or_default()),
            tally.false_calls.to_string(),
            format!("{:.1}", scorer::optimised(parts).1),
        ]);
    }
    let text = format!(
        "The same series and the same scorer, with parts of ours left out. When variant and threshold are \
         both chosen on half of the files and scored on the other half, the mean over {PARTINGS} partings \
         is {:.1}.",
        crossed(corpus, &candidates, settings.seed)
    );
    Table { title: format!("{}, parts of ours", super::TITLE), text: vec![text], rows }
}

/// What a variant says of every row of every series.
fn scores(variant: &Variant, views: &[Vec<Views>]) -> Vec<Vec<f64>> {
    let of_series = |views: &Vec<Views>| {
        let surprises: Vec<f64> = views.iter().map(|views| (variant.together)(*views)).collect();
        if variant.only_news { only_news(&surprises) } else { surprises }
    };
    views.iter().map(of_series).collect()
}
