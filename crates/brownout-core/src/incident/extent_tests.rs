use proptest::prelude::*;

use super::*;
use crate::model::{Asn, CityId};

fn country(code: &str) -> Facet {
    Facet::Country(code.parse().expect("a code"))
}

fn region(code: &str) -> Facet {
    Facet::Region(code.parse().expect("a code"))
}

fn city(id: u32) -> Facet {
    Facet::City(CityId::new(id).expect("not zero"))
}

fn network(asn: u32) -> Facet {
    Facet::Network(Asn::new(asn).expect("not zero"))
}

fn cell(counted: f64, mean: f64, size: f64) -> Cell {
    Cell { counted, usual: Expected { mean, size } }
}

fn part(facet: Facet, counted: f64, mean: f64) -> Counted {
    Counted { facet, home: "US".parse().ok(), cell: cell(counted, mean, 6.0), tells: true }
}

/// Two countries, two regions of one of them, four cities in these, three networks: what is usual in 15
/// minutes. `times` says by what each city of each network is multiplied.
fn counts(times: impl Fn(usize, u32) -> f64) -> (Cell, Vec<Counted>) {
    let cities = [
        ("US", "US-WI", 1, 3.0),
        ("US", "US-WI", 2, 1.0),
        ("US", "US-IL", 3, 6.0),
        ("US", "US-IL", 4, 2.0),
        ("DE", "DE-BE", 5, 5.0),
        ("FR", "FR-IDF", 6, 4.0),
        ("PK", "PK-PB", 7, 3.0),
    ];
    let networks = [(10, 0.5), (11, 0.3), (12, 0.2)];
    let mut parts: Vec<Counted> = Vec::new();
    let mut add = |facet: Facet, home: &str, counted: f64, mean: f64| match parts
        .iter_mut()
        .find(|part| part.facet == facet)
    {
        Some(part) => {
            part.cell.counted += counted;
            part.cell.usual.mean += mean;
        }
        None => parts.push(Counted { home: home.parse().ok(), ..part(facet, counted, mean) }),
    };
    for (index, (home, of, id, usual)) in cities.into_iter().enumerate() {
        for (nth, share) in networks {
            // Networks belong to one country each.
            let asn = nth + 100 * u32::from(home != "US") + 100 * u32::from(home == "FR" || home == "PK");
            let (counted, mean) = (usual * share * times(index, asn), usual * share);
            add(country(home), home, counted, mean);
            add(region(of), home, counted, mean);
            add(city(id), home, counted, mean);
            add(network(asn), home, counted, mean);
        }
    }
    let mut whole = Cell::sum(parts.iter().filter(|p| Level::Countries.has(p.facet)).map(|p| p.cell));
    whole.usual.size = 8.0;
    (whole, parts)
}

fn find(whole: Cell, parts: &[Counted]) -> Option<Extent> {
    let scattered = Scattered { known: [4, 5, 7, 9], ..Scattered::default() };
    extent(&Counts { whole, parts, scattered, window_minutes: 15, sources_min: 8 })
}

fn found(times: impl Fn(usize, u32) -> f64) -> (ExtentKind, Vec<Facet>) {
    let (whole, parts) = counts(times);
    let extent = find(whole, &parts).expect("clear");
    (extent.kind, extent.facets)
}

#[test]
fn each_kind_of_extent_is_told_from_the_others() {
    let only = |wanted: fn(usize, u32) -> bool| found(move |c, n| if wanted(c, n) { 20.0 } else { 1.0 });
    assert_eq!(only(|c, _| c == 0), (ExtentKind::City, vec![city(1)]));
    assert_eq!(only(|c, _| c < 2), (ExtentKind::Region, vec![region("US-WI")]));
    assert_eq!(only(|c, _| c < 4), (ExtentKind::Country, vec![country("US")]));
    assert_eq!(only(|c, _| c < 5), (ExtentKind::Several, vec![country("US"), country("DE")]));
    assert_eq!(only(|_, _| true), (ExtentKind::World, vec![]));
    assert_eq!(only(|_, n| n == 11), (ExtentKind::Network, vec![network(11)]));
}

#[test]
fn calm_has_no_extent() {
    let (whole, parts) = counts(|_, _| 1.1);
    assert_eq!(find(whole, &parts), None);
}

