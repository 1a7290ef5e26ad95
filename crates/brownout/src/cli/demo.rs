//! `brownout demo`.

use std::net::SocketAddr;

use clap::Args;

use super::{Console, Exit, Failure, Settings};

/// Runs the observatory with an outage played into it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout demo\n  brownout demo --speed 600 --listen 127.0.0.1:9000\n\n\
    Nothing of a demo is kept unless --data names a folder.")]
pub struct Demo {
    /// The scenario: a name of `brownout scenario ls`, or a file
    #[arg(long, default_value = "x-2025-03-10")]
    pub scenario: String,
    /// How many times faster than life
    #[arg(long, default_value_t = 60.0, value_parser = parse_speed)]
    pub speed: f64,
    /// Seed of everything that is drawn by chance
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS:PORT", env = "BROWNOUT_LISTEN")]
    pub listen: Option<SocketAddr>,
}

/// A factor that a virtual clock can run at.
pub(super) fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1e6).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.1 to 1000000".to_owned()),
    }
}

pub(super) fn run(args: &Demo, settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (_config, _file) = settings.load(args.listen)?;
    Err(Failure::new("demo: not wired yet"))
}
