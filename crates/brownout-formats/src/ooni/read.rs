//! One measurement.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use brownout_core::model::{Asn, CountryCode, UtcTime};
use brownout_core::reach::{
    Answer, Connect, Failure, Family, Fetch, Handshake, Lookup, Measurement, REDIRECTS_MAX, Resolver, Run,
    Signs, Target, Transport, Vantage,
};
use serde_json::Value;
use siphasher::sip::SipHasher13;
use url::Url;

use super::body::response_in;
use super::control::{control_in, endpoint_of};
use super::failure::failure_in;
use super::fields::{CONTROL_NAME, field, list, number, text};

/// Why a document is no measurement that can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is larger than any that a program writes.
    TooLarge,
    /// It is no JSON.
    NotJson,
    /// It is JSON, and no object.
    NotAnObject,
    /// It names no test.
    NoTest,
    /// It is of a test that says nothing of one target.
    OtherTest,
    /// It holds no results.
    NoResults,
    /// It does not say when it was taken.
    NoTime,
    /// What was to be reached is no URL of HTTP with a host.
    NoTarget,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 8] = [
        Refusal::TooLarge,
        Refusal::NotJson,
        Refusal::NotAnObject,
        Refusal::NoTest,
        Refusal::OtherTest,
        Refusal::NoResults,
        Refusal::NoTime,
        Refusal::NoTarget,
    ];

    /// The reason, as a sentence's end.
    pub const fn reason(self) -> &'static str {
        match self {
            Refusal::TooLarge => "it is larger than any that a program writes",
            Refusal::NotJson => "it is no JSON",
            Refusal::NotAnObject => "it is no object",
            Refusal::NoTest => "it names no test",
            Refusal::OtherTest => "its test says nothing of one target",
            Refusal::NoResults => "it holds no results",
            Refusal::NoTime => "it does not say when it was taken",
            Refusal::NoTarget => "what was to be reached is no URL with a host",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Refusal {}

/// Most entries of each stage that are read; a run has some dozens.
const ENTRIES_MAX: usize = 2000;

/// Reads one measurement of web connectivity.
pub fn read(document: &[u8]) -> Result<Measurement, Refusal> {
    let document: Value = serde_json::from_slice(document).map_err(|_| Refusal::NotJson)?;
    if !document.is_object() {
        return Err(Refusal::NotAnObject);
    }
    match text(&document, "test_name").ok_or(Refusal::NoTest)? {
        "web_connectivity" => {}
        _ => return Err(Refusal::OtherTest),
    }
    let keys = field(&document, "test_keys");
    if keys.as_object().is_none_or(serde_json::Map::is_empty) {
        return Err(Refusal::NoResults);
    }
    let started_at = time_in(&document).ok_or(Refusal::NoTime)?;
    let target = text(&document, "input").and_then(target_of).ok_or(Refusal::NoTarget)?;
    let hosts = hosts_by_hop(keys, &target);
    let run = Run {
        lookups: entries(keys, "queries").filter_map(|query| lookup_in(query, &hosts)).collect(),
        connects: entries(keys, "tcp_connect").filter_map(connect_in).collect(),
        handshakes: (entries(keys, "tls_handshakes")
            .filter_map(|one| handshake_in(one, Transport::Tcp, &hosts)))
        .chain(entries(keys, "quic_handshakes").filter_map(|one| handshake_in(one, Transport::Quic, &hosts)))
        .collect(),
        fetches: fetches_in(keys),
        pings: Vec::new(),
    };
    let (vantage, control) = (vantage_in(&document), control_in(keys));
    Ok(Measurement { target, started_at, vantage, run, control, signs: Signs::default() })
}

fn entries<'a>(keys: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    list(keys, name).iter().take(ENTRIES_MAX)
}

/// When it was taken: `2024-02-12 20:33:47`, UTC.
fn time_in(document: &Value) -> Option<UtcTime> {
    let text = text(document, "measurement_start_time").or_else(|| text(document, "test_start_time"))?;
    let (date, time) = text.trim_end_matches('Z').split_once([' ', 'T'])?;
    format!("{date}T{time}Z").parse().ok()
}

/// The target that a URL names, its host in ASCII.
pub(super) fn target_of(input: &str) -> Option<Target> {
    let url = Url::parse(input).ok()?;
    let is_tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Target { url: input.to_owned(), is_tls, host, port: url.port_or_known_default()? })
}

fn vantage_in(document: &Value) -> Vantage {
    let network = |name: &str| {
        let asn = text(document, name)?.trim_start_matches("AS");
        Asn::new(asn.parse().ok()?)
    };
    // ZZ is an unknown country.
    let country = text(document, "probe_cc").and_then(|code| code.parse::<CountryCode>().ok());
    let software = [text(document, "software_name"), text(document, "software_version")];
    // A report is one run of a program: of many pages, at one place.
    let id = text(document, "report_id").map(|report| SipHasher13::new().hash(report.as_bytes()));
    Vantage {
        id,
        country: country.filter(|country| country.as_str() != "ZZ"),
        network: network("probe_asn"),
        resolver_network: network("resolver_asn"),
        software: software.into_iter().flatten().collect::<Vec<_>>().join(" "),
    }
}

