//! One run of one signal: seven years of counts, in calm and with an outbreak of each size.

use std::ops::Range;

use libm::{exp, sqrt};

use super::signals::{Epidemic, JUDGED_WEEKS, Mean, Signal, WEEKS_PER_YEAR, YEARS, holidays, weight_of_day};
use crate::rng::Rng;

/// Outbreaks bring so many standard deviations of a day's count, times the days of a week, in all.
pub(super) const SIZES: [f64; 4] = [2.0, 3.0, 5.0, 10.0];
/// Shape of an outbreak: delays are log-normal of median 1 with this deviation of their logarithms ...
const DELAY_DEVIATION: f64 = 0.5;
/// ... and a day is this much of the median for outbreaks, and this much for yearly epidemics.
const DAY_OF_OUTBREAK: f64 = 0.25;
const DAY_OF_EPIDEMIC: f64 = 0.02;
/// On the working day after a holiday so many times as many come, where nobody could on the holiday.
const AFTER_HOLIDAY: f64 = 1.5;
/// On a holiday so many times as many call, where the service is open on all days.
const ON_HOLIDAY: f64 = 2.0;

/// What one run brought. Days are working days where the week has five.
pub(super) struct Run {
    /// Counts without an outbreak.
    pub(super) calm: Vec<u32>,
    pub(super) holidays: Vec<bool>,
    /// For each of [`SIZES`].
    pub(super) eventful: Vec<Eventful>,
    /// Days that are judged.
    pub(super) judged: Range<usize>,
}

/// The same counts with an outbreak.
pub(super) struct Eventful {
    pub(super) counts: Vec<u32>,
    /// Cases that the outbreak brought on each day.
    pub(super) cases: Vec<u32>,
}

impl Run {
    /// Run number `run` under a seed.
    pub(super) fn new(signal: &Signal, seed: u64, run: u32) -> Run {
        let stream =
            |purpose: u64| Rng::new(seed, (u64::from(signal.number) << 40) + (u64::from(run) << 8) + purpose);
        let week = signal.days_per_week;
        let days = YEARS * WEEKS_PER_YEAR * week;
        let holidays = holidays(week);
        let mut noise = stream(0);
        let base: Vec<f64> = (1..=days)
            .map(|t| count(&mut noise, signal.mean.at(t, week), signal.phi) / signal.divisor)
            .collect();
        let mut epidemic = vec![0.0; days];
        if let Some(yearly) = &signal.epidemic {
            add_epidemics(&mut epidemic, yearly, week, &mut stream(1));
        }
        let usual: Vec<f64> = base.iter().zip(&epidemic).map(|(base, more)| base + more).collect();
        let judged = days - JUDGED_WEEKS * week..days;
        let begin = judged.start + stream(2).below((judged.len()) as u32) as usize;
        let eventful = SIZES.iter().enumerate().map(|(index, size)| {
            let cases = outbreak(signal, *size, begin, days, &mut stream(3 + index as u64));
            let all: Vec<f64> = usual.iter().zip(&cases).map(|(usual, more)| usual + more).collect();
            let cases: Vec<u32> = cases.iter().map(|cases| rounded(*cases)).collect();
            Eventful { counts: with_holidays(&all, &holidays, week), cases }
        });
        Run { calm: with_holidays(&usual, &holidays, week), eventful: eventful.collect(), holidays, judged }
    }
}

/// A count with a mean, and with `phi` times that as variance: Poisson, or negative binomial of the kind
/// whose variance is proportional to the mean.
fn count(rng: &mut Rng, mean: f64, phi: f64) -> f64 {
    let rate = if phi > 1.0 { mean * rng.gamma_factor(mean / (phi - 1.0)) } else { mean };
    f64::from(rng.poisson(rate))
}

/// Cases per day of an outbreak that begins on day `begin`, from 0.
fn outbreak(signal: &Signal, size: f64, begin: usize, days: usize, rng: &mut Rng) -> Vec<f64> {
    let week = signal.days_per_week;
    let (mean, phi) = &signal.outbreak;
    let mut cases = vec![0.0; days];
    let deviation = deviation(mean, *phi, begin, week);
    // The paper draws again until there are two cases.
    let mut number = 0;
    for _ in 0..1000 {
        number = rng.poisson(deviation * size * week as f64);
        if number >= 2 {
            break;
        }
    }
    spread(&mut cases, number.max(2), begin, DAY_OF_OUTBREAK, rng);
    weigh(&mut cases, week);
    cases
}

/// Adds an epidemic to every year.
fn add_epidemics(cases: &mut [f64], yearly: &Epidemic, week: usize, rng: &mut Rng) {
    for year in 0..YEARS {
        let first = yearly.begins.0 - 1 + year * WEEKS_PER_YEAR * week;
        let begin = first + rng.below(yearly.begins.1 as u32) as usize;
        // These are drawn as if every signal had weeks of five days, in the authors' program too.
        let deviation = deviation(&yearly.mean, yearly.phi, begin, 5);
        let number = rng.poisson(deviation * yearly.size);
        let mut epidemic = vec![0.0; cases.len()];
        spread(&mut epidemic, number, begin, DAY_OF_EPIDEMIC, rng);
        weigh(&mut epidemic, 5);
        for (all, more) in cases.iter_mut().zip(&epidemic) {
            *all += more;
        }
    }
}

