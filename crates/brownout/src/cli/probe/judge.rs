//! `brownout probe judge`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use brownout_core::model::{Asn, CountryCode, UtcTime};
use brownout_core::reach::{
    Analysis, Cell, Fingerprints, Measurement, Mechanism, RULESET, Reachability, analyse,
};
use brownout_formats::ooni::{Documents, Refusal, read};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::packed;
use crate::cli::progress::Progress;
use crate::cli::{Console, Exit, Failure, Format, Table};

/// Which files.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout probe judge measurements.jsonl.gz\n  \
    brownout probe judge 2025-05-*.jsonl.gz --output ndjson > judged.ndjson\n  \
    zstdcat raw.jsonl.zst | brownout probe judge -\n\n\
    Reads measurements of OONI's web connectivity test, one a line or one a file, gzipped or not;\n\
    nothing is stored and nothing is sent. The table has a line for each target, country and network:\n\
    how many measurements said what, what is the rule there by now, and since when, with the earliest\n\
    and the latest time at which that can have changed. ndjson and csv have a line for each measurement,\n\
    with the rule that decided. Ends with 3 when not one measurement could be read.")]
pub struct Judge {
    /// Files with measurements; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only targets of this host and below it
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Only measurements from this country
    #[arg(long, value_name = "CODE")]
    pub country: Option<CountryCode>,
}

/// A target at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    host: String,
    country: Option<CountryCode>,
    network: Option<Asn>,
}

/// What one measurement said; of many millions only this is kept.
struct Said {
    at: UtcTime,
    vantage: Option<u64>,
    state: Reachability,
    how: Option<Mechanism>,
}

#[derive(Default)]
struct Found {
    documents: u64,
    judged: u64,
    refused: BTreeMap<Refusal, u64>,
    places: BTreeMap<Place, Vec<Said>>,
}

const COLUMNS: [&str; 9] =
    ["at", "target", "country", "network", "state", "mechanism", "rule", "control", "ruleset"];

pub(super) fn run(args: &Judge, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut found = Found::default();
    let by_line = matches!(console.format, Format::Ndjson | Format::Csv);
    let total =
        args.files.iter().map(|file| file.metadata().ok().map(|data| data.len())).sum::<Option<u64>>();
    let mut progress = Progress::new("judging", total);
    let mut head = Table::new(&COLUMNS);
    if console.format == Format::Csv {
        console.table(&head)?;
    }
    for file in &args.files {
        read_file(file, args, (&mut found, &mut progress), &mut |measurement, analysis| {
            if by_line {
                head.rows = vec![row(measurement, analysis)];
                print_row(&head, console)?;
            }
            Ok(())
        })?;
    }
    drop(progress);
    if !by_line {
        console.table(&summary(std::mem::take(&mut found.places)))?;
    }
    for (refusal, count) in &found.refused {
        console.say(&format!("left out {count}: {refusal}"));
    }
    console.say(&format!("{} of {} documents judged, ruleset {RULESET}", found.judged, found.documents));
    Ok(if found.judged == 0 { Exit::CheckFailed } else { Exit::Ok })
}

