//! Looks at the series of a service: which of them depart from what is usual.

use libm::log;

use super::subject::{Subject, Watch};
use super::usual::Usuals;
use crate::model::{Facet, Minute, Policy, Service, UtcTime};
use crate::series::{Budget, Reading, is_elevated, onset, read, room, whole};
use crate::snapshot::Onset;

/// How many series are read from memory together.
pub(super) const FETCHED_AHEAD: usize = 16;
/// A series that was looked at so many seconds ago will be looked at again and again.
const OFTEN_SECONDS: i64 = 60;
/// How long a calm series needs no look at most, in seconds and, beyond that, ticks.
const RESTS_SECONDS: i64 = 240;
const RESTS_SPREAD: i64 = 12;

/// What one look at a part of the service gave.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) facet: Facet,
    pub(crate) reading: Reading,
    /// A departure by the budget of "possible problems".
    pub(crate) departs: bool,
    /// Sources in 15 minutes, and those above usual in six hours, that no doubt touches.
    pub(crate) sound: (u32, u32),
    /// A departure of these by the budget of "detected problems".
    pub(crate) departs_strongly: bool,
    /// When it began; only for departures of parts that are not watched yet.
    pub(crate) onset: Option<Onset>,
}

impl Subject {
    /// Looks at what got counts since the last look and at what is watched; signals by facet.
    pub(crate) fn look(&mut self, at: UtcTime, policy: &Policy, service: Option<&Service>) -> Vec<Signal> {
        let is_minute = at == at.minute().start();
        if is_minute && !self.watched.is_empty() {
            self.doubt(at, policy, service);
        }
        let mut signals = Vec::new();
        // Which share of a service comes from a part is a guess as long as the service is one, and a newcomer
        // whose reports all come from one country is no outage there.
        let whole_only = self.is_learning() && self.watched.is_empty();
        let mut usuals = Usuals::new(self, at);
        let mut touched = std::mem::take(&mut self.touched);
        for some in touched.chunks(FETCHED_AHEAD) {
            self.fetch(some, at.minute());
            for index in some {
                let is_known = *index == 0 || !whole_only;
                signals.extend(self.look_at_touched(*index as usize, is_known, &mut usuals, at, policy));
            }
        }
        touched.clear();
        self.touched = touched;
        let watched = self.watched.iter();
        signals.extend(watched.filter_map(|(facet, watch)| self.look_at_watched(*facet, *watch, at, policy)));
        signals.sort_unstable_by_key(|signal| signal.facet);
        if self.watched.is_empty() && !signals.is_empty() {
            self.doubt(at, policy, service);
        }
        signals
    }

    /// Reads what looks at the minutes up to one of some series will ask first: one after the other each would wait for memory. It
    /// changes nothing.
    pub(super) fn fetch(&self, indices: &[u32], minute: Minute) {
        let of =
            |index: &u32| Some(self.series.get_index(*index as usize)?.1.recent.as_deref()?.fetch(minute));
        let read = indices.iter().filter_map(of).fold(0, |sum, read| sum ^ read);
        std::hint::black_box(read);
    }

    /// Looks at a series that got counts since the last look.
    fn look_at_touched(
        &mut self,
        index: usize,
        is_known: bool,
        usuals: &mut Usuals,
        at: UtcTime,
        policy: &Policy,
    ) -> Option<Signal> {
        let (facet, series) = self.series.get_index_mut(index)?;
        let recent = series.recent.as_deref_mut()?;
        recent.touched = false;
        // Most series never reach the floor, so nothing more is worked out for them; and of those that
        // do, most cannot have left their band since the last look.
        let is_asked = !recent.is_calm(at)
            && whole(recent.ring.total()) >= policy.possible_sources_min
            && !matches!(facet, Facet::Kind(_) | Facet::Channel(_))
            && !self.watched.contains_key(facet)
            && is_known;
        if is_asked && self.is_elevated(index, usuals, at) {
            return self.look_at(index, at, policy);
        }
        if is_asked {
            self.rest(index, at);
        }
        None
    }

    /// Whether more than usual goes on. What departs must be going on; a long window still departs hours
    /// after it is over.
    pub(super) fn is_elevated(&self, index: usize, usuals: &mut Usuals, at: UtcTime) -> bool {
        let Some((series, usual)) = usuals.of(self, index) else { return false };
        let recent = series.recent.as_deref();
        recent.is_some_and(|recent| is_elevated(&recent.ring, at, |minutes| usual.of(minutes)))
    }

