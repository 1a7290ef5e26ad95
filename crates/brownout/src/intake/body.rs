//! Reading a body: so many bytes, so much time, and of a kind that is understood.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::problem::{Problem, Reason};

/// Refuses a body that is packed: a single report is too small to gain by it.
pub(super) fn require_plain(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(()),
        Some(_) => {
            let detail = "Send a single report as it is, without Content-Encoding. Only a batch may be packed with gzip.";
            let problem = Problem::new(Reason::UnsupportedMediaType, detail);
            Err(Problem { accepts_encoding: Some("identity"), ..problem })
        }
    }
}

/// Refuses a media type that is not one of these.
pub(super) fn require_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = found.split(';').next().unwrap_or("").trim();
    if accepted.iter().any(|kind| kind.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let detail = format!("Send {} in Content-Type.", accepted.join(" or "));
    Err(Problem::new(Reason::UnsupportedMediaType, detail))
}

/// Reads the whole body, or says why not. A body that announces too many bytes is not read at all.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Reason::BodyTooLarge, format!("At most {bytes_max} bytes."));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > bytes_max as u64) {
        return Err(too_large());
    }
    let mut reading = pin!(Limited::new(body, bytes_max).collect());
    let read = match at_once(reading.as_mut()).await {
        Some(read) => Ok(read),
        None => tokio::time::timeout(timeout, reading).await,
    };
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(Reason::BodyUnreadable, "The connection failed within the body.")),
        Err(_) => {
            let detail = format!("At most {} seconds.", timeout.as_secs());
            Err(Problem::new(Reason::BodyTimeout, detail))
        }
    }
}

/// The outcome of a future that comes without waiting; `None` when it does not. A small body comes
/// with its head, and a timer for it would cost more than to read it.
async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    // The connection hands the body over after the first look, and its end after the second.
    const LOOKS: usize = 3;
    let mut looks = 0;
    poll_fn(|cx| {
        looks += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if looks < LOOKS => {
                // Nothing else may ever wake us.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(None),
        }
    })
    .await
}
