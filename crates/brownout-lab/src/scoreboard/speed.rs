//! What a tick costs where many series are active, and what series cost while nothing happens.
//!
//! The only section whose figures depend on the machine.

// What is measured is time.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use brownout_core::engine::Engine;
use brownout_core::model::{
    Asn, Catalogue, Category, ChannelId, City, Evidence, Geography, Place, ProblemKind, Report, Seq, Service,
    ServiceId, SourceKeys, UtcTime, Weight,
};

use super::Settings;
use super::board::{Board, Table};
use crate::rng::mix;

/// Cities of each service, each in a region of its own.
const CITIES: u32 = 75;
/// Networks of each service.
const NETWORKS: u32 = 20;
/// Sources an hour in each city: as many as a series needs before anything more is worked out for it.
const PER_HOUR: u32 = 9;
/// Hours until the services are known.
const HOURS: u32 = 26;
/// Ticks that are measured; the median counts.
const TICKS: u32 = 5;
/// Series of one service, at least: the whole, cities, regions, countries, networks, kinds, a channel.
const SERIES_PER_SERVICE: u32 = 205;
/// How many times as many series are shown at rest.
const TIMES_AT_REST: u32 = 10;
/// Monday, 6 January 2020.
const BEGIN: UtcTime = UtcTime::from_millis(1_578_268_800_000);
/// A look at all series must fit into this, in seconds, for a million of them.
const TICK_SECONDS_MAX: f64 = 0.25;
/// Where those of a tenth of the services got counts, a look takes at most this part of one at all: a tenth,
/// and what clocks and memory add.
const TENTH_MAX: f64 = 0.15;
/// Bytes that a series at rest may take.
const REST_BYTES_MAX: f64 = 200.0;
/// Points of which R's time is measured.
const R_POINTS: u32 = 40;

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    progress("speed: active series");
    let active = Active::measure(settings.series);
    progress("speed: series at rest");
    let rest = Rest::measure(settings.series.saturating_mul(TIMES_AT_REST), settings.restarts);
    progress("speed: R");
    let r = r_seconds_per_point();
    bars(board, &active, &rest);
    board.tables.push(table(&active, &rest, r));
}

fn bars(board: &mut Board, active: &Active, rest: &Rest) {
    let share = f64::from(active.series) / 1e6;
    let allowed = TICK_SECONDS_MAX * share;
    board.bar(
        format!("speed: a tick over {} active series that all got counts", active.series),
        format!("{:.0} ms", active.all * 1e3),
        format!("{:.0} ms", allowed * 1e3),
        active.all < allowed,
    );
    board.bar(
        "speed: a tick in which the series of a tenth of the services got counts",
        format!("{:.0} ms", active.tenth_of_services * 1e3),
        format!("{:.0} ms", TENTH_MAX * active.all * 1e3),
        active.tenth_of_services <= TENTH_MAX * active.all,
    );
    board.bar(
        "speed: a tick in which nothing got counts",
        format!("{:.3} ms", active.none * 1e3),
        "1% of that",
        active.none < 0.01 * active.all,
    );
    if let Some(bytes) = rest.bytes {
        board.bar(
            format!("speed: memory of each of {} series at rest", rest.series),
            format!("{bytes:.0} bytes"),
            format!("{REST_BYTES_MAX:.0} bytes"),
            bytes <= REST_BYTES_MAX,
        );
    }
}

