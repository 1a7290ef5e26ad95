//! Handshakes of QUIC, and one request over HTTP/3.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brownout_core::reach::{Failure, Fetch, Handshake, Target, Transport};
use bytes::Buf;
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig};
use tokio::time::timeout;

use crate::Prober;
use crate::failure::{of_quic, of_tls};
use crate::http::{Answered, BODY_KEPT_BYTES_MAX, Reading};
use crate::target::{authority_of, path_of};
use crate::tcp::{any_like, millis_since};

impl Prober {
    /// A handshake of QUIC for the target's name at an address, and the page over HTTP/3 if it stands.
    pub(crate) async fn quic(&self, hop: u8, target: &Target, address: IpAddr) -> (Handshake, Option<Fetch>) {
        let endpoint = SocketAddr::new(address, target.port);
        let begin = Instant::now();
        let (connected, certificates) = self.shake_quic(endpoint, &target.host).await;
        let shake = Handshake {
            hop,
            endpoint,
            transport: Transport::Quic,
            server_name: target.host.clone(),
            is_control_name: false,
            is_verified: true,
            failure: connected.as_ref().err().copied(),
            certificates,
            millis: Some(millis_since(begin)),
        };
        let Ok((socket, connection)) = connected else { return (shake, None) };
        let begin = Instant::now();
        let asking = ask_h3(connection.clone(), target, self.page_headers());
        let answered = match timeout(self.settings.timeouts.fetch, asking).await {
            Ok(answered) => answered,
            Err(_) => Answered::failed(Failure::Timeout),
        };
        let fetch = Fetch {
            hop,
            url: target.url.clone(),
            is_tls: true,
            transport: Transport::Quic,
            endpoint: Some(endpoint),
            failure: answered.failure,
            response: answered.response,
            curve: answered.curve,
            millis: Some(millis_since(begin)),
        };
        connection.close(0u32.into(), b"");
        // What says goodbye should leave; it is not waited for long.
        let _ = timeout(Duration::from_millis(50), socket.wait_idle()).await;
        (shake, Some(fetch))
    }

    async fn shake_quic(
        &self,
        endpoint: SocketAddr,
        host: &str,
    ) -> (Result<(Endpoint, Connection), Failure>, Vec<[u8; 32]>) {
        if !self.settings.guard.allows(endpoint.ip()) {
            return (Err(Failure::Local), Vec::new());
        }
        self.pace.pass().await;
        let (tls, keeping) = match self.trust.config(&[b"h3"]) {
            Ok(parts) => parts,
            Err(failure) => return (Err(failure), Vec::new()),
        };
        let shaking = async {
            let crypto = QuicClientConfig::try_from(tls).map_err(|_| Failure::Local)?;
            let mut config = ClientConfig::new(Arc::new(crypto));
            let mut transport = TransportConfig::default();
            transport.max_idle_timeout(self.settings.timeouts.handshake.try_into().ok());
            config.transport_config(Arc::new(transport));
            let socket = Endpoint::client(any_like(endpoint)).map_err(|_| Failure::Local)?;
            let connecting = socket.connect_with(config, endpoint, host).map_err(|_| Failure::Local)?;
            let connection = connecting.await.map_err(|error| of_quic(&error))?;
            Ok((socket, connection))
        };
        let ended = timeout(self.settings.timeouts.handshake, shaking).await.unwrap_or(Err(Failure::Timeout));
        let (certificates, refusal) = keeping.take();
        // Our own refusal of a certificate says more than the alert that it became.
        let ended = ended.map_err(|failure| refusal.as_ref().map_or(failure, of_tls));
        (ended, certificates)
    }
}

async fn ask_h3(
    connection: Connection,
    target: &Target,
    headers: Vec<(HeaderName, HeaderValue)>,
) -> Answered {
    let begin = Instant::now();
    let Ok((mut driver, mut sender)) = h3::client::new(h3_quinn::Connection::new(connection)).await else {
        return Answered::failed(Failure::QuicFailed);
    };
    let work = async {
        let uri = format!("https://{}{}", authority_of(target), path_of(target));
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|_| Failure::Local)?;
        let mut stream = sender.send_request(request).await.map_err(|_| Failure::HttpInvalid)?;
        stream.finish().await.map_err(|_| Failure::HttpInvalid)?;
        let head = stream.recv_response().await.map_err(|_| Failure::HttpInvalid)?;
        let mut reading = Reading::new(begin, BODY_KEPT_BYTES_MAX);
        let failure = loop {
            match stream.recv_data().await {
                Ok(Some(mut bytes)) => {
                    let bytes = bytes.copy_to_bytes(bytes.remaining());
                    if !reading.take(&bytes) {
                        break None;
                    }
                }
                Ok(None) => break None,
                Err(_) => break Some(Failure::Eof),
            }
        };
        Ok::<_, Failure>(reading.end(failure, head.status().as_u16(), head.headers()))
    };
    tokio::select! {
        done = work => done.unwrap_or_else(Answered::failed),
        _ = poll_fn(|cx| driver.poll_close(cx)) => Answered::failed(Failure::QuicFailed),
    }
}
