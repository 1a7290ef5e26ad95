use super::clues::{Party, weigh};
use super::parts::{Counted, Network, Parts};
use super::rise::{COURSE_MINUTES, Rise};
use super::*;
use crate::model::{Asn, Category, CountryCode, Minute, ProblemKind, Service};
use crate::snapshot::Onset;
use crate::verdict::ClueKind;

/// A step of so many reports a minute that began so many minutes ago.
fn rise(per_minute: f64, began: u32) -> Rise {
    let now = 10_000;
    let course = (0..COURSE_MINUTES)
        .map(|minute| if COURSE_MINUTES - minute <= began { per_minute + 1.0 } else { 1.0 });
    let minutes = began.clamp(5, 60);
    let observed = (per_minute + 1.0) * f64::from(began);
    let begin = Minute(now - began);
    Rise {
        onset: Onset { earliest: begin, likeliest: begin, latest: begin },
        first: begin,
        course: course.collect(),
        running: 0.0,
        usual_minute: 1.0,
        parts: Parts {
            minutes,
            whole: Counted { what: (), observed, usual: f64::from(minutes) },
            kinds: Vec::new(),
            countries: Vec::new(),
            networks: Vec::new(),
        },
        lately: None,
        of_part: None,
    }
}

fn service(id: u32, slug: &str, category: Category) -> Service {
    Service::new(ServiceId(id), slug, slug, category)
}

fn mobile(id: u32, slug: &str) -> Service {
    Service { networks: Asn::new(64_500 + id).into_iter().collect(), ..service(id, slug, Category::Mobile) }
}

fn nats(small: (&Service, &Rise), large: (&Service, &Rise)) -> f64 {
    let party = |(service, rise)| Party { service, rise };
    weigh(party(small), party(large), false).0
}

#[test]
fn no_fixed_share_decides() {
    let (a, b) = (mobile(1, "a"), mobile(2, "b"));
    let large = rise(1000.0, 20);
    let of = |share: f64, began: u32| nats((&a, &rise(1000.0 * share, began)), (&b, &large));
    // 38%, as of Google Cloud in 2025, in the same minutes: an echo.
    assert!(of(0.38, 20) > ECHO_NATS, "{}", of(0.38, 20));
    // 2%, but from half an hour before on: its own.
    assert!(of(0.02, 50) < DOUBT_NATS, "{}", of(0.02, 50));
    // As large as the other: not without more evidence.
    assert!(of(1.0, 20) < of(0.38, 20) && of(0.38, 20) < of(0.02, 20));
}

#[test]
fn evidence_for_a_failure_of_its_own_never_makes_an_echo_likelier() {
    let (a, b) = (mobile(1, "a"), mobile(2, "b"));
    let large = rise(1000.0, 20);
    let with = |on: u32, calls: u32| {
        let mut small = rise(2.0, 20);
        let of = |asn| Network { asn, home: None };
        let counted =
            |asn, observed: u32| Counted { what: of(asn), observed: f64::from(observed), usual: 0.0 };
        small.parts.networks =
            vec![counted(a.networks[0], on), counted(Asn::new(64_999).expect("not zero"), 40 - on)];
        let kinds = [(ProblemKind::Calls, calls), (ProblemKind::OtherNetwork, 40 - calls)];
        small.parts.kinds = kinds
            .iter()
            .map(|(what, n)| Counted { what: *what, observed: f64::from(*n), usual: 0.0 })
            .collect();
        nats((&a, &small), (&b, &large))
    };
    for more in 0..40 {
        assert!(with(more + 1, 20) <= with(more, 20), "on its own network: {more}");
        assert!(with(20, more + 1) <= with(20, more), "calls fail: {more}");
    }
    assert!(with(0, 0) > with(40, 40) && with(40, 40) < DOUBT_NATS);
}

