//! What measurements of one service say, place by place, and where that departs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::analysis::Analysis;
use super::cell::Cell;
use super::{Change, Layer, Measurement, Mechanism, Reachability, Signal, Spot, Strip};
use crate::model::{Asn, CountryCode, Seq, UtcTime};

/// What one measurement says, and from where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// When it was taken.
    pub at: UtcTime,
    /// Who took it; `None` where that is not told.
    pub vantage: Option<u64>,
    /// From which country.
    pub country: CountryCode,
    /// From which network.
    pub network: Option<Asn>,
    /// What it says.
    pub state: Reachability,
    /// How it failed.
    pub how: Option<Mechanism>,
    /// At which stage.
    pub layer: Option<Layer>,
    /// The address to which no connection stood, where that is how it failed.
    pub address: Option<IpAddr>,
}

impl Look {
    /// The look that a judged measurement is; `None` where it does not tell its country.
    pub fn of(measurement: &Measurement, analysis: &Analysis) -> Option<Self> {
        let vantage = &measurement.vantage;
        Some(Look {
            at: measurement.started_at,
            vantage: vantage.id,
            country: vantage.country?,
            network: vantage.network,
            state: analysis.state,
            how: analysis.mechanism,
            layer: analysis.decided_by.map(|by| by.layer),
            address: refused_address(measurement, analysis),
        })
    }
}

fn refused_address(measurement: &Measurement, analysis: &Analysis) -> Option<IpAddr> {
    let by = analysis.decided_by.filter(|by| by.mechanism == Some(Mechanism::TcpIpBlock))?;
    let connects = measurement.run.connects.iter().filter(|one| one.hop == by.hop && one.failure.is_some());
    // Of several the one of the older family, which sites behind one network share.
    connects.map(|one| one.endpoint.ip()).min_by_key(|address| address.is_ipv6())
}

/// Measurements of one service: its targets, from everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceReach {
    /// Hosts of its targets, in the order in which they were first measured.
    hosts: Vec<String>,
    /// By target and place.
    cells: BTreeMap<(u16, Spot), Cell>,
    strips: BTreeMap<Spot, Strip>,
    /// By country, the newest addresses to which no connection stood, oldest first.
    refused: BTreeMap<CountryCode, Vec<IpAddr>>,
    /// Oldest first.
    signals: Vec<Signal>,
    /// Measurements that found no room for their place.
    crowded_out: u64,
}

/// Most hosts of one service.
const HOSTS_MAX: usize = 64;
/// Most places of one service; measurements from more are counted in their country alone.
const CELLS_MAX: usize = 20_000;
/// A place from which nothing came for so many days is forgotten.
const IDLE_DAYS: i64 = 60;
/// Signals that are over and remembered.
const ENDED_MAX: usize = 64;
/// Addresses of one country that are remembered: content networks give a few.
const REFUSED_MAX: usize = 8;
/// What can depart.
const KINDS: [Reachability; 3] = [Reachability::Blocked, Reachability::Down, Reachability::Impaired];
/// After what was down everywhere is over, places have so long to come back.
const COMING_BACK_SECONDS: i64 = 6 * 3600;
/// Countries that must have been measured before what most of them find and the control does not is the
/// service's or the control's, and no filtering.
const COUNTRIES_MIN: usize = 5;
/// What was last seen longer ago than so many hours says nothing of now.
const STALE_HOURS: i64 = 48;

impl ServiceReach {
    /// Takes what a measurement of a target says; `witness` is where it stands in the log.
    pub fn look(&mut self, host: &str, look: &Look, witness: Seq) {
        self.chart(look);
        let Some(host) = self.host(host) else { return };
        if let Some(address) = look.address {
            let refused = self.refused.entry(look.country).or_default();
            refused.retain(|known| *known != address);
            refused.push(address);
            let surplus = refused.len().saturating_sub(REFUSED_MAX);
            refused.drain(..surplus);
        }
        let country = Some(u64::from(u16::from_le_bytes(look.country.bytes())));
        // Measurements that do not tell their network are one network of it, whoever made them.
        let network = Some(look.network.map_or(0, |network| u64::from(network.0.get())));
        let here = look.network.map(|network| (Spot::Network(look.country, network), look.vantage));
        let places = [Some((Spot::World, country)), Some((Spot::Country(look.country), network)), here];
        let mut is_departing = false;
        for (spot, vantage) in places.into_iter().flatten() {
            if self.cells.len() >= CELLS_MAX && !self.cells.contains_key(&(host, spot)) {
                self.crowded_out += 1;
                continue;
            }
            let cell = self.cells.entry((host, spot)).or_default();
            is_departing |= cell.look(look.at, vantage, look.state, look.how);
            is_departing |= KINDS.iter().any(|kind| cell.is_rule(*kind));
        }
        if is_departing {
            self.follow(Spot::World, look.at, witness);
            self.follow(Spot::Country(look.country), look.at, witness);
        }
    }

