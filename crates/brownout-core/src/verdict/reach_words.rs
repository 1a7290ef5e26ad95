//! What measurements say of a service, in words.

use super::phrases::{clock, counted, listed};
use super::{Names, place_name};
use crate::model::{Facet, UtcTime};
use crate::reach::{Bracket, Disruption, ReachView, Reachability, Sign, Signal, Spot};

/// Most places that a sentence names.
const NAMED_MAX: usize = 3;

/// A state of reachability in the public words.
pub const fn reach_state_words(state: Reachability) -> &'static str {
    match state {
        Reachability::Ok => "reached",
        Reachability::Impaired => "impaired",
        Reachability::LikelyBlocked => "likely blocked",
        Reachability::Blocked => "blocked",
        Reachability::Down => "down",
        Reachability::Insufficient => "not enough data",
    }
}

/// What measurements say of a service as a whole, in one or a few sentences.
pub fn reach_sentence(view: &ReachView, names: Names<'_>, now: UtcTime) -> String {
    let open = |signal: &&Signal| signal.is_open();
    let is_down = |one: &&Signal| one.place == Spot::World && one.state == Reachability::Down;
    if let Some(down) = view.signals.iter().filter(open).find(is_down) {
        return format!(
            "{} The controls fail as well: this is the service's own, and no filtering in a country.",
            signal_sentence(down, names, now)
        );
    }
    let told = view.day.told();
    if told == 0 {
        return "Nothing was measured in the last 24 hours that could say anything.".to_owned();
    }
    let mut news: Vec<&Signal> = view.news(now).collect();
    news.sort_by_key(|one| (std::cmp::Reverse(one.state.severity()), one.began.likeliest));
    let mut sentences: Vec<String> =
        news.iter().take(NAMED_MAX).map(|one| signal_sentence(one, names, now)).collect();
    if news.len() > NAMED_MAX {
        let more = (news.len() - NAMED_MAX) as u32;
        sentences.push(format!("And {} more.", counted(more, "place", "places")));
    }
    let reached: Vec<_> = view.countries.iter().filter(|one| one.state == Reachability::Ok).collect();
    let networks: usize =
        reached.iter().flat_map(|one| &one.networks).filter(|one| one.state == Reachability::Ok).count();
    if !reached.is_empty() {
        let from = counted(reached.len() as u32, "country", "countries");
        let over = match networks {
            0 => String::new(),
            some => format!(", over {}", counted(some as u32, "network", "networks")),
        };
        let elsewhere = if news.is_empty() { "Reached" } else { "It is reached" };
        sentences.push(format!("{elsewhere} from {from}{over}."));
        if news.is_empty() {
            sentences.push("Nothing points to filtering or to a cut-off country that is new.".to_owned());
        }
    } else if news.is_empty() {
        sentences.push("Too little was measured to say whether it is reached.".to_owned());
    }
    sentences.extend(view.shared.iter().take(NAMED_MAX).map(|(country, others)| {
        let named = others.iter().take(NAMED_MAX).filter_map(|id| names.catalogue.get(*id));
        let mut named: Vec<String> = named.map(|service| service.name.clone()).collect();
        if others.len() > NAMED_MAX {
            named.push(format!("{} more", others.len() - NAMED_MAX));
        }
        format!(
            "In {} it fails at an address that it shares with {}: who blocks one of them blocks all, and it may be \
             any of them that is meant.",
            place_name(Facet::Country(*country), names),
            listed(&named)
        )
    }));
    let standing: Vec<String> = view
        .signals
        .iter()
        .filter(|one| one.is_open() && one.place != Spot::World && one.is_standing_at(now))
        .map(|one| spot_name(one.place, names))
        .collect();
    if !standing.is_empty() {
        let more = standing.len().saturating_sub(NAMED_MAX);
        let mut named: Vec<String> = standing.into_iter().take(NAMED_MAX).collect();
        if more > 0 {
            named.push(counted(more as u32, "more country", "more countries"));
        }
        sentences
            .push(format!("It was not reached for long already in {}: that is no news.", listed(&named)));
    }
    sentences.join(" ")
}

/// One departure: what, where, since when, how and by how many measurements.
pub fn signal_sentence(signal: &Signal, names: Names<'_>, now: UtcTime) -> String {
    let place = match (signal.place, signal.is_whole) {
        (Spot::World, _) => "everywhere that is measured".to_owned(),
        (place, true) => format!("in {}", spot_name(place, names)),
        (place, false) => {
            let networks = counted(signal.networks.len() as u32, "network", "networks");
            format!("on {networks} in {}", spot_name(place, names))
        }
    };
    let what = match signal.state {
        Reachability::Impaired if signal.place == Spot::World => {
            "Found otherwise than by the controls, which is the service's or the controls' and no filtering, nearly"
        }
        Reachability::Down => "Down",
        Reachability::Impaired => "Impaired",
        Reachability::LikelyBlocked => "Likely blocked",
        _ => "Blocked",
    };
    let how = signal.how.map_or_else(String::new, |how| format!(": {}", how.about()));
    let vantages = match signal.place {
        Spot::World => counted(signal.vantages, "country", "countries"),
        _ if signal.is_whole => counted(signal.vantages, "network", "networks"),
        _ => String::new(),
    };
    let from = if vantages.is_empty() { vantages } else { format!(" from {vantages}") };
    let verb = if signal.looks == 1 { "fails" } else { "failed" };
    let evidence = format!("{} of {}{from} {verb}", signal.hits, counted(signal.looks, "look", "looks"));
    match signal.ended {
        None => format!("{what} {place} since {}{how} ({evidence}).", bracket_words(signal.began, now)),
        Some((ended, _)) => format!(
            "{what} {place} from {} until {}{how} ({evidence}).",
            bracket_words(signal.began, now),
            bracket_words(ended, now)
        ),
    }
}

