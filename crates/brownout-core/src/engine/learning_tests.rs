//! What a service and its parts are taught by noise that is known.

use libm::log;

use super::driven::Driven;
use crate::model::{
    Asn, ChannelId, CityId, CountryCode, Evidence, Facet, Place, ProblemKind, Report, ServiceId, SourceKeys,
    UtcTime, Weight, minutes_ahead,
};
use crate::series::Learned;

/// Sources an hour, and the shape of the Gamma factor that their rate has in every hour of the clock.
const PER_HOUR: f64 = 12.0;
const SHAPE: usize = 6;
const WEEKS: u64 = 10;

/// A linear congruential generator.
struct Draws(u64);

impl Draws {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -log(self.unit())
    }

    /// Instants within one hour, 0 to 1, of which so many are expected.
    fn instants(&mut self, mean: f64) -> Vec<f64> {
        let mut instants = Vec::new();
        let mut until = self.exponential() / mean;
        while until < 1.0 {
            instants.push(until);
            until += self.exponential() / mean;
        }
        instants
    }
}

/// A report of a country and of one network by a source of its own.
fn report(number: u64, country: &str, occurred_at: UtcTime) -> Report {
    let country = country.parse::<CountryCode>().ok();
    Report {
        service: ServiceId(0),
        kind: ProblemKind::ALL[(number % 3) as usize],
        channel: ChannelId::WEB,
        occurred_at,
        place: Place { country, region: None, city: CityId::new(1 + (number % 2) as u32) },
        network: Asn::new(1),
        source: SourceKeys { generation: 1, source: number, subnet: number, previous: None },
        weight: Weight::FULL,
    }
}

#[test]
fn parts_that_borrow_a_weekly_shape_are_not_taken_for_quieter_than_they_are() {
    let begin: UtcTime = "2025-03-03T00:00:00Z".parse().expect("a time");
    let mut driven = Driven::with_one_service(begin);
    let mut reports = 0;
    let mut draws = Draws(1);
    // Noise is known for a week or two, so that one look at it tells little.
    let (mut sum, mut looks) = ([0.0; 2], 0.0);
    for hour in 0..WEEKS * 168 {
        let factor = (0..SHAPE).map(|_| draws.exponential()).sum::<f64>() / SHAPE as f64;
        for instant in draws.instants(PER_HOUR * factor) {
            reports += 1;
            let at = begin.plus_millis(((hour as f64 + instant) * 3_600_000.0) as i64);
            driven.pass(at, |_, _| {});
            driven.tell(at, &Evidence::Report(report(reports, "PL", at)));
        }
        if hour >= 3 * 168 && hour % 42 == 0 {
            let subject = &driven.engine.state.shards[0].subjects[&ServiceId(0)];
            for (sum, facet) in sum.iter_mut().zip([Facet::All, Facet::Network(Asn::new(1).expect("not 0"))])
            {
                let series = &subject.series[&facet];
                assert_eq!(series.profile.is_some(), facet == Facet::All);
                let level = series.learned.level(1.0);
                *sum += 1.0 / series.learned.noise_size(Learned::noise_size_default(), level);
            }
            looks += 1.0;
        }
    }
    let [whole, network] = sum.map(|sum| sum / looks);
    let truth = 1.0 / SHAPE as f64;
    assert!((whole - truth).abs() < 0.25 * truth, "{whole}");
    assert!((network - whole).abs() < 0.1 * truth, "{network} {whole}");
}

/// Countries and how many reports an hour come from each on average: enough for a weekly shape, as many from
/// where clocks do not change, and too few.
const OFFICES: [(&str, f64); 3] = [("GB", 9.0), ("JP", 6.0), ("BR", 0.7)];

/// Offices open from eight to six by the clock on the wall, every day.
fn of_offices(country: &str, at: UtcTime) -> f64 {
    let country = country.parse().expect("a country");
    let local = at.plus_seconds(60 * i64::from(minutes_ahead(country, at)));
    let is_open = (8..18).contains(&(local.minute().hour_of_week() % 24));
    if is_open { 2.2 } else { 0.14 }
}

#[test]
fn each_country_lives_by_its_own_clock_and_moves_the_whole() {
    let begin: UtcTime = "2025-03-03T00:00:00Z".parse().expect("a time");
    // Clocks go forward in Britain on the 30th.
    let monday: UtcTime = "2025-03-31T00:00:00Z".parse().expect("a time");
    let mut driven = Driven::with_one_service(begin);
    let mut draws = Draws(1);
    let mut reports = 0;
    for hour in 0..(28 + 1) * 24 {
        let from = begin.plus_seconds(hour * 3600);
        let mut instants = Vec::new();
        for (country, per_hour) in OFFICES {
            let mean = per_hour * of_offices(country, from);
            instants.extend(draws.instants(mean).into_iter().map(|instant| (instant, country)));
        }
        instants.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (instant, country) in instants {
            reports += 1;
            let at = from.plus_millis((instant * 3_600_000.0) as i64);
            driven.pass(at, |_, _| {});
            driven.tell(at, &Evidence::Report(report(reports, country, at)));
        }
        let until = from.plus_seconds(3600);
        if until <= monday {
            continue;
        }
        driven.pass(until, |_, _| {});
        let subject = &driven.engine.state.shards[0].subjects[&ServiceId(0)];
        let usual = |facet| subject.usual(facet, &subject.series[&facet], until).of(60.0).mean;
        let truth = |(country, per_hour): (&str, f64)| {
            per_hour * (0..60).map(|minute| of_offices(country, from.plus_seconds(60 * minute))).sum::<f64>()
                / 60.0
        };
        let whole = OFFICES.map(truth).iter().sum::<f64>();
        assert!((0.6..1.5).contains(&(usual(Facet::All) / whole)), "{from} {} {whole}", usual(Facet::All));
        let brazil = (usual(Facet::Country("BR".parse().expect("a country"))), truth(OFFICES[2]));
        assert!((0.4..2.5).contains(&(brazil.0 / brazil.1)), "{from} {brazil:?}");
    }
}
