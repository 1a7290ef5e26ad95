//! Looking up the name.

use std::net::IpAddr;

use super::super::bogon::is_bogon;
use super::super::measurement::{Answer, Baseline, Lookup, Transport};
use super::super::rules::{
    DNS_BLOCK_PAGE, DNS_BOGON, DNS_BOGON_ALONE, DNS_BOGON_EVERYWHERE, DNS_FAILURE, DNS_FAILURE_ALONE,
    DNS_FAILURE_EVERYWHERE, DNS_GHOST, DNS_RESOLVER_BROKEN, DNS_SAME_ADDRESS, DNS_SAME_NETWORK,
    DNS_SECOND_ANSWER, DNS_UNMATCHED, DNS_USELESS, DNS_VALID_TLS, DNS_WRONG_CERTIFICATE, Rule,
};
use super::super::scene::{Hop, There};
use super::super::{Failure, Finding, Layer, Mechanism};

/// What the lookups of a hop say.
pub(in super::super) struct Name {
    pub(in super::super) finding: Finding,
    /// Whether what is found at the addresses says something of the site.
    pub(in super::super) is_trusted: bool,
}

/// From this chance of being right on, what is found at an address says something of the site.
const TRUSTED_MIN: f32 = 0.2;

/// Judges what a person's resolver said; `None` where no name was looked up.
pub(in super::super) fn judge(hop: &Hop<'_>) -> Option<Name> {
    if hop.usual.is_empty() || hop.is_address() {
        return None;
    }
    let answers: Vec<Answer> = hop.usual.iter().flat_map(|lookup| lookup.answers.iter().copied()).collect();
    let found = if answers.is_empty() { of_failure(hop)? } else { of_answers(hop, &answers) };
    let Found { rule, mechanism, failure } = found;
    let finding = Finding { hop: hop.number, layer: Layer::Dns, rule, mechanism, failure };
    Some(Name { finding, is_trusted: rule.odds.ok >= TRUSTED_MIN })
}

struct Found {
    rule: &'static Rule,
    mechanism: Option<Mechanism>,
    failure: Option<Failure>,
}

impl Found {
    fn new(rule: &'static Rule, mechanism: Option<Mechanism>) -> Self {
        Found { rule, mechanism, failure: None }
    }
}

/// No address came.
fn of_failure(hop: &Hop<'_>) -> Option<Found> {
    let told = hop.usual.iter().filter_map(|lookup| lookup.failure).filter(|failure| failure.tells());
    // Of several, the one that says most: a denial before a silence.
    let failure = told.min_by_key(|failure| match failure {
        Failure::NxDomain => 0,
        Failure::NoAnswer => 1,
        Failure::DnsBogon => 2,
        Failure::DnsRefused => 3,
        Failure::DnsServerFailure => 4,
        _ => 5,
    })?;
    if is_resolver_broken(hop) {
        return Some(Found { rule: &DNS_RESOLVER_BROKEN, mechanism: None, failure: Some(failure) });
    }
    let mechanism = match failure {
        Failure::NxDomain => Mechanism::DnsNxdomain,
        Failure::NoAnswer => Mechanism::DnsNoAnswer,
        Failure::DnsBogon => Mechanism::DnsBogon,
        Failure::DnsRefused => Mechanism::DnsRefused,
        Failure::Timeout => Mechanism::DnsTimeout,
        _ => Mechanism::DnsServerFailure,
    };
    let there = match hop.scene.control() {
        Some(control) if hop.number == 0 => hop.there(lookup_of(control)),
        _ => hop.there(None),
    };
    let (rule, mechanism) = match there {
        There::Ok => (&DNS_FAILURE, mechanism),
        There::Failed(_) => (&DNS_FAILURE_EVERYWHERE, Mechanism::SiteDns),
        There::Unknown => (&DNS_FAILURE_ALONE, mechanism),
    };
    Some(Found { rule, mechanism: Some(mechanism), failure: Some(failure) })
}

/// How the control's lookup went; a name without an address is no success.
fn lookup_of(control: &Baseline) -> Option<Option<Failure>> {
    match (control.addresses.is_empty(), control.lookup_failure) {
        (false, _) => Some(None),
        (true, Some(failure)) => Some(Some(failure)),
        (true, None) => Some(Some(Failure::NoAnswer)),
    }
}

/// Whether the person's resolver did not find an innocent name either.
fn is_resolver_broken(hop: &Hop<'_>) -> bool {
    let run = &hop.scene.measurement.run;
    let mut innocent = run
        .lookups
        .iter()
        .filter(|lookup| {
            lookup.is_control_name && hop.usual.iter().any(|usual| usual.resolver == lookup.resolver)
        })
        .peekable();
    innocent.peek().is_some() && innocent.all(|lookup| lookup.answers.is_empty())
}

