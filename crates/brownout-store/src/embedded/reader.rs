//! Reading the log while it is written: frames and sealed segments in one order.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use brownout_core::model::{Evidence, Record, Seq, UtcTime};

use crate::port::StoreError;

use super::file::store_error;
use super::frame::{Content, FrameScan, Scanned};
use super::log::Progress;
use super::sealed;
use super::sealed_rows::SealedRows;
use super::segment::{self, Segment};
use super::wire;

/// Reads the log of a folder; any number may, while one writer appends.
#[derive(Clone, Debug)]
pub struct LogReader {
    folder: PathBuf,
    progress: Option<Arc<Progress>>,
}

/// What stands before the records of a batch that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Position of the first record; the others follow without a gap.
    pub first_seq: Seq,
    /// When all of them were taken.
    pub received_at: UtcTime,
}

impl LogReader {
    /// Of the data folder `data`, from outside the process that writes it. It may see the last
    /// batch before that is durable.
    pub fn open(data: &Path) -> Self {
        LogReader { folder: data.join("log"), progress: None }
    }

    pub(crate) fn with_progress(folder: &Path, progress: Arc<Progress>) -> Self {
        LogReader { folder: folder.to_owned(), progress: Some(progress) }
    }

    /// The first position that is still there; the next one to be given when there is none.
    pub fn first_seq(&self) -> Result<Seq, StoreError> {
        match segment::list(&self.folder)?.first() {
            Some(segment) => Ok(segment.first),
            None => Ok(Seq(self.progress.as_ref().map_or(1, |it| it.durable.load(Ordering::Acquire) + 1))),
        }
    }

    /// Batches from `from` on, which may lie within one. Positions 0 and 1 are the beginning.
    /// Fails with [`StoreError::NotRetained`] when `from` is gone.
    pub fn batches(&self, from: Seq) -> Result<Batches, StoreError> {
        let next = from.max(Seq(1));
        if next < self.first_seq()? {
            return Err(StoreError::NotRetained(next));
        }
        Ok(Batches {
            folder: self.folder.clone(),
            progress: self.progress.clone(),
            next,
            source: Source::Between(None),
            ahead: None,
            spare: Vec::new(),
        })
    }

    /// Single records from `from` on; see [`LogReader::batches`].
    pub fn records(&self, from: Seq) -> Result<Records, StoreError> {
        Ok(Records { batches: self.batches(from)?, head: None, evidence: Vec::new().into_iter() })
    }
}

/// Batches of the log in `seq` order, up to the last that was durable when it was reached.
///
/// A lost range gives one [`StoreError::Corrupt`] that names it; what follows the range comes next.
#[derive(Debug)]
pub struct Batches {
    folder: PathBuf,
    progress: Option<Arc<Progress>>,
    /// The position that must come next.
    next: Seq,
    source: Source,
    /// A batch that waits behind the report of a gap before it.
    ahead: Option<(BatchHead, Vec<Evidence>)>,
    spare: Vec<Evidence>,
}

#[derive(Debug)]
enum Source {
    /// Between files; after the one that begins at the given position.
    Between(Option<Seq>),
    Frames {
        segment: Segment,
        scan: FrameScan<File>,
        /// Offset behind the last frame that was read.
        end: u64,
        /// Whether the scan has been sent there again since: what it read ahead may be room in which
        /// frames were written later.
        again: bool,
        /// Where the next file begins: frames from there on were taken back and written anew.
        limit: Option<Seq>,
    },
    Sealed {
        first: Seq,
        rows: SealedRows,
    },
    End,
}

/// What one step over a file gave.
enum Step {
    Batch(BatchHead),
    Again,
    FileEnds(Seq),
    End,
}

impl Batches {
    /// Puts the next batch's records into `out`, whose old content is dropped.
    pub fn next_into(&mut self, out: &mut Vec<Evidence>) -> Option<Result<BatchHead, StoreError>> {
        out.clear();
        if let Some((head, mut evidence)) = self.ahead.take() {
            std::mem::swap(out, &mut evidence);
            self.spare = evidence;
            self.next = Seq(head.first_seq.0 + out.len() as u64);
            return Some(Ok(head));
        }
        loop {
            let step = match self.step(out) {
                Ok(step) => step,
                Err(error) => return Some(Err(error)),
            };
            match step {
                Step::Again => {}
                Step::End => {
                    self.source = Source::End;
                    return None;
                }
                Step::FileEnds(first) => self.source = Source::Between(Some(first)),
                Step::Batch(head) => return Some(self.deliver(head, out)),
            }
        }
    }

    /// Hands a batch out, or first the gap before it.
    fn deliver(&mut self, head: BatchHead, out: &mut Vec<Evidence>) -> Result<BatchHead, StoreError> {
        let mut head = head;
        if head.first_seq < self.next {
            out.drain(..(self.next.0 - head.first_seq.0) as usize);
            head.first_seq = self.next;
        }
        if head.first_seq > self.next {
            let gap = lost(self.next, Seq(head.first_seq.0 - 1));
            let mut evidence = std::mem::take(&mut self.spare);
            std::mem::swap(out, &mut evidence);
            self.next = head.first_seq;
            self.ahead = Some((head, evidence));
            return Err(gap);
        }
        self.next = Seq(head.first_seq.0 + out.len() as u64);
        Ok(head)
    }

