//! Address ranges with their country and network, in the form that the program reads, packed, and searches where it lies.
//!
//! ```text
//! "brownout-addresses 1\n", sources as text, "\n", date as text, padded with zero bytes to 1024
//! eight numbers: entries of v4 networks, v4 countries, v6 networks, v6 countries,
//!                countries, networks, bytes of names, 0
//! v4 networks: start u32 each, then place in the list of networks + 1 as u24 each, 0 for none
//! v4 countries: start u32 each, then place in the list of countries + 1 as u8 each
//! v6 networks, v6 countries: the same with the upper 64 bits of the start as u64
//! countries: two letters each
//! networks: number u32 each, ascending; then end of its name u32 each; then the names
//! ```
//! Numbers are little-endian `u32`. A range reaches to the next start.

use std::collections::BTreeMap;

use crate::Failure;
use crate::source::{Client, Package, Sources};

const VERSION: &str = "2.3.2026061719";
const NETWORKS: Package = Package { client: Client::Npm, name: "@ip-location-db/asn", version: VERSION };
/// The richer of the two country tables, right for IPv4; its IPv6 part has plain errors, such as
/// 2001:200::/32 in Australia, so that comes from the registries' own lists.
const COUNTRIES_V4: Package =
    Package { client: Client::Npm, name: "@ip-location-db/geo-whois-asn-country", version: VERSION };
const COUNTRIES_V6: Package =
    Package { client: Client::Npm, name: "@ip-location-db/asn-country", version: VERSION };

/// Bytes before the eight numbers.
const HEADER: usize = 1024;
/// Longest name of a network that is kept, bytes.
const NAME_MAX: usize = 60;

/// Start of a range and what stands from there on.
type Entry<T> = (u128, Option<T>);

/// Reads the value of one line's fields.
type Read<'r, T> = &'r mut dyn FnMut(&[String]) -> Result<Option<T>, Failure>;

/// The bytes of `addresses.bin.gz`, unpacked.
pub(crate) fn build(sources: &Sources) -> Result<Vec<u8>, Failure> {
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    let mut network = |line: &[String]| -> Result<Option<u32>, Failure> {
        let number: u32 = line[2].parse()?;
        if let Some(name) = line.get(3) {
            names.entry(number).or_insert_with(|| shorten(name));
        }
        Ok((number != 0).then_some(number))
    };
    let v4_networks = table(sources, NETWORKS, "package/asn-ipv4-num.csv", 0, &mut network)?;
    let v6_networks = table(sources, NETWORKS, "package/asn-ipv6-num.csv", 64, &mut network)?;
    let mut country = |line: &[String]| -> Result<Option<String>, Failure> {
        Ok(Some(line[2].clone()).filter(|code| code.len() == 2 && code != "ZZ"))
    };
    let v4_countries =
        table(sources, COUNTRIES_V4, "package/geo-whois-asn-country-ipv4-num.csv", 0, &mut country)?;
    let v6_countries = table(sources, COUNTRIES_V6, "package/asn-country-ipv6-num.csv", 64, &mut country)?;

    let networks: Vec<u32> = names.keys().copied().filter(|number| *number != 0).collect();
    let mut countries: Vec<String> =
        v4_countries.iter().chain(&v6_countries).filter_map(|(_, code)| code.clone()).collect();
    countries.sort();
    countries.dedup();
    let place = |code: &String| countries.binary_search(code).map_or(0, |index| index as u32 + 1);
    let nth = |number: &u32| networks.binary_search(number).map_or(0, |index| index as u32 + 1);

    let mut out = header()?;
    let text: usize = networks.iter().map(|number| names[number].len()).sum();
    let counts = [v4_networks.len(), v4_countries.len(), v6_networks.len(), v6_countries.len()];
    for count in counts.into_iter().chain([countries.len(), networks.len(), text, 0]) {
        out.extend_from_slice(&u32::try_from(count)?.to_le_bytes());
    }
    columns(&mut out, &v4_networks, 4, 3, nth);
    columns(&mut out, &v4_countries, 4, 1, place);
    columns(&mut out, &v6_networks, 8, 3, nth);
    columns(&mut out, &v6_countries, 8, 1, place);
    countries.iter().for_each(|code| out.extend_from_slice(code.as_bytes()));
    networks.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    let mut end = 0_u32;
    for number in &networks {
        end += u32::try_from(names[number].len())?;
        out.extend_from_slice(&end.to_le_bytes());
    }
    networks.iter().for_each(|number| out.extend_from_slice(names[number].as_bytes()));
    println!("ranges {counts:?}, {} countries, {} networks", countries.len(), networks.len());
    Ok(out)
}

