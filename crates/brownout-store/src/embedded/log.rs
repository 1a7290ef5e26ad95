//! The writer of the evidence log.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brownout_core::model::{Evidence, Record, Seq, UtcTime};

use crate::counters::Counters;
use crate::port::{Appended, EvidenceLog, StoreError};

use super::file::{At, store_error, sync_folder};
use super::folder::FolderLock;
use super::frame::{EncodedBatch, FrameScan, HEADER_BYTES, Scanned};
use super::reader::LogReader;
use super::segment::{self, Segment};

/// When a segment is closed, to be sealed.
#[derive(Clone, Copy, Debug)]
pub struct Rolling {
    /// From this size in bytes on. Default 64 MiB.
    pub segment_bytes: u64,
    /// From this age of its first record on, in seconds. Default a day.
    pub segment_age_seconds: u32,
}

impl Default for Rolling {
    fn default() -> Self {
        Rolling { segment_bytes: 64 << 20, segment_age_seconds: 86_400 }
    }
}

/// Room that is made behind the frames of a segment, in bytes. Flushing into room that is there
/// takes half the time of flushing a file that grows, whose new length has to be kept too.
const ROOM_BYTES: u64 = 256 << 10;
/// From this length on an append is as well off without.
const LARGE_BYTES: usize = 16 << 10;

/// What the log's parts on other threads may know of the writer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last durable position. Readers never go beyond.
    pub(crate) durable: AtomicU64,
    /// Segments that begin before this are closed and will not change.
    pub(crate) active_first: AtomicU64,
}

/// The evidence log in a folder. There is one writer; [`LogReader`]s may read meanwhile.
#[derive(Debug)]
pub struct EmbeddedLog {
    folder: PathBuf,
    rolling: Rolling,
    active: Option<Active>,
    /// A file whose end could not be cut back after a failed write; tried again before the next.
    to_cut: Option<(PathBuf, u64)>,
    last_seq: Seq,
    last_received_at: Option<UtcTime>,
    progress: Arc<Progress>,
    counters: Arc<Counters>,
    _lock: Option<Arc<FolderLock>>,
    buffer: Vec<u8>,
    #[cfg(test)]
    pub(crate) fail_next: Option<Fail>,
}

/// A failure that a test asks for.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fail {
    Write(std::io::ErrorKind),
    Sync(std::io::ErrorKind),
}

#[derive(Debug)]
struct Active {
    path: PathBuf,
    file: File,
    /// Bytes that are durable. Nothing beyond is ever taken for kept.
    bytes: u64,
    /// Length of the file. What lies behind the frames is zeros.
    length: u64,
    first_received_at: Option<UtcTime>,
}

impl Active {
    /// Makes room behind `end`, where the file's cursor is; `length_max` is the most there may be. A
    /// medium without it is no reason not to append.
    fn make_room(&mut self, end: u64, length_max: u64) -> std::io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let to = (end.next_multiple_of(ROOM_BYTES)).min(length_max);
        while self.length < to {
            let part = (to - self.length).min(ZEROS.len() as u64) as usize;
            if self.file.write_all(&ZEROS[..part]).is_err() {
                self.file.set_len(end)?;
                self.length = end;
                break;
            }
            self.length += part as u64;
        }
        self.file.seek(SeekFrom::Start(end)).map(drop)
    }

    /// Gives back the room that is left, so that what is closed is frames and nothing else.
    fn close(&self) {
        if self.length > self.bytes {
            // Zeros behind the frames are no harm.
            let _ = self.file.set_len(self.bytes);
        }
    }
}

/// How far an append got before it failed.
enum Failed {
    Writing(std::io::Error),
    Syncing(std::io::Error),
}

