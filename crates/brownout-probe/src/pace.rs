//! How fast new connections are made.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A bound on how many connections begin in a second. Who is too early waits, in the order of asking.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Bounds connections to a number per second; 0 is no bound.
    pub(crate) fn new(per_second_max: u32) -> Self {
        let gap = Duration::from_secs(1).checked_div(per_second_max).unwrap_or(Duration::ZERO);
        Pace { gap, next: Mutex::new(None) }
    }

    /// Waits for leave to open a connection.
    pub(crate) async fn pass(&self) {
        if self.gap.is_zero() {
            return;
        }
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(at + self.gap);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_are_spaced_out() {
        let pace = Pace::new(10);
        let begin = Instant::now();
        for _ in 0..21 {
            pace.pass().await;
        }
        assert_eq!(begin.elapsed().as_millis(), 2_000);
        Pace::new(0).pass().await;
        assert_eq!(begin.elapsed().as_millis(), 2_000);
    }
}
