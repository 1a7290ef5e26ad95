//! One stream of reports: a scope's usual ones, a scope's anchored ones, or an event's.

use brownout_core::model::ProblemKind;

use crate::rng::{Rng, mix};
use crate::scenario::{Event, EventShape, Focus, Scenario, ScopeKey};

/// Sources that a repeat can be drawn from.
const RECENT_MAX: usize = 256;
/// Minutes for which a source may repeat itself: well within the hour in which it counts once.
const REPEAT_MINUTES: u32 = 20;
const WHEEL_SLOTS: usize = 1024;

/// Draws one of up to 255 things by their shares, to a thousandth.
#[derive(Clone, Debug)]
pub(super) struct Wheel(Vec<u8>);

impl Wheel {
    /// Shares add up to at most 1 when there is a `rest`, whose number is one past the last; without
    /// it, they are relative.
    pub(super) fn new(shares: impl Iterator<Item = f64>, rest: bool) -> Self {
        let shares: Vec<f64> = shares.collect();
        let whole = if rest { 1.0 } else { shares.iter().sum::<f64>().max(1e-9) };
        let mut slots = Vec::with_capacity(WHEEL_SLOTS);
        let mut sum = 0.0;
        for (index, share) in shares.iter().enumerate() {
            sum += share / whole;
            let until = libm::round(sum * WHEEL_SLOTS as f64).min(WHEEL_SLOTS as f64) as usize;
            slots.resize(until.max(slots.len()), index as u8);
        }
        let last = if rest { shares.len() } else { shares.len().saturating_sub(1) };
        slots.resize(WHEEL_SLOTS, last as u8);
        Wheel(slots)
    }

    #[inline]
    pub(super) fn pick(&self, rng: &mut Rng) -> u8 {
        self.0[(rng.bits() >> 54) as usize]
    }
}

/// One line before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pick {
    pub(super) stream: u32,
    pub(super) channel: u8,
    kind: u8,
    place: u8,
    network: u8,
    source: u64,
    subnet: u64,
}

#[derive(Clone, Debug)]
enum Rate {
    Usual {
        /// Position of its anchors' counts in the scenario's curves.
        curve: Option<usize>,
        per_hour: f64,
    },
    Event(Event),
}

/// Reports that share a service and a country.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    scope: ScopeKey,
    rate: Rate,
    dispersion: Option<f64>,
    /// The hour for which `factor` was drawn.
    factor_hour: u32,
    factor: f64,
    /// Everything up to the kind.
    head: Vec<u8>,
    kinds: Vec<&'static [u8]>,
    kind_wheel: Wheel,
    places: Vec<Vec<u8>>,
    place_wheel: Wheel,
    networks: Vec<Vec<u8>>,
    network_wheel: Wheel,
    rng: Rng,
    seed: u64,
    sources: u64,
    subnets: u64,
    /// The subnet that the next source may share, and how many more it takes.
    group: (Pick, u32),
    recent: Vec<(u32, Pick)>,
    recent_next: usize,
}

/// The streams of a scenario, in a fixed order.
pub(super) fn all(scenario: &Scenario, seed: u64) -> Vec<Stream> {
    let mut rates: Vec<(ScopeKey, Rate, Option<f64>)> = Vec::new();
    let usual = |scope: ScopeKey, per_hour: f64| {
        let curve = scenario.curves.iter().position(|(known, _)| *known == scope);
        Rate::Usual { curve, per_hour }
    };
    for known in &scenario.baselines {
        rates.push((known.scope, usual(known.scope, known.per_hour), known.dispersion));
    }
    for (scope, _) in &scenario.curves {
        if !scenario.baselines.iter().any(|known| known.scope == *scope) {
            rates.push((*scope, usual(*scope, 0.0), None));
        }
    }
    for event in &scenario.events {
        if let Some(scope) = event.scope {
            rates.push((scope, Rate::Event(*event), None));
        }
    }
    rates.into_iter().zip(1_u64..).map(|(rate, number)| Stream::new(scenario, rate, (seed, number))).collect()
}

