//! What rises at one service, as far as it tells who is to blame: how much, since when, in which
//! course, and of which kinds, countries and networks.

use super::super::looking::Signal;
use super::super::subject::Subject;
use super::super::usual::Means;
use crate::model::{Asn, CountryCode, Facet, Minute, ProblemKind, UtcTime};
use crate::series::{is_elevated, onset};
use crate::snapshot::Onset;

/// Whole minutes up to now that the course is known of; the ring holds more.
pub(crate) const COURSE_MINUTES: u32 = 60;
/// Shares are counted since the rise began, but over so many minutes at least and at most.
const WINDOW_MINUTES_MIN: u32 = 5;
const WINDOW_MINUTES_MAX: u32 = 60;
/// Up to so many times its usual a service as a whole may be by the noise of an hour, while a part departs.
pub(super) const NOISE_OF_USUAL: f64 = 2.5;
/// Most countries or networks that are told apart; the largest.
const PARTS_MAX: usize = 40;
/// The least part of a rise, and of what is usual, that is taken to be of some network.
const KNOWN_OF_RISE: f64 = 0.5;
const KNOWN_OF_USUAL: f64 = 0.8;

/// Sources of a part, and how many are usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted<T> {
    pub(crate) what: T,
    pub(crate) observed: f64,
    pub(crate) usual: f64,
}

impl<T> Counted<T> {
    /// Sources above usual, never negative.
    pub(crate) fn excess(&self) -> f64 {
        (self.observed - self.usual).max(0.0)
    }
}

/// A service whose reports are above usual.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rise {
    /// When it began, within the last hour.
    pub(crate) onset: Onset,
    /// The first minute of late that it was above its usual band, or the earliest of its beginning.
    pub(crate) first: Minute,
    /// Sources of all parts since it began.
    pub(crate) whole: Counted<()>,
    /// Sources of each of the last whole minutes, oldest first.
    pub(crate) course: Vec<f64>,
    /// Sources of the running minute.
    pub(crate) running: f64,
    /// Sources that are usual in one minute.
    pub(crate) usual_minute: f64,
    /// Minutes since it began, within bounds: what the counts by part are of.
    pub(crate) minutes: u32,
    /// By kind of problem since it began, in the order of the kinds.
    pub(crate) kinds: Vec<Counted<ProblemKind>>,
    /// By country since it began, most sources first.
    pub(crate) countries: Vec<Counted<CountryCode>>,
    /// By network since it began, most sources first.
    pub(crate) networks: Vec<Counted<Asn>>,
    /// Sources above usual of the largest part that departs, where the whole does not.
    pub(crate) of_part: Option<f64>,
}

