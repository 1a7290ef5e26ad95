//! What an attacker may do, and what an honest crowd does.

use brownout_core::model::{ProblemKind, UtcTime};

use super::world::{
    self, CITIES, HOUR_MILLIS, NETWORKS, Sender, Sent, World, hosted_v4, hosted_v6, kind, uneven,
};
use crate::rng::Rng;

const MINUTE_MILLIS: i64 = 60_000;
/// How long an attack takes where nothing else is said: the time in which the most sources count as many.
const ATTACK_MINUTES: i64 = 15;
/// Sources of one /24 that a hosted attacker uses: fewer than what a subnet may contribute.
const HOSTED_PER_SUBNET: u32 = 8;

/// A way to make a service look broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// One address, over and over.
    OneHost,
    /// The addresses of one /24.
    OneSubnet,
    /// The /64s of one /48.
    OneSite,
    /// Many /24s of one hosting network.
    Hosting,
    /// The same, spread over six hours.
    Paced,
    /// Many /48s of one hosting network, one source each.
    ManySites,
    /// Homes in countries all over the world.
    BotnetWorld,
    /// Homes in one country where the service is not used.
    BotnetElsewhere,
    /// Homes where the service is used; all name the same kind of problem.
    OneKind,
    /// The same; a tool goes round a list of kinds.
    FrozenMix,
    /// An earlier rise again, minute for minute, from new sources.
    Replay,
    /// A batch by a partner whose token was stolen.
    Partner,
    /// A perfect imitation of users that does not open the service's page.
    NoViews,
    /// A perfect imitation, all in one minute and without proofs of work.
    NoProof,
    /// Hosted reports on top of a real rise of twenty people.
    Riding,
    /// Each source before and after the salts rotate.
    Rotation,
    /// A perfect imitation: users' networks, places, kinds and page views.
    Imitation,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Strategy; 17] = [
        Strategy::OneHost,
        Strategy::OneSubnet,
        Strategy::OneSite,
        Strategy::Hosting,
        Strategy::Paced,
        Strategy::ManySites,
        Strategy::BotnetWorld,
        Strategy::BotnetElsewhere,
        Strategy::OneKind,
        Strategy::FrozenMix,
        Strategy::Replay,
        Strategy::Partner,
        Strategy::NoViews,
        Strategy::NoProof,
        Strategy::Riding,
        Strategy::Rotation,
        Strategy::Imitation,
    ];

    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::OneHost => "one address, over and over",
            Strategy::OneSubnet => "one /24",
            Strategy::OneSite => "one /48, a source per /64",
            Strategy::Hosting => "hosting network, 8 sources per /24",
            Strategy::Paced => "the same over six hours",
            Strategy::ManySites => "hosting network, a source per /48",
            Strategy::BotnetWorld => "botnet in homes all over the world",
            Strategy::BotnetElsewhere => "botnet in one country without users",
            Strategy::OneKind => "botnet among users, one kind of problem",
            Strategy::FrozenMix => "botnet among users, kinds in turn",
            Strategy::Replay => "botnet among users, an earlier rise replayed",
            Strategy::Partner => "stolen token of a partner",
            Strategy::NoViews => "imitation, without page views",
            Strategy::NoProof => "imitation in one minute, without proofs",
            Strategy::Riding => "hosting network, on a real rise of 20",
            Strategy::Rotation => "imitation, again after the salts rotate",
            Strategy::Imitation => "perfect imitation by a botnet among users",
        }
    }
}

/// What really happens to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honest {
    /// Everybody, within a quarter of an hour.
    Flash,
    /// Everybody, over four hours.
    Slow,
    /// The customers of one network.
    OneNetwork,
    /// One country.
    OneCountry,
    /// One city.
    OneCity,
    /// Everybody, and 85 in 100 name the same problem.
    OneProblem,
}

impl Honest {
    /// All of them.
    pub const ALL: [Honest; 6] = [
        Honest::Flash,
        Honest::Slow,
        Honest::OneNetwork,
        Honest::OneCountry,
        Honest::OneCity,
        Honest::OneProblem,
    ];

