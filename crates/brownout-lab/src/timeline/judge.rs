//! Expectations against what was recorded.

use brownout_core::incident::Extent;
use brownout_core::model::{CountryCode, Facet, IncidentId, Minute, UtcTime};
use brownout_core::snapshot::{Change, IncidentView, ScopeView, State};

use super::{Recorder, Sample, state_word};
use crate::scenario::{Expectation, ExpectationKind, extent_word};

/// An expectation and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What was expected.
    pub expectation: Expectation,
    /// Whether it came so.
    pub met: bool,
    /// What was found, for a person to read.
    pub reason: String,
}

impl Recorder {
    pub(super) fn judge_one(&self, expectation: &Expectation, sample: Option<Sample>) -> Judged {
        let (met, reason) = match &expectation.kind {
            ExpectationKind::At { state, observed, usual, .. } => {
                at_a_time(sample, *state, *observed, *usual)
            }
            ExpectationKind::By { at, service, country, state } => self.by(*at, service, *country, *state),
            ExpectationKind::NoIncident { service } => {
                let found: Vec<String> = self.names(|slug| service.as_ref().is_none_or(|only| only == slug));
                (found.is_empty(), list("no incident", &found))
            }
            ExpectationKind::OneIncident { service } => {
                let found = self.names(|slug| slug == service);
                (found.len() == 1, list("no incident", &found))
            }
            ExpectationKind::NeverConfirmed { service } => {
                let views = self.of(service).filter(|view| view.confirmed_at.is_some());
                let found: Vec<String> = views.map(|view| view.id.name(service)).collect();
                (found.is_empty(), list("none was confirmed", &found))
            }
            ExpectationKind::Held { service, is_held } => self.held(service, *is_held),
            ExpectationKind::Peak { service, country, sources, within, at } => {
                let highest = self.scopes(service, *country).max_by_key(|scope| scope.peak);
                let found = highest.map(|scope| (scope.peak, scope.peak_at));
                let met =
                    found.is_some_and(|(peak, when)| near(peak, *sources, *within) && timely(when, *at));
                (met, heights(found.into_iter()))
            }
            ExpectationKind::Wave { service, country, sources, within, at } => {
                let waves = || self.waves(service, *country);
                let met = waves().any(|(peak, when)| near(peak, *sources, *within) && timely(when, *at));
                (met, heights(waves()))
            }
            ExpectationKind::Waves { service, country, least } => {
                let count = self.waves(service, *country).count();
                (count >= *least as usize, heights(self.waves(service, *country)))
            }
            ExpectationKind::Places { service, cities, .. } => {
                let found = self.named(service, |facet| matches!(facet, Facet::City(_)));
                let missing: Vec<String> =
                    cities.iter().filter(|city| !found.contains(city)).cloned().collect();
                let reason =
                    format!("{}; not among them: {}", list("no city", &found), list("none", &missing));
                (missing.is_empty(), reason)
            }
            ExpectationKind::Silence { country, at } => {
                let name = country.map_or_else(|| "world".to_owned(), |country| country.to_string());
                let told = self.silences.get(&name);
                let reason = told.map_or_else(|| "never told".to_owned(), |told| format!("told at {told}"));
                (told.is_some_and(|told| told <= at), reason)
            }
            ExpectationKind::NoSilence => {
                let found: Vec<String> = self.silences.keys().cloned().collect();
                (found.is_empty(), list("none", &found))
            }
            ExpectationKind::Extent { at, service, kind, facets } => {
                let named = self.extents(service, *at);
                let fits = |extent: &Extent| {
                    extent.kind == *kind
                        && (facets.is_empty()
                            || (facets.len() == extent.facets.len()
                                && facets.iter().all(|facet| extent.facets.contains(facet))))
                };
                let met = !named.is_empty() && named.iter().all(|(_, extent)| fits(extent));
                let told: Vec<String> = named.iter().map(|told| self.told(told)).collect();
                (met, list("none was named", &told))
            }
            ExpectationKind::Caused { service, by } => {
                let found: Vec<String> = self.laid_to(service).collect();
                (found == [by.as_str()], list("laid to nothing", &found))
            }
            ExpectationKind::Common { cause, least } => {
                let most = self.common.get(cause).copied().unwrap_or(0);
                let found: Vec<String> =
                    self.common.iter().map(|(cause, most)| format!("{cause} of {most}")).collect();
                (most >= *least, list("nothing in common", &found))
            }
            ExpectationKind::Networks { service, asns, .. } => {
                let found = self.named(service, |facet| matches!(facet, Facet::Network(_)));
                let wanted = asns.iter().map(|asn| format!("AS{asn}"));
                let missing: Vec<String> = wanted.filter(|asn| !found.contains(asn)).collect();
                let reason =
                    format!("{}; not among them: {}", list("no network", &found), list("none", &missing));
                (missing.is_empty(), reason)
            }
        };
        Judged { expectation: expectation.clone(), met, reason }
    }

    /// What the rise of a service was laid to.
    fn laid_to(&self, service: &str) -> impl Iterator<Item = String> {
        self.laid.iter().filter(move |(known, _)| known == service).map(|(_, cause)| cause.clone())
    }

    fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a IncidentView> {
        self.chronicle
            .incidents
            .values()
            .filter(move |(slug, _)| slug == service)
            .map(|(_, view)| view.as_ref())
    }

    fn names(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let all = self.chronicle.incidents.iter().filter(|(_, (slug, _))| wanted(slug));
        all.map(|(id, (slug, _)): (&IncidentId, _)| id.name(slug)).collect()
    }

    fn scopes<'a>(
        &'a self,
        service: &'a str,
        country: Option<CountryCode>,
    ) -> impl Iterator<Item = &'a ScopeView> {
        let facet = country.map_or(Facet::All, Facet::Country);
        self.of(service).flat_map(|view| &view.scopes).filter(move |scope| scope.facet == facet)
    }

    fn waves<'a>(
        &'a self,
        service: &'a str,
        country: Option<CountryCode>,
    ) -> impl Iterator<Item = (u32, Minute)> + 'a {
        self.scopes(service, country).flat_map(|scope| &scope.waves).map(|wave| (wave.peak, wave.peak_at))
    }

    /// Names of the parts that incidents of a service call affected.
    fn named(&self, service: &str, wanted: impl Fn(Facet) -> bool) -> Vec<String> {
        let scopes = self.of(service).flat_map(|view| &view.scopes);
        let affected = scopes.filter(|scope| scope.state >= State::Possible && wanted(scope.facet));
        let mut names: Vec<String> = affected.map(|scope| self.chronicle.scope_name(scope.facet)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The extents that judgements named, with the time from which each was in force: all, or the one in
    /// force at a time.
    fn extents<'a>(&'a self, service: &'a str, at: Option<UtcTime>) -> Vec<(UtcTime, &'a Extent)> {
        let verdicts = self.of(service).flat_map(|view| &view.verdicts);
        let told = verdicts.filter_map(|verdict| Some((verdict.as_of, verdict.located.as_ref()?)));
        let mut named: Vec<(UtcTime, &Extent)> =
            told.filter(|(as_of, _)| at.is_none_or(|at| *as_of <= at)).collect();
        named.sort_by_key(|(as_of, _)| *as_of);
        named.dedup_by(|next, last| next.1.is_same_place(last.1));
        if at.is_some() {
            named.drain(..named.len().saturating_sub(1));
        }
        named
    }

    fn told(&self, (as_of, extent): &(UtcTime, &Extent)) -> String {
        let places: Vec<String> =
            extent.facets.iter().map(|facet| self.chronicle.scope_name(*facet)).collect();
        let kind = extent_word(extent.kind);
        let named = [kind, &places.join(", ")].join(" ");
        let (percent, minutes) = (extent.explained_percent, extent.window_minutes);
        format!("{} from {as_of} ({percent} % in {minutes} min, {:.1} nats)", named.trim(), extent.statistic)
    }

    fn held(&self, service: &str, is_held: bool) -> (bool, String) {
        let holds =
            |view: &&IncidentView| view.timeline.iter().any(|entry| matches!(entry.change, Change::Held(_)));
        let found: Vec<String> = self.of(service).filter(holds).map(|view| view.id.name(service)).collect();
        (found.is_empty() != is_held, list("none was held", &found))
    }

    fn by(&self, at: UtcTime, service: &str, country: Option<CountryCode>, state: State) -> (bool, String) {
        let reached = |scope: &ScopeView| match state {
            State::Confirmed => scope.confirmed_at,
            State::Ended => scope.ended_at,
            _ => Some(scope.since),
        };
        match self.scopes(service, country).filter_map(reached).min() {
            Some(when) => (when <= at, format!("{} since {when}", state_word(state))),
            None => (false, format!("never {}", state_word(state))),
        }
    }
}

fn at_a_time(
    sample: Option<Sample>,
    state: Option<State>,
    observed: Option<(u32, u32)>,
    usual: Option<(u32, u32)>,
) -> (bool, String) {
    let Some(sample) = sample else { return (false, "the service was not seen at that time".to_owned()) };
    let counted = observed.is_none_or(|(sources, within)| near(sample.observed, sources, within));
    let expected = usual.is_none_or(|(sources, within)| {
        sample.expected.is_some_and(|mean| (mean - f64::from(sources)).abs() <= f64::from(within))
    });
    let met = counted && expected && state.is_none_or(|state| state == sample.state);
    let known = sample.expected.map_or_else(|| "not known".to_owned(), |mean| format!("{mean:.1}"));
    (met, format!("{}, observed {}, usual {known}", state_word(sample.state), sample.observed))
}

fn near(found: u32, wanted: u32, within: u32) -> bool {
    found.abs_diff(wanted) <= within
}

/// A peak may be named by the last minute that it counts or by the moment at which that has passed.
fn timely(found: Minute, wanted: Option<UtcTime>) -> bool {
    wanted.is_none_or(|wanted| found.0.abs_diff(wanted.minute().0) <= 1)
}

fn list(none: &str, found: &[String]) -> String {
    match found {
        [] => none.to_owned(),
        _ => found.join(", "),
    }
}

fn heights(found: impl Iterator<Item = (u32, Minute)>) -> String {
    let all: Vec<String> = found.map(|(peak, at)| format!("{peak} at {}", at.start())).collect();
    list("no such peak", &all)
}
