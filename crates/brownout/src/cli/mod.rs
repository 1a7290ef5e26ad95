//! The command line: what can be asked, and how it ends.

pub mod backup;
pub mod check;
pub mod client;
pub mod comment;
pub mod console;
pub mod demo;
pub mod doctor;
pub mod exit;
pub mod export;
pub mod import;
pub mod incident;
pub mod init;
pub mod log;
pub mod packed;
pub mod papers;
mod probe;
pub mod progress;
pub mod query;
pub mod replay;
pub mod scenario;
pub mod serve;
pub mod settings;
pub mod status;
pub mod token;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

pub use console::{Console, Format, Table};
pub use exit::{Exit, Failure};
pub use settings::Settings;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "brownout", version, about = "Is it down, where, since when, and how do we know?")]
#[command(
    long_about = "An internet outage observatory: it collects people's reports that a service fails, finds the \
    departures from what is usual, and publishes a verdict whose every reason can be checked.\n\n\
    Data goes to standard output, messages to standard error."
)]
#[command(
    after_help = "Examples:\n  brownout demo                    see the outage of 10 March 2025 unfold\n  \
    brownout init && brownout serve  run an observatory here\n\n\
    Exit codes: 0 ok, 1 error, 2 usage, 3 a check failed, 4 outage present (status --exit-code), 78 bad configuration"
)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the commented configuration with all defaults
    Init(init::Init),
    /// Run the observatory: intake, detection, pages and API
    Serve(serve::Serve),
    /// Run the observatory with the outage of 10 March 2025 played into it
    Demo(demo::Demo),
    /// Say what is wrong with a configuration, with line and column
    Check(check::Check),
    /// Look at what the program needs: disk, port, clock, data files
    Doctor(doctor::Doctor),
    /// How services stand on a running server
    Status(status::Status),
    /// Incidents on a running server: list, show, close, hold, note
    Incident(incident::Incident),
    /// Counts of one service over time from a running server
    Query(query::Query),
    /// Export an incident from a running server
    Export(export::Export),
    /// The evidence log: verify, print, count
    Log(log::Log),
    /// Bring in reports from a file, into a data folder of their own
    Import(import::Import),
    /// Measure whether targets are reached; be a vantage point; judge measurements
    Probe(probe::Probe),
    /// Run a stored evidence log again and print what is concluded
    Replay(replay::Replay),
    /// Play written scenarios through the engine
    Scenario(scenario::Scenario),
    /// Copy the data folder while the server runs
    Backup(backup::Backup),
    /// Tokens of the batch intake
    Token(token::Token),
    /// Read and remove comments
    Comment(comment::Comment),
    /// Print completions for a shell
    Completions(papers::Completions),
    /// Write the manual pages into a folder
    Man(papers::Man),
}

/// Runs the program as it was called and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { Exit::Ok } else { Exit::Usage }.into();
        }
    };
    if let Err(error) = crate::logging::init(cli.settings.log_format, &cli.settings.log_level) {
        let _ = writeln!(io::stderr(), "brownout: {error}");
        return Exit::Usage.into();
    }
    let (mut out, mut err) = (io::BufWriter::new(io::stdout().lock()), io::stderr());
    let format = cli.settings.output;
    let mut console = Console { out: &mut out, err: &mut err, format };
    let ended = run(cli, &mut console).and_then(|exit| Ok(out.flush().map(|()| exit)?));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                let _ = writeln!(io::stderr(), "brownout: {failure}");
            }
            failure.exit.into()
        }
    }
}

/// Carries one command out.
///
/// # Errors
/// What the command could not do, with the code to end with.
pub fn run(cli: Cli, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let settings = &cli.settings;
    match cli.command {
        Command::Init(args) => init::run(&args, console),
        Command::Serve(args) => serve::run(&args, settings, console),
        Command::Demo(args) => demo::run(&args, settings, console),
        Command::Check(args) => check::run(&args, settings, console),
        Command::Doctor(args) => doctor::run(&args, settings, console),
        Command::Status(args) => status::run(&args, console),
        Command::Incident(args) => incident::run(&args, settings, console),
        Command::Query(args) => query::run(&args, console),
        Command::Export(args) => export::run(&args, console),
        Command::Log(args) => log::run(&args, settings, console),
        Command::Import(args) => import::run(&args, settings, console),
        Command::Probe(args) => probe::run(&args, settings, console),
        Command::Replay(args) => replay::run(&args, console),
        Command::Scenario(args) => scenario::run(&args, settings, console),
        Command::Backup(args) => backup::run(&args, settings, console),
        Command::Token(args) => token::run(&args, settings, console),
        Command::Comment(args) => comment::run(&args, settings, console),
        Command::Completions(args) => papers::completions(&args, console),
        Command::Man(args) => papers::man(&args, console),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_folder;