    /// The part of the service's users that it concerns, about.
    pub const fn share(self) -> f64 {
        match self {
            Honest::OneNetwork => 0.15,
            Honest::OneCountry => 0.1,
            Honest::OneCity => 0.04,
            _ => 1.0,
        }
    }

    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Honest::Flash => "a crowd, in 15 minutes",
            Honest::Slow => "a crowd, over four hours",
            Honest::OneNetwork => "one network's customers",
            Honest::OneCountry => "one country",
            Honest::OneCity => "one city",
            Honest::OneProblem => "a crowd of which 85% name one problem",
        }
    }
}

/// Something that is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// By an attacker.
    Attack(Strategy),
    /// By people.
    Honest(Honest),
}

impl Act {
    /// How long it takes, in minutes.
    pub(super) const fn minutes(self) -> i64 {
        match self {
            Act::Attack(Strategy::Paced) => 360,
            Act::Attack(Strategy::Replay) => 40,
            Act::Attack(Strategy::NoProof) => 1,
            Act::Attack(Strategy::Rotation) => 20,
            Act::Honest(Honest::Slow) => 240,
            Act::Honest(Honest::OneNetwork | Honest::OneCountry | Honest::OneCity) => 60,
            _ => ATTACK_MINUTES,
        }
    }

    /// When it begins, in hours of the day.
    pub(super) const fn begins_at_minute(self) -> i64 {
        match self {
            // Salts rotate at midnight.
            Act::Attack(Strategy::Rotation) => 23 * 60 + 50,
            _ => 14 * 60,
        }
    }

    /// All that is sent by `sources` sources, by time.
    pub(super) fn sent(
        self,
        world: &World,
        rng: &mut Rng,
        (seed, begin): (u64, UtcTime),
        sources: u32,
    ) -> Vec<Sent> {
        let mut sent = match self {
            Act::Attack(Strategy::Replay) => replay(world, rng, (seed, begin), sources),
            Act::Attack(Strategy::Rotation) => rotation(world, rng, begin, sources),
            _ => (0..sources)
                .map(|number| {
                    let within = (rng.unit() * (self.minutes() * MINUTE_MILLIS) as f64) as i64;
                    let one = world::honest(world, rng, begin.plus_millis(within));
                    match self {
                        Act::Attack(strategy) => forge(strategy, world, rng, number, one),
                        Act::Honest(honest) => narrow(honest, world, rng, one),
                    }
                })
                .collect(),
        };
        if self == Act::Attack(Strategy::FrozenMix) {
            // A tool takes its list in the order in which it sends.
            sent.sort_by_key(|one| one.at);
            let list = (0..20).flat_map(|_| [0, 1, 0, 2, 1, 0, 3, 2, 0, 1].into_iter());
            for (one, number) in sent.iter_mut().zip(list.collect::<Vec<usize>>().into_iter().cycle()) {
                one.kind = world::KINDS[number].0;
            }
        }
        if self == Act::Attack(Strategy::Riding) {
            let real = (0..20).map(|_| {
                let within = (rng.unit() * (ATTACK_MINUTES * MINUTE_MILLIS) as f64) as i64;
                world::honest(world, rng, begin.plus_millis(within))
            });
            sent.extend(real.collect::<Vec<_>>());
        }
        if matches!(self, Act::Honest(_)) {
            let mut last: Option<Sender> = None;
            for one in &mut sent {
                // Two in five are in the subnet of somebody who reported before.
                if let Some(known) =
                    last.filter(|known| known.network == one.from.network && rng.unit() < 0.4)
                {
                    one.from = World::neighbour(rng, known);
                }
                last = Some(one.from);
            }
        }
        sent.sort_by_key(|one| one.at);
        sent
    }
}