/// "about 09:45 UTC (09:30 to 09:50)"; a bracket without width is an instant.
pub fn bracket_words(bracket: Bracket, now: UtcTime) -> String {
    let likeliest = clock(bracket.likeliest, now);
    let (earliest, latest) = (clock(bracket.earliest, now), clock(bracket.latest, now));
    if earliest == latest {
        return likeliest;
    }
    format!("about {likeliest} ({earliest} to {latest})")
}

/// That a country or network is cut off by all appearances.
pub fn disruption_sentence(disruption: &Disruption, names: Names<'_>, now: UtcTime) -> String {
    let place = spot_name(disruption.place, names);
    let since = |what: &str, goes_on: &str, was: &str| match disruption.ended {
        None => format!("{what} {place} {goes_on} since {}", bracket_words(disruption.began, now)),
        Some(ended) => format!(
            "{what} {place} {was} from {} until {}",
            bracket_words(disruption.began, now),
            bracket_words(ended, now)
        ),
    };
    match disruption.sign {
        Sign::Silence { due } => format!(
            "{}, where {} were due when that was told: it may be cut off, or those who measure are gone.",
            since("No measurement from", "has come", "came"),
            due.round()
        ),
        Sign::AllTargets { services, looks, hits } => format!(
            "{}: {hits} of {looks} looks at {services} services. That is the country's, and not one service's.",
            since("Most of what is measured in", "fails", "failed")
        ),
    }
}

/// The name of a place; of a network its number and country.
pub fn spot_name(place: Spot, names: Names<'_>) -> String {
    let country = |code| place_name(Facet::Country(code), names);
    match place {
        Spot::World => "the world".to_owned(),
        Spot::Country(code) => country(code),
        Spot::Network(code, network) => format!("{network} in {}", country(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asn, Catalogue, Geography, Seq};
    use crate::reach::{Mechanism, Slot};

    fn at(text: &str) -> UtcTime {
        format!("2025-03-10T{text}:00Z").parse().expect("a time")
    }

    fn signal(place: Spot, state: Reachability) -> Signal {
        let (earliest, likeliest, latest) = (at("09:40"), at("09:45"), at("09:52"));
        Signal {
            state,
            how: Some(Mechanism::TlsResetSni),
            place,
            is_whole: true,
            networks: vec![Asn::new(17_557).expect("a number")],
            hosts: vec!["x.com".to_owned()],
            began: Bracket { earliest, likeliest, latest },
            told_at: at("10:00"),
            ended: None,
            looks: 12,
            hits: 11,
            vantages: 3,
            witness: Seq(7),
            is_standing: false,
        }
    }

    #[test]
    fn a_departure_is_told_with_its_bracket_and_its_evidence() {
        let (catalogue, geography) = (Catalogue::default(), Geography::embedded());
        let names = Names { catalogue: &catalogue, geography: &geography };
        let pk = Spot::Country("PK".parse().expect("a country"));
        let blocked = signal(pk, Reachability::Blocked);
        assert_eq!(
            signal_sentence(&blocked, names, at("11:00")),
            "Blocked in Pakistan since about 09:45 UTC (09:40 UTC to 09:52 UTC): the handshake is reset because of the \
             name in it (11 of 12 looks from 3 networks failed)."
        );
        let view = |signals| ReachView {
            day: Slot { measured: 40, ok: 29, blocked: 11, ..Slot::default() },
            measured_until: Some(at("11:00")),
            is_down: false,
            networks_measured: 4,
            countries: Vec::new(),
            signals,
            shared: Vec::new(),
        };
        let standing = Signal { is_standing: true, ..blocked.clone() };
        let words = reach_sentence(&view(vec![standing]), names, at("11:00"));
        assert!(words.contains("for long already in Pakistan") && !words.contains("Blocked in"), "{words}");
        // What is so everywhere is told, however long it is so.
        let differs = Signal { is_standing: true, ..signal(Spot::World, Reachability::Impaired) };
        let words = reach_sentence(&view(vec![differs]), names, at("11:00"));
        assert!(words.contains("no filtering, nearly everywhere") && !words.contains("the world"), "{words}");
        let down = Signal { how: Some(Mechanism::SiteTcp), ..signal(Spot::World, Reachability::Down) };
        let words = reach_sentence(&view(vec![down, blocked]), names, at("11:00"));
        assert!(words.starts_with("Down everywhere that is measured since about 09:45 UTC"), "{words}");
        assert!(words.ends_with("no filtering in a country."), "{words}");
    }

    #[test]
    fn a_disruption_is_told_in_the_tense_it_is_in() {
        let (catalogue, geography) = (Catalogue::default(), Geography::embedded());
        let names = Names { catalogue: &catalogue, geography: &geography };
        let bracket = |text| Bracket { earliest: at(text), likeliest: at(text), latest: at(text) };
        let silence = Disruption {
            place: Spot::Country("UG".parse().expect("a country")),
            sign: Sign::Silence { due: 24.2 },
            began: bracket("09:00"),
            told_at: at("10:00"),
            ended: None,
            witness: None,
        };
        assert_eq!(
            disruption_sentence(&silence, names, at("11:00")),
            "No measurement from Uganda has come since 09:00 UTC, where 24 were due when that was told: it may be cut \
             off, or those who measure are gone."
        );
        let over = Disruption { ended: Some(bracket("10:30")), ..silence };
        let words = disruption_sentence(&over, names, at("11:00"));
        assert!(
            words.starts_with("No measurement from Uganda came from 09:00 UTC until 10:30 UTC,"),
            "{words}"
        );
    }
}
