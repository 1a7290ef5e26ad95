//! An observatory at work: a data folder, its intake and its pages, behind one listener.

mod exchange;
mod forms;
mod health;
mod housekeeping;
mod listening;
mod orders;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use brownout_core::model::{Asn, Geography};
use brownout_store::embedded::{Admin, Clock, Retention, Rolling};
use brownout_store::port::StoreError;
use brownout_web::{Challenge, Hooks, Mode, SiteOptions, SiteParts, WebState};

use crate::config::{self, Config, ForwardedHeader, ProofOfWork};
use crate::host::{Instance, Setup};
use crate::intake::{
    self, ChannelNames, ForwardedBy, Intake, IntakeMetrics, IntakeParts, IntakeSettings, Network,
    PageViewCounter, ProbeDesk, ProbePlan, ProofMode, Rate, SaltBox, Sink, TokenCheck, TokenGrant,
    TokenLookup, TrustedProxies, World, system_random,
};
use crate::reference::addresses::AddressBook;
use crate::reference::catalogue::ServiceEntry;

pub use exchange::Exchange;
pub use forms::SitePages;
pub use health::Health;
pub use housekeeping::Housekeeping;
pub use listening::{Listening, listen};

/// What is the same for all observatories of one process.
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// Names and positions of places.
    pub geography: Arc<Geography>,
    /// What an address says.
    pub addresses: Arc<AddressBook>,
    /// What intake counts.
    pub metrics: IntakeMetrics,
}

/// A token that is in no folder.
#[derive(Clone)]
pub struct FixedToken {
    /// The token's hash.
    pub hash: blake3::Hash,
    /// What it allows.
    pub grant: TokenGrant,
    /// Name of its channel.
    pub channel_name: String,
}

/// One observatory, before it is open.
#[derive(Clone)]
pub struct Plan {
    /// Path under which it stands: empty, or such as `/live`.
    pub base_path: String,
    /// Live, or a replay.
    pub mode: Mode,
    /// The data folder.
    pub folder: PathBuf,
    /// The machine's clock, or one that batches move.
    pub clock: Clock,
    /// The services to know.
    pub services: Vec<ServiceEntry>,
    /// Tokens that are good besides those of the folder.
    pub tokens: Vec<FixedToken>,
    /// Time between two snapshots, at least.
    pub publish_every: Duration,
}

/// An open observatory.
pub struct Observatory {
    /// The folder at work.
    pub instance: Instance,
    /// Takes reports in.
    pub intake: Arc<Intake>,
    /// Shows them.
    pub site: WebState,
    base_path: String,
}

impl Observatory {
    /// Opens the folder and puts intake and pages around it.
    ///
    /// # Errors
    /// In words: the folder cannot be used, or a salt cannot be kept.
    pub fn open(plan: Plan, shared: &Shared) -> Result<Self, String> {
        Self::open_with(Instance::open, plan, shared)
    }

    /// The same for a folder that must be writable.
    ///
    /// # Errors
    /// As for [`Observatory::open`], and when the folder cannot be written.
    pub fn open_writable(plan: Plan, shared: &Shared) -> Result<Self, String> {
        Self::open_with(Instance::open_writable, plan, shared)
    }

    fn open_with(
        open: impl FnOnce(Setup) -> Result<Instance, StoreError>,
        plan: Plan,
        shared: &Shared,
    ) -> Result<Self, String> {
        let config = &shared.config;
        let views = Arc::new(PageViewCounter::new(shared.metrics.clone()));
        let drained = views.clone();
        let instance = open(Setup {
            folder: plan.folder.clone(),
            clock: plan.clock,
            rolling: Rolling { segment_bytes: u64::from(config.log.segment_mib) << 20, ..Rolling::default() },
            // History that was imported is as old as it is.
            retention: match plan.clock {
                Clock::Live => retention(&config.log),
                Clock::Virtual => Retention::default(),
            },
            services: plan.services,
            policy: config.policy.clone(),
            geography: shared.geography.digest().to_owned(),
            publish_every: plan.publish_every,
            queue_reports_max: config.intake.queue_reports_max.into(),
            page_views: Box::new(move || drained.drain()),
        })
        .map_err(|error| format!("{}: {error}", plan.folder.display()))?;
        let world = World::new(instance.catalogue.clone(), shared.geography.clone(), &config.policy);
        let pages = SitePages::default();
        let state_of_pages = pages.state();
        let sink: Arc<dyn Sink> = instance.sink();
        let settings = IntakeSettings { is_live: plan.clock == Clock::Live, ..settings(config) };
        let proxies = settings.proxies.clone();
        let lookup = shared.addresses.clone();
        let salts = salts(&plan.folder, instance.degraded.is_some(), config)?;
        let intake = Intake::new(IntakeParts {
            sink: sink.clone(),
            world,
            lookup: Box::new(move |address| lookup.lookup(address)),
            tokens: tokens(instance.admin.clone(), plan.tokens.clone()),
            channel_names: channel_names(instance.admin.clone(), plan.tokens),
            pages: Box::new(pages),
            salts,
            settings,
            metrics: shared.metrics.clone(),
            probes: probes(&plan.folder, instance.admin.clone(), config)?,
        })
        .map_err(|error| format!("no randomness to be had: {error}"))?;
        let intake = Arc::new(intake);
        let site = WebState::new(SiteParts {
            snapshot: instance.snapshot.clone(),
            geography: shared.geography.clone(),
            history: instance.history.clone(),
            options: site_options(&plan.base_path, plan.mode, &intake, config, instance.degraded.as_ref()),
            hooks: hooks(&instance, &intake, shared, proxies, views),
            updates: instance.updates.clone(),
            more_api: Some(intake::openapi()),
        });
        // The pages of the form and the site need each other; the later one is told.
        let _ = state_of_pages.set(site.clone());
        Ok(Observatory { instance, intake, site, base_path: plan.base_path })
    }

