//! The data folder: one lock, one description of itself.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use brownout_core::model::UtcTime;
use serde::{Deserialize, Serialize};

use crate::port::StoreError;

use super::file::{At, store_error, write_whole};

/// The version of the folder's layout that this program writes.
pub const FORMAT: u32 = 1;

/// Whose time a folder's records carry. The two never meet in one folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The machine's.
    #[default]
    Live,
    /// A scenario's or an import's.
    Virtual,
}

/// What lies in a data folder, and what a file system of its own has at its root.
const OWN_NAMES: [&str; 7] = ["log", "checkpoints", "ledger", "comments", "secrets", "LOCK", "lost+found"];

/// What the names of databases, and of what belongs to them, begin with.
const DATABASES: [&str; 2] = ["brownout.sqlite", "admin.sqlite"];

/// What `FOLDER.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderInfo {
    /// Version of the layout; see [`FORMAT`].
    pub format: u32,
    /// Whose time the records carry.
    pub clock: Clock,
    /// When the folder was made.
    pub created: UtcTime,
}

/// The paths in a data folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Layout { root: root.to_owned() }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    pub(crate) fn comments(&self) -> PathBuf {
        self.root.join("comments")
    }

    pub(crate) fn derived(&self) -> PathBuf {
        self.root.join("brownout.sqlite")
    }

    pub(crate) fn admin(&self) -> PathBuf {
        self.root.join("admin.sqlite")
    }

    pub(crate) fn info(&self) -> PathBuf {
        self.root.join("FOLDER.json")
    }

    pub(crate) fn make_folders(&self) -> Result<(), StoreError> {
        for folder in [self.log(), self.checkpoints(), self.ledger(), self.comments()] {
            fs::create_dir_all(&folder).at(&folder)?;
        }
        Ok(())
    }

    /// Refuses a folder that is full of something else: what is made in it would be strewn about.
    pub(crate) fn refuse_foreign(&self) -> Result<(), StoreError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            // It will be made, or making it says what is wrong.
            Err(_) => return Ok(()),
        };
        if self.info().exists() {
            return Ok(());
        }
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let own = OWN_NAMES.contains(&name.as_str())
                || DATABASES.iter().any(|database| name.starts_with(database))
                || name.starts_with('.');
            if !own {
                let what = format!(
                    "{}: it is no data folder and not empty (there is {name}); name one that is empty or new",
                    self.root.display()
                );
                return Err(StoreError::Io(what));
            }
        }
        Ok(())
    }

    /// What the folder says of itself. `None` when it was never opened.
    pub(crate) fn read_info(&self) -> Result<Option<FolderInfo>, StoreError> {
        let path = self.info();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(store_error(&path, &error)),
        };
        let info: FolderInfo = serde_json::from_slice(&text)
            .map_err(|error| StoreError::Corrupt(format!("{}: {error}", path.display())))?;
        if info.format > FORMAT {
            let what = format!(
                "{}: written in format {} by a later version; this one knows up to {FORMAT}",
                path.display(),
                info.format
            );
            return Err(StoreError::Corrupt(what));
        }
        Ok(Some(info))
    }

    /// Reads what the folder says of itself, or writes it the first time.
    pub(crate) fn describe(&self, clock: Clock, now: UtcTime) -> Result<FolderInfo, StoreError> {
        if let Some(info) = self.read_info()? {
            if info.clock != clock {
                let what = format!(
                    "{}: the folder's clock is {:?}, not {clock:?}; live and virtual time need a folder each",
                    self.root.display(),
                    info.clock
                );
                return Err(StoreError::Io(what));
            }
            return Ok(info);
        }
        let info = FolderInfo { format: FORMAT, clock, created: now };
        let text = serde_json::to_vec_pretty(&info).map_err(|error| StoreError::Io(error.to_string()))?;
        write_whole(&self.info(), &text)?;
        Ok(info)
    }
}

/// Holds the folder for this process; let go when dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    pub(crate) fn take(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("LOCK");
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).at(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = (&file).take(20).read_to_string(&mut holder);
                let what = format!("{} is held by process {}", root.display(), holder.trim());
                return Err(StoreError::Locked(what));
            }
            Err(TryLockError::Error(error)) => return Err(store_error(&path, &error)),
        }
        // The number only helps a person; the lock itself does not depend on it.
        let _ = file.set_len(0);
        let _ = file.seek(SeekFrom::Start(0));
        let _ = writeln!(file, "{}", std::process::id());
        Ok(FolderLock { _file: file })
    }
}
