//! The configuration: one commented TOML file whose defaults work.
//!
//! The file that `brownout init` writes is [`TEMPLATE`]; a test holds it to the defaults below.

mod cidr;
mod problem;
mod reader;
mod reload;
mod warn;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use brownout_core::model::Policy;
use serde::Serialize;

pub use cidr::{Cidr, CidrError};
pub use problem::{ConfigError, Problem};
pub use reload::{Change, Overrides, Source};

use reader::Reader;

/// A setting that is one of a few words; the first is the default.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $these:literal;
     $(#[$first_doc:meta])* $first:ident = $first_word:literal,
     $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub enum $name {
            $(#[$first_doc])* #[default] #[serde(rename = $first_word)] $first,
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                match text {
                    $first_word => Ok($name::$first),
                    $($word => Ok($name::$variant),)*
                    _ => Err(WordError($these)),
                }
            }
        }
    };
}

/// A text that is none of the words a setting knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordError(&'static str);

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for WordError {}

/// The commented file with every setting at its default.
pub const TEMPLATE: &str = include_str!("../../../../packaging/brownout.toml");

/// Everything an operator can set.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Config {
    /// Where the program keeps things.
    pub data: Data,
    /// Where and how it listens.
    pub listen: Listen,
    /// Whose word about a client's address is believed.
    pub proxies: Proxies,
    /// What may come in.
    pub intake: Intake,
    /// How eagerly problems are called.
    pub policy: Policy,
    /// Which services there are.
    pub catalogue: CatalogueFile,
    /// How an address becomes a place and a network.
    pub addresses: Addresses,
    /// How long evidence is kept.
    pub log: Log,
    /// What pages say about their operator.
    pub site: Site,
    /// Who measures for the observatory.
    pub probes: Probes,
    /// The program's own figures.
    pub metrics: Metrics,
}

/// Section `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Data {
    /// The one folder with everything in it.
    pub folder: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Data { folder: PathBuf::from("brownout-data") }
    }
}

/// Section `[listen]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listen {
    /// Address and port of the one listener.
    pub address: SocketAddr,
    /// Connections at once, 1 to 1,000,000.
    pub connections_max: u32,
    /// Time for a request's head, in seconds, 1 to 300.
    pub header_timeout_seconds: u32,
    /// Time for a single report's body, in seconds, 1 to 600.
    pub body_timeout_seconds: u32,
    /// Time for a batch's body, in seconds, 1 to 600.
    pub batch_timeout_seconds: u32,
    /// Time an idle connection is kept, in seconds, 1 to 3600.
    pub idle_timeout_seconds: u32,
    /// Largest body of a single report, in bytes, 1 KiB to 1 MiB.
    pub body_bytes_max: u32,
    /// Largest body of a batch, in bytes, 64 KiB to 256 MiB.
    pub batch_bytes_max: u32,
    /// Time that open requests get when the program stops, in seconds, 0 to 300.
    pub shutdown_seconds: u32,
}

impl Default for Listen {
    fn default() -> Self {
        Listen {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8750)),
            connections_max: 4096,
            header_timeout_seconds: 10,
            body_timeout_seconds: 10,
            batch_timeout_seconds: 60,
            idle_timeout_seconds: 60,
            body_bytes_max: 16 << 10,
            batch_bytes_max: 16 << 20,
            shutdown_seconds: 10,
        }
    }
}

/// Section `[proxies]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Proxies {
    /// Networks whose word about a client's address is taken.
    pub trusted: Vec<Cidr>,
    /// The one header in which they give it.
    pub header: ForwardedHeader,
}

words! {
    /// The header in which a proxy names its client. Exactly one is read, because a proxy that
    /// sets one passes the other through from the client.
    ForwardedHeader, "\"x-forwarded-for\" or \"forwarded\"";
    /// `X-Forwarded-For`.
    XForwardedFor = "x-forwarded-for",
    /// `Forwarded` (RFC 7239).
    Forwarded = "forwarded",
}

