//! Incidents and verdicts as JSON that can always be read again.
//!
//! JSON has no infinity: a figure that is not finite would be written as `null` and never be read
//! again, so it is written as the largest figure instead.

use std::sync::Arc;

use brownout_core::snapshot::{Bar, IncidentView, Rarest};
use brownout_core::verdict::{Reason, Verdict};

use crate::port::StoreError;

pub(crate) fn incident(view: &IncidentView) -> Result<String, StoreError> {
    let mut view = view.clone();
    for scope in &mut view.scopes {
        bound(&mut scope.expected);
        bound_rarest(&mut scope.rarest);
    }
    for entry in &mut view.timeline {
        bound(&mut entry.expected);
    }
    for bar in &mut view.chart.bars {
        let Bar { usual, threshold, .. } = bar;
        for figure in [&mut usual.p10, &mut usual.median, &mut usual.p90, &mut usual.mean, threshold] {
            bound(figure);
        }
    }
    for verdict in &mut view.verdicts {
        bound_reasons(&mut Arc::make_mut(verdict).reasons);
    }
    text(&view)
}

pub(crate) fn verdict(verdict: &Verdict) -> Result<String, StoreError> {
    let mut verdict = verdict.clone();
    bound_reasons(&mut verdict.reasons);
    text(&verdict)
}

fn bound_reasons(reasons: &mut [Reason]) {
    for reason in reasons {
        match reason {
            Reason::ReportsAboveUsual { expected, rarest, .. } => {
                bound(expected);
                bound_rarest(rarest);
            }
            Reason::ReportsAsUsual { expected, .. } | Reason::Easing { expected, .. } => bound(expected),
            _ => {}
        }
    }
}

fn bound_rarest(rarest: &mut Rarest) {
    bound(&mut rarest.expected);
    bound_long(&mut rarest.recurrence_years);
}

fn bound(figure: &mut f32) {
    *figure = if figure.is_nan() { 0.0 } else { figure.clamp(f32::MIN, f32::MAX) };
}

fn bound_long(figure: &mut f64) {
    *figure = if figure.is_nan() { 0.0 } else { figure.clamp(f64::MIN, f64::MAX) };
}

fn text(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Io(format!("it has no JSON form: {error}")))
}