    /// Lets a calm series rest until enough has come to it, or some minutes; not all for the same time, so
    /// that they are not all looked at in the same tick.
    fn rest(&mut self, index: usize, at: UtcTime) {
        let recent = self.series.get_index_mut(index).and_then(|(_, series)| series.recent.as_deref_mut());
        // To know how much may come takes longer than a look; it is worth it where many would follow.
        if !recent.is_some_and(|recent| recent.is_looked_at_again(at, OFTEN_SECONDS)) {
            return;
        }
        let until = at.plus_seconds(RESTS_SECONDS + 10 * (index as i64 % RESTS_SPREAD));
        let room = match (self.told(index, at), self.told(index, until)) {
            (Some((recent, now)), Some((_, then))) => room(&recent.ring, at, |minutes| {
                let (now, then) = (now(minutes), then(minutes));
                if now.mean < then.mean { now } else { then }
            }),
            _ => return,
        };
        if let Some(recent) = self.series[index].recent.as_deref_mut() {
            recent.rest(room, until);
        }
    }

    /// A departure that is not part of an incident yet.
    fn look_at(&self, index: usize, at: UtcTime, policy: &Policy) -> Option<Signal> {
        let (facet, series) = self.series.get_index(index)?;
        let (facet, recent) = (*facet, series.recent.as_deref()?);
        if recent.subnets.estimate(at.minute().hour()) < policy.possible_subnets_min {
            return None;
        }
        let usual = self.usual(facet, series, at);
        let usual = |minutes| usual.of(minutes);
        let (possible, detected) = Self::budgets(facet, self.series.len() as u32, policy);
        let reading = read(&recent.windows(at), usual);
        reading.exceeds(possible).then(|| Signal {
            facet,
            reading,
            departs: true,
            sound: (reading.observed, reading.risen_longest),
            departs_strongly: reading.exceeds(detected),
            onset: Some(onset(&recent.ring, at, usual)),
        })
    }

    /// How a part of an incident stands.
    fn look_at_watched(&self, facet: Facet, watch: Watch, at: UtcTime, policy: &Policy) -> Option<Signal> {
        let series = self.series.get(&facet)?;
        let recent = series.recent.as_deref();
        let windows = recent.map(|recent| recent.windows(at)).unwrap_or_default();
        let usual = self.usual(facet, series, at);
        let usual = |minutes| usual.of(minutes);
        if watch == Watch::Course {
            let reading = Reading::of_course(&windows, usual);
            let sound = (reading.observed, reading.risen_longest);
            return Some(Signal {
                facet,
                reading,
                departs: false,
                sound,
                departs_strongly: false,
                onset: None,
            });
        }
        let reading = read(&windows, usual);
        let subnets = recent.map_or(0, |recent| recent.subnets.estimate(at.minute().hour()));
        let (possible, detected) = Self::budgets(facet, self.series.len() as u32, policy);
        let departs = reading.elevated && reading.exceeds(possible) && subnets >= policy.possible_subnets_min;
        // What is doubted does not confirm: the rest has to be enough by itself.
        let rest = match recent.filter(|_| departs && self.doubts.is_any()) {
            Some(recent) => {
                let sound = self.doubts.sound(facet, at, |hour| recent.hour(hour));
                read(&windows.of_rise(sound, usual), usual)
            }
            None => reading,
        };
        let sound = (rest.observed, rest.risen_longest);
        let departs_strongly = departs && rest.exceeds(detected);
        Some(Signal { facet, reading, departs, sound, departs_strongly, onset: None })
    }

    /// Half of the service's budget goes to the service as a whole, half is shared by its parts.
    pub(super) fn budgets(facet: Facet, parts: u32, policy: &Policy) -> (Budget, Budget) {
        let share = if facet == Facet::All { 0.5 } else { 0.5 / f64::from(parts.max(1)) };
        let budget = |per_year: f64| Budget {
            ln_per_year: log(per_year * share),
            sources_min: policy.possible_sources_min,
        };
        (budget(policy.possible_per_service_year), budget(policy.detected_per_service_decade / 10.0))
    }
}