    fn step(&mut self, out: &mut Vec<Evidence>) -> Result<Step, StoreError> {
        let durable = self.progress.as_ref().map_or(u64::MAX, |it| it.durable.load(Ordering::Acquire));
        match &mut self.source {
            Source::End => Ok(Step::End),
            Source::Between(after) => {
                let after = *after;
                self.open_next(after, durable)
            }
            Source::Sealed { first, rows } => match rows.next_batch(out) {
                Some(head) if out_last(head, out) < self.next => Ok(Step::Again),
                Some(head) => Ok(Step::Batch(head)),
                None => Ok(Step::FileEnds(*first)),
            },
            Source::Frames { segment, scan, end, again, limit } => match scan.next_frame() {
                Ok(Some(Scanned::Frame { header, payload, end: behind })) => {
                    (*end, *again) = (behind, false);
                    let superseded = limit.is_some_and(|limit| header.first_seq >= limit);
                    if superseded || header.content != Content::Evidence || header.last_seq() < self.next {
                        return Ok(Step::Again);
                    }
                    if header.first_seq.0 > durable {
                        return Ok(Step::End);
                    }
                    out.clear();
                    if let Err(error) = wire::decode(payload, header.count, out) {
                        out.clear();
                        self.next = header.last_seq().next();
                        let what = format!(
                            "records {} to {} cannot be read: {error}; written by a later version?",
                            header.first_seq,
                            header.last_seq()
                        );
                        return Err(StoreError::Corrupt(what));
                    }
                    Ok(Step::Batch(BatchHead {
                        first_seq: header.first_seq,
                        received_at: header.received_at,
                    }))
                }
                // What it cost is seen by the position of the next frame.
                Ok(Some(Scanned::Damage { .. })) => Ok(Step::Again),
                Ok(Some(Scanned::Tail { .. }) | None) if *again => Ok(Step::FileEnds(segment.first)),
                Ok(Some(Scanned::Tail { .. }) | None) => {
                    *again = true;
                    let sent = scan.again_from(*end).map_err(|error| store_error(&segment.path, &error));
                    sent.map(|()| Step::Again)
                }
                Err(error) => {
                    // What the medium does not give must not stop what comes after it.
                    let error = store_error(&segment.path, &error);
                    self.source = Source::Between(Some(segment.first));
                    Err(error)
                }
            },
        }
    }

    /// Opens the file that holds the next position, or the first one after it.
    fn open_next(&mut self, after: Option<Seq>, durable: u64) -> Result<Step, StoreError> {
        if self.next.0 > durable {
            return Ok(Step::End);
        }
        let segments = match segment::list(&self.folder) {
            Ok(segments) => segments,
            Err(error) => {
                self.source = Source::End;
                return Err(error);
            }
        };
        let at = match after {
            Some(after) => segments.iter().position(|segment| segment.first > after),
            None => {
                let behind = segments.partition_point(|segment| segment.first <= self.next);
                (!segments.is_empty()).then(|| behind.saturating_sub(1))
            }
        };
        let Some(at) = at else { return Ok(Step::End) };
        let segment = segments[at].clone();
        if segment.first > self.next {
            let gap = lost(self.next, Seq(segment.first.0 - 1));
            self.next = segment.first;
            return Err(gap);
        }
        if segment.last.is_some_and(|last| last < self.next) {
            self.source = Source::Between(Some(segment.first));
            return Ok(Step::Again);
        }
        if segment.is_sealed() {
            match sealed::read(&segment.path) {
                Ok(rows) => self.source = Source::Sealed { first: segment.first, rows },
                Err(error) => {
                    self.source = Source::Between(Some(segment.first));
                    let from = self.next.max(segment.first);
                    let last = segment.last.unwrap_or(from);
                    self.next = last.next();
                    let gap = format!("records {from} to {last} are lost: {error}");
                    return Err(StoreError::Corrupt(gap));
                }
            }
            return Ok(Step::Again);
        }
        match File::open(&segment.path) {
            Ok(file) => {
                let limit = segments.get(at + 1).map(|next| next.first);
                let scan = FrameScan::new(file);
                self.source = Source::Frames { segment, scan, end: 0, again: false, limit };
            }
            // It was sealed after it was listed; the next look finds it in its other form.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.source = Source::Between(Some(segment.first));
                return Err(store_error(&segment.path, &error));
            }
        }
        Ok(Step::Again)
    }
}

impl Iterator for Batches {
    type Item = Result<(BatchHead, Vec<Evidence>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut evidence = Vec::new();
        let head = self.next_into(&mut evidence)?;
        Some(head.map(|head| (head, evidence)))
    }
}

/// Single records of the log in `seq` order; see [`Batches`].
#[derive(Debug)]
pub struct Records {
    batches: Batches,
    head: Option<BatchHead>,
    evidence: std::vec::IntoIter<Evidence>,
}

impl Iterator for Records {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let (Some(head), Some(evidence)) = (&mut self.head, self.evidence.next()) {
                let record = Record { seq: head.first_seq, received_at: head.received_at, evidence };
                head.first_seq = head.first_seq.next();
                return Some(Ok(record));
            }
            match self.batches.next()? {
                Ok((head, evidence)) => {
                    self.head = Some(head);
                    self.evidence = evidence.into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn out_last(head: BatchHead, out: &[Evidence]) -> Seq {
    Seq((head.first_seq.0 + out.len() as u64).saturating_sub(1))
}

fn lost(from: Seq, to: Seq) -> StoreError {
    StoreError::Corrupt(format!("records {from} to {to} are lost"))
}