fn table(active: &Active, rest: &Rest, r: Result<f64, String>) -> Table {
    let per_series = |seconds: f64, share: f64| {
        format!("{:.0} ns", seconds * 1e9 / (f64::from(active.series) * share).max(1.0))
    };
    let row = |name: &str, time: String, each: String| vec![name.to_owned(), time, each];
    let millis = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
    let mut rows = vec![
        row("a tick of ten seconds", "time".to_owned(), "for each series that got counts".to_owned()),
        row("all series got counts", millis(active.all), per_series(active.all, 1.0)),
        row(
            "those of a tenth of the services did",
            millis(active.tenth_of_services),
            per_series(active.tenth_of_services, 0.1),
        ),
        row("a tenth of the cities of every service did", millis(active.tenth_of_cities), String::new()),
        row("none did", millis(active.none), String::new()),
        row(&format!("{} series at rest, none did", rest.series), millis(rest.tick), String::new()),
    ];
    rows.push(match r {
        Ok(seconds) => row(
            "R, surveillance's farringtonFlexible, one point of each series",
            format!("{:.0} h", seconds * f64::from(active.series) / 3600.0),
            format!("{:.1} ms, measured over {R_POINTS} points; the whole is extrapolated", seconds * 1e3),
        ),
        Err(why) => row("R, surveillance's farringtonFlexible", why, String::new()),
    });
    let memory = rest.bytes.map_or_else(
        || "their memory is not known here".to_owned(),
        |bytes| format!("{bytes:.0} bytes each, {:.2} GB in all", bytes * f64::from(rest.series) / 1e9),
    );
    Table {
        title: "Speed".to_owned(),
        text: vec![format!(
            "The engine on one core. {} services in {CITIES} cities and {NETWORKS} networks each, {PER_HOUR} \
             sources an hour in every city for {HOURS} virtual hours, so that the services are known and every \
             series of a place is worth a look: {} series. Then ticks of ten seconds, each after a source in \
             every city, in those of a tenth of the services, in a tenth of the cities of each (with their \
             regions, networks and services far more than a tenth of the series), or in none; medians of {TICKS}. At rest: {} series two \
             days after their last report, in a process that begins with their checkpoint; {memory}. These figures depend on the machine: {}.",
            active.services,
            active.series,
            rest.series,
            processor()
        )],
        rows,
    }
}

/// An engine that is told of cities of many services.
struct World {
    engine: Engine,
    seq: Seq,
    places: Vec<City>,
    services: u32,
    number: u64,
}

impl World {
    fn new(series: u32) -> Self {
        let services = (series / SERIES_PER_SERVICE).max(1);
        let mut world = World { engine: Engine::new(), seq: Seq(0), places: places(), services, number: 0 };
        let named = (0..services).map(|number| {
            let slug = format!("speed-{number}");
            Service::new(ServiceId(number), slug.clone(), slug, Category::Social)
        });
        // Names and numbers are made here and fit.
        let catalogue = Catalogue::new(named.collect()).unwrap_or_default();
        world.tell(BEGIN, &Evidence::Catalogue(Box::new(catalogue)));
        world.tell(BEGIN, &Evidence::Policy(Box::default()));
        world.tell(BEGIN, &Evidence::Tick);
        world
    }

    fn tell(&mut self, at: UtcTime, evidence: &Evidence) {
        self.seq = self.seq.next();
        self.engine.handle_evidence(self.seq, at, evidence);
    }

    fn tick(&mut self, at: UtcTime) {
        self.tell(at, &Evidence::Tick);
        while self.engine.poll_effect().is_some() {}
    }

    /// A new source in every so many cities of every so many services.
    fn report(&mut self, at: UtcTime, Every { services, cities }: Every) {
        for service in (0..self.services).step_by(services) {
            for number in (service % cities as u32..CITIES).step_by(cities) {
                self.number += 1;
                let city = &self.places[(service as usize * 17 + number as usize) % self.places.len()];
                let evidence = Evidence::Report(Report {
                    service: ServiceId(service),
                    kind: ProblemKind::ALL[(self.number % 5) as usize],
                    channel: ChannelId::WEB,
                    occurred_at: at,
                    place: Place { country: Some(city.country), region: city.region, city: Some(city.id) },
                    network: Asn::new(1000 + service % 500 * NETWORKS + number % NETWORKS),
                    source: SourceKeys {
                        generation: 1,
                        source: mix(self.number),
                        subnet: mix(!self.number),
                        previous: None,
                    },
                    weight: Weight::FULL,
                });
                self.tell(at, &evidence);
            }
        }
    }

    /// Hours with sources evenly spread over each.
    fn live(&mut self, begin: UtcTime, hours: u32, per_hour: u32) -> UtcTime {
        let mut at = begin;
        for _ in 0..hours * 60 {
            let minute = at.minute().0 % 60;
            let due = (minute + 1) * per_hour / 60 - minute * per_hour / 60;
            for _ in 0..due {
                self.report(at.plus_seconds(30), Every { services: 1, cities: 1 });
            }
            at = at.plus_seconds(60);
            self.tick(at);
        }
        at
    }

