//! The embedded table against well-known addresses, and MMDB files that the tests write.

use std::net::IpAddr;
use std::path::Path;

use super::*;

fn book(files: &[&Path]) -> AddressBook {
    let files = files.iter().map(|path| path.to_path_buf()).collect();
    AddressBook::new(files, Geography::embedded())
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn country(facts: AddressFacts) -> String {
    facts.place.country.map_or_else(|| "-".to_owned(), |code| code.to_string())
}

fn number(facts: AddressFacts) -> u32 {
    facts.network.map_or(0, |network| network.0.get())
}

/// A value of the MMDB data section, <https://maxmind.github.io/MaxMind-DB/>.
enum Value {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

impl Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Text(text) => control(out, 2, text.len(), |out| out.extend_from_slice(text.as_bytes())),
            Value::Short(number) => control(out, 5, 2, |out| out.extend_from_slice(&number.to_be_bytes())),
            Value::Long(number) => control(out, 9, 8, |out| out.extend_from_slice(&number.to_be_bytes())),
            Value::Number(number) => control(out, 6, 4, |out| out.extend_from_slice(&number.to_be_bytes())),
            Value::Map(entries) => control(out, 7, entries.len(), |out| {
                for (key, value) in entries {
                    Value::Text(key).write(out);
                    value.write(out);
                }
            }),
            Value::List(values) => {
                control(out, 11, values.len(), |out| values.iter().for_each(|value| value.write(out)));
            }
        }
    }
}

/// A control byte for sizes below 285; types above 7 are told in a second byte.
fn control(out: &mut Vec<u8>, kind: u8, size: usize, body: impl FnOnce(&mut Vec<u8>)) {
    let small = size.min(29) as u8;
    out.push(if kind <= 7 { kind << 5 | small } else { small });
    if kind > 7 {
        out.push(kind - 7);
    }
    if size >= 29 {
        out.push((size - 29) as u8);
    }
    body(out);
}

/// An IPv4 database of one /8 and its entry.
fn mmdb(first_byte: u8, kind: &'static str, entry: &Value) -> Vec<u8> {
    let nodes = 8_u32;
    let (nothing, data) = (nodes, nodes + 16);
    let mut out = Vec::new();
    for depth in 0..8_u8 {
        let bit = first_byte >> (7 - depth) & 1;
        let onward = if depth == 7 { data } else { u32::from(depth) + 1 };
        let pair = if bit == 0 { [onward, nothing] } else { [nothing, onward] };
        pair.iter().for_each(|record| out.extend_from_slice(&record.to_be_bytes()[1..]));
    }
    out.extend_from_slice(&[0; 16]);
    entry.write(&mut out);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    Value::Map(vec![
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1_741_564_800)),
        ("database_type", Value::Text(kind)),
        ("description", Value::Map(vec![])),
        ("ip_version", Value::Short(4)),
        ("languages", Value::List(vec![])),
        ("node_count", Value::Number(nodes)),
        ("record_size", Value::Short(24)),
    ])
    .write(&mut out);
    out
}

fn city_entry(country: &'static str, region: &'static str, city: u32) -> Value {
    Value::Map(vec![
        ("country", Value::Map(vec![("iso_code", Value::Text(country))])),
        ("subdivisions", Value::List(vec![Value::Map(vec![("iso_code", Value::Text(region))])])),
        ("city", Value::Map(vec![("geoname_id", Value::Number(city))])),
    ])
}

const LAHORE: u32 = 1_172_451;

#[test]
fn the_embedded_table_knows_well_known_addresses() {
    let book = book(&[]);
    assert!(book.ranges.is_some());
    for (text, network) in [
        ("1.1.1.1", 13335),
        ("8.8.8.8", 15169),
        ("2606:4700:4700::1111", 13335),
        ("2001:4860:4860::8888", 15169),
        ("193.0.6.139", 3333),
        ("17.253.144.10", 714),
    ] {
        assert_eq!(number(book.lookup(address(text))), network, "{text}");
    }
    for (text, expected) in
        [("39.32.0.1", "PK"), ("81.128.0.1", "GB"), ("73.0.0.1", "US"), ("2001:200::1", "JP")]
    {
        assert_eq!(country(book.lookup(address(text))), expected, "{text}");
    }
    let mapped = book.lookup(address("::ffff:8.8.8.8"));
    assert_eq!(mapped, book.lookup(address("8.8.8.8")), "a mapped address is the address it maps");
}

#[test]
fn addresses_that_are_nowhere_have_no_facts() {
    let book = book(&[]);
    for text in [
        "0.0.0.0",
        "10.1.2.3",
        "127.0.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "192.168.1.1",
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "2001:db8::1",
        "ff02::1",
    ] {
        assert_eq!(book.lookup(address(text)), AddressFacts::default(), "{text}");
    }
}

