//! The answer that says how everything stands.

use brownout_core::snapshot::{Silence as CoreSilence, State as Condition};
use brownout_core::verdict::silence_sentence;
use serde::Serialize;
use utoipa::ToSchema;

use super::reach::Disruption;
use super::wire::{Incident, Scope, figure, time};
use crate::view::View;

/// How things stand, over all services.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// Grows with every snapshot.
    serial: u64,
    /// The time up to which the observatory has been told.
    at: String,
    /// When the last report came in.
    last_report_at: Option<String>,
    /// Counts over all services.
    totals: Totals,
    /// Incidents that last, most reports first.
    ongoing: Vec<Incident>,
    /// Channels and countries from which next to nothing comes in, so that silence says nothing there;
    /// the world when nothing comes in at all.
    silences: Vec<Silence>,
    /// Countries and networks that are or were cut off by their measurements, latest first.
    disruptions: Vec<Disruption>,
}

/// Reports that did not come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Silence {
    scope: Scope,
    /// When the last report came, or since when it is next to nothing.
    since: String,
    /// Reports since then, when the silence was found.
    observed: u32,
    /// How many would be usual since then.
    expected: f64,
    /// How rarely chance alone brings such a silence, in years.
    recurrence_years: f64,
    /// The same in words.
    sentence: String,
}

impl Silence {
    fn new(view: &View, silence: &CoreSilence) -> Self {
        Silence {
            scope: Scope::new(view, silence.facet),
            since: time(silence.since),
            observed: silence.observed,
            expected: figure(silence.expected),
            recurrence_years: figure(silence.recurrence_years),
            sentence: silence_sentence(silence, view.names()),
        }
    }
}

/// Counts over all services.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Totals {
    services: usize,
    /// Distinct sources in the last 15 minutes.
    sources_15_minutes: u64,
    /// Reports since the log began.
    reports: u64,
    /// Of these, repeats: the same source within `repeat_minutes` of the policy (60 by default) of
    /// its last report.
    repeats: u64,
    /// Of these, too late to be counted.
    late: u64,
    /// Of these, beyond the sources that one subnet may add within the same time, `subnet_sources_max`
    /// of the policy (16 by default).
    over_subnet_cap: u64,
    /// Of these, of so busy a service that their order was settled before the lateness bound.
    settled_early: u64,
    /// Measurements of whether targets are reached, since the log began.
    measurements: u64,
    /// Of these, too late to be judged on.
    measurements_late: u64,
    /// Of these, of no target of a service, or from nobody knows where.
    measurements_left_out: u64,
    /// How often one found no room for its place: more hosts or places than a service may have.
    measurements_crowded_out: u64,
}

impl Status {
    pub(crate) fn new(view: &View) -> Self {
        let snapshot = &view.snapshot;
        let totals = snapshot.totals;
        Status {
            serial: snapshot.serial,
            at: time(snapshot.at),
            last_report_at: snapshot.last_report_at.map(time),
            totals: Totals {
                services: snapshot.services.len(),
                sources_15_minutes: totals.sources_15_minutes,
                reports: totals.reports,
                repeats: totals.repeats,
                late: totals.late,
                over_subnet_cap: totals.over_subnet_cap,
                settled_early: totals.settled_early,
                measurements: totals.measurements,
                measurements_late: totals.measurements_late,
                measurements_left_out: totals.measurements_left_out,
                measurements_crowded_out: totals.measurements_crowded_out,
            },
            ongoing: snapshot
                .incidents
                .iter()
                .filter(|one| one.state != Condition::Ended)
                .filter_map(|one| Incident::new(view, one))
                .collect(),
            silences: snapshot.silences.iter().map(|one| Silence::new(view, one)).collect(),
            disruptions: snapshot.disruptions.iter().rev().map(|one| Disruption::new(view, one)).collect(),
        }
    }
}
