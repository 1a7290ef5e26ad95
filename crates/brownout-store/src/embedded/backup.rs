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

impl Maintenance {
    /// Copies everything to `to`, which must be empty or not be there, and verifies the copy.
    ///
    /// What is derived is copied first and the log last, so the copy's log holds at least what its
    /// derived part was made from. Appends go on; sealing and retention wait.
    pub fn backup(&self, to: &Path, admin: &Admin) -> Result<VerifyReport, StoreError> {
        let _held = self.hold();
        if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(StoreError::Io(format!("{} is not empty", to.display())));
        }
        let (from, to_layout) = (&self.layout, Layout::new(to));
        to_layout.make_folders()?;
        let path = from.derived();
        let derived = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).in_db(&path)?;
        derived.backup("main", to_layout.derived(), None::<fn(_)>).in_db(&path)?;
        admin.backup(&to_layout.admin())?;
        copy_folder(&from.checkpoints(), &to_layout.checkpoints(), "ckpt")?;
        copy_folder(&from.ledger(), &to_layout.ledger(), "led")?;
        copy_folder(&from.comments(), &to_layout.comments(), "comments")?;
        self.copy_log(&from.log(), &to_layout.log())?;
        copy(&from.info(), &to_layout.info())?;
        sync_folder(to)?;
        verify(to)
    }

    fn copy_log(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let durable = Seq(self.progress.durable.load(Ordering::Acquire));
        for segment in segment::list(from)? {
            let Some(name) = segment.path.file_name() else { continue };
            let target = to.join(name);
            if segment.is_sealed() {
                // It never changes, so a second name for the same bytes is a copy.
                if fs::hard_link(&segment.path, &target).is_err() {
                    copy(&segment.path, &target)?;
                }
            } else {
                copy(&segment.path, &target)?;
                cut(&target, durable)?;
            }
        }
        copy_folder(from, to, "json")
    }
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
