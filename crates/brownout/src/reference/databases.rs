//! MMDB files that an operator points at, reloaded when they change.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use brownout_core::model::{Asn, CityId, CountryCode, Geography, Place, RegionCode};
use maxminddb::{PathElement, Reader};
use serde::Deserialize;

/// Largest file that is read, bytes: the memory it will take.
const BYTES_MAX: u64 = 1 << 30;

/// One MMDB file. Readers never wait: a new file is read beside the old one and then takes its
/// place; one that cannot be read leaves the old one where it is.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    loaded: ArcSwapOption<Loaded>,
    /// The state of the file that was looked at last, so that a broken one is told of once.
    seen: ArcSwapOption<Stamp>,
}

#[derive(Debug)]
struct Loaded {
    reader: Reader<Vec<u8>>,
}

/// What changes when a file is replaced or written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// What one database says of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) place: Place,
    pub(super) network: Option<Asn>,
}

impl Database {
    /// A database that has not been read yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Database { path, loaded: ArcSwapOption::empty(), seen: ArcSwapOption::empty() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file if it is another than last time. `Ok(true)` where a new one is in force.
    pub(super) fn refresh(&self) -> Result<bool, String> {
        let stamp = match Stamp::of(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => {
                // It is told of once, as a file that is not there.
                let missing = Stamp { modified: None, bytes: 0, inode: 0 };
                let told = self.seen.swap(Some(Arc::new(missing.clone())));
                let news = told.is_none_or(|told| *told != missing);
                return if news { Err(format!("cannot be read: {error}")) } else { Ok(false) };
            }
        };
        if self.seen.load().as_ref().is_some_and(|seen| **seen == stamp) {
            return Ok(false);
        }
        self.seen.store(Some(Arc::new(stamp.clone())));
        let loaded = load(&self.path, &stamp)?;
        self.loaded.store(Some(Arc::new(loaded)));
        Ok(true)
    }

    /// Its type and build time in seconds since 1970, once it has been read.
    pub(super) fn describe(&self) -> Option<(String, u64)> {
        let loaded = self.loaded.load();
        let metadata = loaded.as_ref()?.reader.metadata();
        Some((metadata.database_type.clone(), metadata.build_epoch))
    }

    /// What it says of an address; nothing where it is not read or has no entry.
    pub(super) fn lookup(&self, address: IpAddr, geography: &Geography) -> Facts {
        let loaded = self.loaded.load();
        let Some(loaded) = loaded.as_ref() else { return Facts::default() };
        let Ok(found) = loaded.reader.lookup(address) else { return Facts::default() };
        if !found.has_data() {
            return Facts::default();
        }
        let record = Record { found };
        Facts { place: record.place(geography), network: record.network() }
    }
}

impl Stamp {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Stamp { modified: metadata.modified().ok(), bytes: metadata.len(), inode })
    }
}

fn load(path: &Path, stamp: &Stamp) -> Result<Loaded, String> {
    if stamp.bytes > BYTES_MAX {
        return Err(format!("is larger than {} MiB", BYTES_MAX >> 20));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let reader = Reader::from_source(bytes).map_err(|error| format!("is not an MMDB: {error}"))?;
    // Its metadata stand last, so a file caught half written is refused here. The reader's own
    // full check is stricter than the format and would refuse files that are in use; an entry
    // that cannot be decoded simply says nothing.
    Ok(Loaded { reader })
}

/// One entry, in any of the layouts in use: GeoIP2 and its like, and the flat ones.
struct Record<'a> {
    found: maxminddb::LookupResult<'a, Vec<u8>>,
}

impl<'a> Record<'a> {
    /// The first of these paths that holds a value of the wanted type.
    fn first<T: Deserialize<'a>>(&self, paths: &[&[PathElement<'_>]]) -> Option<T> {
        paths.iter().find_map(|path| self.found.decode_path(path).ok().flatten())
    }

    fn place(&self, geography: &Geography) -> Place {
        use PathElement::{Index, Key};
        let country: Option<&str> =
            self.first(&[&[Key("country"), Key("iso_code")], &[Key("country_code")], &[Key("country")]]);
        let Some(country) = country.and_then(|code| code.parse::<CountryCode>().ok()) else {
            return Place::default();
        };
        let part: Option<&str> = self.first(&[&[Key("subdivisions"), Index(0), Key("iso_code")]]);
        let region = part.and_then(|part| RegionCode::new(country, part));
        let number: Option<u32> = self.first(&[&[Key("city"), Key("geoname_id")]]);
        let name: Option<&str> = self.first(&[&[Key("city"), Key("names"), Key("en")], &[Key("city")]]);
        let city = number
            .and_then(CityId::new)
            .and_then(|id| geography.city(id))
            .filter(|city| city.country == country)
            .or_else(|| geography.find_city(country, region, name?));
        Place {
            country: Some(country),
            region: region.or_else(|| city.and_then(|city| city.region)),
            city: city.map(|city| city.id),
        }
    }

    fn network(&self) -> Option<Asn> {
        use PathElement::Key;
        let number: Option<u32> = self.first(&[&[Key("autonomous_system_number")], &[Key("asn")]]);
        let text = || self.first::<&str>(&[&[Key("asn")]])?.strip_prefix("AS")?.parse().ok();
        number.or_else(text).and_then(Asn::new)
    }
}
