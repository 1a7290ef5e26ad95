//! The one thread that writes the log and drives the engine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use brownout_core::effect::Effect;
use brownout_core::engine::Engine;
use brownout_core::model::{Evidence, Seq, UtcTime};
use brownout_core::snapshot::Snapshot;
use brownout_store::embedded::{Admin, CheckpointFolder, Comment, CommentLog, EmbeddedLog, EncodedBatch};
use brownout_store::port::{EvidenceLog, StoreError};
use tokio::sync::watch;

use super::gathering::{GATHER_FROM, Gathering, PAUSE};
use super::group::{Group, encoded};
use super::keeper::Keeper;
use super::sink::Job;
use super::{CLOCK_DAYS_MAX, HostCounters, Time, lane, recover};
use crate::intake::{Accepted, Refusal};

/// Most submissions that share one flush.
const GROUP_SUBMISSIONS_MAX: usize = 512;
/// Most pieces of evidence that share one flush.
const GROUP_EVIDENCE_MAX: usize = 100_000;
/// Most batches of a virtual stretch of time that share one flush, and with it one room in memory.
const VIRTUAL_BATCHES_MAX: usize = 4096;
/// Records after which the engine's state is checkpointed: some seconds of replay at a start, and
/// seldom enough that a flood is not spent on checkpoints.
const CHECKPOINT_RECORDS: u64 = 10_000_000;
/// Time after which it is, if there were any records.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3600);
/// How often comments that moderators removed are deleted.
const COMMENTS_EVERY: Duration = Duration::from_secs(30);
/// Longest wait for anything, also for the next try of a medium that fails.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The machine's clock.
pub fn wall_clock() -> UtcTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What is needed to bring a new engine up to the log's end.
pub(super) struct Rebuild {
    pub(super) checkpoints: CheckpointFolder,
}

pub(super) struct Worker {
    pub(super) log: EmbeddedLog,
    pub(super) comments: CommentLog,
    /// Says which comments are to be deleted.
    pub(super) admin: Arc<Admin>,
    pub(super) engine: Engine,
    pub(super) keeper: Keeper,
    pub(super) time: Arc<Time>,
    pub(super) jobs: Receiver<Job>,
    /// Records about catalogue, policy and channels that go before anything else.
    pub(super) first: Vec<Evidence>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) publish: watch::Sender<u64>,
    pub(super) publish_every: Duration,
    pub(super) counters: Arc<HostCounters>,
    pub(super) page_views: Box<dyn Fn() -> Vec<Evidence> + Send>,
    pub(super) rebuild: Rebuild,
    /// Time that the last write took with its flush.
    pub(super) flush: Duration,
}

/// When things were last done.
struct Rhythm {
    published: Instant,
    unpublished: bool,
    checkpoint_seq: Seq,
    checkpoint_at: Instant,
    views_minute: u32,
    comments_at: Instant,
    /// Submissions of the last two groups.
    groups: [usize; 2],
}

impl Worker {
    /// Runs until all senders are gone and everything that waited is written.
    pub(super) fn run(mut self) {
        let mut rhythm = Rhythm {
            published: Instant::now(),
            unpublished: true,
            checkpoint_seq: self.engine.seq(),
            checkpoint_at: Instant::now(),
            views_minute: 0,
            comments_at: Instant::now(),
            groups: [0; 2],
        };
        loop {
            let (jobs, closed) = self.wait(&rhythm);
            rhythm.groups = [jobs.len(), rhythm.groups[0]];
            let worked = Instant::now();
            if self.time.is_virtual() {
                self.take_virtual(jobs, &mut rhythm);
            } else {
                self.take_live(jobs, &mut rhythm);
            }
            self.carry_out(&mut rhythm, worked);
            self.publish(&mut rhythm, closed);
            self.checkpoint(&mut rhythm, closed);
            self.delete_comments(&mut rhythm);
            if closed {
                self.keeper.stop();
                return;
            }
        }
    }

    /// Waits for work or time; everything that is there is taken, up to a group. The second value
    /// tells that nothing more will come.
    fn wait(&self, rhythm: &Rhythm) -> (Vec<Job>, bool) {
        let mut jobs = Vec::new();
        match self.jobs.recv_timeout(self.patience(rhythm)) {
            Ok(job) => {
                let evidence = self.gather(job, &mut jobs, rhythm);
                self.counters.queued_submissions.fetch_sub(jobs.len() as u64, Ordering::Relaxed);
                self.counters.queued_evidence.fetch_sub(evidence as u64, Ordering::Relaxed);
                (jobs, false)
            }
            Err(RecvTimeoutError::Timeout) => (jobs, false),
            Err(RecvTimeoutError::Disconnected) => (jobs, true),
        }
    }

