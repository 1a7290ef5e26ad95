//! Reports straight to an engine: no host, no intake, a virtual clock.

use brownout_core::effect::{Derived, Effect};
use brownout_core::engine::Engine;
use brownout_core::model::{
    Asn, Catalogue, ChannelId, CityId, Evidence, Place, Policy, ProblemKind, Report, Seq, SourceKeys,
    UtcTime, Weight,
};
use serde_json::Value;

/// An engine that is driven as a host drives it: it is told the time whenever it asks for it.
#[derive(Debug)]
pub struct Direct {
    /// The engine.
    pub engine: Engine,
    seq: Seq,
}

impl Direct {
    /// An engine that knows its services and its policy, at an instant.
    pub fn new(catalogue: Catalogue, policy: &Policy, at: UtcTime) -> Self {
        let mut direct = Direct { engine: Engine::new(), seq: Seq(0) };
        direct.tell(at, &Evidence::Catalogue(Box::new(catalogue)));
        direct.tell(at, &Evidence::Policy(Box::new(policy.clone())));
        direct.tell(at, &Evidence::Tick);
        direct
    }

    /// Another engine that goes on from here.
    pub fn fork(&self) -> Option<Self> {
        Some(Direct { engine: Engine::restore(&self.engine.checkpoint())?, seq: self.seq })
    }

    /// Hands over one piece of evidence.
    pub fn tell(&mut self, at: UtcTime, evidence: &Evidence) {
        self.seq = self.seq.next();
        self.engine.handle_evidence(self.seq, at, evidence);
    }

    /// Hands over a report at the instant at which it happened.
    pub fn tell_report(&mut self, report: &Report) {
        self.tell(report.occurred_at, &Evidence::Report(*report));
    }

    /// Lets time pass up to an instant. `each` sees what every tick derived.
    pub fn pass(&mut self, to: UtcTime, mut each: impl FnMut(&mut Engine, &Derived)) {
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= to) {
            self.tell(at, &Evidence::Tick);
            while let Some(effect) = self.engine.poll_effect() {
                if let Effect::Persist(_, derived) = effect {
                    each(&mut self.engine, &derived);
                }
            }
        }
    }
}

/// The report in a line for the batch intake, as intake would take it; `None` where it would refuse it.
pub fn report(line: &[u8], catalogue: &Catalogue) -> Option<Report> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let number = |name: &str| value[name].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let subnet = if text("subnet").is_empty() { text("source") } else { text("subnet") };
    Some(Report {
        service: catalogue.find(text("service"))?.id,
        kind: ProblemKind::from_slug(text("kind"))?,
        channel: ChannelId::FIRST_PARTNER,
        occurred_at: text("at").parse().ok()?,
        place: Place {
            country: text("country").parse().ok(),
            region: text("region").parse().ok(),
            city: CityId::new(number("city")),
        },
        network: Asn::new(number("asn")),
        source: SourceKeys {
            generation: 1,
            source: key(text("source")),
            subnet: key(subnet),
            previous: None,
        },
        weight: Weight::FULL,
    })
}

/// FNV-1a, as good as the keyed hash of intake where nobody means harm.
fn key(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
