//! Plain sentences on causes beyond the service itself.

use super::phrases::{capital, counted, grouped, listed};
use super::words::place_name;
use super::{Bond, Cause, Clue, ClueKind, Names, Reason, Verdict};
use crate::model::{Facet, ServiceId};

/// What is to blame, by name.
pub fn cause_name(cause: Cause, names: Names<'_>) -> String {
    match cause {
        Cause::Service(service) => service_named(service, names),
        Cause::Network(asn) => place_name(Facet::Network(asn), names),
        Cause::Unnamed => "something that these services share".to_owned(),
    }
}

fn service_named(service: ServiceId, names: Names<'_>) -> String {
    names.catalogue.get(service).map_or_else(|| "another service".to_owned(), |found| found.name.clone())
}

/// ", most likely because of problems at Verizon", or nothing: what ends the one sentence of a verdict.
pub(super) fn ending(verdict: &Verdict, names: Names<'_>) -> String {
    verdict
        .reasons
        .iter()
        .find_map(|reason| match reason {
            Reason::LikelyCausedBy { cause, bond, .. } => Some(ending_of(*cause, *bond, names)),
            _ => None,
        })
        .unwrap_or_default()
}

fn ending_of(cause: Cause, bond: Bond, names: Names<'_>) -> String {
    let name = cause_name(cause, names);
    match bond {
        Bond::Echo => format!(", most likely because of problems at {name}"),
        Bond::Network => format!(", most likely because of a fault at {name}"),
        Bond::Dependency => format!(", most likely because of {name}, which it is built on"),
        Bond::Pattern => ", as at other services at the same time".to_owned(),
    }
}

/// A reason that speaks of causes, in words; `None` for every other.
pub(super) fn explain(reason: &Reason, names: Names<'_>) -> Option<String> {
    match reason {
        Reason::LikelyCausedBy { cause, bond, odds, here, there, services } => {
            Some(likely((*cause, *bond), *odds, (*here, *there), *services, names))
        }
        Reason::Clue { clue } => Some(clue_words(clue)),
        Reason::BeingWeighed { cause } => Some(format!(
            "This may be an echo of problems at {}; more evidence is awaited for two minutes at most.",
            cause_name(*cause, names)
        )),
        Reason::Explains { bond, services, count } => Some(explains(*bond, services, *count, names)),
        _ => None,
    }
}

fn likely(
    (cause, bond): (Cause, Bond),
    odds: u32,
    (here, there): (u32, u32),
    services: u32,
    names: Names<'_>,
) -> String {
    let name = cause_name(cause, names);
    let odds = if odds > 1 { format!(" (odds {} to 1)", grouped(odds)) } else { String::new() };
    match bond {
        Bond::Echo => format!(
            "Likely caused by problems at {name}{odds}: since it began {} here and {} there above usual. \
             The state is held down on account of it.",
            more(here),
            grouped(there)
        ),
        Bond::Network => format!(
            "Likely a fault of {name}{odds}: its customers report {} at once, {} in all above usual. The \
             state is held down on account of it.",
            counted(services, "service", "services"),
            more(there)
        ),
        Bond::Dependency => format!(
            "Likely caused by {name}, which this is built on{odds}: reports rise at {} that need it.",
            counted(services, "service", "services")
        ),
        Bond::Pattern => format!(
            "Proposed from the pattern alone: {} without a known relation began to rise within minutes of \
             each other in the same countries, so they may share something that is failing.",
            counted(services, "service", "services")
        ),
    }
}

fn more(count: u32) -> String {
    counted(count, "report", "reports")
}

fn clue_words(clue: &Clue) -> String {
    let what = match clue.kind {
        ClueKind::Relation => "how the services are related".to_owned(),
        ClueKind::Size { share_percent } => match share_percent {
            share if share < 0.1 => "less than one report here for a thousand there".to_owned(),
            share if share < 10.0 => format!("{share:.1} reports here for a hundred there"),
            share => format!("{share:.0} reports here for a hundred there"),
        },
        ClueKind::Onset { lag_minutes: 0 } => "it began in the same minute".to_owned(),
        ClueKind::Onset { lag_minutes } => {
            let minutes = counted(lag_minutes.unsigned_abs(), "minute", "minutes");
            format!("it began here {minutes} {}", if lag_minutes > 0 { "later" } else { "earlier" })
        }
        ClueKind::Course => "how the counts of the last hour run beside each other".to_owned(),
        ClueKind::Functions { vague_percent } => {
            format!("{vague_percent} % only say that it does not open, is slow or something else")
        }
        ClueKind::Kinds { cannot_reach_percent } => {
            format!("{cannot_reach_percent} % say that they cannot reach others")
        }
        ClueKind::OwnNetwork { percent } => {
            format!("{percent} % of the reporters are on the service's own network")
        }
        ClueKind::TheirNetwork { percent } => {
            format!("{percent} % of the reporters are on that network")
        }
        ClueKind::Places { percent } => {
            format!("{percent} % of the reports come from countries where the other service rises too")
        }
        ClueKind::SharedDependency => "both are built on the same thing".to_owned(),
    };
    let side = if clue.decibans > 0.0 { "for" } else { "against" };
    format!("{}: speaks {side} it ({:.0} dB of evidence).", capital(&what), clue.decibans.abs())
}

