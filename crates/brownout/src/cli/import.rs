//! `brownout import`.

mod feed;
mod measurements;
mod player;
mod sorted;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use brownout_core::model::{CityId, CountryCode, Facet, Geography, RegionCode};
use brownout_core::snapshot::IncidentView;
use brownout_lab::import::{self as lab, Columns, Imported};
use brownout_lab::timeline::{Chronicle, state_word};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::token::parse_name;
use super::{Console, Exit, Failure, Format, Settings, Table};
use crate::host::wall_clock;
use player::Outcome;

/// How far ahead of this clock a table's may be, in seconds.
const AHEAD_SECONDS: i64 = 3600;
/// Places of an incident that are listed.
const PLACES_MAX: usize = 20;
/// Places that a table has room for.
const PLACES_SHOWN: usize = 6;

/// Brings in reports from a file, into a data folder of their own: history never mixes with what
/// is live.
#[derive(Args, Debug)]
pub struct Import {
    /// The form of the file.
    #[command(subcommand)]
    pub form: Form,
}

/// What a file can be.
#[derive(Debug, Subcommand)]
pub enum Form {
    /// Published crowd reports with city and ZIP code, as the Spectrum data set has them
    #[command(after_help = "Example:\n  brownout import spectrum reports.csv --into history/\n\n\
        Columns created_at, city, state, zip_code, service. City, ZIP code and product together\n\
        stand for the source, each for a subnet of its own.")]
    Spectrum(Source),
    /// Any CSV with a header line that says when, who and which service
    #[command(after_help = "Examples:\n  brownout import csv reports.csv --into history/\n  \
        brownout import csv calls.csv --into history/ --time opened --source caller --service-is spectrum \\\n    \
        --country-is US\n\n\
        Times are RFC 3339, 2025-03-10 10:02:03 (UTC), or seconds or milliseconds since 1970; services\n\
        are slugs of the catalogue. A column of the usual name that is not there is done without,\n\
        except time, source and service.")]
    Csv(Box<Csv>),
    /// OONI's web connectivity measurements, one a line or one a file, gzipped or not
    #[command(after_help = "Examples:\n  brownout import ooni 2025-03-10/*.jsonl.gz --into march/\n  \
        brownout serve --data march/\n\n\
        Files may be larger than memory and in any order: they are sorted by time on disk first. Only\n\
        measurements of hosts that are targets of services in the catalogue are kept, and of them no page,\n\
        no address of a reader and no text that holds one. Data of OONI is CC BY-NC-SA 4.0: name the source.")]
    Ooni(Measurements),
}

/// Which files of measurements, and where to.
#[derive(Args, Debug)]
pub struct Measurements {
    /// Files with measurements; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Data folder to fill, on a clock of its own; made if need be, and in use by nobody
    #[arg(long, value_name = "DIR", default_value = "brownout-import")]
    pub into: PathBuf,
}

/// Which files, and where to.
#[derive(Args, Debug)]
pub struct Source {
    /// Files to read; they are played together, by time
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Data folder to fill, on a clock of its own; made if need be, and in use by nobody
    #[arg(long, value_name = "DIR", default_value = "brownout-import")]
    pub into: PathBuf,
    /// Name of the channel that the reports are counted under
    #[arg(long, default_value = "import", value_parser = parse_name)]
    pub channel: String,
}

/// Which columns of a CSV hold what.
#[derive(Args, Debug)]
pub struct Csv {
    /// Which files, and where to.
    #[command(flatten)]
    pub source_files: Source,
    /// Column with the time
    #[arg(long, value_name = "COLUMN", default_value = "at")]
    pub time: String,
    /// Columns that together stand for the source
    #[arg(long, value_name = "COLUMN,...", default_value = "source", value_delimiter = ',')]
    pub source: Vec<String>,
    /// Column that stands for the source's subnet [default: subnet, if there; else the source]
    #[arg(long, value_name = "COLUMN")]
    pub subnet: Option<String>,
    /// Column with the service's slug
    #[arg(long, value_name = "COLUMN", default_value = "service", conflicts_with = "service_is")]
    pub service: String,
    /// The service of all rows, instead of a column
    #[arg(long, value_name = "SLUG")]
    pub service_is: Option<String>,
    /// Column with the kind of problem [default: kind, if there; else other]
    #[arg(long, value_name = "COLUMN")]
    pub kind: Option<String>,
    /// Column with the country's code [default: country, if there]
    #[arg(long, value_name = "COLUMN", conflicts_with = "country_is")]
    pub country: Option<String>,
    /// The country of all rows, instead of a column
    #[arg(long, value_name = "CODE")]
    pub country_is: Option<CountryCode>,
    /// Column with the region's code [default: region, if there]
    #[arg(long, value_name = "COLUMN")]
    pub region: Option<String>,
    /// Column with the city's name or GeoNames number [default: city, if there]
    #[arg(long, value_name = "COLUMN")]
    pub city: Option<String>,
    /// Column with the network's number [default: asn, if there]
    #[arg(long, value_name = "COLUMN")]
    pub asn: Option<String>,
}

impl Csv {
    /// The columns of one file: those that were named, and those of a usual name that it has.
    fn columns(&self, file: &Path) -> Result<Columns, Failure> {
        let there = lab::header(open(file)?).map_err(|error| of(file, &error))?;
        let usual = |named: &Option<String>, usual: &str| {
            named.clone().or_else(|| there.iter().any(|name| name == usual).then(|| usual.to_owned()))
        };
        Ok(Columns {
            time: self.time.clone(),
            source: self.source.clone(),
            subnet: usual(&self.subnet, "subnet"),
            service: self.service_is.is_none().then(|| self.service.clone()),
            kind: usual(&self.kind, "kind"),
            country: if self.country_is.is_some() { None } else { usual(&self.country, "country") },
            region: usual(&self.region, "region"),
            city: usual(&self.city, "city"),
            network: usual(&self.asn, "asn"),
            fixed_service: self.service_is.clone(),
            fixed_country: self.country_is.map(|code| code.to_string()),
        })
    }
}