    /// Counts a measurement that came too late to say anything of now.
    pub fn chart(&mut self, look: &Look) {
        let here = look.network.map(|network| Spot::Network(look.country, network));
        for spot in [Some(Spot::World), Some(Spot::Country(look.country)), here].into_iter().flatten() {
            if self.strips.len() < CELLS_MAX || self.strips.contains_key(&spot) {
                self.strips.entry(spot).or_default().count(look.at, look.state, look.layer);
            }
        }
    }

    /// Forgets places from which nothing came for long, and what went on there.
    pub fn forget_idle(&mut self, now: UtcTime) {
        let is_recent =
            |at: Option<UtcTime>| at.is_some_and(|at| now.seconds() - at.seconds() < IDLE_DAYS * 86_400);
        self.cells.retain(|_, cell| is_recent(cell.last_at()));
        self.strips.retain(|_, strip| !strip.is_idle(now));
        for index in 0..self.signals.len() {
            let (place, state) = (self.signals[index].place, self.signals[index].kind());
            let goes_on = self.cells_of(place).any(|(_, _, cell)| cell.is_rule(state));
            let signal = &mut self.signals[index];
            if signal.is_open() && !goes_on {
                // Nobody looked any more: it ended at some time since it was told.
                signal.ended =
                    Some((super::Bracket { earliest: signal.told_at, likeliest: now, latest: now }, now));
            }
        }
    }

    fn host(&mut self, host: &str) -> Option<u16> {
        let known = self.hosts.iter().position(|known| known == host);
        let index = match known {
            Some(index) => index,
            None if self.hosts.len() >= HOSTS_MAX => {
                self.crowded_out += 1;
                return None;
            }
            None => {
                self.hosts.push(host.to_owned());
                self.hosts.len() - 1
            }
        };
        u16::try_from(index).ok()
    }

    /// The cells of one place over all targets, and of its networks where it is a country.
    fn cells_of(&self, place: Spot) -> impl Iterator<Item = (u16, Spot, &Cell)> {
        let hosts = 0..self.hosts.len() as u16;
        hosts
            .flat_map(move |host| {
                let networks = place.country().map(|country| {
                    let from = Spot::Network(country, Asn(NonZeroU32::MIN));
                    self.cells.range((host, from)..=(host, Spot::Network(country, Asn(NonZeroU32::MAX))))
                });
                let whole = self.cells.get_key_value(&(host, place));
                whole.into_iter().chain(networks.into_iter().flatten())
            })
            .map(|((host, spot), cell)| (*host, *spot, cell))
    }

    /// What departs at a place, by what its cells say now.
    fn follow(&mut self, place: Spot, at: UtcTime, witness: Seq) {
        for state in KINDS {
            if place == Spot::World && state == Reachability::Impaired {
                continue;
            }
            let now = self.departure(place, state).filter(|now| !self.is_of_the_world(now, at));
            let open = self
                .signals
                .iter()
                .position(|one| one.is_open() && one.place == place && one.kind() == state);
            match (now, open) {
                (Some(now), Some(open)) => self.signals[open].go_on(now),
                (Some(now), None) => {
                    self.signals.push(Signal { told_at: at, witness, ..now });
                    if place == Spot::World {
                        self.absorb(state);
                    }
                }
                (None, Some(open)) => {
                    let ended = self.end_of(place, state, at);
                    self.signals[open].ended = Some((ended, at));
                }
                (None, None) => {}
            }
        }
        let ended = self.signals.iter().filter(|one| !one.is_open()).count();
        if ended > ENDED_MAX
            && let Some(oldest) = self.signals.iter().position(|one| !one.is_open())
        {
            self.signals.remove(oldest);
        }
    }

    /// Whether what departs in a country is what departs everywhere, or what is left of it: places come back
    /// one after the other.
    fn is_of_the_world(&self, departure: &Signal, at: UtcTime) -> bool {
        let is_same = |world: &&Signal| {
            world.place == Spot::World
                && world.kind() == departure.kind()
                && (departure.state == Reachability::Down || departure.began.latest >= world.began.earliest)
        };
        departure.place != Spot::World
            && self.signals.iter().filter(is_same).any(|world| match world.ended {
                None => true,
                Some((ended, told_at)) => {
                    departure.began.likeliest <= ended.latest
                        && at.seconds() - told_at.seconds() < COMING_BACK_SECONDS
                }
            })
    }

