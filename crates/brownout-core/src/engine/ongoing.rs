//! An incident from its opening to its end: which parts it has, how far it reaches, what is told of it
//! and when that is news.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::correlator::{Circumstances, ServiceLook};
use super::subject::Watch;
use crate::effect::Derived;
use crate::incident::{Doubt, Extent, ExtentTrack, Look, ScopeTrack, Step};
use crate::model::{Facet, IncidentId, Minute, OperatorAction, ServiceId, UtcTime};
use crate::snapshot::{Bar, Change, Chart, IncidentView, State, TimelineEntry};
use crate::verdict::{Bond, Cause, Facts, Part, Reason, Verdict, judge};

/// Most parts that one incident follows.
const SCOPES_MAX: usize = 200;
/// Most lines of one incident's timeline.
const TIMELINE_MAX: usize = 2000;
/// Unless the state changes, judgements are at least this far apart, in seconds, ...
const REVISION_SECONDS_MIN: i64 = 300;
/// ... or, while it grows beyond what the last one said, this far, ...
const GROWTH_SECONDS_MIN: i64 = 60;
/// ... and with each so many of one incident by as much more: a week of change makes some 300.
const REVISIONS_APACE: u32 = 24;
/// Most bars of an incident's chart: a week of five minutes.
const BARS_MAX: usize = 2016;
/// How long after another was last the likelier cause it may be detected, in milliseconds: noise of a
/// few minutes must not decide it.
const DOUBT_MILLIS: i64 = 600_000;
/// Bars before the opening that its chart begins with: an hour.
const BARS_BEFORE: u32 = 12;

/// An incident while it is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Incident {
    id: IncidentId,
    changes: u64,
    opened_at: UtcTime,
    confirmed_at: Option<UtcTime>,
    held: Option<String>,
    /// When another was last the likelier cause.
    in_doubt_at: Option<UtcTime>,
    /// What keeps it at "possible" without an operator.
    doubts: Vec<Doubt>,
    scopes: IndexMap<Facet, ScopeTrack, FxBuildHasher>,
    extent: ExtentTrack,
    timeline: Vec<TimelineEntry>,
    verdicts: Vec<Arc<Verdict>>,
    /// Step (five minutes since the epoch) of the first bar.
    first_step: u32,
    bars: Vec<Bar>,
}

