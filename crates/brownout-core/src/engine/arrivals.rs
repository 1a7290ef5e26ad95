//! Whether reports still come in at all: by channel and by country, over all services.
//!
//! A collector that died, a form that broke and a country that was cut off all look alike at a single
//! service: nobody reports it, as on a calm day. Over all services the reports that did not come are
//! evidence.

use std::collections::BTreeMap;

use libm::{exp, log, log1p};
use serde::{Deserialize, Serialize};

use super::gaps::Gaps;
use super::priors::Prior;
use super::recent::{Count, Series};
use super::subject::Subject;
use super::subnets::Subnet;
use super::usual::Usual;
use crate::model::{ChannelId, CountryCode, Facet, Policy, Report, ServiceId, UtcTime};
use crate::series::negative_binomial::ln_mass;
use crate::series::{Expected, LearningRates, WINDOWS_MINUTES, whole};
use crate::snapshot::Silence;

/// The number under which arrivals are counted; no catalogue has so many services.
const EVERYTHING: ServiceId = ServiceId(u32::MAX);

/// ln of the hours in a year of 365.25 days.
const LN_HOURS_PER_YEAR: f64 = 9.078_636_2;

/// Fewer than this share of what is usual is next to nothing.
const NEXT_TO_NOTHING: f64 = 0.05;
/// With this share of what is usual a stream has come back, ...
const BACK_SHARE: f64 = 0.25;
/// ... counted over the shortest window in which so many would be usual.
const BACK_MEAN_MIN: f64 = 4.0;
/// Windows that are looked at for next to nothing, as places in [`WINDOWS_MINUTES`]: 30 min to 6 h.
const WINDOWS_FROM: usize = 3;

/// A pause must be so many times as long as any of the last week: a partner who sends what he has every
/// ten minutes is not silent in between.
const TIMES_LONGEST_PAUSE: f64 = 1.5;
/// Days whose longest pauses are remembered.
const PAUSE_DAYS: usize = 7;

/// A service hears nothing when this share of its usual reports comes through what is silent.
const HEARS_SHARE: f64 = 0.5;

/// Counts of what came in, and which streams of it fell silent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    /// Everything as if it were one service; only its channels and countries are counted.
    streams: Subject,
    /// Since the last tick, by number of the channel.
    channels: Vec<u32>,
    /// Since the last tick, by the country's two letters.
    countries: Vec<u32>,
    silent: BTreeMap<Facet, Silence>,
    pauses: BTreeMap<Facet, Pauses>,
}

/// The longest pauses of a stream that were no silence, in minutes, by day.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Pauses {
    longest: [u16; PAUSE_DAYS],
    day: u32,
}

impl Pauses {
    fn note(&mut self, day: u32, minutes: u32) {
        for day in self.day.max(day.saturating_sub(PAUSE_DAYS as u32)) + 1..=day {
            self.longest[day as usize % PAUSE_DAYS] = 0;
        }
        self.day = self.day.max(day);
        let slot = &mut self.longest[day as usize % PAUSE_DAYS];
        *slot = (*slot).max(u16::try_from(minutes).unwrap_or(u16::MAX));
    }

    fn longest_minutes(&self) -> f64 {
        f64::from(self.longest.iter().copied().max().unwrap_or(0))
    }
}

impl Default for Arrivals {
    fn default() -> Self {
        Arrivals {
            streams: Subject::new(EVERYTHING, 0, Prior::default()),
            channels: Vec::new(),
            countries: vec![0; 26 * 26],
            silent: BTreeMap::new(),
            pauses: BTreeMap::new(),
        }
    }
}

impl Arrivals {
    /// Begins to expect something from an hour on.
    pub(crate) fn begin(&mut self, hour: u32) {
        self.streams = Subject::new(EVERYTHING, hour, Prior::default());
    }

    /// Takes note of a report, whatever it is worth.
    #[inline]
    pub(crate) fn count(&mut self, report: &Report) {
        let channel = usize::from(report.channel.0);
        if channel >= self.channels.len() {
            self.channels.resize(channel + 1, 0);
        }
        self.channels[channel] = self.channels[channel].saturating_add(1);
        if let Some(count) = report.place.country.and_then(|country| self.countries.get_mut(place(country))) {
            *count = count.saturating_add(1);
        }
    }

