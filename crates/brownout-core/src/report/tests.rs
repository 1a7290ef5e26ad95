use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{Category, City, CityId, Country, CountryCode, Geography, Region, Service};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn country(code: &str) -> Country {
    Country {
        code: code.parse().unwrap(),
        name: code.into(),
        population: 1,
        internet_users: None,
        latitude: 0.0,
        longitude: 0.0,
    }
}

fn city(id: u32, name: &str, country: &str, region: Option<&str>, population: u32) -> City {
    City {
        id: CityId::new(id).unwrap(),
        name: name.into(),
        country: country.parse().unwrap(),
        region: region.map(|code| code.parse().unwrap()),
        population,
        latitude: 0.0,
        longitude: 0.0,
    }
}

fn places() -> Places {
    let region = |code: &str| Region { code: code.parse().unwrap(), name: code.into() };
    Places::new(Arc::new(Geography::new(
        vec![country("PK"), country("US")],
        vec![region("PK-PB"), region("PK-SD"), region("US-OR"), region("US-ME")],
        vec![
            city(1172451, "Lahore", "PK", Some("PK-PB"), 13_000_000),
            city(1174872, "Karachi", "PK", Some("PK-SD"), 16_000_000),
            city(5746545, "Portland", "US", Some("US-OR"), 650_000),
            city(4975802, "Portland", "US", Some("US-ME"), 68_000),
            city(7, "Größe", "US", None, 20_000),
        ],
        "test".into(),
    )))
}

fn catalogue() -> Catalogue {
    Catalogue::new(vec![Service::new(ServiceId(3), "x", "X", Category::Social)]).unwrap()
}

fn code(text: &str) -> Option<CountryCode> {
    Some(text.parse().unwrap())
}

fn named<'a>(country: Option<&'a str>, region: Option<&'a str>, city: &'a str) -> StatedPlace<'a> {
    StatedPlace { country, region, city: Some(CityName::Name(city)) }
}

#[test]
fn an_address_is_cut_to_source_and_subnet() {
    assert_eq!(Prefix::source(address("192.0.2.77")), Prefix::V4([192, 0, 2, 77]));
    assert_eq!(Prefix::subnet(address("192.0.2.77")), Prefix::V4([192, 0, 2, 0]));
    assert_eq!(Prefix::source(address("::ffff:192.0.2.77")), Prefix::source(address("192.0.2.77")));
    assert_eq!(Prefix::source(address("2001:db8:1:2:3::1")), Prefix::source(address("2001:db8:1:2:ffff::9")));
    assert_ne!(Prefix::source(address("2001:db8:1:2::1")), Prefix::source(address("2001:db8:1:3::1")));
    assert_eq!(Prefix::subnet(address("2001:db8:1:2::1")), Prefix::subnet(address("2001:db8:1:3::1")));
}

#[test]
fn keys_depend_on_salt_service_and_prefix_only() {
    let (old, new) = (Salt::new(1, [1; 32]), Salt::new(2, [2; 32]));
    let here = address("192.0.2.77");
    let before = source_keys(&old, None, ServiceId(3), here, 0);
    let overlap = source_keys(&new, Some(&old), ServiceId(3), address("::ffff:192.0.2.77"), 0);
    assert_eq!(overlap.previous.map(|it| (it.source, it.subnet)), Some((before.source, before.subnet)));
    assert_eq!((overlap.generation, before.previous), (2, None));
    assert_ne!(overlap.source, before.source);
    assert_ne!(source_keys(&old, None, ServiceId(4), here, 0).source, before.source);
    let neighbour = source_keys(&old, None, ServiceId(3), address("192.0.2.78"), 0);
    assert_eq!(neighbour.subnet, before.subnet);
    assert_ne!(neighbour.source, before.source);
    let other_agent = source_keys(&old, None, ServiceId(3), here, 1);
    assert_ne!(other_agent.source, before.source);
    assert_eq!(other_agent.subnet, before.subnet);
    assert_ne!(before.source, before.subnet);
}

