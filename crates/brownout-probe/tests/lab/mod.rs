//! Small servers on loopback that behave and misbehave.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use brownout_probe::{ControlQuestion, Prober};
use bytes::Bytes;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;

pub(crate) type Root = CertificateDer<'static>;

/// An authority of the test's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
}

/// A server whose certificate is an authority's own, for one name.
pub(crate) fn own_authority(name: &str) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    serving(certificate.der().clone(), &key)
}

fn serving(certificate: Root, key: &KeyPair) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a configuration");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Authority {
    pub(crate) fn root(&self) -> Root {
        self.0.der().clone()
    }

    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.sign(CertificateParams::new([name.to_owned()]).expect("parameters"))
    }

    pub(crate) fn expired(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        serving(certificate.der().clone(), &key)
    }
}

/// What a resolver says.
#[derive(Clone)]
pub(crate) struct Answers {
    known: Vec<(String, Vec<IpAddr>)>,
    /// What is said first, before the truth.
    injected: Vec<(String, Vec<IpAddr>)>,
    /// What is said of all other names; `None` is nothing.
    otherwise: Option<ResponseCode>,
}

pub(crate) fn names(known: &[(&str, &[IpAddr])]) -> Answers {
    Answers { known: owned(known), injected: Vec::new(), otherwise: Some(ResponseCode::NXDomain) }
}

fn owned(known: &[(&str, &[IpAddr])]) -> Vec<(String, Vec<IpAddr>)> {
    known.iter().map(|(name, addresses)| (format!("{name}."), addresses.to_vec())).collect()
}

impl Answers {
    fn all(otherwise: Option<ResponseCode>) -> Self {
        Answers { known: Vec::new(), injected: Vec::new(), otherwise }
    }
    pub(crate) fn nxdomain() -> Self {
        Answers::all(Some(ResponseCode::NXDomain))
    }
    pub(crate) fn refused() -> Self {
        Answers::all(Some(ResponseCode::Refused))
    }
    pub(crate) fn servfail() -> Self {
        Answers::all(Some(ResponseCode::ServFail))
    }
    pub(crate) fn silent() -> Self {
        Answers::all(None)
    }
    pub(crate) fn but(mut self, known: &[(&str, &[IpAddr])]) -> Self {
        self.known = owned(known);
        self
    }
    pub(crate) fn after(mut self, injected: &[(&str, &[IpAddr])]) -> Self {
        self.injected = owned(injected);
        self
    }

    fn to(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let asked = Message::from_vec(bytes).expect("a question");
        let query = asked.queries[0].clone();
        let name = query.name().to_string();
        let answer = |code: ResponseCode, addresses: &[IpAddr]| {
            let mut message = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
            message.metadata.response_code = code;
            message.add_query(query.clone());
            for address in addresses {
                if let (IpAddr::V4(address), RecordType::A) = (address, query.query_type()) {
                    message.add_answer(Record::from_rdata(query.name().clone(), 60, RData::A(A(*address))));
                }
            }
            message.to_vec().expect("an answer")
        };
        let of = |list: &[(String, Vec<IpAddr>)]| {
            let found = list.iter().find(|(known, _)| *known == name)?;
            Some(answer(ResponseCode::NoError, &found.1))
        };
        let truth = of(&self.known).or_else(|| self.otherwise.map(|code| answer(code, &[])));
        of(&self.injected).into_iter().chain(truth).collect()
    }
}

/// A resolver over UDP and TCP.
pub(crate) async fn resolver(answers: Answers) -> SocketAddr {
    let (socket, listener) = loop {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        if let Ok(listener) = TcpListener::bind(address).await {
            break (socket, listener);
        }
    };
    let address = socket.local_addr().expect("an address");
    let over_tcp = answers.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in answers.to(&buffer[..length]) {
                let _ = socket.send_to(&answer, from).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Ok(length) = stream.read_u16().await else { continue };
            let mut question = vec![0; usize::from(length)];
            if stream.read_exact(&mut question).await.is_err() {
                continue;
            }
            if let Some(answer) = over_tcp.to(&question).pop() {
                let _ = stream.write_u16(answer.len() as u16).await;
                let _ = stream.write_all(&answer).await;
            }
        }
    });
    address
}

