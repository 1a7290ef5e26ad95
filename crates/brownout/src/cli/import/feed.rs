//! A data folder that is filled on a clock of its own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use brownout_core::model::{Evidence, Geography, UtcTime};
use brownout_store::embedded::{Clock, Retention, Rolling};
use brownout_store::port::StoreError;

use super::super::{Failure, check};
use crate::config::Config;
use crate::host::{CLOCK_DAYS_MAX, HostSink, Instance, Setup};
use crate::intake::{Sink, Submission, Submitting};

/// Virtual time of one step.
pub(super) const STEP_MILLIS: i64 = 60_000;
/// Submissions that wait for the disk together.
const WAITING_MAX: usize = 128;

/// The step that a time is in.
pub(super) fn floor(at: UtcTime) -> UtcTime {
    UtcTime::from_millis(at.millis() - at.millis().rem_euclid(STEP_MILLIS))
}

/// Whether a time is further from another than a clock may be moved at once.
pub(super) fn is_far(from: UtcTime, to: UtcTime) -> bool {
    to.millis_since(from) > CLOCK_DAYS_MAX * 86_400_000
}

/// Opens a folder for what happened from `begin` on.
pub(super) fn open(
    into: &Path,
    config: &Config,
    geography: &Geography,
    begin: UtcTime,
) -> Result<Instance, Failure> {
    let folder = into.display();
    let instance =
        instance(into, config, geography).map_err(|error| Failure::new(format!("{folder}: {error}")))?;
    if let Some(why) = &instance.degraded {
        return Err(Failure::new(format!("{folder}: {why}")));
    }
    let now = instance.sink().now();
    if now > begin {
        return Err(Failure::new(format!(
            "{folder} has come to {now} already and {begin} is before that; import into another folder"
        )));
    }
    // Before its first record a folder has no time to be far from.
    if now > UtcTime::default() && is_far(now, begin) {
        return Err(Failure::new(format!(
            "{folder} has come to {now} and {begin} is more than {CLOCK_DAYS_MAX} days later; import into another folder"
        )));
    }
    Ok(instance)
}

fn instance(into: &Path, config: &Config, geography: &Geography) -> Result<Instance, StoreError> {
    let services = check::services(config).map_err(|problems| StoreError::Io(problems.join("\n")))?;
    Instance::open(Setup {
        folder: into.to_owned(),
        clock: Clock::Virtual,
        rolling: Rolling { segment_bytes: u64::from(config.log.segment_mib) << 20, ..Rolling::default() },
        // History is as old as it is; the age of its records is no reason to let them go.
        retention: Retention::default(),
        services,
        policy: config.policy.clone(),
        geography: geography.digest().to_owned(),
        // Nobody watches; the last picture is drawn at the end.
        publish_every: Duration::from_secs(3600),
        queue_reports_max: Config::default().intake.queue_reports_max.into(),
        page_views: Box::new(Vec::new),
    })
}

/// Evidence on its way into a folder, in its order.
pub(super) struct Feed<'a> {
    sink: &'a HostSink,
    /// Submissions whose answers are not there yet.
    waiting: VecDeque<Submitting<'a>>,
}

impl<'a> Feed<'a> {
    /// Into a folder.
    pub(super) fn new(sink: &'a HostSink) -> Self {
        Feed { sink, waiting: VecDeque::new() }
    }

    /// Puts evidence into the queue and moves the clock, and waits only when much waits already: so that
    /// submissions share their flushes.
    pub(super) async fn submit(&mut self, evidence: Vec<Evidence>, clock: UtcTime) -> Result<(), Failure> {
        let mut submitting = self.sink.submit(Submission { evidence, comment: None, clock: Some(clock) });
        match poll_fn(|context| Poll::Ready(submitting.as_mut().poll(context))).await {
            Poll::Ready(answer) => taken(answer)?,
            Poll::Pending => self.waiting.push_back(submitting),
        }
        while self.waiting.len() > WAITING_MAX {
            if let Some(oldest) = self.waiting.pop_front() {
                taken(oldest.await)?;
            }
        }
        Ok(())
    }

    /// Waits until everything is taken.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        while let Some(oldest) = self.waiting.pop_front() {
            taken(oldest.await)?;
        }
        Ok(())
    }
}

fn taken(answer: Result<crate::intake::Accepted, crate::intake::Refusal>) -> Result<(), Failure> {
    answer.map(drop).map_err(|refusal| Failure::new(format!("the import stopped: {refusal:?}")))
}