impl Rise {
    /// What rises at a service now. Where neither a part of it departs nor an incident is followed,
    /// only what is above its usual band as a whole may tell anything of others.
    pub(crate) fn of(subject: &Subject, at: UtcTime, signals: &[Signal]) -> Option<Rise> {
        let (_, series) = subject.series.get_index(0)?;
        let recent = series.recent.as_deref()?;
        let usual = subject.usual(Facet::All, series, at);
        let usual = |minutes| usual.of(minutes);
        let is_wide = is_elevated(&recent.ring, at, usual);
        if !is_wide && signals.is_empty() {
            return None;
        }
        // Where only a part departs, the whole does not tell when it began.
        let of_part = signals.iter().filter(|signal| signal.departs && !is_wide).find_map(|part| part.onset);
        let onset = of_part.unwrap_or_else(|| onset(&recent.ring, at, usual));
        let last = at.plus_millis(-1).minute();
        let minutes = (last.since(onset.earliest) + 1).clamp(WINDOW_MINUTES_MIN, WINDOW_MINUTES_MAX);
        let mut means = Means::new(subject, at, f64::from(minutes));
        let mut rise = Rise {
            onset,
            first: onset.earliest,
            whole: Counted { what: (), observed: 0.0, usual: 0.0 },
            course: Vec::with_capacity(COURSE_MINUTES as usize),
            running: 0.0,
            usual_minute: usual(1.0).mean,
            minutes,
            kinds: Vec::new(),
            countries: Vec::new(),
            networks: Vec::new(),
            of_part: None,
        };
        // The running minute is not comparable with whole ones.
        let whole = at.minute().minus(1);
        rise.course.extend(
            (0..COURSE_MINUTES).rev().map(|back| f64::from(recent.ring.get(whole.minus(back))) / 100.0),
        );
        if last > whole {
            rise.running = f64::from(recent.ring.get(last)) / 100.0;
        }
        for (facet, series) in subject.active() {
            let Some(recent) = series.recent.as_deref() else { continue };
            if !matches!(facet, Facet::All | Facet::Kind(_) | Facet::Country(_) | Facet::Network(_)) {
                continue;
            }
            let observed = recent.ring.sum(last, minutes) as f64 / 100.0;
            let usual = means.mean(*facet, series);
            match facet {
                Facet::All => rise.whole = Counted { what: (), observed, usual },
                Facet::Kind(what) => rise.kinds.push(Counted { what: *what, observed, usual }),
                Facet::Country(what) => rise.countries.push(Counted { what: *what, observed, usual }),
                Facet::Network(what) => rise.networks.push(Counted { what: *what, observed, usual }),
                _ => {}
            }
        }
        if rise.whole.observed < NOISE_OF_USUAL * rise.whole.usual {
            rise.of_part = part_alone(signals);
        }
        rise.kinds.sort_by_key(|counted| counted.what);
        largest(&mut rise.countries);
        largest(&mut rise.networks);
        Some(rise)
    }

    /// Sources above usual since it began, never negative.
    pub(crate) fn excess(&self) -> f64 {
        self.whole.excess()
    }

    /// Sources above usual in the running and the last so many whole minutes, never negative: what two
    /// services are compared by, whenever each began.
    pub(crate) fn above(&self, minutes: u32) -> f64 {
        let minutes = (minutes as usize).min(self.course.len());
        let counted: f64 = self.course[self.course.len() - minutes..].iter().sum();
        (counted + self.running - self.usual_minute * minutes as f64).max(0.0)
    }

    /// Sources above usual on some networks, and on all.
    ///
    /// Networks with very few sources have no series, so what the others show is a lower bound: half of
    /// the rise is always taken to have a network.
    pub(crate) fn on_networks(&self, wanted: impl Fn(Asn) -> bool) -> (f64, f64) {
        let on: f64 = self.networks.iter().filter(|counted| wanted(counted.what)).map(Counted::excess).sum();
        // Some of the others are below their usual: only their sum says how much rises there.
        let others = self.networks.iter().filter(|counted| !wanted(counted.what));
        let others: f64 = others.map(|counted| counted.observed - counted.usual).sum();
        (on, (on + others.max(0.0)).max(KNOWN_OF_RISE * self.excess()))
    }

    /// The usual share of some networks among all, of which few may have a series.
    pub(crate) fn usual_share(&self, wanted: impl Fn(Asn) -> bool) -> f64 {
        let all: f64 = self.networks.iter().map(|counted| counted.usual).sum();
        let on: f64 =
            self.networks.iter().filter(|counted| wanted(counted.what)).map(|counted| counted.usual).sum();
        let all = all.max(KNOWN_OF_USUAL * self.whole.usual);
        if all > 0.0 { on / all } else { 0.0 }
    }
}

/// What departs of a service that is calm as a whole: its noise is not part of the rise.
fn part_alone(signals: &[Signal]) -> Option<f64> {
    let departing = || signals.iter().filter(|signal| signal.departs);
    if departing().any(|signal| signal.facet == Facet::All) {
        return None;
    }
    let above = |signal: &Signal| f64::from(signal.reading.observed) - signal.reading.expected;
    departing().map(above).max_by(f64::total_cmp)
}

/// Sorts by sources, then by name, and keeps the largest.
fn largest<T: Ord + Copy>(parts: &mut Vec<Counted<T>>) {
    parts.sort_by(|these, those| {
        those.observed.total_cmp(&these.observed).then_with(|| these.what.cmp(&those.what))
    });
    parts.truncate(PARTS_MAX);
}
