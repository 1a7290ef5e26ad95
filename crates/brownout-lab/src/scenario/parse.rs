//! The statements of a scenario file, one a line.

use brownout_core::model::{Asn, Category, CountryCode, Holiday, HolidayError, ProblemKind, UtcTime};

use super::expectation;
use super::text::{Cursor, ScenarioError, clock};
use super::{
    Anchor, Baseline, City, Clock, DaysOff, Event, EventShape, Expectation, Focus, Mark, Network, Note,
    Scenario, ScopeKey, ServiceLine, build, places,
};

const STATEMENTS: [&str; 26] = [
    "title",
    "source",
    "seed",
    "start",
    "end",
    "warm-up",
    "hours",
    "clock",
    "weekends",
    "holiday",
    "service",
    "services",
    "kinds",
    "baseline",
    "city",
    "network",
    "repeats",
    "page-views",
    "channel",
    "anchor",
    "pulse",
    "ramp",
    "step",
    "brigade",
    "silence",
    "note",
];
const TEXT_BYTES_MAX: usize = 1 << 20;
const SERVICES_MAX: usize = 10_000;
const PER_HOUR_MAX: f64 = 5e6;
const SPAN_MINUTES_MAX: u64 = 60 * 1440;
/// Cities, or networks, of one country; a wheel numbers them in a byte.
pub(super) const SHARES_MAX: usize = 200;
const LIST_MAX: usize = 20_000;

/// A person's day: few report in the small hours, most in the evening. Synthetic.
const HOURS: [f64; 24] = [
    0.55, 0.38, 0.28, 0.24, 0.26, 0.36, 0.56, 0.80, 1.00, 1.12, 1.18, 1.20, 1.20, 1.20, 1.20, 1.22, 1.26,
    1.32, 1.42, 1.55, 1.60, 1.50, 1.20, 0.80,
];

/// A scenario that is being read.
pub(super) struct Draft {
    pub(super) scenario: Scenario,
    pub(super) start: Option<UtcTime>,
    pub(super) end: Option<UtcTime>,
    /// Lines of the anchors, to name them in errors.
    pub(super) anchor_lines: Vec<u32>,
    pub(super) event_lines: Vec<u32>,
}

pub(super) fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    let too_long = |message: String| ScenarioError { line: 1, column: 1, message, did_you_mean: None };
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_long(format!("a scenario has {TEXT_BYTES_MAX} bytes at most")));
    }
    let mut draft = Draft {
        scenario: empty(),
        start: None,
        end: None,
        anchor_lines: Vec::new(),
        event_lines: Vec::new(),
    };
    let mut last = 1;
    for (line, number) in text.lines().zip(1_u32..) {
        let mut cursor = Cursor::new(number, line)?;
        if !cursor.is_done() {
            statement(&mut draft, &mut cursor, line)?;
            cursor.done()?;
        }
        last = number;
    }
    build::finish(draft, last)
}

fn empty() -> Scenario {
    let mean = HOURS.iter().sum::<f64>() / 24.0;
    Scenario {
        title: String::new(),
        sources: Vec::new(),
        seed: 1,
        start: UtcTime::default(),
        end: UtcTime::default(),
        warm_up_minutes: 0,
        hours: HOURS.map(|weight| weight / mean),
        clocks: Vec::new(),
        days_off: DaysOff::default(),
        services: Vec::new(),
        kinds: Vec::new(),
        baselines: Vec::new(),
        cities: Vec::new(),
        networks: Vec::new(),
        repeats: 0.0,
        page_views: Vec::new(),
        channels: Vec::new(),
        anchors: Vec::new(),
        events: Vec::new(),
        notes: Vec::new(),
        expectations: Vec::new(),
        curves: Vec::new(),
    }
}

