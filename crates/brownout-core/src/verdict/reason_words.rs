//! What stands behind a judgement, what was not looked at and what would change it, in words.

use crate::model::{Facet, UtcTime};
use crate::snapshot::{Rarest, Silence, State};

use super::doubt_words::doubt_words;
use super::phrases::{about, capital, clock_of, counted, grouped, listed, rarity, reports};
use super::words::{Names, is_easing, place_name, some, source_words, with_article};
use super::{Reason, Verdict, cause_words};

/// All reasons of a verdict, in words. While what is usual is still being learned no figure is given
/// for it, for a guess is no yardstick to hand to readers.
pub fn explained(verdict: &Verdict, names: Names<'_>) -> Vec<String> {
    let explain_guess = |reason: &Reason| match reason {
        Reason::ReportsAboveUsual { facet, observed, .. } => format!(
            "{}: {} in 15 minutes, more than even the wide first guess at what is usual allows.",
            capital(&place_name(*facet, names)),
            reports(*observed)
        ),
        Reason::Easing { observed, .. } => {
            format!("No part stands out just now; in all {} in 15 minutes.", reports(*observed))
        }
        other => explain(other, names),
    };
    let is_guess = verdict.is_learning();
    let words = |reason| if is_guess { explain_guess(reason) } else { explain(reason, names) };
    verdict.reasons.iter().map(words).collect()
}

/// " (by chance alone about once in 30 years)", where need be with the window that this is of, or nothing.
fn called_by(observed: u32, rarest: Rarest) -> String {
    if rarest.minutes == 0 {
        return String::new();
    }
    let by_chance = format!("by chance alone {}", rarity(rarest.recurrence_years));
    if rarest.minutes == 15 && rarest.observed == observed {
        return format!(" ({by_chance})");
    }
    format!(
        "; it was called at {} in {}, where {} usual ({by_chance})",
        grouped(rarest.observed),
        length(rarest.minutes),
        about(rarest.expected)
    )
}

/// "15 minutes", "1 hour"
fn length(minutes: u32) -> String {
    match (minutes / 60, minutes % 60) {
        (hours @ 1.., 0) => counted(hours, "hour", "hours"),
        _ => counted(minutes, "minute", "minutes"),
    }
}

/// One reason, in words.
pub fn explain(reason: &Reason, names: Names<'_>) -> String {
    if let Some(words) = cause_words::explain(reason, names) {
        return words;
    }
    match reason {
        Reason::ReportsAboveUsual { facet, observed, expected, rarest } => {
            let place = match facet {
                Facet::All => "Worldwide".to_owned(),
                other => place_name(*other, names),
            };
            format!(
                "{place}: {} in 15 minutes, where {} usual{}.",
                reports(*observed),
                about(*expected),
                called_by(*observed, *rarest)
            )
        }
        Reason::ReportsAsUsual { observed, expected } => {
            format!("{} in 15 minutes, where {} usual.", capital(&reports(*observed)), about(*expected))
        }
        Reason::ReportsCounted { observed } => format!("{} in 15 minutes.", capital(&reports(*observed))),
        Reason::Easing { observed, expected } => format!(
            "No part is above usual just now; in all {} in 15 minutes, where {} usual.",
            reports(*observed),
            about(*expected)
        ),
        Reason::ManyCountries { countries } => format!(
            "Reports are above usual in {countries} countries at once, which interference in one country would not do."
        ),
        Reason::OneCountry { facet } => format!(
            "Only {} reports more than usual; reports alone cannot tell a local fault from interference there.",
            with_article(*facet, names)
        ),
        Reason::Located { facets, percent } => match facets.first() {
            Some(Facet::Network(_)) => format!(
                "{percent} % of what is above usual comes from customers of {}, and little from other networks: \
                 the fault may lie there.",
                some(facets, ("network", "networks"), names)
            ),
            _ => format!(
                "{percent} % of what is above usual comes from {}, and little from elsewhere.",
                some(facets, ("place", "places"), names)
            ),
        },
        Reason::MostAffected { facets } => {
            let named: Vec<String> = facets.iter().map(|facet| with_article(*facet, names)).collect();
            format!("Most above usual: {}.", listed(&named))
        }
        Reason::FewSubnets { subnets, sources } => format!(
            "Only {} stand behind {} of the last hour, which is fewer than independent people would have.",
            counted(*subnets, "subnet", "subnets"),
            reports(*sources)
        ),
        Reason::StillLearning => {
            "What is usual here is not known yet: less than a day has been observed.".to_owned()
        }
        Reason::NothingComesIn { facet, since, expected } => silent(*facet, *since, *expected, names),
        Reason::Held { reason } => format!("An operator holds this at \"possible\": {reason}"),
        Reason::Doubted { doubt } => format!("Held at “possible”: {}.", doubt_words(doubt, names)),
        Reason::BackToUsual => "Reports fell back to what is usual.".to_owned(),
        Reason::BecameUsual { hours, observed } => format!(
            "{} in 15 minutes: they did not fall, but what goes on for {} counts as usual from then on.",
            capital(&reports(*observed)),
            counted(*hours, "hour", "hours")
        ),
        // The four that speak of causes have their words in `cause_words`.
        Reason::LikelyCausedBy { .. }
        | Reason::Clue { .. }
        | Reason::BeingWeighed { .. }
        | Reason::Explains { .. } => String::new(),
    }
}

