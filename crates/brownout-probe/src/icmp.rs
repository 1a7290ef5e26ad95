//! Echoes, where this machine permits them.

use std::net::IpAddr;

use brownout_core::reach::Ping;
use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence, SurgeError};

use crate::Prober;

/// What is sent along.
const PAYLOAD: [u8; 24] = *b"brownout: is it reached?";

/// Sockets for echoes; `None` where the machine permits none.
pub(crate) struct Echoes {
    v4: Option<Client>,
    v6: Option<Client>,
}

impl Echoes {
    /// Opens what may be opened; it needs a runtime.
    pub(crate) fn open() -> Self {
        let client = |kind| Client::new(&Config::builder().kind(kind).build()).ok();
        Echoes { v4: client(ICMP::V4), v6: client(ICMP::V6) }
    }
}

impl Prober {
    /// Asks an address for an echo; `None` where none may be asked for.
    pub(crate) async fn ping(&self, address: IpAddr) -> Option<Ping> {
        if !self.settings.guard.allows(address) {
            return None;
        }
        let client = match address {
            IpAddr::V4(_) => self.echoes.v4.as_ref(),
            IpAddr::V6(_) => self.echoes.v6.as_ref(),
        }?;
        self.pace.pass().await;
        let number = self.echo_number();
        let mut pinger = client.pinger(address, PingIdentifier(number)).await;
        pinger.timeout(self.settings.timeouts.ping);
        match pinger.ping(PingSequence(0), &PAYLOAD).await {
            Ok((_, took)) => {
                let millis = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
                Some(Ping { address, millis: Some(millis) })
            }
            Err(SurgeError::Timeout { .. }) => Some(Ping { address, millis: None }),
            // It could not be sent.
            Err(_) => None,
        }
    }
}