    /// What departs everywhere is no departure of a country, but for those in which it began before.
    fn absorb(&mut self, state: Reachability) {
        let world = self.signals.last().map(|world| world.began.earliest);
        self.signals.retain(|one| {
            let is_before = state != Reachability::Down && Some(one.began.latest) < world;
            !one.is_open() || one.place == Spot::World || one.kind() != state || is_before
        });
    }

    fn departure(&self, place: Spot, state: Reachability) -> Option<Signal> {
        let failing: Vec<_> = self.cells_of(place).filter(|(_, _, cell)| cell.is_rule(state)).collect();
        let begun = failing.iter().filter_map(|(_, _, cell)| cell.newest(state, true));
        let first = *begun.min_by_key(|change| change.bracket.likeliest)?;
        // Two countries may block the same; nearly all of many do not.
        let is_world = place == Spot::World && state == Reachability::Blocked;
        if is_world && self.vantages_since(place, first.bracket.earliest) < COUNTRIES_MIN {
            return None;
        }
        let whole = failing.iter().find(|(_, spot, _)| *spot == place);
        let mut networks: Vec<Asn> = failing.iter().filter_map(|(_, spot, _)| spot.network()).collect();
        networks.sort_unstable();
        networks.dedup();
        let mut hosts: Vec<u16> = failing.iter().map(|(host, _, _)| *host).collect();
        hosts.dedup();
        let most = whole.or_else(|| failing.iter().max_by_key(|(_, _, cell)| cell.last_at()));
        // Blocked is said where that is plain, in the place as a whole or in one of its networks.
        let plainly = match whole {
            Some((_, _, cell)) => cell.state() == state,
            None => failing.iter().any(|(_, _, cell)| cell.state() == state),
        };
        Some(Signal {
            state: match state {
                // What nearly all find and the control does not is filtering nowhere.
                Reachability::Blocked if place == Spot::World => Reachability::Impaired,
                Reachability::Blocked if !plainly => Reachability::LikelyBlocked,
                state => state,
            },
            how: most.and_then(|(_, _, cell)| cell.mechanism()),
            place,
            is_whole: whole.is_some(),
            networks,
            hosts: hosts.into_iter().map(|host| self.hosts[usize::from(host)].clone()).collect(),
            began: first.bracket,
            told_at: first.told_at,
            ended: None,
            looks: first.looks,
            hits: first.hits,
            vantages: first.vantages,
            witness: Seq::default(),
            is_standing: failing.iter().all(|(_, _, cell)| cell.began_unseen()),
        })
    }

    /// When what departed at a place ended: where it ended last.
    fn end_of(&self, place: Spot, state: Reachability, at: UtcTime) -> super::Bracket {
        let ends = self.cells_of(place).filter_map(|(_, _, cell)| cell.newest(state, false));
        let last: Option<&Change> = ends.max_by_key(|change| change.told_at);
        let now = super::Bracket { earliest: at, likeliest: at, latest: at };
        last.map_or(now, |change| change.bracket)
    }

    /// Addresses to which no connection stands from a country, while that is why it fails there.
    pub fn refused(&self, country: CountryCode) -> &[IpAddr] {
        let is_open = |one: &Signal| {
            one.is_open() && one.place == Spot::Country(country) && one.how == Some(Mechanism::TcpIpBlock)
        };
        match self.signals.iter().any(is_open) {
            true => self.refused.get(&country).map_or(&[], Vec::as_slice),
            false => &[],
        }
    }

    /// What departed, oldest first: all that goes on, and the newest that are over.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Measurements that found no room for their place.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// How things stand at a place by a time: the worst of its targets. What was last seen long ago says
    /// nothing.
    pub fn state(&self, place: Spot, now: UtcTime) -> Reachability {
        let fresh = self.fresh(place, now);
        fresh.map(Cell::state).max_by_key(|state| state.severity()).unwrap_or(Reachability::Insufficient)
    }

    /// Whether too few vantage points, most often one alone, say that something changed at a place.
    pub fn is_doubted(&self, place: Spot, now: UtcTime) -> bool {
        self.fresh(place, now).any(Cell::is_doubted)
    }

    /// How it fails at a place, where it does, and since when that is so.
    pub fn course(&self, place: Spot, now: UtcTime) -> (Option<Mechanism>, Option<Change>) {
        let worst = self.fresh(place, now).max_by_key(|cell| cell.state().severity());
        let is_failing = worst.is_some_and(|cell| cell.state().severity() > Reachability::Ok.severity());
        let how = worst.filter(|_| is_failing).and_then(Cell::mechanism);
        (how, worst.and_then(|cell| cell.since().copied()))
    }