/// Section `[intake]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Intake {
    /// Single reports a minute from one source, 1 to 100,000.
    pub source_per_minute: u32,
    /// Reports that one source may send at once, 1 to 100,000.
    pub source_burst: u32,
    /// Single reports a minute from one subnet, 1 to 10,000,000.
    pub subnet_per_minute: u32,
    /// Reports that one subnet may send at once, 1 to 10,000,000.
    pub subnet_burst: u32,
    /// When reporters are asked for a proof of work.
    pub proof_of_work: ProofOfWork,
    /// Whether a report may carry a comment.
    pub comments: bool,
    /// Reports that may wait for the disk at once, 50,000 (the largest batch) to 10,000,000; beyond, 503.
    pub queue_reports_max: u32,
}

impl Default for Intake {
    fn default() -> Self {
        Intake {
            source_per_minute: 6,
            source_burst: 12,
            subnet_per_minute: 120,
            subnet_burst: 240,
            proof_of_work: ProofOfWork::Auto,
            comments: true,
            queue_reports_max: 400_000,
        }
    }
}

words! {
    /// When reporters are asked for a proof of work.
    ProofOfWork, "one of \"off\", \"auto\", \"on\"";
    /// While reports are unusually many.
    Auto = "auto",
    /// Never.
    Off = "off",
    /// Always.
    On = "on",
}

/// Section `[catalogue]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CatalogueFile {
    /// A file that adds to the embedded catalogue.
    pub file: Option<PathBuf>,
}

/// Section `[addresses]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Addresses {
    /// Address to country.
    pub country_mmdb: Option<PathBuf>,
    /// Address to network number.
    pub asn_mmdb: Option<PathBuf>,
    /// Address to city.
    pub city_mmdb: Option<PathBuf>,
}

impl Addresses {
    /// The files that are set, with the keys they are set by.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [("country_mmdb", &self.country_mmdb), ("asn_mmdb", &self.asn_mmdb), ("city_mmdb", &self.city_mmdb)]
            .into_iter()
            .filter_map(|(key, file)| file.as_deref().map(|file| (key, file)))
    }
}

/// Section `[log]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Log {
    /// Size at which a segment is sealed, in MiB, 1 to 4096.
    pub segment_mib: u32,
    /// Age at which sealed segments go, in days; 0 is never.
    pub retention_days: u32,
    /// Size of the whole log beyond which the oldest segments go, in GiB; 0 is never.
    pub retention_gib_max: u32,
}

impl Default for Log {
    fn default() -> Self {
        Log { segment_mib: 64, retention_days: 365, retention_gib_max: 20 }
    }
}

/// Section `[site]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Site {
    /// What pages call this observatory, at most 80 characters.
    pub title: String,
    /// Whom the page about the site names as operator, at most 200 characters; empty is nobody.
    pub contact: String,
}

impl Default for Site {
    fn default() -> Self {
        Site { title: "Brownout".into(), contact: String::new() }
    }
}

/// Section `[probes]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probes {
    /// Whether probes are let in.
    pub enabled: bool,
    /// Slugs of the services that probes measure; empty is all.
    pub services: Vec<String>,
    /// Minutes between two measurements of a target, 1 to 1440.
    pub every_minutes: u32,
    /// Where probes ask the control; empty is nowhere.
    pub control_url: String,
    /// The file with the control's token.
    pub control_token_file: Option<PathBuf>,
    /// A name that exists and is blocked nowhere.
    pub innocent_name: String,
    /// Other resolvers on port 53 that probes compare with.
    pub other_resolvers: Vec<SocketAddr>,
    /// Another resolver over HTTPS; empty is none.
    pub doh_url: String,
    /// Most measurements of one probe in an hour, 1 to 1,000,000.
    pub measurements_per_hour_max: u32,
}

impl Default for Probes {
    fn default() -> Self {
        Probes {
            enabled: false,
            services: Vec::new(),
            every_minutes: 20,
            control_url: String::new(),
            control_token_file: None,
            innocent_name: "example.org".into(),
            other_resolvers: Vec::new(),
            doh_url: String::new(),
            measurements_per_hour_max: 5_000,
        }
    }
}

/// Section `[metrics]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Whether `/metrics` is there at all.
    pub enabled: bool,
    /// Networks whose clients may read it.
    pub allow: Vec<Cidr>,
}

impl Default for Metrics {
    fn default() -> Self {
        let allow = ["127.0.0.0/8", "::1/128"].iter().filter_map(|block| block.parse().ok()).collect();
        Metrics { enabled: true, allow }
    }
}

