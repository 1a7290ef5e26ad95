//! The embedded table of address ranges, searched where it lies: only a small index is on the heap.
//!
//! `xtask/src/addresses.rs` writes it and describes its form.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use brownout_core::model::{Asn, CountryCode};

const MAGIC: &str = "brownout-addresses 1";
const HEADER: usize = 1024;
const COUNTS: usize = 8;

/// Why bytes are not a table of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a table of addresses: {}", self.0)
    }
}

/// Ranges of both families with their country and network.
#[derive(Debug)]
pub(super) struct Ranges<'a> {
    /// The sources and their licences.
    pub(super) sources: &'a str,
    /// The day the source was built, as `2026-06-17`.
    pub(super) date: &'a str,
    v4_networks: Column<'a, 4, 3>,
    v4_countries: Column<'a, 4, 1>,
    v6_networks: Column<'a, 8, 3>,
    v6_countries: Column<'a, 8, 1>,
    countries: &'a [[u8; 2]],
    networks: &'a [[u8; 4]],
    name_ends: &'a [[u8; 4]],
    names: &'a str,
}

/// Starts of ranges, ascending, in `S` bytes, and as many values in `V` bytes.
#[derive(Debug)]
struct Column<'a, const S: usize, const V: usize> {
    starts: &'a [[u8; S]],
    values: &'a [[u8; V]],
    /// How many starts lie before each block of addresses, and how many there are. Made by the first
    /// search, for it reads the whole column.
    before: OnceLock<Vec<u32>>,
}

/// Leading bits of an address that name its block. A search of the whole column misses the cache at
/// most of its steps; one of a block stays within a few lines.
const BLOCK_BITS: u32 = 12;

impl<'a> Ranges<'a> {
    /// Checks the lengths and finds the parts. Values are checked when they are read.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(Malformed("cut short"))?;
        let header = std::str::from_utf8(header).map_err(|_| Malformed("its header is not text"))?;
        let mut lines = header.trim_end_matches('\0').lines();
        if lines.next() != Some(MAGIC) {
            return Err(Malformed("it starts otherwise"));
        }
        let (Some(sources), Some(date)) = (lines.next(), lines.next()) else {
            return Err(Malformed("no sources or no date"));
        };
        let mut rest = Rest { bytes: rest };
        let counts: &[[u8; 4]] = rest.many(COUNTS)?;
        let count = |nth: usize| u32::from_le_bytes(counts[nth]) as usize;
        let ranges = Ranges {
            sources,
            date,
            v4_networks: rest.column(count(0))?,
            v4_countries: rest.column(count(1))?,
            v6_networks: rest.column(count(2))?,
            v6_countries: rest.column(count(3))?,
            countries: rest.many(count(4))?,
            networks: rest.many(count(5))?,
            name_ends: rest.many(count(5))?,
            names: std::str::from_utf8(rest.many::<1>(count(6))?.as_flattened())
                .map_err(|_| Malformed("names that are not text"))?,
        };
        if rest.bytes.is_empty() { Ok(ranges) } else { Err(Malformed("bytes after the end")) }
    }

    pub(super) fn country_v4(&self, address: Ipv4Addr) -> Option<CountryCode> {
        self.country(self.v4_countries.find(u64::from(address.to_bits()))?)
    }

    pub(super) fn country_v6(&self, address: Ipv6Addr) -> Option<CountryCode> {
        self.country(self.v6_countries.find(upper(address))?)
    }

    pub(super) fn network_v4(&self, address: Ipv4Addr) -> Option<Asn> {
        self.network(self.v4_networks.find(u64::from(address.to_bits()))?)
    }

    pub(super) fn network_v6(&self, address: Ipv6Addr) -> Option<Asn> {
        self.network(self.v6_networks.find(upper(address))?)
    }

    /// Who holds a network.
    pub(super) fn network_name(&self, network: Asn) -> Option<&'a str> {
        let number = network.0.get();
        let nth = self.networks.binary_search_by_key(&number, |entry| u32::from_le_bytes(*entry)).ok()?;
        let end = |nth: usize| self.name_ends.get(nth).map(|end| u32::from_le_bytes(*end) as usize);
        let start = match nth.checked_sub(1) {
            Some(before) => end(before)?,
            None => 0,
        };
        self.names.get(start..end(nth)?).filter(|name| !name.is_empty())
    }

    fn country(&self, nth: u32) -> Option<CountryCode> {
        self.countries.get(nth.checked_sub(1)? as usize).and_then(|code| CountryCode::new(*code))
    }

    fn network(&self, nth: u32) -> Option<Asn> {
        self.networks
            .get(nth.checked_sub(1)? as usize)
            .and_then(|number| Asn::new(u32::from_le_bytes(*number)))
    }
}

/// Networks are routed by the upper half at most.
fn upper(address: Ipv6Addr) -> u64 {
    (address.to_bits() >> 64) as u64
}