    /// Takes what waits after `first`, up to a group; how many pieces of evidence that is.
    fn gather(&self, first: Job, jobs: &mut Vec<Job>, rhythm: &Rhythm) -> usize {
        let gathering = self.gathering(rhythm);
        let mut evidence = 0;
        let mut next = Some(first);
        loop {
            let before = jobs.len();
            while let Some(job) = next {
                evidence += job.evidence.len();
                jobs.push(job);
                if jobs.len() >= GROUP_SUBMISSIONS_MAX || evidence >= GROUP_EVIDENCE_MAX {
                    return evidence;
                }
                next = self.jobs.try_recv().ok();
            }
            let arrived = jobs.len() - before;
            if !gathering.as_ref().is_some_and(|gathering| gathering.goes_on(arrived, Instant::now())) {
                return evidence;
            }
            std::thread::sleep(PAUSE);
            next = self.jobs.try_recv().ok();
        }
    }

    /// Whether a group may wait for more, and how.
    fn gathering(&self, rhythm: &Rhythm) -> Option<Gathering> {
        // Together, for a few that come late must not keep all the others from being waited for.
        let many = rhythm.groups.iter().sum::<usize>() >= GATHER_FROM;
        if many && !self.time.is_virtual() { Gathering::new(self.flush, Instant::now()) } else { None }
    }

    fn patience(&self, rhythm: &Rhythm) -> Duration {
        let until_publish = if rhythm.unpublished {
            self.publish_every.saturating_sub(rhythm.published.elapsed())
        } else {
            WAIT_MAX
        };
        let until_tick = match self.engine.poll_timeout() {
            Some(due) if !self.time.is_virtual() => {
                // A medium that fails is tried again now and then, not as fast as it can fail.
                let failing = self.counters.storage_failing.load(Ordering::Relaxed) != 0;
                let due = due.millis_since(self.time.now());
                if failing { WAIT_MAX } else { Duration::from_millis(u64::try_from(due).unwrap_or(0)) }
            }
            _ => WAIT_MAX,
        };
        until_publish.min(until_tick).min(WAIT_MAX)
    }

    /// On a live folder: tells the engine what it starts with, and shows it.
    pub(super) fn begin_live(&mut self) {
        if !self.time.is_virtual() {
            self.begin(self.time.now());
            self.snapshot.store(self.engine.snapshot());
        }
    }

    /// Tells the engine what it starts with, at the first moment that is known.
    fn begin(&mut self, at: UtcTime) {
        let mut records = std::mem::take(&mut self.first);
        if records.is_empty() {
            return;
        }
        records.push(Evidence::Tick);
        match self.append(&mut [(at, encoded(&records))]) {
            Ok(first) => self.feed(first, at, &records),
            Err(error) => {
                tracing::error!(%error, "the catalogue could not be written to the log; trying again");
                records.pop();
                self.first = records;
            }
        }
    }

    fn take_live(&mut self, jobs: Vec<Job>, rhythm: &mut Rhythm) {
        self.look_at_clock();
        let now = self.time.now();
        self.begin(now);
        let due = self.engine.poll_timeout().is_some_and(|due| due <= now);
        let mut group = Group::default();
        for job in jobs {
            if job.clock.is_some() {
                let _ = job.reply.send(Err(Refusal::ClockBackwards));
                continue;
            }
            group.push(now, job);
        }
        let mut own = Vec::new();
        if due {
            let minute = now.minute().0;
            if minute != rhythm.views_minute {
                rhythm.views_minute = minute;
                own = (self.page_views)();
            }
            own.push(Evidence::Tick);
            group.batches.push((now, encoded(&own)));
        }
        if group.batches.is_empty() {
            return;
        }
        rhythm.unpublished = true;
        match self.append(&mut group.batches) {
            Ok(first) => {
                let received_at = self.log.last_received_at().unwrap_or(now);
                let starts = group.starts(first);
                self.keep_comments(&group, &starts, received_at);
                for (index, job) in group.jobs {
                    let first_seq = starts[index];
                    let _ = job.reply.send(Ok(Accepted { first_seq, received_at }));
                    self.feed(first_seq, received_at, &job.evidence);
                }
                // What is the program's own stands last.
                if let Some(last) = starts.last().filter(|_| due) {
                    self.feed(*last, received_at, &own);
                }
            }
            Err(error) => self.refuse(group.jobs, &error),
        }
    }

    /// Moves a virtual clock along. The engine goes first, because what it asks for next depends
    /// on what it has seen; if the log then fails, the engine is set up anew from the log.
    fn take_virtual(&mut self, jobs: Vec<Job>, rhythm: &mut Rhythm) {
        let mut jobs = VecDeque::from(jobs);
        if let Err(error) = self.play(&mut jobs, rhythm) {
            tracing::error!(%error, "the log failed; the engine is set up anew from it");
            // They came after what was refused, and cannot be taken before it.
            self.refuse(jobs.into_iter().map(|job| (0, job)).collect(), &error);
            self.set_up_anew();
        }
    }

