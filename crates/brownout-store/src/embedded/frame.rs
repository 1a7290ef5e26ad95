//! Frames: one batch each, so that a batch is kept whole or not at all.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `BRN1` |
//! | 4..8 | CRC-32C of bytes 8..40 |
//! | 8..12 | CRC-32C of the payload |
//! | 12..16 | length of the payload |
//! | 16..24 | `seq` of the first record |
//! | 24..32 | `received_at`, milliseconds since 1970 |
//! | 32..36 | number of records |
//! | 36..40 | what the payload is |
//! | 40.. | payload |
//!
//! There are two sums so that the writer can give a batch its place in the order, which it alone
//! knows, without reading the payload again.

use std::io::{self, Read, Seek, SeekFrom};

use brownout_core::model::{Evidence, Report, Seq, UtcTime};

use super::wire::{self, WireError};

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 40;
/// The longest payload: more than a catalogue of the largest size needs.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;

const MAGIC: [u8; 4] = *b"BRN1";
const READ_BYTES: usize = 1 << 20;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Content {
    /// Records of the evidence log.
    Evidence = 1,
    /// Published verdicts, one JSON object a line.
    Verdicts = 2,
    /// Comments to reports, one JSON object a line.
    Comments = 3,
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is.
    pub content: Content,
    /// Position of the first record.
    pub first_seq: Seq,
    /// When the batch was taken.
    pub received_at: UtcTime,
    /// How many records there are.
    pub count: u32,
    payload_bytes: u32,
    payload_crc: u32,
}

impl Header {
    /// Of a payload that begins at `first_seq`. `None` when it is over [`PAYLOAD_BYTES_MAX`].
    pub fn of(
        content: Content,
        first_seq: Seq,
        received_at: UtcTime,
        count: u32,
        payload: &[u8],
    ) -> Option<Self> {
        let payload_bytes = u32::try_from(payload.len()).ok()?;
        let payload_crc = crc32c::crc32c(payload);
        let fits = payload.len() <= PAYLOAD_BYTES_MAX;
        fits.then_some(Header { content, first_seq, received_at, count, payload_bytes, payload_crc })
    }

    /// As bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.received_at.millis().to_le_bytes());
        bytes[32..36].copy_from_slice(&self.count.to_le_bytes());
        bytes[36..40].copy_from_slice(&(self.content as u32).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// From bytes that check.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if bytes[0..4] != MAGIC || word(4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let content = match word(36) {
            1 => Content::Evidence,
            2 => Content::Verdicts,
            3 => Content::Comments,
            _ => return None,
        };
        let header = Header {
            content,
            first_seq: Seq(long(16)),
            received_at: UtcTime::from_millis(long(24) as i64),
            count: word(32),
            payload_bytes: word(12),
            payload_crc: word(8),
        };
        let in_range = header.payload_bytes as usize <= PAYLOAD_BYTES_MAX
            && header.first_seq.0.checked_add(u64::from(header.count)).is_some();
        in_range.then_some(header)
    }

    /// Position of the last record; the one before the first when there is none.
    pub fn last_seq(&self) -> Seq {
        Seq((self.first_seq.0 + u64::from(self.count)).saturating_sub(1))
    }

    /// Bytes of the whole frame.
    pub fn frame_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes as usize
    }
}

/// Appends a whole frame. `None`, and nothing is appended, when the payload is too long.
pub fn push_frame(
    content: Content,
    first_seq: Seq,
    received_at: UtcTime,
    count: u32,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let header = Header::of(content, first_seq, received_at, count, payload)?;
    out.extend_from_slice(&header.to_bytes());
    out.extend_from_slice(payload);
    Some(())
}

/// A batch on its way to the log: encoded and summed on the thread that took it, so that the one
/// writer has next to nothing to do.
#[derive(Clone, Debug)]
pub struct EncodedBatch {
    /// Room for the header, then the payload.
    bytes: Vec<u8>,
    count: u32,
}

impl EncodedBatch {
    /// An empty batch with room for as many reports.
    pub fn with_capacity(reports: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + reports * wire::REPORT_BYTES);
        bytes.resize(HEADER_BYTES, 0);
        EncodedBatch { bytes, count: 0 }
    }

    /// Encodes a whole batch. Fails for what has no form on disk.
    pub fn encode(batch: &[Evidence]) -> Result<Self, WireError> {
        let mut encoded = EncodedBatch::with_capacity(batch.len());
        for evidence in batch {
            encoded.push(evidence)?;
        }
        encoded.sum()?;
        Ok(encoded)
    }

    /// Adds a record. Call [`EncodedBatch::sum`] after the last one.
    pub fn push(&mut self, evidence: &Evidence) -> Result<(), WireError> {
        wire::encode(evidence, &mut self.bytes)?;
        self.count += 1;
        Ok(())
    }

    /// Adds a report, without an [`Evidence`] around it.
    pub fn push_report(&mut self, report: &Report) {
        wire::encode_report(report, &mut self.bytes);
        self.count += 1;
    }

    /// Sums the payload. A batch that was not summed since the last record cannot be appended.
    pub fn sum(&mut self) -> Result<(), WireError> {
        let (head, payload) = self.bytes.split_at_mut(HEADER_BYTES);
        let header = Header::of(Content::Evidence, Seq(0), UtcTime::default(), self.count, payload)
            .ok_or(WireError("the batch is too long"))?;
        head.copy_from_slice(&header.to_bytes());
        Ok(())
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records, for whoever works on them after they are durable.
    pub fn decode(&self) -> Result<Vec<Evidence>, WireError> {
        let mut out = Vec::new();
        wire::decode(&self.bytes[HEADER_BYTES..], self.count, &mut out)?;
        Ok(out)
    }

    /// Gives the batch its place in the order. `None` when it was not summed.
    pub(crate) fn place(&mut self, first_seq: Seq, received_at: UtcTime) -> Option<&[u8]> {
        let mut header = Header::parse(&self.bytes)?;
        if header.count != self.count || header.frame_bytes() != self.bytes.len() {
            return None;
        }
        header.first_seq = first_seq;
        header.received_at = received_at;
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        Some(&self.bytes)
    }
}

