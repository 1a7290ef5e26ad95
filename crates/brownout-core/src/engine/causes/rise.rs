//! What rises at one service, as far as it tells who is to blame: how much, since when, in which
//! course, and of which kinds, countries and networks.

use super::super::looking::Signal;
use super::super::subject::Subject;
use super::parts::Parts;
use crate::model::{Facet, Minute, UtcTime};
use crate::series::{is_elevated, onset};
use crate::snapshot::Onset;

/// Whole minutes up to now that the course is known of; the ring holds more.
pub(crate) const COURSE_MINUTES: u32 = 60;
/// Shares are counted since the rise began, but over so many minutes at least and at most.
const WINDOW_MINUTES_MIN: u32 = 5;
const WINDOW_MINUTES_MAX: u32 = 60;
/// What goes on is told from what begins by the last so many.
const LATELY_MINUTES: u32 = 15;
/// Up to so many times its usual a service as a whole may be by the noise of an hour, while a part departs.
pub(super) const NOISE_OF_USUAL: f64 = 2.5;

/// A service whose reports are above usual.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rise {
    /// When it began, within the last hour.
    pub(crate) onset: Onset,
    /// The first minute of late that it was above its usual band, or the earliest of its beginning.
    pub(crate) first: Minute,
    /// Sources of each of the last whole minutes, oldest first.
    pub(crate) course: Vec<f64>,
    /// Sources of the running minute.
    pub(crate) running: f64,
    /// Sources that are usual in one minute.
    pub(crate) usual_minute: f64,
    /// Sources since it began, within bounds.
    pub(crate) parts: Parts,
    /// Sources of the last minutes, where it began before them: what is known already may go on while
    /// something else begins.
    pub(crate) lately: Option<Parts>,
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
        let parts = Parts::of(subject, at, minutes);
        let lately = (minutes > LATELY_MINUTES).then(|| Parts::of(subject, at, LATELY_MINUTES));
        let mut rise = Rise {
            onset,
            first: onset.earliest,
            course: Vec::with_capacity(COURSE_MINUTES as usize),
            running: 0.0,
            usual_minute: usual(1.0).mean,
            parts,
            lately,
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
        if rise.parts.whole.observed < NOISE_OF_USUAL * rise.parts.whole.usual {
            rise.of_part = part_alone(signals);
        }
        Some(rise)
    }

    /// Sources above usual since it began, never negative.
    pub(crate) fn excess(&self) -> f64 {
        self.parts.whole.excess()
    }

    /// Sources above usual in the running and the last so many whole minutes, never negative: what two
    /// services are compared by, whenever each began.
    pub(crate) fn above(&self, minutes: u32) -> f64 {
        let minutes = (minutes as usize).min(self.course.len());
        let counted: f64 = self.course[self.course.len() - minutes..].iter().sum();
        (counted + self.running - self.usual_minute * minutes as f64).max(0.0)
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