    /// All addresses of the observatory.
    pub fn router(&self) -> Router {
        let intake = intake::router(self.intake.clone());
        let intake =
            if self.base_path.is_empty() { intake } else { Router::new().nest(&self.base_path, intake) };
        brownout_web::router(self.site.clone()).merge(intake)
    }
}

fn retention(log: &config::Log) -> Retention {
    Retention {
        age_seconds: (log.retention_days > 0).then(|| u64::from(log.retention_days) * 86_400),
        bytes: (log.retention_gib_max > 0).then(|| u64::from(log.retention_gib_max) << 30),
    }
}

/// What an operator sets of intake.
pub fn settings(config: &Config) -> IntakeSettings {
    let networks: Vec<Network> =
        config.proxies.trusted.iter().filter_map(|block| block.to_string().parse().ok()).collect();
    let header = match config.proxies.header {
        ForwardedHeader::XForwardedFor => ForwardedBy::XForwardedFor,
        ForwardedHeader::Forwarded => ForwardedBy::Forwarded,
    };
    let (listen, intake) = (&config.listen, &config.intake);
    IntakeSettings {
        proxies: TrustedProxies::new(networks, header),
        report_bytes_max: listen.body_bytes_max as usize,
        body_timeout: Duration::from_secs(listen.body_timeout_seconds.into()),
        batch_bytes_max: listen.batch_bytes_max as usize,
        batch_timeout: Duration::from_secs(listen.batch_timeout_seconds.into()),
        source_rate: Rate::new(intake.source_per_minute, intake.source_burst),
        subnet_rate: Rate::new(intake.subnet_per_minute, intake.subnet_burst),
        proof: match intake.proof_of_work {
            ProofOfWork::Auto => ProofMode::Auto,
            ProofOfWork::Off => ProofMode::Off,
            ProofOfWork::On => ProofMode::On,
        },
        comments: intake.comments,
        ..IntakeSettings::default()
    }
}