/// What lies next in a file of frames.
#[derive(Debug)]
pub enum Scanned<'a> {
    /// A frame that checks.
    Frame {
        /// Its header.
        header: Header,
        /// Its payload.
        payload: &'a [u8],
        /// First byte after it in the file.
        end: u64,
    },
    /// Bytes that are no frame, with a frame after them.
    Damage {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
    /// Bytes that are no frame up to the end of the file: an interrupted write, or damage. Zeros at
    /// the very end are room that was made for frames, and do not count.
    Tail {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
}

/// Walks over the frames of a file, whatever its bytes are, in bounded memory.
#[derive(Debug)]
pub struct FrameScan<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    /// Offset in the file of the first byte of the buffer.
    base: u64,
    /// Offset behind the last byte that was passed over and is not zero.
    blank_from: u64,
    at_end: bool,
}

impl<R: Read> FrameScan<R> {
    /// From the beginning of `source`.
    pub fn new(source: R) -> Self {
        FrameScan { source, buffer: Vec::new(), start: 0, filled: 0, base: 0, blank_from: 0, at_end: false }
    }

    /// What lies next; `None` at the end. Fails only when `source` cannot be read.
    pub fn next_frame(&mut self) -> io::Result<Option<Scanned<'_>>> {
        let offset = self.base + self.start as u64;
        if let Some(header) = self.frame_here()? {
            let from = self.start + HEADER_BYTES;
            self.start += header.frame_bytes();
            let end = self.base + self.start as u64;
            return Ok(Some(Scanned::Frame { header, payload: &self.buffer[from..self.start], end }));
        }
        while self.seek_magic()? {
            if self.frame_here()?.is_some() {
                let bytes = self.base + self.start as u64 - offset;
                return Ok(Some(Scanned::Damage { offset, bytes }));
            }
        }
        let bytes = self.blank_from.saturating_sub(offset);
        Ok((bytes > 0).then_some(Scanned::Tail { offset, bytes }))
    }

    fn frame_here(&mut self) -> io::Result<Option<Header>> {
        if !self.fill(HEADER_BYTES)? {
            return Ok(None);
        }
        let Some(header) = Header::parse(&self.buffer[self.start..self.filled]) else { return Ok(None) };
        if !self.fill(header.frame_bytes())? {
            return Ok(None);
        }
        let payload = &self.buffer[self.start + HEADER_BYTES..self.start + header.frame_bytes()];
        Ok((crc32c::crc32c(payload) == header.payload_crc).then_some(header))
    }

    /// Moves on to the next place after this one where a frame could begin. False at the end.
    fn seek_magic(&mut self) -> io::Result<bool> {
        self.pass((self.start + 1).min(self.filled));
        loop {
            let rest = &self.buffer[self.start..self.filled];
            if let Some(at) = rest.windows(MAGIC.len()).position(|window| window == MAGIC) {
                self.pass(self.start + at);
                return Ok(true);
            }
            // The last three bytes may be the beginning of the four.
            self.pass(self.start + rest.len().saturating_sub(MAGIC.len() - 1));
            if !self.fill(MAGIC.len())? {
                self.pass(self.filled);
                return Ok(false);
            }
        }
    }

    /// Passes over bytes that are no frame.
    fn pass(&mut self, to: usize) {
        if let Some(last) = self.buffer[self.start..to].iter().rposition(|byte| *byte != 0) {
            self.blank_from = self.base + (self.start + last) as u64 + 1;
        }
        self.start = to;
    }

    /// Makes `need` bytes available from `start`. False when the file ends before.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        while self.filled - self.start < need {
            if self.at_end {
                return Ok(false);
            }
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.filled, 0);
                self.base += self.start as u64;
                self.filled -= self.start;
                self.start = 0;
            }
            let room = need.max(READ_BYTES);
            if self.buffer.len() < room {
                self.buffer.resize(room, 0);
            }
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.at_end = true,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl<R: Read + Seek> FrameScan<R> {
    /// Goes on at `offset`, which is an end of a frame, with what the source holds by now.
    pub(crate) fn again_from(&mut self, offset: u64) -> io::Result<()> {
        self.source.seek(SeekFrom::Start(offset))?;
        (self.start, self.filled, self.base, self.blank_from, self.at_end) = (0, 0, offset, 0, false);
        Ok(())
    }
}
