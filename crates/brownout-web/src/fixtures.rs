//! A small made-up world, for tests and for looking at the pages: an afternoon with one detected
//! incident in three waves, one possible, one that is over, calm services, and a service without data.

use std::sync::Arc;

use arc_swap::ArcSwap;
use brownout_core::incident::{Extent, ExtentKind};
use brownout_core::model::{
    Asn, Catalogue, Category, ChannelId, City, CityId, Country, CountryCode, Facet, Geography, IncidentId,
    Minute, ProblemKind, Region, RegionCode, Seq, Service, ServiceId, UtcTime,
};
use brownout_core::snapshot::{
    Band, Bar, CauseMember, CauseView, Change, Chart, CountryView, IncidentView, Onset, PlaceView, Rarest,
    ScopeView, ServiceView, SettledSignal, Silence, Snapshot, State, TimelineEntry, Totals, Wave,
};
use brownout_core::verdict::{Bond, Cause, Confidence, Locus, Reason, Source, Verdict};
use tokio::sync::watch;

use crate::site::{Hooks, SiteOptions, SiteParts, WebState};

/// The text that must never become markup: it stands in a name, a note and a reason.
pub const HOSTILE: &str = "<script>alert(\"1\")</script> & \u{202e}اردو'";

/// The time of the made-up snapshot.
pub fn now() -> UtcTime {
    UtcTime::from_seconds(1_741_624_920) // 2025-03-10T16:42:00Z
}

fn code(text: &str) -> CountryCode {
    text.parse().unwrap_or_else(|_| unreachable!("a code of this file"))
}

/// A few places.
pub fn geography() -> Geography {
    let country = |text: &str, name: &str, population: u64, users: Option<u64>| Country {
        code: code(text),
        name: name.to_owned(),
        population,
        internet_users: users,
        latitude: 0.0,
        longitude: 0.0,
    };
    let city = |id: u32, name: &str, text: &str| City {
        id: CityId::new(id).unwrap_or_else(|| unreachable!("not zero")),
        name: name.to_owned(),
        country: code(text),
        region: None,
        population: 1_000_000,
        latitude: 0.0,
        longitude: 0.0,
    };
    Geography::new(
        vec![
            country("US", "United States", 340_000_000, Some(316_000_000)),
            country("GB", "United Kingdom", 68_000_000, Some(66_000_000)),
            country("PK", "Pakistan", 240_000_000, Some(65_000_000)),
            country("BR", "Brazil", 211_000_000, Some(178_000_000)),
            country("JP", "Japan", 124_000_000, Some(107_000_000)),
            country("FR", "France", 68_000_000, None),
        ],
        vec![Region {
            code: RegionCode::new(code("PK"), "PB").unwrap_or_else(|| unreachable!("a region")),
            name: "Punjab".to_owned(),
        }],
        vec![
            city(1_172_451, "Lahore", "PK"),
            city(1_174_872, "Karachi", "PK"),
            city(1_166_993, "Rawalpindi", "PK"),
            city(5_128_581, "New York City", "US"),
            city(2_643_743, "London", "GB"),
        ],
        "fixture".to_owned(),
    )
}

/// A dozen services, one of them with a hostile name.
pub fn catalogue() -> Catalogue {
    let list = [
        ("x", "X", Category::Social),
        ("bluesky", "Bluesky", Category::Social),
        ("whatsapp", "WhatsApp", Category::Messaging),
        ("signal", "Signal", Category::Messaging),
        ("netflix", "Netflix", Category::Streaming),
        ("youtube", "YouTube", Category::Streaming),
        ("roblox", "Roblox", Category::Games),
        ("spectrum", "Spectrum", Category::Internet),
        ("ptcl", "PTCL", Category::Internet),
        ("cloudflare", "Cloudflare", Category::Cloud),
        ("github", "GitHub", Category::Work),
        ("hostile", HOSTILE, Category::News),
    ];
    let service = |(index, (slug, name, category)): (usize, &(&str, &str, Category))| Service {
        id: ServiceId(index as u32 + 1),
        slug: (*slug).to_owned(),
        name: (*name).to_owned(),
        category: *category,
        home: None,
        targets: Vec::new(),
        networks: Vec::new(),
        depends_on: if *slug == "x" { vec!["cloudflare".to_owned()] } else { Vec::new() },
        status_page: match *slug {
            "github" => Some("https://status.example.org/".to_owned()),
            "hostile" => Some("javascript:alert(1)".to_owned()),
            _ => None,
        },
        users: (*slug == "x").then_some(600_000_000),
        aliases: if *slug == "x" { vec!["twitter".to_owned(), "tweets".to_owned()] } else { Vec::new() },
    };
    Catalogue::new(list.iter().enumerate().map(service).collect()).unwrap_or_default()
}

