//! One site: the picture it shows, where its names come from, and how it presents itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use axum::http::request::Parts;
use brownout_core::model::{Asn, Geography, ServiceId, UtcTime};
use brownout_core::report::Counting;
use brownout_core::snapshot::{ServiceView, Snapshot};
use brownout_store::port::History;
use tokio::sync::{Semaphore, watch};

use crate::cache::{Cache, CacheLimits, CacheStats};
use crate::events::EventCache;
use crate::zone::Zones;

/// Whether the site shows the world as it is, or a recorded one played again.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Mode {
    /// The world as it is.
    #[default]
    Live,
    /// Imported history: it stands still, and its operator's notice says so.
    History,
    /// A scenario on a virtual clock; every page says so.
    Scenario {
        /// Name of the scenario, for the interfaces.
        name: String,
        /// Title of the scenario, for people.
        title: String,
        /// Virtual seconds per real second.
        speed: f64,
        /// Address of the live site of the same process, if there is one, such as `/live/`.
        live_path: Option<String>,
    },
}

/// The proof of work that the form may ask for.
#[derive(Clone)]
pub struct Challenge {
    /// Address from which the script fetches a fresh ALTCHA challenge as JSON.
    pub url: String,
    /// Whether proofs are asked for now. Asked once per form.
    pub asked: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge").field("url", &self.url).finish_non_exhaustive()
    }
}

/// How a site presents itself.
#[derive(Clone, Debug)]
pub struct SiteOptions {
    /// Path under which all pages stand: empty, or such as `/live`. No slash at the end.
    pub base_path: String,
    /// Name of the observatory.
    pub title: String,
    /// Whom the page about the site names as its operator; empty is nobody.
    pub contact: String,
    /// Live, or a replay.
    pub mode: Mode,
    /// A notice of the operator above every page.
    pub banner: Option<String>,
    /// Age of the snapshot from which every page warns that it is old, in seconds. Greater than 0.
    pub stale_after_seconds: u32,
    /// The proof of work of the form.
    pub challenge: Option<Challenge>,
    /// Whether the form asks for a comment.
    pub comments: bool,
    /// Most readers of the event stream at one time; one more is told to come back later.
    pub event_readers_max: usize,
    /// Most pages and bytes that are kept ready.
    pub cache: CacheLimits,
}

impl Default for SiteOptions {
    fn default() -> Self {
        SiteOptions {
            base_path: String::new(),
            title: "Brownout".to_owned(),
            contact: String::new(),
            mode: Mode::Live,
            banner: None,
            stale_after_seconds: 120,
            challenge: None,
            comments: true,
            event_readers_max: 2_000,
            cache: CacheLimits::default(),
        }
    }
}

impl SiteOptions {
    /// Path of the live site beside a replay, without a slash at the end.
    pub(crate) fn live_base(&self) -> Option<&str> {
        match &self.mode {
            Mode::Scenario { live_path, .. } => live_path.as_deref().map(|path| path.trim_end_matches('/')),
            Mode::Live | Mode::History => None,
        }
    }
}

/// Told of each view of a service's page, with the head of the request.
pub type ViewedHook = Arc<dyn Fn(ServiceId, &Parts) + Send + Sync>;

/// What the pages ask of their host.
#[derive(Clone)]
pub struct Hooks {
    /// The site's clock: the wall clock, or a scenario's virtual one.
    pub clock: Arc<dyn Fn() -> UtcTime + Send + Sync>,
    /// How often a source counts, by the policy in force.
    pub counting: Arc<dyn Fn() -> Counting + Send + Sync>,
    /// The name of a network.
    pub network_name: Arc<dyn Fn(Asn) -> Option<String> + Send + Sync>,
    /// Called for each view of a service's page, before it is answered. Must not block.
    pub service_viewed: ViewedHook,
}

impl Hooks {
    /// Hooks that know the time, and of the policy only its defaults.
    pub fn with_clock(clock: impl Fn() -> UtcTime + Send + Sync + 'static) -> Self {
        Hooks {
            clock: Arc::new(clock),
            counting: Arc::new(Counting::default),
            network_name: Arc::new(|_| None),
            service_viewed: Arc::new(|_, _| {}),
        }
    }
}