    fn series(&mut self) -> u32 {
        u32::try_from(self.engine.snapshot().totals.series).unwrap_or(u32::MAX)
    }
}

/// Which services are reported, and from which cities.
#[derive(Clone, Copy)]
struct Every {
    services: usize,
    cities: usize,
}

/// Seconds of a tick by how many series got counts.
struct Active {
    services: u32,
    series: u32,
    all: f64,
    tenth_of_services: f64,
    tenth_of_cities: f64,
    none: f64,
}

impl Active {
    fn measure(series: u32) -> Self {
        let mut world = World::new(series);
        let mut at = world.live(BEGIN, HOURS, PER_HOUR);
        // As far apart as sources have been all the time, so that what is measured is no outage.
        let mut timed = |world: &mut World, every: Option<Every>| {
            let mut times: Vec<f64> = (0..TICKS)
                .map(|_| {
                    for _ in 0..3600 / PER_HOUR / 10 - 1 {
                        at = at.plus_seconds(10);
                        world.tick(at);
                    }
                    if let Some(every) = every {
                        world.report(at.plus_seconds(5), every);
                    }
                    at = at.plus_seconds(10);
                    let begun = Instant::now();
                    world.tick(at);
                    begun.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let mut every = |services, cities| timed(&mut world, Some(Every { services, cities }));
        let (all, tenth_of_services, tenth_of_cities) = (every(1, 1), every(10, 1), every(1, 10));
        let none = timed(&mut world, None);
        let (services, series) = (world.services, world.series());
        Active { services, series, all, tenth_of_services, tenth_of_cities, none }
    }
}

/// What many series take when nothing has happened for two days.
struct Rest {
    series: u32,
    tick: f64,
    /// Of memory, for each.
    bytes: Option<f64>,
}

impl Rest {
    fn measure(series: u32, restarts: bool) -> Self {
        let mut world = World::new(series);
        let at = world.live(BEGIN, 1, 3);
        let mut at = world.live(at, 1, 0);
        for _ in 0..48 {
            at = at.plus_seconds(3600);
            world.tick(at);
        }
        let begun = Instant::now();
        world.tick(at.plus_seconds(10));
        let tick = begun.elapsed().as_secs_f64();
        let series = world.series();
        let bytes = restarts.then(|| bytes_after_a_restart(&world.engine)).flatten();
        Rest { series, tick, bytes: bytes.map(|bytes| bytes / f64::from(series)) }
    }
}

/// What an engine takes in a process that begins with its checkpoint: in this one, memory that was given
/// back by what was active before would be counted too.
fn bytes_after_a_restart(engine: &Engine) -> Option<f64> {
    let file = std::env::temp_dir().join(format!("brownout-rest-{}", std::process::id()));
    std::fs::write(&file, engine.checkpoint()).ok()?;
    let ran = Command::new(std::env::current_exe().ok()?).arg(RESTORE).arg(&file).output();
    let _ = std::fs::remove_file(&file);
    String::from_utf8_lossy(&ran.ok()?.stdout).trim().parse().ok()
}

/// The command under which the program restores a checkpoint and says what memory that takes.
pub const RESTORE: &str = "restore";

/// Restores a checkpoint. Bytes of memory that the engine takes, where the system tells.
pub fn restore(file: &Path) -> Option<f64> {
    let bytes = std::fs::read(file).ok()?;
    let before = resident_bytes()?;
    let engine = Engine::restore(&bytes)?;
    let after = resident_bytes()?;
    drop(engine);
    Some(after - before)
}

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

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kib| kib * 1024.0)
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "processor not known".to_owned(), |(_, name)| name.trim().to_owned())
}

/// Seconds that farringtonFlexible needs for one point of a weekly series, or why that is not known.
fn r_seconds_per_point() -> Result<f64, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/speed.R");
    let ran = Command::new("Rscript").arg("--vanilla").arg(script).arg(R_POINTS.to_string()).output();
    let output = ran.map_err(|_| "not installed".to_owned())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let seconds = said.trim().parse::<f64>().ok().filter(|_| output.status.success());
    seconds.ok_or_else(|| "not installed: R has no package surveillance".to_owned())
}