impl Stream {
    fn new(
        scenario: &Scenario,
        (scope, rate, dispersion): (ScopeKey, Rate, Option<f64>),
        (seed, number): (u64, u64),
    ) -> Self {
        let focus = match &rate {
            Rate::Usual { .. } => Focus::Everywhere,
            Rate::Event(event) => event.focus,
        };
        let service = &scenario.services[scope.service];
        let mix_of = if service.kinds.is_empty() { &scenario.kinds } else { &service.kinds };
        let (places, place_shares) = places(scenario, scope, focus);
        let (networks, network_shares) = networks(scenario, scope, focus);
        let stream_seed = mix(seed ^ mix(number));
        Stream {
            scope,
            rate,
            dispersion,
            factor_hour: u32::MAX,
            factor: 1.0,
            head: format!("{{\"service\":\"{}\",\"kind\":\"", service.slug).into_bytes(),
            kinds: mix_of.iter().map(|(kind, _): &(ProblemKind, f64)| kind.slug().as_bytes()).collect(),
            kind_wheel: Wheel::new(mix_of.iter().map(|(_, share)| *share), false),
            places,
            place_wheel: Wheel::new(place_shares.into_iter(), true),
            networks,
            network_wheel: Wheel::new(network_shares.into_iter(), true),
            rng: Rng::new(seed, number),
            seed: stream_seed,
            sources: 0,
            subnets: 0,
            group: (Pick::default(), 0),
            recent: Vec::new(),
            recent_next: 0,
        }
    }

    pub(super) fn scope(&self) -> ScopeKey {
        self.scope
    }

    /// How many new sources report in a minute.
    pub(super) fn count(&mut self, scenario: &Scenario, minute: u32) -> u32 {
        match &self.rate {
            Rate::Usual { curve, per_hour } => {
                let curve = curve.and_then(|index| scenario.curves.get(index));
                if let Some(count) = curve.and_then(|(_, curve)| curve.at(minute)) {
                    return count;
                }
                if let Some(shape) = self.dispersion.filter(|_| self.factor_hour != minute / 60) {
                    self.factor_hour = minute / 60;
                    self.factor = self.rng.gamma_factor(shape);
                }
                let weight = scenario.weight(self.scope.country, minute);
                self.rng.poisson(per_hour / 60.0 * weight * self.factor)
            }
            Rate::Event(event) => {
                let (start, end) = (event.start.minute().0, event.end.minute().0);
                if minute < start || minute >= end {
                    return 0;
                }
                let part = f64::from(minute - start + 1) / f64::from(end - start);
                let per_minute = event.per_hour / 60.0;
                match event.shape {
                    EventShape::Pulse => self.rng.poisson(per_minute),
                    EventShape::Ramp => self.rng.poisson(per_minute * part),
                    // Exactly as many as were named, spread evenly.
                    EventShape::Subnets(_) => {
                        let total = per_minute * f64::from(end - start);
                        let before = f64::from(minute - start) / f64::from(end - start);
                        (libm::round(total * part) - libm::round(total * before)) as u32
                    }
                    EventShape::Silence => 0,
                }
            }
        }
    }

    /// Makes the new sources of a minute, and the repeats that go with them.
    pub(super) fn reports(&mut self, minute: u32, count: u32, repeats: f64, mut take: impl FnMut(u32, Pick)) {
        let expected = f64::from(count) * repeats / (1.0 - repeats);
        let again = expected as u32 + u32::from(self.rng.unit() < expected.fract());
        for index in 0..again.min(self.recent.len() as u32 * 4) {
            let (at, pick) = self.recent[self.rng.below(self.recent.len() as u32) as usize];
            if minute > at && minute - at <= REPEAT_MINUTES {
                take((u64::from(index) * 60 / u64::from(again)) as u32, pick);
            }
        }
        for index in 0..u64::from(count) {
            let pick = self.new_source();
            let within = (self.rng.bits() >> 40) as u32 % 60;
            take(((index * 60 + u64::from(within)) / u64::from(count)).min(59) as u32, pick);
            if repeats > 0.0 {
                self.remember(minute, pick);
            }
        }
    }