impl Config {
    /// Reads a configuration from the text of `file`, a name used in messages only.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let mut reader = Reader::new(text);
        let Config {
            data,
            listen,
            proxies,
            intake,
            policy,
            catalogue,
            addresses,
            log,
            site,
            probes,
            metrics,
        } = &mut config;
        reader.section("data", |s| {
            let mut folder = Some(data.folder.clone());
            s.path("folder", &mut folder);
            data.folder = folder.unwrap_or_default();
        });
        reader.section("listen", |s| {
            s.parse("address", &mut listen.address);
            s.whole("connections_max", &mut listen.connections_max, 1..=1_000_000);
            s.whole("header_timeout_seconds", &mut listen.header_timeout_seconds, 1..=300);
            s.whole("body_timeout_seconds", &mut listen.body_timeout_seconds, 1..=600);
            s.whole("batch_timeout_seconds", &mut listen.batch_timeout_seconds, 1..=600);
            s.whole("idle_timeout_seconds", &mut listen.idle_timeout_seconds, 1..=3600);
            s.whole("body_bytes_max", &mut listen.body_bytes_max, 1024..=1 << 20);
            s.whole("batch_bytes_max", &mut listen.batch_bytes_max, 64 << 10..=256 << 20);
            s.whole("shutdown_seconds", &mut listen.shutdown_seconds, 0..=300);
        });
        reader.section("proxies", |s| {
            s.list("trusted", &mut proxies.trusted);
            s.parse("header", &mut proxies.header);
        });
        reader.section("intake", |s| {
            s.whole("source_per_minute", &mut intake.source_per_minute, 1..=100_000);
            s.whole("source_burst", &mut intake.source_burst, 1..=100_000);
            s.whole("subnet_per_minute", &mut intake.subnet_per_minute, 1..=10_000_000);
            s.whole("subnet_burst", &mut intake.subnet_burst, 1..=10_000_000);
            s.parse("proof_of_work", &mut intake.proof_of_work);
            s.flag("comments", &mut intake.comments);
            s.whole("queue_reports_max", &mut intake.queue_reports_max, 50_000..=10_000_000);
        });
        reader.section("policy", |s| s.policy(policy));
        reader.section("catalogue", |s| s.path("file", &mut catalogue.file));
        reader.section("addresses", |s| {
            s.path("country_mmdb", &mut addresses.country_mmdb);
            s.path("asn_mmdb", &mut addresses.asn_mmdb);
            s.path("city_mmdb", &mut addresses.city_mmdb);
        });
        reader.section("log", |s| {
            s.whole("segment_mib", &mut log.segment_mib, 1..=4096);
            s.whole("retention_days", &mut log.retention_days, 0..=36_500);
            s.whole("retention_gib_max", &mut log.retention_gib_max, 0..=1_000_000);
        });
        reader.section("site", |s| {
            s.text("title", &mut site.title, 80);
            s.text("contact", &mut site.contact, 200);
        });
        reader.section("probes", |s| {
            s.flag("enabled", &mut probes.enabled);
            s.list("services", &mut probes.services);
            s.whole("every_minutes", &mut probes.every_minutes, 1..=1440);
            s.text("control_url", &mut probes.control_url, 400);
            s.path("control_token_file", &mut probes.control_token_file);
            s.text("innocent_name", &mut probes.innocent_name, 253);
            s.list("other_resolvers", &mut probes.other_resolvers);
            s.text("doh_url", &mut probes.doh_url, 400);
            s.whole("measurements_per_hour_max", &mut probes.measurements_per_hour_max, 1..=1_000_000);
        });
        reader.section("metrics", |s| {
            s.flag("enabled", &mut metrics.enabled);
            s.list("allow", &mut metrics.allow);
        });
        reader.finish(file)?;
        Ok(config)
    }

    /// Every setting as (`section.key`, value); what is not set is null.
    pub(crate) fn settings(&self) -> Vec<(String, serde_json::Value)> {
        let mut settings = Vec::new();
        if let Ok(serde_json::Value::Object(sections)) = serde_json::to_value(self) {
            for (section, keys) in sections {
                if let serde_json::Value::Object(keys) = keys {
                    settings.extend(keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
                }
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests;
