//! A small append-only file of frames: the verdict ledger and the comments.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::counters::Counters;
use crate::port::StoreError;

use super::file::{At, store_error, sync_folder};
use super::frame::{FrameScan, Header, Scanned};

/// A file that is appended to by whole frames, each durable when `append` returns.
#[derive(Debug)]
pub(crate) struct FramedFile {
    path: PathBuf,
    /// `None` before the first append and after one failed.
    file: Option<File>,
    bytes: u64,
}

impl FramedFile {
    /// Opens and recovers: an interrupted write at the end is cut off. The file need not exist.
    pub(crate) fn open(path: &Path, counters: &Counters) -> Result<Self, StoreError> {
        let survey = survey(path, |_, _| {})?;
        counters.corrupt_frames.add(survey.damaged_places);
        counters.torn_bytes_cut.add(survey.tail_bytes);
        // What lies behind is cut with the next append, before anything is written.
        Ok(FramedFile { path: path.to_owned(), file: None, bytes: survey.end_of_frames })
    }

    /// Appends whole frames and flushes them; on an error nothing of them is kept.
    pub(crate) fn append(&mut self, frames: &[u8]) -> Result<(), StoreError> {
        let path = &self.path;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let new = !path.exists();
                let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).at(path)?;
                file.set_len(self.bytes).at(path)?;
                if let (true, Some(folder)) = (new, path.parent()) {
                    sync_folder(folder)?;
                }
                file
            }
        };
        let written = file.seek(SeekFrom::Start(self.bytes)).and_then(|_| {
            file.write_all(frames)?;
            file.sync_data()
        });
        if let Err(error) = written {
            let _ = file.set_len(self.bytes);
            return Err(store_error(path, &error));
        }
        self.bytes += frames.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// What a walk over a file of frames found besides frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Survey {
    pub(crate) end_of_frames: u64,
    pub(crate) damaged_places: u64,
    pub(crate) tail_bytes: u64,
}

/// Shows every frame of a file to `see`. A file that is not there has none.
pub(crate) fn survey(path: &Path, mut see: impl FnMut(&Header, &[u8])) -> Result<Survey, StoreError> {
    let mut survey = Survey::default();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(survey),
        Err(error) => return Err(store_error(path, &error)),
    };
    let mut scan = FrameScan::new(file);
    while let Some(scanned) = scan.next_frame().at(path)? {
        match scanned {
            Scanned::Frame { header, payload, end } => {
                survey.end_of_frames = end;
                see(&header, payload);
            }
            Scanned::Damage { .. } => survey.damaged_places += 1,
            Scanned::Tail { bytes, .. } => survey.tail_bytes = bytes,
        }
    }
    Ok(survey)
}