/// Standard deviation of the count of a day, from 0.
fn deviation(mean: &Mean, phi: f64, day: usize, days_per_week: usize) -> f64 {
    sqrt(mean.at(day + 1, days_per_week) * phi)
}

/// Puts cases on days by their delays.
fn spread(cases: &mut [f64], number: u32, begin: usize, day_length: f64, rng: &mut Rng) {
    for _ in 0..number {
        let delay = exp(DELAY_DEVIATION * rng.normal());
        if let Some(cases) = cases.get_mut(begin + (delay / day_length) as usize) {
            *cases += 1.0;
        }
    }
}

fn weigh(cases: &mut [f64], days_per_week: usize) {
    for (day, cases) in cases.iter_mut().enumerate() {
        *cases *= weight_of_day(day + 1, days_per_week);
    }
}

/// The counts as they are seen, rounded, with what holidays do to them.
fn with_holidays(counts: &[f64], holidays: &[bool], days_per_week: usize) -> Vec<u32> {
    let mut counts = counts.to_vec();
    for day in 0..counts.len() {
        if holidays[day] && days_per_week == 5 {
            counts[day] = 0.0;
            if let Some(after) = counts.get_mut(day + 1) {
                *after *= AFTER_HOLIDAY;
            }
        } else if holidays[day] {
            counts[day] *= ON_HOLIDAY;
        }
    }
    counts.into_iter().map(rounded).collect()
}

fn rounded(count: f64) -> u32 {
    libm::rint(count) as u32
}

#[cfg(test)]
mod tests {
    use super::super::signals::SIGNALS;
    use super::*;

    fn signal(number: u32) -> &'static Signal {
        SIGNALS.iter().find(|signal| signal.number == number).unwrap()
    }

    /// Mean of the days of one weekday, holidays left out, and what the signal says it is.
    fn of_weekday(signal: &Signal, runs: &[Run], weekday: usize) -> (f64, f64) {
        let (mut count, mut mean, mut days) = (0.0, 0.0, 0.0);
        for run in runs {
            for day in (weekday..run.calm.len()).step_by(signal.days_per_week) {
                if !run.holidays[day.saturating_sub(1)..=day].contains(&true) {
                    count += f64::from(run.calm[day]);
                    mean += signal.mean.at(day + 1, signal.days_per_week) / signal.divisor;
                    days += 1.0;
                }
            }
        }
        (count / days, mean / days)
    }

    #[test]
    fn counts_have_the_means_of_their_weekdays() {
        for number in [1, 5, 8, 12, 14, 15] {
            let signal = signal(number);
            let runs: Vec<Run> = (0..3).map(|run| Run::new(signal, 1, run)).collect();
            for weekday in 0..signal.days_per_week {
                let (count, mean) = of_weekday(signal, &runs, weekday);
                let deviation = sqrt(mean * signal.phi / signal.divisor / (3.0 * 350.0));
                // Means of a year that is not flat are compared day by day, so only noise is left.
                assert!((count - mean).abs() < 4.0 * deviation + 0.01, "{number} {weekday}: {count} {mean}");
            }
        }
    }

    #[test]
    fn an_outbreak_has_its_size_and_its_days() {
        let signal = signal(4);
        let (mut cases, mut expected) = (0.0, 0.0);
        for run in (0..40).map(|run| Run::new(signal, 3, run)) {
            let eventful = &run.eventful[3];
            let first = eventful.cases.iter().position(|cases| *cases > 0).unwrap();
            let last = eventful.cases.iter().rposition(|cases| *cases > 0).unwrap();
            assert!(run.judged.contains(&first) && last - first < 40, "{first} {last}");
            assert_eq!(run.calm[..first], eventful.counts[..first]);
            if last + 8 < run.calm.len() {
                let weights: f64 = (first..=last).map(|day| weight_of_day(day + 1, 7)).sum();
                let average = weights / (last + 1 - first) as f64;
                cases += f64::from(eventful.cases.iter().sum::<u32>()) / average;
                // It begins within a day or two of the one whose deviation it goes by.
                expected += 10.0 * 7.0 * deviation(&signal.mean, signal.phi, first, 7);
            }
        }
        assert!((cases / expected - 1.0).abs() < 0.15, "{cases} {expected}");
    }

    #[test]
    fn holidays_are_empty_or_double() {
        let (five, seven) = (Run::new(signal(11), 2, 0), Run::new(signal(4), 2, 0));
        let of = |run: &Run| -> f64 {
            let days: Vec<usize> = (8..run.calm.len()).filter(|day| run.holidays[*day]).collect();
            let week_before =
                |day: usize| if run.holidays[day - 7] { 1.0 } else { f64::from(run.calm[day - 7]) };
            days.iter().map(|day| f64::from(run.calm[*day]) / week_before(*day)).sum::<f64>()
                / days.len() as f64
        };
        assert_eq!(of(&five), 0.0);
        assert!(of(&seven) > 1.7, "{}", of(&seven));
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let run = |seed| Run::new(signal(16), seed, 1);
        assert_eq!(run(5).calm, run(5).calm);
        assert_eq!(run(5).eventful[0].counts, run(5).eventful[0].counts);
        assert_ne!(run(5).calm, run(6).calm);
    }
}