fn forge(strategy: Strategy, world: &World, rng: &mut Rng, number: u32, like: Sent) -> Sent {
    let quiet = Sent { views: 0, by_partner: false, ..like };
    let hosted = |rng: &mut Rng, address| Sent { from: world.hosted(rng, address), ..quiet };
    match strategy {
        Strategy::OneHost => hosted(rng, hosted_v4(0, 0)),
        Strategy::OneSubnet => hosted(rng, hosted_v4(0, number)),
        Strategy::OneSite => hosted(rng, hosted_v6(0, number)),
        Strategy::Hosting | Strategy::Paced | Strategy::Riding => {
            hosted(rng, hosted_v4(number / HOSTED_PER_SUBNET, number % HOSTED_PER_SUBNET))
        }
        Strategy::ManySites => hosted(rng, hosted_v6(number as u16, number >> 16)),
        Strategy::BotnetWorld => {
            let country = 3 + rng.below(world.elsewhere()) as usize;
            let network = uneven(rng, NETWORKS);
            Sent { from: world.sender(rng, country, network), ..quiet }
        }
        Strategy::BotnetElsewhere => {
            let network = uneven(rng, NETWORKS);
            Sent { from: world.sender(rng, 9, network), ..quiet }
        }
        Strategy::OneKind => Sent { kind: ProblemKind::Unreachable, ..quiet },
        Strategy::Partner => Sent { by_partner: true, ..quiet },
        Strategy::NoProof => Sent { proof: false, views: 1, ..quiet },
        Strategy::NoViews | Strategy::FrozenMix => quiet,
        Strategy::Imitation | Strategy::Replay | Strategy::Rotation => Sent { by_partner: false, ..like },
    }
}

fn narrow(honest: Honest, world: &World, rng: &mut Rng, like: Sent) -> Sent {
    match honest {
        Honest::Flash | Honest::Slow => like,
        Honest::OneNetwork => Sent { from: world.sender(rng, 0, 3), ..like },
        Honest::OneCountry => {
            let network = uneven(rng, NETWORKS);
            Sent { from: world.sender(rng, 2, network), ..like }
        }
        Honest::OneCity => {
            // Of senders of the first country those of its second city: one in four tries.
            let from = (0..100)
                .map(|_| {
                    let network = uneven(rng, NETWORKS);
                    world.sender(rng, 0, network)
                })
                .find(|from| from.place.city == world.city(0, 1 % CITIES));
            from.map_or(like, |from| Sent { from, ..like })
        }
        Honest::OneProblem => {
            let kind = if rng.unit() < 0.85 { ProblemKind::Login } else { kind(rng) };
            Sent { kind, ..like }
        }
    }
}

/// A real rise ten days before: 400 people in 40 minutes.
pub(super) fn earlier_rise(world: &World, seed: u64, begin: UtcTime) -> Vec<Sent> {
    let mut rng = Rng::new(seed, 0xea71);
    let mut sent: Vec<Sent> = (0..400)
        .map(|_| {
            let within = (rng.unit() * (40 * MINUTE_MILLIS) as f64) as i64;
            world::honest(world, &mut rng, begin.plus_millis(within))
        })
        .collect();
    sent.sort_by_key(|one| one.at);
    sent
}

/// The earlier rise: the same offsets, kinds, places and networks, other addresses. Fewer sources play a
/// part of it, drawn by lot, more play it several times at once.
fn replay(world: &World, rng: &mut Rng, (seed, begin): (u64, UtcTime), sources: u32) -> Vec<Sent> {
    let recorded = earlier_rise(world, seed, begin);
    let mut order: Vec<usize> = (0..recorded.len()).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, rng.below(at as u32 + 1) as usize);
    }
    (0..sources as usize)
        .map(|number| {
            let known = recorded[order[number % order.len()]];
            let address = world.sender(rng, 0, 0).address;
            // Some second of the same minute, from a new address.
            let shift = (rng.unit() * 1000.0) as i64;
            let from = Sender { address, ..known.from };
            Sent { at: known.at.plus_millis(shift), from, by_partner: false, views: 1, ..known }
        })
        .collect()
}

fn rotation(world: &World, rng: &mut Rng, begin: UtcTime, sources: u32) -> Vec<Sent> {
    let ten_minutes = (10 * MINUTE_MILLIS) as f64;
    let before: Vec<Sent> = (0..sources)
        .map(|_| {
            let within = (rng.unit() * ten_minutes) as i64;
            let one = world::honest(world, rng, begin.plus_millis(within));
            Sent { by_partner: false, ..one }
        })
        .collect();
    let after: Vec<Sent> = before
        .iter()
        .map(|one| Sent { at: one.at.plus_millis(10 * MINUTE_MILLIS), views: 1, ..*one })
        .collect();
    before.into_iter().chain(after).collect()
}

/// For how long the engine is watched from the beginning of an act on.
pub(super) fn watched_millis(act: Act) -> i64 {
    act.minutes() * MINUTE_MILLIS + HOUR_MILLIS
}
