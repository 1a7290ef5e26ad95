//! What is seen of networks and countries in the routes of the internet.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::{Asn, CountryCode};

/// A block of addresses. They are ordered by family, then address, then length, the shorter first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Prefix {
    is_v6: bool,
    bits: u128,
    length: u8,
}

impl Prefix {
    /// From an address and a length; `None` where the length is longer than an address. Bits beyond it are
    /// dropped.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let (is_v6, bits, most) = match address {
            IpAddr::V4(address) => (false, u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (true, address.to_bits(), 128),
        };
        let mask = if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length.min(128))) };
        (length <= most).then_some(Prefix { is_v6, bits: bits & mask, length })
    }

    /// Its first address.
    pub fn address(self) -> IpAddr {
        match self.is_v6 {
            false => IpAddr::V4(Ipv4Addr::from_bits((self.bits >> 96) as u32)),
            true => IpAddr::V6(Ipv6Addr::from_bits(self.bits)),
        }
    }

    /// Its length in bits.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether it is of IPv6.
    pub fn is_v6(self) -> bool {
        self.is_v6
    }

    /// First and last unit of the address space that it is in: a /24 of IPv4, a /48 of IPv6. What is smaller
    /// than a unit counts as one.
    fn units(self) -> (u64, u64) {
        let unit: u32 = if self.is_v6 { 48 } else { 24 };
        let first = (self.bits >> (128 - unit)) as u64;
        let wide = unit.saturating_sub(u32::from(self.length));
        (first, first + ((1u64 << wide) - 1))
    }
}

/// A peer of a route collector, by its number here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(pub u16);

/// That a prefix is announced by another network than the one that most peers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginChange {
    /// The prefix.
    pub prefix: Prefix,
    /// Who announced it first.
    pub from: Asn,
    /// Who is said to now.
    pub to: Asn,
    /// Who says so.
    pub peer: PeerId,
}

/// Which prefixes which peers see. One million prefixes at 64 peers take some 70 MB.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Places of prefixes in the two lists below.
    places: BTreeMap<Prefix, u32>,
    origins: Vec<Option<Asn>>,
    /// For each prefix `words` words, one bit for each peer.
    seen: Vec<u64>,
    words: usize,
    free: Vec<u32>,
    /// How many prefixes of IPv4 and of IPv6 each peer sees.
    peers: Vec<[u32; 2]>,
}

/// Units of address space that are visible: /24s of IPv4 and /48s of IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// /24s of IPv4.
    pub v4: u64,
    /// /48s of IPv6.
    pub v6: u64,
}

/// What is visible of countries and of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// By country.
    pub countries: BTreeMap<CountryCode, Units>,
    /// By the network that announces it.
    pub networks: BTreeMap<Asn, Units>,
}

/// A peer that sees more prefixes than this of IPv4, or of IPv6, sends all that it knows (IODA).
const FULL_FEED: [u32; 2] = [400_000, 10_000];

impl Routes {
    /// How many prefixes are seen by any peer.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A peer announces a prefix by its last network. Tells if another one announced it before.
    pub fn announce(&mut self, peer: PeerId, prefix: Prefix, origin: Option<Asn>) -> Option<OriginChange> {
        let place = self.place(prefix, origin);
        self.make_room_for(peer);
        let (word, bit) = self.bit(place, peer);
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.peers[usize::from(peer.0)][usize::from(prefix.is_v6)] += 1;
        }
        let known = &mut self.origins[place];
        match (*known, origin) {
            (Some(from), Some(to)) if from != to => Some(OriginChange { prefix, from, to, peer }),
            (None, Some(_)) => {
                *known = origin;
                None
            }
            _ => None,
        }
    }

    /// A peer withdraws a prefix.
    pub fn withdraw(&mut self, peer: PeerId, prefix: Prefix) {
        let Some(place) = self.places.get(&prefix).map(|place| *place as usize) else { return };
        if usize::from(peer.0) >= self.words * 64 {
            return;
        }
        let (word, bit) = self.bit(place, peer);
        if self.seen[word] & bit == 0 {
            return;
        }
        self.seen[word] &= !bit;
        self.peers[usize::from(peer.0)][usize::from(prefix.is_v6)] -= 1;
        if self.seen[place * self.words..(place + 1) * self.words].iter().all(|word| *word == 0) {
            self.places.remove(&prefix);
            self.free.push(place as u32);
        }
    }

    /// A session with a peer has ended: it sees nothing any more.
    pub fn peer_down(&mut self, peer: PeerId) {
        let prefixes: Vec<Prefix> = self.places.keys().copied().collect();
        for prefix in prefixes {
            self.withdraw(peer, prefix);
        }
    }

    /// What more than half of the full feeds see; `places` tells the country of a prefix. Prefixes inside of
    /// others do not count twice.
    pub fn visible(&self, country_of: impl Fn(Prefix, Option<Asn>) -> Option<CountryCode>) -> Visible {
        let full = [self.full_feeds(0), self.full_feeds(1)];
        let mut visible = Visible::default();
        let mut countries: BTreeMap<CountryCode, Sweep> = BTreeMap::new();
        let mut networks: BTreeMap<Asn, Sweep> = BTreeMap::new();
        for (prefix, place) in &self.places {
            let place = *place as usize;
            let (mask, count) = &full[usize::from(prefix.is_v6)];
            let words = &self.seen[place * self.words..(place + 1) * self.words];
            let seen: u32 = words.iter().zip(mask).map(|(seen, full)| (seen & full).count_ones()).sum();
            if 2 * seen <= *count {
                continue;
            }
            let origin = self.origins[place];
            if let Some(country) = country_of(*prefix, origin) {
                countries.entry(country).or_default().add(*prefix);
            }
            if let Some(network) = origin {
                networks.entry(network).or_default().add(*prefix);
            }
        }
        visible.countries = countries.into_iter().map(|(country, sweep)| (country, sweep.units)).collect();
        visible.networks = networks.into_iter().map(|(network, sweep)| (network, sweep.units)).collect();
        visible
    }

    /// The peers that send all of a family, as bits, and how many they are. Where no peer does, all count.
    fn full_feeds(&self, family: usize) -> (Vec<u64>, u32) {
        let is_full = |counts: &[u32; 2]| counts[family] > FULL_FEED[family];
        let any = self.peers.iter().any(is_full);
        let mut mask = vec![0u64; self.words];
        let mut count = 0;
        for (number, counts) in self.peers.iter().enumerate() {
            if if any { is_full(counts) } else { counts[family] > 0 } {
                mask[number / 64] |= 1 << (number % 64);
                count += 1;
            }
        }
        (mask, count)
    }

    fn place(&mut self, prefix: Prefix, origin: Option<Asn>) -> usize {
        if let Some(place) = self.places.get(&prefix) {
            return *place as usize;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.origins.push(None);
            self.seen.resize(self.seen.len() + self.words, 0);
            (self.origins.len() - 1) as u32
        });
        self.origins[place as usize] = origin;
        self.places.insert(prefix, place);
        place as usize
    }

    /// Widens the bits of all prefixes where a peer's number is beyond them.
    fn make_room_for(&mut self, peer: PeerId) {
        let number = usize::from(peer.0);
        if self.peers.len() <= number {
            self.peers.resize(number + 1, [0; 2]);
        }
        let words = number / 64 + 1;
        if words <= self.words {
            return;
        }
        let mut wider = Vec::with_capacity(self.origins.len() * words);
        for place in 0..self.origins.len() {
            wider.extend_from_slice(&self.seen[place * self.words..(place + 1) * self.words]);
            wider.resize((place + 1) * words, 0);
        }
        (self.seen, self.words) = (wider, words);
    }

    fn bit(&self, place: usize, peer: PeerId) -> (usize, u64) {
        let number = usize::from(peer.0);
        (place * self.words + number / 64, 1 << (number % 64))
    }
}

