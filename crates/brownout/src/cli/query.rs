//! `brownout query`.

use std::time::{SystemTime, UNIX_EPOCH};

use brownout_core::model::UtcTime;
use clap::Args;
use serde_json::Value;

use super::client::{Client, ServerArg, rows, segment};
use super::{Console, Exit, Failure, Format};

/// Counts of one service over time.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout query x --from 6h\n  brownout query x --facet country:PK \
    --from 2025-03-10T09:00:00Z --to 2025-03-10T12:00:00Z --output csv\n\n\
    Counts are of five minutes each and become history once no report can come late any more, about\n\
    20 minutes after; how far they are settled is told on standard error, and as settled_until in\n\
    JSON. For the last minutes look at `brownout status`.\n\n\
    A count of 0 says that nobody reported while reports were collected. Where a line is missing,\n\
    nothing is known: the server did not run, or the series had not had its first report yet. Where a\n\
    count of a place or network is empty and withheld, there were so few that it could point at a person.")]
pub struct Query {
    /// The service's slug
    pub service: String,
    /// Which part: country:PK, region:PK-PB, city:1172451, network:AS17557, kind:login, channel:0
    #[arg(long)]
    pub facet: Option<String>,
    /// From when, at most 31 days before the end: a time such as 2025-03-10T09:00:00Z, or how long ago (90m, 6h, 7d)
    #[arg(long, default_value = "24h", value_parser = parse_moment)]
    pub from: Moment,
    /// Until when, likewise; without it, now
    #[arg(long, value_parser = parse_moment)]
    pub to: Option<Moment>,
    /// Which server.
    #[command(flatten)]
    pub server: ServerArg,
}

/// A time as one types it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A given instant.
    At(UtcTime),
    /// So many minutes ago.
    MinutesAgo(u32),
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    let minutes_each = match text.as_bytes().last() {
        Some(b'm') => 1,
        Some(b'h') => 60,
        Some(b'd') => 1440,
        _ => return text.parse().map(Moment::At).map_err(|_| refused(text)),
    };
    let digits = &text[..text.len() - 1];
    let number: u32 = match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse().map_err(|_| refused(text))?,
        false => return Err(refused(text)),
    };
    number.checked_mul(minutes_each).map(Moment::MinutesAgo).ok_or_else(|| refused(text))
}

fn refused(text: &str) -> String {
    format!("{text:?} is neither a time such as 2025-03-10T10:02:00Z nor a span such as 90m, 6h, 7d")
}

fn instant(moment: Moment) -> UtcTime {
    match moment {
        Moment::At(time) => time,
        Moment::MinutesAgo(minutes) => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = UtcTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
            now.minute().minus(minutes).start()
        }
    }
}

/// Columns of an interval, in the words of the interface.
const COLUMNS: &[&str] = &["at", "sources", "expected", "withheld"];

pub(super) fn run(args: &Query, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let client = Client::new(&args.server.server)?;
    let mut query = vec![("from", instant(args.from).to_string())];
    query.extend(args.to.map(|to| ("to", instant(to).to_string())));
    query.extend(args.facet.clone().map(|facet| ("facet", facet)));
    let document = client.json(&format!("/api/v1/services/{}/series", segment(&args.service)), &query)?;
    match console.format {
        Format::Json => console.json(&document)?,
        _ => console.table(&rows(&document, "points", COLUMNS))?,
    }
    if let Some(note) = note(&document) {
        console.say(&note);
    }
    Ok(Exit::Ok)
}

/// How far the counts are settled, where the answer does not reach what was asked for. An older
/// server does not tell.
fn note(document: &Value) -> Option<String> {
    let settled = document.get("settled_until")?;
    let Some(settled) = settled.as_str().and_then(|text| text.parse::<UtcTime>().ok()) else {
        return Some("nothing is settled yet: counts follow about 20 minutes after their time".to_owned());
    };
    let to: UtcTime = document.get("to")?.as_str()?.parse().ok()?;
    let none = document.get("points")?.as_array()?.is_empty();
    let until = format!("settled until {settled}: later counts follow about 20 minutes after their time");
    match (settled < to, none) {
        (true, false) => Some(until),
        (true, true) => Some(format!("no counts yet; {until}")),
        (false, true) => Some("no counts in this time".to_owned()),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reader_is_told_where_the_counts_end() {
        let told = |settled: Value, points: Value| {
            note(&json!({"to": "2025-03-10T10:00:00Z", "settled_until": settled, "points": points}))
        };
        let until =
            "settled until 2025-03-10T09:40:00Z: later counts follow about 20 minutes after their time";
        assert_eq!(told(json!("2025-03-10T09:40:00Z"), json!([{}])).as_deref(), Some(until));
        let none = format!("no counts yet; {until}");
        assert_eq!(told(json!("2025-03-10T09:40:00Z"), json!([])), Some(none));
        assert_eq!(told(json!("2025-03-10T10:00:00Z"), json!([{}])), None);
        assert!(told(json!("2025-03-11T00:00:00Z"), json!([])).is_some_and(|it| it.contains("no counts in")));
        assert!(told(json!(null), json!([])).is_some_and(|it| it.contains("nothing is settled yet")));
        assert_eq!(note(&json!({"points": []})), None, "an older server");
    }

    #[test]
    fn a_moment_is_a_time_or_a_span() {
        assert_eq!(parse_moment("90m"), Ok(Moment::MinutesAgo(90)));
        assert_eq!(parse_moment("7d"), Ok(Moment::MinutesAgo(10_080)));
        let at = "2025-03-10T10:02:00Z";
        assert_eq!(parse_moment(at).map(instant).map(|at| at.to_string()), Ok(at.to_owned()));
        for text in ["", "h", "-1h", "+1h", "1y", "99999999999d", "4000000000h", "é", "éd"] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }
}
