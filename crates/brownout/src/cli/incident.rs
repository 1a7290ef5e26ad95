//! `brownout incident`.

use std::time::{Duration, Instant};

use brownout_core::model::IncidentId;
use brownout_store::embedded::{Admin, OrderKind, Progress};
use brownout_store::port::{IncidentCursor, StoreError};
use clap::{Args, Subcommand, ValueEnum};

use super::client::{Client, ServerArg, rows, segment};
use super::{Console, Exit, Failure, Format, Settings};
use crate::host::wall_clock;

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
    /// End an incident now
    #[command(
        after_help = "Example:\n  brownout incident close x-2025-03-10-0947 --reason \"A drill of ours.\"\n\n\
        The reason is public: it stands in the incident's timeline. When people go on reporting, the\n\
        incident opens again.\n\n\
        Runs where the server runs, on its data folder, and by a user who may write there. The order\n\
        becomes a record of the evidence log."
    )]
    Close(Close),
    /// Keep a possible incident from being called detected, whatever the counts say
    #[command(
        after_help = "Example:\n  brownout incident hold x-2025-03-10-0947 --reason \"A campaign asks people to report.\"\n\n\
        The reason is public: it stands in the incident's timeline. Where and by whom: as for `close`."
    )]
    Hold(Close),
    /// Keep what a long incident brings from becoming what is usual
    #[command(
        after_help = "Example:\n  brownout incident extend x-2025-03-10-0947 --reason \"The cable is still cut.\"\n\n\
        What goes on for freeze_hours_max (72 hours, if nothing else is set) counts as usual from then on,\n\
        and the incident ends. After this order the hours are counted from now. The reason is public: it\n\
        stands in the incident's timeline. Where and by whom: as for `close`."
    )]
    Extend(Close),
    /// Add a note to an ongoing incident's timeline
    #[command(
        after_help = "Example:\n  brownout incident note x-2025-03-10-0947 \"The operator confirms a fibre cut.\"\n\n\
        The note is public. Where and by whom: as for `close`."
    )]
    Note(Note),
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
    /// Only those opened before this time, the latest first; reaches back as far as the records do.
    /// Where a list is cut, it says what to give here for the rest
    #[arg(long, value_name = "TIME")]
    pub before: Option<IncidentCursor>,
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

/// Which incident, and why.
#[derive(Args, Debug)]
pub struct Close {
    /// The incident's name, such as x-2025-03-10-0947
    pub name: String,
    /// Why, for everybody to read: 1 to 500 characters
    #[arg(long, value_name = "TEXT", value_parser = parse_words)]
    pub reason: String,
}

/// Which incident, and what there is to say.
#[derive(Args, Debug)]
pub struct Note {
    /// The incident's name, such as x-2025-03-10-0947
    pub name: String,
    /// The note, for everybody to read: 1 to 500 characters
    #[arg(value_name = "TEXT", value_parser = parse_words)]
    pub text: String,
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

/// How long a running server may take to take an order; it looks about once a second.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often the order is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Most characters of a reason or a note.
const WORDS_MAX: usize = 500;

fn parse_words(text: &str) -> Result<String, String> {
    let words = text.trim();
    let fits = (1..=WORDS_MAX).contains(&words.chars().count()) && !words.chars().any(char::is_control);
    if fits { Ok(words.to_owned()) } else { Err(format!("1 to {WORDS_MAX} characters, in one line")) }
}

pub(super) fn run(args: &Incident, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &args.action {
        Action::Ls(list) => ls(list, console),
        Action::Show(show) => self::show(show, console),
        Action::Close(close) => order(OrderKind::Close, (&close.name, &close.reason), settings, console),
        Action::Hold(hold) => order(OrderKind::Hold, (&hold.name, &hold.reason), settings, console),
        Action::Extend(extend) => order(OrderKind::Extend, (&extend.name, &extend.reason), settings, console),
        Action::Note(note) => order(OrderKind::Note, (&note.name, &note.text), settings, console),
    }
}

/// Leaves an order beside the running server and waits for what becomes of it.
fn order(
    kind: OrderKind,
    (name, words): (&str, &str),
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let failed = |error: StoreError| Failure::new(error.to_string());
    IncidentId::parse_name(name).map_err(|error| Failure::new(format!("{name:?} is {error}")))?;
    let (config, _) = settings.load(None)?;
    let folder = config.data.folder.display();
    if !config.data.folder.is_dir() {
        return Err(Failure::new(format!("{folder} is not a data folder")));
    }
    let admin = Admin::beside(&config.data.folder).map_err(failed)?;
    let id = admin.order(kind, name, words, wall_clock()).map_err(failed)?;
    let asked = Instant::now();
    loop {
        match admin.order_progress(id).map_err(failed)? {
            Progress::Done(seq) => {
                console.say(&format!("{name}: record {} of the log; it shows within seconds", seq.0));
                return Ok(Exit::Ok);
            }
            Progress::Refused(why) => return Err(Failure::new(why)),
            Progress::Waiting | Progress::Taken if asked.elapsed() < PATIENCE => {
                std::thread::sleep(LOOK_EVERY);
            }
            Progress::Waiting if admin.withdraw_order(id).map_err(failed)? => {
                let hint = format!("no server takes orders on {folder}: is `brownout serve` running there?");
                return Err(Failure::new(format!("{hint} Nothing was done")));
            }
            Progress::Waiting | Progress::Taken => {
                return Err(Failure::new(
                    "the server took the order and has not written it yet; see its log",
                ));
            }
        }
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
    if let Some(next) = document.get("next_before").and_then(serde_json::Value::as_str) {
        console.say(&format!("older ones: --before {}", without_controls(next)));
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
