//! Keys in files that nobody else reads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use brownout_probe::Identity;

/// The key in a file; a new one where there is no file.
pub fn identity(file: &Path) -> io::Result<Identity> {
    match std::fs::read(file) {
        Ok(secret) => Identity::from_secret(&secret).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = Identity::generate().map_err(io::Error::other)?;
            write(file, made.secret())?;
            Ok(made)
        }
        Err(error) => Err(error),
    }
}

/// Puts a secret into a file that only its owner reads, whole or not at all.
pub fn write(file: &Path, secret: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let beside = file.with_extension("new");
    let mut writing = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writing.write_all(secret)?;
    writing.sync_all()?;
    std::fs::rename(&beside, file)?;
    File::open(folder)?.sync_all()
}