    /// Vantage points that looked from a place since a time: of a network its probes, as far as they are told
    /// apart; of a country its networks; of the world its countries.
    pub fn vantages_since(&self, place: Spot, since: UtcTime) -> usize {
        let of_place = self.cells_of(place).filter(|(_, spot, _)| *spot == place);
        of_place.map(|(_, _, cell)| cell.vantages_since(since)).max().unwrap_or(0)
    }

    /// The strips of all places, in their order: the world, countries, networks.
    pub fn strips(&self) -> impl Iterator<Item = (Spot, &Strip)> {
        self.strips.iter().map(|(spot, strip)| (*spot, strip))
    }

    fn fresh(&self, place: Spot, now: UtcTime) -> impl Iterator<Item = &Cell> {
        let is_fresh = move |cell: &Cell| {
            cell.last_at().is_some_and(|at| now.seconds() - at.seconds() < STALE_HOURS * 3600)
        };
        let hosts = 0..self.hosts.len() as u16;
        hosts.filter_map(move |host| self.cells.get(&(host, place))).filter(move |cell| is_fresh(cell))
    }
}

impl Signal {
    /// What is tested for in it: what is impaired for the whole world is what would be blocked in a country.
    fn kind(&self) -> Reachability {
        match self.state {
            Reachability::Impaired if self.place == Spot::World => Reachability::Blocked,
            state => state.kind(),
        }
    }

