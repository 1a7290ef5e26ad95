//! Five classes of series in five-minute intervals, from two reports in ten hours to a thousand an hour:
//! false alarms, delay and power of every detector at one threshold each.

mod generator;
mod judge;
mod peers;

use brownout_core::series::detectors::{Crossings, Cusum, Detector, EDetector, Window};

use self::generator::{CLASSES, Class, EVENT_HOURS, INTERVAL_HOURS, JUDGED_DAYS, Noise, UNTOLD, WARM_DAYS};
use self::judge::Tally;
use super::board::{Board, Table};
use super::{NOISE_SIZE, Settings, in_parallel};
use crate::rng::Rng;

/// False alarms per series-month over the mixed population, to which every threshold is set.
const POOLED_PER_MONTH: f64 = 0.5;
/// False alarms per series-month that no class may exceed.
const CLASS_MAX_PER_MONTH: f64 = 0.65;
/// A median delay counts as no worse up to this difference, in minutes: a tenth of an interval.
const DELAY_TOLERANCE_MINUTES: f64 = 0.5;

/// A detector by its name, and how to make one.
struct Entry {
    name: &'static str,
    make: fn() -> Box<dyn Detector>,
}

/// Ours, then those it is measured against; the first peer is the one of the bar.
const ENTRIES: [Entry; 9] = [
    Entry { name: "**Brownout: crossings**", make: || Box::new(Crossings::new(INTERVAL_HOURS, windows())) },
    Entry { name: "NB-GLR, 60 min at most", make: || Box::new(peers::glr()) },
    Entry { name: "NB tail, several windows", make: || Box::new(peers::tail()) },
    Entry { name: "NB-CUSUM, one shift", make: || Box::new(Cusum::new(2.0, 0.3)) },
    Entry { name: "NB-CUSUM, slow and weak", make: || Box::new(Cusum::new(1.5, 0.05)) },
    Entry { name: "e-detector (Shiryaev-Roberts)", make: || Box::new(EDetector::default()) },
    Entry { name: "Poisson GLR, 60 min at most", make: || Box::new(peers::poisson_glr()) },
    Entry { name: "EARS C2, same time of day", make: || Box::new(peers::Ears::new()) },
    Entry { name: "ratio, 15 min", make: || Box::new(peers::ratio()) },
];
const OURS: usize = 0;
const NB_GLR: usize = 1;

/// From one interval to three hours. Short windows find what is strong at once, and what they miss the
/// long ones find; most of the budget goes to the short.
fn windows() -> Vec<Window> {
    let thrift = |intervals: u32| 0.5 * libm::log(f64::from(intervals));
    [1, 2, 3, 4, 6, 9, 12, 24, 36].map(|intervals| Window { intervals, thrift: thrift(intervals) }).to_vec()
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    progress("five-minute simulation, noise told");
    let results = results(settings, Noise::Told);
    bars(board, &results[OURS], &results[NB_GLR], settings.slack);
    board.tables.push(Table {
        title: "Five-minute counts".to_owned(),
        text: how(settings),
        rows: table(&results),
    });
    progress("five-minute simulation, noise learned");
    let text = format!(
        "The same, but the shape of each series' Gamma factor is drawn between {} and {}, evenly by its \
         logarithm, and told to nobody: detectors that go by the size of the noise get what the series' own \
         whole hours have taught so far, as the engine learns it.",
        UNTOLD.0, UNTOLD.1
    );
    board.tables.push(Table {
        title: "Five-minute counts, noise not told".to_owned(),
        text: vec![text],
        rows: table(&self::results(settings, Noise::Learned)),
    });
}

/// What every detector reached.
fn results(settings: &Settings, noise: Noise) -> Vec<Result> {
    let classes = CLASSES.iter().enumerate();
    let tallies: Vec<Vec<Tally>> =
        classes.map(|(number, class)| simulate(number, class, settings, noise)).collect();
    let of = |entry: usize| -> Vec<&Tally> { tallies.iter().map(|class| &class[entry]).collect() };
    (0..ENTRIES.len()).map(|entry| Result::of(&of(entry))).collect()
}

/// What one detector reached, per class.
struct Result {
    threshold: f64,
    per_month: Vec<f64>,
    /// Median over all events; `None` where fewer than half are found.
    delay_minutes: Vec<Option<f64>>,
    found: Vec<f64>,
}

impl Result {
    fn of(classes: &[&Tally]) -> Self {
        let shares: Vec<f64> = CLASSES.iter().map(|class| class.share).collect();
        let pooled = |level| shares.iter().zip(classes).map(|(share, it)| share * it.per_month(level)).sum();
        let threshold = judge::lowest_level(|level| {
            let pooled: f64 = pooled(level);
            pooled <= POOLED_PER_MONTH
        });
        Result {
            threshold: judge::statistic_at(threshold),
            per_month: classes.iter().map(|it| it.per_month(threshold)).collect(),
            delay_minutes: classes.iter().map(|it| it.median_delay_minutes(threshold)).collect(),
            found: classes.iter().map(|it| it.found(threshold)).collect(),
        }
    }
}

