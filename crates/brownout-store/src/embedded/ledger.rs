//! The ledger of published verdicts: append-only, durable before a verdict counts as published.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use brownout_core::model::{Seq, UtcTime};
use brownout_core::verdict::Verdict;

use crate::counters::Counters;
use crate::port::StoreError;

use super::frame::{Content, push_frame};
use super::framed::{FramedFile, Survey, survey};

/// The one file of the ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: FramedFile,
    last_seq: Seq,
    counters: Arc<Counters>,
}

pub(crate) fn path_in(folder: &Path) -> PathBuf {
    folder.join("verdicts.led")
}

impl Ledger {
    pub(crate) fn open(folder: &Path, counters: Arc<Counters>) -> Result<Self, StoreError> {
        let path = path_in(folder);
        let file = FramedFile::open(&path, &counters)?;
        let mut last_seq = Seq(0);
        survey(&path, |header, _| last_seq = last_seq.max(header.first_seq))?;
        Ok(Ledger { file, last_seq, counters })
    }

    /// The position of the last entry.
    pub(crate) fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// Adds what was published at `seq`; nothing when that is there already.
    pub(crate) fn append(&mut self, seq: Seq, verdicts: &[Arc<Verdict>]) -> Result<(), StoreError> {
        let Some(first) = verdicts.first() else { return Ok(()) };
        if seq <= self.last_seq {
            return Ok(());
        }
        let mut payload = Vec::new();
        for verdict in verdicts {
            payload.extend_from_slice(super::json::verdict(verdict)?.as_bytes());
            payload.push(b'\n');
        }
        let count = verdicts.len() as u32;
        let mut frame = Vec::new();
        push_frame(Content::Verdicts, seq, first.as_of, count, &payload, &mut frame)
            .ok_or_else(|| StoreError::Io("too many verdicts at once".to_owned()))?;
        self.file.append(&frame)?;
        self.last_seq = seq;
        self.counters.ledger_verdicts.add(u64::from(count));
        Ok(())
    }
}

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry {
    /// Position of the log up to which it judges.
    pub seq: Seq,
    /// When it was made.
    pub as_of: UtcTime,
    /// The judgement.
    pub verdict: Verdict,
}

/// Shows every verdict to `see`; a line that is none goes to `bad`.
pub(crate) fn read(
    folder: &Path,
    mut see: impl FnMut(LedgerEntry),
    mut bad: impl FnMut(String),
) -> Result<Survey, StoreError> {
    let path = path_in(folder);
    survey(&path, |header, payload| {
        for line in payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Verdict>(line) {
                Ok(verdict) => see(LedgerEntry { seq: header.first_seq, as_of: verdict.as_of, verdict }),
                Err(error) => bad(format!("{}: at {}: {error}", path.display(), header.first_seq)),
            }
        }
    })
}
