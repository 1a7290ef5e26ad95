//! The one listener: HTTP/1.1 with a limit on everything that a client could drag out.
//!
//! * A connection on which no request comes whole and no answer moves on for `header_timeout` (and
//!   at most half as long again) is closed: a head that drips in, a reader that stopped reading. One
//!   that is idle between two requests gets `idle_timeout`. A slow look at all of them sees to both
//!   instead of a timer per request, which costs a fifth of the request rate.
//! * Nobody can send a head of more than `head_bytes_max`.
//! * At most `connections_max` connections are open. One more is answered 503 at once and closed,
//!   so that a load balancer learns of it; a flood of those is closed without a word.
//! * Bodies have their own limits where they are read.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tower_service::Service;

/// What clients may use up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at once.
    pub connections_max: usize,
    /// Time for a request's head, and for an answer to move on.
    pub header_timeout: Duration,
    /// Time until the next request begins on a connection whose last one was answered.
    pub idle_timeout: Duration,
    /// Largest head of a request, in bytes; at least 8192.
    pub head_bytes_max: usize,
    /// Time that open requests get when the program stops.
    pub stop_timeout: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        ListenerLimits {
            connections_max: 4096,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            head_bytes_max: 16 << 10,
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// What the listener counts. Cloning shares the counters.
#[derive(Clone, Debug, Default)]
pub struct ListenerMetrics {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections turned away because too many were open.
    pub turned_away: Counter,
    /// Connections that could not be accepted, for want of file descriptors mostly.
    pub accept_errors: Counter,
    /// Connections that ended in an error: timeouts, malformed heads, resets.
    pub broken: Counter,
    /// Connections that are open.
    pub open: Gauge,
}

impl ListenerMetrics {
    /// Puts all counters into a registry, which names them `listener_...`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("listener");
        registry.register("accepted", "Connections accepted", self.accepted.clone());
        registry.register("turned_away", "Connections beyond the limit", self.turned_away.clone());
        registry.register(
            "accept_errors",
            "Connections that could not be accepted",
            self.accept_errors.clone(),
        );
        registry.register("broken", "Connections that ended in an error", self.broken.clone());
        registry.register("open", "Connections that are open", self.open.clone());
    }
}

/// Goodbyes that are under way at most; beyond, connections are closed without one.
const GOODBYES_MAX: u64 = 64;
const GOODBYE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves a router until `stop` is done, then lets open requests finish for `stop_timeout`.
///
/// # Errors
/// Only when the socket has no address of its own any more; errors of single connections are
/// counted.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ListenerLimits,
    metrics: ListenerMetrics,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.local_addr()?;
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let goodbyes = Arc::new(AtomicU64::new(0));
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(limits.head_bytes_max.max(8192));
    let mut looks = Looks::new(&limits);
    let mut stop = pin!(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = &mut stop => break,
            () = looks.due() => {
                metrics.broken.inc_by(looks.look());
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    metrics.accept_errors.inc();
                    // A connection that failed before we had it says nothing about the next one;
                    // anything else (no descriptors, no memory) needs a breath.
                    if !is_of_connection(&error) {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    continue;
                }
            },
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            metrics.turned_away.inc();
            say_goodbye(stream, &goodbyes);
            continue;
        };
        metrics.accepted.inc();
        // Answers are written whole, so waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let life = Arc::new(Life::new());
        let open = Open::new(permit, metrics.clone());
        let task =
            tokio::spawn(converse(http.clone(), stream, peer, router.clone(), Arc::clone(&life), open));
        looks.add(life, task.abort_handle());
    }
    drop(listener);
    looks.tell_to_stop();
    // The last one that ends gives the last place back.
    let all = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(limits.stop_timeout, room.acquire_many(all)).await;
    Ok(())
}

/// A connection's place among the open ones.
struct Open {
    metrics: ListenerMetrics,
    _permit: OwnedSemaphorePermit,
}