impl EmbeddedLog {
    /// Opens the log in `folder` and recovers: an interrupted write at the end is cut off.
    /// Positions up to `floor` are taken as given even if their records are lost.
    pub(crate) fn open(
        folder: &Path,
        rolling: Rolling,
        floor: Seq,
        counters: Arc<Counters>,
        lock: Option<Arc<FolderLock>>,
    ) -> Result<Self, StoreError> {
        let segments = segment::list(folder)?;
        let mut log = EmbeddedLog {
            folder: folder.to_owned(),
            rolling,
            active: None,
            to_cut: None,
            last_seq: Seq(0),
            last_received_at: None,
            progress: Arc::default(),
            counters,
            _lock: lock,
            buffer: Vec::new(),
            #[cfg(test)]
            fail_next: None,
        };
        log.counters.lost_records.add(lost_among(&segments));
        if let Some(newest) = segments.last() {
            log.last_seq = newest.last.unwrap_or(Seq(newest.first.0.saturating_sub(1)));
            if !newest.is_sealed() {
                log.recover(newest)?;
            }
        }
        log.last_received_at = match log.last_received_at {
            Some(at) => Some(at),
            None => last_time_before_end(&segments),
        };
        if log.last_seq < floor {
            // What was judged already stays judged: its numbers are never given again.
            log.counters.lost_records.add(floor.0 - log.last_seq.0);
            log.last_seq = floor;
            log.active = None;
        }
        log.progress.durable.store(log.last_seq.0, Ordering::Release);
        let active_first = log.active.as_ref().map_or(log.last_seq.next(), |_| {
            segments.last().map_or(log.last_seq.next(), |segment| segment.first)
        });
        log.progress.active_first.store(active_first.0, Ordering::Release);
        Ok(log)
    }

    /// Finds the end of the newest segment, cuts what is no frame behind it, and goes on with it.
    fn recover(&mut self, newest: &Segment) -> Result<(), StoreError> {
        let path = &newest.path;
        let mut file = OpenOptions::new().read(true).write(true).open(path).at(path)?;
        let mut scan = FrameScan::new(&file);
        let (mut end_of_frames, mut torn, mut first_received_at) = (0, 0, None);
        while let Some(scanned) = scan.next_frame().at(path)? {
            match scanned {
                Scanned::Frame { header, end, .. } => {
                    if header.first_seq > self.last_seq.next() {
                        self.counters.lost_records.add(header.first_seq.0 - self.last_seq.0 - 1);
                    }
                    self.last_seq = self.last_seq.max(header.last_seq());
                    self.last_received_at = self.last_received_at.max(Some(header.received_at));
                    first_received_at.get_or_insert(header.received_at);
                    end_of_frames = end;
                }
                Scanned::Damage { .. } => self.counters.corrupt_frames.add(1),
                Scanned::Tail { bytes, .. } => torn = bytes,
            }
        }
        self.counters.torn_bytes_cut.add(torn);
        if file.metadata().at(path)?.len() > end_of_frames {
            file.set_len(end_of_frames).and_then(|()| file.sync_all()).at(path)?;
        }
        file.seek(SeekFrom::Start(end_of_frames)).at(path)?;
        let (bytes, length) = (end_of_frames, end_of_frames);
        self.active = Some(Active { path: path.clone(), file, bytes, length, first_received_at });
        Ok(())
    }

    /// Appends batches that were encoded elsewhere, each with its own time; otherwise as
    /// [`EvidenceLog::append`]. A time before the one before it becomes that one.
    pub fn append_encoded(
        &mut self,
        batches: &mut [(UtcTime, EncodedBatch)],
    ) -> Result<Vec<Appended>, StoreError> {
        let mut received_at = self.last_received_at.unwrap_or(UtcTime::from_millis(i64::MIN));
        let mut next = self.last_seq.next();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut appended = Vec::with_capacity(batches.len());
        let mut frames = 0;
        for (now, batch) in batches {
            if *now < received_at {
                self.counters.clock_set_back.add(1);
            }
            received_at = received_at.max(*now);
            appended.push(Appended { first_seq: next, received_at });
            if batch.is_empty() {
                continue;
            }
            let Some(bytes) = batch.place(next, received_at) else {
                self.buffer = buffer;
                return Err(StoreError::Io("a batch was not summed before it was appended".to_owned()));
            };
            buffer.extend_from_slice(bytes);
            next = Seq(next.0 + batch.len() as u64);
            frames += 1;
        }
        let result = self.write(&buffer, received_at, Seq(next.0 - 1), frames);
        self.keep_buffer(buffer);
        result.map(|()| appended)
    }

    /// Closes the active segment, so that it can be sealed. The next append begins another.
    pub fn roll(&mut self) {
        if let Some(active) = self.active.take_if(|active| active.bytes > 0) {
            active.close();
            self.progress.active_first.store(self.last_seq.next().0, Ordering::Release);
        }
    }

