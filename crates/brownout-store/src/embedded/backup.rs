//! A consistent copy of a folder while it is used.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use brownout_core::model::Seq;
use rusqlite::{Connection, OpenFlags};

use crate::port::StoreError;

use super::admin::Admin;
use super::derived::InDb;
use super::file::{At, store_error, sync_folder};
use super::folder::Layout;
use super::frame::{FrameScan, Scanned};
use super::framed::survey;
use super::maintenance::Maintenance;
use super::segment;
use super::verify::{VerifyReport, verify};

/// How often the log is listed again because a file was sealed or let go under the copying.
const TRIES_MAX: u32 = 10;

impl Maintenance {
    /// Copies everything to `to`, which must be empty or not be there, and verifies the copy.
    ///
    /// What is derived is copied first and the log last, so the copy's log holds at least what its
    /// derived part was made from. Appends go on; sealing and retention wait.
    pub fn backup(&self, to: &Path, admin: &Admin) -> Result<VerifyReport, StoreError> {
        let _held = self.hold();
        let durable = || Seq(self.progress.durable.load(Ordering::Acquire));
        copy_data(&self.layout, to, Some(admin), durable)
    }
}

/// Copies the data folder `root` to `to`, which must be empty or not be there, and verifies the
/// copy. Nothing is locked, so it works beside the program that runs on the folder: sealed files
/// never change, files of frames are taken up to their last whole frame, and databases are copied
/// as of one moment. Salts, as all that is secret, are left out.
///
/// # Errors
/// When `root` is no data folder, `to` is in use, or one of them cannot be read or written.
pub fn backup(root: &Path, to: &Path) -> Result<VerifyReport, StoreError> {
    let layout = Layout::new(root);
    if layout.read_info()?.is_none() {
        return Err(StoreError::Io(format!("{} is not a data folder", root.display())));
    }
    copy_data(&layout, to, None, || Seq(u64::MAX))
}

/// `durable` tells up to where the log may be copied; it is asked once everything else is.
fn copy_data(
    from: &Layout,
    to: &Path,
    admin: Option<&Admin>,
    durable: impl Fn() -> Seq,
) -> Result<VerifyReport, StoreError> {
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(StoreError::Io(format!("{} is not empty", to.display())));
    }
    let to_layout = Layout::new(to);
    to_layout.make_folders()?;
    copy_database(&from.derived(), &to_layout.derived())?;
    match admin {
        Some(admin) => admin.backup(&to_layout.admin())?,
        None => copy_database(&from.admin(), &to_layout.admin())?,
    }
    copy_folder(&from.checkpoints(), &to_layout.checkpoints(), "ckpt")?;
    copy_folder(&from.ledger(), &to_layout.ledger(), "led")?;
    copy_folder(&from.comments(), &to_layout.comments(), "comments")?;
    copy_log(&from.log(), &to_layout.log(), durable())?;
    copy(&from.info(), &to_layout.info())?;
    sync_folder(to)?;
    verify(to)
}

/// Copies a database as it is at one moment, while others write to it.
fn copy_database(from: &Path, to: &Path) -> Result<(), StoreError> {
    if !from.exists() {
        return Ok(());
    }
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).in_db(from)?;
    // Without a transaction of its own the copying would begin again with every write of others.
    source.execute_batch("BEGIN").in_db(from)?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).in_db(from)?;
    source.backup("main", to, None::<fn(_)>).in_db(from)
}

/// Copies the log up to `durable`. A file that is sealed or let go meanwhile makes it begin again.
fn copy_log(from: &Path, to: &Path, durable: Seq) -> Result<(), StoreError> {
    for _ in 0..TRIES_MAX {
        if copy_segments(from, to, durable)? {
            return copy_folder(from, to, "json");
        }
        for segment in segment::list(to)? {
            fs::remove_file(&segment.path).at(&segment.path)?;
        }
    }
    Err(StoreError::Io(format!("{} changes faster than it can be copied", from.display())))
}

/// False when a file was gone before it could be copied.
fn copy_segments(from: &Path, to: &Path, durable: Seq) -> Result<bool, StoreError> {
    for segment in segment::list(from)? {
        let Some(name) = segment.path.file_name() else { continue };
        let target = to.join(name);
        // A sealed file never changes, so a second name for the same bytes is a copy.
        if segment.is_sealed() && fs::hard_link(&segment.path, &target).is_ok() {
            continue;
        }
        match copy(&segment.path, &target) {
            Ok(()) if segment.is_sealed() => {}
            Ok(()) => cut(&target, durable)?,
            Err(_) if !segment.path.exists() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Copies the files with an extension; files of frames lose an unfinished end.
fn copy_folder(from: &Path, to: &Path, extension: &str) -> Result<(), StoreError> {
    for entry in fs::read_dir(from).at(from)? {
        let path = entry.at(from)?.path();
        if path.extension().is_none_or(|it| it != extension) {
            continue;
        }
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        match copy(&path, &target) {
            Ok(()) if matches!(extension, "led" | "comments") => {
                let end = survey(&target, |_, _| {})?.end_of_frames;
                OpenOptions::new()
                    .write(true)
                    .open(&target)
                    .and_then(|file| file.set_len(end))
                    .at(&target)?;
            }
            Ok(()) => {}
            // Its owner replaced or removed it meanwhile.
            Err(_) if !path.exists() => {}
            Err(error) => return Err(error),
        }
    }
    sync_folder(to)
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::copy(from, to).map_err(|error| match error.kind() {
        ErrorKind::NotFound => store_error(from, &error),
        _ => store_error(to, &error),
    })?;
    File::open(to).and_then(|file| file.sync_all()).at(to)
}

/// Cuts a copied segment behind the last frame that was durable when the copying began.
fn cut(path: &Path, durable: Seq) -> Result<(), StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path).at(path)?;
    let mut scan = FrameScan::new(&file);
    let mut keep = 0;
    while let Some(scanned) = scan.next_frame().at(path)? {
        match scanned {
            Scanned::Frame { header, end, .. } if header.last_seq() <= durable => keep = end,
            _ => {}
        }
    }
    file.set_len(keep).and_then(|()| file.sync_all()).at(path)
}
