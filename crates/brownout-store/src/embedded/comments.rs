//! What people wrote beside their reports, apart from them: it is moderated, kept for less long,
//! and can be deleted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brownout_core::model::{Seq, ServiceId, UtcTime};
use serde::{Deserialize, Serialize};

use crate::counters::Counters;
use crate::port::StoreError;

use super::admin::Admin;
use super::file::{At, sync_folder, write_whole};
use super::folder::{FolderLock, Layout};
use super::frame::{Content, Header, push_frame};
use super::framed::{FramedFile, survey};

/// The longest text that is kept, in bytes.
pub const COMMENT_BYTES_MAX: usize = 4096;
/// From this size on a file is closed, so that a deletion rewrites little.
const FILE_BYTES: u64 = 1 << 20;

/// A comment to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Position of the report.
    pub report: Seq,
    /// The service that it is about.
    pub service: ServiceId,
    /// When it was taken.
    pub received_at: UtcTime,
    /// The text, as it was written: whoever shows it must escape it.
    pub text: String,
}

/// The folder of comments. There is one writer: the log's.
#[derive(Debug)]
pub struct CommentLog {
    folder: PathBuf,
    active: Option<FramedFile>,
    counters: Arc<Counters>,
    _lock: Option<Arc<FolderLock>>,
}

impl CommentLog {
    pub(crate) fn open(
        folder: &Path,
        counters: Arc<Counters>,
        lock: Option<Arc<FolderLock>>,
    ) -> Result<Self, StoreError> {
        let active = match files(folder)?.last() {
            Some(path) => Some(FramedFile::open(path, &counters)?),
            None => None,
        };
        Ok(CommentLog { folder: folder.to_owned(), active, counters, _lock: lock })
    }

    /// Makes comments durable, all or none. Their reports must be in the log already; answer the
    /// sender only after both.
    pub fn append(&mut self, comments: &[Comment]) -> Result<(), StoreError> {
        let Some(first) = comments.first() else { return Ok(()) };
        let mut frame = Vec::new();
        push_comments(comments, &mut frame)?;
        let active = match &mut self.active {
            Some(active) if active.bytes() < FILE_BYTES => active,
            slot => {
                let path = self.folder.join(format!("{:020}.comments", first.report.0));
                slot.insert(FramedFile::open(&path, &self.counters)?)
            }
        };
        active.append(&frame)?;
        self.counters.comments_appended.add(comments.len() as u64);
        Ok(())
    }

    /// Deletes the text of one comment: its file is written anew without it. False when there is
    /// no such comment.
    pub fn delete(&mut self, report: Seq) -> Result<bool, StoreError> {
        for path in files(&self.folder)? {
            let mut kept = Vec::new();
            let mut found = false;
            let mut bad = None;
            survey(&path, |header, payload| {
                let mut comments = parse(header, payload);
                let before = comments.len();
                comments.retain(|comment| comment.report != report);
                found |= comments.len() < before;
                bad = bad.take().or(push_comments(&comments, &mut kept).err());
            })?;
            if let Some(error) = bad {
                return Err(error);
            }
            if found {
                write_whole(&path, &kept)?;
                if self.active.as_ref().is_some_and(|active| active.path() == path) {
                    self.active = Some(FramedFile::open(&path, &self.counters)?);
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes the texts that an operator wants removed. Returns how many went. To be called
    /// whenever the writer has a moment: it costs one question when there is nothing to do.
    pub fn delete_removed(&mut self, admin: &Admin) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for report in admin.removals()? {
            deleted += u64::from(self.delete(report)?);
            admin.forget_comment(report)?;
        }
        Ok(deleted)
    }

    /// Removes whole files whose last comment is before `before`. Returns how many went.
    pub fn expire(&mut self, before: UtcTime) -> Result<u64, StoreError> {
        let mut removed = 0;
        for path in files(&self.folder)? {
            let mut last = None;
            survey(&path, |header, _| last = last.max(Some(header.received_at)))?;
            if last.is_some_and(|last| last < before) {
                if self.active.as_ref().is_some_and(|active| active.path() == path) {
                    self.active = None;
                }
                fs::remove_file(&path).at(&path)?;
                removed += 1;
            }
        }
        if removed > 0 {
            sync_folder(&self.folder)?;
        }
        Ok(removed)
    }

    /// All comments in the order in which they came.
    pub fn read(&self) -> Result<Vec<Comment>, StoreError> {
        read(&self.folder)
    }
}

/// All comments of a data folder in the order in which they came. Works beside a running program.
pub fn comments(root: &Path) -> Result<Vec<Comment>, StoreError> {
    read(&Layout::new(root).comments())
}

/// Deletes the texts that an operator wants removed from a folder that no program runs on; how
/// many went.
///
/// # Errors
/// [`StoreError::Locked`] where a program runs: it deletes them itself.
pub fn delete_removed_comments(root: &Path, admin: &Admin) -> Result<u64, StoreError> {
    let lock = Arc::new(FolderLock::take(root)?);
    CommentLog::open(&Layout::new(root).comments(), Arc::default(), Some(lock))?.delete_removed(admin)
}

/// All comments of a folder.
pub(crate) fn read(folder: &Path) -> Result<Vec<Comment>, StoreError> {
    let mut comments = Vec::new();
    for path in files(folder)? {
        survey(&path, |header, payload| comments.extend(parse(header, payload)))?;
    }
    Ok(comments)
}

pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    if !folder.exists() {
        return Ok(paths);
    }
    for entry in fs::read_dir(folder).at(folder)? {
        let path = entry.at(folder)?.path();
        paths.extend(path.extension().is_some_and(|it| it == "comments").then_some(path));
    }
    paths.sort();
    Ok(paths)
}

fn push_comments(comments: &[Comment], out: &mut Vec<u8>) -> Result<(), StoreError> {
    let Some(first) = comments.first() else { return Ok(()) };
    let mut payload = Vec::new();
    for comment in comments {
        if comment.text.len() > COMMENT_BYTES_MAX {
            return Err(StoreError::Io(format!("a comment is longer than {COMMENT_BYTES_MAX} bytes")));
        }
        serde_json::to_writer(&mut payload, comment).map_err(|error| StoreError::Io(error.to_string()))?;
        payload.push(b'\n');
    }
    let last = comments.iter().map(|comment| comment.received_at).max().unwrap_or(first.received_at);
    push_frame(Content::Comments, first.report, last, comments.len() as u32, &payload, out)
        .ok_or_else(|| StoreError::Io("too many comments at once".to_owned()))
}

fn parse(header: &Header, payload: &[u8]) -> Vec<Comment> {
    if header.content != Content::Comments {
        return Vec::new();
    }
    let lines = payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
