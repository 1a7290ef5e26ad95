//! Sites, probes and interference; what a probe finds among them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use brownout_core::model::{Asn, CountryCode, UtcTime};
use brownout_core::reach::{
    Answer, Baseline, BaselineFetch, Connect, Control, Failure, Family, Fetch, Handshake, Lookup,
    Measurement, Resolver, Response, Run, Signs, Target, Transport, Vantage,
};

use crate::rng::Rng;

/// A site that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Its host.
    pub host: &'static str,
    /// Its address; sites behind one content network share it.
    pub address: Ipv4Addr,
}

/// A probe.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Tells it from others.
    pub id: u64,
    /// Its country.
    pub country: CountryCode,
    /// Its network.
    pub network: Asn,
    /// Whether it says that everything is blocked, whatever it finds.
    pub lies: bool,
    /// Whether its resolver finds nothing, not even an innocent name.
    pub is_resolver_broken: bool,
}

/// What interferes with what is measured.
#[derive(Clone, Copy, Debug)]
pub struct Interference {
    /// In which country; everywhere without.
    pub country: Option<CountryCode>,
    /// In which of its networks; in all without.
    pub network: Option<Asn>,
    /// With which site; with all without.
    pub host: Option<&'static str>,
    /// How.
    pub how: How,
}

/// How something interferes, or fails by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// An address of no public network is given for the name.
    DnsBogon,
    /// The name is denied.
    DnsNxdomain,
    /// Connections to the address are dropped.
    TcpDrop,
    /// Connections to the address are reset.
    TcpReset,
    /// The handshake is reset because of the name in it.
    TlsResetSni,
    /// A certificate of an unknown authority is shown.
    TlsMitm,
    /// Another page is shown, by a resolver that sends there.
    BlockPage,
    /// The page comes so slowly that it does not come in time.
    Throttle,
    /// Nothing gets through, measurements neither.
    CutOff,
    /// The site refuses.
    Refusal,
    /// The site does not answer, the control neither.
    Down,
    /// Nothing gets through over IPv6.
    V6Broken,
}

impl Site {
    /// Its other address.
    pub fn address_v6(&self) -> Ipv6Addr {
        let [a, b, c, d] = self.address.octets().map(u16::from);
        Ipv6Addr::new(0x2606, 0x4700, 0, 0, a, b, c, d)
    }
}

impl Interference {
    /// Whether a probe is met by it, with some site at least.
    pub fn meets(&self, probe: &Probe) -> bool {
        self.country.is_none_or(|country| country == probe.country)
            && self.network.is_none_or(|network| network == probe.network)
    }
}

/// What probes find of sites while something interferes.
pub trait Field {
    /// What a probe finds of a site; nothing where it is cut off.
    fn measure(
        &mut self,
        probe: &Probe,
        site: &Site,
        at: UtcTime,
        interferences: &[Interference],
    ) -> Option<Measurement>;
}

/// A simulated network: each stage of a run is drawn, not sent.
#[derive(Debug)]
pub struct World {
    rng: Rng,
}

/// Of so many runs one fails by luck, at its first connection.
const LUCK: f64 = 0.01;
const NAME_OF_PROBE: &str = "brownout-lab/1";

impl World {
    /// A world with a seed for its luck.
    pub fn new(seed: u64) -> Self {
        World { rng: Rng::new(seed, 1) }
    }
}

impl Field for World {
    fn measure(
        &mut self,
        probe: &Probe,
        site: &Site,
        at: UtcTime,
        interferences: &[Interference],
    ) -> Option<Measurement> {
        let met = |one: &&Interference| one.meets(probe) && one.host.is_none_or(|host| host == site.host);
        let mut met: Vec<How> = interferences.iter().filter(met).map(|one| one.how).collect();
        if met.contains(&How::CutOff) {
            return None;
        }
        if probe.lies {
            met = vec![How::TlsResetSni];
        }
        let by_luck = self.rng.unit() < LUCK;
        let stage = Stage { site: *site, probe: *probe, met, by_luck };
        Some(Measurement {
            target: Target {
                url: format!("https://{}/", site.host),
                is_tls: true,
                host: site.host.to_owned(),
                port: 443,
            },
            started_at: at,
            vantage: Vantage {
                country: Some(probe.country),
                network: Some(probe.network),
                resolver_network: Some(probe.network),
                id: Some(probe.id),
                software: NAME_OF_PROBE.to_owned(),
            },
            run: stage.run(),
            control: Control::Found(Box::new(stage.control())),
            signs: Signs::default(),
        })
    }
}

struct Stage {
    site: Site,
    probe: Probe,
    met: Vec<How>,
    by_luck: bool,
}

impl Stage {
    fn is(&self, how: How) -> bool {
        self.met.contains(&how)
    }

