//! How long a line of a batch takes from bytes to evidence: `cargo run --release --example
//! intake_speed -p brownout`. One thread; the best of several rounds, because others may be busy.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use brownout::intake::{BatchLine, Line, TokenGrant, World, judge};
use brownout_core::model::{
    Catalogue, Category, ChannelId, City, CityId, Country, Geography, Policy, Region, Service, ServiceId,
    UtcTime, Weight,
};
use brownout_core::report::{PartnerKey, Salt};

const LINES: usize = 1_000;
const ROUNDS: usize = 300;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let world = world()?;
    let body = body();
    let grant = TokenGrant { channel: ChannelId(16), virtual_clock: false, weight: Weight::FULL };
    let now: UtcTime = "2025-03-10T11:00:00Z".parse()?;
    let (salt, old) = (Salt::new(2, [2; 32]), Salt::new(1, [1; 32]));
    let calm = PartnerKey::live(&salt, None, ChannelId(16));
    let overlap = PartnerKey::live(&salt, Some(&old), ChannelId(16));
    println!("{LINES} lines of {} bytes", body.len() / LINES);
    report("scan only", || body.lines().filter(|line| Line::scan(black_box(line)).is_some()).count());
    report("serde only", || body.lines().filter(|line| BatchLine::parse(black_box(line)).is_ok()).count());
    let judged = |key: &PartnerKey| {
        judge(black_box(body.as_bytes()), &world, grant, key, now).map_or(0, |judged| judged.evidence.len())
    };
    report("whole batch", || judged(&calm));
    report("whole batch while salts overlap", || judged(&overlap));
    Ok(())
}

/// Prints the best time per line over all rounds.
fn report(what: &str, round: impl Fn() -> usize) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        assert_eq!(round(), LINES);
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{what}: {:.0} ns/line", best / LINES as f64 * 1e9);
}

fn body() -> String {
    let cities = [("PK", "PK-PB", "\"Lahore\""), ("PK", "PK-SD", "1174872"), ("US", "US-OR", "5746545")];
    let kinds = ["unreachable", "login", "slow"];
    (0..LINES)
        .map(|i| {
            let (country, region, city) = cities[i % 3];
            let (kind, slug) = (kinds[i % 3], format!("service-{}", i * 7 % 200));
            format!(
                "{{\"service\":\"{slug}\",\"kind\":\"{kind}\",\"at\":\"2025-03-10T10:{:02}:{:02}Z\",\
                 \"source\":\"{:016x}\",\"subnet\":\"{:08x}\",\"country\":\"{country}\",\
                 \"region\":\"{region}\",\"city\":{city},\"asn\":{}}}\n",
                i / 500,
                i % 60,
                i * 0x9E37_79B9,
                i / 3 * 0x9E37,
                17000 + i % 50,
            )
        })
        .collect()
}

fn world() -> Result<World, Box<dyn std::error::Error>> {
    let services = (0..200)
        .map(|id| {
            Service::new(ServiceId(id), format!("service-{id}"), format!("Service {id}"), Category::Social)
        })
        .collect();
    let country = |code: &str| -> Result<Country, Box<dyn std::error::Error>> {
        let (latitude, longitude) = (0.0, 0.0);
        let (code, name) = (code.parse()?, code.to_owned());
        Ok(Country { code, name, population: 1, internet_users: None, latitude, longitude })
    };
    let region = |code: &str| -> Result<Region, Box<dyn std::error::Error>> {
        Ok(Region { code: code.parse()?, name: code.to_owned() })
    };
    // As many cities as the real list has, so that look-ups miss the nearest cache as they do there.
    let mut cities = Vec::new();
    let known = [(1172451, "Lahore", "PK-PB"), (1174872, "Karachi", "PK-SD"), (5746545, "Portland", "US-OR")];
    for (id, name, code) in known {
        cities.push(city(id, name, code)?);
    }
    for id in 1..30_000 {
        cities.push(city(id, &format!("City {id}"), "US-OR")?);
    }
    let countries = vec![country("PK")?, country("US")?];
    let regions = vec![region("PK-PB")?, region("PK-SD")?, region("US-OR")?];
    let geography = Geography::new(countries, regions, cities, String::new());
    Ok(World::new(Arc::new(Catalogue::new(services)?), Arc::new(geography), &Policy::default()))
}

fn city(id: u32, name: &str, region: &str) -> Result<City, Box<dyn std::error::Error>> {
    let region: brownout_core::model::RegionCode = region.parse()?;
    Ok(City {
        id: CityId::new(id).ok_or("no number")?,
        name: name.to_owned(),
        country: region.country(),
        region: Some(region),
        population: 20_000,
        latitude: 0.0,
        longitude: 0.0,
    })
}
