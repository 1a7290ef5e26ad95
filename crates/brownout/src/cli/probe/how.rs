//! How a prober measures, as the command line says it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use brownout_probe::{Guard, Prober, Resolvers, Settings, Timeouts, roots_in, system_resolvers};
use clap::Args;

use crate::cli::Failure;

/// How to measure.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "How to measure")]
pub struct How {
    /// Resolver to ask as people here do, instead of the system's; may be given again
    #[arg(long = "resolver", value_name = "ADDRESS[:PORT]", value_parser = parse_resolver)]
    pub resolvers: Vec<SocketAddr>,
    /// Another resolver to compare with, over UDP and TCP; may be given again
    #[arg(long = "other-resolver", value_name = "ADDRESS[:PORT]", value_parser = parse_resolver)]
    pub others: Vec<SocketAddr>,
    /// Another resolver, over HTTPS; may be given again
    #[arg(long = "doh", value_name = "URL", value_parser = parse_doh)]
    pub https: Vec<String>,
    /// Innocent name that exists and is blocked nowhere, for comparison where another fails
    #[arg(long, value_name = "NAME", default_value = "example.org")]
    pub innocent: String,
    /// Most new connections in a second, over all targets
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub per_second: u32,
    /// Most targets at once
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub at_once: u32,
    /// Most seconds for each stage, instead of 4 for names, 10 for connections and 20 for pages
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=120))]
    pub stage_seconds: Option<u32>,
    /// Authorities to trust beside the usual ones, as a PEM file
    #[arg(long, value_name = "FILE")]
    pub roots: Option<PathBuf>,
    /// Let private, link-local and other special addresses be connected to
    #[arg(long)]
    pub allow_private: bool,
}

impl How {
    /// Which addresses may be connected to.
    pub(super) fn guard(&self) -> Guard {
        if self.allow_private { Guard::Any } else { Guard::Public }
    }

    /// The settings that this says.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let system = match self.resolvers.as_slice() {
            [] => system_resolvers().unwrap_or_default(),
            given => given.to_vec(),
        };
        if system.is_empty() {
            return Err(Failure::new("/etc/resolv.conf names no resolver; name one with --resolver"));
        }
        Ok(Settings {
            resolvers: Resolvers { system, plain: self.others.clone(), https: self.https.clone() },
            innocent_name: Some(self.innocent.to_ascii_lowercase()),
            timeouts: timeouts(self.stage_seconds),
            guard: self.guard(),
            roots: self.roots.as_deref().map_or(Ok(Vec::new()), authorities)?,
            connections_per_second_max: self.per_second,
            runs_open_max: self.at_once as usize,
            ..Settings::default()
        })
    }
}

/// The usual patience, or the same for every stage.
pub(super) fn timeouts(stage_seconds: Option<u32>) -> Timeouts {
    let usual = Timeouts::default();
    stage_seconds.map_or(usual, |seconds| {
        let stage = Duration::from_secs(seconds.into());
        Timeouts { second_answer: usual.second_answer, ..Timeouts::all(stage) }
    })
}

/// A prober; inside a runtime.
pub(super) fn prober(settings: Settings) -> Result<Prober, Failure> {
    Prober::new(settings).map_err(|error| Failure::usage(error.to_string()))
}

pub(super) fn authorities(file: &Path) -> Result<Vec<brownout_probe::CertificateDer<'static>>, Failure> {
    roots_in(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}

/// An address with or without a port; without, it is 53.
pub(super) fn parse_resolver(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    address.or_else(|_| text.parse()).map_err(|_| "an address such as 9.9.9.9 or [2620:fe::fe]:53".to_owned())
}

fn parse_doh(text: &str) -> Result<String, String> {
    let target = brownout_probe::parse_target(text, Guard::Any).map_err(|error| error.to_string())?;
    if target.is_tls { Ok(target.url) } else { Err("it does not begin with https:".to_owned()) }
}

/// The token in a file: its first line.
pub(super) fn token_in(file: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    let token = text.lines().next().unwrap_or_default().trim();
    match token {
        "" => Err(failed(&"it holds no token")),
        token => Ok(token.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_addresses_with_or_without_a_port() {
        for (text, address) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2620:fe::fe", "[2620:fe::fe]:53"),
            ("[2620:fe::fe]:53", "[2620:fe::fe]:53"),
        ] {
            assert_eq!(parse_resolver(text).map(|found| found.to_string()).as_deref(), Ok(address));
        }
        assert!(parse_resolver("dns.quad9.net").is_err());
        assert!(
            parse_doh("http://9.9.9.9/dns-query").is_err() && parse_doh("https://9.9.9.9/dns-query").is_ok()
        );
    }
}
