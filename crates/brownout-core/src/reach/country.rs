//! Countries and their networks over all services: one that is cut off sends no measurements, or none that
//! reaches anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::service::Look;
use super::{Bracket, Reachability, Spot, Volume};
use crate::model::{Asn, CountryCode, Seq, ServiceId, UtcTime};

/// A country, or one of its networks, that is cut off by all appearances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disruption {
    /// The country or the network.
    pub place: Spot,
    /// What shows it.
    pub sign: Sign,
    /// When it began.
    pub began: Bracket,
    /// When that was told.
    pub told_at: UtcTime,
    /// When it ended; nothing while it goes on.
    pub ended: Option<Bracket>,
    /// The measurement that told it; nothing where it was the lack of any.
    pub witness: Option<Seq>,
}

/// What shows that a place is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// No measurement comes any more.
    Silence {
        /// How many looks were due when that was told.
        due: f64,
    },
    /// Most of what is measured there fails, whatever it is.
    AllTargets {
        /// How many services were measured, ...
        services: u32,
        /// ... of how many looks, ...
        looks: u32,
        /// ... and how many of these failed.
        hits: u32,
    },
}

/// All countries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Countries {
    countries: BTreeMap<CountryCode, Country>,
    /// Oldest first.
    disruptions: Vec<Disruption>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Country {
    volume: Volume,
    networks: BTreeMap<Asn, Volume>,
    /// All services in one; its vantage points are the services.
    all: Cell,
}

/// Services that must have been measured before their failing together says anything of the country.
const SERVICES_MIN: u32 = 4;
/// Most networks of one country that are watched for silence.
const NETWORKS_MAX: usize = 2_000;
/// Disruptions that are over and remembered.
const ENDED_MAX: usize = 256;

impl Countries {
    /// Takes a measurement of any service; they come in the order in which they were taken, but for little.
    pub fn look(&mut self, service: ServiceId, look: &Look, witness: Seq) {
        let country = self.countries.entry(look.country).or_default();
        let mut back = Vec::new();
        if country.volume.look(look.at) {
            back.push(Spot::Country(look.country));
        }
        if let Some(network) = look.network
            && (country.networks.len() < NETWORKS_MAX || country.networks.contains_key(&network))
            && country.networks.entry(network).or_default().look(look.at)
        {
            back.push(Spot::Network(look.country, network));
        }
        // Whatever the reason is: a country that is cut off from the world often still answers to itself.
        let state = match look.state.kind() {
            Reachability::Down | Reachability::Blocked => Reachability::Blocked,
            Reachability::Impaired => Reachability::Ok,
            state => state,
        };
        let is_changed = country.all.look(look.at, Some(u64::from(service.0)), state, None);
        let change = country.all.since().copied().filter(|_| is_changed);
        for place in back {
            let told = self.open(place, |sign| matches!(sign, Sign::Silence { .. }));
            if let Some(disruption) = told {
                let from = disruption.began.latest;
                disruption.ended = Some(Bracket { earliest: from, likeliest: look.at, latest: look.at });
            }
        }
        let Some(change) = change else { return };
        let place = Spot::Country(look.country);
        let open = self.open(place, |sign| matches!(sign, Sign::AllTargets { .. }));
        match open {
            Some(open) if !change.begins => open.ended = Some(change.bracket),
            None if change.begins && change.vantages >= SERVICES_MIN => {
                let (services, looks, hits) = (change.vantages, change.looks, change.hits);
                self.disruptions.push(Disruption {
                    place,
                    sign: Sign::AllTargets { services, looks, hits },
                    began: change.bracket,
                    told_at: look.at,
                    ended: None,
                    witness: Some(witness),
                });
            }
            _ => {}
        }
    }

