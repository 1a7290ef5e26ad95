//! Names: over UDP and TCP with everything that is answered, and over HTTPS.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use brownout_core::reach::{Answer, Failure, Family, Lookup, Resolver};
use bytes::Bytes;
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{timeout, timeout_at};

use crate::failure::of_io;
use crate::target::parse_target;
use crate::tcp::{any_like, millis_since};
use crate::{Guard, Prober};

/// Most of an answer over UDP that is read.
const DATAGRAM_BYTES_MAX: usize = 4_096;
/// Questions to one resolver over UDP before it is given up.
const ATTEMPTS: u32 = 2;
/// Most datagrams to one question that are looked at: a flood of forged ones ends somewhere.
const DATAGRAMS_MAX: usize = 16;
/// The type of a DNS message over HTTPS (RFC 8484).
const DNS_MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");

/// Whom a question goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked<'a> {
    /// The system's resolvers, each when the one before it gave nothing.
    System(&'a [SocketAddr]),
    /// One on port 53 over UDP.
    Udp(SocketAddr),
    /// The same over TCP.
    Tcp(SocketAddr),
    /// One over HTTPS.
    Https(&'a str),
}

impl Asked<'_> {
    fn resolver(self) -> Resolver {
        match self {
            Asked::System(_) => Resolver::System,
            Asked::Udp(server) => Resolver::Plain(server.to_string()),
            Asked::Tcp(server) => Resolver::Plain(format!("tcp://{server}")),
            Asked::Https(url) => Resolver::Https(url.to_owned()),
        }
    }
}

/// What was answered.
#[derive(Debug)]
struct Heard {
    first: Result<Vec<IpAddr>, Failure>,
    /// Addresses of a different answer to the same question.
    second: Vec<IpAddr>,
}

impl From<Failure> for Heard {
    fn from(failure: Failure) -> Self {
        Heard { first: Err(failure), second: Vec::new() }
    }
}

/// A question, as it goes out.
struct Question {
    message: Message,
    bytes: Vec<u8>,
}

impl Question {
    fn new(host: &str, family: Family) -> Result<Self, Failure> {
        let mut name = Name::from_ascii(host).map_err(|_| Failure::Local)?;
        name.set_fqdn(true);
        let kind = if family == Family::V6 { RecordType::AAAA } else { RecordType::A };
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, kind));
        let bytes = message.to_vec().map_err(|_| Failure::Local)?;
        Ok(Question { message, bytes })
    }

    /// What a message says to this question; `None` where it is no answer to it.
    fn answer_in(&self, bytes: &[u8]) -> Option<Said> {
        let answer = Message::from_vec(bytes).ok()?;
        let is_answer = answer.metadata.message_type == MessageType::Response
            && answer.metadata.id == self.message.metadata.id
            && (answer.queries.is_empty() || answer.queries == self.message.queries);
        if !is_answer {
            return None;
        }
        let address = |data: &RData| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let addresses: Vec<IpAddr> =
            answer.answers.iter().filter_map(|record| address(&record.data)).collect();
        let found = match answer.metadata.response_code {
            ResponseCode::NoError if addresses.is_empty() => Err(Failure::NoAnswer),
            ResponseCode::NoError => Ok(addresses),
            ResponseCode::NXDomain => Err(Failure::NxDomain),
            ResponseCode::Refused => Err(Failure::DnsRefused),
            _ => Err(Failure::DnsServerFailure),
        };
        Some(Said { found, is_truncated: answer.metadata.truncation })
    }
}

struct Said {
    found: Result<Vec<IpAddr>, Failure>,
    is_truncated: bool,
}

impl Prober {
    /// Looks a name up at one resolver.
    pub(crate) async fn look_up(&self, hop: u8, asked: Asked<'_>, host: &str, family: Family) -> Lookup {
        let begin = Instant::now();
        let heard = self.hear(asked, host, family).await;
        let answer = |address: &IpAddr| Answer { address: *address, network: None };
        let (answers, failure) = match &heard.first {
            Ok(addresses) => (addresses.iter().map(answer).collect(), None),
            Err(failure) => (Vec::new(), Some(*failure)),
        };
        Lookup {
            hop,
            resolver: asked.resolver(),
            host: host.to_owned(),
            family,
            answers,
            failure,
            is_control_name: false,
            second: heard.second.iter().map(answer).collect(),
            millis: Some(millis_since(begin)),
        }
    }

    async fn hear(&self, asked: Asked<'_>, host: &str, family: Family) -> Heard {
        let question = match Question::new(host, family) {
            Ok(question) => question,
            Err(failure) => return failure.into(),
        };
        match asked {
            Asked::System(servers) => {
                let mut heard = Heard::from(Failure::Local);
                for server in servers {
                    heard = self.hear_plain(*server, &question, host, family).await;
                    if !matches!(heard.first, Err(failure) if is_of_resolver(failure)) {
                        break;
                    }
                }
                heard
            }
            Asked::Udp(server) => self.hear_plain(server, &question, host, family).await,
            Asked::Tcp(server) => self.hear_tcp(server, &question).await,
            Asked::Https(url) => self.hear_https(url, &question).await,
        }
    }