impl Open {
    fn new(permit: OwnedSemaphorePermit, metrics: ListenerMetrics) -> Self {
        metrics.open.inc();
        Open { metrics, _permit: permit }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

/// All open connections, and the look at each of them from time to time.
struct Looks {
    connections: Vec<Looked>,
    /// More entries than this are worth a search for those whose connection is gone.
    entries_max: usize,
    clock: Interval,
    /// Looks in a row without a move while the client owes something.
    owing_looks: u32,
    /// The same while the connection is idle.
    idle_looks: u32,
}

/// A connection as it was at the last look.
struct Looked {
    life: Arc<Life>,
    task: AbortHandle,
    /// Its moves, and whether it was the client's turn.
    seen: Option<(u64, bool)>,
    /// Looks in a row that found it as it was.
    still: u32,
}

impl Looks {
    fn new(limits: &ListenerLimits) -> Self {
        let shorter = limits.header_timeout.min(limits.idle_timeout);
        let look = (shorter / 2).max(Duration::from_millis(1));
        let looks = |time: Duration| time.as_millis().div_ceil(look.as_millis()) as u32;
        let mut clock = interval(look);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Looks {
            connections: Vec::new(),
            entries_max: limits.connections_max.saturating_mul(2),
            clock,
            owing_looks: looks(limits.header_timeout),
            idle_looks: looks(limits.idle_timeout),
        }
    }

    /// Waits for the time of the next look.
    async fn due(&mut self) {
        self.clock.tick().await;
    }

    fn add(&mut self, life: Arc<Life>, task: AbortHandle) {
        if self.connections.len() >= self.entries_max {
            self.connections.retain(|connection| !connection.task.is_finished());
        }
        self.connections.push(Looked { life, task, seen: None, still: 0 });
    }

    /// Closes the connections that have not moved for as many looks in a row, after the first, as
    /// there is patience for; how many those are.
    fn look(&mut self) -> u64 {
        let mut closed = 0;
        self.connections.retain_mut(|connection| {
            if connection.task.is_finished() {
                return false;
            }
            let patience = |owing| if owing { self.owing_looks } else { self.idle_looks };
            let stalled = connection.look(patience);
            if stalled {
                connection.task.abort();
                closed += 1;
            }
            !stalled
        });
        closed
    }

    fn tell_to_stop(&self) {
        self.connections.iter().for_each(|connection| connection.life.stop.notify_one());
    }
}

impl Looked {
    /// Whether it has stood still for longer than the patience that there is while it is the
    /// client's turn, or is not.
    fn look(&mut self, patience: impl Fn(bool) -> u32) -> bool {
        let owing = self.life.owing.load(Ordering::Relaxed);
        let now = Some((self.life.moves.load(Ordering::Relaxed), owing));
        // A head that begins after a long pause has its whole time from there.
        let quiet = now == self.seen && self.life.busy.load(Ordering::Relaxed) == 0;
        self.still = if quiet { self.still + 1 } else { 0 };
        self.seen = now;
        self.still >= patience(owing)
    }
}

/// One connection, to its end.
async fn converse(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    life: Arc<Life>,
    open: Open,
) {
    let io = Watched { io: TokioIo::new(stream), life: Arc::clone(&life) };
    let service = {
        let life = Arc::clone(&life);
        service_fn(move |request| answer(router.clone(), peer, Arc::clone(&life), request))
    };
    let mut connection = pin!(http.serve_connection(io, service));
    let told = tokio::select! {
        biased;
        result = connection.as_mut() => Some(result),
        () = life.stop.notified() => None,
    };
    let ended = match told {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if ended.is_err() {
        open.metrics.broken.inc();
    }
    drop(open);
}

/// Signs of life of one connection.
struct Life {
    /// Requests begun and writes done. It wraps; only a change counts.
    moves: AtomicU64,
    /// Requests that are being handled, and answers that are being streamed.
    busy: AtomicU64,
    /// Whether it is the client's turn: to send the rest of a head, or to take what is written.
    owing: AtomicBool,
    /// Tells it to end with the request that is under way. Of its own, for what all connections
    /// shared would be fought over at each of their steps.
    stop: Notify,
}

impl Life {
    fn new() -> Self {
        // Who connects owes a request.
        Life {
            moves: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            owing: AtomicBool::new(true),
            stop: Notify::new(),
        }
    }

    fn moved(&self) {
        // Only the connection's own task writes, so nothing can be lost between the two.
        self.moves.store(self.moves.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// Marks a connection as busy while it exists.
struct Busy(Arc<Life>);

impl Busy {
    fn new(life: Arc<Life>) -> Self {
        life.moved();
        life.busy.fetch_add(1, Ordering::Relaxed);
        Busy(life)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that notes every write. Reads are no sign of life, for a head may drip in for ever; they
/// only end an idle time.
struct Watched {
    io: TokioIo<TcpStream>,
    life: Arc<Life>,
}

impl Watched {
    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(_))) {
            self.life.moved();
        }
        self.life.owing.store(result.is_pending(), Ordering::Relaxed);
        result
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        if result.is_ready() {
            self.life.owing.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// An answer that comes bit by bit and keeps its connection busy until it ends.
struct Streaming {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Hands a request to the router, which learns who the peer is.
async fn answer(
    mut router: Router,
    peer: SocketAddr,
    life: Arc<Life>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let busy = Busy::new(life);
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    // A router is always ready.
    let response = router.call(request).await?;
    // What is whole in memory only has to be written, which is seen; a stream may pause.
    if response.body().size_hint().exact().is_some() {
        return Ok(response);
    }
    Ok(response.map(|body| Body::new(Streaming { body, _busy: busy })))
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers 503 without reading a request.
fn say_goodbye(mut stream: TcpStream, goodbyes: &Arc<AtomicU64>) {
    if goodbyes.fetch_add(1, Ordering::Relaxed) >= GOODBYES_MAX {
        goodbyes.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let goodbyes = Arc::clone(goodbyes);
    tokio::spawn(async move {
        let goodbye = async {
            let _ = stream.write_all(GOODBYE).await;
            let _ = stream.shutdown().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        goodbyes.fetch_sub(1, Ordering::Relaxed);
    });
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::AsyncReadExt;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    /// A body without a length that comes late.
    struct Late {
        done: bool,
        sleep: Pin<Box<tokio::time::Sleep>>,
    }

    fn late() -> tokio::time::Sleep {
        tokio::time::sleep(Duration::from_millis(500))
    }

    impl HttpBody for Late {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.done {
                return Poll::Ready(None);
            }
            std::task::ready!(self.sleep.as_mut().poll(cx));
            self.done = true;
            Poll::Ready(Some(Ok(Frame::data("late".into()))))
        }
    }

    struct Running {
        address: SocketAddr,
        metrics: ListenerMetrics,
        stop: oneshot::Sender<()>,
        done: JoinHandle<io::Result<()>>,
    }

    async fn start(limits: ListenerLimits) -> Running {
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slow"
        });
        let router = Router::new()
            .route(
                "/",
                get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
            )
            .route("/slow", slow)
            .route("/stream", get(|| async { Body::new(Late { done: false, sleep: Box::pin(late()) }) }))
            .route("/echo", post(|body: String| async move { body }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let metrics = ListenerMetrics::default();
        let stopped = async { drop(stopped.await) };
        let done = tokio::spawn(serve(listener, router, limits, metrics.clone(), stopped));
        Running { address, metrics, stop, done }
    }

    /// Sends bytes and reads until the other side closes.
    async fn talk(address: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset after an answer was sent is an end like any other here.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_handler_learns_its_peer_and_a_connection_serves_many_requests() {
        let running = start(ListenerLimits::default()).await;
        let two = b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = talk(running.address, two).await;
        assert_eq!(answer.matches("127.0.0.1").count(), 2, "{answer}");
        assert_eq!(running.metrics.accepted.get(), 1);
    }

    #[tokio::test]
    async fn a_slow_head_and_an_idle_connection_are_cut_off() {
        let header_timeout = Duration::from_millis(200);
        let limits = ListenerLimits { header_timeout, idle_timeout: header_timeout, ..Default::default() };
        let running = start(limits).await;
        let wait = Duration::from_secs(5);
        let answer =
            tokio::time::timeout(wait, talk(running.address, b"GET / HTTP/1.1\r\nhost:")).await.unwrap();
        assert!(!answer.contains("200 OK"), "{answer}");
        let idle = talk(running.address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(tokio::time::timeout(wait, idle).await.unwrap().contains("200 OK"));
        assert!(running.metrics.broken.get() >= 1);
    }

    #[tokio::test]
    async fn an_idle_connection_has_a_time_of_its_own() {
        let header_timeout = Duration::from_millis(100);
        let running = start(ListenerLimits { header_timeout, ..ListenerLimits::default() }).await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut answer = [0; 1024];
        for _ in 0..2 {
            stream.write_all(request).await.unwrap();
            assert!(stream.read(&mut answer).await.unwrap() > 0);
            tokio::time::sleep(header_timeout * 4).await;
        }
        stream.write_all(b"GET / HTTP").await.unwrap();
        let cut = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        assert!(matches!(cut.unwrap(), Ok(0) | Err(_)), "a head begun after a pause is not idleness");
    }

    #[tokio::test]
    async fn a_slow_handler_is_not_cut_off() {
        let header_timeout = Duration::from_millis(100);
        let limits = ListenerLimits { header_timeout, idle_timeout: header_timeout, ..Default::default() };
        let running = start(limits).await;
        let answer = talk(running.address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.ends_with("slow"), "{answer}");
    }

    #[tokio::test]
    async fn a_stream_may_pause_for_longer_than_a_head() {
        let header_timeout = Duration::from_millis(100);
        let limits = ListenerLimits { header_timeout, idle_timeout: header_timeout, ..Default::default() };
        let running = start(limits).await;
        let answer = talk(running.address, b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.contains("late"), "{answer}");
    }

    #[tokio::test]
    async fn an_endless_head_is_refused() {
        let running = start(ListenerLimits::default()).await;
        let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(64 << 10));
        let answer = talk(running.address, head.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }

    #[tokio::test]
    async fn one_connection_too_many_is_told_so() {
        let running = start(ListenerLimits { connections_max: 1, ..ListenerLimits::default() }).await;
        let mut first = TcpStream::connect(running.address).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        first.read_u8().await.unwrap();
        assert!(talk(running.address, b"").await.starts_with("HTTP/1.1 503"));
        assert_eq!((running.metrics.turned_away.get(), running.metrics.open.get()), (1, 1));
        drop(first);
        for _ in 0..100 {
            if running.metrics.open.get() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let answer = talk(running.address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.contains("200 OK"), "its place is free again: {answer}");
    }

    #[tokio::test]
    async fn a_stop_lets_open_requests_finish() {
        let running = start(ListenerLimits::default()).await;
        let address = running.address;
        let slow = tokio::spawn(async move { talk(address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.stop.send(()).unwrap();
        assert!(slow.await.unwrap().ends_with("slow"));
        tokio::time::timeout(Duration::from_secs(5), running.done).await.unwrap().unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_ever() {
        let stop_timeout = Duration::from_millis(200);
        let running = start(ListenerLimits { stop_timeout, ..ListenerLimits::default() }).await;
        let mut hanging = TcpStream::connect(running.address).await.unwrap();
        hanging.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(5), running.done).await.unwrap().unwrap().unwrap();
    }
}
