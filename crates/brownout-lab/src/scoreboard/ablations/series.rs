//! One sparse series, with and without what makes its usual level sound, and with and without a floor.

use brownout_core::model::{Minute, Policy, UtcTime};
use brownout_core::series::crossings::{SIZE_WITHIN_HOUR, size_of_window};
use brownout_core::series::{
    Budget, Expected, Learned, LearningRates, MinuteRing, Windows, is_elevated, read,
};

use crate::rng::Rng;
use crate::scoreboard::board::Table;
use crate::scoreboard::{NOISE_SIZE, Settings, in_parallel};

/// Hours that are learned from, and the outages in them that nobody called.
const LEARNED_HOURS: u32 = 168;
const PAST_OUTAGES: u32 = 2;
const PAST_OUTAGE_HOURS: u32 = 4;
/// Days that are judged, and how long the outage at their end lasts.
const JUDGED_DAYS: u32 = 30;
const OUTAGE_MINUTES: u32 = 120;
/// False alarms of a series that are less than this apart are one, in minutes.
const APART_MINUTES: u32 = 60;
/// Shape of the prior of a level, as the engine has it.
const LEVEL_SHAPE: f64 = 0.2;
/// Usual sources per hour, and what an outage adds.
const LEVELS: [(f64, f64); 3] = [(0.2, 12.0), (1.0, 16.0), (10.0, 60.0)];

/// How what is usual is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the engine does, when the past outages were called and so left out.
    Frozen,
    /// As the engine does, when nobody called them: only their weight as outliers holds them down.
    Weighted,
    /// The level with every hour at full weight, and the default noise.
    Unweighted,
    /// As the engine does, from the first calm day alone.
    DayShrunk,
    /// The plain mean of the first calm day, the default noise and no doubt about either.
    DayUnpooled,
}

const WAYS: [(Way, &str); 5] = [
    (Way::Frozen, "as shipped, past outages called (learning frozen)"),
    (Way::Weighted, "as shipped, past outages not called"),
    (Way::Unweighted, "past outages not called, outliers at full weight"),
    (Way::DayShrunk, "as shipped, one calm day to learn from"),
    (Way::DayUnpooled, "one calm day, no shrinkage to the parent and no doubt"),
];

/// What came of one way at one level.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    years: f64,
    /// False alarms without a floor of sources, and with that of the policy.
    false_calls: [u32; 2],
    series: u32,
    found: u32,
    delays: f64,
    level: f64,
}

pub(super) fn table(settings: &Settings) -> Table {
    let series = (settings.service_years / 10).clamp(10, 200);
    let plays = in_parallel(settings.threads, series * LEVELS.len() as u32, |piece| {
        let level = piece as usize % LEVELS.len();
        (level, live(LEVELS[level], Rng::new(settings.seed, 0x00ab_1a7e + u64::from(piece))))
    });
    let mut tallies = [[Tally::default(); WAYS.len()]; LEVELS.len()];
    for (level, play) in plays {
        for (sum, one) in tallies[level].iter_mut().zip(play) {
            sum.years += one.years;
            sum.false_calls[0] += one.false_calls[0];
            sum.false_calls[1] += one.false_calls[1];
            sum.series += one.series;
            sum.found += one.found;
            sum.delays += one.delays;
            sum.level += one.level;
        }
    }
    let mut rows = vec![vec!["usual is learned".to_owned()]];
    rows[0].extend(LEVELS.map(|(mean, outage)| format!("{mean}/h (+{outage})")));
    for (index, (_, name)) in WAYS.iter().enumerate() {
        let mut row = vec![(*name).to_owned()];
        row.extend(tallies.iter().zip(LEVELS).map(|(tallies, (mean, _))| cell(&tallies[index], mean)));
        rows.push(row);
    }
    let floor = Policy::default().possible_sources_min;
    let text = vec![
        format!(
            "One series as the engine learns and reads it: {series} of each level, Gamma noise of shape \
             {NOISE_SIZE} an hour, {LEARNED_HOURS} hours to learn from with {PAST_OUTAGES} outages of \
             {PAST_OUTAGE_HOURS} h in them, a parent whose level is off by up to three, {JUDGED_DAYS} days that \
             are judged and then an outage of 2 h. The budget is one false alarm a year and series."
        ),
        format!(
            "Cells: level that was learned as a multiple of the true one / false alarms per series-year without \
             a floor of sources / with the floor of {floor} / outages found / mean minutes to the call, both \
             with the floor."
        ),
    ];
    super::table("Ablations: shrinkage, robustness, floor", text, rows)
}

fn cell(tally: &Tally, mean: f64) -> String {
    let rate = |count: u32| format!("{:.2}", f64::from(count) / tally.years.max(1e-9));
    let series = f64::from(tally.series.max(1));
    let delay = if tally.found == 0 {
        "-".to_owned()
    } else {
        format!("{:.0}", tally.delays / f64::from(tally.found))
    };
    format!(
        "{:.2} / {} / {} / {:.0}% / {delay}",
        tally.level / series / mean,
        rate(tally.false_calls[0]),
        rate(tally.false_calls[1]),
        100.0 * f64::from(tally.found) / series,
    )
}

/// What was learned, in the form in which it is asked for.
enum Known {
    Shrunk(Learned, Expected),
    /// A level, the default noise, and how much is known of the level, in counts.
    Plain {
        level: f64,
        told: f64,
    },
}

impl Known {
    fn level(&self) -> f64 {
        match self {
            Known::Shrunk(learned, prior) => learned.level(prior.mean),
            Known::Plain { level, .. } => *level,
        }
    }

