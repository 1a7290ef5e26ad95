//! How large it gets: many series, and how small it is when nothing happens.

use std::fmt::Write as _;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use brownout_core::engine::Engine;
use brownout_core::model::{
    Asn, Catalogue, Category, ChannelId, City, Evidence, Geography, Place, ProblemKind, Report, Seq, Service,
    ServiceId, SourceKeys, UtcTime, Weight,
};

use super::client;
use super::flows::{give_token, send_batch};
use super::paper::{Paper, bytes, count, now};
use super::program::{Memory, Program};
use super::{Settings, median};
use crate::rng::{Rng, mix};

/// Cities of each service, each in a region of its own.
const CITIES: usize = 75;
/// Networks of each service.
const NETWORKS: u32 = 20;
/// Sources that make a city or network a series.
const SOURCES: usize = 3;

/// Cities in regions of their own, over many countries.
fn places() -> Vec<City> {
    let geography = Geography::embedded();
    let mut regions = std::collections::BTreeSet::new();
    let mut countries = std::collections::BTreeMap::new();
    let mut places = Vec::new();
    for city in geography.cities() {
        let Some(region) = city.region else { continue };
        let of_country = countries.entry(city.country).or_insert(0);
        if *of_country < 3 && regions.insert(region) {
            *of_country += 1;
            places.push(city.clone());
        }
    }
    places
}

/// A million series: in the engine over virtual time, and in the real program.
pub(super) fn series(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    in_engine(settings, paper)?;
    in_program(settings, paper)
}

fn in_engine(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let places = places();
    let before = Memory::of("self")?.now;
    // Half an hour before a full one, because the full hour is when series learn.
    let start: UtcTime = "2025-03-10T10:29:30Z".parse().map_err(|_| io::Error::other("no time"))?;
    let mut engine = Engine::new();
    let mut seq = Seq(0);
    let mut tell = |engine: &mut Engine, at: UtcTime, evidence: &Evidence| {
        seq = seq.next();
        engine.handle_evidence(seq, at, evidence);
    };
    let services = (0..settings.services).map(service).collect();
    let catalogue = Catalogue::new(services).map_err(|error| io::Error::other(error.to_string()))?;
    tell(&mut engine, start, &Evidence::Catalogue(Box::new(catalogue)));
    tell(&mut engine, start, &Evidence::Policy(Box::default()));
    tell(&mut engine, start, &Evidence::Tick);
    let mut rng = Rng::new(1, 0);
    let mut number = 0;
    let begun = Instant::now();
    for id in 0..settings.services {
        for place in 0..CITIES * SOURCES {
            number += 1;
            let evidence = report(ServiceId(id), &places, place / SOURCES, number, start);
            tell(&mut engine, start, &evidence);
        }
    }
    let filled = f64::from(settings.services) * (CITIES * SOURCES) as f64 / begun.elapsed().as_secs_f64();
    let (mut ticks, mut drawings) = (vec![], vec![]);
    for minute in 0..settings.minutes * 6 {
        let at = start.plus_seconds(10 * i64::from(minute + 1));
        for _ in 0..settings.services {
            number += 1;
            let id = ServiceId(rng.below(settings.services));
            let place = rng.below(CITIES as u32) as usize;
            let evidence = report(id, &places, place, number, at.plus_millis(-1));
            tell(&mut engine, at.plus_millis(-1), &evidence);
        }
        let begun = Instant::now();
        tell(&mut engine, at, &Evidence::Tick);
        while engine.poll_effect().is_some() {}
        ticks.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let snapshot = engine.snapshot();
        drawings.push(begun.elapsed().as_secs_f64());
        drop(snapshot);
    }
    let totals = engine.snapshot().totals;
    let memory = Memory::of("self")?.now.saturating_sub(before);
    let worst = |figures: &[f64]| figures.iter().copied().fold(0.0, f64::max);
    let name = format!("{} active series in an engine", count(totals.series_active as f64));
    let value = format!("slowest tick {:.0} ms, {}", worst(&ticks) * 1e3, bytes(memory));
    paper.bar(&name, value, "1 s, 1 GB", worst(&ticks) < 1.0 && memory < 1_000_000_000);
    paper.explain(format!(
        "**Many series in an engine.** {} services with {CITIES} cities in as many regions and {NETWORKS} \
         networks each, and from then on {} reports before every tick of ten seconds, over {} virtual \
         minutes, the turn of an hour among them, when every series learns. Tick: median {:.1} ms, slowest \
         {:.0} ms. Drawing the snapshot: median {:.1} ms, slowest {:.0} ms (every five minutes all pages \
         change). Filling: {} reports/s.",
        settings.services,
        settings.services,
        settings.minutes,
        median(ticks.clone()) * 1e3,
        worst(&ticks) * 1e3,
        median(drawings.clone()) * 1e3,
        worst(&drawings) * 1e3,
        count(filled)
    ));
    Ok(())
}

fn service(id: u32) -> Service {
    let slug = format!("bench-{id}");
    Service::new(ServiceId(id), slug.clone(), slug, Category::Social)
}

/// The place of a service by its number: services differ in where they are used.
fn place_of(places: &[City], service: ServiceId, number: usize) -> &City {
    &places[(service.0 as usize * 17 + number) % places.len()]
}

