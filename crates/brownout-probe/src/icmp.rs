//! Echoes, where this machine permits them (Linux: `net.ipv4.ping_group_range`).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::time::Instant;

use brownout_core::reach::Ping;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::Prober;
use crate::tcp::millis_since;

/// An echo request and its answer: type, code, checksum, identifier, sequence (RFC 792, RFC 4443). A socket for
/// echoes fills in checksum and identifier, and gets answers to its own requests only.
const HEADER_BYTES: usize = 8;
const REQUEST_V4: u8 = 8;
const REQUEST_V6: u8 = 128;
/// What is sent along.
const PAYLOAD: &[u8; 24] = b"brownout: is it reached?";

impl Prober {
    /// Asks an address for an echo; `None` where none may be asked for.
    pub(crate) async fn ping(&self, address: IpAddr) -> Option<Ping> {
        if !self.settings.guard.allows(address) {
            return None;
        }
        let socket = open(address).ok()?;
        self.pace.pass().await;
        let kind = if address.is_ipv4() { REQUEST_V4 } else { REQUEST_V6 };
        let request = [[kind, 0, 0, 0, 0, 0, 0, 1].as_slice(), PAYLOAD].concat();
        let begin = Instant::now();
        socket.send(&request).await.ok()?;
        let answered = timeout(self.settings.timeouts.ping, answer(&socket)).await;
        let is_answered = matches!(answered, Ok(Ok(())));
        Some(Ping { address, millis: is_answered.then(|| millis_since(begin)) })
    }
}

/// A socket for echoes of one address; an error where the system permits none.
fn open(address: IpAddr) -> io::Result<UdpSocket> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.connect(&SocketAddr::new(address, 0).into())?;
    UdpSocket::from_std(StdSocket::from(socket))
}

/// Waits for the answer; an error where a router says that there will be none.
async fn answer(socket: &UdpSocket) -> io::Result<()> {
    let mut bytes = [0; 128];
    loop {
        let length = socket.recv(&mut bytes).await?;
        if length >= HEADER_BYTES && bytes[HEADER_BYTES..length] == *PAYLOAD {
            return Ok(());
        }
    }
}
