//! The records of a sealed segment, brought back into the order of the log.

use std::collections::BTreeMap;

use brownout_core::model::{Evidence, Seq, UtcTime};

use super::reader::BatchHead;
use super::rows::Row;
use super::sealed::Summary;
use super::wire;

/// The most records that are handed out at once.
const BATCH_ROWS: usize = 4096;
/// Room for nearly every record; a line of the processor's cache.
const CELL_BYTES: usize = 64;
/// The most positions that a sealed segment may span: more than frames of one segment can hold.
const POSITIONS_MAX: u64 = 1 << 27;

/// The records of a sealed segment in `seq` order.
///
/// They come sorted by key. Each is put at its own place, in the form that it has in a frame: that
/// is faster than sorting them, and smaller than they are in memory.
#[derive(Debug)]
pub(crate) struct SealedRows {
    first: Seq,
    /// A cell of [`CELL_BYTES`] per position, from `offset` on; one that begins with 0 is empty.
    cells: Vec<u8>,
    /// Where cells lie on lines of the processor's cache.
    offset: usize,
    /// In milliseconds, as numbers so that memory for them is only taken when it is written.
    received_at: Vec<i64>,
    /// Records that are longer than a cell, by position.
    long: BTreeMap<usize, Vec<u8>>,
    next: usize,
}

impl SealedRows {
    /// Room for what a sealed file states; `None` when no file can hold that.
    pub(super) fn with_room(stated: &Summary) -> Option<Self> {
        let positions = stated.last.0.checked_sub(stated.first.0)?.checked_add(1)?;
        let positions = usize::try_from(positions).ok().filter(|_| positions <= POSITIONS_MAX)?;
        let cells = vec![0; (positions + 1) * CELL_BYTES];
        let offset = cells.as_ptr().align_offset(CELL_BYTES).min(CELL_BYTES);
        Some(SealedRows {
            first: stated.first,
            cells,
            offset,
            received_at: vec![0; positions],
            long: BTreeMap::new(),
            next: 0,
        })
    }

    /// Puts a record, encoded in `bytes`, at its place. One outside what was stated is left out; the
    /// sum over all rows tells of it.
    pub(super) fn put(&mut self, row: &Row, bytes: &[u8]) {
        let Some(at) = row.seq.0.checked_sub(self.first.0).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        let Some(received_at) = self.received_at.get_mut(at) else { return };
        *received_at = row.received_at.millis();
        let from = self.offset + at * CELL_BYTES;
        match self.cells.get_mut(from..from + bytes.len()) {
            Some(cell) if bytes.len() <= CELL_BYTES => cell.copy_from_slice(bytes),
            _ => drop(self.long.insert(at, bytes.to_vec())),
        }
    }

    /// The bytes of the record at a position, if there is one.
    fn bytes(&self, at: usize) -> Option<&[u8]> {
        let from = self.offset + at * CELL_BYTES;
        let cell = self.cells.get(from..from + CELL_BYTES).filter(|cell| cell[0] != 0);
        cell.or_else(|| self.long.get(&at).map(Vec::as_slice))
    }

    /// Fills `out` with records that have no gap between them and one time.
    pub(crate) fn next_batch(&mut self, out: &mut Vec<Evidence>) -> Option<BatchHead> {
        out.clear();
        while self.next < self.received_at.len() && self.bytes(self.next).is_none() {
            self.next += 1;
        }
        let received_at = *self.received_at.get(self.next)?;
        let first_seq = Seq(self.first.0 + self.next as u64);
        let head = BatchHead { first_seq, received_at: UtcTime::from_millis(received_at) };
        while out.len() < BATCH_ROWS && self.received_at.get(self.next) == Some(&received_at) {
            let evidence = self.bytes(self.next).and_then(|bytes| wire::decode_first(bytes).ok());
            self.next += 1;
            // An empty place is a gap, which the position of the next record tells.
            let Some(evidence) = evidence else { break };
            out.push(evidence);
        }
        Some(head)
    }
}
