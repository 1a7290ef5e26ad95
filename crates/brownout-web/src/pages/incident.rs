//! The page of one incident and its exports, and the list of incidents.

use std::fmt::Write;

use askama::Template;
use brownout_core::model::{Facet, Service, UtcTime};
use brownout_core::snapshot::{Change, IncidentView, Onset, ScopeView, State, TimelineEntry, Wave};
use brownout_core::verdict::{
    Verdict, confidence_words, doubt_words, explained, sentence, source_words, state_words, would_change,
};
use brownout_store::port::IncidentCursor;

use super::{render, unknown};
use crate::chart::{self, Marks, Row};
use crate::marks;
use crate::respond::Failure;
use crate::view::{IncidentRow, ScopeTable, Shell, View, is_learning};
use crate::zone::{counted, duration, expected_or_unknown, multiple, thousands};

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    shell: Shell,
    service: String,
    service_href: String,
    title: String,
    class: &'static str,
    mark: String,
    sentence: String,
    confidence: &'static str,
    revision: u32,
    judged: Option<String>,
    /// Where a printed sheet comes from: address, revision, time and hash.
    paper: Option<String>,
    frozen: Option<String>,
    current: String,
    held: Option<String>,
    opened: String,
    confirmed: Option<String>,
    ended: Option<String>,
    lasted: String,
    onset: String,
    peak: String,
    peak_at: String,
    chart_title: String,
    chart: String,
    waves: Vec<WaveRow>,
    waves_left_out: usize,
    rows: Vec<Row>,
    scopes: ScopeTable,
    more_scopes: Vec<ScopeTable>,
    reasons: Vec<String>,
    not_looked_at: Vec<String>,
    would_change: &'static str,
    unknown: String,
    timeline: Vec<Entry>,
    more_timeline: Vec<TimelinePart>,
    revisions: Vec<Revision>,
    older_revisions: Vec<Revision>,
    export: String,
}

/// Rows of countries in the first table of the extent, and lines of countries in the first timeline.
const PARTS_SHOWN: usize = 9;
const COUNTRY_LINES_SHOWN: usize = 40;
/// Waves that are numbered; of more, the highest.
const WAVES_SHOWN: usize = 8;
/// Judgements that are not folded away.
const REVISIONS_SHOWN: usize = 4;

struct WaveRow {
    peak: String,
    peak_at: String,
    from: String,
    to: Option<String>,
}

/// Timeline lines of one kind of place.
struct TimelinePart {
    id: &'static str,
    title: &'static str,
    entries: Vec<Entry>,
}

struct Entry {
    class: &'static str,
    glyph: &'static str,
    at: String,
    place: String,
    words: String,
    figures: String,
}

struct Revision {
    number: u32,
    href: String,
    at: String,
    mark: String,
    ruleset: u32,
    policy: String,
    hash: String,
}

/// The judgement in force at an instant, or the last one.
pub(crate) fn verdict_at(incident: &IncidentView, at: Option<UtcTime>) -> Option<&Verdict> {
    match at {
        None => incident.verdicts.last(),
        Some(at) => incident.verdicts.iter().rev().find(|verdict| verdict.as_of <= at),
    }
    .map(|verdict| &**verdict)
}

