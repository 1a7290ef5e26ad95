//! `brownout probe run`.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brownout_core::model::UtcTime;
use brownout_core::reach::{Measurement, Target, Vantage};
use brownout_formats::ooni::write;
use brownout_probe::wire::Schedule;
use brownout_probe::{ControlPoint, Identity, Prober, Settings, software};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::iter;
use tokio::signal::unix::{SignalKind, signal};

use super::enrol::{Folder, settle};
use super::how::{prober, timeouts};
use crate::cli::serve::runtime;
use crate::cli::{Console, Exit, Failure};
use crate::host::wall_clock;
use crate::intake::system_random;
use crate::vantage::{Client, Enrolment, QUEUED_MAX, Queue, Rounds, State, Trouble};

/// How often the schedule is asked for, and how often after it could not be had.
const SCHEDULE_SECONDS: i64 = 3600;
const SCHEDULE_AGAIN_SECONDS: i64 = 120;
/// The longest sleep between two looks at what is due.
const LOOK_SECONDS_MAX: u64 = 15;
/// Pause after the observatory could not be reached; it doubles up to the longest.
const PAUSE_SECONDS: i64 = 30;
const PAUSE_SECONDS_MAX: i64 = 1800;

/// A probe at work.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout probe run --state /var/lib/brownout-probe\n  \
    brownout probe run --once                    one round now, then end\n  \
    brownout probe run --into measured.jsonl     measure without submitting\n\n\
    Measures what the observatory's signed schedule says, and nothing else; asks a control at the same\n\
    time; sends signed measurements. While the observatory cannot be reached up to 10,000 measurements\n\
    wait on disk, and an expired schedule measures nothing. SIGTERM and SIGINT stop it.")]
pub struct Run {
    /// The folder.
    #[command(flatten)]
    pub folder: Folder,
    /// Measure every target once now, send it and end
    #[arg(long)]
    pub once: bool,
    /// Do not submit: add the measurements to this file, one JSON document a line
    #[arg(long, value_name = "FILE")]
    pub into: Option<PathBuf>,
    /// Most new connections in a second, over all targets
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub per_second: u32,
    /// Most targets at once
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub at_once: u32,
    /// Resolver to ask as people here do, instead of the system's; may be given again
    #[arg(long = "resolver", value_name = "ADDRESS[:PORT]", value_parser = super::how::parse_resolver)]
    pub resolvers: Vec<SocketAddr>,
    /// Most seconds for each stage, instead of 4 for names, 10 for connections and 20 for pages
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=120))]
    pub stage_seconds: Option<u32>,
    /// Let private addresses be connected to: laboratories, and networks of one's own
    #[arg(long)]
    pub allow_private: bool,
}

pub(super) fn run(args: &Run, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let state = args.folder.open()?;
    let who = args.folder.enrolment(&state)?;
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    let mut settings = args.folder.settings()?;
    settings.resolvers.system = match args.resolvers.as_slice() {
        [] => brownout_probe::system_resolvers().unwrap_or_default(),
        given => given.to_vec(),
    };
    if settings.resolvers.system.is_empty() {
        return Err(Failure::new("/etc/resolv.conf names no resolver; name one with --resolver"));
    }
    settings.timeouts = timeouts(args.stage_seconds);
    settings.connections_per_second_max = args.per_second;
    settings.runs_open_max = args.at_once as usize;
    if args.allow_private {
        settings.guard = brownout_probe::Guard::Any;
    }
    let queue = Queue::open(&state.queue()).map_err(failed)?;
    let schedule = state.schedule().map_err(failed)?;
    runtime()?.block_on(async {
        let key = who.identity().map_err(failed)?;
        let agent = Agent {
            args,
            key,
            state,
            queue,
            settings,
            schedule,
            prober: None,
            line: Arc::new(prober(args.folder.settings()?)?),
            rounds: Rounds::default(),
            ask_at: UtcTime::from_seconds(0),
            send_at: UtcTime::from_seconds(0),
            pause_seconds: PAUSE_SECONDS,
            who,
        };
        agent.work(console).await
    })
}

