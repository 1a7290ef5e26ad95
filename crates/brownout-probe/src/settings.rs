//! What a prober is told.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use crate::Guard;

/// How a prober measures.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who is asked for names.
    pub resolvers: Resolvers,
    /// An innocent name that exists for certain and is blocked nowhere: it is looked up where another failed,
    /// and named in a handshake with an address that another name's failed at.
    pub innocent_name: Option<String>,
    /// How long each stage may take.
    pub timeouts: Timeouts,
    /// Which addresses may be connected to.
    pub guard: Guard,
    /// How much is measured.
    pub depth: Depth,
    /// What is said in the header `User-Agent`.
    pub user_agent: String,
    /// Authorities that are trusted beside the usual ones.
    pub roots: Vec<CertificateDer<'static>>,
    /// Most new connections in a second, over all targets; 0 is no bound.
    pub connections_per_second_max: u32,
    /// Most targets that are measured at once, at least 1. Each may have a dozen connections open.
    pub runs_open_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            resolvers: Resolvers::default(),
            innocent_name: Some("example.org".to_owned()),
            timeouts: Timeouts::default(),
            guard: Guard::Public,
            depth: Depth::Full,
            // A browser's, for many sites serve others another page or none.
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
            roots: Vec::new(),
            connections_per_second_max: 50,
            runs_open_max: 16,
        }
    }
}

/// How much of a target is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Whether it accepts a connection: its name and the first address that works.
    Connect,
    /// Whether it answers: one lookup, one connection, one request and its redirects.
    Fetch,
    /// All that tells a block from an outage: every resolver, every address, QUIC, echoes.
    #[default]
    Full,
}

/// Who is asked for names.
#[derive(Clone, Debug, Default)]
pub struct Resolvers {
    /// What the system uses: the first that answers counts.
    pub system: Vec<SocketAddr>,
    /// Others on port 53.
    pub plain: Vec<SocketAddr>,
    /// Others over HTTPS, by their URLs.
    pub https: Vec<String>,
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// One question to one resolver.
    pub lookup: Duration,
    /// How long a second answer to a question is waited for after the first. Whoever injects answers first.
    pub second_answer: Duration,
    /// One connection.
    pub connect: Duration,
    /// One handshake.
    pub handshake: Duration,
    /// One request with its whole answer.
    pub fetch: Duration,
    /// One echo.
    pub ping: Duration,
    /// The control's answer.
    pub control: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Timeouts {
            lookup: seconds(4),
            second_answer: Duration::from_millis(700),
            connect: seconds(10),
            handshake: seconds(10),
            fetch: seconds(20),
            ping: seconds(2),
            control: seconds(45),
        }
    }
}

impl Timeouts {
    /// The same for every stage: for laboratories, whose networks are short.
    pub fn all(stage: Duration) -> Self {
        Timeouts {
            lookup: stage,
            second_answer: stage / 4,
            connect: stage,
            handshake: stage,
            fetch: stage,
            ping: stage,
            control: stage * 8,
        }
    }
}

/// Where the system says which resolvers it uses.
const SYSTEM_RESOLVERS: &str = "/etc/resolv.conf";
/// As many as the system's own library asks.
const SYSTEM_RESOLVERS_MAX: usize = 3;

/// The resolvers that the system uses. They are asked directly, so that the resolver's own words and a second
/// answer are seen; what stands in `/etc/hosts` is not the network's.
pub fn system_resolvers() -> io::Result<Vec<SocketAddr>> {
    Ok(resolvers_in(&std::fs::read_to_string(SYSTEM_RESOLVERS)?))
}

fn resolvers_in(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    let address = |word: &str| word.split('%').next()?.parse::<IpAddr>().ok();
    named.filter_map(address).map(|address| SocketAddr::new(address, 53)).take(SYSTEM_RESOLVERS_MAX).collect()
}

/// The certificates in a PEM file.
pub fn roots_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_file_iter(file)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read() {
        let text = "# a comment\nsearch lan\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n nameserver 2001:db8::53 ; x\nnameserver nonsense\noptions edns0";
        let found: Vec<String> = resolvers_in(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[fe80::1]:53", "[2001:db8::53]:53"]);
        assert!(resolvers_in("").is_empty());
    }
}