fn statement(draft: &mut Draft, cursor: &mut Cursor<'_>, line: &str) -> Result<(), ScenarioError> {
    let scenario = &mut draft.scenario;
    let word = cursor.word("a statement")?;
    match word {
        "title" => scenario.title = cursor.quoted("the title")?.to_owned(),
        "source" => scenario.sources.push(cursor.quoted("the source")?.to_owned()),
        "seed" => scenario.seed = cursor.whole("the seed", (0, u64::MAX))?,
        "start" => draft.start = Some(cursor.time(None)?),
        "end" => draft.end = Some(cursor.time(None)?),
        "warm-up" => scenario.warm_up_minutes = cursor.minutes(SPAN_MINUTES_MAX)?,
        "hours" => scenario.hours = hours(cursor)?,
        "clock" => scenario.clocks.push(country_clock(cursor)?),
        "weekends" => {
            scenario.days_off.times =
                cursor.number("how many times the reports of a working day", (0.0, 100.0))?;
            cursor.expect("times")?;
        }
        "holiday" => scenario.days_off.holidays.push(holiday(cursor)?),
        "service" => service(scenario, cursor)?,
        "services" => services(scenario, cursor)?,
        "kinds" => kinds(scenario, cursor)?,
        "baseline" => baseline(scenario, cursor)?,
        "city" => city(scenario, cursor)?,
        "network" => network(scenario, cursor)?,
        "repeats" => {
            scenario.repeats = cursor.percent()?;
            if scenario.repeats > 0.9 {
                return Err(cursor.error_before("at most 90% of the lines may be repeats"));
            }
        }
        "page-views" => {
            let service = known_service(scenario, cursor)?;
            let views = cursor.number("views per report", (0.0, 1000.0))?;
            cursor.expect("per")?;
            cursor.expect("report")?;
            scenario.page_views.push((service, views));
        }
        "channel" => {
            let name = cursor.word("the channel's name")?.to_owned();
            let share = cursor.percent()?;
            if scenario.channels.len() >= 16 {
                return Err(cursor.error_before("at most 16 channels"));
            }
            scenario.channels.push((name, share));
        }
        "anchor" => anchor(draft, cursor)?,
        "pulse" | "ramp" | "step" | "brigade" | "silence" => {
            let event = event(draft, cursor, word)?;
            draft.scenario.events.push(event);
            draft.event_lines.push(cursor.line());
        }
        "note" => {
            let at = time_of(draft.start, cursor)?;
            let kind = cursor.word("what it is")?.to_owned();
            let mark = mark(cursor)?;
            let text = cursor.quoted("the note")?.to_owned();
            draft.scenario.notes.push(Note { at, kind, mark, text });
        }
        "expect" => {
            let kind = expectation::read(draft, cursor)?;
            let text = line.split_once("expect").map_or(line, |(_, rest)| rest).trim().to_owned();
            draft.scenario.expectations.push(Expectation { line: cursor.line(), text, kind });
        }
        _ => return Err(cursor.unknown("a statement", word, STATEMENTS.into_iter().chain(["expect"]))),
    }
    let scenario = &draft.scenario;
    let longest = [
        scenario.anchors.len(),
        scenario.events.len(),
        scenario.notes.len(),
        scenario.expectations.len(),
        scenario.cities.len(),
        scenario.networks.len(),
    ];
    if longest.into_iter().any(|length| length > LIST_MAX) {
        return Err(cursor.error_before(format!("at most {LIST_MAX} statements of one kind")));
    }
    Ok(())
}

pub(super) fn time_of(start: Option<UtcTime>, cursor: &mut Cursor<'_>) -> Result<UtcTime, ScenarioError> {
    match start {
        Some(start) => cursor.time(Some(start)),
        None => Err(cursor.error("`start` must stand before the first statement with a time")),
    }
}

fn hours(cursor: &mut Cursor<'_>) -> Result<[f64; 24], ScenarioError> {
    let mut weights = [0.0; 24];
    for weight in &mut weights {
        *weight = cursor.number("the weight of an hour", (0.0, 1000.0))?;
    }
    let mean = weights.iter().sum::<f64>() / 24.0;
    if mean <= 0.0 {
        return Err(cursor.error_before("at least one hour must weigh more than 0"));
    }
    Ok(weights.map(|weight| weight / mean))
}

/// A country, or `world` for the service as a whole.
fn country_or_world(cursor: &mut Cursor<'_>) -> Result<Option<CountryCode>, ScenarioError> {
    if cursor.take("world") { Ok(None) } else { places::country(cursor).map(Some) }
}

/// `holiday US 2025-07-04`, or `holiday 2025-12-25` everywhere.
fn holiday(cursor: &mut Cursor<'_>) -> Result<Holiday, ScenarioError> {
    let mut text = cursor.word("a country or a date")?.to_owned();
    if !cursor.is_done() {
        text.push(' ');
        text.push_str(cursor.word("the date")?);
    }
    text.parse().map_err(|error: HolidayError| cursor.error_before(error.to_string()))
}

