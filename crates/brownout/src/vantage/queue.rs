//! Measurements that wait to be sent: a file for each, and one for the batch that is under way. A batch is sent
//! again with the very bytes that were sent before, so that the observatory knows it if it came.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use brownout_core::reach::Measurement;
use brownout_probe::wire::{Batch, MEASUREMENTS_MAX};
use serde::{Deserialize, Serialize};

use crate::secret;

/// Most measurements that wait; of more, the oldest are dropped and counted.
pub const QUEUED_MAX: usize = 10_000;

/// A batch under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// The batch, as it is signed.
    pub body: String,
    /// The files that are in it.
    files: Vec<String>,
}

/// What waits.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    waiting: VecDeque<String>,
    next: u64,
    /// Measurements that were dropped because too many waited.
    pub dropped: u64,
    capacity: usize,
}

const SENDING: &str = "sending.json";
const SEQUENCE: &str = "sequence";
const ENDING: &str = ".measurement.json";

impl Queue {
    /// Opens the folder with what waits there.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::with_capacity(folder, QUEUED_MAX)
    }

    fn with_capacity(folder: &Path, capacity: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut waiting = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(ENDING) {
                waiting.push(name);
            }
        }
        waiting.sort_unstable();
        let number = |name: &String| name.trim_end_matches(ENDING).parse::<u64>().ok();
        let next = waiting.iter().filter_map(number).max().map_or(0, |last| last + 1);
        Ok(Queue { folder: folder.to_owned(), waiting: waiting.into(), next, dropped: 0, capacity })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts a measurement on disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn push(&mut self, measurement: &Measurement) -> io::Result<()> {
        let name = format!("{:020}{ENDING}", self.next);
        secret::write(&self.folder.join(&name), &serde_json::to_vec(measurement)?)?;
        self.next += 1;
        self.waiting.push_back(name);
        while self.waiting.len() > self.capacity {
            if let Some(oldest) = self.waiting.pop_front() {
                remove(&self.folder.join(oldest))?;
                self.dropped += 1;
            }
        }
        Ok(())
    }

    /// The batch that is to be sent: the one under way, or the oldest that wait. `None` where none waits.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn batch(&mut self) -> io::Result<Option<Sending>> {
        let file = self.folder.join(SENDING);
        if let Some(bytes) = read(&file)?
            && let Ok(sending) = serde_json::from_slice(&bytes)
        {
            return Ok(Some(sending));
        }
        let (mut files, mut measurements) = (Vec::new(), Vec::new());
        while measurements.len() < MEASUREMENTS_MAX && files.len() < self.waiting.len() {
            let name = self.waiting[files.len()].clone();
            // A file that is none of ours, or was cut off by the end of the machine, is let go with the batch.
            let bytes = read(&self.folder.join(&name))?.unwrap_or_default();
            measurements.extend(serde_json::from_slice::<Measurement>(&bytes).ok());
            files.push(name);
        }
        if files.is_empty() {
            return Ok(None);
        }
        let batch = Batch { sequence: self.turn_sequence()?, measurements };
        let sending = Sending { body: serde_json::to_string(&batch)?, files };
        secret::write(&file, &serde_json::to_vec(&sending)?)?;
        Ok(Some(sending))
    }

    /// Forgets a batch that is over: it was kept, or will never be.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn finish(&mut self, sending: &Sending) -> io::Result<()> {
        for name in &sending.files {
            remove(&self.folder.join(name))?;
        }
        self.waiting.retain(|name| !sending.files.contains(name));
        remove(&self.folder.join(SENDING))
    }

    /// A sequence that was never given before.
    fn turn_sequence(&self) -> io::Result<u64> {
        let file = self.folder.join(SEQUENCE);
        let last = read(&file)?.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse::<u64>().ok());
        let next = last.unwrap_or(0) + 1;
        secret::write(&file, next.to_string().as_bytes())?;
        Ok(next)
    }
}

fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use brownout_core::model::UtcTime;
    use brownout_core::reach::{Control, Run, Signs, Target, Vantage};

    use super::*;

    fn measurement(second: i64) -> Measurement {
        Measurement {
            target: Target {
                url: "https://x.com/".to_owned(),
                is_tls: true,
                host: "x.com".to_owned(),
                port: 443,
            },
            started_at: UtcTime::from_seconds(second),
            vantage: Vantage::default(),
            run: Run::default(),
            control: Control::Missing,
            signs: Signs::default(),
        }
    }

    fn seconds(sending: &Sending) -> (u64, Vec<i64>) {
        let batch: Batch = serde_json::from_str(&sending.body).expect("a batch");
        (batch.sequence, batch.measurements.iter().map(|one| one.started_at.millis() / 1000).collect())
    }

    #[test]
    fn what_waits_is_sent_in_order_and_the_same_again_until_it_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut queue = Queue::open(folder.path()).expect("opens");
        assert_eq!(queue.batch().expect("asked"), None);
        for second in 0..40 {
            queue.push(&measurement(second)).expect("kept");
        }
        let first = queue.batch().expect("asked").expect("a batch");
        assert_eq!(seconds(&first), (1, (0..32).collect()));
        // The program ends and starts again; meanwhile more comes.
        let mut queue = Queue::open(folder.path()).expect("opens");
        queue.push(&measurement(40)).expect("kept");
        assert_eq!(queue.batch().expect("asked"), Some(first.clone()), "the very same bytes");
        queue.finish(&first).expect("over");
        let second = queue.batch().expect("asked").expect("a batch");
        assert_eq!(seconds(&second), (2, (32..41).collect()));
        queue.finish(&second).expect("over");
        assert!(queue.is_empty() && queue.batch().expect("asked").is_none());
    }

    #[test]
    fn the_oldest_are_dropped_and_counted_and_rubbish_stops_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(format!("00000000000000000000{ENDING}")), "{\"cut").expect("written");
        let mut queue = Queue::with_capacity(folder.path(), 3).expect("opens");
        for second in 1..4 {
            queue.push(&measurement(second)).expect("kept");
        }
        assert_eq!((queue.len(), queue.dropped), (3, 1));
        fs::write(folder.path().join(SENDING), "rubbish").expect("written");
        fs::write(folder.path().join(format!("00000000000000000002{ENDING}")), "rubbish").expect("written");
        let batch = queue.batch().expect("asked").expect("a batch");
        assert_eq!(seconds(&batch), (1, vec![1, 3]));
        queue.finish(&batch).expect("over");
        assert!(queue.is_empty());
    }
}