/// What a server does.
#[derive(Clone)]
pub(crate) enum Site {
    /// A page over HTTP.
    Page,
    /// The same over TLS.
    Tls(Arc<ServerConfig>),
    /// Resets every connection whose handshake names this, and serves others.
    ResetName(Arc<ServerConfig>, &'static str),
    CloseAtOnce,
    Redirects,
    Endless,
    Stuck,
    /// A resolver over HTTPS.
    Names(Arc<ServerConfig>, Answers),
    /// A control.
    Control(Arc<Prober>),
}

pub(crate) async fn web(site: Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, site.clone()));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, site: Site) {
    match site.clone() {
        Site::Tls(config) | Site::Names(config, _) => {
            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                http(stream, site).await;
            }
        }
        Site::ResetName(config, name) => {
            let mut seen = [0; 2_048];
            let length = stream.peek(&mut seen).await.unwrap_or(0);
            if seen[..length].windows(name.len()).any(|part| part == name.as_bytes()) {
                // What is unread when a socket is closed resets the connection.
                stream.set_zero_linger().expect("a socket");
                return;
            }
            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                http(stream, site).await;
            }
        }
        Site::CloseAtOnce => {
            let mut seen = [0; 2_048];
            let _ = stream.read(&mut seen).await;
        }
        Site::Endless => {
            let mut seen = [0; 2_048];
            let _ = stream.read(&mut seen).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            while stream.write_all(&[b'x'; 16_384]).await.is_ok() {}
        }
        Site::Stuck => {
            let mut seen = [0; 2_048];
            let _ = stream.read(&mut seen).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789").await;
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        Site::Page | Site::Redirects | Site::Control(_) => http(stream, site).await,
    }
}

async fn http<S>(stream: S, site: Site)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(answer(request, site).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

pub(crate) fn page() -> String {
    format!("<!doctype html><title>A site of the test</title><p>{}</p>", "words ".repeat(500))
}

async fn answer(request: Request<Incoming>, site: Site) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let to = |status: u16, location: &str| {
        Response::builder()
            .status(status)
            .header("location", location)
            .body(Full::default())
            .expect("an answer")
    };
    match (site, head.uri.path()) {
        (Site::Names(_, answers), _) => {
            let said = answers.to(&body).pop().unwrap_or_default();
            Response::new(Full::new(said.into()))
        }
        (Site::Control(prober), _) => {
            let question: ControlQuestion = serde_json::from_slice(&body).expect("a question");
            let found = prober.baseline(&question).await.expect("a baseline");
            Response::new(Full::new(serde_json::to_vec(&found).expect("an answer").into()))
        }
        (Site::Redirects, "/3") => to(302, "2"),
        (Site::Redirects, "/2") => to(301, "/1"),
        (Site::Redirects, "/1") => to(307, "/"),
        (Site::Redirects, "/loop") => to(302, "/loop"),
        (Site::Redirects, "/nowhere") => to(302, "https:///"),
        (Site::Redirects, "/cookie") if head.headers.contains_key("cookie") => {
            Response::builder().status(204).body(Full::default()).expect("an answer")
        }
        (Site::Redirects, "/cookie") => {
            let set = Response::builder().status(302).header("location", "/cookie");
            set.header("set-cookie", "seen=1; Path=/").body(Full::default()).expect("an answer")
        }
        _ => Response::builder().header("server", "lab").body(Full::new(page().into())).expect("an answer"),
    }
}

/// The same page over HTTP/3, at the address of a server over TCP.
pub(crate) async fn quic(at: SocketAddr, server: Arc<ServerConfig>) {
    let mut server = ServerConfig::clone(&server);
    server.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(server).expect("a configuration");
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let endpoint = quinn::Endpoint::server(config, at).expect("an endpoint");
    tokio::spawn(async move {
        while let Some(incoming) = endpoint.accept().await {
            let Ok(connection) = incoming.await else { continue };
            let Ok(mut h3) =
                h3::server::Connection::<_, Bytes>::new(h3_quinn::Connection::new(connection)).await
            else {
                continue;
            };
            while let Ok(Some(resolver)) = h3.accept().await {
                let Ok((_, mut stream)) = resolver.resolve_request().await else { continue };
                let _ = stream.send_response(Response::new(())).await;
                let _ = stream.send_data(Bytes::from(page())).await;
                let _ = stream.finish().await;
            }
        }
    });
}
