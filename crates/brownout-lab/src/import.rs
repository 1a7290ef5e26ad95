//! Other people's report tables, turned into lines for the batch intake.

mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use brownout_core::model::{ProblemKind, UtcTime};

pub use table::{Cities, Columns, header, table};

/// Rows that one import may hold, for they are sorted by time in memory.
pub const ROWS_MAX: usize = 5_000_000;
/// Bytes of one cell that is looked at, and of a source: as many as the intake takes.
const CELL_BYTES_MAX: usize = 128;

/// Why a row was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowReject {
    /// It has no such column, or is not a row of the table at all.
    Malformed,
    /// Its time cannot be read.
    Time,
    /// Nothing says who reported.
    Source,
    /// A service, a kind or a place is empty or too long.
    Field,
    /// There were more than [`ROWS_MAX`].
    TooMany,
    /// It has not happened yet.
    Future,
}

impl fmt::Display for RowReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowReject::Malformed => "not a row of this table",
            RowReject::Time => "the time cannot be read",
            RowReject::Source => "nothing says who reported",
            RowReject::Field => "a field is empty or too long",
            RowReject::TooMany => "too many rows",
            RowReject::Future => "the time is yet to come",
        })
    }
}

/// Why a table cannot be imported at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError(String);

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ImportError {}

/// One row as the intake takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When it happened.
    pub at: UtcTime,
    /// What stands for the source; the same text is the same source.
    pub source: String,
    /// One line of JSON, without a line feed.
    pub line: String,
}

/// Rows in the order of their time, and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Rows; of the same time, in the order of the table.
    pub rows: Vec<Row>,
    /// Rows left out, by reason.
    pub rejected: BTreeMap<RowReject, u64>,
    /// Rows whose city is not known and so is left out of the line; the row stays.
    pub cities_unknown: u64,
}

impl Imported {
    /// Rows that repeat a source whose last report was under this many seconds earlier, repeats
    /// included: a source that goes on reporting stays one source.
    pub fn repeats(&self, seconds: i64) -> usize {
        let mut last: BTreeMap<&str, UtcTime> = BTreeMap::new();
        let mut repeats = 0;
        for row in &self.rows {
            let before = last.insert(&row.source, row.at);
            let again =
                before.is_some_and(|before| row.at.millis_since(before) < seconds.saturating_mul(1000));
            repeats += usize::from(again);
        }
        repeats
    }

    /// Puts the rows of another table among these, by time; of the same time, after these.
    pub fn merge(&mut self, other: Imported) {
        other.rows.into_iter().for_each(|row| self.keep(Ok(row)));
        self.rows.sort_by_key(|row| row.at);
        for (reason, count) in other.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
        self.cities_unknown += other.cities_unknown;
    }

    /// Leaves out what happened after `now`: one wrong time would be played for decades.
    pub fn leave_out_after(&mut self, now: UtcTime) {
        let before = self.rows.len();
        self.rows.retain(|row| row.at <= now);
        let left_out = (before - self.rows.len()) as u64;
        if left_out > 0 {
            *self.rejected.entry(RowReject::Future).or_default() += left_out;
        }
    }

    fn keep(&mut self, row: Result<Row, RowReject>) {
        match row {
            Ok(_) if self.rows.len() >= ROWS_MAX => {
                *self.rejected.entry(RowReject::TooMany).or_default() += 1
            }
            Ok(row) => self.rows.push(row),
            Err(reason) => *self.rejected.entry(reason).or_default() += 1,
        }
    }
}

/// Reads the reports of one US provider's customers: `created_at,city,state,zip_code,service,note`.
///
/// The service is always `spectrum`; the table's own `service` says which of its products failed.
/// Who reported is not in the table, so city, ZIP code and product together stand for the source.
/// Each is a subnet of its own: the cap on subnets is there against one person with many addresses,
/// and a ZIP code is thousands of households. Notes are not carried over. Many of the places are too small for
/// the geography; `cities` says which it knows.
pub fn spectrum(reader: impl Read, cities: Cities<'_>) -> Result<Imported, ImportError> {
    let columns = Columns {
        time: "created_at".to_owned(),
        source: vec!["city".to_owned(), "zip_code".to_owned(), "service".to_owned()],
        kind: Some("service".to_owned()),
        city: Some("city".to_owned()),
        region: Some("state".to_owned()),
        fixed_service: Some("spectrum".to_owned()),
        fixed_country: Some("US".to_owned()),
        ..Columns::default()
    };
    table::read(reader, &columns, cities, spectrum_kind)
}

/// The kind of problem behind a product of the provider.
fn spectrum_kind(product: &str) -> ProblemKind {
    match product {
        "Internet" | "Internet+TV" => ProblemKind::Connection,
        "TV" => ProblemKind::Media,
        "Phone" => ProblemKind::Calls,
        "All" => ProblemKind::Unreachable,
        _ => ProblemKind::Other,
    }
}
