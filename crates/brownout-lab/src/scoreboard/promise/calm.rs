//! Years in which nothing happens, through the engine.

use std::collections::BTreeSet;

use brownout_core::effect::Effect;
use brownout_core::engine::Engine;
use brownout_core::model::{
    Asn, Catalogue, Category, ChannelId, City, Evidence, Geography, IncidentId, Place, Policy, ProblemKind,
    Report, Seq, Service, ServiceId, SourceKeys, UtcTime, Weight, minutes_ahead,
};

use crate::rng::Rng;
use crate::scoreboard::{NOISE_SIZE, Settings, in_parallel_told, shape_of_week};

/// Which part of the reports of a service comes from each of its countries.
const COUNTRY_SHARES: [f64; 3] = [0.6, 0.3, 0.1];
const CITIES_PER_COUNTRY: usize = 6;
const NETWORKS_PER_COUNTRY: u32 = 5;
const MINUTE_MILLIS: i64 = 60_000;
const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// Monday, 6 January 2020.
const BEGIN: UtcTime = UtcTime::from_millis(1_578_268_800_000);

/// How busy a service is, and when.
pub(super) struct Level {
    pub(super) per_hour: f64,
    pub(super) week: Week,
    /// Of all services of a mixture.
    pub(super) share: f64,
}

impl Level {
    const fn new(per_hour: f64, week: Week, share: f64) -> Self {
        Level { per_hour, week, share }
    }
}

/// How the hours of a week differ.
#[derive(Clone, Copy)]
pub(super) enum Week {
    /// Days that rise and fall, and quieter weekends.
    Smooth,
    /// Twenty times as many on weekdays from eight to six, from one minute to the next.
    Office,
}

impl Week {
    pub(super) fn name(self) -> &'static str {
        match self {
            Week::Smooth => "",
            Week::Office => " in office hours",
        }
    }

    /// Factor at an instant by the clock on the wall, 1 on average.
    fn factor(self, at: i64) -> f64 {
        let of_day = at.rem_euclid(DAY_MILLIS) as f64 / DAY_MILLIS as f64;
        let is_weekend = (at - BEGIN.millis()).div_euclid(DAY_MILLIS) % 7 >= 5;
        match self {
            // Highest at 0.8 of the day.
            Week::Smooth => shape_of_week(of_day - 0.8, is_weekend),
            Week::Office => {
                let hour = (of_day * 24.0) as u32;
                let factor = if !is_weekend && (8..18).contains(&hour) { 20.0 } else { 1.0 };
                factor * 168.0 / (50.0 * 20.0 + 118.0)
            }
        }
    }
}

/// What most services are like.
pub(super) const MIXTURE: &[Level] = &[
    Level::new(0.2, Week::Smooth, 0.48),
    Level::new(1.0, Week::Smooth, 0.28),
    Level::new(10.0, Week::Smooth, 0.12),
    Level::new(10.0, Week::Office, 0.08),
    Level::new(50.0, Week::Smooth, 0.04),
];

/// What few are like.
pub(super) const BUSY: &[Level] =
    &[Level::new(1000.0, Week::Smooth, 0.52), Level::new(1000.0, Week::Office, 0.48)];

/// What was called at services of one level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Called {
    pub(super) service_years: f64,
    pub(super) possible: u64,
    pub(super) detected: u64,
}

/// What was called, by level.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) levels: Vec<Called>,
}

impl Outcome {
    pub(super) fn service_years(&self) -> f64 {
        self.levels.iter().map(|level| level.service_years).sum::<f64>().abs()
    }

    pub(super) fn possible(&self) -> u64 {
        self.levels.iter().map(|level| level.possible).sum()
    }

    pub(super) fn detected(&self) -> u64 {
        self.levels.iter().map(|level| level.detected).sum()
    }

    fn add(&mut self, other: &Outcome) {
        self.levels.resize(other.levels.len(), Called::default());
        for (own, other) in self.levels.iter_mut().zip(&other.levels) {
            own.service_years += other.service_years;
            own.possible += other.possible;
            own.detected += other.detected;
        }
    }
}

/// A policy, what services it is tried on, and for how many service-years.
pub(super) struct Trial {
    pub(super) policy: Policy,
    pub(super) levels: &'static [Level],
    /// How many services one engine looks after, and for how many years.
    pub(super) per_engine: u32,
    pub(super) years: u32,
    pub(super) service_years: u32,
}

impl Trial {
    fn engines(&self) -> u32 {
        self.service_years.div_ceil(self.years * self.per_engine)
    }