/// Sources per five minutes of the reference afternoon, drawn as three waves.
fn waves(minute: u32) -> f64 {
    let bump = |middle: f64, width: f64, height: f64| {
        let away = (f64::from(minute) - middle) / width;
        height * (-away * away).exp()
    };
    bump(600.0, 16.0, 9_800.0)
        + bump(838.0, 14.0, 16_400.0)
        + bump(930.0, 22.0, 12_100.0)
        + bump(994.0, 14.0, 9_100.0)
}

/// A chart of `count` five-minute bars up to now. `shape` gives sources by minute of the day.
fn chart(count: u32, usual: f32, shape: impl Fn(u32) -> f64, gap: std::ops::Range<u32>) -> Chart {
    let end = now().minute().0 / 5 * 5;
    let start = Minute(end - (count - 1) * 5);
    let bars = (0..count)
        .map(|index| {
            let minute = (start.0 + index * 5) % 1440;
            let day = 1.0 + 0.5 * (f64::from(minute) / 1440.0 * std::f64::consts::TAU).cos();
            let mean = usual * day as f32;
            // A little unevenness that is the same in every run.
            let noise = f64::from((index * 7919 + 13) % 11) / 11.0 - 0.5;
            let value = shape(minute) + f64::from(mean) * (1.0 + 0.6 * noise);
            let today = start.0 + index * 5 >= now().minute().0 / 1440 * 1440;
            let value = if today { value } else { f64::from(mean) * (1.0 + 0.6 * noise) };
            Bar {
                count: (!gap.contains(&index)).then_some(value.max(0.0).round() as u32),
                usual: Band { p10: mean * 0.5, median: mean * 0.95, p90: mean * 1.6, mean },
                threshold: mean * 2.5 + 6.0,
            }
        })
        .collect();
    Chart { start, step_minutes: 5, bars, incomplete: true }
}

fn place(facet: Facet, state: State, observed: u32, expected: f32) -> PlaceView {
    let since = matches!(state, State::Possible | State::Confirmed).then(|| now().plus_seconds(-24_000));
    PlaceView { facet, state, since, observed, expected }
}

fn city(id: u32) -> Facet {
    CityId::new(id).map_or(Facet::All, Facet::City)
}

fn network(number: u32) -> Facet {
    Asn::new(number).map_or(Facet::All, Facet::Network)
}

fn verdict(service: u32, state: State, revision: u32, as_of: UtcTime, reasons: Vec<Reason>) -> Arc<Verdict> {
    let incident = (revision > 0).then(|| incident_id(service));
    Arc::new(Verdict {
        service: ServiceId(service),
        incident,
        revision,
        as_of,
        state,
        since: incident.map(|id| id.opened.start()),
        extent: vec![Facet::All, Facet::Country(code("US")), Facet::Country(code("PK"))],
        located: incident.map(|_| world()),
        locus: if revision > 0 { Locus::Undetermined } else { Locus::NoIncident },
        confidence: Confidence::Weak,
        reasons,
        looked_at: vec![Source::Crowd],
        not_looked_at: vec![Source::Reachability, Source::Routing, Source::Traffic, Source::Statements],
        ruleset: 1,
        policy: "5f0c6a9d2b7e4a31".to_owned(),
        hash: format!("{:064x}", u64::from(service) * 0x9e37_79b9 + u64::from(revision)),
    })
}

fn world() -> Extent {
    Extent {
        kind: ExtentKind::World,
        facets: Vec::new(),
        most_affected: vec![Facet::Country(code("US")), Facet::Country(code("PK"))],
        explained_percent: 100,
        window_minutes: 15,
        statistic: 812.4,
        runner_up: None,
    }
}

fn incident_id(service: u32) -> IncidentId {
    let opened = match service {
        1 => "2025-03-10T09:47:00Z",
        8 => "2025-03-10T16:21:00Z",
        _ => "2025-03-08T11:05:00Z",
    };
    IncidentId { service: ServiceId(service), opened: opened.parse::<UtcTime>().unwrap_or_default().minute() }
}

fn rarest(observed: u32) -> Rarest {
    Rarest { minutes: 15, observed, expected: 4.2, recurrence_years: 4_000.0 }
}

