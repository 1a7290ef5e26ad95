//! `brownout probe measure`.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use brownout_core::model::{Asn, CountryCode};
use brownout_core::reach::{
    Analysis, Answer, Failure as Reason, Family, Fingerprints, Measurement, Mechanism, RULESET, Reachability,
    Resolver, Run, Target, Transport, Vantage, analyse,
};
use brownout_formats::ooni::write;
use brownout_probe::{ControlPoint, Depth, Settings, parse_target, software};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::how::{How, prober, token_in};
use crate::cli::progress::Progress;
use crate::cli::serve::runtime;
use crate::cli::{Console, Exit, Failure, Format, Table};

/// What to measure.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout probe measure https://x.com/\n  \
    brownout probe measure https://x.com/ --control https://control.example.net/api/v1/control --token-file token\n  \
    brownout probe measure --targets urls.txt --into measured.jsonl --country PK --network 17557\n\n\
    Looks the name up, connects to every address, makes the handshakes of TLS and QUIC, asks for the page\n\
    and for echoes, and judges what it found. Nothing is sent to an observatory. Without a control many\n\
    blocks cannot be told from an outage, and the answer says so. --into adds documents in OONI's form;\n\
    they hold no address of yours. Ends with 3 when a target was not reached.")]
pub struct Measure {
    /// URLs to measure, https: or http:
    #[arg(value_name = "URL", required_unless_present = "targets")]
    pub urls: Vec<String>,
    /// File with a URL on each line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// Where the control is asked
    #[arg(long, value_name = "URL")]
    pub control: Option<String>,
    /// File with the token that the control wants
    #[arg(long, value_name = "FILE", requires = "control")]
    pub token_file: Option<PathBuf>,
    /// Add the measurements to this file, one JSON document a line
    #[arg(long, value_name = "FILE")]
    pub into: Option<PathBuf>,
    /// How much to measure
    #[arg(long, value_enum, default_value_t)]
    pub depth: Asked,
    /// The country that this is measured from, for the documents
    #[arg(long, value_name = "CODE")]
    pub country: Option<CountryCode>,
    /// The number of the network that this is measured from, for the documents
    #[arg(long, value_name = "ASN", value_parser = parse_network)]
    pub network: Option<Asn>,
    /// How to measure.
    #[command(flatten)]
    pub how: How,
}

/// How much to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Asked {
    /// Its name and a connection
    Connect,
    /// Its page, over one connection
    Fetch,
    /// All that tells a block from an outage
    #[default]
    Full,
}

pub(super) fn parse_network(text: &str) -> Result<Asn, String> {
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    digits.parse().ok().and_then(Asn::new).ok_or_else(|| "a number such as 17557".to_owned())
}

pub(super) fn run(args: &Measure, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let targets = targets(args)?;
    let control = args
        .control
        .as_deref()
        .map(|url| {
            let token = args.token_file.as_deref().map(token_in).transpose()?;
            ControlPoint::new(url, token.as_deref())
                .map_err(|error| Failure::usage(format!("--control: {error}")))
        })
        .transpose()?;
    let depth = match args.depth {
        Asked::Connect => Depth::Connect,
        Asked::Fetch => Depth::Fetch,
        Asked::Full => Depth::Full,
    };
    let settings = Settings { depth, ..args.how.settings()? };
    let mut into = args.into.as_deref().map(open).transpose()?;
    let vantage = Vantage {
        country: args.country,
        network: args.network,
        resolver_network: None,
        id: None,
        software: software(),
    };
    let mut progress = Progress::new("measuring", Some(targets.len() as u64));
    let mut told = Told { table: Table::new(&COLUMNS), lines: Vec::new(), reached: 0 };
    let how_many = targets.len();
    let ended: Result<(), Failure> = runtime()?.block_on(async {
        let at_once = args.how.at_once as usize;
        let (prober, control) = (Arc::new(prober(settings)?), control.map(Arc::new));
        let mut targets = targets.into_iter();
        let mut coming = JoinSet::new();
        loop {
            while coming.len() < at_once
                && let Some(target) = targets.next()
            {
                let (prober, control, vantage) = (prober.clone(), control.clone(), vantage.clone());
                coming.spawn(async move { prober.measure(&target, vantage, control.as_deref()).await });
            }
            let Some(ended) = coming.join_next().await else { return Ok(()) };
            let measurement =
                ended.map_err(|error| Failure::new(format!("a measurement failed: {error}")))?;
            progress.advance(1);
            if let Some((file, name)) = &mut into {
                writeln!(file, "{}", write(&measurement))
                    .map_err(|error| Failure::new(format!("{}: {error}", name.display())))?;
            }
            told.tell(&measurement, depth == Depth::Full, console)?;
        }
    });
    drop(progress);
    ended?;
    if let Some((mut file, name)) = into {
        file.flush()
            .and_then(|()| file.get_ref().sync_all())
            .map_err(|error| Failure::new(format!("{}: {error}", name.display())))?;
    }
    if console.format != Format::Ndjson {
        console.table(&told.table)?;
    }
    console.say(&told.lines.join("\n"));
    Ok(if told.reached == how_many { Exit::Ok } else { Exit::CheckFailed })
}

