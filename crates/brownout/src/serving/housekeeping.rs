//! What an observatory does now and then, and when its files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use brownout_core::model::Evidence;
use brownout_core::snapshot::Snapshot;
use brownout_store::embedded::Admin;
use tokio::signal::unix::{SignalKind, signal};

use super::{Observatory, Shared, orders};
use crate::config::{Config, Source};
use crate::host::{HostSink, wall_clock};
use crate::intake::{Intake, Sink, Submission, World};
use crate::reference::addresses::AddressBook;
use crate::reference::catalogue::{self, Numbers, assign};

/// How often salts are turned, stores swept and address databases looked at.
const EVERY: Duration = Duration::from_secs(30);

/// How often operators' orders are looked for.
const ORDERS_EVERY: Duration = Duration::from_secs(1);

/// Turns salts, sweeps stores, reads changed address databases, carries out operators' orders,
/// and on SIGHUP reads the configuration.
pub struct Housekeeping {
    intake: Arc<Intake>,
    sink: Arc<HostSink>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    admin: Option<Arc<Admin>>,
    addresses: Arc<AddressBook>,
    geography: Arc<brownout_core::model::Geography>,
    config: Config,
    source: Option<Source>,
    numbers: Numbers,
}

impl Housekeeping {
    /// For one observatory, configured by `source`.
    pub fn new(observatory: &Observatory, shared: &Shared, source: Option<Source>) -> Self {
        let mut numbers = Numbers::default();
        numbers.observe(&observatory.instance.catalogue);
        numbers.reserve(observatory.instance.service_numbers);
        Housekeeping {
            intake: observatory.intake.clone(),
            sink: observatory.instance.sink(),
            snapshot: observatory.instance.snapshot.clone(),
            admin: observatory.instance.admin.clone(),
            addresses: shared.addresses.clone(),
            geography: shared.geography.clone(),
            config: shared.config.clone(),
            source,
            numbers,
        }
    }

    /// Runs until the process ends.
    pub async fn run(mut self) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be listened for");
                return;
            }
        };
        let mut ticks = tokio::time::interval(EVERY);
        let mut orders = tokio::time::interval(ORDERS_EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.keep().await,
                _ = orders.tick() => self.carry_out_orders().await,
                _ = hangup.recv() => self.reload().await,
            }
        }
    }

    async fn carry_out_orders(&self) {
        if let Some(admin) = &self.admin {
            orders::carry_out(admin, &self.sink, &self.snapshot).await;
        }
    }

    async fn keep(&self) {
        if let Err(error) = self.intake.housekeep(wall_clock()) {
            tracing::error!(%error, "the salts could not be turned");
        }
        let addresses = self.addresses.clone();
        // Reading a database takes long and waits for the disk.
        let news = tokio::task::spawn_blocking(move || addresses.refresh()).await.unwrap_or_default();
        for news in news {
            tracing::info!(?news, "an address database changed");
        }
    }

    async fn reload(&mut self) {
        let Some(source) = &self.source else {
            tracing::info!("no configuration file to read again");
            return self.keep().await;
        };
        let config = match source.read() {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "the configuration is wrong; the old one stays");
                return;
            }
        };
        if let Err(error) = self.apply(&config).await {
            tracing::error!(error, "the configuration could not be applied; the old one stays");
            return;
        }
        for change in Config::reloadable_diff(&self.config, &config) {
            tracing::info!("{change}");
        }
        self.config = config;
        self.keep().await;
    }

    /// Policy and catalogue are records of the log like any evidence.
    async fn apply(&mut self, config: &Config) -> Result<(), String> {
        let own = match &config.catalogue.file {
            Some(file) => {
                Some(std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?)
            }
            None => None,
        };
        let name = config.catalogue.file.as_deref().unwrap_or(Path::new("the shipped catalogue")).display();
        let entries =
            catalogue::load(own.as_deref()).map_err(|problems| format!("{name}: {}", words(&problems)))?;
        let mut numbers = self.numbers.clone();
        let catalogue = assign(entries, &mut numbers).map_err(|error| error.to_string())?;
        let evidence = vec![
            Evidence::Catalogue(Box::new(catalogue.clone())),
            Evidence::Policy(Box::new(config.policy.clone())),
        ];
        let submission = Submission { evidence, comment: None, clock: None };
        self.sink.submit(submission).await.map_err(|refusal| format!("{refusal:?}"))?;
        self.numbers = numbers;
        self.intake.set_world(World::new(Arc::new(catalogue), self.geography.clone(), &config.policy));
        Ok(())
    }
}

fn words(problems: &[catalogue::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