/// `clock US -05:00`, and from when clocks are set otherwise `clock US -04:00 from 2025-03-09T07:00Z`.
fn country_clock(cursor: &mut Cursor<'_>) -> Result<Clock, ScenarioError> {
    let country = places::country(cursor)?;
    let word = cursor.word("the hours ahead of UTC, such as +05:00")?;
    let signed =
        word.strip_prefix('+').map(|rest| (1, rest)).or(word.strip_prefix('-').map(|rest| (-1, rest)));
    match signed.and_then(|(sign, rest)| Some((sign, clock(rest)?))) {
        Some((sign, minutes)) if minutes <= 14 * 60 => {
            let from = if cursor.take("from") { cursor.time(None)? } else { UtcTime::default() };
            Ok(Clock { country, from, ahead_minutes: sign * minutes as i32 })
        }
        _ => Err(cursor.error_before("hours ahead of UTC such as +05:00 or -04:00 are expected here")),
    }
}

fn category(cursor: &mut Cursor<'_>) -> Result<Category, ScenarioError> {
    let word = cursor.word("a category")?;
    let known = Category::ALL.iter().map(|category| category.slug());
    Category::from_slug(word).ok_or_else(|| cursor.unknown("a category", word, known))
}

fn add_service(
    scenario: &mut Scenario,
    cursor: &Cursor<'_>,
    slug: String,
    category: Category,
    name: String,
) -> Result<usize, ScenarioError> {
    let fine = (1..=48).contains(&slug.len())
        && slug.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
    if !fine {
        return Err(cursor.error_before("a slug has 1 to 48 of a-z, 0-9 and inner hyphens"));
    }
    if name.trim().is_empty() || name.chars().count() > 80 {
        return Err(cursor.error_before("a name has 1 to 80 characters"));
    }
    if scenario.services.iter().any(|known| known.slug == slug) {
        return Err(cursor.error_before(format!("the service {slug} stands twice")));
    }
    if scenario.services.len() >= SERVICES_MAX {
        return Err(cursor.error_before(format!("at most {SERVICES_MAX} services")));
    }
    scenario.services.push(ServiceLine { slug, category, name, kinds: Vec::new() });
    Ok(scenario.services.len() - 1)
}

fn service(scenario: &mut Scenario, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    let slug = cursor.word("the service's slug")?.to_owned();
    let category = category(cursor)?;
    let name = cursor.quoted("the service's name")?.to_owned();
    add_service(scenario, cursor, slug, category, name).map(|_| ())
}

/// `services 300 service from 0.2 to 400 per hour dispersion 25 in US, GB`: many at once, from the
/// quietest to the busiest in equal factors, with categories and countries in turn.
fn services(scenario: &mut Scenario, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    let count = cursor.whole("how many services", (1, SERVICES_MAX as u64))? as usize;
    let stem = cursor.word("the beginning of their slugs")?.to_owned();
    cursor.expect("from")?;
    let from = cursor.number("reports per hour", (1e-3, PER_HOUR_MAX))?;
    cursor.expect("to")?;
    let to = cursor.number("reports per hour", (1e-3, PER_HOUR_MAX))?;
    per_hour(cursor)?;
    let dispersion = dispersion(cursor)?;
    cursor.expect("in")?;
    let mut countries = vec![places::country(cursor)?];
    while cursor.take(",") {
        countries.push(places::country(cursor)?);
    }
    for index in 0..count {
        let slug = format!("{stem}-{:03}", index + 1);
        let name = format!("Service {:03}", index + 1);
        let category = Category::ALL[index % Category::ALL.len()];
        let service = add_service(scenario, cursor, slug, category, name)?;
        let step = if count > 1 { index as f64 / (count - 1) as f64 } else { 0.0 };
        let scope = ScopeKey { service, country: Some(countries[index % countries.len()]) };
        scenario.baselines.push(Baseline { scope, per_hour: from * libm::pow(to / from, step), dispersion });
    }
    Ok(())
}

pub(super) fn known_service(scenario: &Scenario, cursor: &mut Cursor<'_>) -> Result<usize, ScenarioError> {
    let slug = cursor.word("a service's slug")?;
    let slugs = scenario.services.iter().map(|known| known.slug.as_str());
    let found = scenario.services.iter().position(|known| known.slug == slug);
    found.ok_or_else(|| cursor.unknown("a service that is declared above", slug, slugs))
}

