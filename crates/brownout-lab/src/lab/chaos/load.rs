//! Single reports and batches over HTTP, and what was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brownout_core::model::{ProblemKind, UtcTime};
use serde_json::Value;

use crate::lab::http::{Answer, Connection};

/// Services that are reported.
pub(super) const SERVICES: [&str; 3] = ["x", "whatsapp", "youtube"];
/// Lines of one batch.
const LINES: u32 = 50;
/// Connections that send batches, and that send single reports.
const SENDERS: (usize, usize) = (2, 3);
/// Pause of a sender between two requests: the load is to be steady, not heavy.
const PAUSE: Duration = Duration::from_millis(8);
/// Older lines go up to this far back; beyond fifteen minutes they would be too late to count.
const AGE_MILLIS_MAX: u32 = 14 * 60_000;

/// What the program said is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// A report with its number, which is its comment too.
    Single { seq: u64, number: u32 },
    /// Lines with numbers from `first` on.
    Batch { seq: u64, first: u32, count: u32 },
}

/// What a number stands for.
pub(super) fn service_of(number: u32) -> &'static str {
    SERVICES[number as usize % SERVICES.len()]
}

/// What a number stands for.
pub(super) fn kind_of(number: u32) -> ProblemKind {
    let kinds = [ProblemKind::Unreachable, ProblemKind::Login, ProblemKind::Slow];
    kinds[(number / 3) as usize % kinds.len()]
}

/// The comment by which a single report is told again.
pub(super) fn comment_of(number: u32) -> String {
    format!("report {number}")
}

/// Senders on threads of their own.
pub(super) struct Load {
    token: String,
    numbers: Arc<AtomicU32>,
    over: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Load {
    pub(super) fn new(token: String) -> Self {
        // No network has the number 0.
        let numbers = Arc::new(AtomicU32::new(1));
        Load { token, numbers, over: Arc::default(), senders: Vec::new() }
    }

    /// Sends until the program is gone.
    pub(super) fn begin(&mut self, address: SocketAddr) {
        self.over = Arc::default();
        for sender in 0..SENDERS.0 + SENDERS.1 {
            let (numbers, over, token) = (self.numbers.clone(), self.over.clone(), self.token.clone());
            self.senders.push(std::thread::spawn(move || {
                let mut acknowledged = Vec::new();
                let Ok(mut connection) = Connection::open(address) else { return acknowledged };
                while !over.load(Ordering::Relaxed) {
                    let sent = if sender < SENDERS.0 {
                        batch(&mut connection, &token, numbers.fetch_add(LINES, Ordering::Relaxed))
                    } else {
                        single(&mut connection, numbers.fetch_add(1, Ordering::Relaxed))
                    };
                    match sent {
                        Some(one) => acknowledged.push(one),
                        None => break,
                    }
                    std::thread::sleep(PAUSE);
                }
                acknowledged
            }));
        }
    }

    /// What was acknowledged since the beginning.
    pub(super) fn end(&mut self) -> Vec<Acknowledged> {
        self.over.store(true, Ordering::Relaxed);
        self.senders.drain(..).flat_map(|sender| sender.join().unwrap_or_default()).collect()
    }
}

fn batch(connection: &mut Connection, token: &str, first: u32) -> Option<Acknowledged> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let mut body = String::new();
    for number in first..first + LINES {
        // A quarter is older, so that there are counts for roll-ups soon.
        let age = if number.is_multiple_of(4) { number.wrapping_mul(7919) % AGE_MILLIS_MAX } else { 0 };
        let at = UtcTime::from_millis(now - i64::from(age));
        let (service, kind) = (service_of(number), kind_of(number).slug());
        body.push_str(&format!(
            "{{\"service\":\"{service}\",\"kind\":\"{kind}\",\"at\":\"{at}\",\"source\":\"s{number}\",\
             \"country\":\"PK\",\"asn\":{number}}}\n"
        ));
    }
    let fields = format!("content-type: application/x-ndjson\r\nauthorization: Bearer {token}\r\n");
    let answer = connection.ask("POST", "/api/v1/reports/batch", &fields, body.as_bytes()).ok()?;
    let (answer, seq) = taken(&answer, 200, "first_seq")?;
    let count = answer.get("accepted")?.as_u64()? as u32;
    Some(Acknowledged::Batch { seq, first, count })
}

fn single(connection: &mut Connection, number: u32) -> Option<Acknowledged> {
    let body = serde_json::json!({
        "service": service_of(number),
        "kind": kind_of(number).slug(),
        "comment": comment_of(number),
    });
    let [_, b, c, d] = number.to_be_bytes();
    let fields = format!("content-type: application/json\r\nx-forwarded-for: 39.{b}.{c}.{d}\r\n");
    let answer = connection.ask("POST", "/api/v1/reports", &fields, body.to_string().as_bytes()).ok()?;
    let (_, seq) = taken(&answer, 201, "id")?;
    Some(Acknowledged::Single { seq, number })
}

/// The answer's JSON and the position in it; `None` when it is a refusal.
fn taken(answer: &Answer, status: u16, key: &str) -> Option<(Value, u64)> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    let seq = value.get(key)?.as_u64()?;
    (answer.status == status).then_some((value, seq))
}
