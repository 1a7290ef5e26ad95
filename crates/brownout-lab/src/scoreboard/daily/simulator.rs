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