    /// How many services are simulated.
    pub(super) fn services(&self) -> u32 {
        self.engines() * self.per_engine
    }
}

/// Runs every engine of every trial; the same settings give the same outcomes. `progress` is told what
/// came out so far.
pub(super) fn run(settings: &Settings, trials: &[Trial], progress: &mut impl FnMut(&str)) -> Vec<Outcome> {
    let world = World::new();
    // The number of a trial, and that of an engine of it.
    let pieces: Vec<(usize, u32)> = (0..trials.len())
        .flat_map(|trial| (0..trials[trial].engines()).map(move |engine| (trial, engine)))
        .collect();
    let mut outcomes = vec![Outcome::default(); trials.len()];
    let mut done = 0;
    in_parallel_told(
        settings.threads,
        pieces.len() as u32,
        |piece| {
            let (trial, engine) = pieces[piece as usize];
            let rng = Rng::new(settings.seed, 0x00ca_1000 + u64::from(engine));
            live(&world, rng, &trials[trial])
        },
        |piece, part| {
            let trial = pieces[piece as usize].0;
            outcomes[trial].add(part);
            done += 1;
            let so_far = |outcome: &Outcome| {
                let years = outcome.service_years();
                format!(
                    "{} possible, {} detected in {years:.0} years",
                    outcome.possible(),
                    outcome.detected()
                )
            };
            let so_far: Vec<String> = outcomes.iter().map(so_far).collect();
            progress(&format!("  {done} of {} engines: {}", pieces.len(), so_far.join("; ")));
        },
    );
    outcomes
}

/// A service, and which of its countries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Home {
    service: ServiceId,
    country: usize,
}

/// Where reports come from.
struct World {
    countries: Vec<Vec<City>>,
}

impl World {
    /// Countries with enough cities that lie in regions.
    fn new() -> Self {
        let mut countries = std::collections::BTreeMap::<_, Vec<City>>::new();
        for city in Geography::embedded().cities().filter(|city| city.region.is_some()) {
            let cities = countries.entry(city.country).or_default();
            if cities.len() < CITIES_PER_COUNTRY {
                cities.push(city.clone());
            }
        }
        countries.retain(|_, cities| cities.len() == CITIES_PER_COUNTRY);
        World { countries: countries.into_values().collect() }
    }

    /// The time of the clocks in a country of a service, in milliseconds.
    fn local(&self, home: Home, at: i64) -> i64 {
        let country = self.countries[self.number(home)][0].country;
        at + MINUTE_MILLIS * i64::from(minutes_ahead(country, UtcTime::from_millis(at)))
    }

    fn number(&self, home: Home) -> usize {
        (home.service.0 as usize * 7 + home.country * 31) % self.countries.len()
    }

    /// A place and network in a country of a service.
    fn place(&self, rng: &mut Rng, home: Home) -> (Place, Option<Asn>) {
        let number = self.number(home);
        let cities = &self.countries[number];
        let city = &cities[uneven(rng, CITIES_PER_COUNTRY as u32) as usize];
        let network = uneven(rng, NETWORKS_PER_COUNTRY);
        let place = Place { country: Some(city.country), region: city.region, city: Some(city.id) };
        (place, Asn::new(1000 + number as u32 * NETWORKS_PER_COUNTRY + network))
    }
}

/// A number below `count`, of which one comes half of the time, another a quarter, and so on: by the
/// highest bit that is set among `count`.
fn uneven(rng: &mut Rng, count: u32) -> u32 {
    (rng.below(1 << count) | 1).leading_zeros() % count
}

/// A service's level, and what its noise is doing.
struct Source {
    level: usize,
    /// Minute of the hour at which the factor changes, as a share of the hour.
    phase: f64,
    factor: f64,
}