pub(super) fn scope(scenario: &Scenario, cursor: &mut Cursor<'_>) -> Result<ScopeKey, ScenarioError> {
    Ok(ScopeKey { service: known_service(scenario, cursor)?, country: country_or_world(cursor)? })
}

/// `kinds unreachable 40%, slow 30%` for all, or with a service's slug first.
fn kinds(scenario: &mut Scenario, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    let mut mix = Vec::new();
    let mut word = cursor.word("a kind of problem, or a service")?;
    let service = scenario.services.iter().position(|known| known.slug == word);
    if service.is_some() && ProblemKind::from_slug(word).is_none() {
        word = cursor.word("a kind of problem")?;
    }
    let of_service = service.filter(|index| scenario.services[*index].slug != word);
    loop {
        let known = ProblemKind::ALL.map(ProblemKind::slug);
        let kind =
            ProblemKind::from_slug(word).ok_or_else(|| cursor.unknown("a kind of problem", word, known))?;
        mix.push((kind, cursor.percent()?));
        if !cursor.take(",") {
            break;
        }
        word = cursor.word("a kind of problem")?;
    }
    if mix.iter().map(|(_, share)| share).sum::<f64>() <= 0.0 {
        return Err(cursor.error_before("at least one kind must have a share"));
    }
    match of_service {
        Some(index) => scenario.services[index].kinds = mix,
        None => scenario.kinds = mix,
    }
    Ok(())
}

fn per_hour(cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    cursor.expect("per")?;
    cursor.expect("hour")
}

fn dispersion(cursor: &mut Cursor<'_>) -> Result<Option<f64>, ScenarioError> {
    let named = cursor.take("dispersion");
    named.then(|| cursor.number("the dispersion", (0.1, 1e6))).transpose()
}

fn baseline(scenario: &mut Scenario, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    let scope = scope(scenario, cursor)?;
    let rate = cursor.number("reports per hour", (0.0, PER_HOUR_MAX))?;
    per_hour(cursor)?;
    let dispersion = dispersion(cursor)?;
    if scenario.baselines.iter().any(|known| known.scope == scope) {
        return Err(cursor.error_before("this scope has a baseline already"));
    }
    scenario.baselines.push(Baseline { scope, per_hour: rate, dispersion });
    Ok(())
}

/// `city PK-PB Lahore 1172451 34%`
fn city(scenario: &mut Scenario, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    let region = places::region(cursor)?;
    let name = cursor.any("the city's name")?.text.to_owned();
    let id = places::city(cursor, region.country(), &name)?;
    let share = cursor.percent()?;
    let of_country = scenario.cities.iter().filter(|known| known.region.country() == region.country());
    if of_country.count() >= SHARES_MAX {
        return Err(cursor.error_before(format!("at most {SHARES_MAX} cities of one country")));
    }
    scenario.cities.push(City { region, name, id, share });
    Ok(())
}

/// `network PK 17557 21% "PTCL"`
fn network(scenario: &mut Scenario, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    let country = places::country(cursor)?;
    let number = cursor.whole("the network's number", (1, u64::from(u32::MAX)))? as u32;
    let share = cursor.percent()?;
    let name = if cursor.is_done() { "" } else { cursor.quoted("the network's name")? };
    let Some(asn) = Asn::new(number) else { return Ok(()) };
    if scenario.networks.iter().filter(|known| known.country == country).count() >= SHARES_MAX {
        return Err(cursor.error_before(format!("at most {SHARES_MAX} networks of one country")));
    }
    scenario.networks.push(Network { country, asn, share, name: name.to_owned() });
    Ok(())
}

fn mark(cursor: &mut Cursor<'_>) -> Result<Mark, ScenarioError> {
    let word = cursor.word("`documented` or `synthetic`")?;
    match word {
        "documented" => Ok(Mark::Documented),
        "synthetic" => Ok(Mark::Synthetic),
        _ => Err(cursor.unknown("`documented` or `synthetic`", word, ["documented", "synthetic"])),
    }
}

