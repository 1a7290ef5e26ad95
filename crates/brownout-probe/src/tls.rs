//! Handshakes of TLS, with what was shown also where it was refused.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brownout_core::reach::{Failure, Handshake, Transport};
use ring::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Prober;
use crate::failure::of_io;
use crate::http::{Answered, Ask, ask};
use crate::prober::SetupError;
use crate::tcp::millis_since;

/// Most certificates of a chain that are kept.
const CERTIFICATES_MAX: usize = 8;

/// What every handshake shares.
#[derive(Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Trust {
    /// The usual authorities and some of the operator's own.
    pub(crate) fn new(own: &[CertificateDer<'static>]) -> Result<Self, SetupError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for root in own {
            roots.add(root.clone()).map_err(|error| SetupError::Root(error.to_string()))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| SetupError::Root(error.to_string()))?;
        Ok(Trust { provider, verifier })
    }

    /// The configuration of one handshake, and where what was shown will be kept.
    pub(crate) fn config(&self, protocols: &[&[u8]]) -> Result<(ClientConfig, Arc<Keeping>), Failure> {
        let keeping = Arc::new(Keeping { usual: Arc::clone(&self.verifier), seen: Mutex::default() });
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| Failure::Local)?;
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&keeping) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // Each handshake is to be whole.
        config.resumption = Resumption::disabled();
        Ok((config, keeping))
    }
}

/// Judges certificates as usual and keeps what was shown.
#[derive(Debug)]
pub(crate) struct Keeping {
    usual: Arc<WebPkiServerVerifier>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    certificates: Vec<[u8; 32]>,
    refusal: Option<rustls::Error>,
}

impl Keeping {
    /// The fingerprints of what was shown, and why it was refused if it was.
    pub(crate) fn take(&self) -> (Vec<[u8; 32]>, Option<rustls::Error>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut seen.certificates), seen.refusal.take())
    }
}

impl ServerCertVerifier for Keeping {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.usual.verify_server_cert(end, between, name, ocsp, now);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = std::iter::once(end).chain(between).take(CERTIFICATES_MAX);
        seen.certificates = shown.map(fingerprint).collect();
        seen.refusal = judged.as_ref().err().cloned();
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    bytes
}

/// A stream under TLS, with what was agreed on.
pub(crate) struct Secured {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) is_h2: bool,
}

/// A connection over which something can be asked for.
pub(crate) enum Link {
    /// Without TLS.
    Open(TcpStream),
    /// With it.
    Secured(Box<Secured>),
}

impl Link {
    /// Sends a request and reads the answer, which may take so long.
    pub(crate) async fn ask(self, request: Ask, patience: Duration) -> Answered {
        match self {
            Link::Open(stream) => ask(stream, false, request, patience).await,
            Link::Secured(secured) => ask(secured.stream, secured.is_h2, request, patience).await,
        }
    }
}

/// The name that a handshake asks for; `None` where it can be none.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

impl Prober {
    /// Makes a handshake on a connection, and keeps what was shown.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> (Result<Secured, Failure>, Vec<[u8; 32]>) {
        let Some(name) = server_name(host) else { return (Err(Failure::Local), Vec::new()) };
        let (config, keeping) = match self.trust.config(&[b"h2", b"http/1.1"]) {
            Ok(parts) => parts,
            Err(failure) => return (Err(failure), Vec::new()),
        };
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let ended = timeout(self.settings.timeouts.handshake, connecting).await;
        let (certificates, _) = keeping.take();
        let secured = match ended {
            Ok(Ok(stream)) => {
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok(Secured { stream, is_h2 })
            }
            Ok(Err(error)) => Err(of_io(&error)),
            Err(_) => Err(Failure::Timeout),
        };
        (secured, certificates)
    }

    /// The same, and what is kept of it.
    pub(crate) async fn secure_noted(
        &self,
        hop: u8,
        endpoint: SocketAddr,
        (stream, host): (TcpStream, &str),
        is_control_name: bool,
    ) -> (Handshake, Option<Secured>) {
        let begin = Instant::now();
        let (secured, certificates) = self.secure(stream, host).await;
        let millis = Some(millis_since(begin));
        let (failure, secured) = match secured {
            Ok(secured) => (None, Some(secured)),
            Err(failure) => (Some(failure), None),
        };
        let shake = Handshake {
            hop,
            endpoint,
            transport: Transport::Tcp,
            server_name: host.to_owned(),
            is_control_name,
            is_verified: true,
            failure,
            certificates,
            millis,
        };
        (shake, secured)
    }
}
