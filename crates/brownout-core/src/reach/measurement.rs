//! What one run of a probe found, and what the control found of the same target.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::model::{Asn, CountryCode, UtcTime};

/// Most redirects that a run follows; the hop of what comes after the n-th is n.
pub const REDIRECTS_MAX: u8 = 10;
/// How much of a body is searched for its title.
const TITLE_WITHIN_BYTES: usize = 32_768;

/// One run: what a vantage point found when it tried to reach a target, and what the control found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was to be reached.
    pub target: Target,
    /// When the run began, by the probe's clock.
    pub started_at: UtcTime,
    /// Where it was taken from.
    pub vantage: Vantage,
    /// What was found there.
    pub run: Run,
    /// What the control found at the same time.
    pub control: Control,
    /// Known signs in what is not kept of it.
    #[serde(default, skip_serializing_if = "Signs::is_empty")]
    pub signs: Signs,
}

/// Known signs that were found in pages and answers before those were let go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signs {
    /// Hops at which a block page was shown, with its name in the list of fingerprints.
    pub block_pages: Vec<(u8, String)>,
    /// Hops at which a proof of being human was asked for.
    pub challenges: Vec<u8>,
    /// Addresses that are given for what is blocked, with their names in that list.
    pub addresses: Vec<(IpAddr, String)>,
}

impl Signs {
    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.block_pages.is_empty() && self.challenges.is_empty() && self.addresses.is_empty()
    }
}

/// A concrete endpoint that is probed, from its absolute URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The URL as it was asked for.
    pub url: String,
    /// Whether it begins with TLS.
    pub is_tls: bool,
    /// Its host: a name in ASCII (RFC 5891), or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Target {
    /// The address, where the host is no name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Where a measurement is taken from: never an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vantage {
    /// Its country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<CountryCode>,
    /// The network that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Asn>,
    /// The network of the resolver that the system uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver_network: Option<Asn>,
    /// Who measured, as a number that tells one from another and nothing more; `None` where that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Name and version of what measured: failures that go with it are the instrument's.
    pub software: String,
}

/// All that one run found, each stage by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Names that were looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Lookup>,
    /// Connections over TCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connects: Vec<Connect>,
    /// Handshakes of TLS and QUIC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<Handshake>,
    /// Requests and their answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fetches: Vec<Fetch>,
    /// Echoes that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pings: Vec<Ping>,
}

impl Run {
    /// Requests as most programs make them: over TCP. HTTP/3 is another way to the same page, and tells of QUIC.
    pub fn usual_fetches(&self) -> impl Iterator<Item = &Fetch> {
        self.fetches.iter().filter(|fetch| fetch.transport == Transport::Tcp)
    }
}

/// Who was asked for a name's addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolver {
    /// What the system uses: what people at this place get.
    System,
    /// A resolver on port 53, by its address.
    Plain(String),
    /// One over HTTPS, by its URL.
    Https(String),
}

/// One name that was looked up at one resolver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lookup {
    /// Redirects before it.
    pub hop: u8,
    /// Who was asked.
    pub resolver: Resolver,
    /// The name.
    pub host: String,
    /// Which addresses were asked for.
    pub family: Family,
    /// Addresses that came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// Why none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether the name is an innocent one that exists for certain: a resolver that fails on it is broken.
    pub is_control_name: bool,
    /// Addresses of a second, different answer to the same question: somebody else answered too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub second: Vec<Answer>,
    /// Milliseconds that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u32>,
}

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Both, as a program asks its system.
    Any,
}

/// An address that a resolver gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The address.
    pub address: IpAddr,
    /// The network that announces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Asn>,
}

/// One connection over TCP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connect {
    /// Redirects before it.
    pub hop: u8,
    /// Where to.
    pub endpoint: SocketAddr,
    /// Why it did not stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Milliseconds that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u32>,
}

/// One handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handshake {
    /// Redirects before it.
    pub hop: u8,
    /// Where to.
    pub endpoint: SocketAddr,
    /// Over TCP or QUIC.
    pub transport: Transport,
    /// The name that was asked for in the clear.
    pub server_name: String,
    /// Whether that name is an innocent one, for comparison.
    pub is_control_name: bool,
    /// Whether the certificate was judged by the name and the usual authorities.
    pub is_verified: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// SHA-256 of the certificates that were shown, the site's first, also where they were refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<[u8; 32]>,
    /// Milliseconds that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u32>,
}

/// What a handshake or a request goes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TLS over TCP.
    #[default]
    Tcp,
    /// QUIC.
    Quic,
}

impl Transport {
    fn is_tcp(&self) -> bool {
        *self == Transport::Tcp
    }
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetch {
    /// Redirects before it.
    pub hop: u8,
    /// What was asked for.
    pub url: String,
    /// Whether it went over TLS.
    pub is_tls: bool,
    /// Over TCP, or over QUIC as HTTP/3.
    #[serde(default, skip_serializing_if = "Transport::is_tcp")]
    pub transport: Transport,
    /// Where it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// Why there is no whole answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What came of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// How the body came: milliseconds since the request, and all bytes by then. It never falls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<(u32, u64)>,
    /// Milliseconds that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u32>,
}

/// What came of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The status, 100 to 599.
    pub status: u16,
    /// Header fields in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The page's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Bytes of the body; `None` where they were not kept or not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_length: Option<u64>,
    /// Whether the body was cut off.
    pub is_truncated: bool,
    /// The beginning of the body, for fingerprints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header field, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The title of a page, without the space around it; it is looked for near the beginning.
    pub fn title_of(body: &[u8]) -> Option<String> {
        let head = &body[..body.len().min(TITLE_WITHIN_BYTES)];
        let head = String::from_utf8_lossy(head);
        let lower = head.to_ascii_lowercase();
        let open = lower.find("<title")?;
        let begin = open + lower[open..].find('>')? + 1;
        let end = begin + lower[begin..].find("</title")?;
        let title = head.get(begin..end)?.trim();
        (!title.is_empty()).then(|| title.to_owned())
    }

    /// Whether it sends elsewhere.
    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }
}

/// One echo that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ping {
    /// Whom.
    pub address: IpAddr,
    /// Milliseconds until it came back; nothing where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u32>,
}

/// What the control found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Nothing: it was not asked, or could not be.
    Missing,
    /// The same target from a trusted network.
    Found(Box<Baseline>),
}

impl Control {
    /// What it found.
    pub fn found(&self) -> Option<&Baseline> {
        match self {
            Control::Missing => None,
            Control::Found(found) => Some(found),
        }
    }
}

/// What a control found of a target: less than a run keeps, and what all controls can tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Addresses that its resolver gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Answer>,
    /// Why it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup_failure: Option<Failure>,
    /// Connections, to its own addresses and to those that the probe asked it to try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connects: Vec<(SocketAddr, Option<Failure>)>,
    /// Handshakes for the target's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<(SocketAddr, Option<Failure>)>,
    /// Handshakes of QUIC for the target's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quic: Vec<(SocketAddr, Option<Failure>)>,
    /// The last answer, after all redirects; `None` where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<BaselineFetch>,
}

/// The control's last answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineFetch {
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_found_in_any_case() {
        let title_of = Response::title_of;
        assert_eq!(title_of(b"<HTML><Title lang=en>\n A site </TITLE>").as_deref(), Some("A site"));
        assert_eq!(title_of("<title>İ".as_bytes()), None);
        assert_eq!(title_of(b""), None);
    }
}
