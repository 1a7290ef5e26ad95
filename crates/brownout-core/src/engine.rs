//! The engine: driven by records, it never drives.

use crate::effect::Effect;
use crate::model::{Record, UtcTime};

/// Counts, detects and judges. Time moves only by the records it is given, in `seq` order.
#[derive(Debug, Default)]
pub struct Engine {}

impl Engine {
    /// An engine that has seen nothing. Its first records must be a catalogue and a policy.
    pub fn new() -> Self {
        Engine {}
    }

    /// Takes the next record.
    pub fn handle(&mut self, _record: &Record) {}

    /// When the host should append the next [`crate::model::Evidence::Tick`].
    pub fn poll_timeout(&self) -> Option<UtcTime> {
        None
    }

    /// The next thing the host is to do; ask until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// The whole state as bytes, the same for the same records.
    pub fn checkpoint(&self) -> Vec<u8> {
        Vec::new()
    }

    /// An engine as it was when `bytes` were made by [`Engine::checkpoint`] of the same version.
    pub fn restore(_bytes: &[u8]) -> Option<Self> {
        None
    }
}