/// Reports that do not come, in a sentence for readers.
pub fn silence_sentence(silence: &Silence, names: Names<'_>) -> String {
    silent(silence.facet, silence.since, silence.expected, names)
}

fn silent(facet: Facet, since: UtcTime, expected: f32, names: Names<'_>) -> String {
    let from = match facet {
        Facet::All => "No reports of any service have".to_owned(),
        Facet::Country(_) => {
            format!("Hardly any reports from {}, of any service, have", with_article(facet, names))
        }
        other => format!("Hardly any reports through {}, of any service, have", place_name(other, names)),
    };
    let cause = match facet {
        Facet::Country(_) => "people there may be cut off",
        _ => "what collects them may be broken",
    };
    format!(
        "{from} come in since {}, where {} usual: {cause}, and silence is no sign of health.",
        clock_of(since),
        about(expected)
    )
}

/// What was not looked at, in one sentence; empty when everything was.
pub fn limits(verdict: &Verdict) -> String {
    let missing: Vec<String> =
        verdict.not_looked_at.iter().map(|source| source_words(*source).to_owned()).collect();
    let looked: Vec<String> =
        verdict.looked_at.iter().map(|source| source_words(*source).to_owned()).collect();
    if missing.is_empty() {
        return String::new();
    }
    format!(
        "This rests on {} alone. Not weighed: {}; they count neither for nor against.",
        listed(&looked),
        listed(&missing)
    )
}

/// What would change the judgement, in one sentence.
pub fn would_change(verdict: &Verdict) -> &'static str {
    match verdict.state {
        State::Insufficient if verdict.reasons.is_empty() => "A first report.",
        State::Insufficient if verdict.is_learning() => "A day of watching.",
        State::Insufficient => "Reports that come in again.",
        State::Calm if verdict.is_explained() => {
            "Reporters on its own network, places where the other is calm, or a rise that outlasts the other's would make it a problem of its own."
        }
        State::Calm => "More distinct people than usual reporting from several networks.",
        State::Possible | State::Confirmed if is_easing(verdict) => {
            "Half an hour within the usual band ends it; another rise goes on with it."
        }
        State::Possible if verdict.doubts().next().is_some() => {
            "As many reporters without those in doubt would confirm it; half an hour within the usual band would end it."
        }
        State::Possible => {
            "More distinct reporters for longer would confirm it; half an hour within the usual band would end it."
        }
        State::Confirmed => {
            "Measurements from several countries would tell where the fault lies; half an hour within the usual band would end it."
        }
        State::Ended => "Another rise soon after goes on with it; a later one is a new incident.",
    }
}
