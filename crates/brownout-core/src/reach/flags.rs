//! The flags of OONI's web connectivity test, for reading and writing its data. They judge stage by stage and
//! without odds; [`super::analyse`] does not use them.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::bogon::is_bogon;
use super::compare::{Likeness, likeness};
use super::measurement::{Answer, Baseline, Fetch, Lookup, Measurement, Resolver, Transport};
use super::{Failure, Family};

/// What blocks, as bits: 1 name, 2 connection, 4 handshake, 8 no answer, 16 another page, 32 success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocking(pub u32);

/// Why nothing blocks although something fails, as bits: 1 name, 2 connection, 4 handshake (for the control as
/// well), 8 a page under TLS without a control, 16 a name that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NullNull(pub u32);

/// What is odd about names, as bits: 1 bogon, 2 failure, 4 other addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsOdd(pub u32);

/// What the test says of a measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// What blocks.
    pub blocking: Blocking,
    /// What fails for the control too.
    pub null_null: NullNull,
    /// What is odd about names.
    pub dns: DnsOdd,
    /// The test's verdict: `dns`, `tcp_ip`, `http-failure`, `http-diff`; nothing blocks where it is `None`.
    pub verdict: Option<&'static str>,
    /// Whether it was reached; `None` where that is not known, and the verdict with it.
    pub accessible: Option<bool>,
    /// How the page is like the control's, where there are two.
    pub likeness: Option<Likeness>,
}

const DNS: u32 = 1;
const TCP: u32 = 2;
const TLS: u32 = 4;
const HTTP: u32 = 8;
const DIFF: u32 = 16;
const SUCCESS: u32 = 32;
const GHOST: u32 = 16;
const NO_CONTROL: u32 = 8;
const BOGON: u32 = 1;

/// The flags of a measurement.
pub fn flags(measurement: &Measurement) -> Flags {
    let judge = Judge { measurement, control: measurement.control.found() };
    let dns = judge.dns();
    let (mut blocking, mut null_null) = (judge.names(dns), judge.null_names());
    judge.connections(&mut blocking, &mut null_null);
    judge.handshakes(&mut blocking, &mut null_null);
    let page = judge.pages(&mut blocking, &mut null_null);
    let (verdict, accessible) = judge.verdict(blocking, null_null, page.is_usual_success);
    Flags {
        blocking: Blocking(blocking),
        null_null: NullNull(null_null),
        dns: DnsOdd(dns),
        verdict,
        accessible,
        likeness: page.likeness,
    }
}

struct Judge<'a> {
    measurement: &'a Measurement,
    control: Option<&'a Baseline>,
}

#[derive(Default)]
struct Page {
    is_usual_success: bool,
    likeness: Option<Likeness>,
}

/// How the control fared: it succeeded, it failed, or it is not known.
fn control_of(found: &[(SocketAddr, Option<Failure>)], endpoint: SocketAddr) -> Option<Option<Failure>> {
    found.iter().find(|(known, _)| *known == endpoint).map(|(_, failure)| *failure)
}

