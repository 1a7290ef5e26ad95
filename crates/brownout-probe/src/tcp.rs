//! Connections over TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use brownout_core::reach::{Connect, Failure};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Prober;
use crate::failure::of_io;

/// Milliseconds since a moment.
pub(crate) fn millis_since(begin: Instant) -> u32 {
    u32::try_from(begin.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// Where a socket is bound that is to talk to an address: to any of the same family.
pub(crate) fn any_like(other: SocketAddr) -> SocketAddr {
    let any = match other {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(any, 0)
}

impl Prober {
    /// Connects to an endpoint that the guard has let through.
    pub(crate) async fn connect(&self, endpoint: SocketAddr) -> Result<TcpStream, Failure> {
        self.pace.pass().await;
        if !self.settings.guard.allows(endpoint.ip()) {
            return Err(Failure::Local);
        }
        match timeout(self.settings.timeouts.connect, TcpStream::connect(endpoint)).await {
            Ok(Ok(stream)) => {
                // Small requests must not wait for company; that it fails changes nothing else.
                let _ = stream.set_nodelay(true);
                Ok(stream)
            }
            Ok(Err(error)) => Err(of_io(&error)),
            Err(_) => Err(Failure::Timeout),
        }
    }

    /// The same, and what is kept of it.
    pub(crate) async fn connect_noted(&self, hop: u8, endpoint: SocketAddr) -> (Connect, Option<TcpStream>) {
        let begin = Instant::now();
        let connected = self.connect(endpoint).await;
        let millis = Some(millis_since(begin));
        match connected {
            Ok(stream) => (Connect { hop, endpoint, failure: None, millis }, Some(stream)),
            Err(failure) => (Connect { hop, endpoint, failure: Some(failure), millis }, None),
        }
    }
}