    /// A reader of what is durable, for any thread.
    pub fn reader(&self) -> LogReader {
        LogReader::with_progress(&self.folder, self.progress.clone())
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// The time for the next records: never before the last one's.
    fn time_for(&mut self, now: UtcTime) -> UtcTime {
        match self.last_received_at {
            Some(last) if last > now => {
                self.counters.clock_set_back.add(1);
                last
            }
            _ => now,
        }
    }

    /// Writes whole frames and makes them durable, or keeps nothing of them.
    fn write(&mut self, frames: &[u8], at: UtcTime, last: Seq, count: u64) -> Result<(), StoreError> {
        if frames.is_empty() {
            return Ok(());
        }
        self.prepare_segment(at)?;
        match self.write_and_sync(frames) {
            Ok(()) => {}
            Err(failed) => return Err(self.take_back(failed)),
        }
        if let Some(active) = &mut self.active {
            active.bytes += frames.len() as u64;
            active.first_received_at.get_or_insert(at);
        }
        self.counters.appended_records.add(last.0 - self.last_seq.0);
        self.counters.appended_frames.add(count);
        self.counters.appended_bytes.add(frames.len() as u64);
        self.counters.fsyncs.add(1);
        self.last_seq = last;
        self.last_received_at = Some(at);
        self.progress.durable.store(last.0, Ordering::Release);
        Ok(())
    }

    fn write_and_sync(&mut self, frames: &[u8]) -> Result<(), Failed> {
        #[cfg(test)]
        let fail = self.fail_next.take();
        let Some(active) = &mut self.active else { return Ok(()) };
        #[cfg(test)]
        if let Some(Fail::Write(kind)) = fail {
            active.file.write_all(&frames[..frames.len() / 2]).map_err(Failed::Writing)?;
            return Err(Failed::Writing(kind.into()));
        }
        active.file.write_all(frames).map_err(Failed::Writing)?;
        let end = active.bytes + frames.len() as u64;
        if end > active.length {
            active.length = end;
            if frames.len() < LARGE_BYTES {
                active.make_room(end, self.rolling.segment_bytes).map_err(Failed::Writing)?;
            }
        }
        #[cfg(test)]
        if let Some(Fail::Sync(kind)) = fail {
            return Err(Failed::Syncing(kind.into()));
        }
        active.file.sync_data().map_err(Failed::Syncing)
    }

    /// Cuts the file back to what is durable. After a failed flush the pages of the file may say
    /// anything about the medium, so nothing more is written to it.
    fn take_back(&mut self, failed: Failed) -> StoreError {
        self.counters.failed_appends.add(1);
        let Some(active) = &mut self.active else { return StoreError::Io("no segment".to_owned()) };
        let (error, go_on) = match &failed {
            Failed::Writing(error) => (error, true),
            Failed::Syncing(error) => (error, false),
        };
        let error = store_error(&active.path, error);
        let cut = active.file.set_len(active.bytes).and_then(|()| active.file.seek(SeekFrom::End(0)));
        active.length = active.bytes;
        if cut.is_err() {
            self.to_cut = Some((active.path.clone(), active.bytes));
        }
        if cut.is_err() || !go_on {
            self.active = None;
        }
        error
    }

    /// Makes sure that there is a segment to write to, closing one that is large or old enough.
    fn prepare_segment(&mut self, at: UtcTime) -> Result<(), StoreError> {
        if let Some((path, bytes)) = &self.to_cut {
            let file = OpenOptions::new().write(true).open(path).at(path)?;
            file.set_len(*bytes).and_then(|()| file.sync_all()).at(path)?;
            self.to_cut = None;
        }
        if let Some(active) = &self.active {
            let age_limit = i64::from(self.rolling.segment_age_seconds) * 1000;
            let old = active.first_received_at.is_some_and(|first| at.millis_since(first) >= age_limit);
            if active.bytes == 0 || (active.bytes < self.rolling.segment_bytes && !old) {
                return Ok(());
            }
        }
        if let Some(active) = &self.active {
            active.close();
        }
        let first = self.last_seq.next();
        let path = segment::open_path(&self.folder, first);
        // A file of this name holds nothing that is durable: an append into it failed.
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path).at(&path)?;
        sync_folder(&self.folder)?;
        self.active = Some(Active { path, file, bytes: 0, length: 0, first_received_at: None });
        self.progress.active_first.store(first.0, Ordering::Release);
        Ok(())
    }

