//! Reports in, pages out, and the log run again.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use brownout_core::model::{UtcTime, Weight};
use memchr::memmem;

use brownout_store::embedded::{EmbeddedStore, Options, Token};

use super::client::{self, Flood, Requests, Same, flood};
use super::paper::{Paper, count, now, rounds};
use super::program::{Program, fdatasync};
use super::trivial::Trivial;
use super::{Settings, median};
use crate::load::{Load, bodies};

/// Connections of people who report.
const CONNECTIONS: usize = 64;
/// Connections of partners, and of readers.
const FEW_CONNECTIONS: usize = 4;
/// Turns that a round of single reports is cut into.
const TURNS_PER_ROUND: usize = 4;
/// Lines of a batch.
const LINES: usize = 1_000;
/// Services that are reported.
const SERVICES: [&str; 12] = [
    "x",
    "facebook",
    "instagram",
    "whatsapp",
    "youtube",
    "github",
    "netflix",
    "spotify",
    "discord",
    "reddit",
    "tiktok",
    "telegram",
];
const TOKEN: &str = "bench";

/// One person's report after the other, each from an address of its own, as a proxy forwards them.
struct People {
    request: Vec<u8>,
    /// Where the digits of the address are.
    address_at: usize,
    number: u32,
}

impl People {
    fn of(connection: usize, path: &str) -> Self {
        let service = SERVICES[connection % SERVICES.len()];
        let body =
            format!(r#"{{"service":"{service}","kind":"unreachable","country":"PK","region":"PK-PB"}}"#);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nx-forwarded-for: ",
            body.len()
        );
        let request = format!("{head}100.100.100.100\r\n\r\n{body}").into_bytes();
        // Connections begin far from each other, so that no address comes twice.
        let number = connection as u32 * 3_000_000;
        People { request, address_at: head.len(), number }
    }
}

impl Requests for People {
    fn next(&mut self) -> Option<&[u8]> {
        // Numbers from 100 to 223 have three digits each, so the length never changes.
        let mut number = self.number;
        for place in [12, 8, 4, 0] {
            let octet = 100 + number % 124;
            number /= 124;
            for (digit, divisor) in [(0, 100), (1, 10), (2, 1)] {
                self.request[self.address_at + place + digit] = b'0' + (octet / divisor % 10) as u8;
            }
        }
        self.number += 1;
        Some(&self.request)
    }
}

/// Durable single reports beside a handler that does nothing.
pub(super) fn reports(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let data = settings.folder.join("reports");
    let program = Program::serve(&settings.program, &data, "")?;
    let trivial = Trivial::start(None)?;
    let (mut theirs, mut ours, mut ratios, mut syncs) = (vec![], vec![], vec![], vec![]);
    // A machine's speed changes from second to second: turns that follow each other closely compare
    // better than long ones.
    let (turns, time) = (settings.rounds * TURNS_PER_ROUND, settings.time / TURNS_PER_ROUND as u32);
    for turn in 0..turns {
        syncs.push(fdatasync(&settings.folder, time / 3)?.as_secs_f64());
        let people = |path: &str, from: usize| -> Vec<People> {
            let mut people: Vec<People> = (0..CONNECTIONS).map(|number| People::of(number, path)).collect();
            people.iter_mut().for_each(|person| person.number += from as u32 * 125_000);
            people
        };
        let there = fine(flood(trivial.address, people("/", 0), time)?)?.rate();
        let here = fine(flood(program.address, people("/api/v1/reports", turn), time)?)?.rate();
        theirs.push(there);
        ours.push(here);
        ratios.push(here / there);
    }
    let groups = program.metric("log_groups_total")?;
    let taken: f64 = program.metric("store_appended_records_total").unwrap_or(0.0);
    program.stop()?;
    let (rate, ratio, sync) = (median(ours.clone()), median(ratios.clone()), median(syncs));
    paper.note("trivial handler, requests/s", count(median(theirs.clone())));
    paper.note("fdatasync/s of the disk", format!("{} ({:.3} ms each)", count(1.0 / sync), sync * 1e3));
    let value = format!("{} ({:.0}% of trivial)", count(rate), ratio * 100.0);
    let name = "durable single reports/s, 64 connections";
    if sync < 0.000_3 {
        paper.bar(name, value, "50% of trivial", ratio >= 0.5);
    } else {
        let least = 0.8 * CONNECTIONS as f64 / (sync + 0.001);
        paper.bar(name, value, format!("{} = 80% of 64/(fdatasync + 1 ms)", count(least)), rate >= least);
    }
    paper.explain(format!(
        "**Single reports.** JSON over {CONNECTIONS} keep-alive connections, each report from an address \
         of its own (`X-Forwarded-For` of a trusted proxy), proof of work off, answered when its flush \
         has returned; {:.1} reports a flush. The trivial handler is `axum::serve` with a handler that \
         answers 200 and ignores the body; it gets the same requests. Rounds, trivial: {}; reports: {}.",
        taken / groups.max(1.0),
        rounds(&theirs),
        rounds(&ours)
    ));
    Ok(())
}