    /// Takes one job after the other; what is not taken because the log fails stays in `jobs`.
    fn play(&mut self, jobs: &mut VecDeque<Job>, rhythm: &mut Rhythm) -> Result<(), StoreError> {
        let mut group = Group::default();
        // What is flushed is the folder's time; this is where the engine is.
        let mut reached = self.time.now();
        while let Some(clock) = jobs.front().map(|job| job.clock) {
            let at = clock.unwrap_or(reached);
            let refusal = self.refusal_of_clock(at, reached);
            if refusal.is_none() {
                self.begin(at);
                self.pass(at, &mut group, rhythm)?;
            }
            let Some(job) = jobs.pop_front() else { break };
            if let Some(refusal) = refusal {
                let _ = job.reply.send(Err(refusal));
                continue;
            }
            self.arrive(at, job, &mut group);
            reached = at;
            self.flush_if_full(&mut group, rhythm)?;
        }
        self.flush(&mut group, rhythm)
    }

    /// Why a virtual clock cannot be moved from `reached` to `at`. The log of an empty folder may
    /// begin at any time: nothing passes before it.
    fn refusal_of_clock(&self, at: UtcTime, reached: UtcTime) -> Option<Refusal> {
        if at < reached {
            return Some(Refusal::ClockBackwards);
        }
        let is_empty = self.log.last_seq() == Seq(0);
        let latest = reached.plus_seconds(CLOCK_DAYS_MAX * 86_400);
        (at > latest && !is_empty).then_some(Refusal::ClockTooFar)
    }

    /// Lets the time before `at` pass, however long that is, in a bounded room.
    fn pass(&mut self, at: UtcTime, group: &mut Group, rhythm: &mut Rhythm) -> Result<(), StoreError> {
        while let Some(due) = lane::tick_before(&mut self.engine, at) {
            group.batches.push((due, encoded(lane::TICK)));
            self.flush_if_full(group, rhythm)?;
        }
        Ok(())
    }

    /// Takes a job at its time.
    fn arrive(&mut self, at: UtcTime, job: Job, group: &mut Group) {
        let is_due = lane::arrive(&mut self.engine, at, &job.evidence);
        group.push(at, job);
        if is_due {
            self.feed(self.engine.seq().next(), at, lane::TICK);
            group.batches.push((at, encoded(lane::TICK)));
        }
    }

    fn flush_if_full(&mut self, group: &mut Group, rhythm: &mut Rhythm) -> Result<(), StoreError> {
        if group.batches.len() < VIRTUAL_BATCHES_MAX {
            return Ok(());
        }
        self.flush(group, rhythm)
    }

    /// Makes a group durable and carries out what the engine made of it: later the log may fail,
    /// and an engine that is set up anew from the log does not say it again.
    fn flush(&mut self, group: &mut Group, rhythm: &mut Rhythm) -> Result<(), StoreError> {
        let begun = Instant::now();
        let mut group = std::mem::take(group);
        if group.batches.is_empty() {
            return Ok(());
        }
        match self.append(&mut group.batches) {
            Ok(first) => {
                if let Some((at, _)) = group.batches.last() {
                    self.time.advance(*at);
                }
                let starts = group.starts(first);
                self.keep_comments(&group, &starts, self.time.now());
                for (index, job) in group.jobs {
                    let (first_seq, received_at) = (starts[index], group.batches[index].0);
                    let _ = job.reply.send(Ok(Accepted { first_seq, received_at }));
                }
                self.carry_out(rhythm, begun);
                Ok(())
            }
            Err(error) => {
                self.refuse(group.jobs, &error);
                Err(error)
            }
        }
    }

    fn set_up_anew(&mut self) {
        match recover::engine_at_end(&self.rebuild.checkpoints, &self.log.reader(), None) {
            Ok(engine) => self.engine = engine,
            Err(error) => tracing::error!(%error, "the log cannot be read again"),
        }
    }

    /// Appends; the position of the first record. Tells once when the medium begins to fail, and
    /// once when it is well again.
    fn append(&mut self, batches: &mut [(UtcTime, EncodedBatch)]) -> Result<Seq, StoreError> {
        let begun = Instant::now();
        let result = self.log.append_encoded(batches);
        self.flush = begun.elapsed();
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        let failed = self.counters.storage_failing.swap(u64::from(result.is_err()), Ordering::Relaxed) != 0;
        match &result {
            Err(error) if !failed => {
                tracing::error!(%error, "the log cannot be written; reports are refused")
            }
            Ok(_) if failed => tracing::info!("the log can be written again"),
            _ => {}
        }
        let appended = result?;
        Ok(appended.first().map_or(self.log.last_seq().next(), |appended| appended.first_seq))
    }