impl<'a, const S: usize, const V: usize> Column<'a, S, V> {
    const SHIFT: u32 = S as u32 * 8 - BLOCK_BITS;

    fn new(starts: &'a [[u8; S]], values: &'a [[u8; V]]) -> Self {
        Column { starts, values, before: OnceLock::new() }
    }

    fn before(&self) -> &[u32] {
        self.before.get_or_init(|| {
            let before =
                |block: u64| self.starts.partition_point(|start| widen(start) >> Self::SHIFT < block) as u32;
            (0..=1 << BLOCK_BITS).map(before).collect()
        })
    }

    /// The value of the last range that starts at or before `key`.
    fn find(&self, key: u64) -> Option<u32> {
        let block = (key >> Self::SHIFT) as usize;
        let [from, to] = *self.before().get(block..)?.first_chunk()?;
        let (from, to) = (from as usize, to as usize);
        let within = self.starts.get(from..to)?.partition_point(|start| widen(start) <= key);
        self.values.get((from + within).checked_sub(1)?).map(|value| widen(value) as u32)
    }
}

fn widen<const N: usize>(bytes: &[u8; N]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

struct Rest<'a> {
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn many<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], Malformed> {
        let length = count.checked_mul(N).ok_or(Malformed("a count too large"))?;
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Malformed("cut short"))?;
        self.bytes = rest;
        Ok(taken.as_chunks().0)
    }

    fn column<const S: usize, const V: usize>(
        &mut self,
        count: usize,
    ) -> Result<Column<'a, S, V>, Malformed> {
        Ok(Column::new(self.many(count)?, self.many(count)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::addresses::EMBEDDED;

    #[test]
    fn the_embedded_table_is_whole_and_in_order() {
        let ranges = Ranges::read(&EMBEDDED).expect("the embedded table");
        assert!(ranges.v4_networks.starts.windows(2).all(|pair| widen(&pair[0]) < widen(&pair[1])));
        assert!(ranges.v4_countries.starts.windows(2).all(|pair| widen(&pair[0]) < widen(&pair[1])));
        assert!(ranges.v6_networks.starts.windows(2).all(|pair| widen(&pair[0]) < widen(&pair[1])));
        assert!(ranges.v6_countries.starts.windows(2).all(|pair| widen(&pair[0]) < widen(&pair[1])));
        assert_eq!(ranges.date.len(), 10, "{}", ranges.date);
        assert!(ranges.sources.contains("CC BY 4.0"));
    }

    #[test]
    fn a_cut_table_is_refused() {
        for length in [0, 20, HEADER, HEADER + 10, EMBEDDED.len() / 2, EMBEDDED.len() - 1] {
            assert!(Ranges::read(&EMBEDDED[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn a_search_finds_the_last_start_before(starts: std::collections::BTreeSet<u32>, keys: Vec<u32>) {
            let starts: Vec<u32> = starts.into_iter().collect();
            let bytes: Vec<[u8; 4]> = starts.iter().map(|start| start.to_le_bytes()).collect();
            let values: Vec<[u8; 3]> = (0..starts.len() as u32).map(|nth| {
                let [a, b, c, _] = nth.to_le_bytes();
                [a, b, c]
            }).collect();
            let column = Column::new(&bytes, &values);
            let edges = starts.iter().flat_map(|start| [start.saturating_sub(1), *start, start.saturating_add(1)]);
            for key in keys.into_iter().chain(edges).chain([0, u32::MAX]) {
                let expected = starts.iter().rposition(|start| *start <= key).map(|nth| nth as u32);
                prop_assert_eq!(column.find(key.into()), expected);
            }
        }

        #[test]
        fn no_table_makes_a_search_panic(body: Vec<u8>, counts: [u8; 7], address: u128, number in 1..u32::MAX) {
            let mut bytes = format!("{MAGIC}\nsources\n2026-01-01").into_bytes();
            bytes.resize(HEADER, 0);
            for count in counts.iter().map(|count| u32::from(count % 3)).chain([0]) {
                bytes.extend_from_slice(&count.to_le_bytes());
            }
            let needed = counts.map(|count| usize::from(count % 3));
            let length = needed[0] * 7 + needed[1] * 5 + needed[2] * 11 + needed[3] * 9
                + needed[4] * 2 + needed[5] * 8 + needed[6];
            bytes.extend(body.iter().copied().chain(std::iter::repeat(b'A')).take(length));
            if let Ok(ranges) = Ranges::read(&bytes) {
                let _ = ranges.country_v4(Ipv4Addr::from_bits(address as u32));
                let _ = ranges.network_v4(Ipv4Addr::from_bits(address as u32));
                let _ = ranges.country_v6(Ipv6Addr::from_bits(address));
                let _ = ranges.network_v6(Ipv6Addr::from_bits(address));
                let _ = ranges.network_name(Asn::new(number).expect("not zero"));
            }
        }
    }
}
