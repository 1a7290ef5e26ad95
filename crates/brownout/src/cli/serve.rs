//! `brownout serve`.

use std::net::SocketAddr;

use clap::Args;

use super::{Console, Exit, Failure, Settings};

/// Runs the observatory.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  brownout serve\n  brownout serve --config /etc/brownout/brownout.toml --log-format json\n\n\
    SIGHUP reads the configuration, the catalogue and the address databases again; SIGTERM and SIGINT\n\
    stop gracefully: open requests are answered and everything acknowledged is on disk."
)]
pub struct Serve {
    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS:PORT", env = "BROWNOUT_LISTEN")]
    pub listen: Option<SocketAddr>,
}

pub(super) fn run(args: &Serve, settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _file) = settings.load(args.listen)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Err(Failure::new("serve: not wired yet"))
}
