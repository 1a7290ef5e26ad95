//! A stage for scripts: the same intake, engine and clock as a data folder's, without the folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use brownout_core::effect::{Derived, Effect};
use brownout_core::engine::Engine;
use brownout_core::model::{ChannelId, Evidence, Geography, Policy, UtcTime, Weight};
use brownout_core::report::PartnerKey;
use brownout_lab::timeline::Recorder;
use brownout_lab::{Pace, Player, Scenario, Step};
use brownout_store::port::StoreError;

use super::{lane, number};
use crate::intake::{TokenGrant, World, judge};
use crate::reference::catalogue::ServiceEntry;

/// An engine on a virtual clock that takes batches as the batch intake does.
pub struct Stage {
    /// The engine.
    pub engine: Engine,
    world: World,
    channels: BTreeMap<Arc<str>, ChannelId>,
    /// Lines that were taken.
    pub accepted: u64,
    /// Lines that were refused, with the first reason.
    pub refused: (u64, Option<String>),
}

impl Stage {
    /// Sets the stage at the first instant that is played.
    ///
    /// # Errors
    /// When the services make no catalogue.
    pub fn new(
        services: Vec<ServiceEntry>,
        policy: &Policy,
        geography: Arc<Geography>,
        at: UtcTime,
    ) -> Result<Self, StoreError> {
        let mut engine = Engine::new();
        let catalogue = number(&engine, services)?;
        let world = World::new(Arc::new(catalogue.clone()), geography, policy);
        let first = [
            Evidence::Catalogue(Box::new(catalogue)),
            Evidence::Policy(Box::new(policy.clone())),
            Evidence::Tick,
        ];
        lane::feed(&mut engine, at, &first);
        Ok(Stage { engine, world, channels: BTreeMap::new(), accepted: 0, refused: (0, None) })
    }

    /// Plays one step. `each` sees the engine after every tick with what that tick derived.
    pub fn play(&mut self, step: &Step, mut each: impl FnMut(&mut Engine, UtcTime, Option<Box<Derived>>)) {
        let mut evidence = Vec::new();
        let known = self.channels.len();
        let channel = *self.channels.entry(step.channel.clone()).or_insert_with(|| {
            let id = ChannelId(ChannelId::FIRST_PARTNER.0 + known as u16);
            evidence.push(Evidence::Channel { id, name: step.channel.to_string() });
            id
        });
        let grant = TokenGrant { channel, virtual_clock: true, weight: Weight::FULL };
        match judge(&step.body, &self.world, grant, &PartnerKey::fixed(channel), step.clock) {
            Ok(mut judged) => {
                self.accepted += judged.evidence.len() as u64;
                self.refused.0 += judged.refused_total();
                if let (None, Some((line, problem))) = (&self.refused.1, judged.refused.first()) {
                    self.refused.1 = Some(format!("line {line}: {}", problem.detail));
                }
                evidence.append(&mut judged.evidence);
            }
            Err(problem) => {
                self.refused.0 += u64::from(step.lines);
                self.refused.1.get_or_insert(problem.detail);
            }
        }
        lane::advance(&mut self.engine, step.clock, &evidence, |engine, at, own| {
            if own.is_none() {
                return;
            }
            let mut derived = None;
            while let Some(effect) = engine.poll_effect() {
                if let Effect::Persist(_, rows) = effect {
                    derived = Some(rows);
                }
            }
            each(engine, at, derived);
        });
    }
}

/// Virtual time per step: as fine as the engine looks.
const PACE: Pace = Pace { step_seconds: 10, warm_up_step_seconds: 600 };

/// Plays a whole scenario as fast as it goes; what came of it, and the stage it was played on.
/// `progress` is told the minutes of virtual time that passed.
///
/// # Errors
/// When the services make no catalogue.
pub fn perform(
    script: &Arc<Scenario>,
    seed: Option<u64>,
    policy: &Policy,
    known: &[ServiceEntry],
    mut progress: impl FnMut(u64),
) -> Result<(Recorder, Stage), StoreError> {
    let geography = Geography::embedded();
    let services = services_of(script, known);
    let mut stage = Stage::new(services, &script.policy(policy), geography.clone(), script.plays_from())?;
    let mut recorder = Recorder::new(script.clone(), geography);
    let mut told = script.plays_from();
    for step in Player::new(script.clone(), seed, PACE) {
        let warm = step.clock <= script.start;
        stage.play(&step, |engine, at, derived| {
            let changed = derived.is_some_and(|derived| !derived.incidents.is_empty());
            // In the warm-up only incidents are of interest; later every full minute is.
            if changed || (!warm && at.millis().rem_euclid(60_000) == 0) {
                recorder.observe(&engine.snapshot());
            }
        });
        let minutes = u64::try_from(step.clock.millis_since(told) / 60_000).unwrap_or(0);
        if minutes > 0 {
            progress(minutes);
            told = step.clock;
        }
    }
    recorder.observe(&stage.engine.snapshot());
    Ok((recorder, stage))
}

/// The services of a scenario, as the catalogue knows them or as the scenario declares them.
pub fn services_of(scenario: &Scenario, known: &[ServiceEntry]) -> Vec<ServiceEntry> {
    let declared = scenario.catalogue_entries(brownout_core::model::ServiceId(0));
    declared
        .into_iter()
        .map(|service| match known.iter().find(|entry| entry.slug == service.slug) {
            // Only what it depends on inside the scenario can be told.
            Some(entry) => {
                let inside = |slug: &&String| scenario.services.iter().any(|line| line.slug == **slug);
                let depends_on = entry.depends_on.iter().filter(inside).cloned().collect();
                ServiceEntry { depends_on, ..entry.clone() }
            }
            None => ServiceEntry::new(service.slug, service.name, service.category),
        })
        .collect()
}