/// Addresses came.
fn of_answers(hop: &Hop<'_>, answers: &[Answer]) -> Found {
    let scene = hop.scene;
    if answers.iter().any(|answer| scene.is_block_address(answer.address)) {
        return Found::new(&DNS_BLOCK_PAGE, Some(Mechanism::DnsBlockPage));
    }
    if answers.iter().any(|answer| has_site_certificate(hop, answer.address)) {
        return Found::new(&DNS_VALID_TLS, None);
    }
    let control = scene.control().filter(|_| hop.number == 0);
    let theirs = control.map_or(&[][..], |control| &control.addresses);
    if answers.iter().all(|answer| is_bogon(answer.address)) {
        return of_bogons(hop, control.is_some().then_some(theirs));
    }
    let is_theirs = |answer: &Answer| theirs.iter().any(|one| one.address == answer.address);
    if answers.iter().any(is_theirs) {
        return Found::new(&DNS_SAME_ADDRESS, None);
    }
    if hop.usual.iter().any(|lookup| lookup.second.iter().any(is_theirs)) {
        return Found::new(&DNS_SECOND_ANSWER, Some(Mechanism::DnsAddress));
    }
    let is_of_their_network =
        |answer: &Answer| answer.network.is_some() && theirs.iter().any(|one| one.network == answer.network);
    if answers.iter().any(is_of_their_network) {
        return Found::new(&DNS_SAME_NETWORK, None);
    }
    let is_gone = control.is_some_and(|control| control.lookup_failure == Some(Failure::NxDomain));
    let is_denied = |lookup: &&Lookup| lookup.failure == Some(Failure::NxDomain);
    if is_gone && (hop.others.is_empty() || hop.others.iter().any(is_denied)) {
        return Found::new(&DNS_GHOST, Some(Mechanism::DnsGhost));
    }
    if shows_wrong_certificate(hop) && !theirs.is_empty() {
        return Found::new(&DNS_WRONG_CERTIFICATE, Some(Mechanism::DnsAddress));
    }
    if is_useless(hop, theirs) {
        return Found::new(&DNS_USELESS, Some(Mechanism::DnsAddress));
    }
    if theirs.is_empty() {
        // Nothing to compare it with: what is found there must tell.
        return Found::new(&DNS_SAME_NETWORK, None);
    }
    Found::new(&DNS_UNMATCHED, Some(Mechanism::DnsAddress))
}

fn of_bogons(hop: &Hop<'_>, theirs: Option<&[Answer]>) -> Found {
    let is_public = |answer: &Answer| !is_bogon(answer.address);
    let elsewhere = hop.others.iter().any(|lookup| lookup.answers.iter().any(is_public));
    match theirs {
        Some(theirs) if !theirs.is_empty() && !theirs.iter().any(is_public) => {
            Found::new(&DNS_BOGON_EVERYWHERE, Some(Mechanism::SiteDns))
        }
        Some(theirs) if theirs.iter().any(is_public) => Found::new(&DNS_BOGON, Some(Mechanism::DnsBogon)),
        _ if elsewhere => Found::new(&DNS_BOGON, Some(Mechanism::DnsBogon)),
        _ => Found::new(&DNS_BOGON_ALONE, Some(Mechanism::DnsBogon)),
    }
}

/// Whether what answers at an address has the site's certificate, for the probe or for the control.
fn has_site_certificate(hop: &Hop<'_>, address: IpAddr) -> bool {
    let here = hop.handshakes(Transport::Tcp).any(|shake| {
        shake.endpoint.ip() == address
            && shake.is_verified
            && shake.failure.is_none()
            && shake.server_name.eq_ignore_ascii_case(hop.host)
    });
    let there = hop.number == 0
        && hop.scene.control().is_some_and(|control| {
            control.handshakes.iter().any(|(endpoint, failure)| endpoint.ip() == address && failure.is_none())
        });
    here || there
}

/// Whether another certificate than the site's is shown at the person's addresses.
fn shows_wrong_certificate(hop: &Hop<'_>) -> bool {
    let is_wrong = |failure: Failure| failure.is_of_certificate();
    hop.handshakes(Transport::Tcp)
        .any(|shake| hop.is_usual(shake.endpoint) && shake.failure.is_some_and(is_wrong))
}

/// Whether nothing answers at the person's addresses, while others of the site's answer from here.
fn is_useless(hop: &Hop<'_>, theirs: &[Answer]) -> bool {
    let is_other = |address: IpAddr| {
        theirs.iter().any(|one| one.address == address)
            || hop.others.iter().any(|lookup| lookup.answers.iter().any(|one| one.address == address))
    };
    let mut tried = hop.connects().filter(|one| hop.is_usual(one.endpoint)).peekable();
    let all_fail = tried.peek().is_some() && tried.all(|one| one.failure.is_some_and(Failure::tells));
    let works = |endpoint: std::net::SocketAddr| !hop.is_usual(endpoint) && is_other(endpoint.ip());
    all_fail && hop.connects().any(|one| one.failure.is_none() && works(one.endpoint))
}
