//! What counts say once nothing can come to them any more.
//!
//! A look at the present is provisional: reports of the last minutes may still come. Every five minutes the
//! counts up to the lateness bound become history, and are read again as they were at its end. What is said
//! then hangs on what happened only, and not on the order in which it was told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::looking::FETCHED_AHEAD;
use super::recent::Recent;
use super::subject::Subject;
use super::usual::{Means, Usuals};
use crate::effect::RollUp;
use crate::model::{Facet, Minute, Policy, SeriesKey, UtcTime};
use crate::series::{Expected, Reading, is_elevated, onset, read, whole};
use crate::snapshot::SettledSignal;

/// An ended signal is known for as long as the longest window reaches back.
const KNOWN_MINUTES: u32 = 7 * 60;

/// Departures of settled counts, by part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settled {
    signals: BTreeMap<Facet, Episode>,
    /// Parts of the service that have taught something: they share its budget.
    pub(super) parts: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Episode {
    signal: SettledSignal,
    last_elevated: Minute,
}

impl Settled {
    /// Signals that go on or ended in the last hours, by part.
    pub(crate) fn signals(&self) -> impl Iterator<Item = &SettledSignal> {
        self.signals.values().map(|episode| &episode.signal)
    }

    /// Whether anything has to be followed.
    pub(super) fn is_idle(&self) -> bool {
        self.signals.is_empty()
    }
}

impl Episode {
    fn follow(&mut self, until: Minute, shown: u32, elevated: bool, policy: &Policy) {
        if self.signal.ended_at.is_some() {
            return;
        }
        if shown > self.signal.peak {
            (self.signal.peak, self.signal.peak_at) = (shown, until);
        }
        if elevated {
            self.last_elevated = until;
        } else if until.since(self.last_elevated) >= policy.quiet_minutes {
            self.signal.ended_at = Some(self.last_elevated);
        }
    }
}

impl Subject {
    /// Counts of the five minutes that begin with `start`, for the history, by facet; nothing can
    /// come to them any more.
    pub(crate) fn roll_up(&mut self, start: Minute, policy: &Policy, into: &mut Vec<RollUp>) {
        let next = start.plus(5);
        let from = into.len();
        let unsettled = std::mem::take(&mut self.unsettled);
        let mut means = Means::new(self, next.start(), 5.0);
        let (mut kept, mut done, mut counted) = (Vec::with_capacity(unsettled.len()), Vec::new(), Vec::new());
        for some in unsettled.chunks(FETCHED_AHEAD) {
            self.fetch(some, start.plus(4));
            for index in some {
                let Some((facet, series)) = self.series.get_index(*index as usize) else { continue };
                let Some(recent) = &series.recent else { continue };
                let sum = recent.ring.sum(start.plus(4), 5);
                if sum > 0 {
                    into.push(RollUp {
                        key: SeriesKey { service: self.service, facet: *facet },
                        start,
                        hundredths: u32::try_from(sum).unwrap_or(u32::MAX),
                        expected: means.mean(*facet, series) as f32,
                    });
                    // Most series never reach the floor, so nothing more is worked out for them.
                    if whole(recent.ring.total()) >= policy.possible_sources_min {
                        counted.push(*index);
                    }
                }
                if recent.last < next { done.push(*index) } else { kept.push(*index) }
            }
        }
        self.unsettled = kept;
        for index in done {
            if let Some(recent) = self.series[index as usize].recent.as_mut() {
                recent.unsettled = false;
            }
        }
        into[from..].sort_unstable_by_key(|row| row.key.facet.packed());
        self.settle(next, &counted, policy);
    }

    /// Follows signals of settled counts up to a minute, and looks for new ones where something was counted.
    fn settle(&mut self, until: Minute, counted: &[u32], policy: &Policy) {
        if counted.is_empty() && self.settled.is_idle() {
            return;
        }
        let mut signals = std::mem::take(&mut self.settled.signals);
        for (facet, episode) in &mut signals {
            let index = self.series.get_index_of(facet);
            let told = index.and_then(|index| self.told(index, until.start()));
            let Some((recent, usual)) = told else { continue };
            let shown = whole(recent.ring.sum(until.minus(1), 15));
            episode.follow(until, shown, is_elevated(&recent.ring, until.start(), usual), policy);
        }
        signals.retain(|_, episode| {
            episode.signal.ended_at.is_none_or(|ended| until.since(ended) < KNOWN_MINUTES)
        });
        let mut usuals = Usuals::new(self, until.start());
        for index in counted {
            let Some((facet, _)) = self.series.get_index(*index as usize) else { continue };
            let is_followed = !matches!(facet, Facet::Kind(_) | Facet::Channel(_));
            if !is_followed || (*facet != Facet::All && self.is_learning()) {
                continue;
            }
            let before = signals.get(facet).map(|episode| episode.signal.ended_at);
            // One that goes on is followed already.
            let over = match before {
                Some(None) => continue,
                Some(Some(ended)) => ended,
                None => Minute(0),
            };
            let is_elevated = self.is_elevated(*index as usize, &mut usuals, until.start());
            let found = || self.settled_departure(*facet, *index as usize, (until, over), policy);
            if let Some(signal) = is_elevated.then(found).flatten() {
                signals.insert(*facet, Episode { signal, last_elevated: until });
            }
        }
        self.settled.signals = signals;
    }

    /// Counts of the part at an index, and what is usual for the minutes up to an instant.
    pub(super) fn told(
        &self,
        index: usize,
        at: UtcTime,
    ) -> Option<(&Recent, impl Fn(f64) -> Expected + Copy)> {
        let (facet, series) = self.series.get_index(index)?;
        let recent = series.recent.as_deref()?;
        let usual = self.usual(*facet, series, at);
        Some((recent, move |minutes| usual.of(minutes)))
    }

    /// A part above usual whose settled counts depart.
    fn settled_departure(
        &self,
        facet: Facet,
        index: usize,
        (until, over): (Minute, Minute),
        policy: &Policy,
    ) -> Option<SettledSignal> {
        let (recent, usual) = self.told(index, until.start())?;
        let reading: Reading = read(&recent.windows_until(until, over), usual);
        let (possible, _) = Self::budgets(facet, self.settled.parts, policy);
        reading.exceeds(possible).then(|| SettledSignal {
            facet,
            as_of: until,
            observed: reading.observed,
            expected: reading.expected as f32,
            window_minutes: reading.window_minutes,
            window_sources: reading.window_sources,
            recurrence_years: reading.recurrence_years(),
            onset: onset(&recent.ring, until.start(), usual),
            peak: reading.observed,
            peak_at: until,
            ended_at: None,
        })
    }
}