    fn keep_buffer(&mut self, buffer: Vec<u8>) {
        // One large catalogue must not hold its memory for ever.
        self.buffer = if buffer.capacity() > 16 << 20 { Vec::new() } else { buffer };
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        if let Some(active) = &self.active {
            active.close();
        }
    }
}

impl EvidenceLog for EmbeddedLog {
    fn append(&mut self, now: UtcTime, batches: &[Vec<Evidence>]) -> Result<Vec<Appended>, StoreError> {
        let received_at = self.time_for(now);
        let mut next = self.last_seq.next();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut appended = Vec::with_capacity(batches.len());
        let mut frames = 0;
        for batch in batches {
            appended.push(Appended { first_seq: next, received_at });
            if batch.is_empty() {
                continue;
            }
            if let Err(error) = encode_frame(batch, next, received_at, &mut buffer) {
                self.buffer = buffer;
                return Err(error);
            }
            next = Seq(next.0 + batch.len() as u64);
            frames += 1;
        }
        let result = self.write(&buffer, received_at, Seq(next.0 - 1), frames);
        self.keep_buffer(buffer);
        result.map(|()| appended)
    }

    fn read(
        &self,
        from: Seq,
    ) -> Result<Box<dyn Iterator<Item = Result<Record, StoreError>> + '_>, StoreError> {
        Ok(Box::new(self.reader().records(from)?))
    }

    fn last_seq(&self) -> Seq {
        self.last_seq
    }

    fn last_received_at(&self) -> Option<UtcTime> {
        self.last_received_at
    }

    fn first_seq(&self) -> Seq {
        self.reader().first_seq().unwrap_or(self.last_seq.next())
    }
}

/// Encodes a batch in place, behind room for its header.
fn encode_frame(batch: &[Evidence], first: Seq, at: UtcTime, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    for evidence in batch {
        super::wire::encode(evidence, out).map_err(|error| StoreError::Io(error.to_string()))?;
    }
    let count = u32::try_from(batch.len()).map_err(|_| StoreError::Io("the batch is too long".to_owned()))?;
    let (head, payload) = out[start..].split_at_mut(HEADER_BYTES);
    let header = super::frame::Header::of(super::frame::Content::Evidence, first, at, count, payload)
        .ok_or_else(|| StoreError::Io("the batch is too long".to_owned()))?;
    head.copy_from_slice(&header.to_bytes());
    Ok(())
}

/// Records of sealed segments that are gone or say nothing of themselves. Damage within one is found
/// when it is read.
fn lost_among(segments: &[Segment]) -> u64 {
    let next = |segment: &Segment| segment.last.map(Seq::next);
    let gap = |pair: &[Segment]| Some(pair[1].first.0.saturating_sub(next(&pair[0])?.0));
    let gone: u64 = segments.windows(2).filter_map(gap).sum();
    let unreadable = segments.iter().filter_map(|segment| {
        let records = next(segment)?.0.saturating_sub(segment.first.0);
        super::sealed::last_received_at(&segment.path).is_err().then_some(records)
    });
    gone + unreadable.sum::<u64>()
}

/// The time of the last record in files that are closed; damaged files are passed over.
fn last_time_before_end(segments: &[Segment]) -> Option<UtcTime> {
    segments.iter().rev().find_map(|segment| {
        if segment.is_sealed() {
            return super::sealed::last_received_at(&segment.path).ok();
        }
        let mut scan = FrameScan::new(File::open(&segment.path).ok()?);
        let mut last = None;
        while let Ok(Some(scanned)) = scan.next_frame() {
            if let Scanned::Frame { header, .. } = scanned {
                last = last.max(Some(header.received_at));
            }
        }
        last
    })
}

/// Removes temporary files that an interrupted run left.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).at(folder)? {
        let path = entry.at(folder)?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

/// Removes the sealed form of segments whose frames are still there: the sealing was interrupted,
/// and the frames may yet grow when theirs is the newest segment.
pub(crate) fn remove_half_sealed(folder: &Path) -> Result<(), StoreError> {
    let open: Vec<Segment> = segment::list(folder)?.into_iter().filter(|it| !it.is_sealed()).collect();
    for entry in fs::read_dir(folder).at(folder)? {
        let Some(found) = Segment::parse(entry.at(folder)?.path()) else { continue };
        if found.is_sealed() && open.iter().any(|segment| segment.first == found.first) {
            fs::remove_file(&found.path).at(&found.path)?;
        }
    }
    Ok(())
}
