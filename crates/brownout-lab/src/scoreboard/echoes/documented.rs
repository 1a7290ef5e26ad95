//! The published pairs: how many reports there were is documented, everything else is synthetic.

use brownout_core::model::{Category, ServiceId};
use brownout_core::verdict::Cause;

use super::episode::{Episode, Plot, Truth, published};
use super::play::{self, Outcome};
use super::world::World;
use crate::rng::Rng;
use crate::scoreboard::board::{Board, Table};
use crate::scoreboard::{Settings, in_parallel};

/// One service: category, name, usual reports an hour (synthetic), reports in 15 minutes at the height
/// (published), and the position of what it only echoes, or of what it is built on.
struct Part {
    category: Category,
    name: &'static str,
    per_hour: f64,
    peak: f64,
    echoes: Option<usize>,
    built_on: Option<usize>,
}

const fn fails(category: Category, name: &'static str, per_hour: f64, peak: f64) -> Part {
    Part { category, name, per_hour, peak, echoes: None, built_on: None }
}

const fn echoes(category: Category, name: &'static str, per_hour: f64, peak: f64) -> Part {
    Part { category, name, per_hour, peak, echoes: Some(0), built_on: None }
}

/// An incident whose crowd figures were published; the first of its services fails.
struct Pair {
    name: &'static str,
    parts: &'static [Part],
}

use Category::{Cloud, Mobile};

const PAIRS: [Pair; 4] = [
    Pair {
        name: "AT&T, 22 February 2024",
        parts: &[
            fails(Mobile, "att", 120.0, 74_000.0),
            echoes(Mobile, "verizon", 120.0, 3_000.0),
            echoes(Mobile, "t-mobile", 80.0, 1_500.0),
            Part {
                category: Mobile,
                name: "cricket",
                per_hour: 20.0,
                peak: 9_000.0,
                echoes: None,
                built_on: Some(0),
            },
        ],
    },
    Pair {
        name: "Verizon, 30 September 2024",
        parts: &[fails(Mobile, "verizon", 120.0, 66_761.0), echoes(Mobile, "att", 120.0, 1_111.0)],
    },
    Pair {
        name: "Verizon, 14 January 2026",
        parts: &[
            fails(Mobile, "verizon", 120.0, 178_284.0),
            echoes(Mobile, "att", 120.0, 1_800.0),
            echoes(Mobile, "t-mobile", 80.0, 1_800.0),
        ],
    },
    Pair {
        name: "Google Cloud, 12 June 2025",
        parts: &[
            fails(Cloud, "google-cloud", 20.0, 13_000.0),
            echoes(Cloud, "aws", 30.0, 5_000.0),
            echoes(Cloud, "azure", 15.0, 1_000.0),
        ],
    },
];

pub(super) fn add_to(board: &mut Board, settings: &Settings) {
    let played = in_parallel(settings.threads, PAIRS.len() as u32, |index| {
        let mut rng = Rng::new(settings.seed, 0x0ec1_0000 + u64::from(index));
        play(&PAIRS[index as usize], &mut rng)
    });
    let head =
        ["incident", "service", "reports in 15 min, published", "truth", "possible", "detected", "laid to"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (mut blamed, mut innocent, mut swallowed, mut failing) = (0, 0, 0, 0);
    for (pair, outcomes) in PAIRS.iter().zip(&played) {
        for (part, outcome) in pair.parts.iter().zip(outcomes) {
            let is_called = outcome.possible.is_some();
            if part.echoes.is_some() {
                innocent += 1;
                blamed += u32::from(is_called);
            } else {
                failing += 1;
                swallowed += u32::from(!is_called);
            }
            rows.push(row(pair, part, outcome));
        }
    }
    board.bar(
        "echoes: published pairs, innocent services blamed, at \"possible\" or more",
        format!("{blamed} of {innocent}"),
        "none",
        blamed == 0,
    );
    board.bar(
        "echoes: published pairs, failing services held down",
        format!("{swallowed} of {failing}"),
        "none",
        swallowed == 0,
    );
    let text = vec![
        "Reports at the height are as published (ranges by their middle). Synthetic: usual reports, the course \
         (half an hour up, an hour at the height, an hour down), what people say, and their networks: of \
         echoes 15% of the reporters are on the service's own network, of failures 70%. Cricket is sold on \
         AT&T's network, which its catalogue entry says here."
            .to_owned(),
        "Cells: minutes from the first report beyond what is usual.".to_owned(),
    ];
    board.tables.push(Table { title: "Echoes: published pairs".to_owned(), text, rows });
}

fn play(pair: &Pair, rng: &mut Rng) -> Vec<Outcome> {
    let services: Vec<_> = pair
        .parts
        .iter()
        .map(|part| (part.category, part.name, part.per_hour, part.built_on.map(|one| pair.parts[one].name)))
        .collect();
    let world = World::given(rng, &services);
    let surge = |(index, part): (usize, &Part)| {
        let truth = match (part.echoes, part.built_on) {
            (Some(cause), _) => Truth::EchoOf(cause),
            (None, Some(cause)) => Truth::BuiltOn(cause),
            (None, None) => Truth::Own,
        };
        (index, truth, part.peak)
    };
    let drawn: Vec<_> = pair.parts.iter().enumerate().map(surge).collect();
    let surges =
        drawn.into_iter().map(|(index, truth, peak)| published(&world, rng, index, truth, peak)).collect();
    let episode = Episode { plot: Plot::Lone, surges };
    let rng = Rng::new(rng.bits(), 1);
    let played = play::play(&world, &[episode], rng);
    played.into_iter().flat_map(|played| played.outcomes).collect()
}

fn row(pair: &Pair, part: &Part, outcome: &Outcome) -> Vec<String> {
    let minutes = |found: Option<f64>| found.map_or_else(|| "no".to_owned(), |at| format!("{at:.1}"));
    let truth = match (part.echoes, part.built_on) {
        (Some(_), _) => "works",
        (None, Some(_)) => "fails with what it is built on",
        (None, None) => "fails",
    };
    let most = outcome.named.iter().max_by_key(|(_, looks)| **looks).map(|((_, cause), _)| *cause);
    let laid = match most {
        None => "itself",
        Some(Cause::Service(ServiceId(index))) => pair.parts[index as usize].name,
        Some(_) => "something else",
    };
    vec![
        pair.name.to_owned(),
        part.name.to_owned(),
        format!("{:.0}", part.peak),
        truth.to_owned(),
        minutes(outcome.possible),
        minutes(outcome.detected),
        laid.to_owned(),
    ]
}
