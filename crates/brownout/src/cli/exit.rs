//! How a command ends: a promise to scripts.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;

/// The exit codes. Their numbers are an interface and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All well.
    Ok = 0,
    /// The command could not do what it was asked.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A check ran and failed.
    CheckFailed = 3,
    /// `status --exit-code`: there is an outage.
    Outage = 4,
    /// The configuration is wrong (`EX_CONFIG` of BSD's sysexits).
    BadConfig = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked. Shown once, on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What to tell.
    pub message: String,
}

impl Failure {
    /// An ordinary error.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Error, message: message.into() }
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Usage, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure { exit: Exit::BadConfig, message: error.to_string() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::new(error.to_string())
    }
}
