//! `brownout.sqlite`: roll-ups, incidents and an index of the verdicts. It can be lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use brownout_core::effect::{Derived, RollUp};
use brownout_core::model::{Facet, IncidentId, Minute, Seq, SeriesKey};
use brownout_core::snapshot::IncidentView;
use brownout_core::verdict::Verdict;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use crate::counters::Counters;
use crate::port::{Collected, DerivedStore, History, IncidentCursor, StoreError};

use super::file::At;
use super::folder::FolderLock;
use super::json;
use super::ledger::{self, Ledger};

/// Version of the tables. Derived state of another version is begun anew.
const TABLES_VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE applied (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
    INSERT INTO applied VALUES (1, 0);
    CREATE TABLE roll_ups (
        service INTEGER NOT NULL, facet INTEGER NOT NULL, start INTEGER NOT NULL,
        hundredths INTEGER NOT NULL, expected REAL NOT NULL,
        PRIMARY KEY (service, facet, start)
    ) WITHOUT ROWID;
    CREATE TABLE incidents (
        service INTEGER NOT NULL, opened INTEGER NOT NULL, opened_at INTEGER NOT NULL,
        state TEXT NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (service, opened)
    );
    CREATE INDEX incidents_by_time ON incidents (opened_at);
    CREATE TABLE verdicts (
        service INTEGER NOT NULL, opened INTEGER NOT NULL, revision INTEGER NOT NULL,
        seq INTEGER NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (service, opened, revision)
    );
    PRAGMA user_version = 1;
";

/// Spans of time in which evidence was collected, in minutes since the epoch. It came later than the
/// other tables: a folder from before it knows of no span, which says nothing of its counts.
const COLLECTED_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS collected (start INTEGER PRIMARY KEY, until INTEGER NOT NULL)";

/// Takes what is derived: verdicts into the ledger first, then everything in one transaction.
#[derive(Debug)]
pub struct SqliteDerived {
    connection: Connection,
    path: PathBuf,
    ledger: Ledger,
    _lock: Arc<FolderLock>,
}

impl SqliteDerived {
    /// Opens the database, or begins a new one when it is missing or damaged; the verdicts that
    /// it lacks come from the ledger.
    pub(crate) fn open(
        path: &Path,
        ledger_folder: &Path,
        counters: Arc<Counters>,
        lock: Arc<FolderLock>,
    ) -> Result<Self, StoreError> {
        let ledger = Ledger::open(ledger_folder, counters.clone())?;
        let connection = match open_checked(path) {
            Ok(connection) => connection,
            Err(error) if is_damage(&error) => {
                move_aside(path)?;
                counters.derived_rebuilt.add(1);
                open_checked(path).map_err(|error| sqlite_error(path, &error))?
            }
            Err(error) => return Err(sqlite_error(path, &error)),
        };
        let mut derived = SqliteDerived { connection, path: path.to_owned(), ledger, _lock: lock };
        derived.index_ledger(ledger_folder)?;
        Ok(derived)
    }

    /// The last position at which something was published.
    pub fn last_published(&self) -> Seq {
        self.ledger.last_seq()
    }

    fn index_ledger(&mut self, folder: &Path) -> Result<(), StoreError> {
        let mut entries = Vec::new();
        ledger::read(folder, |entry| entries.push(entry), |_| {})?;
        let known = "SELECT count(*) FROM verdicts";
        let path = self.path.clone();
        let known: i64 = self.connection.query_row(known, [], |row| row.get(0)).in_db(&path)?;
        if known as usize >= entries.len() {
            return Ok(());
        }
        let transaction = self.connection.transaction().in_db(&path)?;
        for entry in &entries {
            put_verdict(&transaction, entry.seq, &entry.verdict, &path)?;
        }
        transaction.commit().in_db(&path)
    }
}

impl DerivedStore for SqliteDerived {
    fn applied(&self) -> Result<Seq, StoreError> {
        let seq: i64 =
            self.connection.query_row("SELECT seq FROM applied", [], |row| row.get(0)).in_db(&self.path)?;
        Ok(Seq(seq as u64))
    }

    fn apply(&mut self, seq: Seq, derived: &Derived) -> Result<(), StoreError> {
        self.apply_together(&[(seq, derived)])
    }

    fn apply_all(&mut self, sets: &[(Seq, Box<Derived>)]) -> Result<(), StoreError> {
        let sets: Vec<(Seq, &Derived)> = sets.iter().map(|(seq, derived)| (*seq, &**derived)).collect();
        self.apply_together(&sets)
    }
}

impl SqliteDerived {
    /// Applies sets in one transaction, and so with one flush of the medium.
    fn apply_together(&mut self, sets: &[(Seq, &Derived)]) -> Result<(), StoreError> {
        let applied = self.applied()?;
        let sets = || sets.iter().filter(|(seq, _)| *seq > applied);
        let Some((last, _)) = sets().next_back() else { return Ok(()) };
        for (seq, derived) in sets() {
            self.ledger.append(*seq, &derived.verdicts)?;
        }
        let path = self.path.clone();
        let transaction = self.connection.transaction().in_db(&path)?;
        for (seq, derived) in sets() {
            put_set(&transaction, *seq, derived, &path)?;
        }
        transaction.execute("UPDATE applied SET seq = ?1", [last.0 as i64]).in_db(&path)?;
        transaction.commit().in_db(&path)
    }
}

/// Everything of a set but its position. What is there already is replaced: the last one counts.
fn put_set(connection: &Connection, seq: Seq, derived: &Derived, path: &Path) -> Result<(), StoreError> {
    let put = "INSERT OR REPLACE INTO roll_ups VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut put = connection.prepare_cached(put).in_db(path)?;
    for it in &derived.roll_ups {
        let facet = facet_number(it.key.facet);
        let expected = if it.expected.is_finite() { it.expected } else { 0.0 };
        put.execute(params![it.key.service.0, facet, it.start.0, it.hundredths, f64::from(expected)])
            .in_db(path)?;
    }
    let put = "INSERT OR REPLACE INTO incidents VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut put = connection.prepare_cached(put).in_db(path)?;
    for view in &derived.incidents {
        let state = format!("{:?}", view.state).to_lowercase();
        let opened_at = view.opened_at.millis();
        let detail = json::incident(view)?;
        put.execute(params![view.id.service.0, view.id.opened.0, opened_at, state, detail]).in_db(path)?;
    }
    for verdict in &derived.verdicts {
        put_verdict(connection, seq, verdict, path)?;
    }
    for span in spans(&derived.collected) {
        put_collected(connection, span).in_db(path)?;
    }
    Ok(())
}

fn put_verdict(connection: &Connection, seq: Seq, verdict: &Verdict, path: &Path) -> Result<(), StoreError> {
    let Some(incident) = verdict.incident else { return Ok(()) };
    let detail = json::verdict(verdict)?;
    let put = "INSERT OR REPLACE INTO verdicts VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![incident.service.0, incident.opened.0, verdict.revision, seq.0 as i64, detail];
    connection.prepare_cached(put).and_then(|mut put| put.execute(values)).in_db(path)?;
    Ok(())
}

/// Intervals of five minutes, in order, as spans.
fn spans(starts: &[Minute]) -> Vec<(Minute, Minute)> {
    let together = starts.chunk_by(|one, next| next.0 == one.0 + 5);
    together.filter_map(|span| Some((*span.first()?, span.last()?.plus(5)))).collect()
}

/// Adds a span to those that are there: most go on from the last one.
fn put_collected(connection: &Connection, (from, to): (Minute, Minute)) -> rusqlite::Result<()> {
    let put = "UPDATE collected SET until = max(until, ?2) WHERE start <= ?1 AND until >= ?1";
    if connection.prepare_cached(put)?.execute(params![from.0, to.0])? == 0 {
        connection.execute("INSERT INTO collected VALUES (?1, ?2)", params![from.0, to.0])?;
    }
    Ok(())
}

fn open_checked(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What was applied must not be behind a checkpoint after a power cut; once a tick, that is cheap.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => connection.execute_batch(&format!("BEGIN; {TABLES} COMMIT;"))?,
        TABLES_VERSION => {}
        _ => return Err(rusqlite::Error::InvalidQuery),
    }
    connection.execute_batch(COLLECTED_TABLE)?;
    connection.query_row("SELECT seq FROM applied", [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// Whether an error says that the database is not what it should be, so that it is begun anew.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(cause, message) => {
            matches!(cause.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_deref().is_some_and(|text| text.contains("no such table"))
        }
        rusqlite::Error::InvalidQuery | rusqlite::Error::QueryReturnedNoRows => true,
        rusqlite::Error::SqlInputError { .. } => true,
        _ => false,
    }
}

/// Keeps a damaged database for whoever wants to look at it, one at a time.
pub(crate) fn move_aside(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        let mut to = path.as_os_str().to_owned();
        to.push(".damaged");
        to.push(suffix);
        let (from, to) = (PathBuf::from(from), PathBuf::from(to));
        if from.exists() {
            fs::rename(&from, &to).at(&from)?;
        }
    }
    Ok(())
}