    /// Comes to a tick: what came in since the last one is counted in the minute that ends with it.
    pub(crate) fn turn(&mut self, at: UtcTime, rates: LearningRates) {
        // Every report came through some channel.
        if self.channels.iter().all(|count| *count == 0) {
            return;
        }
        let minute = at.plus_millis(-1).minute();
        let (mut all, mut counts) = (0u32, Vec::new());
        for (number, count) in (0..=u16::MAX).zip(self.channels.iter_mut()) {
            let count = std::mem::take(count);
            all = all.saturating_add(count);
            counts.push((Facet::Channel(ChannelId(number)), count));
        }
        for (index, count) in self.countries.iter_mut().enumerate() {
            let count = std::mem::take(count);
            if count > 0
                && let Some(country) = country_at(index)
            {
                counts.push((Facet::Country(country), count));
            }
        }
        counts.push((Facet::All, all));
        for (facet, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let recent = self.streams.series.get(&facet).and_then(|series| series.recent.as_deref());
            if let Some(recent) = recent.filter(|_| !self.silent.contains_key(&facet)) {
                let pause_minutes = minute.since(recent.last).saturating_sub(1);
                self.pauses.entry(facet).or_default().note(minute.0 / 1440, pause_minutes);
            }
            let hundredths = count.saturating_mul(100);
            let (hour, subnet) = (minute.hour(), Subnet::new(0, 0));
            self.streams.add(facet, Count { minute, hour, hundredths, subnet, home: None }, rates);
        }
    }

    /// Once an hour: learns how much usually comes.
    pub(crate) fn turn_hour(&mut self, hour: u32, policy: &Policy, rates: LearningRates, gaps: &Gaps) {
        self.streams.turn_hour(hour, policy, rates, gaps);
    }

    /// Once a minute: finds what fell silent and what speaks again. While nothing at all comes in,
    /// nothing is collected.
    pub(crate) fn listen(&mut self, at: UtcTime, policy: &Policy, gaps: &mut Gaps) {
        if self.streams.is_learning() {
            return;
        }
        let ln_budget = log(policy.false_silences_per_year / self.streams.active().len().max(1) as f64);
        let mut found = Vec::new();
        for (facet, series) in self.streams.active() {
            if !matches!(facet, Facet::All | Facet::Channel(_) | Facet::Country(_)) {
                continue;
            }
            match self.silent.get(facet) {
                Some(_) if self.is_back(*facet, series, at) => found.push((*facet, None)),
                Some(known) => {
                    let usual = self.streams.usual(*facet, series, at);
                    let expected = usual_since(known.since, usual).mean as f32;
                    found.push((*facet, Some(Silence { expected, ..*known })));
                }
                None => {
                    found.extend(self.silence(*facet, series, at, ln_budget).map(|new| (*facet, Some(new))))
                }
            }
        }
        for (facet, silence) in found {
            match silence {
                Some(silence) => self.silent.insert(facet, silence),
                None => self.silent.remove(&facet),
            };
        }
        if let Some(all) = self.silent.get(&Facet::All) {
            gaps.extend(all.since.minute(), at.minute());
        }
    }

    /// What is silent: everything alone, or channels and countries.
    pub(crate) fn silent(&self) -> Vec<Silence> {
        match self.silent.get(&Facet::All) {
            Some(all) => vec![*all],
            None => self.silent.values().copied().collect(),
        }
    }

