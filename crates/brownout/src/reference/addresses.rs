//! From an address to its place and network.
//!
//! Two grounds: the table that is part of this program, which knows countries and networks, and
//! any MMDB files the operator names, which come first and may know regions and cities. Either
//! can be wrong about a single address; no verdict rests on one address.

use std::fmt;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use brownout_core::model::{Asn, Geography, Place};
use flate2::read::GzDecoder;

use super::databases::Database;
use super::ranges::Ranges;

/// Made by `cargo xtask data addresses`; docs/data-sources.md names its sources.
static PACKED: &[u8] = include_bytes!("../../data/addresses.bin.gz");
/// The table as it is read, nearly three times as large; unpacked when it is first asked for. A test reads
/// it, so a release always has it whole.
pub(super) static EMBEDDED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut table = Vec::new();
    let _ = GzDecoder::new(PACKED).read_to_end(&mut table);
    table
});

/// What an address says; all that remains of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressFacts {
    /// Where it is used, as finely as is known.
    pub place: Place,
    /// The network that announces it.
    pub network: Option<Asn>,
}

/// One ground of the facts, for pages and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSource {
    /// What it is called, or the path of a file.
    pub name: String,
    /// The sources and their licences, or the type of a file; `None` where it could not be read.
    pub content: Option<String>,
    /// The day it was built, as `2026-06-17`, where it says so.
    pub date: Option<String>,
    /// Days from that day to the one asked about.
    pub age_days: Option<i64>,
}

/// Something that happened to a file of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseNews {
    /// The file.
    pub path: PathBuf,
    /// `Ok` where it is now in force; otherwise why not, and what was in force stays.
    pub outcome: Result<(), String>,
}

impl fmt::Display for DatabaseNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(()) => write!(f, "{} is read", self.path.display()),
            Err(why) => write!(f, "{} {why}; what was read before stays", self.path.display()),
        }
    }
}

/// Finds the place and network of addresses. Shared by all threads; look-ups never wait.
#[derive(Debug)]
pub struct AddressBook {
    ranges: Option<Ranges<'static>>,
    databases: Vec<Database>,
    geography: Arc<Geography>,
}

impl AddressBook {
    /// The embedded table with these MMDB files before it, the first named first. They are read
    /// by the first [`AddressBook::refresh`].
    pub fn new(files: Vec<PathBuf>, geography: Arc<Geography>) -> Self {
        let ranges = Ranges::read(&EMBEDDED).ok();
        AddressBook { ranges, databases: files.into_iter().map(Database::new).collect(), geography }
    }

    /// Reads the files that are new or changed, by their time, length and inode; to be called at
    /// the start and on a schedule, from a thread that may wait for a disk.
    pub fn refresh(&self) -> Vec<DatabaseNews> {
        let news = |database: &Database| {
            let outcome = match database.refresh() {
                Ok(false) => return None,
                Ok(true) => Ok(()),
                Err(why) => Err(why),
            };
            Some(DatabaseNews { path: database.path().to_owned(), outcome })
        };
        self.databases.iter().filter_map(news).collect()
    }

    /// What is known of an address. The country is that of the first ground that knows one; a
    /// finer place is taken from a later ground only inside that country and region.
    pub fn lookup(&self, address: IpAddr) -> AddressFacts {
        let address = address.to_canonical();
        if !is_public(address) {
            return AddressFacts::default();
        }
        let mut facts = AddressFacts::default();
        for database in &self.databases {
            let found = database.lookup(address, &self.geography);
            facts.place = refine(facts.place, found.place);
            facts.network = facts.network.or(found.network);
        }
        if let Some(ranges) = &self.ranges {
            let (country, network) = match address {
                IpAddr::V4(address) => (ranges.country_v4(address), ranges.network_v4(address)),
                IpAddr::V6(address) => (ranges.country_v6(address), ranges.network_v6(address)),
            };
            facts.place.country = facts.place.country.or(country);
            facts.network = facts.network.or(network);
        }
        facts
    }

    /// Who holds a network, such as "Pakistan Telecom Company Limited".
    pub fn network_name(&self, network: Asn) -> Option<&str> {
        self.ranges.as_ref()?.network_name(network)
    }

    /// All grounds, the first asked first. `today` is a day, as `jiff` counts them in UTC.
    pub fn describe(&self, today: jiff::civil::Date) -> Vec<AddressSource> {
        let age = |date: jiff::civil::Date| {
            let age = today.duration_since(date);
            age.as_hours() / 24
        };
        let mut sources: Vec<AddressSource> = Vec::new();
        for database in &self.databases {
            let known = database.describe();
            let built = known.as_ref().and_then(|(_, epoch)| {
                let built = jiff::Timestamp::from_second(i64::try_from(*epoch).ok()?).ok()?;
                Some(built.to_zoned(jiff::tz::TimeZone::UTC).date())
            });
            sources.push(AddressSource {
                name: database.path().display().to_string(),
                content: known.map(|(kind, _)| kind),
                date: built.map(|date| date.to_string()),
                age_days: built.map(age),
            });
        }
        if let Some(ranges) = &self.ranges {
            sources.push(AddressSource {
                name: "embedded table".to_owned(),
                content: Some(ranges.sources.to_owned()),
                date: Some(ranges.date.to_owned()),
                age_days: ranges.date.parse().ok().map(age),
            });
        }
        sources
    }
}

/// Adds what `other` knows more, as long as both speak of one place.
fn refine(place: Place, other: Place) -> Place {
    if place.country.is_none() {
        return other;
    }
    let agree = place.country == other.country && (place.region.is_none() || place.region == other.region);
    if !agree {
        return place;
    }
    Place { country: place.country, region: place.region.or(other.region), city: place.city.or(other.city) }
}

/// Addresses that stand for one place in the world. The others are never looked up, so that a
/// table's error cannot give a private network a country.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// RFC 6890 and RFC 6598.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    !(a == 0
        || a >= 224
        || shared
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

/// Global unicast, 2000::/3, without the documentation prefix of RFC 3849.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000 && !(a == 0x2001 && b == 0xdb8)
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