fn above(facet: Facet, observed: u32, expected: f32) -> Reason {
    Reason::ReportsAboveUsual { facet, observed, expected, rarest: rarest(observed) }
}

fn scope(facet: Facet, state: State, peak: u32, observed: u32, waves: Vec<Wave>) -> ScopeView {
    let since = incident_id(1).opened;
    ScopeView {
        facet,
        state,
        since: since.start(),
        confirmed_at: (state != State::Possible).then(|| since.plus(6).start()),
        ended_at: (state == State::Ended).then(|| since.plus(140).start()),
        observed,
        expected: 4.2,
        peak,
        peak_at: since.plus(253),
        rarest: rarest(observed),
        onset: Onset { earliest: since.minus(4), likeliest: since.minus(2), latest: since },
        settled: (state != State::Possible).then(|| SettledSignal {
            facet,
            as_of: since.plus(2),
            observed: peak / 4,
            expected: 4.1,
            window_minutes: 5,
            window_sources: peak / 6,
            recurrence_years: 6_000.0,
            onset: Onset { earliest: since.minus(3), likeliest: since.minus(2), latest: since.minus(1) },
            peak,
            peak_at: since.plus(252),
            ended_at: (state == State::Ended).then(|| since.plus(110)),
        }),
        waves,
    }
}

/// The detected incident in three waves.
fn incident_x() -> IncidentView {
    let opened = incident_id(1).opened;
    let wave = |start: u32, peak_at: u32, peak: u32, end: Option<u32>| Wave {
        start: opened.plus(start),
        peak_at: opened.plus(peak_at),
        peak,
        end: end.map(|end| opened.plus(end)),
    };
    let waves = vec![
        wave(0, 15, 20_538, Some(48)),
        wave(223, 253, 40_000, Some(283)),
        wave(318, 343, 33_000, Some(383)),
        wave(388, 408, 26_579, None),
    ];
    let entry = |minutes: u32, facet, change, observed| TimelineEntry {
        at: opened.plus(minutes).start(),
        facet,
        change,
        observed,
        expected: 12.0,
    };
    let us = Facet::Country(code("US"));
    let pk = Facet::Country(code("PK"));
    IncidentView {
        id: incident_id(1),
        version: 41,
        state: State::Confirmed,
        opened_at: opened.start(),
        confirmed_at: Some(opened.plus(6).start()),
        ended_at: None,
        held: None,
        doubts: Vec::new(),
        scopes: vec![
            scope(Facet::All, State::Confirmed, 50_212, 31_402, waves),
            scope(us, State::Confirmed, 40_000, 26_579, Vec::new()),
            scope(Facet::Country(code("GB")), State::Confirmed, 10_800, 3_011, Vec::new()),
            scope(pk, State::Possible, 109, 102, Vec::new()),
            scope(city(1_172_451), State::Possible, 44, 41, Vec::new()),
            scope(network(17_557), State::Possible, 61, 55, Vec::new()),
        ],
        timeline: vec![
            entry(0, Facet::All, Change::Possible, 400),
            entry(6, Facet::All, Change::Confirmed, 2_100),
            entry(15, pk, Change::Possible, 65),
            entry(15, Facet::All, Change::Peak, 31_338),
            entry(90, Facet::All, Change::Operator(format!("We are looking at it. {HOSTILE}")), 0),
            entry(253, Facet::All, Change::Peak, 50_212),
        ],
        verdicts: vec![
            verdict(1, State::Possible, 1, opened.start(), vec![above(Facet::All, 400, 12.0)]),
            verdict(1, State::Confirmed, 2, opened.plus(6).start(), vec![above(Facet::All, 2_100, 12.0)]),
            verdict(
                1,
                State::Confirmed,
                3,
                opened.plus(253).start(),
                vec![above(Facet::All, 50_212, 12.0), Reason::ManyCountries { countries: 5 }],
            ),
        ],
        chart: chart(96, 4.0, waves_now, 0..0),
    }
}

fn waves_now(minute: u32) -> f64 {
    waves(minute)
}