fn explains(bond: Bond, services: &[ServiceId], count: u32, names: Names<'_>) -> String {
    let mut named: Vec<String> = services.iter().map(|service| service_named(*service, names)).collect();
    let rest = count as usize - services.len().min(count as usize);
    if rest > 0 {
        named.push(format!("{rest} more"));
    }
    let named = listed(&named);
    match bond {
        Bond::Echo => format!("Reports on {named} most likely are an echo of this."),
        Bond::Network => format!(
            "Customers of this network report {named} at once; these reports are counted here, for the \
             services most likely work."
        ),
        Bond::Dependency => format!("Reports rise at {named}, which are built on this."),
        Bond::Pattern => format!("Reports rise at {named} at the same time."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Catalogue, Category, Geography, Service};
    use crate::snapshot::{Rarest, State};
    use crate::verdict::{Facts, Part, explained, judge, sentence};

    fn said(state: State, because: &[Reason]) -> String {
        let service =
            |id: u32, slug: &str, name: &str| Service::new(ServiceId(id), slug, name, Category::Mobile);
        let services = vec![service(0, "att", "AT&T"), service(1, "verizon", "Verizon")];
        let catalogue = Catalogue::new(services).expect("a catalogue");
        let geography = Geography::embedded();
        let names = Names { catalogue: &catalogue, geography: &geography };
        let rarest = Rarest { minutes: 15, observed: 1111, expected: 37.2, recurrence_years: 1e6 };
        let whole = Part { facet: Facet::All, observed: 1111, expected: 37.2, rarest };
        let verdict = judge(&Facts {
            service: ServiceId(0),
            incident: None,
            revision: 1,
            as_of: "2024-09-30T16:28:00Z".parse().expect("a time"),
            state,
            since: None,
            whole,
            parts: &[whole],
            located: None,
            sources_hour: 4000,
            subnets: 3000,
            learning: false,
            reported: true,
            silence: None,
            held: None,
            doubts: &[],
            because,
            became_usual: false,
            policy: "test",
        });
        format!("{}\n{}", sentence(&verdict, names), explained(&verdict, names).join("\n"))
    }

    #[test]
    fn causes_read_well() {
        let verizon = Cause::Service(ServiceId(1));
        let caused = |bond, services| Reason::LikelyCausedBy {
            cause: verizon,
            bond,
            odds: 148,
            here: 4100,
            there: 240_000,
            services,
        };
        let clue = |kind, nats| Reason::Clue { clue: Clue::of_nats(kind, nats) };
        let echo = [
            caused(Bond::Echo, 0),
            clue(ClueKind::Size { share_percent: 1.7 }, 1.3),
            clue(ClueKind::Onset { lag_minutes: -2 }, -0.5),
            clue(ClueKind::OwnNetwork { percent: 14 }, 3.0),
        ];
        insta::assert_snapshot!(said(State::Calm, &echo), @r"
        No problems detected at AT&T itself: 1,111 reports in 15 minutes, most likely because of problems at Verizon.
        1,111 reports in 15 minutes, where about 37 are usual.
        Likely caused by problems at Verizon (odds 148 to 1): since it began 4,100 reports here and 240,000 there above usual. The state is held down on account of it.
        1.7 reports here for a hundred there: speaks for it (6 dB of evidence).
        It began here 2 minutes earlier: speaks against it (2 dB of evidence).
        14 % of the reporters are on the service's own network: speaks for it (13 dB of evidence).
        ");
        insta::assert_snapshot!(said(State::Possible, &[caused(Bond::Dependency, 5)]), @r"
        Possible problems at AT&T, extent not clear yet: 1,111 reports in 15 minutes, where about 37 are usual, most likely because of Verizon, which it is built on.
        Worldwide: 1,111 reports in 15 minutes, where about 37 are usual (by chance alone less than once in a thousand years).
        Likely caused by Verizon, which this is built on (odds 148 to 1): reports rise at 5 services that need it.
        ");
        let explains = Reason::Explains { bond: Bond::Echo, services: vec![ServiceId(0)], count: 3 };
        insta::assert_snapshot!(said(State::Confirmed, &[explains]), @r"
        Problems detected at AT&T, extent not clear yet: 1,111 reports in 15 minutes, where about 37 are usual.
        Worldwide: 1,111 reports in 15 minutes, where about 37 are usual (by chance alone less than once in a thousand years).
        Reports on AT&T and 2 more most likely are an echo of this.
        ");
    }
}
