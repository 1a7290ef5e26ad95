//! Plain sentences from typed judgements: templates with arguments, ready for translation.

use crate::incident::{Extent, ExtentKind};
use crate::model::{Asn, Catalogue, Category, Facet, Geography, Service};
use crate::snapshot::State;

use super::doubt_words::doubt_words;
use super::judge::{MANY_COUNTRIES_MIN, MODERATE_SOURCES_HOUR_MIN, MODERATE_SOURCES_MIN};
use super::phrases::{about, clock, grouped, listed, reports};
use super::{Confidence, Reason, Source, Verdict, cause_words};

/// Where names come from.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Names of services.
    pub catalogue: &'a Catalogue,
    /// Names of places.
    pub geography: &'a Geography,
}

/// A state in the public words.
pub fn state_words(state: State) -> &'static str {
    match state {
        State::Insufficient => "not enough data",
        State::Calm => "no problems detected",
        State::Possible => "possible problems",
        State::Confirmed => "detected problems",
        State::Ended => "ended",
    }
}

/// A confidence in words.
pub fn confidence_words(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Weak => "weak",
        Confidence::Moderate => "moderate",
        Confidence::Strong => "strong",
    }
}

/// What a confidence means, in a sentence for readers.
pub fn confidence_meaning(confidence: Confidence) -> String {
    match confidence {
        Confidence::Weak => "Everything that is neither moderate nor strong; “no problems detected”, \
            “possible problems” and “ended” always are weak. One kind of evidence stands behind it, and \
            not enough of that for more."
            .to_owned(),
        Confidence::Moderate => format!(
            "Detected problems that rest on reports alone, but on many: {} sources in 15 minutes or {} in \
             an hour, with reports above usual in {} countries or more, on a service whose usual level is \
             known, and not held by an operator.",
            grouped(MODERATE_SOURCES_MIN),
            grouped(MODERATE_SOURCES_HOUR_MIN),
            MANY_COUNTRIES_MIN
        ),
        Confidence::Strong => "Independent kinds of evidence agree and nothing contradicts. Reports alone \
            never give it, so it is not given while nothing else is measured."
            .to_owned(),
    }
}

/// A kind of evidence, in words.
pub fn source_words(source: Source) -> &'static str {
    match source {
        Source::Crowd => "people's reports",
        Source::Reachability => "reachability measurements",
        Source::Routing => "internet routing",
        Source::Traffic => "traffic telemetry",
        Source::Statements => "the operator's statements",
    }
}

/// The name of a place, network, kind or channel; a code where no name is known.
pub fn place_name(facet: Facet, names: Names<'_>) -> String {
    match facet {
        Facet::All => "worldwide".to_owned(),
        Facet::Country(code) => {
            names.geography.country(code).map_or_else(|| code.to_string(), |country| country.name.to_string())
        }
        Facet::Region(code) => match names.geography.region(code) {
            Some(region) if names.geography.is_named_like_a_city(region) => format!("{} region", region.name),
            Some(region) => region.name.clone(),
            None => code.to_string(),
        },
        Facet::City(id) => {
            names.geography.city(id).map_or_else(|| format!("city {}", id.0), |city| city.name.to_string())
        }
        Facet::Network(asn) => match provider_name(asn, names.catalogue) {
            Some(name) => format!("{name} ({asn})"),
            None => asn.to_string(),
        },
        Facet::Kind(kind) => kind.label().to_owned(),
        Facet::Channel(channel) => format!("channel {}", channel.0),
    }
}

/// The internet or mobile provider of the catalogue that a network belongs to.
fn provider_name(asn: Asn, catalogue: &Catalogue) -> Option<&str> {
    let is_provider = |service: &&Service| {
        matches!(service.category, Category::Internet | Category::Mobile) && service.networks.contains(&asn)
    };
    catalogue.iter().find(is_provider).map(|service| service.name.as_str())
}

/// The verdict without its figures, for a page that shows newer ones beside it. Times are UTC.
pub fn headline(verdict: &Verdict, names: Names<'_>) -> String {
    match verdict.state {
        State::Calm if verdict.is_explained() => format!(
            "No problems detected at {} itself: more reports than usual{}.",
            service_name(verdict, names),
            cause_words::ending(verdict, names)
        ),
        State::Calm => format!("No problems detected at {}.", service_name(verdict, names)),
        State::Possible | State::Confirmed => {
            format!("{}{}.", opening(verdict, names), cause_words::ending(verdict, names))
        }
        State::Insufficient | State::Ended => sentence(verdict, names),
    }
}

