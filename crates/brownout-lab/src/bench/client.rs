//! A client that costs as little as possible, because it shares the cores with what it measures.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests of one keep-alive connection.
pub(super) trait Requests: Send + 'static {
    /// The next request as bytes; `None` when there are no more.
    fn next(&mut self) -> Option<&[u8]>;
}

/// The same request again and again.
pub(super) struct Same(pub(super) Vec<u8>);

impl Requests for Same {
    fn next(&mut self) -> Option<&[u8]> {
        Some(&self.0)
    }
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// Answers with a status of 2xx.
    pub(super) fine: u64,
    /// Other answers, and the first of them.
    pub(super) refused: u64,
    pub(super) first_refused: Option<String>,
    pub(super) seconds: f64,
}

impl Flood {
    /// Good answers per second.
    pub(super) fn rate(&self) -> f64 {
        self.fine as f64 / self.seconds
    }
}

/// Sends requests for so long over as many connections as there are senders, from one thread.
pub(super) fn flood<R: Requests>(to: SocketAddr, senders: Vec<R>, time: Duration) -> io::Result<Flood> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let end = begun + time;
        let connections: Vec<_> =
            senders.into_iter().map(|sender| tokio::spawn(send(to, sender, end))).collect();
        let mut flood = Flood::default();
        for connection in connections {
            let part = connection.await.map_err(io::Error::other)??;
            flood.fine += part.fine;
            flood.refused += part.refused;
            flood.first_refused = flood.first_refused.take().or(part.first_refused);
        }
        flood.seconds = begun.elapsed().as_secs_f64();
        Ok(flood)
    })
}

async fn send(to: SocketAddr, mut sender: impl Requests, end: Instant) -> io::Result<Flood> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut flood = Flood::default();
    let mut buffer = vec![0; 256 << 10];
    while Instant::now() < end {
        let Some(request) = sender.next() else { break };
        stream.write_all(request).await?;
        let answer = receive(&mut stream, &mut buffer).await?;
        if answer.status / 100 == 2 {
            flood.fine += 1;
        } else {
            flood.refused += 1;
            flood
                .first_refused
                .get_or_insert_with(|| String::from_utf8_lossy(&buffer[..answer.bytes]).into());
            // A client that is told to wait would; this one waits less, so that it stays a flood.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(flood)
}

/// One answer in a buffer.
struct Answer {
    status: u16,
    head: usize,
    bytes: usize,
}

async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Answer> {
    let mut filled = 0;
    let mut whole = None;
    loop {
        if let Some((status, head, bytes)) = whole.or_else(|| head_of(&buffer[..filled])) {
            whole = Some((status, head, bytes));
            if filled >= bytes {
                return Ok(Answer { status, head, bytes });
            }
            if buffer.len() < bytes {
                buffer.resize(bytes, 0);
            }
        }
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
}

/// Status, length of the head and of the whole, once the head is there.
fn head_of(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let head = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
    let length = memmem::find(&bytes[..head], b"content-length: ")? + b"content-length: ".len();
    let digits = bytes[length..head].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    Some((status, head, head + length))
}

/// An answer for whoever wants to look at it.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Sends one request over a connection of its own.
pub(super) fn once(to: SocketAddr, request: &[u8]) -> io::Result<Got> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let talk = async {
            let mut stream = TcpStream::connect(to).await?;
            stream.write_all(request).await?;
            let mut buffer = vec![0; 64 << 10];
            let answer = receive(&mut stream, &mut buffer).await?;
            let head = String::from_utf8_lossy(&buffer[..answer.head]).into_owned();
            let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            Ok(Got {
                status: answer.status,
                headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                body: buffer[answer.head..answer.bytes].to_vec(),
            })
        };
        tokio::time::timeout(Duration::from_secs(60), talk).await.map_err(io::Error::other)?
    })
}

/// A GET request over a connection of its own.
pub(super) fn get(to: SocketAddr, path: &str) -> io::Result<Got> {
    once(to, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
}
