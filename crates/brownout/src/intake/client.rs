//! Whose request it is: the peer's address, or what trusted proxies say of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderName, header};

use brownout_core::report::plain_address;

/// Hops that are followed back at most; a longer chain is not an honest one.
const HOPS_MAX: usize = 32;

/// The header in which the proxies in front of us say who asked.
///
/// Exactly one is read: a proxy that sets one passes the other through from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Networks whose word about a client's address is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    header: ForwardedBy,
}

impl TrustedProxies {
    /// Trusts these networks to set `header`.
    pub fn new(networks: Vec<Network>, header: ForwardedBy) -> Self {
        TrustedProxies { networks, header }
    }

    /// The client's address: from the peer back along the chain of trusted proxies, to the first
    /// address that is not one of them. Where a proxy hides or garbles whom it speaks for, the
    /// proxy itself is the last address that is known.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.walk(peer, headers).0
    }

    /// Who asks, for what only some networks may see: the same client, or the unspecified address
    /// where the peer speaks for somebody whom we cannot know. So a proxy on this machine that nobody
    /// declared does not make the whole internet local.
    pub fn known_client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        match self.walk(peer, headers) {
            (client, false) => client,
            (_, true) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// The last address that is known, and whether it speaks for somebody else.
    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> (IpAddr, bool) {
        let mut client = plain_address(peer);
        let chain = if self.trusts(client) { self.chain(headers) } else { Vec::new() };
        if chain.is_empty() {
            return (client, is_forwarded(headers));
        }
        for hop in chain.into_iter().rev().take(HOPS_MAX) {
            let Some(address) = hop else { return (client, true) };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        (client, false)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The chain as the header has it, the client's end first.
    fn chain(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, read): (HeaderName, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedBy::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), parse_node),
            ForwardedBy::Forwarded => (header::FORWARDED, parse_forwarded_element),
        };
        let mut chain = Vec::new();
        for value in headers.get_all(name) {
            match value.to_str() {
                Ok(text) => chain.extend(split_unquoted(text, ',').map(read)),
                Err(_) => chain.push(None),
            }
        }
        chain
    }
}

/// The address of the socket's other end, as the listener noted it.
pub(super) fn peer_address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

/// Whether any proxy says that it passes the request on, in whichever of the usual headers.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let names = [header::FORWARDED.as_str(), "x-forwarded-for", "x-real-ip"];
    names.iter().any(|name| headers.contains_key(*name))
}

/// Splits at a separator that stands outside double quotes.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |char| {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return char == separator && !quoted,
        }
        false
    })
}

/// The `for` of one element of `Forwarded`.
fn parse_forwarded_element(element: &str) -> Option<IpAddr> {
    split_unquoted(element, ';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") { parse_node(value) } else { None }
    })
}

/// An address with or without a port, brackets and quotes.
fn parse_node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let address = if let Some(inner) = text.strip_prefix('[') {
        inner.split_once(']')?.0.parse().ok()?
    } else if let Ok(address) = text.parse() {
        address
    } else {
        IpAddr::V4(text.split_once(':')?.0.parse().ok()?)
    };
    Some(plain_address(address))
}

/// A network such as `10.0.0.0/8`, `2001:db8::/32` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is in it. IPv4 and IPv6 never match each other.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, plain_address(address)) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                (u64::from(own.to_bits()) >> shift) == (u64::from(other.to_bits()) >> shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let difference = own.to_bits() ^ other.to_bits();
                self.bits == 0 || difference >> (128 - u32::from(self.bits)) == 0
            }
            _ => false,
        }
    }
}

/// Text that is not a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an address or a network such as 10.0.0.0/8", self.0)
    }
}

