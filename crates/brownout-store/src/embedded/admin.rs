//! `admin.sqlite`: what an operator decided. Apart from the derived database, because that one is
//! thrown away and made again, and a token must never go with it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brownout_core::model::{ChannelId, Seq, UtcTime, Weight};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use crate::counters::Counters;
use crate::port::StoreError;

use super::derived::{InDb, move_aside};
use super::file::At;
use super::folder::{FolderLock, Layout};
use super::{orders, probes};

const TOKEN_COLUMNS: &str = "hash, name, channel, created, expires, revoked, weight, virtual_clock";
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS tokens (
        hash BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE, channel INTEGER NOT NULL,
        created INTEGER NOT NULL, expires INTEGER, revoked INTEGER,
        weight INTEGER NOT NULL, virtual_clock INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS comments (
        seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, changed INTEGER NOT NULL
    );
    CREATE INDEX IF NOT EXISTS comments_by_state ON comments (state, seq);
";

/// What is known of a partner's token. The token itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// A hash of the token.
    pub hash: [u8; 32],
    /// What the operator calls it; unique.
    pub name: String,
    /// The channel that its reports are of.
    pub channel: ChannelId,
    /// When it was made.
    pub created: UtcTime,
    /// From when on it is refused by itself; `None` is never.
    pub expires: Option<UtcTime>,
    /// Since when it is refused because an operator took it back.
    pub revoked: Option<UtcTime>,
    /// What its reports weigh at most.
    pub weight: Weight,
    /// Its reports carry a clock of their own.
    pub virtual_clock: bool,
}

/// What has become of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentState {
    /// It is kept for the operator.
    Kept = 0,
    /// Its text is deleted. The number is the one on the disk.
    Removed = 2,
}

/// Tokens, channels and the removal of comments; each change is durable when it returns.
#[derive(Debug)]
pub struct Admin {
    connection: Mutex<Connection>,
    path: PathBuf,
    _lock: Option<Arc<FolderLock>>,
}

impl Admin {
    /// Opens what an operator decided on a folder beside the program that runs on it: a change is
    /// seen there with the next question. The folder is made if need be.
    pub fn beside(root: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(root).at(root)?;
        Self::open(&Layout::new(root).admin(), None).map_err(|error| match error {
            StoreError::Corrupt(what) => {
                StoreError::Corrupt(format!("{what}; the next start of the server sets the file aside"))
            }
            error => error,
        })
    }

    /// Opens the database of a folder that nobody else runs on. What is damaged is set aside under
    /// another name and counted, for reports are more than tokens, which can be made again.
    pub(crate) fn open_or_begin_anew(
        path: &Path,
        lock: Option<Arc<FolderLock>>,
        counters: &Counters,
    ) -> Result<Self, StoreError> {
        match Self::open(path, lock.clone()) {
            Err(StoreError::Corrupt(_)) => {
                move_aside(path)?;
                counters.admin_set_aside.add(1);
                Self::open(path, lock)
            }
            opened => opened,
        }
    }