fn open(file: &Path) -> Result<BufReader<File>, Failure> {
    File::open(file).map(BufReader::new).map_err(|error| of(file, &error))
}

fn of(file: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::new(format!("{}: {error}", file.display()))
}

pub(super) fn run(args: &Import, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _) = settings.load(None)?;
    let geography = Geography::embedded();
    let cities = |country: CountryCode, region: Option<RegionCode>, name: &str| -> Option<CityId> {
        geography.find_city(country, region, name).map(|city| city.id)
    };
    let source = match &args.form {
        Form::Spectrum(source) => source,
        Form::Csv(csv) => &csv.source_files,
        Form::Ooni(args) => return measurements::run(args, &config, &geography, console),
    };
    let mut imported = Imported::default();
    for file in &source.files {
        let read = match &args.form {
            Form::Spectrum(_) => lab::spectrum(open(file)?, &cities),
            Form::Csv(csv) => lab::table(open(file)?, &csv.columns(file)?, &cities),
            Form::Ooni(_) => break,
        };
        imported.merge(read.map_err(|error| of(file, &error))?);
    }
    imported.leave_out_after(wall_clock().plus_seconds(AHEAD_SECONDS));
    if imported.rows.is_empty() {
        for (reason, count) in &imported.rejected {
            console.say(&format!("{count} rows refused: {reason}"));
        }
        return Err(Failure::new("no row can be imported"));
    }
    let outcome = player::play(&imported, source, &config, geography.clone())?;
    print(&outcome, &Chronicle::new(geography), console)?;
    if outcome.is_nothing() {
        let reasons: Vec<String> =
            outcome.refused.iter().map(|(reason, count)| format!("{count} rows: {reason}")).collect();
        return Err(Failure::new(format!("no row was imported; {}", reasons.join("; "))));
    }
    console.say(&format!("{} can be run again with `brownout replay`", source.into.display()));
    Ok(Exit::Ok)
}

/// The parts of an incident below the service, most sources first.
fn places(incident: &IncidentView, names: &Chronicle) -> Vec<Value> {
    let mut scopes: Vec<_> = incident.scopes.iter().filter(|scope| scope.facet != Facet::All).collect();
    scopes.sort_by_key(|scope| std::cmp::Reverse(scope.peak));
    let kind = |facet| match facet {
        Facet::Country(_) => "country",
        Facet::Region(_) => "region",
        Facet::City(_) => "city",
        Facet::Network(_) => "network",
        _ => "other",
    };
    let place = |scope: &&brownout_core::snapshot::ScopeView| json!({ "kind": kind(scope.facet), "name": names.scope_name(scope.facet), "peak": scope.peak });
    scopes.iter().take(PLACES_MAX).map(place).collect()
}

fn incident(outcome: &Outcome, view: &IncidentView, names: &Chronicle) -> Value {
    let service = outcome.catalogue.get(view.id.service).map_or("", |service| service.slug.as_str());
    // An incident of a single city has no part that is the whole service.
    let peak = view.scopes.iter().map(|scope| scope.peak).max();
    json!({
        "name": view.id.name(service),
        "service": service,
        "state": state_word(view.state),
        "opened_at": view.opened_at.to_string(),
        "confirmed_at": view.confirmed_at.map(|at| at.to_string()),
        "ended_at": view.ended_at.map(|at| at.to_string()),
        "peak": peak,
        "places": places(view, names),
    })
}

fn print(outcome: &Outcome, names: &Chronicle, console: &mut Console<'_>) -> Result<(), Failure> {
    let incidents: Vec<Value> = outcome.incidents.iter().map(|view| incident(outcome, view, names)).collect();
    let figures = outcome.figures();
    match console.format {
        Format::Json | Format::Ndjson => {
            let mut document: serde_json::Map<_, _> =
                figures.into_iter().map(|(what, count)| (what.to_owned(), json!(count))).collect();
            document.insert("refused".to_owned(), json!(outcome.refused));
            document.insert("incidents".to_owned(), json!(incidents));
            match console.format {
                Format::Json => console.json(&Value::Object(document)),
                _ => console.line(&Value::Object(document).to_string()),
            }
        }
        Format::Table | Format::Csv => {
            for (what, count) in figures {
                console.say(&format!("{count:>9}  {}", what.replace('_', " ")));
            }
            for (reason, count) in &outcome.refused {
                console.say(&format!("{count:>9}  refused: {reason}"));
            }
            let columns = ["name", "state", "opened_at", "confirmed_at", "ended_at", "peak"];
            let mut table = Table::new(&columns);
            table.columns.push("places".to_owned());
            for found in &incidents {
                let shown =
                    found["places"].as_array().into_iter().flatten().take(PLACES_SHOWN).map(|place| {
                        format!("{} {}", place["name"].as_str().unwrap_or_default(), place["peak"])
                    });
                let mut row: Vec<Value> = columns.iter().map(|column| found[column].clone()).collect();
                row.push(json!(shown.collect::<Vec<_>>().join(", ")));
                table.rows.push(row);
            }
            if incidents.is_empty() {
                console.say("no incident");
            }
            console.table(&table)
        }
    }
}
