//! Ours, fed as an operator would feed it.

use brownout_core::series::periods::{Period, Reading, Rhythm, Special, Watch};

use super::NOMINAL;
use super::judge::{Said, Share};
use super::signals::{Signal, WEEKS_PER_YEAR};
use super::simulator::Run;

/// What our watch says of a run. With the calendar it is told of bank holidays and, where nobody works on
/// them, of the first working day after; nothing is ever told of outbreaks and epidemics.
pub(super) fn said(signal: &Signal, run: &Run, has_calendar: bool) -> Said {
    let period = |day: usize| {
        if has_calendar { period(signal, run, day) } else { Period::default() }
    };
    let mut watch = watch(signal);
    for day in 0..run.judged.start {
        watch.step(run.calm[day], period(day));
    }
    let judge = |counts: &[u32]| -> Vec<Reading> {
        let mut watch = watch.clone();
        run.judged.clone().map(|day| watch.step(counts[day], period(day))).collect()
    };
    let calm = judge(&run.calm);
    let nominal = share(&calm);
    Said {
        calm: calm.iter().map(statistic).collect(),
        eventful: run
            .eventful
            .iter()
            .map(|eventful| judge(&eventful.counts).iter().map(statistic).collect())
            .collect(),
        nominal: Some(nominal),
    }
}

/// The share of the judged days of a run without an outbreak on which it alarms at the nominal rate.
pub(super) fn nominal(signal: &Signal, run: &Run) -> Share {
    let mut watch = watch(signal);
    let readings = (0..run.calm.len()).map(|day| watch.step(run.calm[day], period(signal, run, day)));
    share(&readings.skip(run.judged.start).collect::<Vec<_>>())
}

fn share(readings: &[Reading]) -> Share {
    let alarms = readings.iter().filter(|reading| reading.probability.is_some_and(|p| p <= NOMINAL));
    Share { of: readings.len() as u64, are: alarms.count() as u64 }
}

fn watch(signal: &Signal) -> Watch {
    let rhythm = Rhythm::new(signal.days_per_week as u16, WEEKS_PER_YEAR as u16);
    Watch::new(rhythm.unwrap_or(Rhythm::DAYS))
}

/// What the calendar says of a day.
fn period(signal: &Signal, run: &Run, day: usize) -> Period {
    let special = match (run.holidays[day], day > 0 && run.holidays[day - 1]) {
        (true, _) => Special::new(0),
        (false, true) if signal.days_per_week == 5 => Special::new(1),
        _ => None,
    };
    Period { special, known_incident: false }
}

/// How strange a day is, as its negative logarithm of probability.
fn statistic(reading: &Reading) -> f64 {
    reading.probability.map_or(0.0, |probability| -libm::log(probability.max(f64::MIN_POSITIVE)))
}