/// The page. `frozen` shows the judgement as it was then.
pub(crate) fn page(
    view: &View,
    service: &Service,
    incident: &IncidentView,
    frozen: Option<u32>,
) -> Result<String, Failure> {
    let name = incident.id.name(&service.slug);
    let verdict = match frozen {
        Some(revision) => incident.verdicts.iter().find(|one| one.revision == revision).map(|one| &**one),
        None => incident.verdicts.last().map(|one| &**one),
    };
    let names = view.names();
    let state = verdict.map_or(incident.state, |verdict| verdict.state);
    let whole = incident.scopes.first();
    let (waves, waves_left_out) = highest(whole.map_or(&[][..], |scope| &scope.waves));
    let end = incident.ended_at.map(UtcTime::minute);
    let drawing = Marks {
        shade: Some((incident.opened_at.minute(), end)),
        waves: if waves.len() > 1 { &waves } else { &[] },
        is_guess: is_learning(incident),
    };
    let chart_title = chart_title(view, incident);
    let heading = format!(
        "{} on {}",
        if state == State::Ended { "problems" } else { state_words(state) },
        view.zone.date(incident.opened_at)
    );
    let (scopes, more_scopes) = extent(view, incident);
    let (timeline, more_timeline) = timeline(view, incident);
    let mut revisions: Vec<Revision> =
        incident.verdicts.iter().rev().map(|verdict| revision(view, &name, verdict)).collect();
    let older_revisions = revisions.split_off(REVISIONS_SHOWN.min(revisions.len()));
    render(&IncidentPage {
        shell: view.shell(&format!("{}: {heading} - {}", service.name, view.site.options.title), &name),
        service: service.name.clone(),
        service_href: view.service_link(service),
        title: heading,
        class: marks::class(state),
        mark: marks::mark(state),
        sentence: verdict
            .map_or_else(|| "No judgement has been published yet.".to_owned(), |v| sentence(v, names)),
        confidence: verdict.map_or("weak", |verdict| confidence_words(verdict.confidence)),
        revision: verdict.map_or(0, |verdict| verdict.revision),
        paper: verdict.map(|verdict| {
            let base = &view.site.options.base_path;
            let (revision, at, hash) = (verdict.revision, verdict.as_of, &verdict.hash);
            format!("{base}/i/{name}?at={at} · revision {revision} · content hash {hash}")
        }),
        judged: verdict.map(|verdict| view.time(verdict.as_of)),
        frozen: frozen.and(verdict).map(|verdict| view.time(verdict.as_of)),
        current: view.link(&format!("/i/{name}")),
        held: incident.held.clone(),
        opened: view.time(incident.opened_at),
        confirmed: incident.confirmed_at.map(|at| view.time(at)),
        ended: incident.ended_at.map(|at| view.time(at)),
        lasted: duration(
            incident.ended_at.unwrap_or(view.snapshot.at).millis_since(incident.opened_at) / 1000,
        ),
        onset: whole.map_or_else(String::new, |scope| began(view, scope)),
        peak: whole.map_or_else(String::new, |scope| thousands(scope.peak.into())),
        peak_at: whole.map_or_else(String::new, |scope| view.time(scope.peak_at.start())),
        chart: chart::draw(&incident.chart, &drawing, &view.zone, &chart_title),
        chart_title,
        waves: waves.iter().map(|wave| wave_row(view, wave)).collect(),
        waves_left_out,
        rows: chart::rows(&incident.chart, &view.zone, is_learning(incident)),
        scopes,
        more_scopes,
        reasons: verdict.map_or_else(Vec::new, |verdict| {
            explained(verdict, names).iter().map(|reason| marks::capital(reason)).collect()
        }),
        not_looked_at: verdict.map_or_else(Vec::new, |verdict| {
            verdict.not_looked_at.iter().map(|source| marks::capital(source_words(*source))).collect()
        }),
        would_change: verdict.map_or("", would_change),
        unknown: unknown(),
        timeline,
        more_timeline,
        revisions,
        older_revisions,
        export: format!("{}/i/{name}", view.site.options.base_path),
    })
}

fn revision(view: &View, name: &str, verdict: &Verdict) -> Revision {
    Revision {
        number: verdict.revision,
        href: at_link(view, name, verdict.as_of),
        at: view.time(verdict.as_of),
        mark: marks::mark(verdict.state),
        ruleset: verdict.ruleset,
        policy: verdict.policy.chars().take(12).collect(),
        hash: verdict.hash.chars().take(64).collect(),
    }
}

/// When it began: by settled counts where there are any.
fn began(view: &View, scope: &ScopeView) -> String {
    match &scope.settled {
        Some(settled) => onset(view, &settled.onset),
        None => format!("{}; late reports may still move this", onset(view, &scope.onset)),
    }
}