fn header() -> Result<Vec<u8>, Failure> {
    // The version ends in the day and hour of the build: 2026061719.
    let stamp = VERSION.rsplit('.').next().unwrap_or_default();
    let date = format!("{}-{}-{}", &stamp[..4], &stamp[4..6], &stamp[6..8]);
    let text = format!(
        "brownout-addresses 1\n\
         Networks: {} (RouteViews, NRO and DB-IP, CC BY 4.0). Countries: IPv4 {}, IPv6 {} \
         (CC0; registry statistics by the NRO, CC BY 4.0).\n{date}",
        NETWORKS.label(),
        COUNTRIES_V4.label(),
        COUNTRIES_V6.label()
    );
    let mut out = text.into_bytes();
    if out.len() >= HEADER {
        return Err("the header is too long".into());
    }
    out.resize(HEADER, 0);
    Ok(out)
}

/// Starts first, so that a search touches them alone; then the values.
fn columns<T>(
    out: &mut Vec<u8>,
    entries: &[Entry<T>],
    start: usize,
    value: usize,
    index: impl Fn(&T) -> u32,
) {
    for (first, _) in entries {
        out.extend_from_slice(&first.to_le_bytes()[..start]);
    }
    for (_, entry) in entries {
        out.extend_from_slice(&entry.as_ref().map_or(0, &index).to_le_bytes()[..value]);
    }
}

/// Reads `first,last,value...` ranges into starts, with gaps spelt out and equal neighbours joined.
/// `shift` drops low bits; a range that is smaller than what they tell apart is left out.
fn table<T: PartialEq + Clone>(
    sources: &Sources,
    package: Package,
    file: &str,
    shift: u32,
    value: Read<'_, T>,
) -> Result<Vec<Entry<T>>, Failure> {
    let text = String::from_utf8(sources.read(package, file)?)?;
    let mut entries: Vec<Entry<T>> = vec![(0, None)];
    let mut next = 0_u128;
    for line in text.lines() {
        let fields = fields(line);
        if fields.len() < 3 {
            return Err(format!("{file}: {line:?}").into());
        }
        let (first, last): (u128, u128) = (fields[0].parse()?, fields[1].parse()?);
        let (first, last) = ((first + (1 << shift) - 1) >> shift, ((last + 1) >> shift).wrapping_sub(1));
        if first > last || first < next {
            continue;
        }
        let value = value(&fields)?;
        if first > next {
            push(&mut entries, (next, None));
        }
        push(&mut entries, (first, value));
        next = last + 1;
    }
    // Past the last address of the family there is nothing to say.
    let bits = if shift == 0 { 32 } else { 128 - shift };
    if next >> bits == 0 {
        push(&mut entries, (next, None));
    }
    Ok(entries)
}

fn push<T: PartialEq>(entries: &mut Vec<Entry<T>>, entry: Entry<T>) {
    match entries.last_mut() {
        Some(last) if last.1 == entry.1 => {}
        Some(last) if last.0 == entry.0 => last.1 = entry.1,
        _ => entries.push(entry),
    }
}

/// Fields of one CSV line; quotes may hold commas and doubled quotes.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                fields.last_mut().into_iter().for_each(|field| field.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(character)),
        }
    }
    fields
}

/// At most [`NAME_MAX`] bytes, cut between words where it can be.
fn shorten(name: &str) -> String {
    let name = name.trim();
    if name.len() <= NAME_MAX {
        return name.to_owned();
    }
    let mut end = NAME_MAX;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let cut = &name[..end];
    cut.rsplit_once(' ').map_or(cut, |(words, _)| words).trim_end_matches([',', '-', '&']).trim().to_owned()
}
