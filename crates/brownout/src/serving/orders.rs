//! Carries out what operators ask for beside the running program: an order becomes a record of the
//! log, like any evidence.

use std::sync::Arc;

use arc_swap::ArcSwap;
use brownout_core::model::{Evidence, IncidentId, OperatorAction, Seq};
use brownout_core::snapshot::{Snapshot, State};
use brownout_store::embedded::{Admin, Order, OrderKind};

use crate::host::{HostSink, wall_clock};
use crate::intake::{Sink, Submission};

/// How old an order may be, in seconds: who left it waits for less than that.
const AGE_SECONDS_MAX: i64 = 60;
/// Most incidents that a refusal names.
const NAMED_MAX: usize = 10;

/// Carries out every order that waits.
pub(super) async fn carry_out(admin: &Arc<Admin>, sink: &HostSink, snapshot: &ArcSwap<Snapshot>) {
    loop {
        let (of, now) = (admin.clone(), wall_clock());
        let take = move || of.take_order(now.plus_seconds(-AGE_SECONDS_MAX), now);
        let order = match tokio::task::spawn_blocking(take).await {
            Ok(Ok(Some(order))) => order,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::error!(%error, "orders of operators cannot be looked up");
                return;
            }
        };
        let outcome = match action(&order, &snapshot.load()) {
            Ok(action) => submit(action, sink).await,
            Err(refusal) => Err(refusal),
        };
        tracing::info!(?order, ?outcome, "an operator's order");
        let of = admin.clone();
        let finish = move || of.finish_order(order.id, &outcome);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(finish).await {
            tracing::error!(%error, "what became of an order could not be kept");
        }
    }
}

async fn submit(action: OperatorAction, sink: &HostSink) -> Result<Seq, String> {
    let evidence = vec![Evidence::Operator(Box::new(action))];
    let submission = Submission { evidence, comment: None, clock: None };
    let accepted = sink.submit(submission).await;
    accepted.map(|accepted| accepted.first_seq).map_err(|refusal| format!("the log refused it: {refusal:?}"))
}

/// The record that an order stands for, or why there is none.
fn action(order: &Order, snapshot: &Snapshot) -> Result<OperatorAction, String> {
    let name = &order.incident;
    let (slug, opened) = IncidentId::parse_name(name).map_err(|error| format!("{name:?} is {error}"))?;
    let service = snapshot.catalogue.find(slug).ok_or_else(|| format!("there is no service {slug:?}"))?.id;
    let incident = IncidentId { service, opened };
    let state = snapshot.incident(incident).map(|view| view.state);
    let words = order.words.clone();
    match (order.kind, state) {
        (_, None) => Err(format!("there is no incident {name}; {}", ongoing(snapshot))),
        (_, Some(State::Ended)) => Err(format!("{name} has ended; {}", ongoing(snapshot))),
        (OrderKind::Hold, Some(State::Confirmed)) => {
            Err(format!("{name} is confirmed already; only a possible incident can be held"))
        }
        (OrderKind::Hold, _) => Ok(OperatorAction::Hold { incident, reason: words }),
        (OrderKind::Extend, _) => Ok(OperatorAction::Extend { incident, reason: words }),
        (OrderKind::Close, _) => Ok(OperatorAction::Close { incident, reason: words }),
        (OrderKind::Note, _) => Ok(OperatorAction::Note { incident, text: words }),
    }
}

