//! An engine and its clock, for tests of what its parts have learned or settled.

use super::Engine;
use crate::effect::{Derived, Effect};
use crate::model::{Catalogue, Category, Evidence, Seq, Service, ServiceId, UtcTime};

pub(super) struct Driven {
    pub(super) engine: Engine,
}

impl Driven {
    /// A new engine that knows one service and the policy as shipped.
    pub(super) fn with_one_service(at: UtcTime) -> Self {
        let mut driven = Driven { engine: Engine::new() };
        let service = Service::new(ServiceId(0), "s", "S", Category::Social);
        driven.tell(at, &Evidence::Catalogue(Box::new(Catalogue::new(vec![service]).expect("one"))));
        driven.tell(at, &Evidence::Policy(Box::default()));
        driven
    }

    pub(super) fn tell(&mut self, at: UtcTime, evidence: &Evidence) {
        let seq = Seq(self.engine.seq().0 + 1);
        self.engine.handle_evidence(seq, at, evidence);
    }

    /// Lets time pass up to an instant, as a host does; `seen` is told what each tick derived.
    pub(super) fn pass(&mut self, to: UtcTime, mut seen: impl FnMut(&Engine, &[Derived])) {
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= to) {
            self.tell(at, &Evidence::Tick);
            let mut derived = Vec::new();
            while let Some(effect) = self.engine.poll_effect() {
                if let Effect::Persist(_, told) = effect {
                    derived.push(*told);
                }
            }
            seen(&self.engine, &derived);
        }
    }
}
