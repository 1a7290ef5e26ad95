//! What can only be checked when the whole scenario is known.

use std::collections::BTreeMap;

use brownout_core::model::{CountryCode, ProblemKind};

use super::parse::Draft;
use super::text::ScenarioError;
use super::{EventShape, Focus, Scenario, ScopeKey};
use crate::curve::{self, WINDOW_MINUTES};

const SPAN_MINUTES_MAX: u32 = 60 * 1440;

pub(super) fn finish(draft: Draft, last: u32) -> Result<Scenario, ScenarioError> {
    let at_end = |message: &str| ScenarioError {
        line: last,
        column: 1,
        message: message.to_owned(),
        did_you_mean: None,
    };
    let Draft { mut scenario, start, end, anchor_lines, event_lines } = draft;
    scenario.start = start.ok_or_else(|| at_end("the scenario has no `start`"))?;
    scenario.end = end.ok_or_else(|| at_end("the scenario has no `end`"))?;
    if scenario.title.is_empty() {
        return Err(at_end("the scenario has no `title`"));
    }
    if scenario.services.is_empty() {
        return Err(at_end("the scenario has no `service`"));
    }
    let span = scenario.end.minute().since(scenario.start.minute());
    if span == 0 || span > SPAN_MINUTES_MAX {
        return Err(at_end("`end` must come after `start`, by 60 days at most"));
    }
    if scenario.start.minute().0 < scenario.warm_up_minutes {
        return Err(at_end("the warm-up begins before 1970"));
    }
    if scenario.kinds.is_empty() {
        scenario.kinds = vec![
            (ProblemKind::Unreachable, 0.4),
            (ProblemKind::Slow, 0.25),
            (ProblemKind::Login, 0.15),
            (ProblemKind::App, 0.12),
            (ProblemKind::Other, 0.08),
        ];
    }
    if scenario.channels.is_empty() {
        scenario.channels.push(("scenario".to_owned(), 1.0));
    }
    if scenario.channels.iter().map(|(_, share)| share).sum::<f64>() <= 0.0 {
        return Err(at_end("at least one channel must have a share"));
    }
    check_shares(&scenario).map_err(|message| at_end(&message))?;
    let (from, end) = (scenario.plays_from(), scenario.end);
    for (event, line) in scenario.events.iter().zip(event_lines) {
        if event.start >= end || event.end <= from {
            let message = format!("this happens outside of what is played, from {from} to {end}");
            return Err(ScenarioError { line, column: 1, message, did_you_mean: None });
        }
    }
    for event in &mut scenario.events {
        event.end = event.end.min(end);
    }
    curves(&mut scenario, &anchor_lines)?;
    check_events(&scenario).map_err(|message| at_end(&message))?;
    Ok(scenario)
}

/// The cities, and the networks, of one country hold at most all of its reports.
fn check_shares(scenario: &Scenario) -> Result<(), String> {
    let mut sums: BTreeMap<(CountryCode, &str), f64> = BTreeMap::new();
    let cities = scenario.cities.iter().map(|city| (city.region.country(), "cities", city.share));
    let networks = scenario.networks.iter().map(|network| (network.country, "networks", network.share));
    for (country, what, share) in cities.chain(networks) {
        let sum = sums.entry((country, what)).or_default();
        *sum += share;
        if *sum > 1.0 + 1e-9 {
            return Err(format!("the {what} of {country} have more than 100% together"));
        }
    }
    Ok(())
}

/// Solves the anchors of each scope, and so finds the ones that contradict each other.
fn curves(scenario: &mut Scenario, lines: &[u32]) -> Result<(), ScenarioError> {
    let mut order: Vec<usize> = (0..scenario.anchors.len()).collect();
    order.sort_by_key(|index| (scenario.anchors[*index].scope, scenario.anchors[*index].at));
    let error = |index: usize, message: String| ScenarioError {
        line: lines[index],
        column: 1,
        message,
        did_you_mean: None,
    };
    let first_possible = scenario.plays_from().minute().0 + WINDOW_MINUTES;
    for group in order.chunk_by(|left, right| scenario.anchors[*left].scope == scenario.anchors[*right].scope)
    {
        let scope = scenario.anchors[group[0]].scope;
        let mut points = Vec::with_capacity(group.len());
        for &index in group {
            let anchor = &scenario.anchors[index];
            let minute = anchor.at.minute().0;
            if minute < first_possible || anchor.at > scenario.end {
                let reason = "the 15 minutes before this anchor are not all played";
                return Err(error(index, reason.to_owned()));
            }
            if points.last().is_some_and(|(before, _)| *before == minute) {
                return Err(error(index, "this scope has an anchor at this time already".to_owned()));
            }
            points.push((minute, anchor.sources));
        }
        let last = points.last().map_or(0, |(minute, _)| *minute);
        let curve = curve::solve(&points, scenario.usual(scope, last))
            .map_err(|wrong| error(group[wrong.first], wrong.to_string()))?;
        scenario.curves.push((scope, curve));
    }
    Ok(())
}

/// Events must not add to counts that anchors fix, and a focus needs a country.
fn check_events(scenario: &Scenario) -> Result<(), String> {
    let anchored =
        |scope: Option<ScopeKey>| scenario.anchors.iter().any(|anchor| Some(anchor.scope) == scope);
    for event in &scenario.events {
        let service = |scope: ScopeKey| &scenario.services[scope.service].slug;
        if let Some(scope) = event.scope.filter(|scope| anchored(Some(*scope))) {
            return Err(format!(
                "{} has anchors in this scope, and an event there would add to what they count",
                service(scope)
            ));
        }
        if event.shape == EventShape::Silence && !scenario.anchors.is_empty() {
            return Err("`silence` would lose reports that anchors count".to_owned());
        }
        if event.shape == EventShape::Subnets(1) && event.focus != Focus::Everywhere {
            return Err(
                "a `brigade` comes from one subnet, so it has no `in` or `on` unless it says from how many"
                    .to_owned(),
            );
        }
    }
    Ok(())
}
