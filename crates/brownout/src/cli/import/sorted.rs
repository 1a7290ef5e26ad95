//! Sorts what is larger than memory by time: sorted runs on disk, and then all of them together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes that are held in memory before they go to disk.
const HELD_BYTES_MAX: usize = 64 << 20;
/// Runs that are read together; beyond it the oldest are merged into one first.
const RUNS_MAX: usize = 64;

/// Takes entries in any order.
pub(super) struct Sorter {
    folder: PathBuf,
    held: Vec<(i64, Vec<u8>)>,
    held_bytes: usize,
    held_bytes_max: usize,
    runs: Vec<PathBuf>,
    made: usize,
}

impl Sorter {
    /// One that puts its runs into a folder, which it makes and takes away again.
    pub(super) fn new(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Sorter {
            folder,
            held: Vec::new(),
            held_bytes: 0,
            held_bytes_max: HELD_BYTES_MAX,
            runs: Vec::new(),
            made: 0,
        })
    }

    /// Takes an entry.
    pub(super) fn push(&mut self, key: i64, bytes: Vec<u8>) -> io::Result<()> {
        self.held_bytes += bytes.len() + size_of::<(i64, Vec<u8>)>();
        self.held.push((key, bytes));
        if self.held_bytes >= self.held_bytes_max {
            self.put_down()?;
            if self.runs.len() >= RUNS_MAX {
                let runs = std::mem::take(&mut self.runs);
                let into = self.next_run();
                write_run(&into, Merged::open(&runs)?)?;
                runs.iter().try_for_each(fs::remove_file)?;
                self.runs.push(into);
            }
        }
        Ok(())
    }

    fn next_run(&mut self) -> PathBuf {
        self.made += 1;
        self.folder.join(format!("{}.run", self.made))
    }

    fn put_down(&mut self) -> io::Result<()> {
        // Of equal keys the one that came first stays first.
        self.held.sort_by_key(|(key, _)| *key);
        let into = self.next_run();
        write_run(&into, self.held.drain(..).map(Ok))?;
        self.held_bytes = 0;
        self.runs.push(into);
        Ok(())
    }

    /// All entries in their order.
    pub(super) fn sorted(&mut self) -> io::Result<Merged> {
        if !self.held.is_empty() {
            self.put_down()?;
        }
        Merged::open(&self.runs)
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write_run(into: &Path, entries: impl Iterator<Item = io::Result<(i64, Vec<u8>)>>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(into)?);
    for entry in entries {
        let (key, bytes) = entry?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        file.write_all(&key.to_le_bytes())?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&bytes)?;
    }
    file.flush()
}

/// Several runs in one.
pub(super) struct Merged {
    runs: Vec<BufReader<File>>,
    /// The next entry of each run, by key and run.
    next: BinaryHeap<Reverse<(i64, usize, Vec<u8>)>>,
}

impl Merged {
    fn open(runs: &[PathBuf]) -> io::Result<Self> {
        let runs: io::Result<Vec<_>> = runs.iter().map(|run| File::open(run).map(BufReader::new)).collect();
        let mut merged = Merged { runs: runs?, next: BinaryHeap::new() };
        (0..merged.runs.len()).try_for_each(|run| merged.read(run))?;
        Ok(merged)
    }

    fn read(&mut self, run: usize) -> io::Result<()> {
        let file = &mut self.runs[run];
        let mut head = [0; 12];
        match file.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let [a, b, c, d, e, f, g, h, length @ ..] = head;
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact(&mut bytes)?;
        self.next.push(Reverse((i64::from_le_bytes([a, b, c, d, e, f, g, h]), run, bytes)));
        Ok(())
    }
}

impl Iterator for Merged {
    type Item = io::Result<(i64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((key, run, bytes)) = self.next.pop()?;
        Some(self.read(run).map(|()| (key, bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_memory_comes_in_order_and_equals_as_they_came() {
        let folder = tempfile::tempdir().expect("a folder");
        let runs = folder.path().join("runs");
        let mut sorter = Sorter::new(runs.clone()).expect("a sorter");
        sorter.held_bytes_max = 1000;
        for number in 0..20_000_u32 {
            let key = i64::from(number.wrapping_mul(2_654_435_761) % 100);
            sorter.push(key, number.to_le_bytes().to_vec()).expect("room");
        }
        assert!(sorter.made > 2 * RUNS_MAX);
        let entries: Vec<(i64, Vec<u8>)> = sorter.sorted().expect("runs").map(Result::unwrap).collect();
        assert_eq!(entries.len(), 20_000);
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four"));
        assert!(entries.array_windows().all(|[a, b]| a.0 < b.0 || number(&a.1) < number(&b.1)));
        drop(sorter);
        assert!(!runs.exists());
    }
}