#[test]
fn networks_have_names() {
    let book = book(&[]);
    let name = |number| book.network_name(Asn::new(number).expect("not zero"));
    assert!(name(17557).is_some_and(|name| name.starts_with("Pakistan Tele")), "{:?}", name(17557));
    assert!(name(11427).is_some_and(|name| name.contains("Charter")), "{:?}", name(11427));
    assert_eq!(name(4_200_000_000), None, "a private number is nobody's");
}

#[test]
fn an_operators_database_comes_first_and_knows_cities() {
    let folder = tempfile::tempdir().expect("a folder");
    let cities = folder.path().join("cities.mmdb");
    let networks = folder.path().join("networks.mmdb");
    std::fs::write(&cities, mmdb(8, "Test-City", &city_entry("PK", "PB", LAHORE))).expect("written");
    let entry = Value::Map(vec![("autonomous_system_number", Value::Number(64500))]);
    std::fs::write(&networks, mmdb(8, "Test-ASN", &entry)).expect("written");

    let book = book(&[&cities, &networks]);
    assert_eq!(country(book.lookup(address("8.8.8.8"))), "US", "not read yet");
    assert_eq!(book.refresh().len(), 2);
    let facts = book.lookup(address("8.8.8.8"));
    assert_eq!((country(facts).as_str(), number(facts)), ("PK", 64500));
    assert_eq!(facts.place.region.map(|region| region.to_string()).as_deref(), Some("PK-PB"));
    assert_eq!(facts.place.city.map(|city| city.0.get()), Some(LAHORE));
    assert_eq!(number(book.lookup(address("1.1.1.1"))), 13335, "what it lacks comes from the table");

    let today = jiff::civil::date(2025, 3, 20);
    let sources = book.describe(today);
    assert_eq!(sources.len(), 3);
    assert_eq!(sources[0].content.as_deref(), Some("Test-City"));
    assert_eq!((sources[0].date.as_deref(), sources[0].age_days), (Some("2025-03-10"), Some(10)));
    assert!(sources[2].content.as_ref().is_some_and(|content| content.contains("CC BY 4.0")));
}

#[test]
fn a_flat_database_and_an_unknown_city_are_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let flat = folder.path().join("flat.mmdb");
    let entry = Value::Map(vec![
        ("country", Value::Text("GB")),
        ("city", Value::Text("Manchester")),
        ("asn", Value::Text("AS2856")),
    ]);
    std::fs::write(&flat, mmdb(8, "flat", &entry)).expect("written");
    let one = book(&[&flat]);
    one.refresh();
    let facts = one.lookup(address("8.8.8.8"));
    let city = facts.place.city.and_then(|id| one.geography.city(id));
    assert_eq!(city.map(|city| city.name.as_str()), Some("Manchester"));
    assert_eq!((country(facts).as_str(), number(facts)), ("GB", 2856));

    std::fs::write(&flat, mmdb(8, "city", &city_entry("PK", "PB", 4_000_000_000))).expect("written");
    let another = book(&[&flat]);
    another.refresh();
    let place = another.lookup(address("8.8.8.8")).place;
    assert!(place.city.is_none() && place.region.is_some(), "{place:?}");
}

#[test]
fn a_changed_file_is_read_again_and_a_broken_one_is_told_of_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("place.mmdb");
    std::fs::write(&path, mmdb(8, "one", &city_entry("PK", "PB", LAHORE))).expect("written");
    let book = book(&[&path]);
    assert_eq!(book.refresh()[0].outcome, Ok(()));
    assert!(book.refresh().is_empty(), "nothing changed");

    let replace = |bytes: &[u8]| {
        let beside = folder.path().join("new");
        std::fs::write(&beside, bytes).expect("written");
        std::fs::rename(&beside, &path).expect("renamed");
    };
    let whole = mmdb(8, "two", &city_entry("DE", "BE", 2_950_159));
    for broken in [&b"no database"[..], &whole[..whole.len() / 2], &[]] {
        replace(broken);
        let news = book.refresh();
        assert!(news.len() == 1 && news[0].outcome.is_err(), "{news:?}");
        assert!(book.refresh().is_empty(), "it is told of once");
        assert_eq!(country(book.lookup(address("8.8.8.8"))), "PK", "the old one stays");
    }
    std::fs::remove_file(&path).expect("removed");
    assert!(book.refresh()[0].outcome.is_err());
    assert!(book.refresh().is_empty());
    assert_eq!(country(book.lookup(address("8.8.8.8"))), "PK", "the old one stays");
    replace(&whole);
    assert_eq!(book.refresh()[0].outcome, Ok(()));
    assert_eq!(country(book.lookup(address("8.8.8.8"))), "DE");
}

#[test]
fn no_damage_to_a_file_makes_a_lookup_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("place.mmdb");
    let whole = mmdb(8, "one", &city_entry("PK", "PB", LAHORE));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).expect("written");
        let book = book(&[&path]);
        book.refresh();
        let _ = book.lookup(address("8.8.8.8"));
    }
}
