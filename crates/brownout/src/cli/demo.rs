//! `brownout demo`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brownout_core::model::{ChannelId, UtcTime, Weight};
use brownout_lab::{Pace, Player, Scenario, Step};
use brownout_store::embedded::Clock;
use brownout_web::Mode;
use clap::Args;
use prometheus_client::registry::Registry;

use super::{Console, Exit, Failure, Settings, scenario, serve};
use crate::config::Source;
use crate::host::stage::services_of;
use crate::intake::TokenGrant;
use crate::listener::ListenerMetrics;
use crate::serving::{FixedToken, Health, Housekeeping, Observatory, Plan, Shared, listen};

/// Runs the observatory with an outage played into it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout demo\n  brownout demo --speed 600 --listen 127.0.0.1:9000\n\n\
    The replayed outage stands at /, a clean live observatory that takes your reports at /live/.\n\
    Nothing of a demo is kept unless --data names a folder.")]
pub struct Demo {
    /// The scenario: a name of `brownout scenario ls`, or a file
    #[arg(long, default_value = "x-2025-03-10")]
    pub scenario: String,
    /// How many times faster than life
    #[arg(long, default_value_t = 120.0, value_parser = parse_speed)]
    pub speed: f64,
    /// Seed of everything that is drawn by chance, instead of the scenario's own
    #[arg(long)]
    pub seed: Option<u64>,
    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS:PORT", env = "BROWNOUT_LISTEN")]
    pub listen: Option<SocketAddr>,
}

/// A factor that a virtual clock can run at.
pub(super) fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1e6).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.1 to 1000000".to_owned()),
    }
}

/// Path of the live observatory.
const LIVE: &str = "/live";
/// Virtual time per step while it is played, and in the warm-up.
const PACE: Pace = Pace { step_seconds: 10, warm_up_step_seconds: 600 };
/// Time between two snapshots of the replay, at least.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);
/// Pause before a step that was refused is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

pub(super) fn run(args: &Demo, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, file) = settings.load(args.listen)?;
    let script = Arc::new(scenario::read(&args.scenario)?);
    let services = serve::services(&config)?;
    let source = file.map(|file| Source { file, overrides: settings.overrides(args.listen) });
    let home = Home::new(settings.data.as_deref())?;
    let runtime = serve::runtime()?;
    runtime.block_on(async {
        let shared = serve::shared(config);
        let listening = listen(&shared.config.listen).await.map_err(Failure::new)?;
        let (token, plan) = replay_plan(args, &script, services_of(&script, &services), &home);
        let replay = serve::open(plan, &shared).await?;
        let live_plan = Plan {
            base_path: LIVE.to_owned(),
            mode: Mode::Live,
            folder: home.path.join("live"),
            clock: Clock::Live,
            services,
            tokens: Vec::new(),
            publish_every: Duration::from_millis(1000),
        };
        let live = serve::open(live_plan, &shared).await?;
        let mut registry = Registry::with_prefix("brownout");
        shared.metrics.register(&mut registry);
        let listener_metrics = ListenerMetrics::default();
        listener_metrics.register(&mut registry);
        let health = Health::new(registry, &shared.config, &[&replay, &live]);
        let router = replay
            .router()
            .merge(live.router())
            .merge(health.router())
            .fallback_service(brownout_web::not_found(replay.site.clone()));
        let address = listening.address;
        console.say(&format!(
            "The outage unfolds at http://{address}/\nYour own reports are taken at http://{address}{LIVE}/\n\
            Played at {} times the speed of life; stop with Ctrl-C.",
            args.speed
        ));
        let keeping = keep(&replay, &live, &shared, source);
        let player = Playing { address, token, speed: args.speed, script: script.clone() };
        let steps = Player::new(script, args.seed, PACE);
        let from = replay.instance.sink();
        let reached = crate::intake::Sink::now(&*from);
        let playing = std::thread::Builder::new()
            .name("brownout-player".to_owned())
            .spawn(move || player.run(steps, reached))
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        let end_streams = || [&replay.site, &live.site].iter().for_each(|site| site.end_events());
        let served = listening.serve(router, listener_metrics, end_streams).await;
        keeping.iter().for_each(tokio::task::JoinHandle::abort);
        serve::close(replay).await;
        serve::close(live).await;
        // The player ends by itself once nobody answers; the process need not wait for it.
        drop(playing);
        drop(home);
        served.map(|()| Exit::Ok).map_err(Failure::new)
    })
}

