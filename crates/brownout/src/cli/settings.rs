//! What holds for every command: which configuration, which folder, which form of output.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::console::Format;
use super::exit::{Exit, Failure};
use crate::config::{Config, Overrides};
use crate::logging::LogFormat;

/// Where a configuration is looked for when none is named.
const USUAL_FILES: [&str; 2] = ["brownout.toml", "/etc/brownout/brownout.toml"];
/// A configuration is small; anything larger is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Settings {
    /// Configuration file; else ./brownout.toml, else /etc/brownout/brownout.toml, else defaults
    #[arg(long, short, global = true, value_name = "FILE", env = "BROWNOUT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data folder, instead of the configured one
    #[arg(long, global = true, value_name = "DIR", env = "BROWNOUT_DATA")]
    pub data: Option<PathBuf>,
    /// Form of the data on standard output
    #[arg(long, short, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// What is logged: a level, or levels per part such as info,brownout=debug
    #[arg(long, global = true, value_name = "LEVEL", env = "BROWNOUT_LOG", default_value = "info")]
    pub log_level: String,
    /// Form of the log lines on standard error
    #[arg(long, global = true, value_enum, env = "BROWNOUT_LOG_FORMAT", default_value_t)]
    pub log_format: LogFormat,
}

impl Settings {
    /// The configuration in force, and the file it came from. `listen` wins over the file's.
    ///
    /// # Errors
    /// The file cannot be read or is not valid; both end with [`Exit::BadConfig`].
    pub fn load(&self, listen: Option<SocketAddr>) -> Result<(Config, Option<PathBuf>), Failure> {
        let file =
            self.config.clone().or_else(|| USUAL_FILES.iter().map(PathBuf::from).find(|file| file.is_file()));
        let mut config = match &file {
            Some(file) => read(file)?,
            None => Config::default(),
        };
        self.overrides(listen).apply(&mut config);
        Ok((config, file))
    }

    /// What the command line sets instead of the file.
    pub fn overrides(&self, listen: Option<SocketAddr>) -> Overrides {
        Overrides { folder: self.data.clone(), listen }
    }
}

/// Reads one configuration file.
///
/// # Errors
/// It cannot be read or is not valid; both end with [`Exit::BadConfig`].
pub fn read(file: &Path) -> Result<Config, Failure> {
    let refuse = |message: String| Failure { exit: Exit::BadConfig, message };
    let name = file.display().to_string();
    let size = std::fs::metadata(file).map_err(|error| refuse(format!("{name}: {error}")))?.len();
    if size > FILE_BYTES_MAX {
        return Err(refuse(format!("{name}: {size} bytes are too many for a configuration")));
    }
    let bytes = std::fs::read(file).map_err(|error| refuse(format!("{name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| refuse(format!("{name}: not UTF-8: {error}")))?;
    Ok(Config::parse(&name, &text)?)
}