impl Incident {
    pub(super) fn new(service: ServiceId, at: UtcTime) -> Self {
        let opened = at.minute();
        Incident {
            id: IncidentId { service, opened },
            changes: 0,
            opened_at: at,
            confirmed_at: None,
            held: None,
            in_doubt_at: None,
            doubts: Vec::new(),
            scopes: IndexMap::default(),
            extent: ExtentTrack::default(),
            timeline: Vec::new(),
            verdicts: Vec::new(),
            first_step: (opened.0 / 5).saturating_sub(BARS_BEFORE),
            bars: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> IncidentId {
        self.id
    }

    pub(crate) fn opened_at(&self) -> UtcTime {
        self.opened_at
    }

    pub(crate) fn scope(&self, facet: Facet) -> Option<&ScopeTrack> {
        self.scopes.get(&facet)
    }

    pub(crate) fn verdict(&self) -> Option<&Arc<Verdict>> {
        self.verdicts.last()
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    fn ended_at(&self) -> Option<UtcTime> {
        self.scopes.values().filter_map(ScopeTrack::ended_at).max()
    }

    /// Whether it ended so lately that a new departure is another wave of it.
    pub(super) fn ended_within(&self, now: Circumstances<'_>) -> bool {
        let pause = i64::from(now.policy.same_incident_minutes) * 60_000;
        self.ended_at().is_none_or(|ended| now.at.millis_since(ended) <= pause)
    }

    pub(super) fn is_over(&self) -> bool {
        self.scopes.values().all(|scope| !scope.is_open())
    }

    /// The worst state of any part.
    pub(crate) fn state(&self) -> State {
        self.scopes
            .values()
            .map(ScopeTrack::state)
            .filter(|state| *state != State::Ended)
            .max()
            .unwrap_or(State::Ended)
    }

    pub(super) fn watched(&self) -> BTreeMap<Facet, Watch> {
        let open = self.scopes.values().filter(|scope| scope.is_open());
        let watch = |scope: &ScopeTrack| match scope.state() {
            State::Confirmed => Watch::Course,
            _ => Watch::Departures,
        };
        let mut watched = BTreeMap::from([(Facet::All, Watch::Departures)]);
        watched.extend(open.map(|scope| (scope.facet, watch(scope))));
        watched
    }

    pub(super) fn change(&mut self) {
        self.changes += 1;
    }

    /// Adds bars up to a step to its chart; `bar` gives any step of it.
    pub(super) fn chart(&mut self, step: u32, bar: impl Fn(u32) -> Bar) {
        let from = self.first_step + self.bars.len() as u32;
        let room = (BARS_MAX - self.bars.len()) as u32;
        self.bars.extend((from..=step).take(room as usize).map(bar));
    }

    fn note(&mut self, at: UtcTime, part: Part, change: Change) {
        if self.timeline.len() < TIMELINE_MAX {
            let Part { facet, observed, expected, .. } = part;
            self.timeline.push(TimelineEntry { at, facet, change, observed, expected: expected as f32 });
        }
    }

    pub(super) fn obey(&mut self, asked: &[OperatorAction], at: UtcTime, look: &ServiceLook) -> bool {
        let mut changed = false;
        for action in asked {
            let (incident, words) = match action {
                OperatorAction::Hold { incident, reason }
                | OperatorAction::Extend { incident, reason }
                | OperatorAction::Close { incident, reason } => (incident, reason),
                OperatorAction::Note { incident, text } => (incident, text),
            };
            if *incident != self.id {
                continue;
            }
            changed = true;
            self.note(at, look.whole, Change::Operator(words.clone()));
            match action {
                OperatorAction::Hold { reason, .. } => self.held = Some(reason.clone()),
                OperatorAction::Close { .. } => {
                    let facets: Vec<Facet> = self.scopes.keys().copied().collect();
                    for facet in facets {
                        let steps =
                            self.scopes.get_mut(&facet).map(|scope| scope.end(at)).unwrap_or_default();
                        self.record(facet, steps, at);
                    }
                }
                OperatorAction::Extend { .. } | OperatorAction::Note { .. } => {}
            }
        }
        changed
    }

    /// Whether an operator asks that it be learned later.
    pub(super) fn is_extended_by(&self, asked: &[OperatorAction]) -> bool {
        let of = |action: &OperatorAction| matches!(action, OperatorAction::Extend { incident, .. } if *incident == self.id);
        asked.iter().any(of)
    }

    /// Ends all parts, for another is to blame.
    pub(super) fn withdraw(&mut self, at: UtcTime, look: &ServiceLook) {
        self.note(at, look.whole, Change::Explained);
        for scope in self.scopes.values_mut() {
            scope.end(at);
        }
    }

    /// Lets every part take its look; true when anything changed. While another may be to blame
    /// (`in_doubt`), and shortly after, nothing is detected.
    pub(super) fn follow(&mut self, look: &ServiceLook, now: Circumstances<'_>, in_doubt: bool) -> bool {
        let mut changed = self.extent.follow(look.extent.clone());
        if in_doubt {
            self.in_doubt_at = Some(now.at);
        }
        let in_doubt = self.in_doubt_at.is_some_and(|last| now.at.millis_since(last) < DOUBT_MILLIS);
        for signal in &look.signals {
            let seen = Look {
                reading: signal.reading,
                departs: signal.departs,
                sound: signal.sound,
                departs_strongly: signal.departs_strongly,
                onset: signal.onset,
                full_minute: now.full_minute,
                held: self.held.is_some() || in_doubt,
                deaf: look.silence.is_some(),
            };
            let room = self.scopes.len() < SCOPES_MAX;
            let peak = self.scopes.get(&signal.facet).map(ScopeTrack::peak);
            let steps = match self.scopes.get_mut(&signal.facet) {
                Some(scope) => scope.step(now.at, &seen, now.policy),
                None if signal.departs && room => {
                    self.scopes.insert(signal.facet, ScopeTrack::begin(signal.facet, now.at, &seen));
                    vec![Step::Possible]
                }
                None => Vec::new(),
            };
            // A new peak is told with the next full minute, also when nothing else comes of it.
            changed |= !steps.is_empty() || self.scopes.get(&signal.facet).map(ScopeTrack::peak) != peak;
            self.record(signal.facet, steps, now.at);
        }
        for signal in &look.settled {
            changed |= self.scopes.get_mut(&signal.facet).is_some_and(|scope| scope.settle(signal));
        }
        changed
    }

    /// Notes what keeps it at "possible", or that nothing does any more; true when that changed.
    pub(super) fn doubt(&mut self, look: &ServiceLook, at: UtcTime) -> bool {
        let doubts = if self.state() == State::Possible { &look.doubts[..] } else { &[] };
        let before = std::mem::replace(&mut self.doubts, doubts.to_vec());
        let is_new = |doubt: &&Doubt| !before.iter().any(|known| known.cause.is_like(&doubt.cause));
        let fresh: Vec<Doubt> = doubts.iter().filter(is_new).copied().collect();
        let is_released = doubts.is_empty() && !before.is_empty();
        for doubt in &fresh {
            self.note(at, look.whole, Change::Held(*doubt));
        }
        if is_released && self.state() == State::Possible {
            self.note(at, look.whole, Change::Released);
        }
        is_released || !fresh.is_empty()
    }

    fn record(&mut self, facet: Facet, steps: Vec<Step>, at: UtcTime) {
        let Some(scope) = self.scopes.get(&facet) else { return };
        let mut part = part_of(scope);
        for step in steps {
            let (at, change) = match step {
                Step::Possible => (at, Change::Possible),
                Step::Confirmed => {
                    self.confirmed_at.get_or_insert(at);
                    (at, Change::Confirmed)
                }
                Step::Peak(wave) => {
                    part.observed = wave.peak;
                    (wave.peak_at.start(), Change::Peak)
                }
                Step::Ended => (at, Change::Ended),
            };
            self.note(at, part, change);
        }
    }

    /// Publishes a new judgement when it would say something else than the last one.
    pub(super) fn judge(
        &mut self,
        look: &ServiceLook,
        now: Circumstances<'_>,
        because: &[Reason],
        derived: &mut Derived,
    ) -> bool {
        let parts = self.parts(now.at);
        let state = self.state();
        let revision = self.verdicts.len() as u32 + 1;
        let verdict = judge(&Facts {
            service: self.id.service,
            incident: Some(self.id),
            revision,
            as_of: now.at,
            state,
            since: Some(self.opened_at),
            whole: look.whole,
            parts: &parts,
            located: self.extent.get(),
            sources_hour: look.sources_hour,
            subnets: look.subnets,
            learning: look.learning,
            reported: true,
            silence: look.silence,
            held: self.held.as_deref(),
            doubts: &self.doubts,
            because,
            became_usual: look.became_usual,
            policy: now.policy_digest,
        });
        let news = self.verdicts.last().is_none_or(|last| {
            let turned = last.state != verdict.state
                || hold(last) != hold(&verdict)
                || !are_doubted_alike(last, &verdict)
                || blamed(last) != blamed(&verdict);
            let (grown, shrunk) = outgrown(last, &verdict);
            let widened = is_wider(last.located.as_ref(), verdict.located.as_ref());
            let moved = !is_same_extent(last.located.as_ref(), verdict.located.as_ref())
                || !are_same_parts(&last.extent, &verdict.extent)
                || last.confidence != verdict.confidence
                || shrunk;
            // The longer it lasts, the rarer the news that is none of its state.
            let pause = |seconds_min: i64| seconds_min * i64::from(1 + revision / REVISIONS_APACE);
            let age_seconds = now.at.millis_since(last.as_of) / 1000;
            turned
                || ((grown || widened) && age_seconds >= pause(GROWTH_SECONDS_MIN))
                || (moved && age_seconds >= pause(REVISION_SECONDS_MIN))
        });
        if !news {
            return false;
        }
        let verdict = Arc::new(verdict);
        derived.verdicts.push(verdict.clone());
        self.verdicts.push(verdict);
        true
    }

    /// Parts that are above usual, worst first: those that the extent names, the service as a whole and
    /// countries; other parts only while the extent is not clear.
    fn parts(&self, at: UtcTime) -> Vec<Part> {
        let mut parts: Vec<Part> =
            self.scopes.values().filter(|scope| scope.is_elevated(at)).map(part_of).collect();
        let named = |facet: Facet| self.extent.get().is_some_and(|extent| extent.facets.contains(&facet));
        if self.extent.get().is_some() {
            let wide = |facet: Facet| matches!(facet, Facet::All | Facet::Country(_));
            parts.retain(|part| wide(part.facet) || named(part.facet));
        }
        let rank = |part: &Part| (!named(part.facet), part.facet != Facet::All);
        parts.sort_by_key(|part| (rank(part), std::cmp::Reverse(part.observed), part.facet));
        parts.truncate(50);
        parts
    }

    pub(crate) fn view(&self) -> IncidentView {
        let mut scopes: Vec<_> = self.scopes.values().map(ScopeTrack::view).collect();
        scopes.sort_by_key(|scope| (scope.facet != Facet::All, std::cmp::Reverse(scope.peak), scope.facet));
        let state = self.state();
        IncidentView {
            id: self.id,
            version: self.changes,
            state,
            opened_at: self.opened_at,
            confirmed_at: self.confirmed_at,
            ended_at: (state == State::Ended)
                .then(|| scopes.iter().filter_map(|scope| scope.ended_at).max())
                .flatten(),
            held: self.held.clone(),
            doubts: self.doubts.clone(),
            scopes,
            timeline: self.timeline.clone(),
            verdicts: self.verdicts.clone(),
            chart: Chart {
                start: Minute(self.first_step * 5),
                step_minutes: 5,
                bars: self.bars.clone(),
                incomplete: false,
            },
        }
    }
}

fn is_same_extent(last: Option<&Extent>, next: Option<&Extent>) -> bool {
    match (last, next) {
        (Some(last), Some(next)) => last.is_same_place(next),
        (last, next) => last.is_none() && next.is_none(),
    }
}

/// Whether an extent that was not clear is, or names a wider kind of place than before.
fn is_wider(last: Option<&Extent>, next: Option<&Extent>) -> bool {
    next.is_some_and(|next| last.is_none_or(|last| next.kind > last.kind))
}

/// Whether two lists name the same parts; their order is by figures, which change all the time.
fn are_same_parts(these: &[Facet], those: &[Facet]) -> bool {
    these.len() == those.len() && these.iter().all(|part| those.contains(part))
}

/// An operator's reason for a hold, if there is one.
fn hold(verdict: &Verdict) -> Option<&str> {
    verdict.reasons.iter().find_map(|reason| match reason {
        Reason::Held { reason } => Some(reason.as_str()),
        _ => None,
    })
}

/// Whether two judgements have the same doubts, whatever their figures.
fn are_doubted_alike(last: &Verdict, next: &Verdict) -> bool {
    let doubts = |verdict: &Verdict| verdict.doubts().map(|doubt| doubt.cause).collect::<Vec<_>>();
    let (last, next) = (doubts(last), doubts(next));
    last.len() == next.len() && last.iter().all(|cause| next.iter().any(|other| other.is_like(cause)))
}

/// What a judgement lays the reports to.
fn blamed(verdict: &Verdict) -> Option<(Bond, Cause)> {
    verdict.reasons.iter().find_map(|reason| match reason {
        Reason::LikelyCausedBy { bond, cause, .. } => Some((*bond, *cause)),
        _ => None,
    })
}

/// Whether the first figure that a judgement gives is twice what it was, or half.
fn outgrown(last: &Verdict, next: &Verdict) -> (bool, bool) {
    let figure = |verdict: &Verdict| match verdict.reasons.first() {
        Some(Reason::ReportsAboveUsual { observed, .. }) => u64::from(*observed),
        _ => 0,
    };
    let (last, next) = (figure(last), figure(next));
    (next >= 2 * last.max(10), last >= 2 * next.max(10))
}

fn part_of(scope: &ScopeTrack) -> Part {
    Part {
        facet: scope.facet,
        observed: scope.observed(),
        expected: scope.expected(),
        rarest: scope.rarest(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::looking::Signal;
    use super::*;
    use crate::model::{Catalogue, Policy};
    use crate::series::Reading;
    use crate::snapshot::Rarest;

    /// A service that many report, far beyond what detection asks for.
    fn look() -> ServiceLook {
        let reading = Reading {
            observed: 5000,
            risen_longest: 5000,
            expected: 1.0,
            ln_per_year: -40.0,
            window_minutes: 15,
            window_sources: 5000,
            window_expected: 1.0,
            glr: 300.0,
            elevated: true,
        };
        let signal = Signal {
            facet: Facet::All,
            reading,
            departs: true,
            departs_strongly: true,
            sound: (5000, 5000),
            onset: None,
        };
        ServiceLook {
            service: ServiceId(0),
            signals: vec![signal],
            rise: None,
            whole: Part { facet: Facet::All, observed: 5000, expected: 1.0, rarest: Rarest::default() },
            sources_hour: 5000,
            subnets: 5000,
            extent: None,
            learning: false,
            became_usual: false,
            silence: None,
            doubts: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Minute from its opening at which an incident is detected that another may be to blame for until one.
    fn detected_at(in_doubt_until: i64) -> Option<i64> {
        let opened = UtcTime::from_millis(1_741_600_000_000);
        let (policy, catalogue) = (Policy::default(), Catalogue::default());
        let mut incident = Incident::new(ServiceId(0), opened);
        (0..120).find(|minute| {
            let at = opened.plus_seconds(60 * minute);
            let now = Circumstances {
                at,
                full_minute: true,
                policy: &policy,
                policy_digest: "",
                catalogue: &catalogue,
            };
            incident.follow(&look(), now, *minute <= in_doubt_until);
            incident.state() == State::Confirmed
        })
    }

    #[test]
    fn nothing_is_detected_while_another_may_be_to_blame_or_shortly_after() {
        let soonest = detected_at(-1).expect("detected");
        assert!(soonest <= 10, "{soonest}");
        let pause = DOUBT_MILLIS / 60_000;
        for until in [15, 40] {
            assert_eq!(detected_at(until), Some(until + pause));
        }
        assert_eq!(detected_at(120), None);
    }
}
