//! What the program says about itself: one line per event on standard error.

use std::fmt;
use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Begins logging. `filter` is a level (`info`) or levels per part (`info,brownout_web=debug`).
///
/// # Errors
/// The filter cannot be read, or logging has begun already.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| LoggingError(error.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let begun = match format {
        LogFormat::Human => builder.with_target(false).with_ansi(colours_wanted()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    begun.map_err(|error| LoggingError(error.to_string()))
}

/// Colours only for a person's terminal, and never against <https://no-color.org>.
fn colours_wanted() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Why logging did not begin.
#[derive(Clone, Debug)]
pub struct LoggingError(String);

impl fmt::Display for LoggingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "logging: {}", self.0)
    }
}

impl std::error::Error for LoggingError {}
