//! What a changed file changes in a running program.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Config;

/// What the command line sets instead of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The data folder.
    pub folder: Option<PathBuf>,
    /// Where to listen.
    pub listen: Option<SocketAddr>,
}

impl Overrides {
    /// Lays them over what the file says.
    pub fn apply(&self, config: &mut Config) {
        if let Some(folder) = &self.folder {
            config.data.folder.clone_from(folder);
        }
        if let Some(address) = self.listen {
            config.listen.address = address;
        }
    }
}

/// Where a running program's configuration comes from, to read it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// What goes before it.
    pub overrides: Overrides,
}

impl Source {
    /// Reads the configuration as the start did.
    ///
    /// # Errors
    /// In words: the file cannot be read or is not valid.
    pub fn read(&self) -> Result<Config, String> {
        let text = std::fs::read_to_string(&self.file).map_err(|error| error.to_string())?;
        let mut config =
            Config::parse(&self.file.display().to_string(), &text).map_err(|error| error.to_string())?;
        self.overrides.apply(&mut config);
        Ok(config)
    }
}

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