/// Batches of lines whose sources are new every time.
struct Partner {
    bodies: Vec<Body>,
    sent: usize,
    left: usize,
}

struct Body {
    request: Vec<u8>,
    /// Where names of sources and subnets begin.
    names: Vec<u32>,
}

impl Partner {
    fn all(at: UtcTime, seed: u64, count: usize) -> Vec<Self> {
        let at = at.to_string();
        let at = format!("{}Z", &at[..19]);
        let load = |seed| Load { seed, bodies: 4, lines_per_body: LINES, services: &SERVICES, at: &at };
        let partner = |number: u64| Partner {
            // Seeds count on, so they begin far from each other.
            bodies: bodies(load((seed + number) << 32)).into_iter().map(|body| Body::of(&body)).collect(),
            sent: 0,
            left: count,
        };
        (0..FEW_CONNECTIONS as u64).map(partner).collect()
    }
}

impl Body {
    fn of(body: &[u8]) -> Self {
        let head = format!(
            "POST /api/v1/reports/batch HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        let mut names = Vec::new();
        for field in [&b"\"source\":\""[..], b"\"subnet\":\"s"] {
            names.extend(memmem::find_iter(&request, field).map(|at| (at + field.len()) as u32));
        }
        Body { request, names }
    }
}

impl Requests for Partner {
    fn next(&mut self) -> Option<&[u8]> {
        self.left = self.left.checked_sub(1)?;
        let body = self.sent % self.bodies.len();
        let stamp = format!("{:04x}", self.sent / self.bodies.len() % 0x1_0000);
        self.sent += 1;
        let body = &mut self.bodies[body];
        for at in &body.names {
            body.request[*at as usize..*at as usize + 4].copy_from_slice(stamp.as_bytes());
        }
        Some(&body.request)
    }
}

/// Gives a folder the token that batches are sent with.
pub(super) fn give_token(data: &Path) -> io::Result<()> {
    let store = EmbeddedStore::open(data, Options::default(), now()).map_err(io::Error::other)?;
    let (channel, _) = store.admin.channel("bench").map_err(io::Error::other)?;
    let token = Token {
        hash: *blake3::hash(TOKEN.as_bytes()).as_bytes(),
        name: "bench".to_owned(),
        channel,
        created: now(),
        revoked: None,
        virtual_clock: false,
        expires: None,
        weight: Weight::FULL,
    };
    store.admin.add_token(&token).map(drop).map_err(io::Error::other)
}

/// Sends one batch and wants it taken whole.
pub(super) fn send_batch(to: SocketAddr, body: &[u8]) -> io::Result<()> {
    let answer = client::once(to, &Body::of(body).request)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status == 200 && text.contains("\"refused_total\":0") {
        Ok(())
    } else {
        Err(io::Error::other(text))
    }
}

/// Batches of a thousand lines.
pub(super) fn batches(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let data = settings.folder.join("batches");
    give_token(&data)?;
    let program = Program::serve(&settings.program, &data, "")?;
    let mut lines = vec![];
    let mut refused = 0;
    for round in 0..settings.rounds {
        let partners = Partner::all(now(), 1000 * round as u64, usize::MAX);
        // What the last round left to the engine is not this one's.
        settle(&program)?;
        let taken = flood(program.address, partners, settings.time)?;
        refused += taken.refused;
        lines.push(taken.rate() * LINES as f64);
    }
    settle(&program)?;
    let taken = program.metric("reports_total")?;
    let repeated = program.metric("reports_repeated_total")?;
    let memory = program.memory()?;
    program.stop()?;
    let rate = median(lines.clone());
    paper.bar("batch intake, reports/s", count(rate), "1,000,000", rate >= 1e6);
    paper.explain(format!(
        "**Batches.** {LINES} NDJSON lines of about 170 bytes a request over {FEW_CONNECTIONS} keep-alive \
         connections, every line from a source that was never seen, over {} services and 8 places; answered \
         when durable. Rounds: {}. {} lines were taken in all ({} repeats), {refused} batches were put off \
         by back-pressure; {} MB of memory at the peak.",
        SERVICES.len(),
        rounds(&lines),
        count(taken),
        count(repeated),
        memory.peak / 1_000_000
    ));
    Ok(())
}

/// Waits until nothing waits for the log and the readers see all of it.
fn settle(program: &Program) -> io::Result<()> {
    for _ in 0..600 {
        let before = program.metric("reports_total")?;
        std::thread::sleep(Duration::from_millis(1200));
        if program.metric("queued_evidence")? == 0.0 && program.metric("reports_total")? == before {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// A service's page beside a handler that answers the same bytes.
pub(super) fn pages(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let data = settings.folder.join("pages");
    give_token(&data)?;
    let program = Program::serve(&settings.program, &data, "")?;
    let at = now().to_string();
    let load = Load { seed: 7, bodies: 4, lines_per_body: LINES, services: &SERVICES, at: &at };
    for body in bodies(load) {
        send_batch(program.address, &body)?;
    }
    settle(&program)?;
    let request = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip, br\r\naccept: text/html\r\n\r\n"
        )
        .into_bytes()
    };
    let page = client::once(program.address, &request("/s/x"))?;
    let trivial = Trivial::start(Some(&page))?;
    let readers = |path: &str| -> Vec<Same> { (0..CONNECTIONS).map(|_| Same(request(path))).collect() };
    let (mut theirs, mut ours, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..settings.rounds {
        let there = fine(flood(trivial.address, readers("/page"), settings.time)?)?.rate();
        let here = fine(flood(program.address, readers("/s/x"), settings.time)?)?.rate();
        theirs.push(there);
        ours.push(here);
        ratios.push(here / there);
    }
    let ratio = median(ratios);
    let value = format!("{} ({:.0}% of trivial)", count(median(ours.clone())), ratio * 100.0);
    paper.bar("service page/s, 64 connections", value, "80% of trivial with the same bytes", ratio >= 0.8);
    let (pages, lines) = page_under_load(settings, &program, readers("/s/x"))?;
    paper.note(
        "service page/s while batches flood in",
        format!("{} beside {} reports/s", count(pages), count(lines)),
    );
    program.stop()?;
    paper.explain(format!(
        "**Pages.** `/s/x` with {} bytes as a browser asks for it ({}), beside a trivial handler with the \
         same bytes and headers. Rounds, trivial: {}; page: {}. Under load, {FEW_CONNECTIONS} partners send \
         batches as fast as they are taken, and the snapshot changes every second.",
        page.body.len(),
        page.headers.iter().find(|(name, _)| name == "content-encoding").map_or("plain", |(_, value)| value),
        rounds(&theirs),
        rounds(&ours)
    ));
    Ok(())
}

/// Pages a second and reports a second while both are asked for.
fn page_under_load(settings: &Settings, program: &Program, readers: Vec<Same>) -> io::Result<(f64, f64)> {
    let (address, time) = (program.address, settings.time);
    let partners = Partner::all(now(), 77, usize::MAX);
    let flooding = std::thread::spawn(move || flood(address, partners, time));
    let pages = fine(flood(address, readers, time)?)?.rate();
    let batches = flooding.join().map_err(|_| io::Error::other("a thread ended by a panic"))??;
    Ok((pages, batches.rate() * LINES as f64))
}

/// A flood in which every answer was good.
fn fine(flood: Flood) -> io::Result<Flood> {
    match &flood.first_refused {
        None if flood.fine > 0 => Ok(flood),
        None => Err(io::Error::other("nothing was answered")),
        Some(answer) => Err(io::Error::other(format!("{} refused: {answer}", flood.refused))),
    }
}
