//! What an operator asks of the program that runs on the folder, and what became of it.
//!
//! Whoever may write the folder may ask: that is the authority which `brownout token` needs, too.
//! An order is carried out once or not at all, and never by a program that starts later.

use brownout_core::model::{Seq, UtcTime};
use rusqlite::{OptionalExtension, Row, params};

use crate::port::StoreError;

use super::admin::Admin;
use super::derived::InDb;

pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, incident TEXT NOT NULL,
        words TEXT NOT NULL, made INTEGER NOT NULL, taken INTEGER, seq INTEGER, refusal TEXT
    );
";
/// How long orders are kept, in seconds, for whoever waits for their outcome.
const KEPT_SECONDS: i64 = 3600;

/// What is to be done with an incident. The numbers are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Keep it at "possible".
    Hold = 1,
    /// End it.
    Close = 2,
    /// Add a line to its timeline.
    Note = 3,
    /// Keep what it brings from becoming usual.
    Extend = 4,
}

/// Something an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number; never given twice.
    pub id: i64,
    /// What is to be done.
    pub kind: OrderKind,
    /// Public name of the incident.
    pub incident: String,
    /// The reason, or the note.
    pub words: String,
}

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has taken it.
    Waiting,
    /// It was taken and is not done yet.
    Taken,
    /// It is in the log.
    Done(Seq),
    /// It cannot be done: why.
    Refused(String),
}

impl Admin {
    /// Leaves an order; its number.
    pub fn order(
        &self,
        kind: OrderKind,
        incident: &str,
        words: &str,
        now: UtcTime,
    ) -> Result<i64, StoreError> {
        let (connection, path) = self.parts();
        let old = "DELETE FROM orders WHERE made < ?1";
        connection.execute(old, [now.plus_seconds(-KEPT_SECONDS).millis()]).in_db(path)?;
        let put = "INSERT INTO orders (kind, incident, words, made) VALUES (?1, ?2, ?3, ?4)";
        connection.execute(put, params![kind as i64, incident, words, now.millis()]).in_db(path)?;
        Ok(connection.last_insert_rowid())
    }

    /// Takes the next order that waits and was made since `from`; it waits for nobody else then.
    pub fn take_order(&self, from: UtcTime, now: UtcTime) -> Result<Option<Order>, StoreError> {
        let (connection, path) = self.parts();
        let take = "UPDATE orders SET taken = ?2 WHERE id =
                (SELECT min(id) FROM orders WHERE taken IS NULL AND made >= ?1)
            RETURNING id, kind, incident, words";
        let taken = connection.query_row(take, params![from.millis(), now.millis()], order_of);
        taken.optional().in_db(path)
    }

    /// Says what became of an order that was taken.
    pub fn finish_order(&self, id: i64, outcome: &Result<Seq, String>) -> Result<(), StoreError> {
        let (connection, path) = self.parts();
        let (seq, refusal) = match outcome {
            Ok(seq) => (Some(seq.0 as i64), None),
            Err(refusal) => (None, Some(refusal)),
        };
        let put = "UPDATE orders SET seq = ?2, refusal = ?3 WHERE id = ?1";
        connection.execute(put, params![id, seq, refusal]).in_db(path)?;
        Ok(())
    }

    /// How far an order has come.
    pub fn order_progress(&self, id: i64) -> Result<Progress, StoreError> {
        let (connection, path) = self.parts();
        let ask = "SELECT taken, seq, refusal FROM orders WHERE id = ?1";
        let found = connection.query_row(ask, [id], |row| {
            Ok(match (row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?) {
                (_, _, Some(refusal)) => Progress::Refused(refusal),
                (_, Some(seq), None) => Progress::Done(Seq(seq as u64)),
                (Some(_), None, None) => Progress::Taken,
                (None, None, None) => Progress::Waiting,
            })
        });
        Ok(found.optional().in_db(path)?.unwrap_or(Progress::Waiting))
    }

    /// Takes an order back. False when somebody has taken it already.
    pub fn withdraw_order(&self, id: i64) -> Result<bool, StoreError> {
        let (connection, path) = self.parts();
        let gone = connection.execute("DELETE FROM orders WHERE id = ?1 AND taken IS NULL", [id]);
        Ok(gone.in_db(path)? == 1)
    }
}

fn order_of(row: &Row<'_>) -> rusqlite::Result<Order> {
    let kind = match row.get(1)? {
        1 => OrderKind::Hold,
        2 => OrderKind::Close,
        3 => OrderKind::Note,
        4 => OrderKind::Extend,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(1, other)),
    };
    Ok(Order { id: row.get(0)?, kind, incident: row.get(2)?, words: row.get(3)? })
}
