//! The salts under which addresses are hashed: made daily, kept in one folder, destroyed for good.
//!
//! Every generation is a file of its own, named by its number. A rotation writes the new file,
//! flushes it and renames it into place; the old one stays while the repeat window and lateness
//! still reach back to it, and is then overwritten, flushed and removed. A crash between any two of
//! these steps leaves files that [`SaltBox::open`] finishes or destroys. On media that write
//! elsewhere instead of in place (flash, copy-on-write file systems, snapshots) the overwritten
//! bytes may survive below the file system: keep the folder off snapshots and on an encrypted disk.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use brownout_core::model::UtcTime;
use brownout_core::report::Salt;

/// Life of a salt.
const LIFE_MILLIS: i64 = 24 * 3600 * 1000;
/// Secret, time of making, generation, checksum.
const FILE_BYTES: usize = 32 + 8 + 4 + 8;

/// Where random bytes come from; the machine's generator outside tests.
pub type FillRandom = fn(&mut [u8]) -> io::Result<()>;

/// Random bytes from the operating system.
pub fn system_random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

/// The salts in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salts {
    /// The one that keys are made with.
    pub current: Salt,
    /// The one before, while windows still reach back to it.
    pub previous: Option<Salt>,
    /// When the current one was made.
    made_at: UtcTime,
}

/// Keeps the salts and turns them over. Time is an argument.
pub struct SaltBox {
    /// `None`: they are in memory only and go with the program.
    folder: Option<PathBuf>,
    /// May change with the policy.
    overlap_millis: AtomicI64,
    fill: FillRandom,
    salts: ArcSwap<Salts>,
    turning: Mutex<()>,
}

impl fmt::Debug for SaltBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaltBox({:?}, {:?})", self.folder, self.salts.load())
    }
}

/// What a turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// A new salt was made.
    pub made: bool,
    /// The salt before it was destroyed.
    pub destroyed: bool,
}

impl SaltBox {
    /// Opens a folder, which it makes if it is not there, sees that only its owner may look into it,
    /// and takes up where the last run stopped. `overlap_minutes` is the policy's repeat window plus lateness.
    pub fn open(folder: &Path, overlap_minutes: u32, now: UtcTime, fill: FillRandom) -> io::Result<Self> {
        make_private_folder(folder)?;
        let overlap_millis = AtomicI64::new(i64::from(overlap_minutes) * 60_000);
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match read_salt(&path)? {
                Kept::Salt(salt, made_at) => found.push((salt, made_at)),
                Kept::Damaged => destroy(&path)?,
                Kept::Foreign => {}
            }
        }
        found.sort_by_key(|(salt, _)| salt.generation());
        let (current, made_at) = match found.pop() {
            Some(newest) => newest,
            None => (make_salt(Some(folder), 0, now, fill)?, now),
        };
        // The last one found is the one before, if any; the rest outlived a crash.
        let previous = found.pop().map(|(salt, _)| salt);
        for (salt, _) in found {
            destroy(&path_of(folder, salt.generation()))?;
        }
        let salts = ArcSwap::from_pointee(Salts { current, previous, made_at });
        let folder = Some(folder.to_owned());
        let salt_box = SaltBox { folder, overlap_millis, fill, salts, turning: Mutex::new(()) };
        salt_box.turn(now)?;
        Ok(salt_box)
    }

    /// Salts that are nowhere but in memory, for a program that keeps no report: it needs no medium
    /// that can be written, and leaves nothing behind.
    pub fn in_memory(overlap_minutes: u32, now: UtcTime, fill: FillRandom) -> io::Result<Self> {
        let current = make_salt(None, 0, now, fill)?;
        let salts = ArcSwap::from_pointee(Salts { current, previous: None, made_at: now });
        let overlap_millis = AtomicI64::new(i64::from(overlap_minutes) * 60_000);
        Ok(SaltBox { folder: None, overlap_millis, fill, salts, turning: Mutex::new(()) })
    }

    /// The salts in force. Threads that look at once do not disturb each other.
    pub fn salts(&self) -> Guard<Arc<Salts>> {
        self.salts.load()
    }

    /// From the next turn on the salt before is kept for as long as this: the repeat window plus
    /// lateness of a policy that has changed.
    pub fn set_overlap(&self, minutes: u32) {
        self.overlap_millis.store(i64::from(minutes) * 60_000, Ordering::Relaxed);
    }

    /// Makes and destroys what is due; to be called every minute. After an error the salts in force
    /// stay as they are, and the next turn tries again.
    pub fn turn(&self, now: UtcTime) -> io::Result<Turned> {
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turned = Turned::default();
        let mut salts = Salts::clone(&self.salts.load());
        let age = now.millis_since(salts.made_at);
        // A clock that was set back by more than a day says nothing about the salt's age.
        if age.abs() >= LIFE_MILLIS {
            if let Some(old) = salts.previous.take() {
                self.destroy(&old)?;
                turned.destroyed = true;
            }
            let next = make_salt(self.folder.as_deref(), salts.current.generation(), now, self.fill)?;
            salts = Salts { previous: Some(salts.current), current: next, made_at: now };
            turned.made = true;
            self.salts.store(Arc::new(salts.clone()));
        }
        if now.millis_since(salts.made_at) >= self.overlap_millis.load(Ordering::Relaxed)
            && let Some(old) = salts.previous.take()
        {
            // Out of memory first: once it is to go, no key is made with it any more.
            self.salts.store(Arc::new(salts));
            self.destroy(&old)?;
            turned.destroyed = true;
        }
        Ok(turned)
    }

    fn destroy(&self, old: &Salt) -> io::Result<()> {
        self.folder.as_deref().map_or(Ok(()), |folder| destroy(&path_of(folder, old.generation())))
    }
}