/// What readers ask of the past, over connections that only read: the writer never waits for them.
#[derive(Debug)]
pub struct SqliteHistory {
    connections: [Mutex<Connection>; 2],
    turn: AtomicUsize,
    path: PathBuf,
}

impl SqliteHistory {
    /// Over a database that exists. `immutable`: it lies on a medium that cannot be written.
    pub(crate) fn open(path: &Path, immutable: bool) -> Result<Self, StoreError> {
        let open = || -> rusqlite::Result<Connection> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let connection = if immutable {
                let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
                Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?
            } else {
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?
            };
            connection.busy_timeout(std::time::Duration::from_secs(2))?;
            // Opening reads nothing; what cannot be read is to be known now.
            connection.query_row("SELECT seq FROM applied", [], |row| row.get::<_, i64>(0))?;
            Ok(connection)
        };
        let connections = [Mutex::new(open().in_db(path)?), Mutex::new(open().in_db(path)?)];
        Ok(SqliteHistory { connections, turn: AtomicUsize::new(0), path: path.to_owned() })
    }

    fn with<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let connection = &self.connections[turn % self.connections.len()];
        let connection = connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ask(&connection).in_db(&self.path)
    }

    fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text)
            .map_err(|error| StoreError::Corrupt(format!("{}: {error}", self.path.display())))
    }
}

