//! The records of a sealed segment, brought back into the order of the log.

use brownout_core::model::{Evidence, Seq, UtcTime};

use super::reader::BatchHead;
use super::rows::Row;
use super::sealed::Summary;
use super::wire;

/// The most records that are handed out at once.
const BATCH_ROWS: usize = 4096;
/// The most positions that a sealed segment may span: more than frames of one segment can hold.
const POSITIONS_MAX: u64 = 1 << 27;
/// How many records are fetched from memory together, where one after the other each would wait.
const FETCHED_AHEAD: usize = 32;
/// How many records may wait for being put at their positions.
const PENDING_MAX: usize = 4096;
/// Bytes of a position.
const POSITION_BYTES: usize = 8;
/// Bytes of a time.
const TIME_BYTES: usize = 8;

/// The records of a sealed segment in `seq` order.
///
/// They come sorted by key. They are kept in the order in which they come, in the form that they
/// have in a frame, and only where they lie is put in order: that is faster than sorting them, and
/// smaller than they are in memory.
#[derive(Debug)]
pub(crate) struct SealedRows {
    first: Seq,
    /// Of each record its time in milliseconds, then itself.
    bytes: Vec<u8>,
    /// Where the record of each position lies, plus one; 0 for none.
    places: Vec<u32>,
    /// Positions and places that are still to be put there: all over memory, and so best together.
    pending: Vec<(u32, u32)>,
    next: usize,
}

impl SealedRows {
    /// Room for what a sealed file states; `None` when no file can hold that.
    pub(super) fn with_room(stated: &Summary) -> Option<Self> {
        let positions = stated.last.0.checked_sub(stated.first.0)?.checked_add(1)?;
        let positions = usize::try_from(positions).ok().filter(|_| positions <= POSITIONS_MAX)?;
        // A file that states more than it has takes no memory for it, which is only mapped.
        let records = usize::try_from(stated.count).ok()?.min(positions);
        let bytes = Vec::with_capacity(records * (TIME_BYTES + wire::REPORT_BYTES));
        let (places, pending) = (vec![0; positions], Vec::with_capacity(PENDING_MAX));
        Some(SealedRows { first: stated.first, bytes, places, pending, next: 0 })
    }

    /// Puts a row, encoded in `bytes` with position and time before the record, at its place. `None` when
    /// it has none there, or when there are more bytes than a segment can have.
    pub(super) fn put(&mut self, row: &Row, bytes: &[u8]) -> Option<()> {
        let at = row.seq.0.checked_sub(self.first.0).filter(|at| *at < self.places.len() as u64)?;
        let place = u32::try_from(self.bytes.len() + 1).ok()?;
        if self.pending.len() == PENDING_MAX {
            self.settle();
        }
        self.pending.push((u32::try_from(at).ok()?, place));
        self.bytes.extend_from_slice(bytes.get(POSITION_BYTES..)?);
        Some(())
    }

    /// To be called after the last record was put.
    pub(super) fn settle(&mut self) {
        for (at, place) in self.pending.drain(..) {
            if let Some(there) = self.places.get_mut(at as usize) {
                *there = place;
            }
        }
    }

    /// Time and bytes of the record at a position, and of those behind it; `None` for a gap.
    fn record(&self, at: usize) -> Option<(i64, &[u8])> {
        let place = self.places.get(at)?.checked_sub(1)?;
        let (time, record) = self.bytes.get(place as usize..)?.split_first_chunk::<TIME_BYTES>()?;
        Some((i64::from_le_bytes(*time), record))
    }

    /// Reads what the next records begin with, so that all of it is at hand then.
    fn fetch(&self) {
        let next = self.places.iter().skip(self.next).take(FETCHED_AHEAD);
        let first = |place: &u32| self.bytes.get(*place as usize + TIME_BYTES).copied().unwrap_or(0);
        std::hint::black_box(next.map(|place| u32::from(first(place))).sum::<u32>());
    }

    /// Fills `out` with records that have no gap between them and one time.
    pub(crate) fn next_batch(&mut self, out: &mut Vec<Evidence>) -> Option<BatchHead> {
        out.clear();
        while self.places.get(self.next) == Some(&0) {
            self.next += 1;
        }
        let (received_at, _) = self.record(self.next)?;
        let first_seq = Seq(self.first.0 + self.next as u64);
        let head = BatchHead { first_seq, received_at: UtcTime::from_millis(received_at) };
        while out.len() < BATCH_ROWS {
            if out.len().is_multiple_of(FETCHED_AHEAD) {
                self.fetch();
            }
            // An empty place is a gap, which the position of the next record tells.
            let record = self.record(self.next).filter(|(time, _)| *time == received_at);
            let Some(evidence) = record.map(|(_, bytes)| wire::decode_first(bytes)) else { break };
            self.next += 1;
            let Ok(evidence) = evidence else { break };
            out.push(evidence);
        }
        Some(head)
    }
}