#[test]
fn every_clue_is_bounded() {
    let (a, b) = (mobile(1, "a"), mobile(2, "b"));
    for (small, large) in [(1e-3, 1e6), (1e6, 1e-3), (1e6, 1e6)] {
        let party = |service, rise| Party { service, rise };
        let (small, large) = (rise(small, 60), rise(large, 5));
        let (_, clues) = weigh(party(&a, &small), party(&b, &large), false);
        for clue in clues.iter().filter(|clue| clue.kind != ClueKind::Relation) {
            assert!(clue.nats().is_finite() && clue.nats().abs() < 10.0, "{clue:?}");
        }
    }
}

#[test]
fn what_is_built_on_a_failing_service_is_no_echo_of_it() {
    let cloud = service(0, "cloud", Category::Cloud);
    let mut app = service(1, "app", Category::Social);
    app.depends_on = vec!["cloud".to_owned()];
    let catalogue = Catalogue::new(vec![cloud, app]).expect("a catalogue");
    let (large, small) = (rise(500.0, 20), rise(10.0, 18));
    let rising =
        |id, rise| Rising { service: ServiceId(id), rise, departs: true, is_open: false, held: None };
    let found = explain(&[rising(0, &large), rising(1, &small)], &catalogue);
    let known = found.get(&ServiceId(1)).map(|found| (found.bond, found.cause));
    assert_eq!(known, Some((Bond::Dependency, Cause::Service(ServiceId(0)))));
    assert!(!found.contains_key(&ServiceId(0)));
}

#[test]
fn strangers_that_rise_together_are_a_pattern_and_one_alone_is_none() {
    let kinds = [Category::Finance, Category::Games, Category::News, Category::Travel];
    let services: Vec<Service> =
        (0..4).map(|id| service(id, &format!("s{id}"), kinds[id as usize])).collect();
    let catalogue = Catalogue::new(services).expect("a catalogue");
    let together = rise(50.0, 15);
    let of = |count: u32, rise: &Rise| {
        let rising: Vec<Rising<'_>> = (0..count)
            .map(|id| Rising { service: ServiceId(id), rise, departs: true, is_open: false, held: None })
            .collect();
        explain(&rising, &catalogue).values().filter(|found| found.bond == Bond::Pattern).count()
    };
    assert_eq!((of(1, &together), of(2, &together), of(4, &together)), (0, 0, 4));
}

#[test]
fn who_names_a_function_that_fails_speaks_for_a_failure() {
    let (a, b) = (service(1, "a", Category::Finance), service(2, "b", Category::Finance));
    let large = rise(1000.0, 20);
    let with = |vague: u32| {
        let mut small = rise(2.0, 20);
        let of = |what, observed| Counted { what, observed: f64::from(observed), usual: 5.0 };
        small.parts.kinds =
            vec![of(ProblemKind::Unreachable, 5 + vague), of(ProblemKind::Payments, 45 - vague)];
        nats((&a, &small), (&b, &large))
    };
    for more in 0..40 {
        assert!(with(more + 1) >= with(more), "that it does not open: {more}");
    }
    assert!(with(40) > with(0) + 1.0);
}

#[test]
fn a_cause_that_does_not_depart_itself_needs_far_more_evidence() {
    let (a, b) = (mobile(1, "a"), mobile(2, "b"));
    let catalogue = Catalogue::new(vec![a, b]).unwrap();
    let large = rise(1000.0, 20);
    // The same beginning, or one that comes a little early.
    let explained = |began: u32, cause_departs: bool| {
        let small = rise(38.0, began);
        let party = |service, rise, departs| Rising {
            service: ServiceId(service),
            rise,
            departs,
            is_open: false,
            held: None,
        };
        let rising = [party(1, &small, true), party(2, &large, cause_departs)];
        explain(&rising, &catalogue).remove(&ServiceId(1)).map(|found| (found.nats, found.is_certain))
    };
    for began in 20..27 {
        let (nats, is_certain) = explained(began, true).unwrap_or((f64::MIN, false));
        assert_eq!(is_certain, nats >= ECHO_NATS, "{began}: {nats}");
        let (nats, is_certain) = explained(began, false).unwrap_or((f64::MIN, false));
        assert_eq!(is_certain, nats >= QUIET_CAUSE_NATS, "{began}: {nats}");
    }
    assert_eq!(explained(20, false).map(|(_, is_certain)| is_certain), Some(true));
    let is_between = |began: u32| {
        explained(began, true).is_some_and(|(_, is_certain)| is_certain)
            && explained(began, false).is_some_and(|(_, is_certain)| !is_certain)
    };
    assert!((20..27).any(is_between));
}