    fn open(path: &Path, lock: Option<Arc<FolderLock>>) -> Result<Self, StoreError> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(TABLES)?;
            connection.execute_batch(orders::TABLE)?;
            connection.execute_batch(probes::TABLES)?;
            Ok(connection)
        };
        let connection = open().in_db(path)?;
        check(&connection, path)?;
        Ok(Admin { connection: Mutex::new(connection), path: path.to_owned(), _lock: lock })
    }

    /// Looks whether a folder's database is sound, without changing it. `None` when there is none.
    pub fn examine(root: &Path) -> Option<Result<(), StoreError>> {
        let path = Layout::new(root).admin();
        let open = || Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).in_db(&path);
        path.exists().then(|| check(&open()?, &path))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn parts(&self) -> (MutexGuard<'_, Connection>, &Path) {
        (self.connection(), &self.path)
    }

    /// Keeps a token. False, and nothing is changed, when its name or hash is taken.
    pub fn add_token(&self, token: &Token) -> Result<bool, StoreError> {
        let put = "INSERT OR IGNORE INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let values = params![
            &token.hash[..],
            token.name,
            token.channel.0,
            token.created.millis(),
            token.expires.map(UtcTime::millis),
            token.revoked.map(UtcTime::millis),
            token.weight.percent(),
            token.virtual_clock
        ];
        Ok(self.connection().execute(put, values).in_db(&self.path)? == 1)
    }

    /// The token with this hash, revoked or not.
    pub fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let ask = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE hash = ?1");
        self.connection().query_row(&ask, [&hash[..]], token_of).optional().in_db(&self.path)
    }

    /// All tokens, by name.
    pub fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let ask = format!("SELECT {TOKEN_COLUMNS} FROM tokens ORDER BY name");
        let connection = self.connection();
        let mut ask = connection.prepare(&ask).in_db(&self.path)?;
        let tokens = ask.query_map([], token_of).and_then(Iterator::collect);
        tokens.in_db(&self.path)
    }

    /// Refuses a token from now on. False when no token in force has this name.
    pub fn revoke_token(&self, name: &str, now: UtcTime) -> Result<bool, StoreError> {
        let put = "UPDATE tokens SET revoked = ?2 WHERE name = ?1 AND revoked IS NULL";
        Ok(self.connection().execute(put, params![name, now.millis()]).in_db(&self.path)? == 1)
    }

    /// The number of a channel, given on first sight. True when it is new: then the log must be
    /// told before its first report.
    pub fn channel(&self, name: &str) -> Result<(ChannelId, bool), StoreError> {
        let connection = self.connection();
        let ask = "SELECT id FROM channels WHERE name = ?1";
        let known = connection.query_row(ask, [name], |row| row.get(0)).optional().in_db(&self.path)?;
        if let Some(id) = known {
            return Ok((ChannelId(id), false));
        }
        let ask = "SELECT coalesce(max(id) + 1, ?1) FROM channels";
        let first = ChannelId::FIRST_PARTNER.0;
        let next: i64 = connection.query_row(ask, [first], |row| row.get(0)).in_db(&self.path)?;
        let id = u16::try_from(next).map_err(|_| StoreError::Full("no channel number is left".to_owned()))?;
        connection.execute("INSERT INTO channels VALUES (?1, ?2)", params![id, name]).in_db(&self.path)?;
        Ok((ChannelId(id), true))
    }

    /// Takes over the numbers of channels that the log knows and this database does not, because it
    /// was lost or is an older copy: no number may be given twice. Says how many there were. Where
    /// the name has another number by now, the old number keeps its place under a name that nobody
    /// can ask for.
    pub fn keep_channels<'a>(
        &self,
        known: impl IntoIterator<Item = (ChannelId, &'a str)>,
    ) -> Result<usize, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction().in_db(&self.path)?;
        let mut kept = 0;
        for (id, name) in known.into_iter().filter(|(id, _)| *id >= ChannelId::FIRST_PARTNER) {
            let put = "INSERT OR IGNORE INTO channels
                SELECT ?1, iif(EXISTS (SELECT 1 FROM channels WHERE name = ?2), ?2 || ' (' || ?1 || ')', ?2)
                WHERE NOT EXISTS (SELECT 1 FROM channels WHERE id = ?1)";
            kept += transaction.execute(put, params![id.0, name]).in_db(&self.path)?;
        }
        transaction.commit().in_db(&self.path)?;
        Ok(kept)
    }

    /// All channels, by number.
    pub fn channels(&self) -> Result<Vec<(ChannelId, String)>, StoreError> {
        let connection = self.connection();
        let mut ask = connection.prepare("SELECT id, name FROM channels ORDER BY id").in_db(&self.path)?;
        let channels =
            ask.query_map([], |row| Ok((ChannelId(row.get(0)?), row.get(1)?))).and_then(Iterator::collect);
        channels.in_db(&self.path)
    }

    /// Decides on the comment to the report at `seq`.
    pub fn set_comment_state(&self, seq: Seq, state: CommentState, now: UtcTime) -> Result<(), StoreError> {
        let put = "INSERT OR REPLACE INTO comments VALUES (?1, ?2, ?3)";
        let values = params![seq.0 as i64, state as i64, now.millis()];
        self.connection().execute(put, values).in_db(&self.path)?;
        Ok(())
    }

    /// What was decided on the comment to the report at `seq`; kept when nothing was.
    pub fn comment_state(&self, seq: Seq) -> Result<CommentState, StoreError> {
        let ask = "SELECT state FROM comments WHERE seq = ?1";
        let state = self.connection().query_row(ask, [seq.0 as i64], |row| row.get::<_, i64>(0));
        Ok(match state.optional().in_db(&self.path)? {
            Some(2) => CommentState::Removed,
            _ => CommentState::Kept,
        })
    }

    /// Comments that are to be removed and whose text may still be there, by position.
    pub fn removals(&self) -> Result<Vec<Seq>, StoreError> {
        let connection = self.connection();
        let ask = "SELECT seq FROM comments WHERE state = ?1 ORDER BY seq";
        let mut ask = connection.prepare(ask).in_db(&self.path)?;
        let removals = ask
            .query_map([CommentState::Removed as i64], |row| Ok(Seq(row.get::<_, i64>(0)? as u64)))
            .and_then(Iterator::collect);
        removals.in_db(&self.path)
    }

    /// Forgets what was decided on a comment, once its text is gone.
    pub fn forget_comment(&self, seq: Seq) -> Result<(), StoreError> {
        self.connection().execute("DELETE FROM comments WHERE seq = ?1", [seq.0 as i64]).in_db(&self.path)?;
        Ok(())
    }

    /// Copies the database while it is used.
    pub(crate) fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.connection().backup("main", to, None::<fn(_)>).in_db(&self.path)
    }
}

/// Reads all of the database; it is small.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).in_db(path)?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Corrupt(format!("{}: {found}", path.display()))) }
}

fn token_of(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        hash: row.get(0)?,
        name: row.get(1)?,
        channel: ChannelId(row.get(2)?),
        created: UtcTime::from_millis(row.get(3)?),
        expires: row.get::<_, Option<i64>>(4)?.map(UtcTime::from_millis),
        revoked: row.get::<_, Option<i64>>(5)?.map(UtcTime::from_millis),
        weight: Weight::from_percent(row.get(6)?),
        virtual_clock: row.get(7)?,
    })
}
