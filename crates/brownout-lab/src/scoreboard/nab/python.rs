//! Peers that are packages of Python: each runs as a process of its own, told the rows and nothing else.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Serialize;

use super::corpus::Series;

/// The script that runs them.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/nab.py");
/// A peer that takes more processor time is ended.
pub(super) const SECONDS_MAX: u32 = 900;

/// A series as a peer sees it.
#[derive(Serialize)]
struct Rows<'a> {
    seconds: Vec<i64>,
    values: &'a [f64],
    probation: usize,
}

/// Where the interpreter with the packages is looked for.
pub(super) fn interpreter() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/venv/bin/python3"))
}

/// What a peer says of every row of every series.
///
/// # Errors
/// In words: it is not installed, took too long, or failed.
pub(super) fn scores(peer: &str, corpus: &[Series]) -> Result<Vec<Vec<f64>>, String> {
    let interpreter = interpreter();
    if !interpreter.exists() {
        return Err("not installed".to_owned());
    }
    let rows: Vec<Rows<'_>> = corpus
        .iter()
        .map(|series| Rows {
            seconds: series.times.iter().map(|at| at.seconds()).collect(),
            values: &series.values,
            probation: series.probation(),
        })
        .collect();
    let rows = serde_json::to_vec(&rows).map_err(|error| error.to_string())?;
    let seconds = SECONDS_MAX.to_string();
    let mut process = Command::new(interpreter)
        .args([SCRIPT, peer, &seconds])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("not run: {error}"))?;
    // The script reads all of it before it writes; one that ends early says why below.
    let sent = process.stdin.take().map(|mut pipe| pipe.write_all(&rows));
    let output = process.wait_with_output().map_err(|error| error.to_string())?;
    match output.status.code() {
        Some(0) if matches!(sent, Some(Ok(()))) => read(&output.stdout, corpus),
        Some(3) => Err("not installed".to_owned()),
        None => Err(format!("not within {SECONDS_MAX} s of processor time")),
        _ => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(format!("failed: {}", text.lines().last().unwrap_or("no word of why")))
        }
    }
}

/// One list of scores a series, as many as it has rows; `null` is no score.
fn read(text: &[u8], corpus: &[Series]) -> Result<Vec<Vec<f64>>, String> {
    let scores: Vec<Vec<Option<f64>>> =
        serde_json::from_slice(text).map_err(|error| format!("failed: its answer is {error}"))?;
    let lengths = scores.iter().map(Vec::len);
    if !lengths.eq(corpus.iter().map(|series| series.values.len())) {
        return Err("failed: it answered other rows than it was asked".to_owned());
    }
    let scores = scores.into_iter();
    Ok(scores.map(|series| series.into_iter().map(|score| score.unwrap_or(f64::NAN)).collect()).collect())
}
