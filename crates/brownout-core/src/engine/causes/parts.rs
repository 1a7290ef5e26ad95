//! Sources of some minutes by kind, country and network, beside what is usual.

use super::super::subject::Subject;
use super::super::usual::Means;
use crate::model::{Asn, CountryCode, Facet, ProblemKind, UtcTime};

/// Most countries or networks that are told apart; the largest.
const PARTS_MAX: usize = 40;
/// The least part of a rise, and of what is usual, that is taken to be of some network.
const KNOWN_OF_RISE: f64 = 0.5;
const KNOWN_OF_USUAL: f64 = 0.8;

/// Sources of a part, and how many are usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted<T> {
    pub(crate) what: T,
    pub(crate) observed: f64,
    pub(crate) usual: f64,
}

impl<T> Counted<T> {
    /// Sources above usual, never negative.
    pub(crate) fn excess(&self) -> f64 {
        (self.observed - self.usual).max(0.0)
    }
}

/// A network, and the country that its customers are known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Network {
    pub(crate) asn: Asn,
    pub(crate) home: Option<CountryCode>,
}

/// The usual share of some networks among all sources, and among those of the networks' own countries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct UsualShares {
    pub(crate) everywhere: f64,
    pub(crate) at_home: f64,
}

/// Sources of some minutes up to now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    /// How many minutes.
    pub(crate) minutes: u32,
    /// All of them.
    pub(crate) whole: Counted<()>,
    /// By kind of problem, in the order of the kinds.
    pub(crate) kinds: Vec<Counted<ProblemKind>>,
    /// By country, most sources first.
    pub(crate) countries: Vec<Counted<CountryCode>>,
    /// By network, most sources first.
    pub(crate) networks: Vec<Counted<Network>>,
}

impl Parts {
    pub(super) fn of(subject: &Subject, at: UtcTime, minutes: u32) -> Parts {
        let last = at.plus_millis(-1).minute();
        let mut means = Means::new(subject, at, f64::from(minutes));
        let mut parts = Parts {
            minutes,
            whole: Counted { what: (), observed: 0.0, usual: 0.0 },
            kinds: Vec::new(),
            countries: Vec::new(),
            networks: Vec::new(),
        };
        for (facet, series) in subject.active() {
            let Some(recent) = series.recent.as_deref() else { continue };
            if !matches!(facet, Facet::All | Facet::Kind(_) | Facet::Country(_) | Facet::Network(_)) {
                continue;
            }
            let observed = recent.ring.sum(last, minutes) as f64 / 100.0;
            let usual = means.mean(*facet, series);
            match facet {
                Facet::All => parts.whole = Counted { what: (), observed, usual },
                Facet::Kind(what) => parts.kinds.push(Counted { what: *what, observed, usual }),
                Facet::Country(what) => parts.countries.push(Counted { what: *what, observed, usual }),
                Facet::Network(asn) => {
                    let what = Network { asn: *asn, home: series.home };
                    parts.networks.push(Counted { what, observed, usual });
                }
                _ => {}
            }
        }
        parts.kinds.sort_by_key(|counted| counted.what);
        largest(&mut parts.countries);
        largest(&mut parts.networks);
        parts
    }

    /// Sources above usual on some networks, and on all.
    ///
    /// Networks with very few sources have no series, and some reports name none, so what the others show is
    /// a lower bound: half of the rise is always taken to have a network, and what rises in countries
    /// without customers of the wanted ones is not of them.
    pub(crate) fn on_networks(&self, wanted: impl Fn(Asn) -> bool) -> (f64, f64) {
        let on: f64 = self.of_networks(&wanted).map(Counted::excess).sum();
        // Some of the others are below their usual: only their sum says how much rises there.
        let others = self.networks.iter().filter(|counted| !wanted(counted.what.asn));
        let others: f64 = others.map(|counted| counted.observed - counted.usual).sum();
        let abroad = self.homes(&wanted).map_or(0.0, |homes| {
            let above = |is_home: bool| -> f64 {
                let countries = self.countries.iter().filter(|one| homes.contains(&one.what) == is_home);
                countries.map(|one| one.observed - one.usual).sum()
            };
            // Customers who are abroad are customers.
            above(false) - (on - above(true)).max(0.0)
        });
        (on, (on + others.max(abroad).max(0.0)).max(KNOWN_OF_RISE * self.whole.excess()))
    }

    /// The usual share of some networks, of which few may have a series.
    pub(crate) fn usual_shares(&self, wanted: impl Fn(Asn) -> bool) -> UsualShares {
        let on: f64 = self.of_networks(&wanted).map(|counted| counted.usual).sum();
        let all: f64 = self.networks.iter().map(|counted| counted.usual).sum();
        let all = all.max(KNOWN_OF_USUAL * self.whole.usual);
        let at_home = self.homes(&wanted).map_or(all, |homes| {
            let countries = self.countries.iter().filter(|one| homes.contains(&one.what));
            countries.map(|one| one.usual).sum::<f64>().clamp(on, all.max(on))
        });
        let of = |all: f64| if all > 0.0 { on / all } else { 0.0 };
        UsualShares { everywhere: of(all), at_home: of(at_home) }
    }

    fn of_networks<'a>(
        &'a self,
        wanted: &'a impl Fn(Asn) -> bool,
    ) -> impl Iterator<Item = &'a Counted<Network>> {
        self.networks.iter().filter(|counted| wanted(counted.what.asn))
    }

    /// The countries of some networks' customers, if they are known of all.
    fn homes(&self, wanted: &impl Fn(Asn) -> bool) -> Option<Vec<CountryCode>> {
        self.of_networks(wanted).map(|counted| counted.what.home).collect()
    }
}

/// Sorts by sources, then by name, and keeps the largest.
fn largest<T: Ord + Copy>(parts: &mut Vec<Counted<T>>) {
    parts.sort_by(|these, those| {
        those.observed.total_cmp(&these.observed).then_with(|| these.what.cmp(&those.what))
    });
    parts.truncate(PARTS_MAX);
}
