//! Talking to a resolver over HTTPS, to a control and to an observatory: on the same sockets, but not as a measurement.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use brownout_core::reach::{Failure, Target};
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use tokio::time::timeout;

use crate::Prober;
use crate::failure::of_io;
use crate::http::Ask;
use crate::target::{authority_of, path_of};
use crate::tls::Link;

/// Largest answer that is read, in bytes: a schedule of two thousand targets.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Posted {
    /// The first value of a header field, by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer: the failure of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostError(pub Failure);

impl fmt::Display for PostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.word())
    }
}

impl std::error::Error for PostError {}

impl Prober {
    /// Sends a body to somebody whom the operator named, and reads the whole answer.
    pub async fn post(
        &self,
        target: &Target,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        patience: Duration,
    ) -> Result<Posted, PostError> {
        let talk = async {
            let address = match target.address() {
                Some(address) => address,
                None => self.address_of(&target.host).await?,
            };
            let connecting = tokio::net::TcpStream::connect(SocketAddr::new(address, target.port));
            let stream = connecting.await.map_err(|error| of_io(&error))?;
            let request = Ask {
                is_tls: target.is_tls,
                authority: authority_of(target),
                path: path_of(target),
                headers,
                body: Some(body),
                kept_bytes_max: ANSWER_BYTES_MAX,
            };
            let link = match target.is_tls {
                true => Link::Secured(Box::new(self.secure(stream, &target.host).await.0?)),
                false => Link::Open(stream),
            };
            let answered = link.ask(request, patience).await;
            match (answered.failure, answered.response) {
                (None, Some(response)) if !response.is_truncated => {
                    Ok(Posted { status: response.status, headers: response.headers, body: response.body })
                }
                (failure, _) => Err(failure.unwrap_or(Failure::HttpInvalid)),
            }
        };
        timeout(patience, talk).await.unwrap_or(Err(Failure::Timeout)).map_err(PostError)
    }
}
