//! The service that is attacked, and the people who report it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use brownout_core::model::{Asn, City, CountryCode, Geography, Place, ProblemKind, UtcTime};

use crate::rng::Rng;
use crate::scoreboard::{NOISE_SIZE, shape_of_week};

/// Monday, 6 January 2020.
pub(super) const BEGIN: UtcTime = UtcTime::from_millis(1_578_268_800_000);
pub(super) const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// Countries in which the service is used, by their shares.
const COUNTRY_SHARES: [f64; 3] = [0.6, 0.3, 0.1];
pub(super) const CITIES: u32 = 6;
pub(super) const NETWORKS: u32 = 5;
/// Subnets of a network that people report from.
const SUBNETS: u32 = 1 << 16;
/// What people usually name, and how often.
pub(super) const KINDS: [(ProblemKind, f64); 5] = [
    (ProblemKind::Unreachable, 0.4),
    (ProblemKind::Login, 0.25),
    (ProblemKind::Slow, 0.2),
    (ProblemKind::App, 0.1),
    (ProblemKind::Other, 0.05),
];
/// Views of the service's page for each report, on average.
pub(super) const VIEWS_PER_REPORT: f64 = 10.0;
/// Share of the reports that come by the partner's channel.
pub(super) const PARTNER_SHARE: f64 = 0.2;

/// How busy the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One report an hour.
    Small,
    /// Ten.
    Middle,
    /// A hundred.
    Large,
}

impl Size {
    /// All of them.
    pub const ALL: [Size; 3] = [Size::Small, Size::Middle, Size::Large];

    /// Reports an hour on average.
    pub const fn per_hour(self) -> f64 {
        match self {
            Size::Small => 1.0,
            Size::Middle => 10.0,
            Size::Large => 100.0,
        }
    }
}

/// Who sends a report, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    pub(super) address: IpAddr,
    pub(super) place: Place,
    pub(super) network: Option<Asn>,
}

/// One report as it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: UtcTime,
    pub(super) from: Sender,
    pub(super) kind: ProblemKind,
    /// By the partner's channel, and so without an address or a limit.
    pub(super) by_partner: bool,
    /// With a proof of work, should one be asked for.
    pub(super) proof: bool,
    /// The service's page was opened before.
    pub(super) views: u32,
}

/// Countries, their cities, and where people are.
#[derive(Debug)]
pub(super) struct World {
    countries: Vec<(CountryCode, Vec<City>)>,
}

impl World {
    /// Countries with enough cities that lie in regions; the service is used in the first three.
    pub(super) fn new() -> Self {
        let mut countries = std::collections::BTreeMap::<CountryCode, Vec<City>>::new();
        for city in Geography::embedded().cities().filter(|city| city.region.is_some()) {
            let cities = countries.entry(city.country).or_default();
            if cities.len() < CITIES as usize {
                cities.push(city.clone());
            }
        }
        countries.retain(|_, cities| cities.len() == CITIES as usize);
        World { countries: countries.into_iter().collect() }
    }

    /// How many countries there are in which the service is not used.
    pub(super) fn elsewhere(&self) -> u32 {
        (self.countries.len() - COUNTRY_SHARES.len()) as u32
    }

    /// Somebody who uses the service.
    pub(super) fn user(&self, rng: &mut Rng) -> Sender {
        let country = pick(rng, COUNTRY_SHARES.into_iter());
        let network = uneven(rng, NETWORKS);
        self.sender(rng, country, network)
    }

    /// Somebody at home in a network of a country, which is counted from those where the service is used.
    pub(super) fn sender(&self, rng: &mut Rng, country: usize, network: u32) -> Sender {
        let number = country as u32 * NETWORKS + network;
        let subnet = (number % 200) * SUBNETS + rng.below(SUBNETS);
        let address = IpAddr::V4(Ipv4Addr::from((subnet << 8) | (rng.below(254) + 1)));
        self.at(rng, country, address, 1000 + number)
    }

