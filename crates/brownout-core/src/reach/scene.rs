//! A measurement laid out by redirects: what a person at this place would have used, and what else was tried.

use std::net::{IpAddr, SocketAddr};

use super::measurement::{
    Baseline, Connect, Fetch, Handshake, Lookup, Measurement, Resolver, Response, Transport,
};
use super::{Failure, Fingerprints};
use crate::model::{CountryCode, bare_host};

/// A measurement and what is known to judge it by.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) measurement: &'a Measurement,
    pub(super) known: &'a Fingerprints,
}

/// One hop of a measurement: the first, or what came after a redirect.
#[derive(Clone)]
pub(super) struct Hop<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) number: u8,
    /// The name or address that was to be reached there.
    pub(super) host: &'a str,
    /// Lookups that a person's program would have made.
    pub(super) usual: Vec<&'a Lookup>,
    /// Those of other resolvers.
    pub(super) others: Vec<&'a Lookup>,
    /// Whether it begins with TLS; `None` where that is not known.
    pub(super) is_tls: Option<bool>,
}

/// How the control fared at the same stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    /// It succeeded.
    Ok,
    /// It failed too.
    Failed(Failure),
    /// It is not known.
    Unknown,
}

impl<'a> Scene<'a> {
    pub(super) fn control(&self) -> Option<&'a Baseline> {
        self.measurement.control.found()
    }

    pub(super) fn country(&self) -> Option<CountryCode> {
        self.measurement.vantage.country
    }

    /// Whether an answer is a known block page, or was before it was let go.
    pub(super) fn is_block_page(self, hop: u8, response: &Response) -> bool {
        self.measurement.signs.block_pages.iter().any(|(known, _)| *known == hop)
            || self.known.of_page(response, self.country()).is_some()
    }

    /// Whether an address is a known one for what is blocked.
    pub(super) fn is_block_address(self, address: IpAddr) -> bool {
        self.measurement.signs.addresses.iter().any(|(known, _)| *known == address)
            || self.known.of_address(address, self.country()).is_some()
    }

    /// The hops that were reached, the last first.
    pub(super) fn hops(self) -> Vec<Hop<'a>> {
        let run = &self.measurement.run;
        let numbers = (run.lookups.iter().map(|one| one.hop))
            .chain(run.connects.iter().map(|one| one.hop))
            .chain(run.handshakes.iter().map(|one| one.hop))
            .chain(run.fetches.iter().map(|one| one.hop));
        let last = numbers.max().unwrap_or(0);
        (0..=last).rev().map(|number| self.hop(number)).collect()
    }

    fn hop(self, number: u8) -> Hop<'a> {
        let run = &self.measurement.run;
        let of_hop: Vec<&Lookup> =
            run.lookups.iter().filter(|lookup| lookup.hop == number && !lookup.is_control_name).collect();
        // A platform that cannot ask its system asks a resolver of the network.
        let has_system = of_hop.iter().any(|lookup| lookup.resolver == Resolver::System);
        let is_usual = |lookup: &&Lookup| match lookup.resolver {
            Resolver::System => true,
            Resolver::Plain(_) => !has_system,
            Resolver::Https(_) => false,
        };
        let (usual, others): (Vec<&Lookup>, Vec<&Lookup>) = of_hop.into_iter().partition(is_usual);
        let fetch = run.usual_fetches().find(|fetch| fetch.hop == number);
        let target = &self.measurement.target;
        let named = usual.first().map(|lookup| lookup.host.as_str());
        let shaken = run.handshakes.iter().find(|shake| shake.hop == number && !shake.is_control_name);
        let host = match number {
            0 => target.host.as_str(),
            _ => named.or(shaken.map(|shake| shake.server_name.as_str())).unwrap_or(""),
        };
        let is_tls = if number == 0 { Some(target.is_tls) } else { fetch.map(|fetch| fetch.is_tls) };
        let is_tls = is_tls.or_else(|| self.sent_to_tls(number));
        Hop { scene: self, number, host, usual, others, is_tls }
    }

    /// Whether nobody on the way can have sent a run to a hop: every redirect before it came under the site's
    /// certificate, or stayed with its host.
    fn is_own_way(self, number: u8) -> bool {
        let run = &self.measurement.run;
        (0..number).all(|before| {
            let Some(fetch) = run.usual_fetches().find(|fetch| fetch.hop == before) else { return false };
            fetch.is_tls || is_same_site(self.hop(before).host, self.hop(before + 1).host)
        })
    }

    /// Whether the redirect before a hop leads to TLS.
    fn sent_to_tls(self, number: u8) -> Option<bool> {
        let before = self.measurement.run.usual_fetches().find(|fetch| fetch.hop + 1 == number)?;
        let location = before.response.as_ref()?.header("location")?.to_ascii_lowercase();
        match () {
            () if location.starts_with("https:") => Some(true),
            () if location.starts_with("http:") => Some(false),
            () => Some(before.is_tls),
        }
    }
}

