//! Names of the log's files: `<first>.seg` while it is frames, `<first>-<last>.parquet` once sealed.

use std::fs;
use std::path::{Path, PathBuf};

use brownout_core::model::Seq;

use crate::port::StoreError;

use super::file::At;

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Position of the first record that it may hold.
    pub(crate) first: Seq,
    /// Position of the last record, where the name tells it: then the segment is sealed.
    pub(crate) last: Option<Seq>,
    pub(crate) path: PathBuf,
}

impl Segment {
    pub(crate) fn is_sealed(&self) -> bool {
        self.last.is_some()
    }

    fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let number = |digits: &str| (digits.len() == 20).then(|| digits.parse().ok().map(Seq))?;
        let (first, last) = if let Some(stem) = name.strip_suffix(".seg") {
            (number(stem)?, None)
        } else {
            let (first, last) = name.strip_suffix(".parquet")?.split_once('-')?;
            (number(first)?, Some(number(last)?))
        };
        Some(Segment { first, last, path })
    }
}

pub(crate) fn open_path(log: &Path, first: Seq) -> PathBuf {
    log.join(format!("{:020}.seg", first.0))
}

pub(crate) fn sealed_path(log: &Path, first: Seq, last: Seq) -> PathBuf {
    log.join(format!("{:020}-{:020}.parquet", first.0, last.0))
}

/// All files of the log, oldest first. Where a segment is there in both forms, the frames are
/// taken: they are removed only after the sealed form was read back.
pub(crate) fn list(log: &Path) -> Result<Vec<Segment>, StoreError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(log).at(log)? {
        segments.extend(Segment::parse(entry.at(log)?.path()));
    }
    segments.sort_by_key(|segment| (segment.first, segment.is_sealed()));
    segments.dedup_by_key(|segment| segment.first);
    Ok(segments)
}