    fn new_source(&mut self) -> Pick {
        if self.group.1 == 0 {
            self.subnets = match &self.rate {
                Rate::Event(Event { shape: EventShape::Subnets(count), .. }) => {
                    self.subnets % u64::from(*count) + 1
                }
                _ => self.subnets + 1,
            };
            // One, two or three sources in a subnet, one and a half on average.
            let size = match self.rng.below(100) {
                0..62 => 1,
                62..88 => 2,
                _ => 3,
            };
            let place = self.place_wheel.pick(&mut self.rng);
            let network = self.network_wheel.pick(&mut self.rng);
            let subnet = mix(self.seed ^ mix(self.subnets)) >> 16;
            self.group = (Pick { place, network, subnet, ..Pick::default() }, size);
        }
        self.group.1 -= 1;
        self.sources += 1;
        let kind = self.kind_wheel.pick(&mut self.rng);
        // A bijection of a counter: within a stream no two sources are ever the same.
        Pick { kind, source: mix(self.seed.wrapping_add(self.sources)), ..self.group.0 }
    }

    fn remember(&mut self, minute: u32, pick: Pick) {
        if self.recent.len() < RECENT_MAX {
            self.recent.push((minute, pick));
        } else {
            self.recent[self.recent_next] = (minute, pick);
            self.recent_next = (self.recent_next + 1) % RECENT_MAX;
        }
    }

    /// Writes one line.
    pub(super) fn write(&self, body: &mut Vec<u8>, pick: &Pick, stamp: &[u8], second: u32) {
        body.extend_from_slice(&self.head);
        body.extend_from_slice(self.kinds[usize::from(pick.kind)]);
        body.extend_from_slice(b"\",\"at\":\"");
        body.extend_from_slice(stamp);
        body.extend_from_slice(&[b'0' + (second / 10) as u8, b'0' + (second % 10) as u8]);
        body.extend_from_slice(b"Z\",\"source\":\"");
        body.extend_from_slice(&hex(pick.source));
        body.extend_from_slice(b"\",\"subnet\":\"s");
        body.extend_from_slice(&hex(pick.subnet)[4..]);
        body.push(b'"');
        body.extend_from_slice(&self.places[usize::from(pick.place)]);
        body.extend_from_slice(&self.networks[usize::from(pick.network)]);
        body.extend_from_slice(b"}\n");
    }
}

#[inline]
fn hex(value: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (index, byte) in value.to_be_bytes().into_iter().enumerate() {
        text[index * 2] = DIGITS[usize::from(byte >> 4)];
        text[index * 2 + 1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// What a line says of the place, for each city and then for the rest of the country.
fn places(scenario: &Scenario, scope: ScopeKey, focus: Focus) -> (Vec<Vec<u8>>, Vec<f64>) {
    let Some(country) = scope.country else { return (vec![Vec::new()], Vec::new()) };
    let mut texts = Vec::new();
    let mut shares = Vec::new();
    for (index, city) in scenario.cities.iter().enumerate() {
        let focused = match focus {
            Focus::City(only) => index == only,
            _ => city.region.country() == country,
        };
        if focused {
            let text =
                format!(",\"country\":\"{country}\",\"region\":\"{}\",\"city\":{}", city.region, city.id.0);
            texts.push(text.into_bytes());
            shares.push(if matches!(focus, Focus::City(_)) { 1.0 } else { city.share });
        }
    }
    texts.push(format!(",\"country\":\"{country}\"").into_bytes());
    (texts, shares)
}

/// What a line says of the network, for each network and then for all others.
fn networks(scenario: &Scenario, scope: ScopeKey, focus: Focus) -> (Vec<Vec<u8>>, Vec<f64>) {
    let mut texts = Vec::new();
    let mut shares = Vec::new();
    for (index, network) in scenario.networks.iter().enumerate() {
        let focused = match focus {
            Focus::Network(only) => index == only,
            _ => Some(network.country) == scope.country,
        };
        if focused {
            texts.push(format!(",\"asn\":{}", network.asn.0).into_bytes());
            shares.push(if matches!(focus, Focus::Network(_)) { 1.0 } else { network.share });
        }
    }
    texts.push(Vec::new());
    (texts, shares)
}