    fn v4(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.site.address), 443)
    }

    fn v6(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V6(self.site.address_v6()), 443)
    }

    fn lookup(&self, host: &str, answers: &[IpAddr], failure: Option<Failure>) -> Lookup {
        Lookup {
            hop: 0,
            resolver: Resolver::System,
            host: host.to_owned(),
            family: Family::Any,
            answers: answers.iter().map(|address| Answer { address: *address, network: None }).collect(),
            failure,
            is_control_name: host != self.site.host,
            second: Vec::new(),
            millis: Some(20),
        }
    }

    fn run(&self) -> Run {
        let mut run = Run::default();
        let innocent = [IpAddr::V4(Ipv4Addr::new(23, 215, 0, 136))];
        if self.probe.is_resolver_broken {
            run.lookups.push(self.lookup(self.site.host, &[], Some(Failure::Timeout)));
            run.lookups.push(self.lookup("example.org", &[], Some(Failure::Timeout)));
            return run;
        }
        run.lookups.push(self.lookup("example.org", &innocent, None));
        let (v4, v6) = (self.v4(), self.v6());
        let (answers, failure) = match () {
            () if self.is(How::DnsNxdomain) => (Vec::new(), Some(Failure::NxDomain)),
            () if self.is(How::DnsBogon) => (vec![IpAddr::V4(Ipv4Addr::new(10, 10, 34, 35))], None),
            () if self.is(How::BlockPage) => (vec![IpAddr::V4(Ipv4Addr::new(23, 49, 1, 7))], None),
            () => (vec![v4.ip(), v6.ip()], None),
        };
        run.lookups.push(self.lookup(self.site.host, &answers, failure));
        for address in answers {
            self.reach(SocketAddr::new(address, 443), &mut run);
        }
        run
    }

    /// Connection, handshake and page at one address.
    fn reach(&self, endpoint: SocketAddr, run: &mut Run) {
        let connect = match () {
            () if endpoint.is_ipv6() && self.is(How::V6Broken) => Some(Failure::Timeout),
            () if self.is(How::DnsBogon) || self.is(How::TcpDrop) => Some(Failure::Timeout),
            () if self.is(How::Down) || self.by_luck => Some(Failure::Timeout),
            () if self.is(How::TcpReset) => Some(Failure::ConnectionRefused),
            () => None,
        };
        run.connects.push(Connect { hop: 0, endpoint, failure: connect, millis: Some(40) });
        if connect.is_some() {
            return;
        }
        let shake = match () {
            () if self.is(How::TlsResetSni) => Some(Failure::ConnectionReset),
            () if self.is(How::TlsMitm) => Some(Failure::CertificateUnknownAuthority),
            () if self.is(How::BlockPage) => Some(Failure::CertificateWrongName),
            () => None,
        };
        run.handshakes.push(self.handshake(endpoint, self.site.host, shake));
        run.handshakes.push(self.handshake(endpoint, "example.org", Some(Failure::CertificateWrongName)));
        if shake.is_some() || run.fetches.iter().any(|fetch| fetch.failure.is_none()) {
            return;
        }
        let (status, length) = if self.is(How::Refusal) { (403, 900) } else { (200, 48_000) };
        let is_slow = self.is(How::Throttle);
        run.fetches.push(Fetch {
            hop: 0,
            url: format!("https://{}/", self.site.host),
            is_tls: true,
            transport: Transport::Tcp,
            curve: Vec::new(),
            endpoint: Some(endpoint),
            failure: is_slow.then_some(Failure::Timeout),
            response: Some(self.response(status, if is_slow { 4_000 } else { length })),
            millis: Some(if is_slow { 10_000 } else { 120 }),
        });
    }

    fn handshake(&self, endpoint: SocketAddr, name: &str, failure: Option<Failure>) -> Handshake {
        Handshake {
            hop: 0,
            endpoint,
            transport: Transport::Tcp,
            server_name: name.to_owned(),
            is_control_name: name != self.site.host,
            is_verified: true,
            failure,
            certificates: Vec::new(),
            millis: Some(45),
        }
    }

    fn response(&self, status: u16, length: u64) -> Response {
        Response {
            status,
            headers: vec![("x-site".to_owned(), String::new()), ("content-type".to_owned(), String::new())],
            title: Some(format!("Welcome to {}", self.site.host)),
            body_length: Some(length),
            is_truncated: false,
            body: Vec::new(),
        }
    }

    fn control(&self) -> Baseline {
        let failure = self.is(How::Down).then_some(Failure::Timeout);
        let endpoints = [self.v4(), self.v6()];
        let addresses = endpoints.iter().map(|endpoint| Answer { address: endpoint.ip(), network: None });
        let response = failure.is_none().then(|| self.response(200, 48_000));
        Baseline {
            addresses: addresses.collect(),
            lookup_failure: None,
            connects: endpoints.iter().map(|endpoint| (*endpoint, failure)).collect(),
            handshakes: match failure {
                Some(_) => Vec::new(),
                None => endpoints.iter().map(|endpoint| (*endpoint, None)).collect(),
            },
            quic: Vec::new(),
            fetch: Some(BaselineFetch { failure, response }),
        }
    }
}
