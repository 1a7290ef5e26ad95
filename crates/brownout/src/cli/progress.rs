//! How far a long command is, for a person at a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Silence at first: what is done within a second needs no progress.
const SILENT: Duration = Duration::from_secs(1);
/// Time between two drawings.
const PAUSE: Duration = Duration::from_millis(200);

/// A line on standard error that says how much is done and how long the rest will take.
#[derive(Debug)]
pub struct Progress {
    label: &'static str,
    total: Option<u64>,
    done: u64,
    begun: Instant,
    drawn: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Begins. `total` is in the same unit as the steps, where it is known.
    pub fn new(label: &'static str, total: Option<u64>) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Progress { label, total, done: 0, begun: Instant::now(), drawn: None, is_terminal }
    }

    /// That much more is done. Cheap enough for every thousandth record.
    pub fn advance(&mut self, steps: u64) {
        self.done += steps;
        let elapsed = self.begun.elapsed();
        if self.is_terminal && elapsed >= SILENT && self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) {
            self.drawn = Some(Instant::now());
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(self.label, self.done, self.total, elapsed));
        }
    }
}

impl Drop for Progress {
    /// Leaves a clean line, also when the command fails half-way.
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(label: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let per_second = done as f64 / elapsed.as_secs_f64().max(1e-3);
    match total.filter(|total| *total > 0) {
        Some(total) => {
            let share = (done as f64 / total as f64).min(1.0);
            let left = if done == 0 {
                "unknown time left".to_owned()
            } else {
                let seconds = (total.saturating_sub(done) as f64 / per_second).ceil() as u64;
                format!("{} left", minutes_and_seconds(seconds))
            };
            format!("{label}: {:.0}%, {per_second:.0}/s, {left}", share * 100.0)
        }
        None => format!("{label}: {done}, {per_second:.0}/s"),
    }
}

fn minutes_and_seconds(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {:02} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_share_speed_and_rest() {
        let two = Duration::from_secs(2);
        assert_eq!(line("replay", 500, Some(2000), two), "replay: 25%, 250/s, 6 s left");
        assert_eq!(line("replay", 1, Some(400), two), "replay: 0%, 0/s, 13 min 18 s left");
        assert_eq!(line("replay", 0, Some(400), two), "replay: 0%, 0/s, unknown time left");
        assert_eq!(line("replay", 9, Some(4), two), "replay: 100%, 4/s, 0 s left");
        assert_eq!(line("import", 10, None, two), "import: 10, 5/s");
    }
}
