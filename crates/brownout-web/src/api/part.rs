//! How a part of a service fared within an incident, on the wire.

use brownout_core::snapshot::{ScopeView, SettledSignal, Wave as CoreWave};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::{Scope, State, known, time};
use crate::view::View;

/// How one part fared within an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Part {
    scope: Scope,
    state: State,
    since: String,
    confirmed_at: Option<String>,
    ended_at: Option<String>,
    observed: u32,
    /// Usual mean; null while it is still being learned.
    expected: Option<f64>,
    peak: u32,
    peak_at: String,
    /// The window that made it possible, or confirmed it where that was rarer, in minutes ...
    window_minutes: u32,
    /// ... the distinct sources in it ...
    window_sources: u32,
    /// ... their usual mean, null while it is still being learned ...
    window_expected: Option<f64>,
    /// ... and how rarely chance alone brings any window to a count as rare, in years.
    recurrence_years: f64,
    /// It began not before this minute.
    onset_earliest: String,
    onset_likeliest: String,
    /// It began not after this minute.
    onset_latest: String,
    /// The same by reports to which nothing can come any more; null before that. The figures above are of
    /// the reports that were known at the time.
    settled: Option<Settled>,
    waves: Vec<Wave>,
}

/// A departure of counts that are settled: no report can come to them any more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Settled {
    /// End of the minutes in which it was first seen.
    as_of: String,
    /// Distinct sources in the 15 minutes up to then.
    observed: u32,
    /// Usual mean for these; null while it is still being learned.
    expected: Option<f64>,
    /// The window in which it was the rarest, in minutes ...
    window_minutes: u32,
    /// ... and the distinct sources in it.
    window_sources: u32,
    /// How rarely chance alone does this, in years.
    recurrence_years: f64,
    /// It began not before this minute.
    onset_earliest: String,
    onset_likeliest: String,
    /// It began not after this minute.
    onset_latest: String,
    /// The most sources in any 15 minutes that end at a fifth minute.
    peak: u32,
    peak_at: String,
    /// When it was last above usual, once it has been calm for long enough.
    ended_at: Option<String>,
}

impl Settled {
    fn new(signal: &SettledSignal, is_guess: bool) -> Self {
        Settled {
            as_of: time(signal.as_of.start()),
            observed: signal.observed,
            expected: known(signal.expected, is_guess),
            window_minutes: signal.window_minutes,
            window_sources: signal.window_sources,
            recurrence_years: finite(signal.recurrence_years),
            onset_earliest: time(signal.onset.earliest.start()),
            onset_likeliest: time(signal.onset.likeliest.start()),
            onset_latest: time(signal.onset.latest.start()),
            peak: signal.peak,
            peak_at: time(signal.peak_at.start()),
            ended_at: signal.ended_at.map(|ended| time(ended.start())),
        }
    }
}

/// JSON knows no infinity.
fn finite(years: f64) -> f64 {
    if years.is_finite() { years } else { f64::MAX }
}

/// A burst within an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Wave {
    start: String,
    peak: u32,
    peak_at: String,
    end: Option<String>,
}

impl Wave {
    fn new(wave: &CoreWave) -> Self {
        Wave {
            start: time(wave.start.start()),
            peak: wave.peak,
            peak_at: time(wave.peak_at.start()),
            end: wave.end.map(|end| time(end.end())),
        }
    }
}

impl Part {
    pub(super) fn new(view: &View, scope: &ScopeView, is_guess: bool) -> Self {
        Part {
            scope: Scope::new(view, scope.facet),
            state: scope.state.into(),
            since: time(scope.since),
            confirmed_at: scope.confirmed_at.map(time),
            ended_at: scope.ended_at.map(time),
            observed: scope.observed,
            expected: known(scope.expected, is_guess),
            peak: scope.peak,
            peak_at: time(scope.peak_at.start()),
            window_minutes: scope.rarest.minutes,
            window_sources: scope.rarest.observed,
            window_expected: known(scope.rarest.expected, is_guess),
            recurrence_years: finite(scope.rarest.recurrence_years),
            onset_earliest: time(scope.onset.earliest.start()),
            onset_likeliest: time(scope.onset.likeliest.start()),
            onset_latest: time(scope.onset.latest.start()),
            settled: scope.settled.as_ref().map(|signal| Settled::new(signal, is_guess)),
            waves: scope.waves.iter().map(Wave::new).collect(),
        }
    }
}