/// The one-sentence verdict. Times are UTC.
pub fn sentence(verdict: &Verdict, names: Names<'_>) -> String {
    let service = service_name(verdict, names);
    match verdict.state {
        State::Insufficient => format!("Not enough data on {service}: {}.", lacking(verdict)),
        State::Calm if verdict.is_explained() => {
            let counted = match verdict.reasons.first() {
                Some(Reason::ReportsAsUsual { observed, .. } | Reason::ReportsCounted { observed }) => {
                    *observed
                }
                _ => 0,
            };
            let ending = cause_words::ending(verdict, names);
            format!("No problems detected at {service} itself: {} in 15 minutes{ending}.", reports(counted))
        }
        State::Calm => match verdict.reasons.first() {
            Some(Reason::ReportsAsUsual { observed, expected }) => format!(
                "No problems detected at {service}: {} in 15 minutes, where {} usual.",
                reports(*observed),
                about(*expected)
            ),
            _ => format!("No problems detected at {service}."),
        },
        State::Possible | State::Confirmed => {
            let ending = cause_words::ending(verdict, names);
            format!("{}{}{ending}{}.", opening(verdict, names), figures(verdict), held(verdict, names))
        }
        State::Ended if verdict.is_explained() => {
            let ending = cause_words::ending(verdict, names);
            format!("The reports on {service}{} came{}.", since(verdict), ending.trim_start_matches(','))
        }
        State::Ended if became_usual(verdict) => {
            let since = since(verdict);
            format!(
                "The reports on {service}{since} go on, and count as usual since {}.",
                clock(verdict.as_of, verdict.as_of)
            )
        }
        State::Ended => {
            let since = since(verdict);
            format!("The problems at {service}{since} ended at {}.", clock(verdict.as_of, verdict.as_of))
        }
    }
}

/// Why nothing can be said: "3 reports in 15 minutes; what is usual is still being learned"
fn lacking(verdict: &Verdict) -> String {
    let silence = verdict.reasons.iter().find_map(|reason| match reason {
        Reason::NothingComesIn { facet, since, .. } => Some((*facet, *since)),
        _ => None,
    });
    match (verdict.reasons.first(), silence) {
        (_, Some((Facet::All, since))) => {
            format!("no reports of any service have come in since {}", clock(since, verdict.as_of))
        }
        (_, Some((_, since))) => {
            format!(
                "where most of its reports come from, hardly any have come since {}",
                clock(since, verdict.as_of)
            )
        }
        (Some(Reason::ReportsCounted { observed }), None) => {
            format!("{} in 15 minutes; what is usual is still being learned", reports(*observed))
        }
        _ => "nobody has reported it since this observatory began to watch".to_owned(),
    }
}

/// The service's name. One that is written from right to left is set apart (Unicode FSI and PDI), or
/// the figures after it would be drawn before it.
fn service_name(verdict: &Verdict, names: Names<'_>) -> String {
    let Some(service) = names.catalogue.get(verdict.service) else { return "this service".to_owned() };
    let is_leftward = |letter| {
        matches!(letter, '\u{590}'..='\u{8FF}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
            | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFE}')
    };
    if service.name.chars().any(is_leftward) {
        format!("\u{2068}{}\u{2069}", service.name)
    } else {
        service.name.clone()
    }
}

/// " since 09:45 UTC", or nothing.
fn since(verdict: &Verdict) -> String {
    verdict.since.map(|since| format!(" since {}", clock(since, verdict.as_of))).unwrap_or_default()
}

/// "Problems detected at X since 09:45 UTC in Pakistan", "Problems detected at X worldwide since 09:45 UTC,
/// above all in the United States, Japan, India and 6 more countries"
fn opening(verdict: &Verdict, names: Names<'_>) -> String {
    if is_easing(verdict) {
        return format!("The problems at {}{} are easing", service_name(verdict, names), since(verdict));
    }
    let state = if verdict.state == State::Confirmed { "Problems detected" } else { "Possible problems" };
    let service = service_name(verdict, names);
    let since = since(verdict);
    let Some(located) = &verdict.located else {
        return format!("{state} at {service}{since}, extent not clear yet");
    };
    match extent_words(located, names) {
        // The places named are only the worst of it.
        place if located.kind == ExtentKind::World => match affected(verdict, names) {
            worst if worst.is_empty() => format!("{state} at {service} {place}{since}"),
            worst => format!("{state} at {service} {place}{since}, above all in {worst}"),
        },
        place => format!("{state} at {service}{since} {place}"),
    }
}