fn ongoing(snapshot: &Snapshot) -> String {
    let open = snapshot.incidents.iter().filter(|view| view.state != State::Ended);
    let name = |id: IncidentId| Some(id.name(&snapshot.catalogue.get(id.service)?.slug));
    let names: Vec<String> = open.filter_map(|view| name(view.id)).take(NAMED_MAX).collect();
    if names.is_empty() { "none is ongoing".to_owned() } else { format!("ongoing are {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use brownout_core::model::{
        ChannelId, Place, Policy, ProblemKind, Report, ServiceId, SourceKeys, UtcTime, Weight,
    };
    use brownout_core::snapshot::{Change, IncidentView};
    use brownout_store::embedded::{Clock, Progress, Retention, Rolling};

    use super::*;
    use crate::host::{Instance, Setup};
    use crate::reference::catalogue;

    /// A folder whose clock the test moves.
    struct Stand {
        instance: Instance,
        admin: Arc<Admin>,
        at: UtcTime,
        sources: u64,
    }

    impl Stand {
        fn new(folder: &Path) -> Self {
            let instance = Instance::open(Setup {
                folder: folder.to_owned(),
                clock: Clock::Virtual,
                rolling: Rolling::default(),
                retention: Retention::default(),
                services: catalogue::load(None).expect("a catalogue"),
                policy: Policy::default(),
                geography: String::new(),
                publish_every: Duration::ZERO,
                queue_reports_max: 1_000_000,
                page_views: Box::new(Vec::new),
            });
            let admin = Arc::new(Admin::beside(folder).expect("opens"));
            let at = "2025-03-09T00:00:00Z".parse().expect("a time");
            Stand { instance: instance.expect("opens"), admin, at, sources: 0 }
        }

        /// Lets minutes pass, each with so many people who report.
        async fn minutes(&mut self, minutes: u32, people: u64) {
            let service: ServiceId = self.instance.catalogue.find("x").expect("known").id;
            for _ in 0..minutes {
                self.at = self.at.plus_seconds(60);
                let evidence = (0..people).map(|_| {
                    self.sources += 1;
                    Evidence::Report(Report {
                        service,
                        kind: ProblemKind::Login,
                        channel: ChannelId::WEB,
                        occurred_at: self.at,
                        place: Place::default(),
                        network: None,
                        source: SourceKeys {
                            generation: 1,
                            source: self.sources,
                            subnet: self.sources,
                            previous: None,
                        },
                        weight: Weight::FULL,
                    })
                });
                let evidence = evidence.collect();
                let submission = Submission { evidence, comment: None, clock: Some(self.at) };
                self.instance.sink().submit(submission).await.expect("taken");
            }
            // The picture is drawn after the answer.
            while self.instance.snapshot.load().at < self.at {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        async fn order(&self, kind: OrderKind, incident: &str, words: &str) -> Progress {
            let id = self.admin.order(kind, incident, words, wall_clock()).expect("left");
            assert_eq!(self.admin.order_progress(id).expect("asked"), Progress::Waiting);
            carry_out(&self.admin, &self.instance.sink(), &self.instance.snapshot).await;
            self.admin.order_progress(id).expect("asked")
        }

        fn incident(&self) -> (String, Arc<IncidentView>) {
            let view = self.instance.snapshot.load().incidents[0].clone();
            (view.id.name("x"), view)
        }
    }

    fn refused(progress: Progress, because: &str) {
        assert!(matches!(&progress, Progress::Refused(why) if why.contains(because)), "{progress:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_operators_orders_are_records_and_show_on_the_incident() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut stand = Stand::new(folder.path());
        stand.minutes(180, 0).await;
        refused(stand.order(OrderKind::Close, "x-2025-03-09-0300", "because").await, "none is ongoing");
        stand.minutes(2, 8).await;
        let (name, view) = stand.incident();
        assert_eq!(view.state, State::Possible);
        assert!(matches!(stand.order(OrderKind::Close, &name, "Too soon.").await, Progress::Done(_)));
        stand.minutes(1, 0).await;
        assert_eq!(stand.incident().1.state, State::Ended, "though what it departed by is still there");
        stand.minutes(12, 30).await;
        let (same, view) = stand.incident();
        assert_eq!((&same, view.state), (&name, State::Confirmed), "people went on reporting");
        let Progress::Done(seq) = stand.order(OrderKind::Note, &name, "We look at it.").await else {
            panic!("a note is taken")
        };
        refused(stand.order(OrderKind::Hold, &name, "doubt").await, "is confirmed already");
        refused(stand.order(OrderKind::Close, "x-2025-03-09-0001", "typo").await, &name);
        refused(stand.order(OrderKind::Close, "nobody-2025-03-09-0001", "typo").await, "no service");
        refused(stand.order(OrderKind::Close, "x", "typo").await, "not an incident's name");
        assert!(matches!(stand.order(OrderKind::Close, &name, "A drill.").await, Progress::Done(_)));
        stand.minutes(1, 0).await;
        let (same, view) = stand.incident();
        assert_eq!((same, view.state), (name.clone(), State::Ended));
        let words = view.timeline.iter().filter_map(|entry| match &entry.change {
            Change::Operator(words) => Some(words.as_str()),
            _ => None,
        });
        let lines: Vec<&str> = words.collect();
        assert_eq!(lines, ["Too soon.", "We look at it.", "A drill."]);
        refused(stand.order(OrderKind::Note, &name, "late").await, "has ended");
        stand.instance.stop();
        let mut records =
            brownout_store::embedded::LogReader::open(folder.path()).records(seq).expect("a log");
        let record = records.next().expect("there").expect("whole");
        assert!(matches!(record.evidence, Evidence::Operator(_)), "{record:?}");
    }

    #[test]
    fn an_order_is_taken_once_and_never_late() {
        let folder = tempfile::tempdir().expect("a folder");
        let admin = Admin::beside(folder.path()).expect("opens");
        let at = |seconds: i64| UtcTime::from_seconds(1_741_600_000 + seconds);
        let order = |seconds| admin.order(OrderKind::Note, "x", "words", at(seconds)).expect("left");
        let (old, withdrawn, taken) = (order(0), order(100), order(101));
        assert!(admin.withdraw_order(withdrawn).expect("asked"));
        let next = || admin.take_order(at(60), at(110)).expect("asked").map(|order| order.id);
        assert_eq!((next(), next()), (Some(taken), None), "what was left long ago is nobody's wish any more");
        assert!(!admin.withdraw_order(taken).expect("asked"));
        assert_eq!(admin.order_progress(taken).expect("asked"), Progress::Taken);
        assert_eq!(admin.order_progress(old).expect("asked"), Progress::Waiting);
    }
}
