//! `brownout serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use brownout_core::model::Geography;
use brownout_store::embedded::{Clock, EmbeddedStore};
use brownout_web::Mode;
use clap::Args;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::{Console, Exit, Failure, Settings};
use crate::config::{Config, Source};
use crate::intake::IntakeMetrics;
use crate::listener::ListenerMetrics;
use crate::reference::addresses::AddressBook;
use crate::reference::catalogue::{self, ServiceEntry};
use crate::serving::{Exchange, Health, Housekeeping, Observatory, Plan, Shared, listen};

/// Runs the observatory.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  brownout serve\n  brownout serve --config /etc/brownout/brownout.toml --log-format json\n\n\
    SIGHUP reads the policy, the catalogue and the address databases again; SIGTERM and SIGINT\n\
    stop gracefully: open requests are answered and everything acknowledged is on disk."
)]
pub struct Serve {
    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS:PORT", env = "BROWNOUT_LISTEN")]
    pub listen: Option<SocketAddr>,
}

/// Live readers see a report within this time.
const PUBLISH_EVERY: Duration = Duration::from_millis(1000);

pub(super) fn run(args: &Serve, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, file) = settings.load(args.listen)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let source = file.map(|file| Source { file, overrides: settings.overrides(args.listen) });
    let services = services(&config)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let shared = Arc::new(shared(config));
        let listening = listen(&shared.config.listen).await.map_err(Failure::new)?;
        let folder = shared.config.data.folder.clone();
        // A folder that does not exist yet, or cannot be read, is for the opening to judge.
        let clock = EmbeddedStore::open_read_only(&folder).map_or(Clock::Live, |store| store.info.clock);
        let plan = Plan {
            base_path: String::new(),
            mode: match clock {
                Clock::Live => Mode::Live,
                Clock::Virtual => Mode::History,
            },
            folder,
            clock,
            services,
            tokens: Vec::new(),
            publish_every: PUBLISH_EVERY,
        };
        let mut running = Running::new(open(plan.clone(), &shared).await?, &shared, source.clone());
        let metrics = ListenerMetrics::default();
        let first = running.router(&shared, &metrics);
        let exchange = Exchange::new(first.clone(), running.observatory.site.clone());
        let router = if running.is_degraded() { exchange.router() } else { first };
        console.say(&format!("brownout listens on http://{}/", listening.address));
        let serving = listening.serve(router, metrics.clone(), || exchange.end_events());
        let mut serving = std::pin::pin!(serving);
        let served = tokio::select! {
            served = serving.as_mut() => served,
            observatory = open_again(plan, &shared), if running.is_degraded() => {
                let next = Running::new(observatory, &shared, source);
                exchange.put(next.router(&shared, &metrics), next.observatory.site.clone());
                std::mem::replace(&mut running, next).end().await;
                serving.await
            }
        };
        running.end().await;
        served.map(|()| Exit::Ok).map_err(Failure::new)
    })
}

/// Pause before a folder that could not be written at the start is opened again, at least ...
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// ... and so many times what the last try took, for it may read much of the log.
const OPEN_AGAIN_TIMES: u32 = 10;

/// Opens the folder once it can be written: there is room again, or somebody has mounted it anew.
async fn open_again(plan: Plan, shared: &Arc<Shared>) -> Observatory {
    let mut pause = OPEN_AGAIN_AFTER;
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        let (plan, shared) = (plan.clone(), shared.clone());
        let opened = tokio::task::spawn_blocking(move || Observatory::open_writable(plan, &shared)).await;
        match opened {
            Ok(Ok(observatory)) => {
                tracing::info!("the data folder can be written now; reports are taken in");
                return observatory;
            }
            Ok(Err(error)) => tracing::debug!(error, "the data folder cannot be written yet"),
            Err(error) => tracing::error!(%error, "the data folder could not be opened again"),
        }
        pause = OPEN_AGAIN_AFTER.max(begun.elapsed() * OPEN_AGAIN_TIMES);
    }
}

/// An observatory that is looked after.
struct Running {
    observatory: Observatory,
    keeping: JoinHandle<()>,
}

impl Running {
    fn new(observatory: Observatory, shared: &Shared, source: Option<Source>) -> Self {
        let keeping = tokio::spawn(Housekeeping::new(&observatory, shared, source).run());
        Running { observatory, keeping }
    }

    fn is_degraded(&self) -> bool {
        self.observatory.instance.degraded.is_some()
    }

    /// All addresses, those for its operator among them.
    fn router(&self, shared: &Shared, listener: &ListenerMetrics) -> Router {
        let mut registry = Registry::with_prefix("brownout");
        shared.metrics.register(&mut registry);
        listener.register(&mut registry);
        let health = Health::new(registry, &shared.config, &[&self.observatory]);
        self.observatory
            .router()
            .merge(health.router())
            .fallback_service(brownout_web::not_found(self.observatory.site.clone()))
    }

    async fn end(self) {
        self.keeping.abort();
        close(self.observatory).await;
    }
}

/// Threads for requests: one per core.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("brownout-http")
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))
}

/// What all observatories of a process share.
pub(super) fn shared(config: Config) -> Shared {
    let geography = Geography::embedded();
    let files: Vec<PathBuf> = config.addresses.files().map(|(_, file)| file.to_owned()).collect();
    let addresses = Arc::new(AddressBook::new(files, geography.clone()));
    Shared { config, geography, addresses, metrics: IntakeMetrics::default() }
}

/// The shipped catalogue with the operator's laid over it.
pub(super) fn services(config: &Config) -> Result<Vec<ServiceEntry>, Failure> {
    let own = match &config.catalogue.file {
        Some(file) => Some(
            std::fs::read_to_string(file)
                .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?,
        ),
        None => None,
    };
    catalogue::load(own.as_deref()).map_err(|problems| {
        let file =
            config.catalogue.file.as_deref().map_or(String::new(), |file| format!("{}: ", file.display()));
        let lines: Vec<String> = problems.iter().map(|problem| format!("{file}{problem}")).collect();
        Failure { exit: Exit::BadConfig, message: lines.join("\n") }
    })
}

/// Opens an observatory away from the threads that serve requests; recovery may take a while.
pub(super) async fn open(plan: Plan, shared: &Shared) -> Result<Observatory, Failure> {
    let observatory =
        tokio::task::block_in_place(|| Observatory::open(plan, shared)).map_err(Failure::new)?;
    if let Some(why) = &observatory.instance.degraded {
        tracing::error!(%why, "the data folder cannot be written; pages are served, nothing is taken in");
    }
    Ok(observatory)
}

/// Writes out what is under way and ends the threads.
pub(super) async fn close(observatory: Observatory) {
    tokio::task::block_in_place(|| observatory.instance.stop());
}