/// What a file of the folder is.
enum Kept {
    Salt(Salt, UtcTime),
    /// A salt that was cut off while it was made or destroyed.
    Damaged,
    /// Nothing of ours.
    Foreign,
}

fn path_of(folder: &Path, generation: u32) -> PathBuf {
    folder.join(format!("salt-{generation}"))
}

fn read_salt(path: &Path) -> io::Result<Kept> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(number) = name.strip_prefix("salt-") else { return Ok(Kept::Foreign) };
    let Ok(generation) = number.parse::<u32>() else { return Ok(Kept::Damaged) };
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(decode(&bytes, generation).map_or(Kept::Damaged, |(salt, at)| Kept::Salt(salt, at)))
}

fn decode(bytes: &[u8], generation: u32) -> Option<(Salt, UtcTime)> {
    let (body, sum) = bytes.split_at_checked(FILE_BYTES - 8)?;
    if sum != checksum(body) {
        return None;
    }
    let secret = body.get(..32)?.try_into().ok()?;
    let made_at = i64::from_le_bytes(body.get(32..40)?.try_into().ok()?);
    let number = u32::from_le_bytes(body.get(40..44)?.try_into().ok()?);
    (number == generation).then(|| (Salt::new(generation, secret), UtcTime::from_millis(made_at)))
}

fn checksum(body: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(body).as_bytes();
    [a, b, c, d, e, f, g, h]
}

/// Makes the salt after `last`. Its generation is the minute of its making, or one more than the
/// last: so a number is not given again even when the folder was lost and the log was not.
fn make_salt(folder: Option<&Path>, last: u32, now: UtcTime, fill: FillRandom) -> io::Result<Salt> {
    let generation = now.minute().0.max(last.saturating_add(1));
    let mut secret = [0; 32];
    fill(&mut secret)?;
    if let Some(folder) = folder {
        store_salt(&path_of(folder, generation), &secret, generation, now)?;
    }
    Ok(Salt::new(generation, secret))
}

