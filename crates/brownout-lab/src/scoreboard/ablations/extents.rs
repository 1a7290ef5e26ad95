//! The extent with the scan, and without it.

use std::sync::Arc;

use brownout_core::incident::ExtentKind;
use brownout_core::model::{Catalogue, Evidence, Facet, Policy, ServiceId, UtcTime};
use brownout_core::snapshot::{IncidentView, State};

use crate::direct::{Direct, report};
use crate::scenario::{ExpectationKind, Scenario, find};
use crate::scoreboard::board::Table;
use crate::scoreboard::{Settings, in_parallel};
use crate::{Pace, Player};

/// Scripts that say where it fails, shipped with the program.
const SCRIPTS: [&str; 4] = ["city-outage", "isp-outage", "isp-200", "growing"];

/// One expectation of one play: what it expects, and whether the scan and the list say so.
struct Told {
    script: usize,
    expected: String,
    scan: bool,
    list: bool,
}

/// The table, and how many of how many extents the scan names.
pub(super) fn table(settings: &Settings) -> (Table, (u32, u32)) {
    let seeds = (settings.service_years / 50).clamp(4, 40);
    let plays = in_parallel(settings.threads, seeds * SCRIPTS.len() as u32, |piece| {
        let script = piece as usize % SCRIPTS.len();
        play(script, settings.seed + u64::from(piece) / SCRIPTS.len() as u64)
    });
    let told: Vec<Told> = plays.into_iter().flatten().collect();
    let mut rows =
        vec![["script", "expected", "plays", "with the scan", "without it"].map(str::to_owned).to_vec()];
    let mut kinds: Vec<(usize, &str)> = told.iter().map(|told| (told.script, &*told.expected)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for (script, expected) in kinds {
        let these = || told.iter().filter(|told| told.script == script && told.expected == expected);
        let all = these().count();
        let share = |right: usize| format!("{:.0}%", 100.0 * right as f64 / all.max(1) as f64);
        rows.push(vec![
            SCRIPTS[script].to_owned(),
            expected.to_owned(),
            all.to_string(),
            share(these().filter(|told| told.scan).count()),
            share(these().filter(|told| told.list).count()),
        ]);
    }
    let text = vec![format!(
        "Scripts of outages whose places are known, {seeds} seeds each, through the engine. Cells: plays in \
             which exactly these places were named at that time (without a time: half an hour after the \
             call). Without the scan there is the list of parts that depart by themselves, of which the small \
             ones count only while no country departs; it is right when it names the same places, a place \
             around them aside."
    )];
    let right = told.iter().filter(|told| told.scan).count() as u32;
    (super::table("Ablations: the extent", text, rows), (right, told.len() as u32))
}

fn play(script: usize, seed: u64) -> Vec<Told> {
    let text = find(SCRIPTS[script]).unwrap_or_default();
    // Shipped scripts parse, as their tests say; one that did not would leave its rows out.
    let Ok(scenario) = Scenario::parse(text).map(Arc::new) else { return Vec::new() };
    let Ok(catalogue) = Catalogue::new(scenario.catalogue_entries(ServiceId(0))) else { return Vec::new() };
    let mut direct = Direct::new(catalogue.clone(), &Policy::default(), scenario.plays_from());
    let mut views: Vec<(UtcTime, Arc<IncidentView>)> = Vec::new();
    for step in Player::new(Arc::clone(&scenario), Some(seed), Pace::default()) {
        direct.pass(step.clock.plus_millis(-1), |engine, derived| {
            views.extend(derived.incidents.iter().map(|view| (engine.now(), Arc::clone(view))));
        });
        let lines = step.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for report in lines.filter_map(|line| report(line, &catalogue)) {
            direct.tell(step.clock, &Evidence::Report(report));
        }
    }
    let wanted = scenario.expectations.iter().filter_map(|expectation| match &expectation.kind {
        ExpectationKind::Extent { at, kind, facets, .. } => Some((expectation, *at, *kind, facets)),
        _ => None,
    });
    wanted
        .map(|(expectation, at, kind, facets)| {
            // Without a time: while it still rises, half an hour after it was called.
            let called = views.first().map_or(scenario.end, |(_, view)| view.opened_at);
            let at = at.unwrap_or_else(|| called.plus_seconds(1800));
            let view = views.iter().rev().find(|(seen, _)| *seen <= at).map(|(_, view)| view);
            Told {
                script,
                expected: expectation.text.clone(),
                scan: view.is_some_and(|view| is_named(view, kind, facets)),
                list: view.is_some_and(|view| is_listed(view, facets)),
            }
        })
        .collect()
}

fn is_named(view: &IncidentView, kind: ExtentKind, facets: &[Facet]) -> bool {
    let located = view.verdicts.last().and_then(|verdict| verdict.located.as_ref());
    located.is_some_and(|extent| {
        extent.kind == kind
            && extent.facets.len() == facets.len()
            && extent.facets.iter().all(|facet| facets.contains(facet))
    })
}

fn is_listed(view: &IncidentView, facets: &[Facet]) -> bool {
    let open = view.scopes.iter().filter(|scope| matches!(scope.state, State::Possible | State::Confirmed));
    let listed: Vec<Facet> = open.map(|scope| scope.facet).filter(|facet| *facet != Facet::All).collect();
    let is_country = |facet: &Facet| matches!(facet, Facet::Country(_));
    let (countries, small): (Vec<Facet>, Vec<Facet>) = listed.into_iter().partition(is_country);
    let mut shown = if countries.is_empty() { small } else { countries };
    // The region around a city that is named is no other place.
    if facets.iter().any(|facet| matches!(facet, Facet::City(_))) {
        shown.retain(|facet| !matches!(facet, Facet::Region(_)));
    }
    shown.len() == facets.len() && shown.iter().all(|facet| facets.contains(facet))
}