#[test]
fn what_comes_as_much_later_as_it_began_later_runs_alike() {
    let (a, b) = (service(1, "a", Category::Finance), service(2, "b", Category::Finance));
    // A failure that doubles after 12 minutes, and a rise that follows it 10 minutes later, or does not.
    let doubling = |began: u32, per_minute: f64, doubles_after: u32| {
        let mut rise = rise(per_minute, began);
        for back in 0..began.saturating_sub(doubles_after) {
            let minute = rise.course.len() - 1 - back as usize;
            rise.course[minute] = 2.0 * per_minute + 1.0;
        }
        rise
    };
    let large = doubling(40, 200.0, 12);
    let course = |small: &Rise| {
        let party = |service, rise| Party { service, rise };
        let (_, clues) = weigh(party(&a, small), party(&b, &large), false);
        let course = clues.iter().find(|clue| clue.kind == ClueKind::Course);
        course.map_or(0.0, |clue| clue.nats())
    };
    let (follows, steady) = (course(&doubling(30, 10.0, 12)), course(&rise(10.0, 30)));
    assert!(follows > 0.0 && follows > steady + 1.0, "{follows} {steady}");
}

#[test]
fn what_is_nearly_as_large_as_a_published_one_waits_a_little() {
    let catalogue = Catalogue::new(vec![mobile(1, "a"), mobile(2, "b")]).unwrap();
    let explained = |published: f64, is_open: bool| {
        let (new, old) = (rise(10.0, 3), rise(published, 3));
        let rising =
            |id, rise, is_open| Rising { service: ServiceId(id), rise, departs: true, is_open, held: None };
        explain(&[rising(1, &new, false), rising(2, &old, is_open)], &catalogue).remove(&ServiceId(1))
    };
    let found = explained(8.0, true).expect("in doubt");
    assert!(!found.is_certain && found.nats < 0.0 && found.cause == Cause::Service(ServiceId(2)));
    // Neither beside one that is far smaller, nor beside one that nobody has seen yet.
    assert_eq!(explained(2.0, true), None);
    assert_eq!(explained(8.0, false), None);
}

#[test]
fn those_of_one_category_alone_prove_no_common_dependency() {
    let cloud = service(0, "cloud", Category::Cloud);
    let others = |id: u32| service(100 + id, &format!("other-{id}"), Category::News);
    let found = |categories: [Category; 3]| {
        let mut services = vec![cloud.clone()];
        services.extend((1..=3).map(|id| Service {
            depends_on: vec!["cloud".to_owned()],
            ..service(id, &format!("s{id}"), categories[id as usize - 1])
        }));
        services.extend((0..60).map(others));
        let catalogue = Catalogue::new(services).expect("a catalogue");
        let large = rise(100.0, 10);
        let rising = (1..=3).map(|id| Rising {
            service: ServiceId(id),
            rise: &large,
            departs: true,
            is_open: false,
            held: None,
        });
        let rising: Vec<Rising<'_>> = rising.collect();
        explain(&rising, &catalogue).values().filter(|found| found.bond == Bond::Dependency).count()
    };
    assert_eq!(found([Category::Games, Category::Finance, Category::Games]), 3);
    assert_eq!(found([Category::Games; 3]), 0);
}