impl<'a> Judge<'a> {
    /// Lookups for the first name at resolvers that are asked in the clear.
    fn classic(&self) -> impl Iterator<Item = &'a Lookup> {
        let lookups = &self.measurement.run.lookups;
        lookups
            .iter()
            .filter(|one| one.hop == 0 && !one.is_control_name && !matches!(one.resolver, Resolver::Https(_)))
    }

    /// What the control's last answer was: that redirects were followed to their end is known by it.
    fn ended_well(&self) -> Option<bool> {
        let fetch = self.control?.fetch.as_ref()?;
        Some(fetch.failure.is_none() && fetch.response.is_some())
    }

    fn dns(&self) -> u32 {
        let Some(control) = self.control else { return 0 };
        if control.addresses.is_empty() {
            return 0;
        }
        let mut odd = 0;
        for lookup in self.classic() {
            let is_there = control.addresses.iter().any(|answer| match lookup.family {
                Family::V4 => answer.address.is_ipv4(),
                Family::V6 => answer.address.is_ipv6(),
                Family::Any => true,
            });
            if lookup.failure.is_some_and(Failure::tells) && lookup.answers.is_empty() && is_there {
                odd |= 2;
            }
            if lookup.answers.is_empty() {
                continue;
            }
            if lookup.answers.iter().any(|answer| is_bogon(answer.address)) {
                odd |= BOGON;
            }
            if !is_alike(&lookup.answers, &control.addresses) {
                odd |= 4;
            }
        }
        odd
    }

    fn names(&self, dns: u32) -> u32 {
        // A name behind a redirect that is not found, where the control got to the end.
        let is_lost = |lookup: &Lookup| {
            lookup.hop > 0
                && lookup.resolver == Resolver::System
                && lookup.answers.is_empty()
                && lookup.failure.is_some_and(Failure::tells)
        };
        let lost = self.ended_well() == Some(true) && self.measurement.run.lookups.iter().any(is_lost);
        // What stands for an address of no public network everywhere is the site's.
        let is_theirs = self
            .control
            .is_some_and(|control| control.addresses.iter().any(|answer| is_bogon(answer.address)));
        let odd = if is_theirs { dns & !BOGON } else { dns };
        if odd != 0 || lost { DNS } else { 0 }
    }

    fn null_names(&self) -> u32 {
        let Some(control) = self.control else { return 0 };
        let mut lookups = self.classic().peekable();
        if !control.addresses.is_empty() || lookups.peek().is_none() {
            return 0;
        }
        let found = self.classic().any(|lookup| !lookup.answers.is_empty());
        match (found, control.lookup_failure) {
            (true, Some(_)) => GHOST,
            (true, None) => 0,
            (false, _) => DNS,
        }
    }

    fn connections(&self, blocking: &mut u32, null_null: &mut u32) {
        for connect in &self.measurement.run.connects {
            let Some(failure) = connect.failure.filter(|failure| failure.tells()) else { continue };
            // Where IPv6 does not work, that is the network's.
            if connect.endpoint.is_ipv6() && matches!(failure, Failure::HostUnreachable) {
                continue;
            }
            let control = self.control.and_then(|control| control_of(&control.connects, connect.endpoint));
            self.note(connect.hop, control, TCP, (blocking, null_null));
        }
    }

    fn handshakes(&self, blocking: &mut u32, null_null: &mut u32) {
        for shake in &self.measurement.run.handshakes {
            let is_told = shake.failure.is_some_and(Failure::tells) && !shake.is_control_name;
            if !is_told || shake.transport != Transport::Tcp {
                continue;
            }
            let control = self.control.and_then(|control| control_of(&control.handshakes, shake.endpoint));
            self.note(shake.hop, control, TLS, (blocking, null_null));
        }
    }

    /// Takes note of a stage that failed.
    fn note(&self, hop: u8, control: Option<Option<Failure>>, bit: u32, into: (&mut u32, &mut u32)) {
        match control {
            Some(None) if hop == 0 => *into.0 |= bit,
            Some(Some(_)) if hop == 0 => *into.1 |= bit,
            _ if hop > 0 && self.ended_well() == Some(true) => *into.0 |= bit,
            _ => {}
        }
    }

    fn pages(&self, blocking: &mut u32, null_null: &mut u32) -> Page {
        let mut page = Page::default();
        for fetch in self.measurement.run.usual_fetches() {
            match (fetch.failure, &fetch.response) {
                (Some(failure), _) if failure.tells() && self.ended_well() == Some(true) => *blocking |= HTTP,
                (None, Some(response)) if !response.is_redirect() => {
                    let theirs = self.control.and_then(|control| control.fetch.as_ref()?.response.as_ref());
                    let likeness = theirs.map(|theirs| likeness(response, theirs));
                    page.likeness = likeness.or(page.likeness);
                    let is_same = likeness.is_some_and(Likeness::is_same);
                    if fetch.is_tls || is_same {
                        *blocking |= SUCCESS;
                        page.is_usual_success |= self.is_usual(fetch);
                    } else if self.control.is_some() {
                        *blocking |= DIFF;
                    }
                    if fetch.is_tls && self.control.is_none() {
                        *null_null |= NO_CONTROL;
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// Whether a person's program would have fetched it there.
    fn is_usual(&self, fetch: &Fetch) -> bool {
        let Some(endpoint) = fetch.endpoint else { return true };
        let mut system = self
            .measurement
            .run
            .lookups
            .iter()
            .filter(|lookup| lookup.hop == fetch.hop && lookup.resolver == Resolver::System);
        let has = |address: IpAddr| {
            move |lookup: &Lookup| lookup.answers.iter().any(|answer| answer.address == address)
        };
        let mut any = system.clone().peekable();
        any.peek().is_none() || system.any(has(endpoint.ip()))
    }

    fn verdict(
        &self,
        blocking: u32,
        null_null: u32,
        is_usual_success: bool,
    ) -> (Option<&'static str>, Option<bool>) {
        if is_usual_success {
            return (None, Some(true));
        }
        let fails_at_first = self.measurement.run.connects.iter().any(|connect| {
            let control = self.control.and_then(|control| control_of(&control.connects, connect.endpoint));
            connect.hop == 0 && connect.failure.is_some() && control == Some(None)
        });
        match () {
            () if blocking & DNS != 0 || null_null & GHOST != 0 => (Some("dns"), Some(false)),
            () if blocking & TCP != 0 && fails_at_first => (Some("tcp_ip"), Some(false)),
            () if blocking & (TCP | TLS | HTTP) != 0 => (Some("http-failure"), Some(false)),
            () if blocking & DIFF != 0 => (Some("http-diff"), Some(false)),
            () if blocking & SUCCESS != 0 => (None, Some(true)),
            () if self.control.is_some() => (None, Some(false)),
            () => (None, None),
        }
    }
}

/// Whether two lists of addresses have one in common, or a network.
fn is_alike(ours: &[Answer], theirs: &[Answer]) -> bool {
    ours.iter().any(|answer| {
        theirs.iter().any(|one| {
            one.address == answer.address || (one.network.is_some() && one.network == answer.network)
        })
    })
}