/// The hop that an entry is of, by its tags.
fn hop_in(entry: &Value) -> Option<u8> {
    let tags = list(entry, "tags").iter().filter_map(Value::as_str);
    let depth = tags.filter_map(|tag| tag.strip_prefix("depth=")?.parse::<u8>().ok()).next()?;
    Some(depth.min(REDIRECTS_MAX))
}

/// Whether an entry is of an innocent name that was tried for comparison, as this program writes it.
fn is_control_name(entry: &Value) -> bool {
    list(entry, "tags").iter().any(|tag| tag.as_str() == Some(CONTROL_NAME))
}

/// Hosts by their hop, for programs that tag nothing: the target's, and those of its redirects.
fn hosts_by_hop(keys: &Value, target: &Target) -> Vec<(String, u8)> {
    let mut hosts = vec![(target.host.clone(), 0)];
    for fetch in fetches_in(keys) {
        if let Some(target) = target_of(&fetch.url) {
            hosts.push((target.host, fetch.hop));
        }
    }
    hosts
}

fn hop_of(entry: &Value, host: &str, hosts: &[(String, u8)]) -> u8 {
    let by_host = || hosts.iter().find(|(known, _)| known.eq_ignore_ascii_case(host)).map(|(_, hop)| *hop);
    hop_in(entry).or_else(by_host).unwrap_or(0)
}

fn millis_in(entry: &Value) -> Option<u32> {
    let (from, to) = (field(entry, "t0").as_f64()?, field(entry, "t").as_f64()?);
    Some(((to - from) * 1000.0).clamp(0.0, f64::from(u32::MAX)) as u32)
}

fn lookup_in(query: &Value, hosts: &[(String, u8)]) -> Option<Lookup> {
    let host = text(query, "hostname")?;
    let address = text(query, "resolver_address");
    let resolver = match (text(query, "engine"), address) {
        (Some("doh" | "https"), Some(url)) => Resolver::Https(url.to_owned()),
        (Some("udp" | "tcp" | "dot"), Some(address)) => Resolver::Plain(address.to_owned()),
        _ => Resolver::System,
    };
    let family = match text(query, "query_type") {
        _ if resolver == Resolver::System => Family::Any,
        Some("AAAA") => Family::V6,
        Some("A") => Family::V4,
        Some("ANY") | None => Family::Any,
        // Questions for other records are no lookups of addresses.
        Some(_) => return None,
    };
    Some(Lookup {
        hop: hop_of(query, host, hosts),
        resolver,
        host: host.to_owned(),
        family,
        answers: list(query, "answers").iter().filter_map(answer_in).collect(),
        failure: failure_in(field(query, "failure")),
        is_control_name: is_control_name(query),
        second: Vec::new(),
        millis: millis_in(query),
    })
}

fn answer_in(answer: &Value) -> Option<Answer> {
    let address = text(answer, "ipv4").or_else(|| text(answer, "ipv6"))?.parse().ok()?;
    let network = number(answer, "asn").and_then(|asn| Asn::new(u32::try_from(asn).ok()?));
    Some(Answer { address, network })
}

fn connect_in(entry: &Value) -> Option<Connect> {
    let address: IpAddr = text(entry, "ip")?.parse().ok()?;
    let port = u16::try_from(number(entry, "port")?).ok()?;
    let status = field(entry, "status");
    let failure = failure_in(field(status, "failure"));
    let is_failed = field(status, "success").as_bool() == Some(false);
    Some(Connect {
        hop: hop_in(entry).unwrap_or(0),
        endpoint: SocketAddr::new(address, port),
        failure: failure.or(is_failed.then_some(Failure::Other)),
        millis: millis_in(entry),
    })
}

fn handshake_in(entry: &Value, transport: Transport, hosts: &[(String, u8)]) -> Option<Handshake> {
    let server_name = text(entry, "server_name").unwrap_or_default();
    Some(Handshake {
        hop: hop_of(entry, server_name, hosts),
        endpoint: text(entry, "address").and_then(endpoint_of)?,
        transport,
        server_name: server_name.to_owned(),
        is_control_name: is_control_name(entry),
        is_verified: field(entry, "no_tls_verify").as_bool() != Some(true),
        failure: failure_in(field(entry, "failure")),
        certificates: Vec::new(),
        millis: millis_in(entry),
    })
}

/// Whether a request went over QUIC.
fn transport_in(entry: &Value, request: &Value) -> Transport {
    let is_quic = text(request, "x_transport") == Some("quic") || text(entry, "network") == Some("udp");
    if is_quic { Transport::Quic } else { Transport::Tcp }
}

/// Requests, which stand in the file with the last first.
fn fetches_in(keys: &Value) -> Vec<Fetch> {
    let entries: Vec<&Value> = entries(keys, "requests").collect();
    let count = entries.len();
    let fetch = |(index, entry): (usize, &&Value)| {
        let request = field(entry, "request");
        let url = text(request, "url")?;
        let hop = hop_in(entry).unwrap_or_else(|| (count - 1 - index).min(usize::from(REDIRECTS_MAX)) as u8);
        Some(Fetch {
            hop,
            url: url.to_owned(),
            is_tls: url.starts_with("https:"),
            transport: transport_in(entry, request),
            curve: Vec::new(),
            endpoint: text(entry, "address").and_then(endpoint_of),
            failure: failure_in(field(entry, "failure")),
            response: response_in(field(entry, "response")),
            millis: millis_in(entry),
        })
    };
    entries.iter().enumerate().filter_map(fetch).collect()
}