/// Everything a site is made of.
pub struct SiteParts {
    /// What is shown, replaced as a whole by the host.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Names, positions and people of places.
    pub geography: Arc<Geography>,
    /// What is older than the snapshot; without it such pages say that it is not kept.
    pub history: Option<Arc<dyn History>>,
    /// How the site presents itself.
    pub options: SiteOptions,
    /// What the pages ask of their host.
    pub hooks: Hooks,
    /// Carries the serial of the newest snapshot, sent after `snapshot` was replaced.
    pub updates: watch::Receiver<u64>,
    /// The description of the host's own routes, to stand in `openapi.json` with ours.
    pub more_api: Option<utoipa::openapi::OpenApi>,
}

/// A site, shared by all its handlers. Cloning is cheap.
#[derive(Clone)]
pub struct WebState(Arc<Site>);

impl fmt::Debug for WebState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebState").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// The inside of [`WebState`]: shared, and only this crate's to look into.
pub struct Site {
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) geography: Arc<Geography>,
    pub(crate) history: Option<Arc<dyn History>>,
    pub(crate) options: SiteOptions,
    pub(crate) hooks: Hooks,
    pub(crate) updates: watch::Receiver<u64>,
    pub(crate) more_api: Option<utoipa::openapi::OpenApi>,
    pub(crate) cache: Cache,
    pub(crate) zones: Zones,
    pub(crate) events: EventCache,
    pub(crate) event_readers: AtomicUsize,
    /// True once the program stops: a stream that never ends would hold the stop up.
    pub(crate) ending: watch::Sender<bool>,
    /// Where in the snapshot a service was last seen, so that it need not be searched for.
    places: RwLock<HashMap<ServiceId, usize>>,
    /// Renderings and questions to the history that run at one time; the others wait their turn.
    pub(crate) workers: Semaphore,
}

/// Renderings and history questions at one time.
const WORKERS: usize = 4;

impl WebState {
    /// A site from its parts.
    pub fn new(parts: SiteParts) -> Self {
        let cache = Cache::new(parts.options.cache);
        WebState(Arc::new(Site {
            snapshot: parts.snapshot,
            geography: parts.geography,
            history: parts.history,
            options: parts.options,
            hooks: parts.hooks,
            updates: parts.updates,
            more_api: parts.more_api,
            cache,
            zones: Zones::default(),
            events: EventCache::default(),
            event_readers: AtomicUsize::new(0),
            ending: watch::Sender::new(false),
            places: RwLock::default(),
            workers: Semaphore::new(WORKERS),
        }))
    }

    /// What moved in the page cache and the event stream, for metrics.
    pub fn stats(&self) -> WebStats {
        WebStats {
            cache: self.cache.stats(),
            event_readers: self.event_readers.load(std::sync::atomic::Ordering::Relaxed) as u64,
            event_readers_refused: self.events.refused(),
        }
    }

    /// What is shown now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Ends the streams of changes, for a program that stops; their readers come back by themselves.
    pub fn end_events(&self) {
        self.ending.send_replace(true);
    }

    /// Path under which all pages stand.
    pub fn base_path(&self) -> &str {
        &self.0.options.base_path
    }

    /// Whether proofs of work are asked for now, and where the script gets a challenge.
    pub fn challenge_url(&self) -> Option<&str> {
        self.options.challenge.as_ref().filter(|challenge| (challenge.asked)()).map(|c| c.url.as_str())
    }

    /// The view of a service. A snapshot may hold many thousands; their order hardly ever changes.
    pub(crate) fn status(&self, snapshot: &Snapshot, id: ServiceId) -> Option<Arc<ServiceView>> {
        let hint = self.places.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied();
        if let Some(view) = hint.and_then(|at| snapshot.services.get(at)).filter(|one| one.service == id) {
            return Some(Arc::clone(view));
        }
        let (at, view) = snapshot.services.iter().enumerate().find(|(_, one)| one.service == id)?;
        self.places.write().unwrap_or_else(PoisonError::into_inner).insert(id, at);
        Some(Arc::clone(view))
    }

    /// Age of the snapshot in seconds when it is older than it should be.
    pub(crate) fn stale_seconds(&self, snapshot: &Snapshot) -> Option<i64> {
        let age = (self.hooks.clock)().millis_since(snapshot.at) / 1000;
        (age > i64::from(self.options.stale_after_seconds)).then_some(age)
    }
}

impl std::ops::Deref for WebState {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.0
    }
}

/// Counts of a site, all since it was made unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebStats {
    /// The page cache.
    pub cache: CacheStats,
    /// Readers of the event stream now.
    pub event_readers: u64,
    /// Readers of the event stream that were told to come back later.
    pub event_readers_refused: u64,
}