#[test]
fn once_a_networks_fault_is_known_noise_elsewhere_does_not_hide_its_victims() {
    let provider = mobile(0, "provider");
    let asn = provider.networks[0];
    let apps = [service(1, "app", Category::Games), service(2, "busy", Category::Finance)];
    let catalogue = Catalogue::new([vec![provider], apps.to_vec()].concat()).expect("a catalogue");
    let of = |on: f64, elsewhere: f64, usual: f64| {
        let mut rise = rise((on + elsewhere) / 10.0, 10);
        rise.parts.whole = Counted { what: (), observed: usual + on + elsewhere, usual };
        let other = Asn::new(64_999).expect("a network");
        rise.parts.networks = vec![
            Counted { what: Network { asn, home: None }, observed: on + 0.2 * usual, usual: 0.2 * usual },
            Counted {
                what: Network { asn: other, home: None },
                observed: elsewhere + 0.8 * usual,
                usual: 0.8 * usual,
            },
        ];
        rise
    };
    // A victim that is known, and a busy service with as many complaints as its noise brings elsewhere.
    let (victim, busy) = (of(60.0, 1.0, 5.0), of(20.0, 40.0, 60.0));
    let explained = |held: Option<(Bond, Cause)>| {
        let rising =
            |id, rise, held| Rising { service: ServiceId(id), rise, departs: true, is_open: false, held };
        let rising = [rising(1, &victim, held), rising(2, &busy, None)];
        explain(&rising, &catalogue).remove(&ServiceId(2)).map(|found| (found.bond, found.is_certain))
    };
    assert_eq!(explained(Some((Bond::Network, Cause::Service(ServiceId(0))))), Some((Bond::Network, true)));
    assert_eq!(explained(None), None);
}

fn country(name: &str) -> CountryCode {
    name.parse().expect("a country")
}

/// A service with customers of three networks in Germany, and people in France who name none.
fn of_two_countries(on: [f64; 2], elsewhere: [f64; 2]) -> Parts {
    let [de, fr] = ["DE", "FR"].map(country);
    let counted = |what, observed, usual| Counted { what, observed, usual };
    let whole =
        Counted { what: (), observed: 20.0 + on[0] + on[1] + elsewhere[0] + elsewhere[1], usual: 20.0 };
    let network = |number, above: f64, usual| {
        let asn = Asn::new(number).expect("a network");
        Counted { what: Network { asn, home: Some(de) }, observed: usual + above, usual }
    };
    let above_de = on[0] + on[1] + elsewhere[0];
    Parts {
        minutes: 15,
        whole,
        kinds: Vec::new(),
        countries: vec![counted(de, 10.0 + above_de, 10.0), counted(fr, 10.0 + elsewhere[1], 10.0)],
        networks: vec![network(1, on[0], 4.0), network(2, on[1], 2.0), network(3, elsewhere[0], 4.0)],
    }
}

#[test]
fn what_rises_in_other_countries_is_not_of_a_network_although_nobody_there_names_one() {
    let is_first = |asn: Asn| asn.0.get() == 1;
    let (on, all) = of_two_countries([100.0, 0.0], [0.0, 300.0]).on_networks(is_first);
    assert_eq!((on, all), (100.0, 400.0));
    // Customers who are abroad are customers.
    let mut abroad = of_two_countries([100.0, 0.0], [0.0, 0.0]);
    (abroad.countries[0].observed, abroad.countries[1].observed) = (10.0, 110.0);
    assert_eq!(abroad.on_networks(is_first), (100.0, 100.0));
}

#[test]
fn what_fails_in_one_country_is_no_fault_of_its_largest_network() {
    let nats = |parts: &Parts, wanted: &dyn Fn(Asn) -> bool| {
        let (on, all) = parts.on_networks(wanted);
        clues::concentration(on, all, parts.usual_shares(wanted)).expect("enough")
    };
    let is_first = |asn: Asn| asn.0.get() == 1;
    let is_either = |asn: Asn| asn.0.get() <= 2;
    // Germany alone, everybody alike: 40% of what is usual there is of the first.
    let country = of_two_countries([40.0, 20.0], [40.0, 0.0]);
    assert!(nats(&country, &is_first) < -2.0 && nats(&country, &is_either) < 0.0);
    let network = of_two_countries([40.0, 0.0], [1.0, 1.0]);
    assert!(nats(&network, &is_first) > 4.0);
    // Two at once.
    let both = of_two_countries([40.0, 30.0], [1.0, 1.0]);
    assert!(nats(&both, &is_first) < 0.0 && nats(&both, &is_either) > 2.0);
}