fn onset(view: &View, onset: &Onset) -> String {
    let (earliest, latest) = (onset.earliest.start(), onset.latest.start());
    if earliest == latest {
        format!("about {}", view.time(earliest))
    } else {
        format!("between {} and {}", view.time(earliest), view.time(latest))
    }
}

/// The highest waves, in the order in which they came, and how many are left out.
fn highest(waves: &[Wave]) -> (Vec<Wave>, usize) {
    let mut chosen = waves.to_vec();
    chosen.sort_by_key(|wave| std::cmp::Reverse(wave.peak));
    chosen.truncate(WAVES_SHOWN);
    chosen.sort_by_key(|wave| wave.start);
    let left_out = waves.len() - chosen.len();
    (chosen, left_out)
}

fn wave_row(view: &View, wave: &Wave) -> WaveRow {
    WaveRow {
        peak: thousands(wave.peak.into()),
        peak_at: view.time(wave.peak_at.start()),
        from: view.time(wave.start.start()),
        to: wave.end.map(|end| view.time(end.end())),
    }
}

/// A kind of parts beside the service as a whole; `id` is its anchor on the page.
struct PartKind {
    id: &'static str,
    title: &'static str,
    /// Over those that did not find room among the first.
    more_title: &'static str,
    is_of_kind: fn(&Facet) -> bool,
}

const PART_KINDS: [PartKind; 4] = [
    PartKind {
        id: "countries",
        title: "Countries",
        more_title: "More countries",
        is_of_kind: |facet| matches!(facet, Facet::Country(_)),
    },
    PartKind {
        id: "regions",
        title: "Regions",
        more_title: "More regions",
        is_of_kind: |facet| matches!(facet, Facet::Region(_)),
    },
    PartKind {
        id: "cities",
        title: "Cities",
        more_title: "More cities",
        is_of_kind: |facet| matches!(facet, Facet::City(_)),
    },
    PartKind {
        id: "networks",
        title: "Networks",
        more_title: "More networks",
        is_of_kind: |facet| matches!(facet, Facet::Network(_)),
    },
];

/// The service as a whole, the places that the extent names, and the countries hit worst, or where none is
/// the regions or cities; everything else by kind.
fn extent(view: &View, incident: &IncidentView) -> (ScopeTable, Vec<ScopeTable>) {
    let scopes = &incident.scopes;
    let is_guess = is_learning(incident);
    let row = |scope: &ScopeView| view.scope_row(scope, is_guess);
    let located = incident.verdicts.last().and_then(|verdict| verdict.located.as_ref());
    let is_named = |facet: &Facet| located.is_some_and(|extent| extent.facets.contains(facet));
    let leads = |scope: &&ScopeView| scope.facet == Facet::All || is_named(&scope.facet);
    let mut first: Vec<_> = scopes.iter().filter(leads).map(row).collect();
    let mut more = Vec::new();
    for PartKind { id, mut title, more_title, is_of_kind } in PART_KINDS {
        let mut rows: Vec<_> =
            scopes.iter().filter(|scope| !leads(scope) && is_of_kind(&scope.facet)).collect();
        // Where no country is affected as a whole, the next smaller parts say where it is.
        if id == "countries" || (first.len() <= 1 && id != "networks") {
            let rest = rows.split_off(PARTS_SHOWN.min(rows.len()));
            first.extend(rows.iter().map(|scope| row(scope)));
            (rows, title) = (rest, more_title);
        }
        if !rows.is_empty() {
            let rows = rows.iter().map(|scope| row(scope)).collect();
            more.push(ScopeTable { id, title, rows });
        }
    }
    (ScopeTable { id: "extent", title: "Extent", rows: first }, more)
}