/// `anchor 10:02 x PK 65 documented "Downdetector, by way of ..."`
fn anchor(draft: &mut Draft, cursor: &mut Cursor<'_>) -> Result<(), ScenarioError> {
    let at = time_of(draft.start, cursor)?;
    let scope = scope(&draft.scenario, cursor)?;
    let sources = cursor.whole("distinct sources in 15 minutes", (0, 5_000_000))? as u32;
    let mark = mark(cursor)?;
    let note = if cursor.is_done() { "" } else { cursor.quoted("where it comes from")? };
    draft.anchor_lines.push(cursor.line());
    draft.scenario.anchors.push(Anchor { at, scope, sources, mark, note: note.to_owned() });
    Ok(())
}

/// `pulse 14:00 x US +300 per hour for 40 minutes in Milwaukee`; `step` lasts to the end,
/// `ramp` rises, `brigade 14:00 x US 500 reports for 20 minutes` comes from one subnet, or, with
/// `from 60 subnets` behind it, from so many,
/// `silence 14:00 for 30 minutes` loses everything, `silence 14:00 PK for 3 hours` what comes from one
/// country.
fn event(draft: &Draft, cursor: &mut Cursor<'_>, word: &str) -> Result<Event, ScenarioError> {
    let start = time_of(draft.start, cursor)?;
    let mut event = Event {
        start,
        end: start,
        scope: None,
        per_hour: 0.0,
        shape: EventShape::Silence,
        focus: Focus::Everywhere,
    };
    if word != "silence" {
        event.scope = Some(scope(&draft.scenario, cursor)?);
    }
    match word {
        "brigade" => {
            event.shape = EventShape::Subnets(1);
            event.per_hour = cursor.number("how many reports", (0.0, PER_HOUR_MAX))?;
            cursor.expect("reports")?;
        }
        "pulse" | "ramp" | "step" => {
            event.shape = if word == "ramp" { EventShape::Ramp } else { EventShape::Pulse };
            event.per_hour = cursor.number("reports per hour", (0.0, PER_HOUR_MAX))?;
            per_hour(cursor)?;
        }
        _ => {}
    }
    if word == "silence" && !cursor.take("for") {
        event.focus = Focus::Country(places::country(cursor)?);
        cursor.expect("for")?;
    }
    let minutes = if word == "step" {
        SPAN_MINUTES_MAX as u32
    } else {
        match word {
            "silence" => {}
            "ramp" => cursor.expect("over")?,
            _ => cursor.expect("for")?,
        }
        cursor.minutes(SPAN_MINUTES_MAX)?
    };
    if minutes == 0 {
        return Err(cursor.error_before("an event lasts a minute at least"));
    }
    event.end = start.plus_seconds(60 * i64::from(minutes));
    if word == "brigade" {
        event.per_hour *= 60.0 / f64::from(minutes);
        if cursor.take("from") {
            event.shape = EventShape::Subnets(cursor.whole("how many subnets", (1, 1_000_000))? as u32);
            cursor.expect("subnets")?;
        }
    }
    if word != "silence" {
        event.focus = focus(&draft.scenario, cursor, event.scope)?;
    }
    Ok(event)
}

fn focus(
    scenario: &Scenario,
    cursor: &mut Cursor<'_>,
    scope: Option<ScopeKey>,
) -> Result<Focus, ScenarioError> {
    let country = scope.and_then(|scope| scope.country);
    if cursor.take("in") {
        let name = cursor.any("a city")?.text;
        let index = known_city(scenario, cursor, name, country)?;
        return Ok(Focus::City(index));
    }
    if cursor.take("on") {
        let number = cursor.whole("a network's number", (1, u64::from(u32::MAX)))?;
        let known =
            |network: &Network| u64::from(network.asn.0.get()) == number && Some(network.country) == country;
        let found = scenario.networks.iter().position(known);
        return found
            .map(Focus::Network)
            .ok_or_else(|| cursor.error_before("no `network` line above has this number in this country"));
    }
    Ok(Focus::Everywhere)
}

pub(super) fn known_city(
    scenario: &Scenario,
    cursor: &Cursor<'_>,
    name: &str,
    country: Option<CountryCode>,
) -> Result<usize, ScenarioError> {
    let of_country = |city: &City| country.is_none_or(|country| city.region.country() == country);
    let names = scenario.cities.iter().filter(|city| of_country(city)).map(|city| city.name.as_str());
    let found = scenario.cities.iter().position(|city| of_country(city) && city.name == name);
    found.ok_or_else(|| cursor.unknown("a city that is declared above for this country", name, names))
}
