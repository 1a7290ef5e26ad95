//! What the folder's parts ask of the file system.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::port::StoreError;

/// Names an input or output error in the words of the port.
pub(crate) fn store_error(path: &Path, error: &io::Error) -> StoreError {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(what),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => StoreError::ReadOnly(what),
        _ => StoreError::Io(what),
    }
}

/// Adds the path to an error.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| store_error(path, &error))
    }
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).at(folder)
}

/// Replaces a file as a whole: after a crash there is the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_extension("tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written {
        // A full disk must not be kept full by what could not be finished.
        let _ = fs::remove_file(&temporary);
        return Err(store_error(&temporary, &error));
    }
    fs::rename(&temporary, path).at(path)?;
    match path.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}