    /// Keeps the comments of a group whose batches begin at `starts` in the log. They go after their
    /// reports: a comment whose report was not kept would be taken for the next report's.
    fn keep_comments(&mut self, group: &Group, starts: &[Seq], at: UtcTime) {
        let mut comments = Vec::new();
        for (index, job) in &group.jobs {
            if let Some(comment) = &job.comment {
                comments.push(Comment {
                    report: starts[*index],
                    service: comment.service,
                    received_at: at,
                    text: comment.text.clone(),
                });
            }
        }
        if comments.is_empty() {
            return;
        }
        if let Err(error) = self.comments.append(&comments) {
            // The reports are durable and count; refusing them now would have them sent twice.
            self.counters.comments_lost.fetch_add(comments.len() as u64, Ordering::Relaxed);
            tracing::error!(%error, comments = comments.len(), "comments could not be kept");
        }
    }

    /// Deletes the text of comments that moderators removed.
    fn delete_comments(&mut self, rhythm: &mut Rhythm) {
        if rhythm.comments_at.elapsed() < COMMENTS_EVERY {
            return;
        }
        rhythm.comments_at = Instant::now();
        if let Err(error) = self.comments.delete_removed(&self.admin) {
            tracing::error!(%error, "removed comments could not be deleted; trying again");
        }
    }

    fn refuse(&self, jobs: Vec<(usize, Job)>, error: &StoreError) {
        let refusal = match error {
            StoreError::Full(_) => Refusal::StorageFull,
            StoreError::ReadOnly(_) => Refusal::ReadOnly,
            _ => Refusal::StorageFailed,
        };
        self.counters.refused_storage.fetch_add(jobs.len() as u64, Ordering::Relaxed);
        for (_, job) in jobs {
            let _ = job.reply.send(Err(refusal));
        }
    }

    /// Follows the machine's clock wherever it is set.
    fn look_at_clock(&self) {
        if let Some(step) = self.time.look() {
            if step < 0 {
                self.counters.clock_set_back.fetch_add(1, Ordering::Relaxed);
                let seconds = -step / 1000;
                tracing::error!(seconds, "the machine's clock was set back; time goes on, a tenth slower");
            } else {
                tracing::warn!(seconds = step / 1000, "the machine's clock was set forward");
            }
        }
        let ahead = self.time.ahead_millis().unsigned_abs();
        self.counters.clock_ahead_millis.store(ahead, Ordering::Relaxed);
    }

    fn feed(&mut self, first: Seq, at: UtcTime, evidence: &[Evidence]) {
        self.engine.handle_batch(first, at, evidence);
    }

    fn carry_out(&mut self, rhythm: &mut Rhythm, worked: Instant) {
        while let Some(effect) = self.engine.poll_effect() {
            match effect {
                Effect::Persist(seq, derived) => self.keeper.keep(seq, derived, self.time.is_virtual()),
                Effect::Publish => {
                    rhythm.unpublished = true;
                    set_micros(&self.counters.tick_micros, worked);
                }
            }
        }
    }

    fn publish(&mut self, rhythm: &mut Rhythm, closed: bool) {
        if !rhythm.unpublished || (rhythm.published.elapsed() < self.publish_every && !closed) {
            return;
        }
        let begun = Instant::now();
        let snapshot = self.engine.snapshot();
        let serial = snapshot.serial;
        self.snapshot.store(snapshot);
        self.publish.send_replace(serial);
        set_micros(&self.counters.snapshot_micros, begun);
        self.counters.snapshots.fetch_add(1, Ordering::Relaxed);
        rhythm.published = Instant::now();
        rhythm.unpublished = false;
    }

    fn checkpoint(&mut self, rhythm: &mut Rhythm, closed: bool) {
        let records = self.engine.seq().0 - rhythm.checkpoint_seq.0.min(self.engine.seq().0);
        let due = records >= CHECKPOINT_RECORDS
            || (records > 0 && (closed || rhythm.checkpoint_at.elapsed() >= CHECKPOINT_EVERY));
        // A state that is ahead of the log must never be kept.
        if !due || self.engine.seq() > self.log.last_seq() {
            return;
        }
        self.keeper.checkpoint(&self.engine, closed || self.time.is_virtual());
        rhythm.checkpoint_seq = self.engine.seq();
        rhythm.checkpoint_at = Instant::now();
    }
}

fn set_micros(counter: &AtomicU64, since: Instant) {
    counter.store(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