/// Writes a salt's file and flushes it into place.
fn store_salt(path: &Path, secret: &[u8; 32], generation: u32, made_at: UtcTime) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    bytes.extend_from_slice(secret);
    bytes.extend_from_slice(&made_at.millis().to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    let unfinished = path.with_extension("new");
    let mut file = private_file().create(true).truncate(true).open(&unfinished)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Overwrites a file in place, flushes and removes it. A file that is gone already is fine.
fn destroy(path: &Path) -> io::Result<()> {
    let mut file = match private_file().open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    file.write_all(&[0; FILE_BYTES])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut permissions = fs::metadata(folder)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o700);
            // The files in it are private in any case, so another's folder is no reason not to start.
            if let Err(error) = fs::set_permissions(folder, permissions) {
                tracing::warn!(folder = %folder.display(), %error, "the folder of the salts cannot be made private");
            }
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU8;

    use super::*;

    const OVERLAP: u32 = 75;

    fn counting(bytes: &mut [u8]) -> io::Result<()> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        bytes.fill(NEXT.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }

    fn at(minutes: i64) -> UtcTime {
        UtcTime::from_seconds(1_741_600_000 + minutes * 60)
    }

    fn open(folder: &Path, minutes: i64) -> SaltBox {
        SaltBox::open(folder, OVERLAP, at(minutes), counting).unwrap()
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_longer_window_keeps_the_salt_before_for_longer() {
        let folder = tempfile::tempdir().unwrap();
        let salts = open(folder.path(), 0);
        salts.turn(at(1440)).unwrap();
        salts.set_overlap(270);
        salts.turn(at(1440 + 200)).unwrap();
        assert!(salts.salts().previous.is_some());
        salts.turn(at(1440 + 270)).unwrap();
        assert_eq!((salts.salts().previous.as_ref(), files(folder.path())), (None, 1));
    }

    #[test]
    fn a_salt_lives_a_day_and_its_memory_the_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let salts = open(folder.path(), 0);
        let first = salts.salts().current.clone();
        assert_eq!(salts.turn(at(1439)).unwrap(), Turned::default());
        assert_eq!(salts.turn(at(1440)).unwrap(), Turned { made: true, destroyed: false });
        let both = salts.salts();
        assert_eq!(both.previous.as_ref(), Some(&first));
        assert!(both.current.generation() > first.generation());
        assert_eq!(salts.turn(at(1440 + 74)).unwrap(), Turned::default());
        assert_eq!(salts.turn(at(1440 + 75)).unwrap(), Turned { made: false, destroyed: true });
        assert_eq!((salts.salts().previous.clone(), files(folder.path())), (None, 1));
        let stored = fs::read(path_of(folder.path(), both.current.generation())).unwrap();
        assert!(!stored.windows(32).any(|bytes| bytes == first.secret()));
    }

    #[test]
    fn salts_in_memory_turn_over_and_touch_no_folder() {
        let salts = SaltBox::in_memory(OVERLAP, at(0), counting).unwrap();
        let first = salts.salts().current.clone();
        assert_eq!(salts.turn(at(1440)).unwrap(), Turned { made: true, destroyed: false });
        assert_eq!(salts.salts().previous.as_ref(), Some(&first));
        assert_eq!(salts.turn(at(1440 + 75)).unwrap(), Turned { made: false, destroyed: true });
        assert_eq!(salts.salts().previous, None);
        assert_eq!(salts.folder, None);
    }

    #[test]
    fn a_restart_keeps_the_salts_and_a_long_stop_renews_them() {
        let folder = tempfile::tempdir().unwrap();
        let before = open(folder.path(), 0).salts();
        assert_eq!(*open(folder.path(), 60).salts(), *before);
        let overlap = open(folder.path(), 1440).salts();
        assert_eq!(overlap.previous.as_ref(), Some(&before.current));
        assert_eq!(*open(folder.path(), 1450).salts(), *overlap);
        assert_eq!(open(folder.path(), 1440 + 75).salts().previous, None);
        let much_later = open(folder.path(), 10 * 1440).salts();
        assert_ne!(much_later.current, overlap.current);
        assert_eq!(files(folder.path()), 2, "the current one and, for the overlap, the one before");
    }

    #[test]
    fn a_clock_set_back_neither_renews_nor_repeats_a_generation() {
        let folder = tempfile::tempdir().unwrap();
        let salts = open(folder.path(), 0);
        let first = salts.salts();
        assert_eq!(salts.turn(at(-60)).unwrap(), Turned::default());
        assert_eq!(*salts.salts(), *first);
        assert!(salts.turn(at(-3000)).unwrap().made, "nobody knows how old it is");
        assert_eq!(salts.salts().current.generation(), first.current.generation() + 1);
    }

    #[test]
    fn what_a_crash_left_behind_is_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let current = open(folder.path(), 0).salts().current.clone();
        // Cut off while made, cut off while destroyed, and an old one that was never destroyed.
        fs::write(folder.path().join("salt-99999999.new"), [7; 20]).unwrap();
        fs::write(folder.path().join("salt-5"), [0; FILE_BYTES]).unwrap();
        for generation in [0, 1] {
            make_salt(Some(folder.path()), generation, UtcTime::from_millis(0), counting).unwrap();
        }
        fs::write(folder.path().join("README"), "mine").unwrap();
        let salts = open(folder.path(), 80).salts();
        assert_eq!((&salts.current, &salts.previous), (&current, &None));
        assert_eq!(files(folder.path()), 2, "the salt and a file of somebody else");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_a_salt() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("salts");
        let generation = open(&inner, 0).salts().current.generation();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&path_of(&inner, generation))), (0o700, 0o600));
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        open(&inner, 1);
        assert_eq!(mode(&inner), 0o700, "one that was open is closed");
    }
}
