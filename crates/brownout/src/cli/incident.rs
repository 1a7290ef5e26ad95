//! `brownout incident`.

use brownout_core::model::UtcTime;
use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, ServerArg, rows, segment};
use super::{Console, Exit, Failure, Format};

/// Incidents on a running server.
#[derive(Args, Debug)]
pub struct Incident {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be asked of incidents.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List incidents, the ongoing ones first
    #[command(
        after_help = "Examples:\n  brownout incident ls --state ongoing --output csv\n  brownout incident ls --before 2025-03-11T00:00:00Z"
    )]
    Ls(List),
    /// Show one incident: verdict, places, timeline
    #[command(after_help = "Example:\n  brownout incident show x-2025-03-10-0947")]
    Show(Show),
}

/// Which incidents.
#[derive(Args, Debug)]
pub struct List {
    /// Only those in this state
    #[arg(long, value_enum)]
    pub state: Option<StateArg>,
    /// At most this many, 1 to 100
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
    /// Only those opened before this time, the latest first; reaches back as far as the records do
    #[arg(long, value_name = "TIME")]
    pub before: Option<UtcTime>,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArg,
}

/// States as one asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    /// Possible or confirmed.
    Ongoing,
    /// "Possible problems".
    Possible,
    /// "Detected problems".
    Confirmed,
    /// Over.
    Ended,
}

/// Which incident.
#[derive(Args, Debug)]
pub struct Show {
    /// The incident's name, such as x-2025-03-10-0947
    pub name: String,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArg,
}

/// Columns of an incident, in the words of the interface.
const COLUMNS: &[&str] =
    &["name", "service", "state", "opened_at", "confirmed_at", "ended_at", "peak", "peak_at"];

pub(super) fn run(args: &Incident, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &args.action {
        Action::Ls(list) => ls(list, console),
        Action::Show(show) => self::show(show, console),
    }
}

fn ls(args: &List, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let client = Client::new(&args.server.server)?;
    let mut query = vec![("limit", args.limit.to_string())];
    if let Some(state) = args.state.and_then(|state| state.to_possible_value()) {
        query.push(("state", state.get_name().to_owned()));
    }
    query.extend(args.before.map(|before| ("before", before.to_string())));
    let document = client.json("/api/v1/incidents", &query)?;
    let table = rows(&document, "incidents", COLUMNS);
    match console.format {
        Format::Json => console.json(document.get("incidents").unwrap_or(&document))?,
        Format::Table if table.rows.is_empty() => console.say("no such incidents"),
        _ => console.table(&table)?,
    }
    Ok(Exit::Ok)
}

fn show(args: &Show, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let client = Client::new(&args.server.server)?;
    let name = segment(&args.name);
    match console.format {
        // The export for people is the page in words; there is no second telling of it here.
        Format::Table => {
            let text = client.text(&format!("/i/{name}.md"), &[])?;
            console.line(&without_controls(text.trim_end()))?;
        }
        Format::Csv => console.out.write_all(client.text(&format!("/i/{name}.csv"), &[])?.as_bytes())?,
        Format::Json => console.json(&client.json(&format!("/api/v1/incidents/{name}"), &[])?)?,
        Format::Ndjson => {
            let document = client.json(&format!("/api/v1/incidents/{name}"), &[])?;
            console.line(&document.to_string())?;
        }
    }
    Ok(Exit::Ok)
}

/// Text from elsewhere must not drive the terminal.
fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}