    /// Over UDP, each attempt with a number and a port of its own, so that a late answer to one is no second
    /// answer to another.
    async fn hear_plain(&self, server: SocketAddr, first: &Question, host: &str, family: Family) -> Heard {
        let patience = self.settings.timeouts.lookup / ATTEMPTS;
        let mut heard = Heard::from(Failure::Timeout);
        for attempt in 0..ATTEMPTS {
            self.pace.pass().await;
            let again = (attempt > 0).then(|| Question::new(host, family).ok()).flatten();
            let question = again.as_ref().unwrap_or(first);
            heard = match self.hear_udp(server, question, patience).await {
                Some(heard) => heard,
                // It did not fit.
                None => return self.hear_tcp(server, question).await,
            };
            if !matches!(heard.first, Err(Failure::Timeout)) {
                break;
            }
        }
        heard
    }

    /// `None` where the answer did not fit in a datagram.
    async fn hear_udp(&self, server: SocketAddr, question: &Question, patience: Duration) -> Option<Heard> {
        let socket = match talk_to(server, &question.bytes).await {
            Ok(socket) => socket,
            Err(error) => return Some(of_io(&error).into()),
        };
        let mut deadline = tokio::time::Instant::now() + patience;
        let mut heard: Option<Heard> = None;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        for _ in 0..DATAGRAMS_MAX {
            let length = match timeout_at(deadline, socket.recv(&mut buffer)).await {
                Ok(Ok(length)) => length,
                Ok(Err(error)) => return Some(heard.unwrap_or_else(|| of_io(&error).into())),
                Err(_) => break,
            };
            let Some(said) = question.answer_in(&buffer[..length]) else { continue };
            match &mut heard {
                None if said.is_truncated => return None,
                None => {
                    heard = Some(Heard { first: said.found, second: Vec::new() });
                    if self.is_plain() {
                        break;
                    }
                    deadline = tokio::time::Instant::now() + self.settings.timeouts.second_answer;
                }
                Some(heard) => {
                    if let Ok(second) = said.found
                        && !is_same(heard.first.as_deref().unwrap_or_default(), &second)
                    {
                        heard.second = second;
                        break;
                    }
                }
            }
        }
        Some(heard.unwrap_or_else(|| Failure::Timeout.into()))
    }

    async fn hear_tcp(&self, server: SocketAddr, question: &Question) -> Heard {
        self.pace.pass().await;
        let talk = async {
            let mut stream = tokio::net::TcpStream::connect(server).await?;
            let length = u16::try_from(question.bytes.len()).unwrap_or(u16::MAX);
            let mut framed = length.to_be_bytes().to_vec();
            framed.extend_from_slice(&question.bytes);
            stream.write_all(&framed).await?;
            let length = usize::from(stream.read_u16().await?);
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        match timeout(self.settings.timeouts.lookup, talk).await {
            Ok(Ok(bytes)) => heard_in(question, &bytes),
            Ok(Err(error)) => of_io(&error).into(),
            Err(_) => Failure::Timeout.into(),
        }
    }

    async fn hear_https(&self, url: &str, question: &Question) -> Heard {
        // A resolver is the operator's choice, and may stand in a network of its own.
        let Ok(target) = parse_target(url, Guard::Any) else { return Failure::Local.into() };
        self.pace.pass().await;
        let headers = vec![(CONTENT_TYPE, DNS_MESSAGE), (ACCEPT, DNS_MESSAGE)];
        let body = Bytes::copy_from_slice(&question.bytes);
        match self.post(&target, headers, body, self.settings.timeouts.lookup).await {
            Ok(posted) if posted.status == 200 => heard_in(question, &posted.body),
            Ok(_) => Failure::DnsServerFailure.into(),
            Err(error) => error.0.into(),
        }
    }

    /// The first address of a name of ours (a resolver's, a control's), by the system.
    pub(crate) async fn address_of(&self, host: &str) -> Result<IpAddr, Failure> {
        let found = tokio::net::lookup_host((host, 0)).await.map_err(|_| Failure::NxDomain)?;
        let mut addresses: Vec<IpAddr> = found.map(|endpoint| endpoint.ip()).collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        addresses.first().copied().ok_or(Failure::NoAnswer)
    }
}

fn heard_in(question: &Question, bytes: &[u8]) -> Heard {
    match question.answer_in(bytes) {
        Some(said) => Heard { first: said.found, second: Vec::new() },
        None => Failure::DnsServerFailure.into(),
    }
}

/// Whether another resolver of the system's is worth asking.
fn is_of_resolver(failure: Failure) -> bool {
    !matches!(failure, Failure::NxDomain | Failure::NoAnswer)
}

/// Whether two answers are the same addresses in any order.
fn is_same(one: &[IpAddr], other: &[IpAddr]) -> bool {
    let sorted = |addresses: &[IpAddr]| {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted
    };
    sorted(one) == sorted(other)
}

/// A socket that hears one resolver only, and has asked it.
async fn talk_to(server: SocketAddr, bytes: &[u8]) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(any_like(server)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    Ok(socket)
}