/// How far it reaches: "in Milwaukee", "among customers of Deutsche Telekom (AS3320)", "in the United
/// States, Japan, India and 6 more countries", "worldwide".
pub fn extent_words(extent: &Extent, names: Names<'_>) -> String {
    match extent.kind {
        ExtentKind::World => "worldwide".to_owned(),
        ExtentKind::Network => {
            format!("among customers of {}", some(&extent.facets, ("network", "networks"), names))
        }
        ExtentKind::City => format!("in {}", some(&extent.facets, ("city", "cities"), names)),
        ExtentKind::Region => format!("in {}", some(&extent.facets, ("region", "regions"), names)),
        ExtentKind::Country | ExtentKind::Several => {
            format!("in {}", some(&extent.facets, ("country", "countries"), names))
        }
    }
}

/// The affected countries of the world.
fn affected(verdict: &Verdict, names: Names<'_>) -> String {
    let countries = verdict.extent.iter().copied().filter(|part| matches!(part, Facet::Country(_)));
    some(&countries.collect::<Vec<Facet>>(), ("country", "countries"), names)
}

/// Three of some places, and how many more.
pub(super) fn some(places: &[Facet], (one, many): (&str, &str), names: Names<'_>) -> String {
    let mut named: Vec<String> = places.iter().take(3).map(|place| with_article(*place, names)).collect();
    match places.len() - named.len() {
        0 => {}
        1 => named.push(format!("1 more {one}")),
        more => named.push(format!("{more} more {many}")),
    }
    listed(&named)
}

/// An incident ended because it went on.
fn became_usual(verdict: &Verdict) -> bool {
    matches!(verdict.reasons.first(), Some(Reason::BecameUsual { .. }))
}

/// An incident is open, and no part of it is above usual just now.
pub(super) fn is_easing(verdict: &Verdict) -> bool {
    matches!(verdict.reasons.first(), Some(Reason::Easing { .. }))
}

/// ": 1,204 reports in 15 minutes, where about 25 are usual"
fn figures(verdict: &Verdict) -> String {
    let (there, observed, expected) = match verdict.reasons.first() {
        Some(Reason::ReportsAboveUsual { facet: Facet::All, observed, expected, .. })
            if verdict.located.as_ref().is_some_and(|located| located.kind != ExtentKind::World) =>
        {
            (" everywhere together", observed, expected)
        }
        Some(Reason::ReportsAboveUsual { facet: Facet::All, observed, expected, .. })
        | Some(Reason::Easing { observed, expected }) => ("", observed, expected),
        Some(Reason::ReportsAboveUsual { observed, expected, .. }) => (" there", observed, expected),
        _ => return String::new(),
    };
    if verdict.is_learning() {
        return format!(
            ": {}{there} in 15 minutes; what is usual is still being learned",
            reports(*observed)
        );
    }
    format!(": {}{there} in 15 minutes, where {} usual", reports(*observed), about(*expected))
}

/// "; held at “possible”, for 480 sources come from 3 subnets", or nothing.
fn held(verdict: &Verdict, names: Names<'_>) -> String {
    verdict
        .doubts()
        .next()
        .map_or_else(String::new, |doubt| format!("; held at “possible”, for {}", doubt_words(doubt, names)))
}

