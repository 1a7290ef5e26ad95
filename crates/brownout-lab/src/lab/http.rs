//! A small HTTP client that sends whatever bytes it is given, sound or not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a connection or for the next bytes of an answer.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Status line and header fields, as they came.
    pub head: String,
    /// The body, unpacked from chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header field by its name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, WAIT_MAX)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        stream.set_write_timeout(Some(WAIT_MAX))?;
        Ok(Connection { stream, unread: Vec::new() })
    }

    /// The socket, for what this client does not do.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the other side has closed or does not read.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// When the connection ends before the answer does, or it is not HTTP.
    pub fn receive(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end);
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
        let mut answer = Answer { status, head, body: Vec::new() };
        if matches!(status, 100..=199 | 204 | 304) {
            return Ok(answer);
        }
        answer.body = if answer.header("transfer-encoding").is_some() {
            self.chunks()?
        } else {
            let length = answer.header("content-length").and_then(|text| text.parse().ok());
            self.exactly(length.ok_or_else(|| io::Error::other("no content-length"))?)?
        };
        Ok(answer)
    }

    /// Sends a request and reads its answer. `fields` are lines of the head, each with its end.
    ///
    /// # Errors
    /// As [`Connection::send`] and [`Connection::receive`].
    pub fn ask(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> io::Result<Answer> {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: lab\r\ncontent-length: {length}\r\n{fields}\r\n");
        self.send(&[head.as_bytes(), body].concat())?;
        self.receive()
    }

    fn more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let read = self.stream.read(&mut buffer)?;
        if read == 0 || self.unread.len() > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&buffer[..read]);
        Ok(())
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.more()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match self.unread.windows(2).position(|window| window == b"\r\n") {
                    Some(at) => break at,
                    None => self.more()?,
                }
            };
            let line = String::from_utf8_lossy(&self.unread[..end]).into_owned();
            self.unread.drain(..end + 2);
            let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            body.extend_from_slice(&self.exactly(length)?);
            self.exactly(2)?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

/// One request over a connection of its own.
///
/// # Errors
/// As [`Connection::open`] and [`Connection::ask`].
pub fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    Connection::open(address)?.ask("GET", path, "", b"")
}
