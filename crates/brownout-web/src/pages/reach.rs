//! How a service is reached: the card, the strip and the table.

use brownout_core::model::Facet;
use brownout_core::reach::{ReachPlace, ReachView, Reachability, Spot};
use brownout_core::snapshot::State;
use brownout_core::verdict::{bracket_words, reach_sentence, signal_sentence};

use crate::marks;
use crate::strip::{self, StripRow};
use crate::view::View;
use crate::zone::thousands;

/// Rows of a strip: a phone shows some fifteen.
const STRIP_ROWS_MAX: usize = 16;
/// Networks of one country in a strip.
const NETWORKS_MAX: usize = 5;
/// Rows of the table.
const ROWS_MAX: usize = 60;

/// What the page of a service shows of it.
pub(crate) struct Reach {
    pub(crate) mark: String,
    pub(crate) sentence: String,
    /// Reached, of all that told anything, in the last day.
    pub(crate) reached: String,
    pub(crate) told: String,
    pub(crate) networks: String,
    /// When the newest was taken; nothing where that is longer ago than a day.
    pub(crate) until: Option<String>,
    pub(crate) strip: String,
    pub(crate) strip_title: String,
    pub(crate) rows: Vec<Row>,
    /// What changed, latest first.
    pub(crate) changes: Vec<String>,
}

/// One country or network.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) is_part: bool,
    pub(crate) mark: String,
    pub(crate) how: &'static str,
    pub(crate) since: String,
    pub(crate) reached: String,
    pub(crate) told: String,
    pub(crate) vantages: String,
    pub(crate) note: &'static str,
}

/// Changes that are listed.
const CHANGES_MAX: usize = 8;

impl Reach {
    pub(crate) fn new(view: &View, reach: &ReachView) -> Self {
        let now = view.snapshot.at;
        let strip_title =
            format!("Last 24 h by country and network, until {} {}", view.zone.clock(now), view.zone.label());
        let places =
            || reach.countries.iter().flat_map(|country| std::iter::once(country).chain(&country.networks));
        let changes = reach.signals.iter().take(CHANGES_MAX);
        Reach {
            mark: marks::reach_mark(reach.state(now)),
            sentence: reach_sentence(reach, view.names(), now),
            reached: thousands(reach.day.ok.into()),
            told: thousands(reach.day.told().into()),
            networks: thousands(reach.networks_measured.into()),
            until: reach.measured_until.map(|at| view.time(at.min(now))),
            strip: strip::draw(&strip_rows(view, reach), now, &view.zone, &strip_title),
            strip_title,
            rows: places().take(ROWS_MAX).map(|place| Row::new(view, place)).collect(),
            changes: changes.map(|one| signal_sentence(one, view.names(), now)).collect(),
        }
    }
}

/// What it means that people and measurements agree, or do not; nothing where one of them says nothing.
pub(crate) fn beside(people: State, measured: Reachability) -> Option<&'static str> {
    let is_reported = matches!(people, State::Possible | State::Confirmed);
    match measured {
        Reachability::Insufficient => None,
        Reachability::Ok if is_reported => Some(
            "People report problems while measurements reach it: the fault lies where nobody measures, or behind the \
             first page, such as in signing in.",
        ),
        Reachability::Ok => (people == State::Calm).then_some("People and measurements agree: it works."),
        _ if is_reported => {
            Some("People and measurements agree: it fails, at least where measurements say so.")
        }
        Reachability::Impaired => Some("Measurements find it impaired somewhere, and few people report it."),
        _ => Some("Measurements fail somewhere, and few people report it: see below where."),
    }
}

/// Countries that fail with their networks, then the others.
fn strip_rows<'a>(view: &View, reach: &'a ReachView) -> Vec<StripRow<'a>> {
    let mut rows = Vec::new();
    for country in &reach.countries {
        rows.push(StripRow { name: place_name(view, country.place), is_part: false, place: country });
        let fails = country.state.severity() > Reachability::Ok.severity()
            || country.networks.iter().any(|one| one.state.severity() > Reachability::Ok.severity());
        if fails || reach.countries.len() == 1 {
            rows.extend(country.networks.iter().take(NETWORKS_MAX).map(|network| StripRow {
                name: place_name(view, network.place),
                is_part: true,
                place: network,
            }));
        }
    }
    rows.truncate(STRIP_ROWS_MAX);
    rows
}

pub(crate) fn place_name(view: &View, place: Spot) -> String {
    match place {
        Spot::World => "The world".to_owned(),
        Spot::Country(code) => view.facet_name(Facet::Country(code)),
        Spot::Network(_, network) => view.facet_name(Facet::Network(network)),
    }
}

impl Row {
    pub(crate) fn new(view: &View, place: &ReachPlace) -> Self {
        let now = view.snapshot.at;
        Row {
            name: place_name(view, place.place),
            is_part: place.place.network().is_some(),
            mark: marks::reach_mark(place.state),
            how: place.how.map_or("", |how| how.about()),
            since: place.since.map_or_else(String::new, |change| bracket_words(change.bracket, now)),
            reached: thousands(place.day.ok.into()),
            told: thousands(place.day.told().into()),
            vantages: thousands(place.vantages.into()),
            note: match (place.is_cut_off, place.is_doubted) {
                (true, _) => "most of all that is measured in this country fails",
                (_, true) => "one vantage point alone says that something changed",
                _ => "",
            },
        }
    }
}