/// One row without its header.
fn print_row(table: &Table, console: &mut Console<'_>) -> Result<(), Failure> {
    if console.format == Format::Ndjson {
        return console.table(table);
    }
    let cells = table.rows.iter().flatten().map(|cell| match cell {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let cells: Vec<String> = cells.collect();
    Ok(write!(console.out, "{}\r\n", cells.join(","))?)
}

type Tell<'a> = dyn FnMut(&Measurement, &Analysis) -> Result<(), Failure> + 'a;

fn read_file(
    file: &Path,
    args: &Judge,
    (found, progress): (&mut Found, &mut Progress),
    tell: &mut Tell<'_>,
) -> Result<(), Failure> {
    let failure = |error: io::Error| Failure::new(format!("{}: {error}", file.display()));
    let (input, read_bytes) = packed::open(file).map_err(failure)?;
    let mut documents = Documents::new(input);
    let known = Fingerprints::default();
    while let Some(document) = documents.next_document().map_err(failure)? {
        found.documents += 1;
        progress.advance(read_bytes.take());
        let measurement = match document.bytes().and_then(read) {
            Ok(measurement) => measurement,
            Err(refusal) => {
                *found.refused.entry(refusal).or_default() += 1;
                continue;
            }
        };
        if !is_asked_for(&measurement, args) {
            continue;
        }
        let analysis = analyse(&measurement, &known);
        tell(&measurement, &analysis)?;
        found.judged += 1;
        let Measurement { target, vantage, started_at, .. } = measurement;
        let place = Place { host: target.host, country: vantage.country, network: vantage.network };
        let said =
            Said { at: started_at, vantage: vantage.id, state: analysis.state, how: analysis.mechanism };
        found.places.entry(place).or_default().push(said);
    }
    Ok(())
}

fn is_asked_for(measurement: &Measurement, args: &Judge) -> bool {
    let host = &measurement.target.host;
    let is_host = args.host.as_ref().is_none_or(|asked| {
        let below = host.len().checked_sub(asked.len() + 1).and_then(|cut| host.get(cut..));
        host.eq_ignore_ascii_case(asked)
            || below.is_some_and(|end| end.starts_with('.') && end[1..].eq_ignore_ascii_case(asked))
    });
    is_host && args.country.is_none_or(|country| measurement.vantage.country == Some(country))
}

fn row(measurement: &Measurement, analysis: &Analysis) -> Vec<Value> {
    vec![
        json!(measurement.started_at.to_string()),
        json!(measurement.target.url),
        json!(measurement.vantage.country.map(|country| country.to_string())),
        json!(measurement.vantage.network.map(|network| network.to_string())),
        json!(analysis.state.word()),
        json!(analysis.mechanism.map(Mechanism::word)),
        json!(analysis.decided_by.map(|by| by.rule.id)),
        json!(measurement.control.found().is_some()),
        json!(RULESET),
    ]
}

fn summary(places: BTreeMap<Place, Vec<Said>>) -> Table {
    let mut table = Table::new(&[
        "host",
        "country",
        "network",
        "measured",
        "ok",
        "impaired",
        "likely_blocked",
        "blocked",
        "down",
        "insufficient",
        "mechanism",
        "now",
        "since",
        "earliest",
        "latest",
    ]);
    for (place, mut said) in places {
        said.sort_by_key(|one| one.at);
        let mut cell = Cell::default();
        for Said { at, vantage, state, how } in said {
            cell.look(at, vantage, state, how);
        }
        let since = cell.since().map(|change| change.bracket);
        let count = |state| json!(cell.count(state));
        table.rows.push(vec![
            json!(place.host),
            json!(place.country.map(|country| country.to_string())),
            json!(place.network.map(|network| network.to_string())),
            json!(cell.measurements()),
            count(Reachability::Ok),
            count(Reachability::Impaired),
            count(Reachability::LikelyBlocked),
            count(Reachability::Blocked),
            count(Reachability::Down),
            count(Reachability::Insufficient),
            json!(cell.mechanism().map(Mechanism::word)),
            json!(cell.state().word()),
            json!(since.map(|bracket| bracket.likeliest.to_string())),
            json!(since.map(|bracket| bracket.earliest.to_string())),
            json!(since.map(|bracket| bracket.latest.to_string())),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A measurement of a site whose handshake is reset, or is not.
    fn document(hour: i64, is_reset: bool) -> String {
        let at = UtcTime::from_seconds(1_741_564_800 + 3600 * hour).to_string().replace('T', " ");
        let failure = is_reset.then_some("connection_reset");
        let request = json!({
            "failure": null, "address": "8.8.4.4:443", "request": {"url": "https://site.example/"},
            "response": {"code": 200, "body": "", "headers": {}},
        });
        let requests: Vec<Value> = (!is_reset).then_some(request).into_iter().collect();
        let document = json!({
            "input": "https://site.example/", "measurement_start_time": at.trim_end_matches('Z'),
            "probe_asn": "AS17557", "probe_cc": "PK", "test_name": "web_connectivity",
            "test_keys": {
                "queries": [{"engine": "system", "hostname": "site.example", "failure": null,
                    "answers": [{"answer_type": "A", "ipv4": "8.8.4.4"}]}],
                "tcp_connect": [{"ip": "8.8.4.4", "port": 443, "status": {"failure": null, "success": true}}],
                "tls_handshakes": [{"address": "8.8.4.4:443", "server_name": "site.example", "failure": failure}],
                "requests": requests,
                "control": {"dns": {"failure": null, "addrs": ["8.8.4.4"]},
                    "tls_handshake": {"8.8.4.4:443": {"status": true, "failure": null}}},
            },
        });
        document.to_string()
    }

    fn judged(lines: &[String], format: Format) -> (Exit, String, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("measurements.jsonl");
        std::fs::write(&file, lines.join("\n")).expect("a file");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console { out: &mut out, err: &mut err, format };
        let args = Judge { files: vec![file], host: None, country: None };
        let exit = run(&args, &mut console).expect("an end");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (exit, text(out), text(err))
    }

    #[test]
    fn a_block_is_told_with_its_beginning() {
        let mut lines: Vec<String> = (0..40).map(|hour| document(hour, hour >= 30)).collect();
        lines.push("{}".to_owned());
        let (exit, out, err) = judged(&lines, Format::Json);
        assert_eq!(exit, Exit::Ok);
        let rows: Vec<Value> = serde_json::from_str(&out).expect("rows");
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((&row["now"], &row["mechanism"]), (&json!("blocked"), &json!("tls.reset")));
        assert_eq!((&row["ok"], &row["blocked"]), (&json!(30), &json!(10)));
        assert_eq!(row["since"], "2025-03-11T06:00:00Z");
        assert!(err.contains("left out 1: it names no test") && err.contains("40 of 41"), "{err}");
    }

    #[test]
    fn each_measurement_has_a_line_where_lines_are_asked_for() {
        let (_, out, _) = judged(&[document(0, false), document(1, true)], Format::Csv);
        let lines: Vec<&str> = out.split("\r\n").collect();
        assert_eq!(lines.len(), 4, "{out}");
        assert!(lines[0].starts_with("at,target,") && lines[1].contains(",ok,,http.valid_tls,"), "{out}");
        assert!(lines[2].contains(",blocked,tls.reset,tls.reset,true,"), "{out}");
    }

    #[test]
    fn what_cannot_be_read_at_all_is_an_error() {
        let (exit, _, err) = judged(&["nothing".to_owned()], Format::Table);
        assert_eq!(exit, Exit::CheckFailed);
        assert!(err.contains("left out 1: it is no JSON"), "{err}");
    }
}
