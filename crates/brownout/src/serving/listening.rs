//! The one listener of the process, from the first connection to a graceful stop.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Listen;
use crate::listener::{ListenerLimits, ListenerMetrics, serve};

/// A socket that listens and does not answer yet.
pub struct Listening {
    listener: TcpListener,
    /// Where it listens; the port is the real one.
    pub address: SocketAddr,
    limits: ListenerLimits,
}

/// Binds the configured address.
///
/// # Errors
/// In words: the address is in use or not ours.
pub async fn listen(config: &Listen) -> Result<Listening, String> {
    let failed = |error: std::io::Error| format!("cannot listen on {}: {error}", config.address);
    let listener = TcpListener::bind(config.address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let limits = ListenerLimits {
        connections_max: config.connections_max as usize,
        header_timeout: Duration::from_secs(config.header_timeout_seconds.into()),
        idle_timeout: Duration::from_secs(config.idle_timeout_seconds.into()),
        stop_timeout: Duration::from_secs(config.shutdown_seconds.into()),
        ..ListenerLimits::default()
    };
    Ok(Listening { listener, address, limits })
}

impl Listening {
    /// Answers until SIGINT or SIGTERM, then has `end_streams` end what would never finish and lets
    /// open requests finish.
    ///
    /// # Errors
    /// In words, when the socket is lost.
    pub async fn serve(
        self,
        router: Router,
        metrics: ListenerMetrics,
        end_streams: impl FnOnce(),
    ) -> Result<(), String> {
        let stop = async {
            stopped().await;
            end_streams();
        };
        serve(self.listener, router, self.limits, metrics, stop)
            .await
            .map_err(|error| format!("the listener failed: {error}"))
    }
}

/// Waits to be asked to stop.
async fn stopped() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::error!("signals cannot be listened for");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: open requests are answered, everything acknowledged is on disk");
}