/// Adds up units of prefixes that come in their order, each unit once.
#[derive(Clone, Copy, Debug, Default)]
struct Sweep {
    units: Units,
    /// One past the last unit that was counted, by family.
    next: [u64; 2],
}

impl Sweep {
    fn add(&mut self, prefix: Prefix) {
        let (first, last) = prefix.units();
        let next = &mut self.next[usize::from(prefix.is_v6)];
        let from = first.max(*next);
        if from > last {
            return;
        }
        *next = last + 1;
        let units = if prefix.is_v6 { &mut self.units.v6 } else { &mut self.units.v4 };
        *units += last + 1 - from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        let (address, length) = text.split_once('/').expect("a prefix");
        Prefix::new(address.parse().expect("an address"), length.parse().expect("a length"))
            .expect("a prefix")
    }

    fn asn(number: u32) -> Asn {
        Asn::new(number).expect("a number")
    }

    fn pakistan(_: Prefix, _: Option<Asn>) -> Option<CountryCode> {
        "PK".parse().ok()
    }

    fn v4(routes: &Routes) -> u64 {
        routes.visible(pakistan).countries.values().map(|units| units.v4).sum()
    }

    #[test]
    fn what_lies_inside_another_prefix_counts_once() {
        let mut routes = Routes::default();
        for text in
            ["39.32.0.0/16", "39.32.4.0/24", "39.32.128.0/17", "39.33.0.0/25", "2400:1::/32", "2400:1:5::/48"]
        {
            routes.announce(PeerId(0), prefix(text), Some(asn(17557)));
        }
        let visible = routes.visible(pakistan);
        assert_eq!(visible.networks[&asn(17557)], Units { v4: 257, v6: 65_536 });
        assert_eq!(visible.countries.len(), 1);
    }

    #[test]
    fn a_prefix_is_visible_while_more_than_half_of_the_peers_see_it() {
        let mut routes = Routes::default();
        for peer in [0, 1, 70, 200] {
            routes.announce(PeerId(peer), prefix("39.32.0.0/16"), Some(asn(17557)));
            routes.announce(PeerId(peer), prefix("8.8.8.0/24"), Some(asn(15169)));
        }
        assert_eq!(v4(&routes), 257);
        routes.withdraw(PeerId(70), prefix("39.32.0.0/16"));
        assert_eq!(v4(&routes), 257);
        routes.withdraw(PeerId(200), prefix("39.32.0.0/16"));
        assert_eq!(v4(&routes), 1);
        routes.withdraw(PeerId(0), prefix("39.32.0.0/16"));
        routes.withdraw(PeerId(1), prefix("39.32.0.0/16"));
        routes.withdraw(PeerId(9), prefix("39.32.0.0/16"));
        assert_eq!(routes.len(), 1);
        // A place that became free is another prefix's, with nothing of the old one's.
        routes.announce(PeerId(1), prefix("9.9.9.0/24"), None);
        assert_eq!(v4(&routes), 1);
        routes.peer_down(PeerId(1));
        assert_eq!(routes.len(), 1);
    }

    #[test]
    fn another_origin_is_told() {
        let mut routes = Routes::default();
        assert_eq!(routes.announce(PeerId(0), prefix("208.65.153.0/24"), Some(asn(36561))), None);
        let told = routes.announce(PeerId(1), prefix("208.65.153.0/24"), Some(asn(17557))).expect("a change");
        assert_eq!((told.from, told.to), (asn(36561), asn(17557)));
    }
}