    /// The silence because of which next to nothing can be heard of a service.
    pub(crate) fn deafens(&self, subject: &Subject) -> Option<Silence> {
        if self.silent.is_empty() {
            return None;
        }
        if let Some(all) = self.silent.get(&Facet::All) {
            return Some(*all);
        }
        let largest = |is_kind: fn(&Facet) -> bool| {
            let of_kind = self.silent.values().filter(move |silence| is_kind(&silence.facet));
            let shares = of_kind.map(|silence| (subject.share_of(silence.facet), *silence));
            let sum: f64 = shares.clone().map(|(share, _)| share).sum();
            shares
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|_| sum >= HEARS_SHARE)
                .map(|(_, silence)| silence)
        };
        largest(|facet| matches!(facet, Facet::Channel(_)))
            .or_else(|| largest(|facet| matches!(facet, Facet::Country(_))))
    }

    /// A silence that chance would hardly bring, if there is one.
    ///
    /// While the noise holds still at a factor g, pauses longer than w begin m g / w e^(-m g) times an hour,
    /// where m is the mean of w; over a Gamma factor of shape k that is (m / w) (1 + m / k)^(-k - 1).
    fn silence(&self, facet: Facet, series: &Series, at: UtcTime, ln_budget: f64) -> Option<Silence> {
        let recent = series.recent.as_deref()?;
        if series.learned.is_learning() {
            return None;
        }
        let longest = self.pauses.get(&facet).map_or(0.0, Pauses::longest_minutes) * TIMES_LONGEST_PAUSE;
        let since = recent.last.plus(1).start();
        let minutes = at.millis_since(since) as f64 / 60_000.0;
        // Most pauses are shorter than any that says something, and most windows too.
        let is_asked = |length: f64| length >= 2.0 * longest;
        if minutes <= longest && !WINDOWS_MINUTES.iter().any(|length| is_asked(f64::from(*length))) {
            return None;
        }
        let usual = self.streams.usual(facet, series, at);
        if minutes > longest {
            let usual = usual_since(since, usual);
            let ln_per_year = ln_pauses_per_year(usual, minutes / 60.0);
            if ln_per_year < ln_budget {
                return Some(told(facet, since, 0, usual, ln_per_year));
            }
        }
        // Next to nothing: somebody still gets through.
        let windows = recent.windows(at);
        (WINDOWS_FROM..WINDOWS_MINUTES.len()).find_map(|index| {
            let since = at.plus_millis(-(windows.minutes[index] * 60_000.0) as i64);
            if !is_asked(windows.minutes[index]) {
                return None;
            }
            let observed = whole(windows.hundredths[index]);
            let usual = usual_since(since, usual);
            if f64::from(observed) > NEXT_TO_NOTHING * usual.mean {
                return None;
            }
            // A window begins to hold so few at most as often as a report drops out of it.
            let hours = windows.minutes[index] / 60.0;
            let ln_per_year = ln_most(observed, usual) + log(usual.mean / hours) + LN_HOURS_PER_YEAR;
            (ln_per_year < ln_budget).then(|| told(facet, since, observed, usual, ln_per_year))
        })
    }

    fn is_back(&self, facet: Facet, series: &Series, at: UtcTime) -> bool {
        let Some(recent) = series.recent.as_deref() else { return false };
        let (windows, usual) = (recent.windows(at), self.streams.usual(facet, series, at));
        for index in 2..WINDOWS_MINUTES.len() {
            let since = at.plus_millis(-(windows.minutes[index] * 60_000.0) as i64);
            let usual = usual_since(since, usual).mean;
            if usual >= BACK_MEAN_MIN {
                return f64::from(whole(windows.hundredths[index])) >= BACK_SHARE * usual;
            }
        }
        whole(windows.hundredths[WINDOWS_MINUTES.len() - 1]) > 0
    }
}

/// What is usual from an instant to that of `usual`, at most of a week.
fn usual_since(from: UtcTime, usual: Usual<'_>) -> Expected {
    const WEEK_MINUTES: f64 = 7.0 * 1440.0;
    let minutes = usual.at().millis_since(from) as f64 / 60_000.0;
    usual.of(minutes.clamp(1.0, WEEK_MINUTES))
}

/// ln of how many times a year chance alone begins a pause of `hours` in which `usual` would come.
fn ln_pauses_per_year(usual: Expected, hours: f64) -> f64 {
    if usual.mean <= 0.0 || hours <= 0.0 {
        return f64::INFINITY;
    }
    log(usual.mean / hours) - (usual.size + 1.0) * log1p(usual.mean / usual.size) + LN_HOURS_PER_YEAR
}

/// ln P(X <= x) for a small x, as a sum of its masses.
fn ln_most(x: u32, usual: Expected) -> f64 {
    let largest = ln_mass(f64::from(x), usual);
    let sum: f64 = (0..=x).map(|count| exp(ln_mass(f64::from(count), usual) - largest)).sum();
    largest + log(sum)
}

fn told(facet: Facet, since: UtcTime, observed: u32, usual: Expected, ln_per_year: f64) -> Silence {
    // At most a thousand million years.
    let recurrence_years = exp((-ln_per_year).min(20.7)) as f32;
    Silence { facet, since, observed, expected: usual.mean as f32, recurrence_years }
}

fn place(country: CountryCode) -> usize {
    let [first, second] = country.bytes().map(|letter| usize::from(letter.wrapping_sub(b'A')));
    first.saturating_mul(26).saturating_add(second)
}

fn country_at(index: usize) -> Option<CountryCode> {
    let letter = |number: usize| b'A' + (number % 26) as u8;
    CountryCode::new([letter(index / 26), letter(index)])
}
