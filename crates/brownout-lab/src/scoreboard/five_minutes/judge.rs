//! False alarms and delays, for all thresholds at once.

use super::generator::{EVENT_HOURS, INTERVAL_HOURS, INTERVALS_PER_HOUR, JUDGED_DAYS, JUDGED_FROM, Series};

/// Thresholds are looked at on a grid of levels: fine where statistics are small, and up to 10^8.
const LEVELS: usize = 1 << 12;
const LEVELS_PER_E_FOLD: f64 = 220.0;

/// The level that a statistic reaches.
fn level_of(statistic: f64) -> usize {
    ((libm::log1p(statistic.max(0.0)) * LEVELS_PER_E_FOLD) as usize).min(LEVELS - 1)
}

/// The statistic at a level.
pub(super) fn statistic_at(level: usize) -> f64 {
    libm::expm1(level as f64 / LEVELS_PER_E_FOLD)
}

/// The lowest level from 1 on that is enough; the highest if none is.
pub(super) fn lowest_level(is_enough: impl Fn(usize) -> bool) -> usize {
    (1..LEVELS).find(|level| is_enough(*level)).unwrap_or(LEVELS - 1)
}

/// What one detector did on the series of one class.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    calm_days: u64,
    /// Per level, alarms that begin there, as differences between levels.
    alarms: Vec<i64>,
    events: Vec<Found>,
}

/// What one event brought about.
#[derive(Clone, Debug, Default)]
struct Found {
    /// The level that stood when it began: an alarm that is there already finds nothing.
    before: u16,
    /// Higher levels that are reached within it, and after how many minutes each was first.
    reached: Vec<(u16, f32)>,
}

impl Tally {
    /// Takes a series in which nothing happened.
    pub(super) fn add_calm(&mut self, statistics: &[f64]) {
        self.calm_days += u64::from(JUDGED_DAYS);
        self.alarms.resize(LEVELS + 1, 0);
        let levels: Vec<usize> = statistics.iter().map(|statistic| level_of(*statistic)).collect();
        for at in JUDGED_FROM..levels.len() {
            // It begins an alarm at every level that was not reached in the hour before.
            let before = levels[at - INTERVALS_PER_HOUR..at].iter().max().copied().unwrap_or(0);
            if levels[at] > before {
                self.alarms[before + 1] += 1;
                self.alarms[levels[at] + 1] -= 1;
            }
        }
    }

    /// Takes a series with events.
    pub(super) fn add_events(&mut self, series: &Series, statistics: &[f64]) {
        for (begin, end) in &series.events {
            let intervals = *begin as usize..(*end as usize + 1).min(statistics.len());
            let before = intervals.start.checked_sub(1).map_or(0, |before| level_of(statistics[before]));
            let (mut reached, mut highest) = (Vec::new(), before);
            for at in intervals {
                let level = level_of(statistics[at]);
                if level > highest {
                    highest = level;
                    let minutes = ((at + 1) as f64 - begin) * INTERVAL_HOURS * 60.0;
                    reached.push((level as u16, minutes as f32));
                }
            }
            self.events.push(Found { before: before as u16, reached });
        }
    }

    /// False alarms per series-month at a level.
    pub(super) fn per_month(&self, level: usize) -> f64 {
        let alarms: i64 = self.alarms.iter().take(level + 1).sum();
        alarms as f64 / (self.calm_days as f64 / 30.0)
    }

    /// Minutes from the begin of each event to its alarm, `None` for those that are missed.
    fn delays(&self, level: usize) -> impl Iterator<Item = Option<f64>> {
        self.events.iter().map(move |event| {
            let is_new = usize::from(event.before) < level;
            let first = event.reached.iter().find(|(reached, _)| is_new && usize::from(*reached) >= level);
            first.map(|(_, minutes)| f64::from(*minutes)).filter(|minutes| *minutes <= EVENT_HOURS * 60.0)
        })
    }

    /// Median delay over all events; `None` where fewer than half are found.
    pub(super) fn median_delay_minutes(&self, level: usize) -> Option<f64> {
        let mut delays: Vec<f64> = self.delays(level).map(|delay| delay.unwrap_or(f64::INFINITY)).collect();
        delays.sort_by(f64::total_cmp);
        delays.get(delays.len() / 2).copied().filter(|delay| delay.is_finite())
    }

    /// Share of events that are found before they end.
    pub(super) fn found(&self, level: usize) -> f64 {
        self.delays(level).flatten().count() as f64 / (self.events.len() as f64).max(1.0)
    }
}

/// Adds up what two workers counted.
pub(super) fn merge(mut a: Vec<Tally>, b: Vec<Tally>) -> Vec<Tally> {
    for (a, b) in a.iter_mut().zip(b) {
        a.calm_days += b.calm_days;
        a.alarms.resize(LEVELS + 1, 0);
        for (level, alarms) in b.alarms.into_iter().enumerate() {
            a.alarms[level] += alarms;
        }
        a.events.extend(b.events);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_less_than_an_hour_apart_are_one() {
        let mut statistics = vec![0.0; JUDGED_FROM + 100];
        for at in [10, 20, 60] {
            statistics[JUDGED_FROM + at] = 5.0;
        }
        statistics[JUDGED_FROM + 62] = 9.0;
        let mut tally = Tally::default();
        tally.add_calm(&statistics);
        let at = |statistic| tally.per_month(level_of(statistic)) * f64::from(JUDGED_DAYS) / 30.0;
        assert!((at(4.0) - 2.0).abs() < 1e-9, "{}", at(4.0));
        assert!((at(8.0) - 1.0).abs() < 1e-9, "{}", at(8.0));
        assert!(at(9.5).abs() < 1e-9);
    }

    #[test]
    fn levels_are_in_the_order_of_what_they_stand_for() {
        for statistic in [0.01, 0.5, 3.0, 17.2, 900.0, 1e6] {
            let level = level_of(statistic);
            assert!(statistic_at(level) <= statistic && statistic_at(level + 1) > statistic, "{statistic}");
        }
    }
}