impl History for SqliteHistory {
    fn roll_ups(
        &self,
        key: SeriesKey,
        from: Minute,
        to: Minute,
        limit: usize,
    ) -> Result<Vec<RollUp>, StoreError> {
        self.with(|connection| {
            let ask = "SELECT start, hundredths, expected FROM roll_ups
                WHERE service = ?1 AND facet = ?2 AND start >= ?3 AND start < ?4 ORDER BY start LIMIT ?5";
            let mut ask = connection.prepare_cached(ask)?;
            let values = params![key.service.0, facet_number(key.facet), from.0, to.0, row_limit(limit)];
            ask.query_map(values, |row| {
                Ok(RollUp {
                    key,
                    start: Minute(row.get(0)?),
                    hundredths: row.get(1)?,
                    expected: row.get::<_, f64>(2)? as f32,
                })
            })?
            .collect()
        })
    }

    fn collected(&self, from: Minute, to: Minute) -> Result<Collected, StoreError> {
        self.with(|connection| {
            // A folder that is only read may be from before there was such a table.
            let there = "SELECT count(*) FROM sqlite_master WHERE name = 'collected'";
            if connection.query_row(there, [], |row| row.get::<_, i64>(0))? == 0 {
                return Ok(Collected::default());
            }
            let minute = |row: &Row<'_>, column: usize| row.get(column).map(Minute);
            let ask = "SELECT start, until FROM collected WHERE until > ?1 AND start < ?2 ORDER BY start";
            let spans = connection
                .prepare_cached(ask)?
                .query_map(params![from.0, to.0], |row| Ok((minute(row, 0)?, minute(row, 1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let settled_until =
                connection.query_row("SELECT max(until) FROM collected", [], |row| row.get(0))?;
            Ok(Collected { spans, settled_until: Option::<u32>::map(settled_until, Minute) })
        })
    }

    fn incidents(&self, from: IncidentCursor, limit: usize) -> Result<Vec<IncidentView>, StoreError> {
        let details: Vec<String> = self.with(|connection| {
            let ask = "SELECT detail FROM incidents
                WHERE opened_at <= ?1 AND (opened_at < ?1 OR service > ?2)
                ORDER BY opened_at DESC, service LIMIT ?3";
            let mut ask = connection.prepare_cached(ask)?;
            let service = from.service().map_or(i64::MAX, |service| service.0.into());
            let values = params![from.opened_at().millis(), service, row_limit(limit)];
            ask.query_map(values, |row| row.get(0))?.collect()
        })?;
        details.iter().map(|detail| self.parse(detail)).collect()
    }

    fn incident(&self, id: IncidentId) -> Result<Option<IncidentView>, StoreError> {
        let detail: Option<String> = self.with(|connection| {
            let ask = "SELECT detail FROM incidents WHERE service = ?1 AND opened = ?2";
            let mut ask = connection.prepare_cached(ask)?;
            ask.query_row(params![id.service.0, id.opened.0], |row| row.get(0)).optional()
        })?;
        detail.map(|detail| self.parse(&detail)).transpose()
    }

    fn verdicts(&self, id: IncidentId) -> Result<Vec<Verdict>, StoreError> {
        let details: Vec<String> = self.with(|connection| {
            let ask = "SELECT detail FROM verdicts WHERE service = ?1 AND opened = ?2 ORDER BY revision";
            let mut ask = connection.prepare_cached(ask)?;
            ask.query_map(params![id.service.0, id.opened.0], |row| row.get(0))?.collect()
        })?;
        details.iter().map(|detail| self.parse(detail)).collect()
    }
}

fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A facet as one number: its kind in the highest byte, its value below.
fn facet_number(facet: Facet) -> i64 {
    let (kind, value) = match facet {
        Facet::All => (0, 0),
        Facet::Country(code) => (1, i64::from(u16::from_be_bytes(code.bytes()))),
        Facet::Region(code) => {
            let [a, b] = code.country().bytes();
            let [c, d, e] = code.part();
            (2, i64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
        }
        Facet::City(id) => (3, i64::from(id.0.get())),
        Facet::Network(asn) => (4, i64::from(asn.0.get())),
        Facet::Kind(kind) => (5, kind as i64),
        Facet::Channel(channel) => (6, i64::from(channel.0)),
    };
    kind << 56 | value
}

pub(crate) fn sqlite_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let what = format!("{}: {error}", path.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(what),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            StoreError::ReadOnly(what)
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(what),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked(what),
        _ => StoreError::Io(what),
    }
}

/// Adds the path to an error.
pub(crate) trait InDb<T> {
    fn in_db(self, path: &Path) -> Result<T, StoreError>;
}

impl<T> InDb<T> for rusqlite::Result<T> {
    fn in_db(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| sqlite_error(path, &error))
    }
}