/// Salts live beside the folder's data, readable by the program only. A folder that cannot be
/// written takes nothing in, so its salts need no place: the temporary folder may lie on the same
/// full disk, and pages must be served all the same.
fn salts(folder: &Path, is_degraded: bool, config: &Config) -> Result<SaltBox, String> {
    let overlap = config.policy.repeat_minutes + config.policy.lateness_minutes;
    let now = crate::host::wall_clock();
    if is_degraded {
        return SaltBox::in_memory(overlap, now, system_random)
            .map_err(|error| format!("no randomness to be had: {error}"));
    }
    let folder = folder.join("secrets");
    SaltBox::open(&folder, overlap, now, system_random)
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// Who deals with probes, with the key that schedules are signed with: kept beside the salts.
fn probes(folder: &Path, admin: Option<Arc<Admin>>, config: &Config) -> Result<Option<ProbeDesk>, String> {
    let (Some(admin), true) = (admin, config.probes.enabled) else { return Ok(None) };
    let file = folder.join("secrets").join("probes.key");
    let identity = crate::secret::identity(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let probes = &config.probes;
    let named = |text: &String| (!text.is_empty()).then(|| text.clone());
    let plan = ProbePlan {
        services: probes.services.clone(),
        every_seconds: probes.every_minutes * 60,
        control_url: named(&probes.control_url),
        control_token_file: probes.control_token_file.clone(),
        innocent_name: probes.innocent_name.clone(),
        other_resolvers: probes.other_resolvers.iter().map(ToString::to_string).collect(),
        https_resolvers: named(&probes.doh_url).into_iter().collect(),
        measurements_per_hour_max: probes.measurements_per_hour_max,
    };
    Ok(Some(ProbeDesk::new(admin, identity, plan)))
}

/// Looks tokens up by their hash at each request, so that taking one back works at once.
fn tokens(admin: Option<Arc<Admin>>, fixed: Vec<FixedToken>) -> TokenLookup {
    Box::new(move |token| {
        let hash = blake3::hash(token.as_bytes());
        if let Some(token) = fixed.iter().find(|known| known.hash == hash) {
            return TokenCheck::Granted(token.grant);
        }
        let Some(admin) = &admin else { return TokenCheck::Unknown };
        let token = match admin.token(hash.as_bytes()) {
            Ok(Some(token)) => token,
            Ok(None) => return TokenCheck::Unknown,
            Err(error) => {
                tracing::error!(%error, "tokens cannot be looked up");
                return TokenCheck::Unknown;
            }
        };
        let expired = token.expires.is_some_and(|expires| expires <= crate::host::wall_clock());
        if token.revoked.is_some() || expired {
            return TokenCheck::Revoked;
        }
        TokenCheck::Granted(TokenGrant {
            channel: token.channel,
            virtual_clock: token.virtual_clock,
            weight: token.weight,
        })
    })
}

/// Names of the channels that tokens are for.
fn channel_names(admin: Option<Arc<Admin>>, fixed: Vec<FixedToken>) -> ChannelNames {
    Box::new(move |id| {
        if let Some(token) = fixed.iter().find(|token| token.grant.channel == id) {
            return Some(token.channel_name.clone());
        }
        let known = admin.as_ref()?.channels().unwrap_or_else(|error| {
            tracing::error!(%error, "names of channels cannot be looked up");
            Vec::new()
        });
        known.into_iter().find(|(known, _)| *known == id).map(|(_, name)| name)
    })
}

fn site_options(
    base_path: &str,
    mode: Mode,
    intake: &Arc<Intake>,
    config: &Config,
    degraded: Option<&StoreError>,
) -> SiteOptions {
    let asked = intake.clone();
    let banner = match (degraded, &mode) {
        (Some(why), _) => Some(format!(
            "This observatory takes no reports in at the moment: {}. What was known is shown.",
            public_reason(why)
        )),
        (None, Mode::History) => {
            Some("This is imported history. It ends at the time that the pages give.".to_owned())
        }
        (None, Mode::Live | Mode::Scenario { .. }) => None,
    };
    SiteOptions {
        base_path: base_path.to_owned(),
        title: config.site.title.clone(),
        contact: config.site.contact.clone(),
        comments: config.intake.comments,
        // A virtual clock stands still between batches, which is no reason to warn.
        stale_after_seconds: if mode == Mode::Live { 120 } else { 86_400 },
        mode,
        banner,
        challenge: Some(Challenge {
            url: format!("{base_path}/api/v1/reports/challenge"),
            asked: Arc::new(move || asked.asks_everybody_for_proof()),
        }),
        ..SiteOptions::default()
    }
}

/// Why nothing is taken in, for everybody: where the folder is stays in the program's own log.
fn public_reason(why: &StoreError) -> &'static str {
    match why {
        StoreError::Full(_) => "its storage is full",
        _ => "its storage cannot be written",
    }
}

fn hooks(
    instance: &Instance,
    intake: &Arc<Intake>,
    shared: &Shared,
    proxies: TrustedProxies,
    views: Arc<PageViewCounter>,
) -> Hooks {
    let sink = instance.sink();
    let mut hooks = Hooks::with_clock(move || sink.now());
    let counting = intake.clone();
    hooks.counting = Arc::new(move || counting.counting());
    let (names, places) = (shared.addresses.clone(), shared.addresses.clone());
    hooks.network_name = Arc::new(move |asn: Asn| names.network_name(asn).map(str::to_owned));
    hooks.service_viewed = Arc::new(move |service, parts| {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
        let country =
            peer.and_then(|peer: IpAddr| places.lookup(proxies.client(peer, &parts.headers)).place.country);
        views.count(service, country);
    });
    hooks
}

/// A cell for what is known later.
type Later<T> = Arc<OnceLock<T>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_can_be_written_holds_its_salts() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config::default();
        let degraded = salts(folder.path(), true, &config).expect("salts");
        assert!(!folder.path().join("secrets").exists());
        let opened_again = salts(folder.path(), false, &config).expect("salts");
        let kept = opened_again.salts().current.generation();
        assert!(folder.path().join(format!("secrets/salt-{kept}")).is_file());
        assert_ne!(degraded.salts().current.secret(), opened_again.salts().current.secret());
    }

    #[test]
    fn the_public_learns_no_path() {
        for (error, told) in [
            (StoreError::Full("/srv/b: no space".to_owned()), "its storage is full"),
            (StoreError::ReadOnly("/srv/b: read-only".to_owned()), "its storage cannot be written"),
            (StoreError::Io("/srv/b: denied".to_owned()), "its storage cannot be written"),
        ] {
            assert_eq!(public_reason(&error), told);
        }
    }
}