    /// Comes to an instant: tells from where too little came by then.
    pub fn pass(&mut self, now: UtcTime) {
        for (code, country) in &mut self.countries {
            let whole = country.volume.pass(now).map(|gap| (Spot::Country(*code), gap));
            let networks = country
                .networks
                .iter_mut()
                .filter_map(|(network, volume)| Some((Spot::Network(*code, *network), volume.pass(now)?)));
            for (place, gap) in whole.into_iter().chain(networks) {
                self.disruptions.push(Disruption {
                    place,
                    sign: Sign::Silence { due: gap.due },
                    began: Bracket { earliest: gap.from, likeliest: gap.from, latest: gap.told_at },
                    told_at: gap.told_at,
                    ended: None,
                    witness: None,
                });
            }
        }
        let over = self.disruptions.iter().filter(|one| one.ended.is_some()).count();
        let mut surplus = over.saturating_sub(ENDED_MAX);
        self.disruptions.retain(|one| {
            let goes = surplus > 0 && one.ended.is_some();
            surplus -= usize::from(goes);
            !goes
        });
    }

    fn open(&mut self, place: Spot, is_sign: impl Fn(&Sign) -> bool) -> Option<&mut Disruption> {
        let mut open = self.disruptions.iter_mut().rev().filter(|one| one.ended.is_none());
        open.find(|one| one.place == place && is_sign(&one.sign))
    }

    /// What was told, oldest first: all that goes on, and the newest that are over.
    pub fn disruptions(&self) -> &[Disruption] {
        &self.disruptions
    }

    /// Whether most of what is measured in a country fails, so that a service that fails there says nothing of
    /// the service.
    pub fn is_cut_off(&self, country: CountryCode) -> bool {
        self.disruptions.iter().any(|one| {
            one.ended.is_none()
                && one.place == Spot::Country(country)
                && matches!(one.sign, Sign::AllTargets { .. })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> UtcTime {
        UtcTime::from_seconds(1_741_564_800 + 60 * minutes)
    }

    fn look(minutes: i64, network: u32, state: Reachability) -> Look {
        let country = "UG".parse().expect("a country");
        let network = Asn::new(network);
        Look {
            at: at(minutes),
            vantage: None,
            country,
            network,
            state,
            how: None,
            layer: None,
            address: None,
        }
    }

    /// Half-hourly rounds of six services in two networks.
    fn round(countries: &mut Countries, round: i64, failing: std::ops::Range<u32>) {
        for service in 0..6 {
            for network in 1..=2 {
                let state = if failing.contains(&service) { Reachability::Blocked } else { Reachability::Ok };
                let minutes = 30 * round + i64::from(service);
                countries.look(ServiceId(service), &look(minutes, network, state), Seq(1));
            }
        }
        countries.pass(at(30 * round + 20));
    }

    #[test]
    fn a_country_in_which_all_fails_is_cut_off_and_one_with_a_few_blocks_is_not() {
        let ug = "UG".parse().expect("a country");
        let mut countries = Countries::default();
        (0..40).for_each(|number| round(&mut countries, number, 0..0));
        (40..60).for_each(|number| round(&mut countries, number, 0..2));
        assert!(!countries.is_cut_off(ug) && countries.disruptions().is_empty());
        (60..70).for_each(|number| round(&mut countries, number, 0..6));
        assert!(countries.is_cut_off(ug));
        let [told] = countries.disruptions() else { panic!("{:?}", countries.disruptions()) };
        assert!(told.told_at <= at(30 * 61) && told.began.latest >= at(30 * 60), "{told:?}");
        (70..80).for_each(|number| round(&mut countries, number, 0..0));
        assert!(!countries.is_cut_off(ug));
    }

    #[test]
    fn silence_is_told_of_the_country_and_its_networks_and_ends_with_the_first_that_comes() {
        let mut countries = Countries::default();
        (0..96).for_each(|number| round(&mut countries, number, 0..0));
        (96 * 30..96 * 30 + 24 * 60).step_by(10).for_each(|minutes| countries.pass(at(minutes)));
        let places: Vec<Spot> = countries.disruptions().iter().map(|one| one.place).collect();
        assert_eq!(places.len(), 3, "{places:?}");
        assert!(countries.disruptions().iter().all(|one| one.ended.is_none()));
        round(&mut countries, 96 + 48, 0..0);
        assert!(countries.disruptions().iter().all(|one| one.ended.is_some()));
    }
}