    /// What the engine would expect of some minutes, without a weekly shape.
    fn usual(&self, minutes: f64) -> Expected {
        let hours = minutes / 60.0;
        let mean = self.level() * hours;
        match self {
            Known::Shrunk(learned, prior) => {
                let size = learned.noise_size(prior.size, self.level());
                learned.expected(mean, size, size_of_window(size * SIZE_WITHIN_HOUR, hours), 0.0)
            }
            Known::Plain { told, .. } => {
                Expected { mean, size: 1.0 / (1.0 / size_of_window(NOISE_SIZE, hours) + 1.0 / told) }
            }
        }
    }
}

/// A series through all its days, for every way of learning.
fn live((mean, outage): (f64, f64), mut rng: Rng) -> [Tally; WAYS.len()] {
    let phase = rng.unit();
    let mut factor = rng.gamma_factor(NOISE_SIZE);
    let mut hour_mean = |rng: &mut Rng| {
        let before = factor;
        factor = rng.gamma_factor(NOISE_SIZE);
        mean * (before * phase + factor * (1.0 - phase))
    };
    // The engine takes all at full weight before it knows what an outlier is.
    let starts: Vec<u32> =
        (0..PAST_OUTAGES).map(|_| 60 + rng.below(LEARNED_HOURS - 60 - PAST_OUTAGE_HOURS)).collect();
    let is_out = |hour: u32| starts.iter().any(|start| (*start..start + PAST_OUTAGE_HOURS).contains(&hour));
    let hours: Vec<(f64, bool)> = (0..LEARNED_HOURS)
        .map(|hour| {
            let more = if is_out(hour) { outage } else { 0.0 };
            let usual = hour_mean(&mut rng);
            (f64::from(rng.poisson(usual + more)), is_out(hour))
        })
        .collect();
    let off = libm::exp((2.0 * rng.unit() - 1.0) * libm::log(3.0));
    let prior = Expected { mean: mean * off, size: Learned::noise_size_default() };
    let known = WAYS.map(|(way, _)| learn(way, &hours, prior));
    let minutes = JUDGED_DAYS * 1440;
    let mut counts: Vec<(u32, u32)> = Vec::new();
    for hour in 0..(minutes + OUTAGE_MINUTES) / 60 {
        let usual = hour_mean(&mut rng);
        let more = if hour * 60 >= minutes { outage } else { 0.0 };
        for minute in hour * 60..hour * 60 + 60 {
            let count = rng.poisson((usual + more) / 60.0);
            if count > 0 {
                counts.push((minute, count));
            }
        }
    }
    known.map(|known| judge(&known, &counts, minutes))
}

fn learn(way: Way, hours: &[(f64, bool)], prior: Expected) -> Known {
    let rates = LearningRates::new(&Policy::default());
    // The past outages are all later than the first day.
    let hours = if matches!(way, Way::DayShrunk | Way::DayUnpooled) { &hours[..24] } else { hours };
    if way == Way::DayUnpooled {
        let level = (hours.iter().map(|(count, _)| count).sum::<f64>() / hours.len() as f64).max(1e-6);
        return Known::Plain { level, told: f64::INFINITY };
    }
    if way == Way::Unweighted {
        let (counted, exposure) = (hours.iter().map(|(count, _)| count).sum::<f64>(), hours.len() as f64);
        let level = (LEVEL_SHAPE + counted) / (LEVEL_SHAPE / prior.mean + exposure);
        return Known::Plain { level, told: LEVEL_SHAPE + counted.min(NOISE_SIZE * exposure) };
    }
    let mut learned = Learned::new(0);
    for (hour, (count, out)) in (0u32..).zip(hours) {
        match way {
            Way::Frozen if *out => learned.leave_out(hour + 1),
            _ => {
                learned.learn(*count, 1.0, prior, rates);
            }
        }
    }
    Known::Shrunk(learned, prior)
}

/// Reads the judged days minute by minute, as the engine does where there are new counts.
fn judge(known: &Known, counts: &[(u32, u32)], calm_minutes: u32) -> Tally {
    let floors = [1, Policy::default().possible_sources_min];
    let mut tally = Tally {
        years: f64::from(calm_minutes) / (1440.0 * 365.25),
        series: 1,
        level: known.level(),
        ..Tally::default()
    };
    let begin = 1000 * 60;
    let mut ring = MinuteRing::new(Minute(begin));
    let mut by_hour = vec![0u32; (calm_minutes + OUTAGE_MINUTES) as usize / 60 + 1];
    let mut last = [None::<u32>; 2];
    let mut called = None;
    for (minute, count) in counts {
        ring.add(Minute(begin + minute), 100 * count);
        by_hour[*minute as usize / 60] += 100 * count;
        let at: UtcTime = Minute(begin + minute + 1).start();
        let usual = |minutes: f64| known.usual(minutes);
        if called.is_some() || !is_elevated(&ring, at, usual) {
            continue;
        }
        let hour = |hour: u32| {
            (hour * 60).checked_sub(begin).and_then(|m| by_hour.get(m as usize / 60)).copied().unwrap_or(0)
        };
        let reading = read(&Windows::of(&ring, at, Minute(0), hour), usual);
        for (index, sources_min) in floors.into_iter().enumerate() {
            if !reading.exceeds(Budget { ln_per_year: 0.0, sources_min }) {
                continue;
            }
            if *minute < calm_minutes {
                let apart = last[index].is_none_or(|last| minute - last >= APART_MINUTES);
                tally.false_calls[index] += u32::from(apart);
                last[index] = Some(*minute);
            } else if index == 1 {
                called = Some(minute + 1 - calm_minutes);
            }
        }
    }
    if let Some(minutes) = called {
        tally.found = 1;
        tally.delays = f64::from(minutes);
    }
    tally
}