#[test]
fn countries_that_are_hit_with_different_force_are_the_world_when_no_other_is_calm() {
    let factor = |c: usize| [100.0, 100.0, 100.0, 100.0, 8.0, 15.0, 5.0][c];
    assert_eq!(found(|c, _| factor(c)), (ExtentKind::World, vec![]));
    let some = |c: usize| [100.0, 100.0, 100.0, 100.0, 8.0, 15.0, 1.0][c];
    let (kind, facets) = found(|c, _| some(c));
    assert_eq!((kind, facets.len()), (ExtentKind::Several, 3));
}

#[test]
fn reports_that_name_no_network_do_not_turn_an_isp_into_a_country() {
    let (whole, mut parts) = counts(|_, n| if n == 11 { 40.0 } else { 1.0 });
    for part in parts.iter_mut().filter(|part| Level::Networks.has(part.facet)) {
        part.cell.counted *= 0.4;
        part.cell.usual.mean *= 0.4;
    }
    let extent = find(whole, &parts).expect("clear");
    assert_eq!((extent.kind, extent.facets), (ExtentKind::Network, vec![network(11)]));
    // Where hardly any report names one, it is not known.
    for part in parts.iter_mut().filter(|part| Level::Networks.has(part.facet)) {
        part.cell.counted *= 0.2;
        part.cell.usual.mean *= 0.2;
    }
    assert_eq!(find(whole, &parts).expect("clear").kind, ExtentKind::Country);
}

#[test]
fn the_own_network_of_a_provider_is_no_extent() {
    let (whole, mut parts) = counts(|c, n| if n == 10 && c == 0 { 90.0 } else { 1.0 });
    for part in parts.iter_mut().filter(|part| part.facet == network(10)) {
        part.tells = false;
    }
    let extent = find(whole, &parts).expect("clear");
    assert_eq!((extent.kind, extent.facets), (ExtentKind::City, vec![city(1)]));
}

#[test]
fn an_extent_in_force_gives_way_after_three_looks_that_say_something_else() {
    let estimate = |times: fn(usize) -> f64| {
        let (whole, parts) = counts(|c, _| times(c));
        find(whole, &parts)
    };
    let (city, country) =
        (estimate(|c| if c == 0 { 20.0 } else { 1.0 }), estimate(|c| if c < 4 { 20.0 } else { 1.0 }));
    let mut track = ExtentTrack::default();
    assert!(!track.follow(None) && track.get().is_none());
    assert!(track.follow(city.clone()));
    assert!(!track.follow(country.clone()) && !track.follow(country.clone()));
    assert!(!track.follow(city.clone()) && !track.follow(None));
    assert_eq!(track.get(), city.as_ref());
    assert!(
        !track.follow(country.clone()) && !track.follow(country.clone()) && track.follow(country.clone())
    );
    assert_eq!(track.get(), country.as_ref());
    // Two that fit as well, by turns: one of them stays.
    let by_turns = (0..120).map(|look| if look / 5 % 2 == 0 { city.clone() } else { country.clone() });
    let revised = by_turns.filter(|estimate| track.follow(estimate.clone())).count();
    assert_eq!(revised, 3);
}

proptest! {
    #[test]
    fn a_uniform_rise_is_the_world(factor in 6.0..200.0f64) {
        prop_assert_eq!(found(|_, _| factor), (ExtentKind::World, vec![]));
    }

    #[test]
    fn more_in_the_city_that_is_named_keeps_it_named(factor in 8.0..60.0f64, more in 1.0..10.0f64, which in 0usize..7) {
        // The cities that are no country of their own.
        prop_assume!(which < 4);
        let named = |factor: f64| found(|c, _| if c == which { factor } else { 1.0 });
        let (kind, facets) = named(factor);
        prop_assume!(kind == ExtentKind::City);
        prop_assert_eq!(named(factor * more), (kind, facets));
    }

    #[test]
    fn the_order_of_parts_changes_nothing(turn in 0usize..20, which in 0usize..7, factor in 1.0..60.0f64) {
        let (whole, mut parts) = counts(|c, _| if c == which { factor } else { 1.0 });
        let before = find(whole, &parts);
        let length = parts.len();
        parts.rotate_left(turn % length);
        let after = find(whole, &parts);
        prop_assert_eq!(before.map(|extent| (extent.kind, extent.facets)), after.map(|extent| (extent.kind, extent.facets)));
    }
}
