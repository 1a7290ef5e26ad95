//! Checkpoints of the engine: one file each, replaced as a whole and summed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brownout_core::model::Seq;

use crate::counters::Counters;
use crate::port::{Checkpoint, Checkpoints, StoreError};

use super::file::{At, write_whole};
use super::folder::FolderLock;

const MAGIC: [u8; 4] = *b"BRNC";
const HEAD_BYTES: usize = 24;

/// The newest checkpoints that are kept, besides the one at the retention horizon.
pub const CHECKPOINTS_KEPT: usize = 2;

/// The folder of checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    folder: PathBuf,
    counters: Arc<Counters>,
    _lock: Option<Arc<FolderLock>>,
}

impl CheckpointFolder {
    pub(crate) fn new(folder: &Path, counters: Arc<Counters>, lock: Option<Arc<FolderLock>>) -> Self {
        CheckpointFolder { folder: folder.to_owned(), counters, _lock: lock }
    }

    /// Positions for which there is a file, whether it checks or not; newest first.
    pub fn positions(&self) -> Result<Vec<Seq>, StoreError> {
        let mut positions = Vec::new();
        for entry in fs::read_dir(&self.folder).at(&self.folder)? {
            let name = entry.at(&self.folder)?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".ckpt"));
            positions.extend(digits.and_then(|digits| digits.parse().ok()).map(Seq));
        }
        positions.sort_unstable_by(|a, b| b.cmp(a));
        Ok(positions)
    }

    /// The checkpoint at a position. Fails with [`StoreError::Corrupt`] when it does not check.
    pub fn load(&self, seq: Seq) -> Result<Checkpoint, StoreError> {
        let path = self.path(seq);
        let bytes = fs::read(&path).at(&path)?;
        let corrupt = || StoreError::Corrupt(format!("{}: not a checkpoint, or damaged", path.display()));
        let checkpoint = decode(&bytes).ok_or_else(corrupt)?;
        if checkpoint.seq == seq { Ok(checkpoint) } else { Err(corrupt()) }
    }

    /// The oldest checkpoint that checks and is not before `seq`.
    pub fn oldest_valid_from(&self, seq: Seq) -> Result<Option<Seq>, StoreError> {
        let positions = self.positions()?;
        let mut candidates = positions.into_iter().rev().filter(|position| *position >= seq);
        Ok(candidates.find(|position| self.load(*position).is_ok()))
    }

    /// The position of the newest checkpoint that checks.
    pub(crate) fn newest_valid(&self) -> Result<Option<Seq>, StoreError> {
        Ok(self.newest(Seq(u64::MAX))?.map(|checkpoint| checkpoint.seq))
    }

    /// Removes damaged ones, and all but the newest ones that check and the one at the horizon, where a log that
    /// begins at `first_seq` can be replayed from.
    pub(crate) fn prune(&self, first_seq: Seq) -> Result<(), StoreError> {
        let horizon = match first_seq.0 {
            0 | 1 => None,
            first => self.oldest_valid_from(Seq(first - 1))?,
        };
        let mut valid = 0;
        for position in self.positions()? {
            let kept = match self.load(position) {
                Ok(_) => {
                    valid += 1;
                    valid <= CHECKPOINTS_KEPT || horizon == Some(position)
                }
                Err(StoreError::Corrupt(_)) => false,
                // It could not be read now; that says nothing of its bytes.
                Err(_) => true,
            };
            if !kept {
                let path = self.path(position);
                fs::remove_file(&path).at(&path)?;
                self.counters.checkpoints_pruned.add(1);
            }
        }
        Ok(())
    }

    fn path(&self, seq: Seq) -> PathBuf {
        self.folder.join(format!("{:020}.ckpt", seq.0))
    }
}

impl Checkpoints for CheckpointFolder {
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let bytes = encode(checkpoint)
            .ok_or_else(|| StoreError::Io("the names in a checkpoint are too long".to_owned()))?;
        write_whole(&self.path(checkpoint.seq), &bytes)?;
        self.counters.checkpoints_saved.add(1);
        Ok(())
    }

    fn newest(&self, not_after: Seq) -> Result<Option<Checkpoint>, StoreError> {
        for position in self.positions()?.into_iter().filter(|position| *position <= not_after) {
            match self.load(position) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(_) => self.counters.corrupt_checkpoints.add(1),
            }
        }
        Ok(None)
    }
}

/// `BRNC`, CRC-32C of the rest, position, lengths of engine and policy, their text, the state.
fn encode(checkpoint: &Checkpoint) -> Option<Vec<u8>> {
    let engine = u32::try_from(checkpoint.engine.len()).ok()?;
    let policy = u32::try_from(checkpoint.policy.len()).ok()?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + checkpoint.state.len() + 128);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&checkpoint.seq.0.to_le_bytes());
    bytes.extend_from_slice(&engine.to_le_bytes());
    bytes.extend_from_slice(&policy.to_le_bytes());
    bytes.extend_from_slice(checkpoint.engine.as_bytes());
    bytes.extend_from_slice(checkpoint.policy.as_bytes());
    bytes.extend_from_slice(&checkpoint.state);
    let crc = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    Some(bytes)
}

fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if head[..4] != MAGIC || word(4) != crc32c::crc32c(&bytes[8..]) {
        return None;
    }
    let (engine, rest) = rest.split_at_checked(word(16) as usize)?;
    let (policy, state) = rest.split_at_checked(word(20) as usize)?;
    Some(Checkpoint {
        seq: Seq(u64::from(word(8)) | u64::from(word(12)) << 32),
        engine: String::from_utf8(engine.to_vec()).ok()?,
        policy: String::from_utf8(policy.to_vec()).ok()?,
        state: state.to_vec(),
    })
}