fn bars(board: &mut Board, ours: &Result, peer: &Result, slack: f64) {
    let most = ours.per_month.iter().copied().fold(0.0, f64::max);
    board.bar(
        "five minutes: most false alarms per series-month in any class",
        format!("{most:.2}"),
        format!("{CLASS_MAX_PER_MONTH} in every class at one threshold"),
        most <= CLASS_MAX_PER_MONTH * (1.0 + slack),
    );
    let never = f64::INFINITY;
    let delays = |result: &Result| -> Vec<f64> {
        result.delay_minutes.iter().map(|delay| delay.unwrap_or(never)).collect()
    };
    let pairs: Vec<(f64, f64)> = delays(ours).into_iter().zip(delays(peer)).collect();
    let no_worse =
        pairs.iter().filter(|(ours, peer)| *ours <= peer * (1.0 + slack) + DELAY_TOLERANCE_MINUTES).count();
    let found: Vec<(f64, f64)> = ours.found.iter().copied().zip(peer.found.iter().copied()).collect();
    let as_many = found.iter().filter(|(ours, peer)| *ours >= peer - 0.005 - slack * 0.1).count();
    let better = pairs.iter().zip(&found).filter(|((delay, of_peer), (found, peer_found))| {
        *delay < of_peer - DELAY_TOLERANCE_MINUTES || *found > peer_found + 0.02
    });
    let classes = CLASSES.len();
    board.bar(
        "five minutes: classes with delay no worse than NB-GLR's that knows the noise",
        format!("{no_worse} of {classes}"),
        "all",
        no_worse == classes,
    );
    board.bar(
        "five minutes: classes with no fewer events found than by it",
        format!("{as_many} of {classes}"),
        "all",
        as_many == classes,
    );
    let better = better.count();
    board.bar("five minutes: classes that are better", format!("{better} of {classes}"), "2", better >= 2);
}

/// Series that are worked out together.
const SERIES_APIECE: u32 = 16;

/// All series of one class through all detectors.
fn simulate(number: usize, class: &Class, settings: &Settings, noise: Noise) -> Vec<Tally> {
    let series = (settings.months_per_class * 30).div_ceil(JUDGED_DAYS);
    let pieces = in_parallel(settings.threads, series.div_ceil(SERIES_APIECE), |piece| {
        let mut tallies: Vec<Tally> = ENTRIES.iter().map(|_| Tally::default()).collect();
        for index in piece * SERIES_APIECE..((piece + 1) * SERIES_APIECE).min(series) {
            let stream = ((number as u64) << 32) + u64::from(index);
            let calm = class.series(&mut Rng::new(settings.seed, 2 * stream), false, noise);
            let eventful = class.series(&mut Rng::new(settings.seed, 2 * stream + 1), true, noise);
            for (tally, entry) in tallies.iter_mut().zip(&ENTRIES) {
                tally.add_calm(&calm.through((entry.make)().as_mut()));
                tally.add_events(&eventful, &eventful.through((entry.make)().as_mut()));
            }
        }
        tallies
    });
    pieces.into_iter().reduce(judge::merge).unwrap_or_default()
}

/// How the figures come about.
fn how(settings: &Settings) -> Vec<String> {
    vec![
        format!(
            "Generator. Counts per 5 min are Poisson; their rate is the class's mean per hour times a known \
             shape of day and week times a Gamma factor of shape {NOISE_SIZE} and mean 1 that holds for \
             an hour and changes at a random phase of it. Detectors are told mean and shape and, here, the \
             size of the noise. {WARM_DAYS} days to warm up, then {JUDGED_DAYS} days that are judged; \
             {} series-months a class, seed {}.",
            settings.months_per_class, settings.seed
        ),
        format!(
            "Events. Every second day one of {EVENT_HOURS} h begins at a random instant and adds its rate to \
             what is usual. Delay runs from that instant to the end of the first interval at or over the \
             threshold; the median is over all events, and an event that is not found before its end is \
             never found. False alarms are counted in series without events; alarms less than an hour \
             apart are one. Each detector has one threshold for all classes, set to {POOLED_PER_MONTH} false \
             alarms per series-month over a population of {}.",
            CLASSES
                .iter()
                .map(|class| format!("{:.0}% {}/h", class.share * 100.0, class.per_hour))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        "Brownout's line is the measure that the engine goes by, over windows of whole intervals from 5 min \
         to 3 h; the engine's own windows go from one minute to six hours, and what it calls with them is \
         under \"The promise\"."
            .to_owned(),
        "Cells: false alarms per series-month / median delay in minutes / events found. In the head: \
         reports per hour (and what an event adds)."
            .to_owned(),
    ]
}

fn table(results: &[Result]) -> Vec<Vec<String>> {
    let mut head = vec!["detector".to_owned(), "threshold".to_owned()];
    head.extend(CLASSES.iter().map(|class| format!("{} (+{})", class.per_hour, class.event_per_hour)));
    let mut table = vec![head];
    for (entry, result) in ENTRIES.iter().zip(results) {
        let mut row = vec![entry.name.to_owned(), format!("{:.2}", result.threshold)];
        for class in 0..CLASSES.len() {
            let delay = result.delay_minutes[class].map_or("never".to_owned(), |delay| format!("{delay:.1}"));
            row.push(format!(
                "{:.2} / {delay} / {:.0}%",
                result.per_month[class],
                result.found[class] * 100.0
            ));
        }
        table.push(row);
    }
    table
}