/// What happened to the service as a whole and to countries, and the rest by kind.
fn timeline(view: &View, incident: &IncidentView) -> (Vec<Entry>, Vec<TimelinePart>) {
    let entries = &incident.timeline;
    let is_guess = is_learning(incident);
    let of_kind = |is_of_kind: fn(&Facet) -> bool| {
        entries.iter().filter(move |entry| !is_by_operator(entry) && is_of_kind(&entry.facet))
    };
    let [PartKind { is_of_kind: is_country, .. }, ..] = PART_KINDS;
    let countries_fit = of_kind(is_country).count() <= COUNTRY_LINES_SHOWN;
    let is_first = |entry: &&TimelineEntry| {
        is_by_operator(entry) || entry.facet == Facet::All || (countries_fit && is_country(&entry.facet))
    };
    let first = entries.iter().filter(is_first).map(|entry| timeline_entry(view, entry, is_guess)).collect();
    let more = PART_KINDS
        .into_iter()
        .skip(usize::from(countries_fit))
        .map(|PartKind { id, title, is_of_kind, .. }| TimelinePart {
            id,
            title,
            entries: of_kind(is_of_kind).map(|entry| timeline_entry(view, entry, is_guess)).collect(),
        })
        .filter(|part| !part.entries.is_empty())
        .collect();
    (first, more)
}

fn is_by_operator(entry: &TimelineEntry) -> bool {
    matches!(entry.change, Change::Operator(_))
}

fn at_link(view: &View, name: &str, at: UtcTime) -> String {
    let zone = view.zone.key().map_or_else(String::new, |zone| format!("&tz={zone}"));
    format!("{}/i/{name}?at={at}{zone}", view.site.options.base_path)
}

fn chart_title(view: &View, incident: &IncidentView) -> String {
    let minutes = incident.chart.step_minutes;
    match chart::peak(&incident.chart) {
        None => "Reports".to_owned(),
        Some((count, at, usual)) => {
            let times = multiple(count, usual)
                .filter(|_| !is_learning(incident))
                .map_or_else(String::new, |times| format!(", {times} times usual"));
            let at = view.zone.clock_and_utc(at);
            let reports = counted(count.into(), "report", "reports");
            format!("At most {reports} in {minutes} min, at {at}{times}")
        }
    }
}