fn small_incident(service: u32, state: State, peak: u32, held: Option<String>) -> IncidentView {
    let id = incident_id(service);
    let at = id.opened.start();
    let mut whole = scope(Facet::All, state, peak, peak / 2, Vec::new());
    whole.since = at;
    whole.peak_at = id.opened.plus(9);
    let reasons = match &held {
        Some(reason) => vec![above(Facet::All, peak, 2.0), Reason::Held { reason: reason.clone() }],
        None => vec![above(Facet::All, peak, 2.0), Reason::StillLearning],
    };
    IncidentView {
        id,
        version: 40,
        state,
        opened_at: at,
        confirmed_at: None,
        ended_at: (state == State::Ended).then(|| at.plus_seconds(5_400)),
        held,
        doubts: Vec::new(),
        scopes: vec![whole],
        timeline: vec![TimelineEntry {
            at,
            facet: Facet::All,
            change: Change::Possible,
            observed: peak,
            expected: 2.0,
        }],
        verdicts: vec![verdict(service, state, 1, at, reasons)],
        chart: chart(24, 2.0, |_| f64::from(peak) / 3.0, 0..0),
    }
}

fn calm(service: u32, usual: f32) -> ServiceView {
    ServiceView {
        service: ServiceId(service),
        version: 7,
        state: State::Calm,
        learning: false,
        incident: None,
        since: None,
        observed: usual.round() as u32,
        usual: Band { p10: usual * 0.5, median: usual, p90: usual * 1.6, mean: usual },
        verdict: verdict(
            service,
            State::Calm,
            0,
            now(),
            vec![Reason::ReportsAsUsual { observed: usual.round() as u32, expected: usual }],
        ),
        chart: chart(288, usual / 3.0, |_| 0.0, 0..0),
        kinds: Vec::new(),
        channels: vec![(ChannelId::WEB, 3)],
        page_views: 41,
        countries: vec![place(Facet::Country(code("JP")), State::Calm, 1, 1.2)],
        regions: Vec::new(),
        cities: Vec::new(),
        networks: Vec::new(),
        incidents: Vec::new(),
        last_report_at: Some(now().plus_seconds(-140)),
        reach: None,
    }
}

/// X is echoed by one service, and the customers of a network that is nobody's report two.
fn causes() -> Vec<CauseView> {
    let member = |service, observed, odds| CauseMember {
        service: ServiceId(service),
        since: now().plus_seconds(-1800),
        is_held: true,
        observed,
        expected: 4.0,
        odds,
    };
    let view = |cause, bond, incident, members: Vec<CauseMember>| CauseView {
        cause,
        bond,
        since: now().plus_seconds(-3600),
        state: State::Confirmed,
        incident,
        count: members.len() as u32,
        members,
    };
    let network = match network(64_500) {
        Facet::Network(asn) => Cause::Network(asn),
        _ => Cause::Unnamed,
    };
    vec![
        view(Cause::Service(ServiceId(1)), Bond::Echo, Some(incident_id(1)), vec![member(2, 310, 120)]),
        view(network, Bond::Network, None, vec![member(6, 40, 900), member(7, 21, 900)]),
    ]
}

fn service_x() -> ServiceView {
    let incident = incident_x();
    ServiceView {
        version: 41,
        state: State::Confirmed,
        incident: Some(incident.id),
        since: Some(incident.opened_at),
        observed: 31_402,
        usual: Band { p10: 6.0, median: 11.0, p90: 19.0, mean: 12.0 },
        verdict: incident.verdicts.last().map_or_else(|| calm(1, 1.0).verdict, Arc::clone),
        chart: chart(288, 4.0, waves, 20..31),
        kinds: vec![
            (ProblemKind::App, 41_020),
            (ProblemKind::Unreachable, 30_870),
            (ProblemKind::Slow, 18_400),
            (ProblemKind::Messages, 3_211),
            (ProblemKind::Other, 2_950),
        ],
        channels: vec![(ChannelId::FIRST_PARTNER, 90_112), (ChannelId::WEB, 6_339)],
        page_views: 182_004,
        countries: vec![
            place(Facet::Country(code("US")), State::Confirmed, 26_579, 8.1),
            place(Facet::Country(code("GB")), State::Confirmed, 3_011, 1.3),
            place(Facet::Country(code("PK")), State::Possible, 102, 0.6),
            place(Facet::Country(code("BR")), State::Calm, 4, 0.9),
            place(Facet::Country(code("FR")), State::Insufficient, 2, 0.1),
        ],
        regions: vec![place(
            RegionCode::new(code("PK"), "PB").map_or(Facet::All, Facet::Region),
            State::Possible,
            60,
            0.3,
        )],
        cities: vec![
            place(city(5_128_581), State::Confirmed, 4_120, 0.9),
            place(city(1_172_451), State::Possible, 41, 0.2),
            place(city(1_174_872), State::Possible, 30, 0.2),
        ],
        networks: vec![
            place(network(7_922), State::Confirmed, 5_733, 1.1),
            place(network(17_557), State::Possible, 55, 0.2),
        ],
        incidents: vec![incident.id],
        last_report_at: Some(now().plus_seconds(-2)),
        ..calm(1, 12.0)
    }
}

