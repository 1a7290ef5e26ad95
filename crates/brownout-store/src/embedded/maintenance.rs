//! What is done to the log beside its use: sealing and retention.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brownout_core::model::{Catalogue, Evidence, Seq, UtcTime};
use serde::{Deserialize, Serialize};

use crate::counters::Counters;
use crate::port::StoreError;

use super::checkpoints::CheckpointFolder;
use super::file::{At, sync_folder, write_whole};
use super::folder::{FolderLock, Layout};
use super::frame::{Content, FrameScan, Scanned};
use super::log::Progress;
use super::rows::Row;
use super::sealed::{self, Summary};
use super::segment::{self, Segment};
use super::wire;

/// How long sealed segments are kept. Both limits hold; `None` is without limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Oldest age of a segment's last record, in seconds.
    pub age_seconds: Option<u64>,
    /// Most bytes of all sealed segments.
    pub bytes: Option<u64>,
}

/// A segment that was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// First record of it.
    pub first: Seq,
    /// Last record of it.
    pub last: Seq,
    /// Records in it.
    pub records: u64,
    /// Bytes of the sealed file.
    pub bytes: u64,
}

/// Seals, retains and copies, on a thread of its own: appends go on meanwhile.
#[derive(Debug)]
pub struct Maintenance {
    pub(super) layout: Layout,
    pub(super) progress: Arc<Progress>,
    pub(super) checkpoints: CheckpointFolder,
    counters: Arc<Counters>,
    /// Files may vanish from the log only while this is held.
    busy: Mutex<()>,
    _lock: Arc<FolderLock>,
}

/// The catalogue in force at the end of what is sealed, for the names of what follows.
#[derive(Serialize, Deserialize)]
struct InForce {
    seq: Seq,
    catalogue: Catalogue,
}