fn network_of(service: ServiceId, number: usize) -> u32 {
    1000 + service.0 % 500 * NETWORKS + number as u32 % NETWORKS
}

fn report(service: ServiceId, places: &[City], place: usize, number: u64, at: UtcTime) -> Evidence {
    let city = place_of(places, service, place);
    Evidence::Report(Report {
        service,
        kind: ProblemKind::ALL[(number % 5) as usize],
        channel: ChannelId::WEB,
        occurred_at: at,
        place: Place { country: Some(city.country), region: city.region, city: Some(city.id) },
        network: Asn::new(network_of(service, place)),
        source: SourceKeys { generation: 1, source: mix(number), subnet: mix(!number), previous: None },
        weight: Weight::FULL,
    })
}

fn in_program(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let places = places();
    let data = settings.folder.join("series");
    give_token(&data)?;
    let catalogue = settings.folder.join("catalogue.toml");
    let mut text = String::new();
    for id in 0..settings.services {
        let _ = writeln!(
            text,
            "[[service]]\nslug = \"bench-{id}\"\nname = \"Bench {id}\"\ncategory = \"social\"\ntargets = [\"bench-{id}.example\"]\n"
        );
    }
    std::fs::write(&catalogue, text)?;
    let config = format!("[catalogue]\nfile = \"{}\"\n", catalogue.display());
    let program = Program::serve(&settings.program, &data, &config)?;
    let mut number = 0_u64;
    for ids in (0..settings.services).collect::<Vec<_>>().chunks(20) {
        let at = now();
        let mut body = String::new();
        for id in ids {
            for place in 0..CITIES * SOURCES {
                number += 1;
                let service = ServiceId(*id);
                let city = place_of(&places, service, place / SOURCES);
                let region = city.region.map(|region| region.to_string()).unwrap_or_default();
                let _ = writeln!(
                    body,
                    r#"{{"service":"bench-{id}","kind":"slow","at":"{at}","source":"{:016x}","country":"{}","region":"{region}","city":{},"asn":{}}}"#,
                    mix(number),
                    city.country,
                    city.id.0,
                    network_of(service, place / SOURCES)
                );
            }
        }
        send_batch(program.address, body.as_bytes())?;
    }
    // Over the next full five minutes, when rows for the history are written and all pages change.
    let (mut ticks, mut drawings) = (vec![], vec![]);
    let until =
        Instant::now() + if settings.rounds > 1 { Duration::from_secs(310) } else { Duration::from_secs(2) };
    while Instant::now() < until {
        let at = now().to_string();
        let body = format!(
            r#"{{"service":"bench-{}","kind":"slow","at":"{at}","source":"{number}","country":"PK"}}"#,
            number % u64::from(settings.services)
        );
        number += 1;
        send_batch(program.address, body.as_bytes())?;
        ticks.push(program.metric("tick_microseconds")? / 1e6);
        drawings.push(program.metric("snapshot_microseconds")? / 1e6);
        std::thread::sleep(Duration::from_millis(500));
    }
    let active = program.metric("series_active")?;
    let memory = program.memory()?;
    program.stop()?;
    let worst = |figures: &[f64]| figures.iter().copied().fold(0.0, f64::max);
    let value = format!("slowest tick {:.0} ms, {}", worst(&ticks) * 1e3, bytes(memory.now));
    let name = format!("{} active series in the program", count(active));
    paper.bar(&name, value, "1 s, 1 GB", worst(&ticks) < 1.0 && memory.now < 1_000_000_000);
    paper.explain(format!(
        "**Many series in the program.** The same services as an operator's catalogue, filled over the batch \
         intake; `/metrics` of the next five minutes: slowest tick {:.0} ms, slowest snapshot {:.0} ms; \
         memory {} now, {} at the peak.",
        worst(&ticks) * 1e3,
        worst(&drawings) * 1e3,
        bytes(memory.now),
        bytes(memory.peak)
    ));
    Ok(())
}

/// How fast it is there, and what it takes when idle.
pub(super) fn start(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let mut starts = vec![];
    let mut memory = 0;
    for round in 0..settings.rounds {
        let home = settings.folder.join(format!("demo-{round}"));
        let program =
            Program::start(Command::new(&settings.program).arg("demo").arg("--data").arg(home), "/")?;
        starts.push(program.first_answer.as_secs_f64() * 1e3);
        if round + 1 == settings.rounds {
            std::thread::sleep(settings.time * 3);
            memory = program.memory()?.now;
        }
        program.stop()?;
    }
    let start = median(starts);
    paper.bar("demo: start to first page", format!("{start:.0} ms"), "1 s", start < 1000.0);
    paper.bar("demo: memory while it plays", bytes(memory), "100 MB", memory < 100_000_000);
    let program = Program::serve(&settings.program, &settings.folder.join("idle"), "")?;
    client::get(program.address, "/")?;
    std::thread::sleep(settings.time);
    let memory = program.memory()?.now;
    program.stop()?;
    paper.bar("serve: idle memory", bytes(memory), "100 MB", memory < 100_000_000);
    let size = std::fs::metadata(&settings.program)?.len();
    paper.bar("program, stripped", bytes(size), "40 MB", size < 40_000_000);
    paper.explain(
        "**Start and size.** From the start of the process to the whole first page over a new connection; \
         resident memory some seconds later, mapped data included.",
    );
    Ok(())
}