fn targets(args: &Measure) -> Result<Vec<Target>, Failure> {
    let mut urls = args.urls.clone();
    if let Some(file) = &args.targets {
        let text = match file.to_str() {
            Some("-") => std::io::read_to_string(std::io::stdin()),
            _ => std::fs::read_to_string(file),
        };
        let text = text.map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        urls.extend(lines.map(str::to_owned));
    }
    let parse = |url: &String| {
        parse_target(url, args.how.guard()).map_err(|error| Failure::usage(format!("{url}: {error}")))
    };
    let targets: Vec<Target> = urls.iter().map(parse).collect::<Result<_, _>>()?;
    if targets.is_empty() { Err(Failure::usage("there is no URL to measure")) } else { Ok(targets) }
}

fn open(name: &std::path::Path) -> Result<(BufWriter<File>, PathBuf), Failure> {
    let file = OpenOptions::new().create(true).append(true).open(name);
    let file = file.map_err(|error| Failure::new(format!("{}: {error}", name.display())))?;
    Ok((BufWriter::new(file), name.to_owned()))
}

const COLUMNS: [&str; 6] = ["target", "hop", "stage", "where", "found", "millis"];

/// What is told of the measurements.
struct Told {
    table: Table,
    lines: Vec<String>,
    reached: usize,
}

impl Told {
    fn tell(
        &mut self,
        measurement: &Measurement,
        is_full: bool,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let rows = rows(measurement);
        match console.format {
            Format::Ndjson => console.table(&Table { rows, ..Table::new(&COLUMNS) })?,
            _ => self.table.rows.extend(rows),
        }
        let analysis = analyse(measurement, &Fingerprints::default());
        let has_answer =
            |run: &Run| run.usual_fetches().any(|fetch| fetch.failure.is_none() && fetch.response.is_some());
        let is_reached = match is_full {
            true => analysis.state == Reachability::Ok,
            false if measurement.run.fetches.is_empty() => {
                measurement.run.connects.iter().any(|one| one.failure.is_none())
            }
            false => has_answer(&measurement.run),
        };
        self.reached += usize::from(is_reached);
        self.lines.push(sentence(measurement, &analysis));
        Ok(())
    }
}

fn sentence(measurement: &Measurement, analysis: &Analysis) -> String {
    let how = analysis.mechanism.map(|how| format!(" ({})", Mechanism::word(how))).unwrap_or_default();
    let by = analysis.decided_by.map(|by| format!(", by rule {} of {RULESET}", by.rule.id));
    let control = match measurement.control.found() {
        Some(_) => "with a control",
        None => "without a control",
    };
    let url = &measurement.target.url;
    format!("{url}: {}{how}{}, {control}", analysis.state.word(), by.unwrap_or_default())
}

/// A line for each stage.
fn rows(measurement: &Measurement) -> Vec<Vec<Value>> {
    let run = &measurement.run;
    let mut rows = Vec::new();
    let mut row = |hop: u8, stage: &str, at: String, found: Value, millis: Option<u32>| {
        rows.push(vec![
            json!(measurement.target.url),
            json!(hop),
            json!(stage),
            json!(at),
            found,
            json!(millis),
        ]);
    };
    let outcome = |failure: Option<Reason>| json!(failure.map_or("ok", Reason::word));
    for lookup in &run.lookups {
        let at = match &lookup.resolver {
            Resolver::System => "system".to_owned(),
            Resolver::Plain(address) => address.clone(),
            Resolver::Https(url) => url.clone(),
        };
        let list = |answers: &[Answer]| {
            answers.iter().map(|one| one.address.to_string()).collect::<Vec<_>>().join(" ")
        };
        let mut found =
            lookup.failure.map_or_else(|| list(&lookup.answers), |failure| failure.word().to_owned());
        if !lookup.second.is_empty() {
            found.push_str(&format!(", then {}", list(&lookup.second)));
        }
        let kind = match (lookup.is_control_name, lookup.family) {
            (true, _) => "name (innocent)",
            (false, Family::V6) => "name (IPv6)",
            (false, _) => "name",
        };
        row(lookup.hop, kind, at, json!(found), lookup.millis);
    }
    for connect in &run.connects {
        row(
            connect.hop,
            "connection",
            connect.endpoint.to_string(),
            outcome(connect.failure),
            connect.millis,
        );
    }
    for shake in &run.handshakes {
        let stage = match (shake.transport, shake.is_control_name) {
            (Transport::Quic, _) => "quic",
            (_, true) => "tls (innocent)",
            (_, false) => "tls",
        };
        row(shake.hop, stage, shake.endpoint.to_string(), outcome(shake.failure), shake.millis);
    }
    for fetch in &run.fetches {
        let status = fetch.response.as_ref().map(|response| response.status);
        let found = match (fetch.failure, status) {
            (None, Some(status)) => json!(status.to_string()),
            (Some(failure), Some(status)) => json!(format!("{status}, then {}", failure.word())),
            (failure, None) => outcome(failure),
        };
        let stage = if fetch.transport == Transport::Quic { "page (HTTP/3)" } else { "page" };
        row(fetch.hop, stage, fetch.url.clone(), found, fetch.millis);
    }
    for ping in &run.pings {
        let found = if ping.millis.is_some() { "ok" } else { "timeout" };
        row(0, "echo", ping.address.to_string(), json!(found), ping.millis);
    }
    rows
}
