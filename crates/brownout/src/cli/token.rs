//! `brownout token`.

use clap::{Args, Subcommand};

use super::{Console, Exit, Failure, Settings};

/// Tokens of the batch intake.
#[derive(Args, Debug)]
pub struct Token {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a token for a channel and print it, once
    #[command(after_help = "Example:\n  brownout token add helpdesk --days 365")]
    Add(Add),
    /// List tokens: channel, when made, when last used, never the token itself
    #[command(after_help = "Example:\n  brownout token ls --output json")]
    Ls,
    /// Revoke a token by its number; the channel's reports stay
    #[command(after_help = "Example:\n  brownout token revoke 3")]
    Revoke(Revoke),
}

/// A token to make.
#[derive(Args, Debug)]
pub struct Add {
    /// Name of the channel whose reports it may send: 1 to 32 of a-z, 0-9 and inner hyphens
    pub channel: String,
    /// Days until it expires; without it, never
    #[arg(long)]
    pub days: Option<u32>,
    /// What its reports weigh at most, in percent of a person's own report
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub weight: u8,
    /// Let it give its own time to a folder with a virtual clock (scenarios, imports)
    #[arg(long)]
    pub virtual_clock: bool,
}

/// A token to revoke.
#[derive(Args, Debug)]
pub struct Revoke {
    /// Its number in `brownout token ls`
    pub number: u32,
}

pub(super) fn run(args: &Token, settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (_config, _file) = settings.load(None)?;
    match &args.action {
        Action::Add(_add) => Err(Failure::new("token add: not wired yet")),
        Action::Ls => Err(Failure::new("token ls: not wired yet")),
        Action::Revoke(_revoke) => Err(Failure::new("token revoke: not wired yet")),
    }
}
