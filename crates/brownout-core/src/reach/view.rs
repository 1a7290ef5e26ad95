//! What readers see of a service's reachability.

use super::service::ServiceReach;
use super::{Change, Countries, Mechanism, Reachability, Signal, Slot, Spot};
use crate::model::{CountryCode, ServiceId, UtcTime};

/// Most countries, and most networks of each, that are shown.
const COUNTRIES_MAX: usize = 250;
const NETWORKS_MAX: usize = 40;

/// How a service is reached, place by place.
#[derive(Clone, Debug, PartialEq)]
pub struct ReachView {
    /// The last day of all places in one.
    pub day: Slot,
    /// The newest ten minutes in which anything was measured, by their end.
    pub measured_until: Option<UtcTime>,
    /// Whether it is down for most countries and for the control.
    pub is_down: bool,
    /// Networks that were measured in the last day.
    pub networks_measured: u32,
    /// Countries that were measured in the last day, those that fail first.
    pub countries: Vec<ReachPlace>,
    /// What departed: all that goes on and the newest that are over, latest first.
    pub signals: Vec<Signal>,
    /// Countries in which connections to its addresses fail, and the other services that fail there at one of the
    /// same addresses: who blocks one of them blocks all, and it may be any that is meant.
    pub shared: Vec<(CountryCode, Vec<ServiceId>)>,
}

/// One country or network.
#[derive(Clone, Debug, PartialEq)]
pub struct ReachPlace {
    /// Which.
    pub place: Spot,
    /// How things stand.
    pub state: Reachability,
    /// How it fails, where it does.
    pub how: Option<Mechanism>,
    /// The newest change of what is the rule there.
    pub since: Option<Change>,
    /// One vantage point alone says that something changed.
    pub is_doubted: bool,
    /// Most of all that is measured in the country fails: this says nothing of the service.
    pub is_cut_off: bool,
    /// Vantage points of the last day: networks of a country, probes of a network where they are told apart.
    pub vantages: u32,
    /// The last day in one.
    pub day: Slot,
    /// The last day, ten minutes by ten minutes; those without measurements are not there.
    pub slots: Vec<Slot>,
    /// Of a country its networks, those that fail first.
    pub networks: Vec<ReachPlace>,
}

impl ReachView {
    /// What is to be seen at a time; `None` where nothing was measured in the day before it and nothing goes on.
    pub fn draw(reach: &ServiceReach, all: &Countries, now: UtcTime) -> Option<Self> {
        let mut countries: Vec<ReachPlace> = Vec::new();
        let (mut day, mut measured_until) = (Slot::default(), None);
        let mut networks_measured = 0;
        // Countries come before networks.
        for (place, strip) in reach.strips().filter(|(_, strip)| !strip.is_idle(now)) {
            let row = || ReachPlace::draw(reach, all, place, strip.day(now).copied().collect(), now);
            match place {
                Spot::World => {
                    day = strip.sum(now);
                    measured_until = strip.day(now).last().map(Slot::end);
                }
                Spot::Country(_) => countries.push(row()),
                Spot::Network(code, _) => {
                    networks_measured += 1;
                    let country = countries.binary_search_by_key(&Spot::Country(code), |one| one.place);
                    if let Ok(country) = country {
                        countries[country].networks.push(row());
                    }
                }
            }
        }
        for country in &mut countries {
            worst_first(&mut country.networks, NETWORKS_MAX);
        }
        worst_first(&mut countries, COUNTRIES_MAX);
        let mut signals = reach.signals().to_vec();
        signals.sort_by_key(|one| (!one.is_open(), std::cmp::Reverse(one.told_at), one.place));
        let of_the_world = |state| {
            move |one: &Signal| {
                one.is_open() && one.place == Spot::World && (one.state == Reachability::Down) == state
            }
        };
        let is_down = signals.iter().any(of_the_world(true));
        if signals.iter().any(of_the_world(false)) {
            for country in &mut countries {
                let is_own = signals.iter().any(|one| one.is_open() && one.place == country.place);
                if !is_own {
                    country.differ_as_all();
                }
            }
        }
        let is_anything = !countries.is_empty() || !signals.is_empty();
        is_anything.then_some(ReachView {
            day,
            measured_until,
            is_down,
            networks_measured,
            countries,
            signals,
            shared: Vec::new(),
        })
    }

    /// Signals that go on and are no state of things; what is so everywhere never is one.
    pub fn news(&self, now: UtcTime) -> impl Iterator<Item = &Signal> {
        let is_news = move |one: &&Signal| one.place == Spot::World || !one.is_standing_at(now);
        self.signals.iter().filter(|one| one.is_open()).filter(is_news)
    }

    /// How things stand in one word: down where it is down everywhere, otherwise blocked where it newly is,
    /// otherwise reached.
    pub fn state(&self, now: UtcTime) -> Reachability {
        if self.is_down {
            return Reachability::Down;
        }
        let news = self.news(now).map(|one| one.state);
        if let Some(worst) = news.max_by_key(|state| state.severity()) {
            return worst;
        }
        let reached = self.countries.iter().filter(|one| one.state == Reachability::Ok).count();
        if reached > 0 { Reachability::Ok } else { Reachability::Insufficient }
    }
}

impl ReachPlace {
    /// It finds what nearly all find and the control does not.
    fn differ_as_all(&mut self) {
        if self.state.kind() == Reachability::Blocked {
            self.state = Reachability::Impaired;
        }
        self.networks.iter_mut().for_each(ReachPlace::differ_as_all);
    }

    fn draw(reach: &ServiceReach, all: &Countries, place: Spot, slots: Vec<Slot>, now: UtcTime) -> Self {
        let (how, since) = reach.course(place, now);
        let mut day = Slot::default();
        slots.iter().for_each(|slot| day.add(slot));
        ReachPlace {
            place,
            state: reach.state(place, now),
            how,
            since,
            is_doubted: reach.is_doubted(place, now),
            is_cut_off: place.country().is_some_and(|country| all.is_cut_off(country)),
            vantages: u32::try_from(reach.vantages_since(place, now.plus_seconds(-86_400)))
                .unwrap_or(u32::MAX),
            day,
            slots,
            networks: Vec::new(),
        }
    }
}

fn worst_first(places: &mut Vec<ReachPlace>, places_max: usize) {
    places.sort_by_key(|one| {
        (std::cmp::Reverse(one.state.severity()), std::cmp::Reverse(one.day.measured), one.place)
    });
    places.truncate(places_max);
}
