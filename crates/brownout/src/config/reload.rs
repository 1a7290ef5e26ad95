//! What a changed file changes in a running program.

use std::fmt;

use super::Config;

/// Settings that apply live. Everything else is read once, at the start.
const LIVE: &[&str] = &["policy.", "catalogue."];

/// One setting that differs between two configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `section.key`.
    pub setting: String,
    /// The value before; null is "not set".
    pub old: serde_json::Value,
    /// The value now.
    pub new: serde_json::Value,
    /// Whether it has no effect before a restart.
    pub needs_restart: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { setting, old, new, needs_restart } = self;
        let when = if *needs_restart { "after a restart" } else { "now" };
        write!(f, "{setting}: {old} -> {new} (applies {when})")
    }
}

impl Config {
    /// What differs, in the order of the settings.
    pub fn reloadable_diff(old: &Config, new: &Config) -> Vec<Change> {
        let pairs = old.settings().into_iter().zip(new.settings());
        pairs
            .filter(|((_, old), (_, new))| old != new)
            .map(|((setting, old), (_, new))| {
                let needs_restart = !LIVE.iter().any(|prefix| setting.starts_with(prefix));
                Change { setting, old, new, needs_restart }
            })
            .collect()
    }
}