    /// A machine of a hosting network in the service's first country.
    pub(super) fn hosted(&self, rng: &mut Rng, address: IpAddr) -> Sender {
        self.at(rng, 0, address, 64_496)
    }

    pub(super) fn at(&self, rng: &mut Rng, country: usize, address: IpAddr, asn: u32) -> Sender {
        let (code, cities) = &self.countries[country % self.countries.len()];
        let city = &cities[uneven(rng, CITIES) as usize];
        let place = Place { country: Some(*code), region: city.region, city: Some(city.id) };
        Sender { address, place, network: Asn::new(asn) }
    }

    /// One of a country's cities.
    pub(super) fn city(&self, country: usize, city: u32) -> Option<brownout_core::model::CityId> {
        self.countries.get(country).and_then(|(_, cities)| cities.get(city as usize)).map(|city| city.id)
    }

    /// A neighbour in the same subnet.
    pub(super) fn neighbour(rng: &mut Rng, of: Sender) -> Sender {
        let address = match of.address {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, rng.below(254) as u8 + 1))
            }
            other => other,
        };
        Sender { address, ..of }
    }
}

/// A host of a /24 of the hosting network: 198.18.0.0/15 and on (RFC 2544), which nobody else has here.
pub(super) fn hosted_v4(subnet: u32, host: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from((0xC612_0000 + (subnet << 8)) | (host % 254 + 1)))
}

/// A /64 of a /48 of the documentation prefix (RFC 3849).
pub(super) fn hosted_v6(subnet: u16, host: u32) -> IpAddr {
    let [high, low] = [(host >> 16) as u16, host as u16];
    // There are 65,536 /64s in a /48; beyond, they are the same again.
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, subnet, low, high, 0, 0, 1))
}

pub(super) fn kind(rng: &mut Rng) -> ProblemKind {
    KINDS[pick(rng, KINDS.iter().map(|(_, share)| *share))].0
}

/// Number of one of several things by their shares, which add up to 1.
pub(super) fn pick(rng: &mut Rng, shares: impl ExactSizeIterator<Item = f64>) -> usize {
    let (mut left, last) = (rng.unit(), shares.len() - 1);
    for (index, share) in shares.enumerate() {
        left -= share;
        if left < 0.0 {
            return index;
        }
    }
    last
}

/// A number below `count`, of which one comes half of the time, another a quarter, and so on.
pub(super) fn uneven(rng: &mut Rng, count: u32) -> u32 {
    (rng.below(1 << count) | 1).leading_zeros() % count
}

/// What is usual in one hour from `begin` on, by time: a shape of day and week, noise of its own, and two
/// in five people in the subnet of somebody who reported before.
pub(super) fn usual_hour(world: &World, rng: &mut Rng, size: Size, begin: i64) -> Vec<Sent> {
    let of_day = begin.rem_euclid(DAY_MILLIS) as f64 / DAY_MILLIS as f64;
    let is_weekend = (begin - BEGIN.millis()).div_euclid(DAY_MILLIS) % 7 >= 5;
    let mean = size.per_hour() * shape_of_week(of_day - 0.8, is_weekend) * rng.gamma_factor(NOISE_SIZE);
    let mut sent: Vec<Sent> = (0..rng.poisson(mean))
        .map(|_| {
            let at = UtcTime::from_millis(begin + (rng.unit() * HOUR_MILLIS as f64) as i64);
            honest(world, rng, at)
        })
        .collect();
    sent.sort_by_key(|one| one.at);
    sent
}

/// A person's report.
pub(super) fn honest(world: &World, rng: &mut Rng, at: UtcTime) -> Sent {
    let from = world.user(rng);
    Sent {
        at,
        from,
        kind: kind(rng),
        by_partner: rng.unit() < PARTNER_SHARE,
        proof: true,
        views: rng.poisson(VIEWS_PER_REPORT),
    }
}