/// The made-up afternoon.
pub fn snapshot() -> Snapshot {
    let mut spectrum = calm(8, 3.0);
    let possible =
        small_incident(8, State::Possible, 31, Some(format!("A partner sent them twice. {HOSTILE}")));
    spectrum.state = State::Possible;
    spectrum.learning = true;
    spectrum.incident = Some(possible.id);
    spectrum.since = Some(possible.opened_at);
    spectrum.observed = 15;
    spectrum.verdict = Arc::clone(&possible.verdicts[0]);
    spectrum.incidents = vec![possible.id];
    let ended = small_incident(11, State::Ended, 640, None);
    let mut github = calm(11, 5.0);
    github.incidents = vec![ended.id];
    let mut silent = calm(9, 0.0);
    silent.state = State::Insufficient;
    silent.verdict = verdict(9, State::Insufficient, 0, now(), Vec::new());
    silent.chart = chart(288, 0.0, |_| 0.0, 0..288);
    silent.channels.clear();
    silent.countries.clear();
    silent.last_report_at = None;
    silent.observed = 0;
    let mut services: Vec<ServiceView> = (1..=12).map(|id| calm(id, 2.0 * id as f32)).collect();
    services[0] = service_x();
    services[7] = spectrum;
    services[8] = silent;
    services[10] = github;
    let country = |text: &str, observed, services: Vec<(u32, State)>| CountryView {
        country: code(text),
        observed,
        services: services.into_iter().map(|(id, state)| (ServiceId(id), state)).collect(),
    };
    Snapshot {
        serial: 41,
        at: now(),
        seq: Seq(1_204_331),
        last_report_at: Some(now().plus_seconds(-2)),
        catalogue: Arc::new(catalogue()),
        channels: vec![(ChannelId::FIRST_PARTNER, "A partner".to_owned())],
        services: services.into_iter().map(Arc::new).collect(),
        incidents: vec![Arc::new(incident_x()), Arc::new(possible), Arc::new(ended)],
        causes: causes(),
        countries: vec![
            country("US", 26_610, vec![(1, State::Confirmed), (8, State::Possible)]),
            country("GB", 3_020, vec![(1, State::Confirmed)]),
            country("PK", 102, vec![(1, State::Possible)]),
            country("BR", 9, Vec::new()),
            country("JP", 6, Vec::new()),
        ],
        silences: vec![Silence {
            facet: Facet::Country(code("FR")),
            since: now().plus_seconds(-3600),
            observed: 1,
            expected: 48.0,
            recurrence_years: 31.0,
        }],
        disruptions: Vec::new(),
        place_sources_min: 3,
        totals: Totals {
            reports: 1_204_330,
            repeats: 20_112,
            late: 3,
            over_subnet_cap: 881,
            settled_early: 0,
            measurements: 0,
            measurements_late: 0,
            measurements_left_out: 0,
            measurements_crowded_out: 0,
            sources_15_minutes: 29_747,
            series: 4_120,
            series_active: 61,
        },
    }
}

/// A site over a snapshot whose clock stands `age_seconds` after it.
pub fn site(snapshot: Snapshot, options: SiteOptions, age_seconds: i64) -> WebState {
    let (state, _, sender) = published(snapshot, options, age_seconds);
    // A closed channel would end event streams, which a host never does while it runs.
    std::mem::forget(sender);
    state
}

/// What a host keeps in its hands to show something new: store the snapshot, then send its serial.
pub type Published = (WebState, Arc<ArcSwap<Snapshot>>, watch::Sender<u64>);

/// The same with what its host needs to show something new.
pub fn published(snapshot: Snapshot, options: SiteOptions, age_seconds: i64) -> Published {
    let (sender, updates) = watch::channel(snapshot.serial);
    let at = snapshot.at.plus_seconds(age_seconds);
    let mut hooks = Hooks::with_clock(move || at);
    hooks.network_name =
        Arc::new(|asn| (asn.0.get() == 17_557).then(|| "Pakistan Telecommunication".to_owned()));
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
    let state = WebState::new(SiteParts {
        snapshot: Arc::clone(&snapshot),
        geography: Arc::new(geography()),
        history: None,
        options,
        hooks,
        updates,
        more_api: None,
    });
    (state, snapshot, sender)
}