fn timeline_entry(view: &View, entry: &TimelineEntry, is_guess: bool) -> Entry {
    let (class, glyph, words) = match &entry.change {
        Change::Possible => ("", marks::glyph(State::Possible), "possible problems".to_owned()),
        Change::Confirmed => ("", marks::glyph(State::Confirmed), "problems detected".to_owned()),
        Change::Peak => ("", marks::glyph(State::Calm), "a wave passed its peak".to_owned()),
        Change::Ended => ("", marks::glyph(State::Ended), "ended".to_owned()),
        Change::Explained => ("", marks::glyph(State::Ended), "withdrawn: another is to blame".to_owned()),
        Change::Operator(text) => ("operator", marks::glyph(State::Calm), format!("Operator: {text}")),
        Change::Held(doubt) => (
            "",
            marks::glyph(State::Possible),
            format!("held at “possible”: {}", doubt_words(doubt, view.names())),
        ),
        Change::Released => ("", marks::glyph(State::Possible), "no longer held".to_owned()),
    };
    let figures = if class == "operator" {
        String::new()
    } else {
        let reports = counted(entry.observed.into(), "report", "reports");
        format!("{reports} in 15 min, usual {}", expected_or_unknown(entry.expected, is_guess))
    };
    Entry { class, glyph, at: view.time(entry.at), place: view.facet_name(entry.facet), words, figures }
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct IncidentsPage {
    shell: Shell,
    rows: Vec<IncidentRow>,
    older: bool,
    next: Option<String>,
}

/// A list of incidents; `older` when it begins in the past, `next` is where it goes on.
pub(crate) fn list(
    view: &View,
    incidents: &[&IncidentView],
    older: bool,
    next: Option<IncidentCursor>,
) -> Result<String, Failure> {
    let zone = view.zone.key().map_or_else(String::new, |zone| format!("&tz={zone}"));
    render(&IncidentsPage {
        shell: view.shell(&format!("Incidents - {}", view.site.options.title), if older { "" } else { "*" }),
        rows: incidents.iter().filter_map(|one| view.incident_row(one)).collect(),
        older,
        next: next.map(|from| format!("{}/incidents?before={from}{zone}", view.site.options.base_path)),
    })
}

/// The incident as Markdown, in UTC.
pub(crate) fn markdown(view: &View, service: &Service, incident: &IncidentView) -> String {
    let names = view.names();
    let plain = |text: &str| text.replace(['\r', '\n'], " ").replace('|', "\\|").replace('<', "&lt;");
    let mut out = String::new();
    let _ = writeln!(out, "# {}: {}\n", plain(&service.name), incident.id.name(&service.slug));
    if let Some(verdict) = incident.verdicts.last() {
        let _ = writeln!(out, "{}\n", plain(&sentence(verdict, names)));
        let _ = writeln!(
            out,
            "Confidence: {}. Revision {}.\n",
            confidence_words(verdict.confidence),
            verdict.revision
        );
    }
    let stamp = |at: Option<UtcTime>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let _ = writeln!(
        out,
        "- Possible: {}\n- Detected: {}\n- Ended: {}\n\n## Extent\n\n| Where | State | Since | Most reports in 15 min | At |\n|---|---|---|---:|---|",
        incident.opened_at,
        stamp(incident.confirmed_at),
        stamp(incident.ended_at)
    );
    for scope in &incident.scopes {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            plain(&view.facet_name(scope.facet)),
            state_words(scope.state),
            scope.since,
            scope.peak,
            scope.peak_at.start()
        );
    }
    out.push_str("\n## Timeline\n\n");
    for entry in &incident.timeline {
        let words = match &entry.change {
            Change::Possible => "possible problems".to_owned(),
            Change::Confirmed => "problems detected".to_owned(),
            Change::Peak => "a wave passed its peak".to_owned(),
            Change::Ended => "ended".to_owned(),
            Change::Explained => "withdrawn: another is to blame".to_owned(),
            Change::Operator(text) => format!("operator: {}", plain(text)),
            Change::Held(doubt) => format!("held at “possible”: {}", plain(&doubt_words(doubt, names))),
            Change::Released => "no longer held".to_owned(),
        };
        let _ = writeln!(
            out,
            "- {} {}: {words} ({} reports in 15 min, usual {})",
            entry.at,
            plain(&view.facet_name(entry.facet)),
            entry.observed,
            expected_or_unknown(entry.expected, is_learning(incident))
        );
    }
    if let Some(verdict) = incident.verdicts.last() {
        out.push_str("\n## Evidence\n\n");
        for reason in explained(verdict, names) {
            let _ = writeln!(out, "- {}", plain(&reason));
        }
        for source in &verdict.not_looked_at {
            let _ = writeln!(out, "- Not weighed: {}", source_words(*source));
        }
        let _ = writeln!(
            out,
            "\nAs of {}, content hash `{}`. All times UTC.",
            verdict.as_of,
            plain(&verdict.hash)
        );
    }
    out
}

/// The incident's chart as CSV, in UTC; an empty count is a gap, and what is usual is empty where it is
/// still being learned.
pub(crate) fn csv(incident: &IncidentView) -> String {
    let mut out = String::from("start_utc,step_minutes,sources,usual_p10,usual_median,usual_p90,threshold\n");
    for (index, bar) in incident.chart.bars.iter().enumerate() {
        let count = bar.count.map_or_else(String::new, |count| count.to_string());
        let usual = if is_learning(incident) {
            ",,,".to_owned()
        } else {
            format!("{:.2},{:.2},{:.2},{:.2}", bar.usual.p10, bar.usual.median, bar.usual.p90, bar.threshold)
        };
        let (start, minutes) = (chart::bar_start(&incident.chart, index), incident.chart.step_minutes);
        let _ = writeln!(out, "{start},{minutes},{count},{usual}");
    }
    out
}