impl Maintenance {
    pub(crate) fn new(
        layout: Layout,
        progress: Arc<Progress>,
        checkpoints: CheckpointFolder,
        counters: Arc<Counters>,
        lock: Arc<FolderLock>,
    ) -> Self {
        Maintenance { layout, progress, checkpoints, counters, busy: Mutex::new(()), _lock: lock }
    }

    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals every segment that is closed: writes it as Parquet, flushes, reads it back, and only
    /// then removes the frames. Stops at the first that cannot be sealed, which stays as it is.
    pub fn seal(&self) -> Result<Vec<Sealing>, StoreError> {
        let _held = self.hold();
        let log = self.layout.log();
        let active_first = Seq(self.progress.active_first.load(Ordering::Acquire));
        let segments = segment::list(&log)?;
        let mut sealed = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            if segment.is_sealed() || segment.first >= active_first {
                continue;
            }
            let limit = segments.get(index + 1).map(|next| next.first);
            sealed.extend(self.seal_one(&log, segment, limit)?);
        }
        Ok(sealed)
    }

    fn seal_one(
        &self,
        log: &Path,
        segment: &Segment,
        limit: Option<Seq>,
    ) -> Result<Option<Sealing>, StoreError> {
        let mut rows = read_frames(segment, limit, &self.counters)?;
        let Some(summary) = Summary::of(&rows)? else {
            fs::remove_file(&segment.path).at(&segment.path)?;
            return Ok(None);
        };
        self.counters.lost_records.add((summary.last.0 - segment.first.0 + 1).saturating_sub(summary.count));
        let mut catalogue = self.catalogue_before(log, segment.first)?;
        let path = segment::sealed_path(log, segment.first, summary.last);
        let temporary = path.with_extension("tmp");
        let written = sealed::write(&temporary, &mut rows, &summary, &catalogue)
            .and_then(|()| sealed::check(&temporary));
        match written {
            Ok(read_back) if read_back == summary => {}
            Ok(_) => {
                let what = format!("{}: read back other than written", temporary.display());
                return Err(StoreError::Corrupt(what));
            }
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                return Err(error);
            }
        }
        let newest = rows.iter().filter(|row| matches!(row.evidence, Evidence::Catalogue(_)));
        if let Some(Row { evidence: Evidence::Catalogue(newest), .. }) = newest.max_by_key(|row| row.seq) {
            catalogue = (**newest).clone();
        }
        let bytes = fs::metadata(&temporary).at(&temporary)?.len();
        fs::rename(&temporary, &path).at(&path)?;
        sync_folder(log)?;
        let in_force = InForce { seq: summary.last, catalogue };
        let json = serde_json::to_vec(&in_force).map_err(|error| StoreError::Io(error.to_string()))?;
        write_whole(&catalogue_path(log), &json)?;
        fs::remove_file(&segment.path).at(&segment.path)?;
        sync_folder(log)?;
        self.counters.sealed_segments.add(1);
        self.counters.sealed_records.add(summary.count);
        Ok(Some(Sealing { first: segment.first, last: summary.last, records: summary.count, bytes }))
    }

    /// The catalogue in force before `first`: from the last sealing, else from the log itself.
    fn catalogue_before(&self, log: &Path, first: Seq) -> Result<Catalogue, StoreError> {
        let kept = fs::read(catalogue_path(log)).ok();
        if let Some(in_force) = kept.and_then(|bytes| serde_json::from_slice::<InForce>(&bytes).ok())
            && in_force.seq < first
        {
            return Ok(in_force.catalogue);
        }
        let mut found = Catalogue::default();
        for segment in segment::list(log)?.iter().take_while(|segment| segment.first < first) {
            let Some(mut rows) = segment.is_sealed().then(|| sealed::read(&segment.path).ok()).flatten()
            else {
                continue;
            };
            let mut evidence = Vec::new();
            while rows.next_batch(&mut evidence).is_some() {
                for evidence in evidence.drain(..) {
                    if let Evidence::Catalogue(catalogue) = evidence {
                        found = *catalogue;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Removes sealed segments beyond the limits, oldest first, and checkpoints that are no longer
    /// needed. A segment goes only when a checkpoint that checks stands for it. Returns how many
    /// segments went.
    pub fn retain(&self, now: UtcTime, retention: &Retention) -> Result<u64, StoreError> {
        let _held = self.hold();
        let log = self.layout.log();
        let segments = segment::list(&log)?;
        let sealed: Vec<&Segment> = segments.iter().filter(|segment| segment.is_sealed()).collect();
        let mut bytes = 0;
        for segment in &sealed {
            bytes += fs::metadata(&segment.path).at(&segment.path)?.len();
        }
        let mut removed = 0;
        for segment in sealed {
            let size = fs::metadata(&segment.path).at(&segment.path)?.len();
            let too_old = retention.age_seconds.is_some_and(|limit| {
                let age = sealed::last_received_at(&segment.path).map(|last| now.millis_since(last) / 1000);
                age.is_ok_and(|age| age > i64::try_from(limit).unwrap_or(i64::MAX))
            });
            let too_much = retention.bytes.is_some_and(|limit| bytes > limit);
            if !too_old && !too_much {
                break;
            }
            let last = segment.last.unwrap_or(segment.first);
            if self.checkpoints.oldest_valid_from(last)?.is_none() {
                self.counters.retention_held.add(1);
                break;
            }
            fs::remove_file(&segment.path).at(&segment.path)?;
            bytes -= size;
            removed += 1;
        }
        if removed > 0 {
            sync_folder(&log)?;
            self.counters.retention_deleted.add(removed);
        }
        let first = segment::list(&log)?.first().map_or(Seq(1), |segment| segment.first);
        self.checkpoints.prune(first)?;
        Ok(removed)
    }
}

fn catalogue_path(log: &Path) -> PathBuf {
    log.join("catalogue.json")
}

/// All records of a closed segment in `seq` order.
fn read_frames(segment: &Segment, limit: Option<Seq>, counters: &Counters) -> Result<Vec<Row>, StoreError> {
    let path = &segment.path;
    let mut scan = FrameScan::new(fs::File::open(path).at(path)?);
    let mut rows = Vec::new();
    let mut evidence = Vec::new();
    while let Some(scanned) = scan.next_frame().at(path)? {
        let Scanned::Frame { header, payload, .. } = scanned else {
            counters.corrupt_frames.add(1);
            continue;
        };
        if header.content != Content::Evidence || limit.is_some_and(|limit| header.first_seq >= limit) {
            continue;
        }
        evidence.clear();
        wire::decode(payload, header.count, &mut evidence).map_err(|error| {
            StoreError::Corrupt(format!("{}: at {}: {error}", path.display(), header.first_seq))
        })?;
        let numbered = (header.first_seq.0..).map(Seq).zip(evidence.drain(..));
        rows.extend(numbered.map(|(seq, evidence)| Row { seq, received_at: header.received_at, evidence }));
    }
    Ok(rows)
}