fn keep(
    replay: &Observatory,
    live: &Observatory,
    shared: &Shared,
    source: Option<Source>,
) -> Vec<tokio::task::JoinHandle<()>> {
    // A replay's catalogue and policy are the scenario's; a new configuration is the live one's.
    vec![
        tokio::spawn(Housekeeping::new(replay, shared, None).run()),
        tokio::spawn(Housekeeping::new(live, shared, source).run()),
    ]
}

fn replay_plan(
    args: &Demo,
    script: &Scenario,
    services: Vec<crate::reference::catalogue::ServiceEntry>,
    home: &Home,
) -> (String, Plan) {
    let token = home.token.clone();
    let grant = TokenGrant { channel: ChannelId::FIRST_PARTNER, virtual_clock: true, weight: Weight::FULL };
    let plan = Plan {
        base_path: String::new(),
        mode: Mode::Scenario {
            name: args.scenario.clone(),
            title: script.title.clone(),
            speed: args.speed,
            live_path: Some(format!("{LIVE}/")),
        },
        folder: home.path.join("replay"),
        clock: Clock::Virtual,
        services,
        tokens: vec![FixedToken {
            hash: blake3::hash(token.as_bytes()),
            grant,
            channel_name: "scenario".to_owned(),
        }],
        publish_every: PUBLISH_EVERY,
    };
    (token, plan)
}

/// Where the demo keeps its folders: a named one that stays, or one that goes with it.
struct Home {
    path: PathBuf,
    is_temporary: bool,
    token: String,
}

impl Home {
    fn new(named: Option<&Path>) -> Result<Self, Failure> {
        let mut random = [0u8; 16];
        crate::intake::system_random(&mut random)
            .map_err(|error| Failure::new(format!("no randomness to be had: {error}")))?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = match named {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("brownout-demo-{}", &token[..8])),
        };
        std::fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok(Home { path, is_temporary: named.is_none(), token })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed is left to the system's own clean-up of its temporary folder.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Sends a scenario through the batch intake, as a partner would.
struct Playing {
    address: SocketAddr,
    token: String,
    speed: f64,
    script: Arc<Scenario>,
}

impl Playing {
    /// Plays what comes after `reached`: the warm-up as fast as it goes, the rest at speed.
    fn run(self, steps: Player, reached: UtcTime) {
        let agent = ureq::Agent::new_with_defaults();
        let mut begun: Option<Instant> = None;
        for step in steps.filter(|step| step.clock > reached) {
            if step.clock > self.script.start.max(reached) {
                let begun = begun.get_or_insert_with(Instant::now);
                let virtual_millis = step.clock.millis_since(self.script.start.max(reached));
                let due = Duration::from_secs_f64(virtual_millis as f64 / 1000.0 / self.speed);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
            let mut tries = 0;
            while let Err(error) = self.send(&agent, &step) {
                tries += 1;
                if tries > 20 {
                    tracing::error!(error, clock = %step.clock, "the replay ended early");
                    return;
                }
                std::thread::sleep(AGAIN_AFTER);
            }
        }
        tracing::info!("the scenario has been played to its end");
    }

    fn send(&self, agent: &ureq::Agent, step: &Step) -> Result<(), String> {
        agent
            .post(format!("http://{}/api/v1/reports/batch", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/x-ndjson")
            .header("brownout-clock", step.clock.to_string())
            .send(&step.body[..])
            .map(drop)
            .map_err(|error| error.to_string())
    }
}
