//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a client that did not hear the
//! answer may ask again, and the same report is not taken twice.
//!
//! For 24 hours the same key of the same source (or token) with the same body gets the same answer
//! again; with another body it is refused; while the first request is still under way the second
//! waits for it. Only successes are remembered: whatever was refused was not kept and may be tried
//! again.
//!
//! What does *not* hold: the answers live in memory. After a restart, or when more than
//! [`ANSWERS_MAX`] answers were given since, a repeated request is taken as a new record. It then
//! has the same source key, so within the repeat window the engine counts it as a repeat and not
//! as another source.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderMap;
use tokio::sync::watch;

use super::metrics::IntakeMetrics;
use super::problem::{Problem, Reason};

/// Answers that are remembered at most. Overflow policy: the oldest is forgotten.
pub const ANSWERS_MAX: usize = 100_000;
/// Bytes of answers that are remembered at most; same policy.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Requests with a key that are under way at most. Overflow policy: 503.
const UNDER_WAY_MAX: usize = 10_000;
const LIFE_SECONDS: i64 = 24 * 3600;
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Digest of a key and of whoever sent it.
type Name = [u8; 16];

/// Remembers answers.
#[derive(Default)]
pub(super) struct Answers {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Name, Entry>,
    /// Finished entries, oldest first.
    finished: VecDeque<(Name, i64)>,
    bytes: usize,
}

struct Entry {
    body: [u8; 16],
    state: State,
}

enum State {
    /// The sender closes when the first request is through, whatever came of it.
    UnderWay(watch::Receiver<()>),
    Done(Bytes),
}

/// Where a request with a key stands.
pub(super) enum Turn {
    /// It is the first: do it, then [`First::finish`].
    First(First),
    /// It was done before, and this was the answer.
    Known(Bytes),
}

/// The right to do a request. Dropped unfinished, the key is free again.
pub(super) struct First {
    inner: Arc<Mutex<Inner>>,
    name: Name,
    finished: bool,
    _done: watch::Sender<()>,
}

/// The digest of the request's key, if it has one. `owner` keeps keys of different clients apart.
pub(super) fn key_of(headers: &HeaderMap, owner: impl FnOnce() -> Vec<u8>) -> Result<Option<Name>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let fine = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let key = fine.ok_or_else(|| {
        Problem::new(Reason::BadIdempotencyKey, format!("1 to {KEY_BYTES_MAX} printable ASCII characters."))
    })?;
    let owner = owner();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(owner.len() as u64).to_le_bytes()).update(&owner).update(key.as_bytes());
    Ok(Some(half(hasher.finalize())))
}

fn half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

impl Answers {
    /// Waits for a request of the same key that is under way, then says where this one stands.
    pub(super) async fn turn(&self, name: Name, body: &[u8]) -> Result<Turn, Problem> {
        let body = half(blake3::hash(body));
        loop {
            let mut under_way = match self.look(name, body)? {
                Look::Turn(turn) => return Ok(turn),
                Look::Wait(receiver) => receiver,
            };
            // An error says that the sender is gone, which is what is waited for.
            while under_way.changed().await.is_ok() {}
        }
    }

    fn look(&self, name: Name, body: [u8; 16]) -> Result<Look, Problem> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = inner.entries.get(&name) {
            if entry.body != body {
                let detail = "Use a new key for a new report.";
                return Err(Problem::new(Reason::IdempotencyMismatch, detail));
            }
            return Ok(match &entry.state {
                State::UnderWay(receiver) => Look::Wait(receiver.clone()),
                State::Done(answer) => Look::Turn(Turn::Known(answer.clone())),
            });
        }
        if inner.entries.len() - inner.finished.len() >= UNDER_WAY_MAX {
            let problem = Problem::new(Reason::Overloaded, "Too many requests are under way.");
            return Err(Problem { retry_after_seconds: Some(1), ..problem });
        }
        let (sender, receiver) = watch::channel(());
        inner.entries.insert(name, Entry { body, state: State::UnderWay(receiver) });
        let first = First { inner: Arc::clone(&self.inner), name, finished: false, _done: sender };
        Ok(Look::Turn(Turn::First(first)))
    }

    /// Forgets answers that are a day old.
    pub(super) fn sweep(&self, now_seconds: i64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        while inner.finished.front().is_some_and(|(_, at)| now_seconds - at >= LIFE_SECONDS) {
            inner.forget_oldest();
        }
    }
}