struct Agent<'a> {
    args: &'a Run,
    who: Enrolment,
    key: Identity,
    state: State,
    queue: Queue,
    /// As the command line says; a schedule adds to it.
    settings: Settings,
    schedule: Option<Schedule>,
    /// Made anew with each schedule.
    prober: Option<(Arc<Prober>, Option<ControlPoint>)>,
    /// Talks to the observatory.
    line: Arc<Prober>,
    rounds: Rounds,
    ask_at: UtcTime,
    send_at: UtcTime,
    pause_seconds: i64,
}

impl Agent<'_> {
    async fn work(mut self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return Err(Failure::new("signals cannot be listened for"));
        };
        console.say(&format!("{} measures for {}", self.who.name, self.who.observatory));
        let once = async {
            loop {
                let is_fine = self.step(console).await?;
                if self.args.once {
                    return Ok(if is_fine { Exit::Ok } else { Exit::CheckFailed });
                }
                tokio::time::sleep(self.sleep()).await;
            }
        };
        tokio::select! {
            ended = once => ended,
            _ = interrupt.recv() => Ok(Exit::Ok),
            _ = terminate.recv() => Ok(Exit::Ok),
        }
    }

    /// Does all that is due; whether it could.
    async fn step(&mut self, console: &mut Console<'_>) -> Result<bool, Failure> {
        let now = wall_clock();
        let mut is_fine = true;
        if self.ask_at <= now {
            is_fine &= self.ask_schedule(now, console).await?;
        }
        self.schedule.take_if(|schedule| schedule.expires_at <= now);
        if self.schedule.is_none() {
            console.say("there is no schedule in force; nothing is measured");
            return Ok(false);
        }
        let mut random = random_number;
        // A round at once is a round of everything.
        let until = if self.args.once { now.plus_seconds(86_400) } else { now };
        let due = self.rounds.due(until, &mut random);
        let dropped = self.queue.dropped;
        self.measure(&due).await?;
        if self.queue.dropped > dropped {
            let count = self.queue.dropped - dropped;
            console.say(&format!("{count} measurements dropped, the oldest: more than {QUEUED_MAX} wait"));
        }
        if self.args.into.is_none() && (self.send_at <= wall_clock() || self.args.once) {
            is_fine &= self.send(console).await?;
        }
        Ok(is_fine)
    }

    fn sleep(&self) -> Duration {
        let next = self.rounds.next().map_or(LOOK_SECONDS_MAX, |next| {
            u64::try_from((next.millis() - wall_clock().millis()) / 1000).unwrap_or(0)
        });
        Duration::from_secs(next.clamp(1, LOOK_SECONDS_MAX))
    }

    async fn ask_schedule(&mut self, now: UtcTime, console: &mut Console<'_>) -> Result<bool, Failure> {
        let line = Arc::clone(&self.line);
        let asked = Client::new(&line, &self.who.observatory).schedule(&self.who, &self.key, now).await;
        let (fresh, is_fine) = match asked {
            // An old schedule that somebody kept takes no newer one's place.
            Ok(schedule) if self.schedule.as_ref().is_none_or(|old| old.issued_at <= schedule.issued_at) => {
                self.ask_at = now.plus_seconds(SCHEDULE_SECONDS);
                self.state.keep_schedule(&schedule)?;
                (Some(schedule), true)
            }
            Ok(_) => {
                console.say("the schedule that came is older than the one in force");
                self.ask_at = now.plus_seconds(SCHEDULE_AGAIN_SECONDS);
                (None, false)
            }
            // Perhaps a new key was sent and its answer was lost.
            Err(Trouble::Refused(reason, _)) if reason == "bad_signature" && self.is_unsettled()? => {
                let client = Client::new(&line, &self.who.observatory);
                self.who = settle(&self.state, self.who.clone(), &client).await?;
                self.key = self.who.identity()?;
                (None, false)
            }
            Err(Trouble::Refused(reason, detail)) => {
                return Err(Failure::new(Trouble::Refused(reason, detail).to_string()));
            }
            Err(trouble) => {
                console.say(&trouble.to_string());
                self.ask_at = now.plus_seconds(SCHEDULE_AGAIN_SECONDS);
                (None, false)
            }
        };
        let is_new = fresh.is_some();
        self.schedule = fresh.or(self.schedule.take());
        if (is_new || self.prober.is_none())
            && let Some(schedule) = self.schedule.clone()
        {
            self.follow(&schedule, now, console)?;
        }
        Ok(is_fine)
    }

    fn is_unsettled(&self) -> Result<bool, Failure> {
        Ok(self.state.coming()?.is_some_and(|coming| coming.probe == self.who.probe))
    }

    /// Measures by a schedule from now on.
    fn follow(
        &mut self,
        schedule: &Schedule,
        now: UtcTime,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let mut settings = self.settings.clone();
        settings.innocent_name = Some(schedule.innocent_name.clone());
        settings.resolvers.plain = schedule.other_resolvers.iter().filter_map(|at| at.parse().ok()).collect();
        settings.resolvers.https.clone_from(&schedule.https_resolvers);
        let control = schedule
            .control
            .as_ref()
            .and_then(|control| ControlPoint::new(&control.url, control.token.as_deref()).ok());
        let mut random = random_number;
        let left_out = self.rounds.take(schedule, settings.guard, now, &mut random);
        let minutes = schedule.every_seconds / 60;
        console.say(&format!(
            "{} targets, each every {minutes} minutes; {left_out} left out",
            self.rounds.len()
        ));
        self.prober = Some((Arc::new(prober(settings)?), control));
        Ok(())
    }

    /// Measures targets and keeps each measurement as it comes.
    async fn measure(&mut self, due: &[Target]) -> Result<(), Failure> {
        let Some((prober, control)) = self.prober.clone() else { return Ok(()) };
        let vantage = Vantage { software: software(), ..Vantage::default() };
        let mut measuring = iter(due)
            .map(|target| prober.measure(target, vantage.clone(), control.as_ref()))
            .buffer_unordered(self.args.at_once as usize);
        while let Some(measurement) = measuring.next().await {
            self.keep(&measurement)?;
        }
        Ok(())
    }

    /// Puts a measurement where it survives the end of the program.
    fn keep(&mut self, measurement: &Measurement) -> Result<(), Failure> {
        let Some(name) = &self.args.into else { return Ok(self.queue.push(&lean(measurement))?) };
        let mut file = OpenOptions::new().create(true).append(true).open(name)?;
        writeln!(file, "{}", write(measurement))?;
        Ok(file.sync_data()?)
    }

    /// Sends what waits, the oldest first; whether the observatory took it.
    async fn send(&mut self, console: &mut Console<'_>) -> Result<bool, Failure> {
        let (line, observatory) = (Arc::clone(&self.line), self.who.observatory.clone());
        let client = Client::new(&line, &observatory);
        while let Some(batch) = self.queue.batch()? {
            match client.submit(&self.who, &self.key, &batch.body).await {
                Ok(received) => {
                    let refused = received.refused.len();
                    console.say(&format!("{} measurements sent, {refused} refused", received.accepted));
                    for (place, reason) in received.refused.iter().take(3) {
                        console.say(&format!("  measurement {place}: {reason}"));
                    }
                    self.queue.finish(&batch)?;
                }
                Err(Trouble::Known) => self.queue.finish(&batch)?,
                Err(trouble @ (Trouble::Later(_) | Trouble::Untrue(_))) => {
                    let waiting = self.queue.len();
                    console.say(&format!("{trouble}; {waiting} measurements wait"));
                    self.send_at = wall_clock().plus_seconds(self.pause_seconds);
                    self.pause_seconds = (self.pause_seconds * 2).min(PAUSE_SECONDS_MAX);
                    return Ok(false);
                }
                // A batch that will never be taken must not hold up the next.
                Err(Trouble::Refused(reason, detail))
                    if reason == "invalid_field" || reason == "body_too_large" =>
                {
                    console.say(&format!("a batch is let go ({reason}): {detail}"));
                    self.queue.finish(&batch)?;
                }
                Err(trouble) => return Err(Failure::new(trouble.to_string())),
            }
            self.pause_seconds = PAUSE_SECONDS;
        }
        Ok(true)
    }
}

/// What leaves this machine: pages may show its address.
fn lean(measurement: &Measurement) -> Measurement {
    measurement.clone().keep(&brownout_core::reach::Fingerprints::default())
}

fn random_number() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness all probes keep the same beat, which is worse than none and no reason to stop.
    let _ = system_random(&mut bytes);
    u64::from_le_bytes(bytes)
}
