//! A folder on a virtual clock, from its queue to its history.

use std::fs;
use std::path::Path;
use std::time::Duration;

use brownout_core::model::{Minute, Policy, UtcTime};
use brownout_store::embedded::{Clock, Retention, Rolling};

use super::{CLOCK_DAYS_MAX, Instance, Setup};
use crate::intake::{Accepted, Refusal, Sink, Submission};

/// A folder of which every flush has a segment of its own.
fn open(folder: &Path) -> Instance {
    Instance::open(Setup {
        folder: folder.to_owned(),
        clock: Clock::Virtual,
        rolling: Rolling { segment_bytes: 1, ..Rolling::default() },
        retention: Retention::default(),
        services: Vec::new(),
        policy: Policy::default(),
        geography: String::new(),
        publish_every: Duration::ZERO,
        queue_reports_max: 1000,
        page_views: Box::new(Vec::new),
    })
    .expect("opens")
}

fn days_on(days: i64) -> UtcTime {
    "2025-03-09T00:00:00Z".parse::<UtcTime>().expect("a time").plus_seconds(days * 86_400)
}

async fn move_to(instance: &Instance, clock: UtcTime) -> Result<Accepted, Refusal> {
    let submission = Submission { evidence: Vec::new(), comment: None, clock: Some(clock) };
    instance.sink().submit(submission).await
}

#[tokio::test]
async fn a_virtual_clock_moves_on_in_bounded_steps_after_its_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let instance = open(folder.path());
    move_to(&instance, days_on(0)).await.expect("the first may be any time");
    let too_far = days_on(CLOCK_DAYS_MAX).plus_seconds(1);
    assert_eq!(move_to(&instance, too_far).await, Err(Refusal::ClockTooFar));
    assert_eq!(instance.sink().now(), days_on(0), "and leaves the clock where it was");
    move_to(&instance, days_on(1)).await.expect("taken");
    assert_eq!(move_to(&instance, days_on(0)).await, Err(Refusal::ClockBackwards));
    assert_eq!(instance.sink().now(), days_on(1));
    instance.stop();
}

#[tokio::test]
async fn a_flush_that_fails_takes_no_history_of_those_before_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let instance = open(folder.path());
    let next = move_to(&instance, days_on(0)).await.expect("taken").first_seq.0;
    // Four days have more ticks than one flush takes; the second one finds its file's name taken.
    let second = next + 4096;
    let in_the_way = folder.path().join(format!("log/{second:020}.seg"));
    fs::create_dir(&in_the_way).expect("made");
    assert_eq!(move_to(&instance, days_on(4)).await, Err(Refusal::StorageFailed));
    let reached = days_on(0).plus_seconds(4096 * 60);
    assert_eq!(instance.sink().now(), reached, "as far as the log goes");
    fs::remove_dir(&in_the_way).expect("removed");
    move_to(&instance, days_on(4)).await.expect("taken");
    let history = instance.history.clone().expect("there");
    instance.stop();
    let spans = history.collected(Minute(0), Minute(u32::MAX)).expect("readable").spans;
    let [(from, to)] = spans[..] else { panic!("there is a gap: {spans:?}") };
    assert!(from.start() <= days_on(0).plus_seconds(600), "from {}", from.start());
    assert!(to.start() >= days_on(4).plus_seconds(-7200), "to {}", to.start());
}
