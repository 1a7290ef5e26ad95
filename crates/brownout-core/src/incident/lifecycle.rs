//! One part of an incident: how a place, a network or the service as a whole fares over time.

use libm::sqrt;
use serde::{Deserialize, Serialize};

use super::waves::Waves;
use crate::model::{Facet, Policy, UtcTime};
use crate::series::Reading;
use crate::snapshot::{Onset, Rarest, ScopeView, SettledSignal, State, Wave};

/// Fewest sources in 15 minutes that still come, as for any that go on.
const COMING_SOURCES_MIN: u32 = 3;
/// Where few sources detect, so many times what comes now would have brought as many since it began.
const COMING_TIMES: f64 = 3.0;

/// What a look at a part means for its lifecycle.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// What was read.
    pub reading: Reading,
    /// A departure by the budget of "possible problems".
    pub departs: bool,
    /// Sources in 15 minutes, and those above usual in six hours, that no doubt touches.
    pub sound: (u32, u32),
    /// A departure of these by the budget of "detected problems".
    pub departs_strongly: bool,
    /// When it began, if that was worked out.
    pub onset: Option<Onset>,
    /// The look is at a full minute, so the 15 minutes are whole and comparable.
    pub full_minute: bool,
    /// An operator keeps the incident at "possible".
    pub held: bool,
    /// Next to nothing comes in, so that quiet is no sign of an end.
    pub deaf: bool,
}

/// What a look changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Became possible.
    Possible,
    /// Became confirmed.
    Confirmed,
    /// A wave's peak was passed.
    Peak(Wave),
    /// Ended.
    Ended,
}

/// One part of an incident, followed from its first departure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeTrack {
    /// The part.
    pub facet: Facet,
    state: State,
    since: UtcTime,
    /// When the running stretch became possible; later than `since` once it ended and came back.
    opened_at: UtcTime,
    confirmed_at: Option<UtcTime>,
    ended_at: Option<UtcTime>,
    last_elevated_at: UtcTime,
    /// When next to nothing was heard for the last time.
    last_deaf_at: UtcTime,
    observed: u32,
    expected: f64,
    peak: u32,
    peak_at: crate::model::Minute,
    rarest: Rarest,
    onset: Onset,
    settled: Option<SettledSignal>,
    waves: Waves,
}

impl ScopeTrack {
    /// Begins with the look that departed.
    pub fn begin(facet: Facet, at: UtcTime, look: &Look) -> Self {
        let minute = at.minute();
        let mut track = ScopeTrack {
            facet,
            state: State::Possible,
            since: at,
            opened_at: at,
            confirmed_at: None,
            ended_at: None,
            last_elevated_at: at,
            last_deaf_at: UtcTime::default(),
            observed: look.reading.observed,
            expected: look.reading.expected,
            // Of the running 15 minutes, until the first whole ones.
            peak: look.reading.observed,
            peak_at: minute,
            rarest: look.reading.rarest(),
            onset: look.onset.unwrap_or(Onset { earliest: minute, likeliest: minute, latest: minute }),
            settled: None,
            waves: Waves::default(),
        };
        track.measure(at, look);
        track
    }

    /// Takes the next look; what it changed, in order.
    pub fn step(&mut self, at: UtcTime, look: &Look, policy: &Policy) -> Vec<Step> {
        let mut steps: Vec<Step> = self.measure(at, look).map(Step::Peak).into_iter().collect();
        if look.reading.elevated {
            self.last_elevated_at = at;
        }
        if look.deaf {
            self.last_deaf_at = at;
        }
        match self.state {
            State::Ended if look.departs => {
                self.state = State::Possible;
                self.opened_at = at;
                self.last_elevated_at = at;
                self.ended_at = None;
                steps.push(Step::Possible);
            }
            State::Ended => {}
            _ if self.is_quiet(at, policy) => {
                steps.extend(self.end(at));
            }
            State::Possible if self.is_confirmed_by(at, look, policy) => {
                self.state = State::Confirmed;
                self.confirmed_at.get_or_insert(at);
                let now = look.reading.rarest();
                if now.recurrence_years > self.rarest.recurrence_years {
                    self.rarest = now;
                }
                steps.push(Step::Confirmed);
            }
            _ => {}
        }
        steps
    }