    /// Takes over what goes on: its extent as it is now, its beginning where that is earlier than was known.
    fn go_on(&mut self, now: Signal) {
        (self.state, self.how) = (now.state, now.how);
        self.is_whole |= now.is_whole;
        self.networks.extend(now.networks);
        self.networks.sort_unstable();
        self.networks.dedup();
        self.hosts.extend(now.hosts);
        self.hosts.sort_unstable();
        self.hosts.dedup();
        if now.began.likeliest < self.began.likeliest {
            self.began = now.began;
        }
        if now.hits > self.hits {
            (self.looks, self.hits, self.vantages) = (now.looks, now.hits, now.vantages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        reach: ServiceReach,
        seq: u64,
    }

    fn at(minutes: i64) -> UtcTime {
        UtcTime::from_seconds(1_741_564_800 + 60 * minutes)
    }

    fn country(code: &str) -> CountryCode {
        code.parse().expect("a country")
    }

    impl World {
        fn new() -> Self {
            World { reach: ServiceReach::default(), seq: 0 }
        }

        /// A round of measurements: from each country's networks, each by two probes.
        fn round(&mut self, minutes: i64, state: impl Fn(&str, u32) -> (Reachability, Option<Mechanism>)) {
            for code in ["PK", "DE", "US", "GB"] {
                for network in 1..=4 {
                    for vantage in 1..=2 {
                        let (state, how) = state(code, network);
                        let look = Look {
                            at: at(minutes),
                            vantage: Some(u64::from(network * 10 + vantage)),
                            country: country(code),
                            network: Asn::new(network),
                            state,
                            how,
                            layer: how.map(|_| Layer::Tls),
                            address: None,
                        };
                        self.seq += 1;
                        self.reach.look("x.com", &look, Seq(self.seq));
                    }
                }
            }
        }
    }

    const RESET: (Reachability, Option<Mechanism>) = (Reachability::Blocked, Some(Mechanism::TlsReset));
    const OK: (Reachability, Option<Mechanism>) = (Reachability::Ok, None);
    const GONE: (Reachability, Option<Mechanism>) = (Reachability::Down, Some(Mechanism::SiteTcp));

    #[test]
    fn a_national_block_is_one_signal_with_its_networks_and_both_ends() {
        let mut world = World::new();
        (0..40).for_each(|round| world.round(30 * round, |_, _| OK));
        (40..60).for_each(|round| {
            world.round(30 * round, |code, _| if code == "PK" { RESET } else { OK });
        });
        let [signal] = world.reach.signals() else { panic!("{:?}", world.reach.signals()) };
        assert!(signal.is_open() && signal.is_whole && !signal.is_standing);
        assert_eq!((signal.place, signal.state), (Spot::Country(country("PK")), Reachability::Blocked));
        assert_eq!((signal.networks.len(), signal.how), (4, Some(Mechanism::TlsReset)));
        assert!(signal.began.earliest <= at(1200) && signal.began.latest >= at(1200), "{:?}", signal.began);
        assert!(signal.told_at <= at(1230), "{}", signal.told_at);
        assert_eq!(world.reach.state(Spot::Country(country("PK")), at(1800)), Reachability::Blocked);
        assert_eq!(world.reach.state(Spot::Country(country("DE")), at(1800)), Reachability::Ok);
        assert_eq!(world.reach.state(Spot::Country(country("DE")), at(10_000)), Reachability::Insufficient);
        (60..80).for_each(|round| world.round(30 * round, |_, _| OK));
        let [signal] = world.reach.signals() else { panic!("{:?}", world.reach.signals()) };
        let (ended, _) = signal.ended.expect("an end");
        assert!(ended.earliest <= at(1800) && ended.latest >= at(1800), "{ended:?}");
    }

    #[test]
    fn what_is_down_everywhere_is_one_signal_and_no_block() {
        let mut world = World::new();
        (0..40).for_each(|round| world.round(30 * round, |_, _| OK));
        (40..50).for_each(|round| world.round(30 * round, |_, _| GONE));
        let [signal] = world.reach.signals() else { panic!("{:?}", world.reach.signals()) };
        assert_eq!((signal.place, signal.state), (Spot::World, Reachability::Down));
        assert_eq!(signal.how, Some(Mechanism::SiteTcp));
        assert!(signal.told_at <= at(1230), "{}", signal.told_at);
    }

    #[test]
    fn what_nearly_all_countries_find_and_the_control_does_not_is_no_block() {
        let mut reach = ServiceReach::default();
        let codes = ["DE", "FR", "GB", "US", "BR", "IN", "PK", "TR"];
        let mut look = |round: i64, differs: &[&str]| {
            for (index, code) in (0..).zip(codes) {
                for network in 1..=2 {
                    let is_hit = differs.contains(&code);
                    let look = Look {
                        at: at(30 * round + index),
                        vantage: None,
                        country: country(code),
                        network: Asn::new(network),
                        state: if is_hit { Reachability::LikelyBlocked } else { Reachability::Ok },
                        how: is_hit.then_some(Mechanism::HttpDiff),
                        layer: None,
                        address: None,
                    };
                    reach.look("x.com", &look, Seq(1));
                }
            }
        };
        // Pakistan blocks it; later the site changes its page for all but the control.
        (0..40).for_each(|round| look(round, &[]));
        (40..60).for_each(|round| look(round, &["PK"]));
        (60..80).for_each(|round| look(round, &codes));
        let open: Vec<(Spot, Reachability)> =
            reach.signals().iter().filter(|one| one.is_open()).map(|one| (one.place, one.state)).collect();
        let pk = Spot::Country(country("PK"));
        assert_eq!(open, [(pk, Reachability::LikelyBlocked), (Spot::World, Reachability::Impaired)]);
    }

    #[test]
    fn one_network_is_no_country() {
        let mut world = World::new();
        (0..40).for_each(|round| world.round(30 * round, |_, _| OK));
        let one = |code: &str, network| if (code, network) == ("DE", 3) { RESET } else { OK };
        (40..60).for_each(|round| world.round(30 * round, one));
        let [signal] = world.reach.signals() else { panic!("{:?}", world.reach.signals()) };
        assert!(!signal.is_whole && signal.networks == [Asn::new(3).expect("a number")]);
        assert_eq!(world.reach.state(Spot::Country(country("DE")), at(1800)), Reachability::Ok);
    }

    #[test]
    fn what_was_blocked_before_anybody_looked_is_a_state_of_things() {
        let mut world = World::new();
        (0..20).for_each(|round| {
            world.round(30 * round, |code, _| if code == "PK" { RESET } else { OK });
        });
        let [signal] = world.reach.signals() else { panic!("{:?}", world.reach.signals()) };
        assert!(signal.is_standing && signal.is_whole);
    }

    #[test]
    fn what_is_not_looked_at_is_forgotten() {
        let mut world = World::new();
        (0..4).for_each(|round| world.round(30 * round, |_, _| OK));
        world.reach.forget_idle(at(61 * 24 * 60));
        assert!(world.reach.cells.is_empty() && world.reach.strips.is_empty());
        (0..40).for_each(|round| world.round(30 * round + 90_000, |_, _| OK));
        (40..50).for_each(|round| {
            world.round(30 * round + 90_000, |code, _| if code == "PK" { RESET } else { OK })
        });
        assert!(world.reach.signals().iter().any(Signal::is_open));
        world.reach.forget_idle(at(90_000 + 1500 + 61 * 24 * 60));
        assert!(!world.reach.signals().iter().any(Signal::is_open));
    }
}