#[test]
fn a_salt_never_shows_its_secret() {
    assert_eq!(format!("{:?}", Salt::new(7, [0xAB; 32])), "Salt(7, ..)");
}

#[test]
fn partner_keys_are_apart_by_channel_and_follow_the_salt() {
    let (old, new) = (Salt::new(1, [1; 32]), Salt::new(2, [2; 32]));
    let a = PartnerKey::live(&old, None, ChannelId(16));
    let b = PartnerKey::live(&old, None, ChannelId(17));
    let first = partner_keys(&a, ServiceId(3), b"abc", Some(b"def"));
    assert_ne!(first.source, partner_keys(&b, ServiceId(3), b"abc", Some(b"def")).source);
    assert_ne!(first.source, first.subnet);
    assert_eq!(first.subnet, partner_keys(&a, ServiceId(3), b"xyz", Some(b"def")).subnet);
    let alone = partner_keys(&a, ServiceId(3), b"abc", None);
    assert_eq!(alone.source, first.source);
    assert_ne!(alone.subnet, alone.source);
    let later = partner_keys(&PartnerKey::live(&new, Some(&old), ChannelId(16)), ServiceId(3), b"abc", None);
    assert_eq!(later.previous.map(|it| (it.source, it.subnet)), Some((alone.source, alone.subnet)));
    // Scenarios have to give the same log on every machine.
    let fixed = partner_keys(&PartnerKey::fixed(ChannelId(16)), ServiceId(3), b"abc", None);
    assert_eq!((fixed.generation, fixed.source), (0, 5_967_779_219_525_408_475));
}

#[test]
fn a_city_brings_its_region_and_country() {
    let places = places();
    let lahore = places.resolve(&named(Some("pk"), None, "LAHORE"), None).unwrap();
    assert_eq!(lahore.region, Some("PK-PB".parse().unwrap()));
    let by_number = StatedPlace { city: Some(CityName::Number(1172451)), ..StatedPlace::default() };
    assert_eq!(places.resolve(&by_number, None), Ok(lahore));
    assert_eq!(places.resolve(&named(None, None, "lahore"), code("PK")), Ok(lahore));
    assert_eq!(places.resolve(&named(Some("US"), None, "GRÖSE"), None), Err(RejectReason::UnknownCity));
    for name in ["GRÖßE", "GRÖSSE", "Grosse"] {
        assert!(places.resolve(&named(Some("US"), None, name), None).is_ok(), "{name}");
    }
}

#[test]
fn cities_are_known_as_people_write_them() {
    let places = Places::new(Geography::embedded());
    for (country, name) in [
        ("US", "New York"),
        ("US", "st louis"),
        ("BR", "Sao Paulo"),
        ("BR", "Sa\u{303}o Paulo"),
        ("CH", "Zurich"),
        ("CO", "Bogota"),
        ("CA", "Montreal"),
        ("PL", "Krakow"),
        ("DE", "Koln"),
        ("DE", "München"),
        ("IN", "Bangalore"),
        ("TR", "İstanbul"),
        ("UA", "Kiev"),
    ] {
        let found = places.resolve(&named(Some(country), None, name), None);
        assert!(found.is_ok_and(|place| place.city.is_some()), "{name}");
    }
}

#[test]
fn of_cities_with_one_name_the_region_or_the_size_decides() {
    let places = places();
    let city = |stated: &StatedPlace<'_>| places.resolve(stated, None).unwrap().city;
    assert_eq!(city(&named(Some("US"), None, "Portland")), CityId::new(5746545));
    assert_eq!(city(&named(None, Some("US-ME"), "Portland")), CityId::new(4975802));
}