/// Whether a host is another's, or a part of it: with or without `www.`, or below it.
fn is_same_site(from: &str, to: &str) -> bool {
    let (from, to) = (bare_host(from), bare_host(to));
    !from.is_empty() && (to == from || to.ends_with(&format!(".{from}")))
}

impl<'a> Hop<'a> {
    /// Whether nobody on the way can have sent the run here.
    pub(super) fn is_own_way(&self) -> bool {
        self.scene.is_own_way(self.number)
    }

    /// Whether the host is an address, so that no name was looked up.
    pub(super) fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// Whether a person's program would have gone there. Where nothing was looked up all is taken as it is.
    pub(super) fn is_usual(&self, endpoint: SocketAddr) -> bool {
        let is_answer =
            |lookup: &&Lookup| lookup.answers.iter().any(|answer| answer.address == endpoint.ip());
        self.usual.is_empty() || self.usual.iter().any(is_answer)
    }

    /// Connections to the port that the hop needs; to any where that is not known.
    pub(super) fn connects(&self) -> impl Iterator<Item = &'a Connect> + '_ {
        let port = self.port();
        let run = &self.scene.measurement.run;
        run.connects
            .iter()
            .filter(move |one| one.hop == self.number && port.is_none_or(|port| one.endpoint.port() == port))
    }

    fn port(&self) -> Option<u16> {
        if self.number == 0 {
            return Some(self.scene.measurement.target.port);
        }
        let fetched = self.fetches().find_map(|fetch| fetch.endpoint).map(|endpoint| endpoint.port());
        fetched.or(self.is_tls.map(|is_tls| if is_tls { 443 } else { 80 }))
    }

    /// Handshakes of one transport for the hop's own name.
    pub(super) fn handshakes(&self, transport: Transport) -> impl Iterator<Item = &'a Handshake> + '_ {
        let run = &self.scene.measurement.run;
        run.handshakes
            .iter()
            .filter(move |one| one.hop == self.number && one.transport == transport && !one.is_control_name)
    }

    /// The fetches of the hop, over TCP.
    pub(super) fn fetches(&self) -> impl Iterator<Item = &'a Fetch> + '_ {
        self.scene.measurement.run.usual_fetches().filter(move |one| one.hop == self.number)
    }

    /// How the control fared at a stage of this hop, told by what it found at the same endpoint, `known`. It
    /// follows redirects without keeping their stages: a last answer means that all of them succeeded.
    pub(super) fn there(&self, known: Option<Option<Failure>>) -> There {
        let Some(control) = self.scene.control() else { return There::Unknown };
        match known {
            Some(None) => There::Ok,
            Some(Some(failure)) => There::Failed(failure),
            None if self.number > 0 => match &control.fetch {
                Some(fetch) if fetch.failure.is_none() && fetch.response.is_some() => There::Ok,
                _ => There::Unknown,
            },
            None => There::Unknown,
        }
    }
}