enum Look {
    Turn(Turn),
    Wait(watch::Receiver<()>),
}

impl Inner {
    fn forget_oldest(&mut self) {
        if let Some((name, _)) = self.finished.pop_front()
            && let Some(Entry { state: State::Done(answer), .. }) = self.entries.remove(&name)
        {
            self.bytes -= answer.len();
        }
    }
}

impl First {
    /// Remembers the answer and lets those who wait for it go on.
    pub(super) fn finish(mut self, answer: Bytes, now_seconds: i64, metrics: &IntakeMetrics) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = inner.entries.get_mut(&self.name) {
            entry.state = State::Done(answer.clone());
            inner.bytes += answer.len();
            inner.finished.push_back((self.name, now_seconds));
        }
        while inner.finished.len() > ANSWERS_MAX || inner.bytes > ANSWER_BYTES_MAX {
            inner.forget_oldest();
            metrics.idempotency_evicted.inc();
        }
        drop(inner);
        self.finished = true;
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if !self.finished {
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).entries.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    async fn first(answers: &Answers, name: Name, body: &[u8]) -> First {
        match answers.turn(name, body).await {
            Ok(Turn::First(first)) => first,
            _ => panic!("the first"),
        }
    }

    #[tokio::test]
    async fn a_known_key_gets_its_answer_and_another_body_none() {
        let (answers, metrics) = (Answers::default(), IntakeMetrics::default());
        first(&answers, [1; 16], b"a").await.finish("done".into(), 0, &metrics);
        assert!(matches!(answers.turn([1; 16], b"a").await, Ok(Turn::Known(answer)) if answer == "done"));
        let Err(problem) = answers.turn([1; 16], b"b").await else { panic!("another body") };
        assert_eq!(problem.reason, Reason::IdempotencyMismatch);
        answers.sweep(LIFE_SECONDS);
        drop(first(&answers, [1; 16], b"b").await);
        assert!(answers.inner.lock().unwrap().entries.is_empty(), "a request that failed leaves nothing");
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_takes_over_when_it_fails() {
        let (answers, metrics) = (Arc::new(Answers::default()), IntakeMetrics::default());
        let running = first(&answers, [1; 16], b"a").await;
        let second = tokio::spawn({
            let answers = Arc::clone(&answers);
            async move { matches!(answers.turn([1; 16], b"a").await, Ok(Turn::Known(_))) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        running.finish("done".into(), 0, &metrics);
        assert!(second.await.unwrap());

        let running = first(&answers, [2; 16], b"a").await;
        let second = tokio::spawn({
            let answers = Arc::clone(&answers);
            async move { matches!(answers.turn([2; 16], b"a").await, Ok(Turn::First(_))) }
        });
        tokio::task::yield_now().await;
        drop(running);
        assert!(second.await.unwrap());
    }

    #[tokio::test]
    async fn the_oldest_answers_make_room() {
        let (answers, metrics) = (Answers::default(), IntakeMetrics::default());
        for number in 0..ANSWERS_MAX as u128 + 2 {
            first(&answers, number.to_le_bytes(), b"a").await.finish("x".into(), 0, &metrics);
        }
        assert_eq!(metrics.idempotency_evicted.get(), 2);
        assert!(matches!(answers.turn(0_u128.to_le_bytes(), b"a").await, Ok(Turn::First(_))));
        assert!(matches!(answers.turn(9_u128.to_le_bytes(), b"a").await, Ok(Turn::Known(_))));
    }

    #[test]
    fn keys_belong_to_their_sender() {
        let mut headers = HeaderMap::new();
        assert_eq!(key_of(&headers, || b"a".to_vec()), Ok(None));
        headers.insert("idempotency-key", HeaderValue::from_static("k"));
        assert_ne!(key_of(&headers, || b"a".to_vec()), key_of(&headers, || b"b".to_vec()));
        for bad in ["", &"x".repeat(256)] {
            headers.insert("idempotency-key", HeaderValue::from_str(bad).unwrap());
            assert_eq!(key_of(&headers, || b"a".to_vec()).unwrap_err().reason, Reason::BadIdempotencyKey);
        }
    }
}