impl std::error::Error for NetworkError {}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.chars().take(64).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = plain_address(address.parse().map_err(|_| error())?);
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(error)?,
            None => bits_max,
        };
        Ok(Network { address, bits })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn client(header: ForwardedBy, peer: &str, values: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.9"].map(|text| text.parse().unwrap()).to_vec();
        let name = match header {
            ForwardedBy::XForwardedFor => "x-forwarded-for",
            ForwardedBy::Forwarded => "forwarded",
        };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        TrustedProxies::new(networks, header).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_peer_is_asked_whom_it_speaks_for() {
        let x = ForwardedBy::XForwardedFor;
        assert_eq!(client(x, "198.51.100.1", &["203.0.113.7"]), "198.51.100.1", "a client cannot pretend");
        assert_eq!(client(x, "10.1.2.3", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(x, "::ffff:10.1.2.3", &["::ffff:203.0.113.7"]), "203.0.113.7");
        assert_eq!(
            client(x, "10.1.2.3", &["1.1.1.1, 203.0.113.7, 10.9.9.9"]),
            "203.0.113.7",
            "from the right"
        );
        assert_eq!(client(x, "10.1.2.3", &["1.1.1.1", "203.0.113.7:4711", "10.9.9.9"]), "203.0.113.7");
        assert_eq!(client(x, "10.1.2.3", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client(x, "fd00::1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client(x, "10.1.2.3", &["10.4.4.4, 192.0.2.9"]), "10.4.4.4", "all trusted");
        assert_eq!(client(x, "10.1.2.3", &["203.0.113.7, unknown"]), "10.1.2.3", "a proxy that hides it");
        assert_eq!(client(x, "10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn who_speaks_for_another_is_not_taken_for_a_client() {
        let known = |trusted: &str, peer: &str, lines: &[(&'static str, &str)]| {
            let networks = trusted.split_whitespace().map(|text| text.parse().unwrap()).collect();
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_str(value).unwrap());
            }
            let proxies = TrustedProxies::new(networks, ForwardedBy::XForwardedFor);
            proxies.known_client(peer.parse().unwrap(), &headers).to_string()
        };
        let (x, local) = ("x-forwarded-for", "127.0.0.1");
        assert_eq!(known("", local, &[]), local);
        for header in [x, "forwarded", "x-real-ip"] {
            for value in ["203.0.113.7", "127.0.0.1", "", "for=127.0.0.1"] {
                assert_eq!(known("", local, &[(header, value)]), "0.0.0.0", "{header}: {value}");
                assert_eq!(known("", "::1", &[(header, value)]), "0.0.0.0", "{header}: {value}");
            }
        }
        assert_eq!(known(local, local, &[]), local);
        assert_eq!(known(local, local, &[(x, "203.0.113.7")]), "203.0.113.7");
        assert_eq!(known(local, local, &[(x, local)]), local, "asked on this machine");
        assert_eq!(known(local, local, &[("forwarded", "for=203.0.113.7")]), "0.0.0.0", "the other header");
        assert_eq!(known(local, local, &[(x, "127.0.0.1, unknown")]), "0.0.0.0", "hidden by the proxy");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        let f = ForwardedBy::Forwarded;
        assert_eq!(client(f, "10.1.2.3", &["for=203.0.113.7;proto=https"]), "203.0.113.7");
        assert_eq!(client(f, "10.1.2.3", &["proto=http; For=\"[2001:db8::1]:4711\""]), "2001:db8::1");
        assert_eq!(
            client(f, "10.1.2.3", &["for=1.1.1.1, for=\"203.0.113.7:80\", for=10.9.9.9"]),
            "203.0.113.7"
        );
        assert_eq!(client(f, "10.1.2.3", &["for=\"1.1.1.1, for=2.2.2.2\""]), "10.1.2.3", "a comma in quotes");
        assert_eq!(client(f, "10.1.2.3", &["for=_hidden"]), "10.1.2.3");
    }

    #[test]
    fn networks_are_read_and_matched() {
        for (network, inside, outside) in [
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::/0", "2001:db8::1", "1.1.1.1"),
            ("192.0.2.0/25", "192.0.2.127", "192.0.2.128"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "x", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_trouble(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for header in [ForwardedBy::XForwardedFor, ForwardedBy::Forwarded] {
                let proxies = TrustedProxies::new(vec!["0.0.0.0/0".parse().unwrap()], header);
                let mut headers = HeaderMap::new();
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    headers.append("x-forwarded-for", value.clone());
                    headers.append("forwarded", value);
                }
                proxies.client("10.0.0.1".parse().unwrap(), &headers);
            }
        }

        #[test]
        fn what_an_untrusted_peer_says_changes_nothing(text in "[ -~]{0,80}") {
            let peer = "198.51.100.1".parse().unwrap();
            let mut headers = HeaderMap::new();
            headers.append("x-forwarded-for", HeaderValue::from_str(&text).unwrap());
            prop_assert_eq!(TrustedProxies::default().client(peer, &headers), peer);
        }
    }
}
