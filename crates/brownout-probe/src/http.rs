//! Requests over HTTP/1.1 and HTTP/2, on sockets of our own.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use brownout_core::reach::{Failure, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;

use crate::failure::of_http;
use crate::tcp::millis_since;

/// How much of a page is kept, for its title and for fingerprints.
pub(crate) const BODY_KEPT_BYTES_MAX: usize = 65_536;
/// How much of a body is read; what is longer is cut off.
const BODY_READ_BYTES_MAX: u64 = 1 << 20;
/// Most points of a curve; after that they are thinned out.
const CURVE_POINTS_MAX: usize = 64;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// `https` or `http`.
    pub(crate) is_tls: bool,
    /// Host, and port where it is not the usual one.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
    /// Header fields beside `Host`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent: then it is a POST.
    pub(crate) body: Option<Bytes>,
    /// How much of the answer's body is kept.
    pub(crate) kept_bytes_max: usize,
}

/// What came of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered {
    /// Why there is no whole answer.
    pub(crate) failure: Option<Failure>,
    /// What came, also where the body did not come whole.
    pub(crate) response: Option<Response>,
    /// Milliseconds since the request, and bytes of the body by then.
    pub(crate) curve: Vec<(u32, u64)>,
}

impl Answered {
    pub(crate) fn failed(failure: Failure) -> Self {
        Answered { failure: Some(failure), ..Answered::default() }
    }
}

/// Sends a request on a connection and reads the answer, which may take so long.
pub(crate) async fn ask<S>(stream: S, is_h2: bool, ask: Ask, patience: Duration) -> Answered
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let deadline = tokio::time::Instant::now() + patience;
    let Some(request) = request_of(&ask, is_h2) else { return Answered::failed(Failure::Local) };
    let kept_max = ask.kept_bytes_max;
    let io = TokioIo::new(stream);
    if is_h2 {
        let shaking = http2::Builder::new(TokioExecutor::new()).handshake(io);
        match timeout_at(deadline, shaking).await {
            Ok(Ok((mut sender, connection))) => {
                alongside(connection, async {
                    converse(sender.send_request(request), kept_max, deadline).await
                })
                .await
            }
            Ok(Err(error)) => Answered::failed(of_http(&error)),
            Err(_) => Answered::failed(Failure::Timeout),
        }
    } else {
        match http1::Builder::new().handshake(io).await {
            Ok((mut sender, connection)) => {
                alongside(connection, async {
                    converse(sender.send_request(request), kept_max, deadline).await
                })
                .await
            }
            Err(error) => Answered::failed(of_http(&error)),
        }
    }
}

fn request_of(ask: &Ask, is_h2: bool) -> Option<Request<Full<Bytes>>> {
    let scheme = if ask.is_tls { "https" } else { "http" };
    let uri: Uri = if is_h2 {
        format!("{scheme}://{}{}", ask.authority, ask.path).parse().ok()?
    } else {
        ask.path.parse().ok()?
    };
    let method = if ask.body.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder().method(method).uri(uri);
    if !is_h2 {
        request = request.header("host", &ask.authority);
    }
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    request.body(Full::new(ask.body.clone().unwrap_or_default())).ok()
}

/// Drives a connection while something is done on it, in one task.
async fn alongside<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let mut connection = pin!(connection);
    let mut work = pin!(work);
    let mut is_over = false;
    std::future::poll_fn(|cx| {
        if !is_over {
            is_over = connection.as_mut().poll(cx).is_ready();
        }
        match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            // What was just asked for has to go out.
            Poll::Pending if !is_over => {
                is_over = connection.as_mut().poll(cx).is_ready();
                if is_over { work.as_mut().poll(cx) } else { Poll::Pending }
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn converse(
    sending: impl Future<Output = Result<hyper::Response<Incoming>, hyper::Error>>,
    kept_bytes_max: usize,
    deadline: tokio::time::Instant,
) -> Answered {
    let begin = Instant::now();
    let (head, body) = match timeout_at(deadline, sending).await {
        Ok(Ok(response)) => response.into_parts(),
        Ok(Err(error)) => return Answered::failed(of_http(&error)),
        Err(_) => return Answered::failed(Failure::Timeout),
    };
    let mut body = pin!(body);
    let mut reading = Reading::new(begin, kept_bytes_max);
    let failure = loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(None) => break None,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => break Some(of_http(&error)),
            Err(_) => break Some(Failure::Timeout),
        };
        if let Some(bytes) = frame.data_ref()
            && !reading.take(bytes)
        {
            break None;
        }
    };
    reading.end(failure, head.status.as_u16(), &head.headers)
}

/// A body while it comes.
pub(crate) struct Reading {
    begin: Instant,
    kept: Vec<u8>,
    kept_bytes_max: usize,
    length: u64,
    is_truncated: bool,
    curve: Vec<(u32, u64)>,
    /// A point is noted when so many bytes more have come; it doubles when there are too many points.
    step: u64,
}

impl Reading {
    pub(crate) fn new(begin: Instant, kept_bytes_max: usize) -> Self {
        Reading {
            begin,
            kept: Vec::new(),
            kept_bytes_max,
            length: 0,
            is_truncated: false,
            curve: Vec::new(),
            step: 1,
        }
    }

    /// Takes what came; false when it is enough.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let room = self.kept_bytes_max - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
        if self.length - self.curve.last().map_or(0, |(_, by_then)| *by_then) >= self.step {
            self.curve.push((millis_since(self.begin), self.length));
        }
        if self.curve.len() > CURVE_POINTS_MAX {
            let mut index = 0;
            self.curve.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.step = (self.step * 2).max(self.length / CURVE_POINTS_MAX as u64);
        }
        self.is_truncated = self.length > BODY_READ_BYTES_MAX;
        !self.is_truncated
    }

    pub(crate) fn end(self, failure: Option<Failure>, status: u16, headers: &HeaderMap) -> Answered {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let response = Response {
            status,
            headers: headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
            title: Response::title_of(&self.kept),
            body_length: Some(self.length),
            is_truncated: self.is_truncated || failure.is_some(),
            body: self.kept,
        };
        Answered { failure, response: Some(response), curve: self.curve }
    }
}