/// English wants "the" before a few countries.
pub(super) fn with_article(facet: Facet, names: Names<'_>) -> String {
    let name = place_name(facet, names);
    let code = match &facet {
        Facet::Country(code) => code.as_str(),
        _ => "",
    };
    // Some names have it already.
    let code = if name.starts_with("The ") { "" } else { code };
    match code {
        "US" | "GB" | "AE" | "NL" | "PH" | "BS" | "GM" | "MV" | "DO" | "CF" | "CD" => format!("the {name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Doubt;
    use crate::model::{Category, Country, Service, ServiceId};
    use crate::snapshot::{Rarest, Silence};
    use crate::verdict::{Facts, Part, explained, judge, silence_sentence, would_change};

    fn names() -> (Catalogue, Geography) {
        let service = Service::new(ServiceId(0), "x", "X", Category::Social);
        let mut provider = Service::new(ServiceId(1), "telekom", "Deutsche Telekom", Category::Internet);
        provider.networks = vec![Asn::new(3320).expect("not zero")];
        (Catalogue::new(vec![service, provider]).expect("a catalogue"), geography())
    }

    fn geography() -> Geography {
        let country = |code: &str, name: &str| Country {
            code: code.parse().expect("a code"),
            name: name.into(),
            population: 1,
            internet_users: None,
            latitude: 0.0,
            longitude: 0.0,
        };
        Geography::new(
            vec![country("US", "United States"), country("PK", "Pakistan")],
            vec![],
            vec![],
            String::new(),
        )
    }

    fn facts(state: State, whole: Part, parts: &[Part]) -> Facts<'_> {
        let incident = matches!(state, State::Possible | State::Confirmed | State::Ended);
        Facts {
            service: ServiceId(0),
            incident: None,
            revision: 1,
            as_of: "2025-03-10T10:02:00Z".parse().expect("a time"),
            state,
            since: incident.then(|| "2025-03-10T09:47:00Z".parse().expect("a time")),
            whole,
            parts,
            located: None,
            sources_hour: whole.observed,
            subnets: whole.observed,
            learning: false,
            reported: state != State::Insufficient,
            silence: None,
            held: None,
            doubts: &[],
            because: &[],
            became_usual: false,
            policy: "test",
        }
    }

    fn extent(kind: ExtentKind, facets: &[Facet]) -> Extent {
        Extent {
            kind,
            facets: facets.to_vec(),
            most_affected: Vec::new(),
            explained_percent: 97,
            window_minutes: 15,
            statistic: 40.0,
            runner_up: None,
        }
    }

    fn say(state: State, observed: u32, parts: &[Part], located: Option<&Extent>) -> String {
        let (catalogue, geography) = names();
        let whole = Part { facet: Facet::All, observed, expected: 24.6, rarest: Rarest::default() };
        let verdict = judge(&Facts { located, ..facts(state, whole, parts) });
        sentence(&verdict, Names { catalogue: &catalogue, geography: &geography })
    }

    fn part(facet: Facet, observed: u32) -> Part {
        let rarest = Rarest { minutes: 15, observed, expected: 24.6, recurrence_years: 1e6 };
        Part { facet, observed, expected: 24.6, rarest }
    }

    #[test]
    fn a_name_from_right_to_left_keeps_the_figures_after_it() {
        let (catalogue, geography) = names();
        let mut service = catalogue.get(ServiceId(0)).cloned().expect("a service");
        service.name = "جاز کیش".to_owned();
        let catalogue = Catalogue::new(vec![service]).expect("a catalogue");
        let whole = Part { facet: Facet::All, observed: 1, expected: 24.6, rarest: Rarest::default() };
        let verdict = judge(&facts(State::Calm, whole, &[]));
        let said = sentence(&verdict, Names { catalogue: &catalogue, geography: &geography });
        assert!(said.contains("at \u{2068}جاز کیش\u{2069}: 1 report"), "{said}");
    }

    #[test]
    fn no_region_is_called_what_a_city_of_its_country_is_called() {
        let (catalogue, geography) = (Catalogue::default(), Geography::embedded());
        let names = Names { catalogue: &catalogue, geography: &geography };
        let cities: std::collections::BTreeSet<_> =
            geography.cities().map(|city| (city.country, place_name(Facet::City(city.id), names))).collect();
        for region in geography.regions() {
            let named = (region.code.country(), place_name(Facet::Region(region.code), names));
            assert!(!cities.contains(&named), "{named:?}");
        }
        let islamabad = Facet::Region("PK-IS".parse().expect("a code"));
        assert_eq!(place_name(islamabad, names), "Islamabad region");
        assert_eq!(place_name(Facet::Region("PK-PB".parse().expect("a code")), names), "Punjab");
    }

    #[test]
    fn moderate_is_given_exactly_where_its_meaning_says() {
        let countries = ["US", "PK", "GB"].map(|code| Facet::Country(code.parse().expect("a code")));
        let parts = [&[Facet::All][..], &countries].concat();
        let parts: Vec<Part> = parts.into_iter().map(|facet| part(facet, 400)).collect();
        let whole = |observed| Part { observed, ..parts[0] };
        let fine = facts(State::Confirmed, whole(MODERATE_SOURCES_MIN), &parts);
        let given = |facts: &Facts<'_>| judge(facts).confidence;
        assert_eq!(given(&fine), Confidence::Moderate);
        let hour = MODERATE_SOURCES_HOUR_MIN;
        let slow = Facts { sources_hour: hour, whole: whole(MODERATE_SOURCES_MIN - 1), ..fine.clone() };
        assert_eq!(given(&slow), Confidence::Moderate);
        for less in [
            Facts { sources_hour: hour - 1, ..slow },
            Facts { parts: &parts[..3], ..fine.clone() },
            Facts { state: State::Possible, ..fine.clone() },
            Facts { state: State::Calm, ..fine.clone() },
            Facts { state: State::Ended, ..fine.clone() },
            Facts { learning: true, ..fine.clone() },
            Facts { held: Some("twice sent"), ..fine.clone() },
        ] {
            assert_eq!(given(&less), Confidence::Weak, "{less:?}");
        }
        let meaning = confidence_meaning(Confidence::Moderate);
        for part in ["500 sources in 15 minutes", "1,000 in an hour", "in 3 countries", "operator"] {
            assert!(meaning.contains(part), "{part}: {meaning}");
        }
    }

    #[test]
    fn how_rare_it_is_is_said_with_the_window_that_it_is_of() {
        let (catalogue, geography) = names();
        let names = Names { catalogue: &catalogue, geography: &geography };
        let explain = |minutes, seen: u32| {
            let rarest = Rarest { minutes, observed: 23, expected: 4.1, recurrence_years: 159.0 };
            let parts = [Part { rarest, ..part(Facet::All, seen) }];
            explained(&judge(&facts(State::Possible, parts[0], &parts)), names).remove(0)
        };
        insta::assert_snapshot!(explain(360, 5), @"Worldwide: 5 reports in 15 minutes, where about 25 are usual; it was called at 23 in 6 hours, where about 4 are usual (by chance alone about once in 159 years).");
        insta::assert_snapshot!(explain(1, 40), @"Worldwide: 40 reports in 15 minutes, where about 25 are usual; it was called at 23 in 1 minute, where about 4 are usual (by chance alone about once in 159 years).");
        insta::assert_snapshot!(explain(15, 23), @"Worldwide: 23 reports in 15 minutes, where about 25 are usual (by chance alone about once in 159 years).");
    }

    #[test]
    fn a_guess_at_what_is_usual_is_no_figure() {
        let (catalogue, geography) = names();
        let names = Names { catalogue: &catalogue, geography: &geography };
        let parts = [part(Facet::All, 12)];
        let possible = facts(State::Possible, parts[0], &parts);
        let easing = facts(State::Possible, parts[0], &[]);
        for known in [possible, easing] {
            let words = |facts: &Facts<'_>| explained(&judge(facts), names).join(" ");
            assert!(words(&known).contains("about 25 are usual"), "{}", words(&known));
            let guessed = words(&Facts { learning: true, ..known });
            assert!(!guessed.contains("25") && guessed.contains("is not known yet"), "{guessed}");
        }
    }

    #[test]
    fn what_holds_it_is_said_with_its_figures() {
        let (catalogue, geography) = names();
        let names = Names { catalogue: &catalogue, geography: &geography };
        let all = [part(Facet::All, 500)];
        let cause = crate::incident::Cause::FewSubnets { subnets: 31, refused: 1200 };
        let doubts = [Doubt { cause, doubtful: 480, sources: 500 }];
        let verdict = judge(&Facts { doubts: &doubts, ..facts(State::Possible, all[0], &all) });
        insta::assert_snapshot!(sentence(&verdict, names), @"Possible problems at X since 09:47 UTC, extent not clear yet: 500 reports in 15 minutes, where about 25 are usual; held at “possible”, for 480 of 500 sources come from subnets that had sent several already (31 subnets in all; 1,200 reports more, beyond what one subnet may contribute, are not counted).");
        assert_eq!(verdict.doubts().count(), 1);
        assert!(
            explained(&verdict, names).iter().any(|words| words.starts_with("Held at “possible”: 480 of"))
        );
        assert!(would_change(&verdict).contains("in doubt"), "{}", would_change(&verdict));
        // An end is an end.
        let ended = judge(&Facts { doubts: &doubts, ..facts(State::Ended, all[0], &all) });
        assert_eq!(ended.doubts().count(), 0);
    }

    #[test]
    fn sentences_read_well() {
        let us = Facet::Country("US".parse().expect("a code"));
        let pk = Facet::Country("PK".parse().expect("a code"));
        let all = [part(Facet::All, 31_403), part(us, 20_538), part(pk, 65)];
        let (catalogue, geography) = names();
        let names = Names { catalogue: &catalogue, geography: &geography };
        let since = "2025-03-10T09:45:00Z".parse().expect("a time");
        let silence = Silence { facet: pk, since, observed: 0, expected: 60.4, recurrence_years: 40.0 };
        insta::assert_snapshot!(silence_sentence(&silence, names), @"Hardly any reports from Pakistan, of any service, have come in since 09:45 UTC on 2025-03-10, where about 60 are usual: people there may be cut off, and silence is no sign of health.");
        let whole = Part { facet: Facet::All, observed: 0, expected: 24.6, rarest: Rarest::default() };
        let deaf = Facts {
            silence: Some(Silence { facet: Facet::All, ..silence }),
            reported: true,
            ..facts(State::Insufficient, whole, &[])
        };
        insta::assert_snapshot!(sentence(&judge(&deaf), names), @"Not enough data on X: no reports of any service have come in since 09:45 UTC.");
        let young = Facts {
            learning: true,
            reported: true,
            ..facts(State::Insufficient, Part { observed: 3, ..whole }, &[])
        };
        insta::assert_snapshot!(sentence(&judge(&young), names), @"Not enough data on X: 3 reports in 15 minutes; what is usual is still being learned.");
        let world = extent(ExtentKind::World, &[]);
        let pakistan = extent(ExtentKind::Country, &[pk]);
        let both = extent(ExtentKind::Several, &[us, pk]);
        let customers = extent(ExtentKind::Network, &[Facet::Network(Asn::new(3320).expect("not zero"))]);
        insta::assert_snapshot!(say(State::Confirmed, 31_403, &all, Some(&world)), @"Problems detected at X worldwide since 09:47 UTC, above all in the United States and Pakistan: 31,403 reports in 15 minutes, where about 25 are usual.");
        insta::assert_snapshot!(say(State::Confirmed, 31_403, &all[1..], Some(&both)), @"Problems detected at X since 09:47 UTC in the United States and Pakistan: 20,538 reports there in 15 minutes, where about 25 are usual.");
        insta::assert_snapshot!(say(State::Possible, 65, &[part(pk, 65)], Some(&pakistan)), @"Possible problems at X since 09:47 UTC in Pakistan: 65 reports there in 15 minutes, where about 25 are usual.");
        insta::assert_snapshot!(say(State::Possible, 65, &[part(Facet::All, 65)], None), @"Possible problems at X since 09:47 UTC, extent not clear yet: 65 reports in 15 minutes, where about 25 are usual.");
        insta::assert_snapshot!(say(State::Possible, 65, &all[..1], Some(&customers)), @"Possible problems at X since 09:47 UTC among customers of Deutsche Telekom (AS3320): 31,403 reports everywhere together in 15 minutes, where about 25 are usual.");
        insta::assert_snapshot!(say(State::Calm, 0, &[], None), @"No problems detected at X: no reports in 15 minutes, where about 25 are usual.");
        insta::assert_snapshot!(say(State::Ended, 0, &[], None), @"The problems at X since 09:47 UTC ended at 10:02 UTC.");
        let long = Facts {
            as_of: "2025-03-13T10:02:00Z".parse().expect("a time"),
            became_usual: true,
            ..facts(State::Ended, all[0], &[])
        };
        insta::assert_snapshot!(sentence(&judge(&long), names), @"The reports on X since 09:47 UTC on 2025-03-10 go on, and count as usual since 10:02 UTC.");
        insta::assert_snapshot!(explained(&judge(&long), names).remove(0), @"31,403 reports in 15 minutes: they did not fall, but what goes on for 72 hours counts as usual from then on.");
        insta::assert_snapshot!(say(State::Insufficient, 0, &[], None), @"Not enough data on X: nobody has reported it since this observatory began to watch.");
    }
}