#[test]
fn places_that_do_not_exist_or_contradict_are_refused() {
    let places = places();
    let why =
        |country, region, city| places.resolve(&StatedPlace { country, region, city }, None).unwrap_err();
    assert_eq!(why(Some("XX"), None, None), RejectReason::UnknownCountry);
    assert_eq!(why(Some("Pakistan"), None, None), RejectReason::UnknownCountry);
    assert_eq!(why(None, Some("PK-ZZ"), None), RejectReason::UnknownRegion);
    assert_eq!(why(Some("US"), Some("PK-PB"), None), RejectReason::PlaceContradicts);
    assert_eq!(why(None, None, Some(CityName::Number(0))), RejectReason::UnknownCity);
    assert_eq!(why(None, None, Some(CityName::Name("Lahore"))), RejectReason::UnknownCity);
    assert_eq!(why(Some("US"), None, Some(CityName::Number(1172451))), RejectReason::PlaceContradicts);
    assert_eq!(why(None, Some("PK-SD"), Some(CityName::Number(1172451))), RejectReason::PlaceContradicts);
}

#[test]
fn the_address_decides_the_country_and_a_statement_refines_it() {
    let places = places();
    let place = |stated| places.resolve(&stated, None).unwrap();
    let lahore = place(named(Some("PK"), None, "Lahore"));
    let karachi = place(named(Some("PK"), None, "Karachi"));
    let pakistan = Place { country: code("PK"), ..Place::default() };
    let portland = place(named(Some("US"), None, "Portland"));
    let nowhere = Place::default();
    assert_eq!(places.settle(lahore, nowhere), lahore, "only the statement is known");
    assert_eq!(places.settle(nowhere, lahore), lahore, "nothing stated");
    assert_eq!(places.settle(lahore, portland), portland, "another country: the address wins");
    assert_eq!(places.settle(karachi, lahore), karachi, "another city of the country refines");
    assert_eq!(places.settle(pakistan, lahore), lahore, "the country alone adds nothing");
    let sindh = Place { city: None, ..karachi };
    assert_eq!(places.settle(sindh, lahore), sindh, "a city outside the stated region is dropped");
    let punjab = Place { city: None, ..lahore };
    assert_eq!(places.settle(punjab, lahore), lahore, "a city inside it is kept");
}

#[test]
fn a_draft_is_checked_word_by_word() {
    let (catalogue, places) = (catalogue(), places());
    let fine = Draft { service: "x", kind: "login", comment: Some("  <b>é</b> "), ..Draft::default() };
    let check = |draft: &Draft<'_>, strict| check(draft, &catalogue, &places, Place::default(), strict);
    let checked = check(&fine, true).unwrap();
    assert_eq!(checked.comment.as_deref(), Some("<b>é</b>"), "kept verbatim");
    assert_eq!(check(&Draft { service: "y", ..fine.clone() }, true), Err(RejectReason::UnknownService));
    assert_eq!(check(&Draft { kind: "Login", ..fine.clone() }, true), Err(RejectReason::UnknownKind));
    let (longest, long) = ("é".repeat(500), "é".repeat(501));
    assert!(check(&Draft { comment: Some(&longest), ..fine.clone() }, true).is_ok());
    let draft = Draft { comment: Some(&long), ..fine.clone() };
    assert_eq!(check(&draft, true), Err(RejectReason::CommentTooLong));
    let draft = Draft { place: named(Some("PK"), None, "Atlantis"), ..fine };
    assert_eq!(check(&draft, true), Err(RejectReason::UnknownCity));
    assert_eq!(check(&draft, false).unwrap().place.country, code("PK"), "a person is not sent back");
}

proptest! {
    #[test]
    fn any_words_give_an_answer(service in ".{0,60}", kind in ".{0,20}", text in ".{0,200}", number: u32) {
        let (catalogue, places) = (catalogue(), places());
        for city in [CityName::Name(&text), CityName::Number(number)] {
            let place = StatedPlace { country: Some(&kind), region: Some(&text), city: Some(city) };
            let draft = Draft { service: &service, kind: &kind, place, comment: Some(&text) };
            prop_assert!(check(&draft, &catalogue, &places, Place::default(), true).is_err());
            let only_city = StatedPlace { city: Some(city), ..StatedPlace::default() };
            if let Ok(place) = places.resolve(&only_city, code("US")) {
                prop_assert!(place.country.is_some() && place.city.is_some());
            }
        }
    }
}
