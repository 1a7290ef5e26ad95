//! What a probe keeps of itself: one folder that only its owner reads.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use brownout_core::model::UtcTime;
use brownout_probe::Identity;
use brownout_probe::wire::{Schedule, from_hex, to_hex};
use serde::{Deserialize, Serialize};

use crate::secret;

/// Who the probe is, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The observatory's URL, without a slash at its end.
    pub observatory: String,
    /// The observatory's key, in hexadecimal.
    pub observatory_key: String,
    /// The probe's number.
    pub probe: u32,
    /// What the observatory's operator calls it.
    pub name: String,
    /// When its owner agreed to what it does.
    pub consented_at: UtcTime,
    /// The probe's whole key, in hexadecimal.
    key: String,
}

impl Enrolment {
    /// Puts it together.
    pub fn new(
        observatory: &str,
        observatory_key: String,
        (probe, name): (u32, String),
        consented_at: UtcTime,
        key: &Identity,
    ) -> Self {
        let observatory = observatory.to_owned();
        Enrolment { observatory, observatory_key, probe, name, consented_at, key: to_hex(key.secret()) }
    }

    /// The probe's key.
    ///
    /// # Errors
    /// What the file holds is no key.
    pub fn identity(&self) -> io::Result<Identity> {
        let secret = from_hex(&self.key).unwrap_or_default();
        Identity::from_secret(&secret).map_err(io::Error::other)
    }

    /// The same probe with another key.
    #[must_use]
    pub fn with_key(&self, key: &Identity) -> Self {
        Enrolment { key: to_hex(key.secret()), ..self.clone() }
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// Opens the folder, and makes it if need be.
    ///
    /// # Errors
    /// It cannot be made, or others may read it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if fs::metadata(folder)?.permissions().mode() & 0o077 != 0 {
            let detail = format!("others may read {0}: chmod 700 {0}", folder.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, detail));
        }
        Ok(State { folder: folder.to_owned() })
    }

    /// Where measurements wait.
    pub fn queue(&self) -> PathBuf {
        self.folder.join("queue")
    }

    /// Who the probe is; `None` before it is enrolled.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn enrolment(&self) -> io::Result<Option<Enrolment>> {
        self.read("probe.json")
    }

    /// Keeps who the probe is.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_enrolment(&self, enrolment: &Enrolment) -> io::Result<()> {
        self.write("probe.json", enrolment)
    }

    /// A key that was made and perhaps sent, from before it is known what became of it.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn coming(&self) -> io::Result<Option<Enrolment>> {
        self.read("coming.json")
    }

    /// Keeps a key before it is sent, or forgets it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_coming(&self, coming: Option<&Enrolment>) -> io::Result<()> {
        match coming {
            Some(coming) => self.write("coming.json", coming),
            None => match fs::remove_file(self.folder.join("coming.json")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// The last schedule.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn schedule(&self) -> io::Result<Option<Schedule>> {
        self.read("schedule.json")
    }

    /// Keeps the last schedule.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep_schedule(&self, schedule: &Schedule) -> io::Result<()> {
        self.write("schedule.json", schedule)
    }

    fn read<T: for<'a> Deserialize<'a>>(&self, name: &str) -> io::Result<Option<T>> {
        let file = self.folder.join(name);
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| io::Error::other(format!("{}: {error}", file.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        secret::write(&self.folder.join(name), &serde_json::to_vec_pretty(value)?)
    }
}