    /// Ends it now, by itself or by an operator.
    pub fn end(&mut self, at: UtcTime) -> Vec<Step> {
        if self.state == State::Ended {
            return Vec::new();
        }
        let peak = self.waves.end(self.last_elevated_at.minute()).map(Step::Peak);
        self.state = State::Ended;
        self.ended_at = Some(at);
        peak.into_iter().chain([Step::Ended]).collect()
    }

    /// Takes what settled counts say of it; true when that is news. A signal that ended before this part
    /// became possible is of something else.
    pub fn settle(&mut self, signal: &SettledSignal) -> bool {
        let is_of_it = signal.ended_at.is_none_or(|ended| ended >= self.since.minute());
        if !is_of_it || self.settled.as_ref() == Some(signal) {
            return false;
        }
        self.settled = Some(signal.clone());
        true
    }

    fn measure(&mut self, at: UtcTime, look: &Look) -> Option<Wave> {
        self.observed = look.reading.observed;
        self.expected = look.reading.expected;
        if !look.full_minute || self.state == State::Ended {
            return None;
        }
        if look.reading.observed > self.peak {
            self.peak = look.reading.observed;
            self.peak_at = at.minute();
        }
        self.waves.follow(at.minute(), look.reading.observed)
    }

    fn is_quiet(&self, at: UtcTime, policy: &Policy) -> bool {
        let heard = self.last_elevated_at.max(self.last_deaf_at);
        at.millis_since(heard) >= i64::from(policy.quiet_minutes) * 60_000
    }

    /// Many sources soon, or fewer after longer, while they still come: evidence and sufficient duration.
    /// What was over before that was short, and is told as possible.
    fn is_confirmed_by(&self, at: UtcTime, look: &Look, policy: &Policy) -> bool {
        let lasted = |minutes: u32| at.millis_since(self.opened_at) >= i64::from(minutes) * 60_000;
        let (shown, risen) = look.sound;
        let many = shown >= policy.detected_many_sources_min && lasted(policy.detected_many_minutes);
        let few = risen >= policy.detected_few_sources_min && lasted(policy.detected_few_minutes);
        let is_coming = self.is_coming(at, look, if many { 0 } else { policy.detected_few_sources_min });
        look.departs_strongly && !look.held && (many || few) && is_coming
    }

    /// Whether the last 15 minutes, without what is doubted, are above usual by more than the luck of counting
    /// (the standard deviation of a Poisson count; by the noise of hours, slow failures of busy services would
    /// never be), and so many that a third of `least`, at least, would have come like that since it began. What
    /// came before does not count against it: more of it must not make it less.
    fn is_coming(&self, at: UtcTime, look: &Look, least: u32) -> bool {
        let (shown, usual) = (look.sound.0, look.reading.expected);
        let above = f64::from(shown) - usual;
        let quarters = (at.millis_since(self.since) as f64 / 900_000.0).max(1.0);
        shown >= COMING_SOURCES_MIN
            && above > sqrt(usual)
            && above * quarters * COMING_TIMES >= f64::from(least)
    }

    /// Possible, confirmed or ended.
    pub fn state(&self) -> State {
        self.state
    }

    /// Above usual at its last look, which was at `at`.
    pub fn is_elevated(&self, at: UtcTime) -> bool {
        self.is_open() && self.last_elevated_at == at
    }

    /// Possible or confirmed.
    pub fn is_open(&self) -> bool {
        self.state != State::Ended
    }

    /// When it became possible.
    pub fn since(&self) -> UtcTime {
        self.since
    }

    /// When it ended; `None` while it is open.
    pub fn ended_at(&self) -> Option<UtcTime> {
        self.ended_at
    }

    /// Sources in the 15 minutes up to the last look.
    pub fn observed(&self) -> u32 {
        self.observed
    }

    /// Usual mean of these 15 minutes.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// What made it possible, or confirmed it where that was rarer.
    pub fn rarest(&self) -> Rarest {
        self.rarest
    }

    /// The most sources in any 15 minutes.
    pub fn peak(&self) -> u32 {
        self.peak
    }

    /// As readers see it.
    pub fn view(&self) -> ScopeView {
        ScopeView {
            facet: self.facet,
            state: self.state,
            since: self.since,
            confirmed_at: self.confirmed_at,
            ended_at: self.ended_at,
            observed: self.observed,
            expected: self.expected as f32,
            peak: self.peak,
            peak_at: self.peak_at,
            rarest: self.rarest,
            onset: self.onset,
            settled: self.settled.clone(),
            waves: self.waves.list().to_vec(),
        }
    }
}
