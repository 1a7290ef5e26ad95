//! Looking at a folder from outside: does everything check, what is in it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use brownout_core::model::{Record, Seq, UtcTime};

use crate::counters::Counters;
use crate::port::StoreError;

use super::checkpoints::CheckpointFolder;
use super::comments;
use super::file::At;
use super::folder::{FolderInfo, Layout};
use super::framed::survey;
use super::ledger;
use super::reader::LogReader;
use super::sealed;
use super::segment;

/// What [`verify`] found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Records that can be read.
    pub records: u64,
    /// The first of them.
    pub first_seq: Option<Seq>,
    /// The last of them.
    pub last_seq: Option<Seq>,
    /// Files of the log.
    pub segments: u64,
    /// Checkpoints that check.
    pub checkpoints: u64,
    /// Verdicts in the ledger.
    pub verdicts: u64,
    /// Comments.
    pub comments: u64,
    /// Bytes of an interrupted write at the very end: no loss, they are cut at the next start.
    pub torn_bytes: u64,
    /// What does not check, a line each; every lost range of records is among them.
    pub problems: Vec<String>,
}

impl VerifyReport {
    /// Whether everything checks.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// All comments in a folder, in the order in which they came. Works beside a running program.
pub fn read_comments(root: &Path) -> Result<Vec<comments::Comment>, StoreError> {
    comments::read(&Layout::new(root).comments())
}

/// Reads everything in a folder and checks it. Works beside a running program, and changes nothing.
pub fn verify(root: &Path) -> Result<VerifyReport, StoreError> {
    let layout = Layout::new(root);
    let mut report = VerifyReport::default();
    if layout.read_info()?.is_none() {
        report.problems.push(format!("{}: no FOLDER.json", root.display()));
    }
    verify_log(&layout, &mut report)?;
    let folder = CheckpointFolder::new(&layout.checkpoints(), Arc::new(Counters::default()), None);
    for position in folder.positions()? {
        match folder.load(position) {
            Ok(_) => report.checkpoints += 1,
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    let mut bad = Vec::new();
    let survey = ledger::read(&layout.ledger(), |_| report.verdicts += 1, |line| bad.push(line))?;
    report.problems.append(&mut bad);
    if survey.damaged_places > 0 {
        report.problems.push(format!("{} damaged places in the verdict ledger", survey.damaged_places));
    }
    report.torn_bytes += survey.tail_bytes;
    for path in comments::files(&layout.comments())? {
        let mut count = 0;
        let found = self::survey(&path, |header, _| count += u64::from(header.count))?;
        report.comments += count;
        report.torn_bytes += found.tail_bytes;
        if found.damaged_places > 0 {
            report.problems.push(format!("{}: {} damaged places", path.display(), found.damaged_places));
        }
    }
    Ok(report)
}

fn verify_log(layout: &Layout, report: &mut VerifyReport) -> Result<(), StoreError> {
    let segments = segment::list(&layout.log())?;
    report.segments = segments.len() as u64;
    for segment in segments.iter().filter(|segment| segment.is_sealed()) {
        if let Err(error) = sealed::check_body(&segment.path) {
            report.problems.push(error.to_string());
        }
    }
    let newest = segments.len().saturating_sub(1);
    for (index, segment) in segments.iter().enumerate().filter(|(_, segment)| !segment.is_sealed()) {
        let found = survey(&segment.path, |_, _| {})?;
        let path = segment.path.display();
        if found.damaged_places > 0 {
            report.problems.push(format!("{path}: {} damaged places", found.damaged_places));
        }
        if found.tail_bytes > 0 && index == newest {
            report.torn_bytes += found.tail_bytes;
        } else if found.tail_bytes > 0 {
            report.problems.push(format!("{path}: {} bytes at the end do not check", found.tail_bytes));
        }
    }
    let reader = LogReader::open(&layout.root);
    let mut batches = reader.batches(reader.first_seq()?)?;
    let mut evidence = Vec::new();
    let mut last_time = None;
    while let Some(batch) = batches.next_into(&mut evidence) {
        match batch {
            Ok(head) => {
                report.records += evidence.len() as u64;
                report.first_seq.get_or_insert(head.first_seq);
                report.last_seq = Some(Seq(head.first_seq.0 + evidence.len() as u64 - 1));
                if last_time.is_some_and(|last: UtcTime| last > head.received_at) {
                    report.problems.push(format!("time goes back at record {}", head.first_seq));
                }
                last_time = Some(head.received_at);
            }
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    Ok(())
}

/// Records in `[from, to]`, for a person to look at. What is lost gives an error, and it goes on.
pub fn cat(
    root: &Path,
    from: Seq,
    to: Seq,
) -> Result<impl Iterator<Item = Result<Record, StoreError>> + use<>, StoreError> {
    let records = LogReader::open(root).records(from)?;
    Ok(records.take_while(move |record| record.as_ref().map_or(true, |record| record.seq <= to)))
}

/// What is in a folder, from names and sizes alone.
#[derive(Clone, Debug)]
pub struct FolderStats {
    /// What the folder says of itself.
    pub info: Option<FolderInfo>,
    /// First record that is still there.
    pub first_seq: Option<Seq>,
    /// Segments that hold frames.
    pub open_segments: u64,
    /// Their bytes.
    pub open_bytes: u64,
    /// Segments that are sealed.
    pub sealed_segments: u64,
    /// Their bytes.
    pub sealed_bytes: u64,
    /// Records in them.
    pub sealed_records: u64,
    /// Positions of checkpoints, newest first.
    pub checkpoints: Vec<Seq>,
    /// Bytes of the verdict ledger.
    pub ledger_bytes: u64,
    /// Bytes of the derived database.
    pub derived_bytes: u64,
}

/// Sums up what is in a folder. Works beside a running program.
pub fn stats(root: &Path) -> Result<FolderStats, StoreError> {
    let layout = Layout::new(root);
    let segments = segment::list(&layout.log())?;
    let counters = Arc::new(Counters::default());
    let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let mut stats = FolderStats {
        info: layout.read_info()?,
        first_seq: segments.first().map(|segment| segment.first),
        open_segments: 0,
        open_bytes: 0,
        sealed_segments: 0,
        sealed_bytes: 0,
        sealed_records: 0,
        checkpoints: CheckpointFolder::new(&layout.checkpoints(), counters, None).positions()?,
        ledger_bytes: size(&ledger::path_in(&layout.ledger())),
        derived_bytes: size(&layout.derived()),
    };
    for segment in segments {
        let bytes = fs::metadata(&segment.path).at(&segment.path)?.len();
        match segment.last {
            Some(last) => {
                stats.sealed_segments += 1;
                stats.sealed_bytes += bytes;
                stats.sealed_records += last.0 - segment.first.0 + 1;
            }
            None => {
                stats.open_segments += 1;
                stats.open_bytes += bytes;
            }
        }
    }
    Ok(stats)
}