/// One engine through all years.
fn live(world: &World, mut rng: Rng, trial: &Trial) -> Outcome {
    let mut sources: Vec<Source> = (0..trial.per_engine)
        .map(|number| Source {
            level: level_of(trial, number),
            phase: rng.unit(),
            factor: rng.gamma_factor(NOISE_SIZE),
        })
        .collect();
    let mut watched = Watched::new(trial);
    let mut hour_reports: Vec<(i64, Home)> = Vec::new();
    let hours = i64::from(trial.years) * 365 * 24;
    for hour in 0..hours {
        let begin = BEGIN.millis() + hour * HOUR_MILLIS;
        hour_reports.clear();
        for (number, source) in sources.iter_mut().enumerate() {
            let Level { per_hour, week, .. } = trial.levels[source.level];
            let next = rng.gamma_factor(NOISE_SIZE);
            for (country, share) in COUNTRY_SHARES.into_iter().enumerate() {
                let home = Home { service: ServiceId(number as u32), country };
                let mean = per_hour * share * week.factor(world.local(home, begin));
                let (until_turn, from_turn) = ((0.0, source.phase), (source.phase, 1.0));
                draw(&mut rng, &mut hour_reports, home, mean * source.factor, begin, until_turn);
                draw(&mut rng, &mut hour_reports, home, mean * next, begin, from_turn);
            }
            source.factor = next;
        }
        hour_reports.sort_unstable();
        for (at, home) in &hour_reports {
            let (place, network) = world.place(&mut rng, *home);
            let service = home.service;
            let source = SourceKeys { generation: 1, source: rng.bits(), subnet: rng.bits(), previous: None };
            let at = UtcTime::from_millis(*at);
            watched.pass(at);
            watched.tell(
                at,
                &Evidence::Report(Report {
                    service,
                    kind: ProblemKind::ALL[rng.below(5) as usize],
                    channel: ChannelId::WEB,
                    occurred_at: at,
                    place,
                    network,
                    source,
                    weight: Weight::FULL,
                }),
            );
        }
    }
    watched.pass(UtcTime::from_millis(BEGIN.millis() + hours * HOUR_MILLIS));
    watched.outcome(trial)
}

/// Reports of a part of an hour, at instants of their own.
fn draw(
    rng: &mut Rng,
    into: &mut Vec<(i64, Home)>,
    home: Home,
    per_hour: f64,
    begin: i64,
    (from, to): (f64, f64),
) {
    for _ in 0..rng.poisson(per_hour * (to - from)) {
        let into_hour = from + rng.unit() * (to - from);
        into.push((begin + (into_hour * HOUR_MILLIS as f64) as i64, home));
    }
}

/// The same mixture in every engine.
fn level_of(trial: &Trial, number: u32) -> usize {
    let share = (f64::from(number) + 0.5) / f64::from(trial.per_engine);
    let mut sum = 0.0;
    trial
        .levels
        .iter()
        .position(|level| {
            sum += level.share;
            share < sum
        })
        .unwrap_or(trial.levels.len() - 1)
}

/// An engine, and what it called.
struct Watched {
    engine: Engine,
    seq: Seq,
    possible: BTreeSet<IncidentId>,
    detected: BTreeSet<IncidentId>,
}

impl Watched {
    fn new(trial: &Trial) -> Self {
        let services = (0..trial.per_engine).map(|number| {
            let slug = format!("calm-{number}");
            Service::new(ServiceId(number), slug.clone(), slug, Category::Social)
        });
        let mut watched = Watched {
            engine: Engine::new(),
            seq: Seq(0),
            possible: BTreeSet::new(),
            detected: BTreeSet::new(),
        };
        // Names and numbers are made here and fit.
        let catalogue = Catalogue::new(services.collect()).unwrap_or_default();
        watched.tell(BEGIN, &Evidence::Catalogue(Box::new(catalogue)));
        watched.tell(BEGIN, &Evidence::Policy(Box::new(trial.policy.clone())));
        watched
    }

    fn tell(&mut self, at: UtcTime, evidence: &Evidence) {
        self.seq = self.seq.next();
        self.engine.handle_evidence(self.seq, at, evidence);
    }

    /// Lets time pass up to an instant, as a host does.
    fn pass(&mut self, to: UtcTime) {
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= to) {
            self.tell(at, &Evidence::Tick);
            while let Some(effect) = self.engine.poll_effect() {
                let Effect::Persist(_, derived) = effect else { continue };
                for incident in &derived.incidents {
                    self.possible.insert(incident.id);
                    if incident.confirmed_at.is_some() {
                        self.detected.insert(incident.id);
                    }
                }
            }
        }
    }

    fn outcome(&self, trial: &Trial) -> Outcome {
        let mut levels = vec![Called::default(); trial.levels.len()];
        let level_of = |number| level_of(trial, number);
        for number in 0..trial.per_engine {
            levels[level_of(number)].service_years += f64::from(trial.years);
        }
        for incident in &self.possible {
            levels[level_of(incident.service.0)].possible += 1;
        }
        for incident in &self.detected {
            levels[level_of(incident.service.0)].detected += 1;
        }
        Outcome { levels }
    }
}
