//! What goes wrong in one episode: who fails, who is only reported, and why.

use brownout_core::model::{Asn, Category, ProblemKind, Service};

use super::world::{World, blend, echoing, failing, log_uniform, mix, uniform};
use crate::rng::Rng;

/// Minutes that an episode is followed.
pub(super) const MINUTES: usize = 300;
/// Latest minute at which anything begins.
const BEGIN_MAX: f64 = 60.0;

/// What an episode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plot {
    /// One service fails; those that people take for it are reported too.
    Lone,
    /// The same, and one of those fails as well, by itself.
    Double,
    /// A cloud fails with what is built on it; on some days nobody reports the cloud.
    Cloud,
    /// A provider fails, and its customers report what they use.
    Provider,
    /// Services fail together that share something nobody wrote down.
    Unnamed,
}

impl Plot {
    pub(super) const ALL: [Plot; 5] = [Plot::Lone, Plot::Double, Plot::Cloud, Plot::Provider, Plot::Unnamed];

    pub(super) const fn words(self) -> &'static str {
        match self {
            Plot::Lone => "one fails, others echo it",
            Plot::Double => "two competitors fail, others echo",
            Plot::Cloud => "a cloud and what is built on it",
            Plot::Provider => "a provider, seen in several services",
            Plot::Unnamed => "something nobody wrote down",
        }
    }
}

/// Whose fault a surge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// The service's own.
    Own,
    /// It works, and this one fails.
    EchoOf(usize),
    /// It works, and its reporters' provider fails.
    CustomersOf(usize),
    /// It fails with this one, which it is built on.
    BuiltOn(usize),
    /// It fails with others.
    Together,
}

impl Truth {
    pub(super) const fn is_innocent(self) -> bool {
        matches!(self, Truth::EchoOf(_) | Truth::CustomersOf(_))
    }
}

/// Reports of one service beyond what is usual.
pub(super) struct Surge {
    pub(super) service: usize,
    pub(super) truth: Truth,
    /// Mean reports in each minute.
    pub(super) rate: Vec<f64>,
    pub(super) kinds: [f64; ProblemKind::ALL.len()],
    pub(super) countries: [f64; 4],
    /// The networks that a share of the reporters is on; the others are where people are.
    pub(super) on: Option<(Vec<Asn>, f64)>,
}

/// One episode, with the size of the strongest echo, or of the smaller of two failures, by the other.
pub(super) struct Episode {
    pub(super) plot: Plot,
    pub(super) surges: Vec<Surge>,
}

pub(super) fn draw(world: &World, rng: &mut Rng, plot: Plot) -> Episode {
    let surges = match plot {
        Plot::Lone => lone(world, rng, false),
        Plot::Double => lone(world, rng, true),
        Plot::Cloud => cloud(world, rng),
        Plot::Provider => provider(world, rng),
        Plot::Unnamed => unnamed(world, rng),
    };
    Episode { plot, surges }
}

/// A published pair's part: so many reports in 15 minutes at the height, half an hour after the first,
/// for an hour.
pub(super) fn published(world: &World, rng: &mut Rng, service: usize, truth: Truth, peak: f64) -> Surge {
    let one = &world.services[service];
    let shape = |minute: usize| {
        let since = minute as f64 - BEGIN_MAX;
        (since / 30.0).clamp(0.0, 1.0) * ((150.0 - since) / 60.0).clamp(0.0, 1.0)
    };
    let (mix_of, on) = match truth {
        Truth::EchoOf(_) => (echoing(one.category), 0.15),
        _ => (failing(one.category), 0.7),
    };
    Surge {
        service,
        truth,
        rate: (0..MINUTES).map(|minute| peak / 15.0 * shape(minute)).collect(),
        kinds: mix(rng, &mix_of.map(|weight| 12.0 * weight + 0.1)),
        countries: world.usual[service].countries,
        on: is_provider(one).then(|| (one.networks.clone(), on)),
    }
}

fn is_provider(service: &Service) -> bool {
    matches!(service.category, Category::Mobile | Category::Internet)
}

/// Services that people take for another.
fn peers(world: &World, of: usize) -> Vec<usize> {
    let one = &world.services[of];
    let same = |other: &Service| {
        other.id != one.id
            && (other.home.is_none() || one.home.is_none() || other.home == one.home)
            && (other.category == one.category || (is_provider(other) && is_provider(one)))
    };
    world.of(same)
}

/// The rise, plateau and fall of a failure, in reports per minute, with noise that holds five minutes.
fn course(rng: &mut Rng, per_minute: f64, begin: f64) -> Vec<f64> {
    let rise = if rng.unit() < 0.5 { 1.0 } else { uniform(rng, 1.0, 25.0) };
    let lasts = log_uniform(rng, 25.0, 150.0);
    let falls = uniform(rng, 5.0, 40.0);
    let shape = log_uniform(rng, 3.0, 40.0);
    let mut factor = 1.0;
    (0..MINUTES)
        .map(|minute| {
            if minute % 5 == 0 {
                factor = rng.gamma_factor(shape);
            }
            let since = minute as f64 - begin;
            let height =
                (since / rise).clamp(0.0, 1.0) * ((rise + lasts + falls - since) / falls).clamp(0.0, 1.0);
            per_minute * height * factor
        })
        .collect()
}

/// A failure of a service itself, with so many reports per minute at its height.
fn failure(world: &World, rng: &mut Rng, service: usize, truth: Truth, per_minute: f64, begin: f64) -> Surge {
    let one = &world.services[service];
    let general = failing(one.category);
    let own = mix(rng, &general.map(|weight| 4.0 * weight + 0.1));
    // Half of all failures hit one country more than the others.
    let local: [f64; 4] = mix(rng, &[0.3; 4]);
    let usual = &world.usual[service].countries;
    let countries = if one.home.is_none() && rng.unit() < 0.5 { blend(&local, usual, 0.7) } else { *usual };
    Surge {
        service,
        truth,
        rate: course(rng, per_minute, begin),
        kinds: own,
        countries,
        on: is_provider(one).then(|| (one.networks.clone(), uniform(rng, 0.35, 0.95))),
    }
}

/// How hard a service fails: 5 to 500 times its usual, 1 to 400 reports a minute.
fn strength(world: &World, rng: &mut Rng, service: usize) -> f64 {
    (world.usual[service].per_hour / 60.0 * log_uniform(rng, 5.0, 500.0)).clamp(1.0, 400.0)
}

/// People who report `service` because `cause` fails: 0.5% to 40% of its reports, at once or later,
/// with noise of its own.
fn echo(world: &World, rng: &mut Rng, service: usize, cause: &Surge, share: f64) -> Surge {
    let one = &world.services[service];
    let delay = if rng.unit() < 0.4 { 0.0 } else { -5.0 * libm::log(1.0 - rng.unit()) };
    let delay = delay.min(20.0) as usize;
    let tail = rng.below(15) as usize;
    let shape = log_uniform(rng, 2.0, 30.0);
    let mut factor = 1.0;
    let rate = (0..MINUTES)
        .map(|minute| {
            if minute % 5 == 0 {
                factor = rng.gamma_factor(shape);
            }
            let to = minute.saturating_sub(delay);
            let from = to.saturating_sub(tail);
            let mean = cause.rate[from..=to].iter().sum::<f64>() / (to - from + 1) as f64;
            if minute < delay { 0.0 } else { mean * share * factor }
        })
        .collect();
    let like_real = mix(rng, &failing(one.category).map(|weight| 4.0 * weight + 0.1));
    let own = mix(rng, &echoing(one.category).map(|weight| 5.0 * weight + 0.1));
    let part = uniform(rng, 0.2, 0.95);
    let from_there = uniform(rng, 0.2, 1.0);
    Surge {
        service,
        truth: Truth::EchoOf(cause.service),
        rate,
        kinds: blend(&own, &like_real, part),
        countries: blend(&cause.countries, &world.usual[service].countries, from_there),
        on: is_provider(one).then(|| (one.networks.clone(), uniform(rng, 0.0, 0.5))),
    }
}

/// Echoes of a failure on one to four of its peers.
fn echoes(world: &World, rng: &mut Rng, cause: &Surge, without: &[usize]) -> Vec<Surge> {
    let mut peers = peers(world, cause.service);
    peers.retain(|peer| !without.contains(peer));
    let mut echoes = Vec::new();
    for _ in 0..1 + rng.below(4) {
        if peers.is_empty() {
            break;
        }
        let peer = peers.swap_remove(rng.below(peers.len() as u32) as usize);
        let share = log_uniform(rng, 0.005, 0.4);
        echoes.push(echo(world, rng, peer, cause, share));
    }
    echoes
}

fn any(rng: &mut Rng, among: &[usize]) -> usize {
    among[rng.below(among.len() as u32) as usize]
}

fn lone(world: &World, rng: &mut Rng, is_double: bool) -> Vec<Surge> {
    let able = world.of(|one| !peers(world, one.id.0 as usize).is_empty());
    let service = any(rng, &able);
    let begin = BEGIN_MAX;
    let per_minute = strength(world, rng, service);
    let first = failure(world, rng, service, Truth::Own, per_minute, begin);
    let mut without = vec![service];
    let mut surges = Vec::new();
    if is_double {
        let among = peers(world, service);
        let other = any(rng, &among);
        let per_minute = strength(world, rng, other);
        // One in four begins together with the first, the others at any time within an hour of it.
        let lag = if rng.below(4) == 0 { uniform(rng, 0.0, 2.0) } else { uniform(rng, -BEGIN_MAX, 60.0) };
        surges.push(failure(world, rng, other, Truth::Own, per_minute, begin + lag));
        without.push(other);
    }
    surges.extend(echoes(world, rng, &first, &without));
    surges.insert(0, first);
    surges
}

fn cloud(world: &World, rng: &mut Rng) -> Vec<Surge> {
    let dependents = |cloud: usize| {
        let slug = &world.services[cloud].slug;
        world.of(|one| one.depends_on.contains(slug))
    };
    let able: Vec<usize> = world
        .of(|one| one.category == Category::Cloud)
        .into_iter()
        .filter(|cloud| dependents(*cloud).len() >= 3)
        .collect();
    if able.is_empty() {
        return lone(world, rng, false);
    }
    let cloud = any(rng, &able);
    let mut among = dependents(cloud);
    let count = (3 + rng.below(6) as usize).min(among.len());
    let begin = BEGIN_MAX;
    let mut surges = Vec::new();
    for _ in 0..count {
        let service = among.swap_remove(rng.below(among.len() as u32) as usize);
        let per_minute = strength(world, rng, service);
        let begin = begin + uniform(rng, 0.0, 5.0);
        surges.push(failure(world, rng, service, Truth::BuiltOn(cloud), per_minute, begin));
    }
    if rng.unit() < 0.5 {
        let largest =
            surges.iter().map(|surge| surge.rate.iter().copied().fold(0.0, f64::max)).fold(0.0, f64::max);
        let per_minute = largest * log_uniform(rng, 0.1, 2.0);
        let own = failure(world, rng, cloud, Truth::Own, per_minute, begin);
        let others = echoes(world, rng, &own, &[cloud]);
        surges.push(own);
        surges.extend(others);
    }
    surges
}

fn provider(world: &World, rng: &mut Rng) -> Vec<Surge> {
    let providers = world.of(is_provider);
    let provider = any(rng, &providers);
    let networks = world.services[provider].networks.clone();
    let country = networks.first().map_or(0, |network| world.country_of(*network));
    let begin = BEGIN_MAX;
    let per_minute = strength(world, rng, provider);
    let own = failure(world, rng, provider, Truth::Own, per_minute, begin);
    let mut among =
        world.of(|one| !is_provider(one) && (one.home.is_none() || one.home == Some(world.country(country))));
    let mut surges = Vec::new();
    for _ in 0..4 + rng.below(5) {
        if among.is_empty() {
            break;
        }
        let service = among.swap_remove(rng.below(among.len() as u32) as usize);
        let per_minute = log_uniform(rng, 0.4, 12.0);
        let later = begin + uniform(rng, 0.0, 10.0);
        let mut surge = failure(world, rng, service, Truth::CustomersOf(provider), per_minute, later);
        let kinds = mix(rng, &echoing(Category::Public).map(|weight| 4.0 * weight + 0.1));
        surge.kinds = blend(&kinds, &surge.kinds, uniform(rng, 0.2, 0.9));
        surge.countries = std::array::from_fn(|index| f64::from(u8::from(index == country)));
        surge.on = Some((networks.clone(), uniform(rng, 0.75, 1.0)));
        surges.push(surge);
    }
    // Three times in ten nobody gets through to report the provider itself.
    if rng.unit() < 0.7 {
        let others = echoes(world, rng, &own, &[provider]);
        surges.push(own);
        surges.extend(others);
    }
    surges
}

fn unnamed(world: &World, rng: &mut Rng) -> Vec<Surge> {
    let mut among = world.of(|one| !is_provider(one) && one.category != Category::Cloud);
    let begin = BEGIN_MAX;
    let mut surges: Vec<Surge> = Vec::new();
    let countries: [f64; 4] = mix(rng, &[0.6; 4]);
    let mut built_on: Vec<String> = Vec::new();
    for _ in 0..4 + rng.below(4) {
        let service = among.swap_remove(rng.below(among.len() as u32) as usize);
        let needs = &world.services[service].depends_on;
        // Nothing that is written down may explain it.
        if needs.iter().any(|slug| built_on.contains(slug)) {
            continue;
        }
        built_on.extend(needs.iter().cloned());
        let per_minute = strength(world, rng, service);
        let later = begin + uniform(rng, 0.0, 2.0);
        let mut surge = failure(world, rng, service, Truth::Together, per_minute, later);
        if world.services[service].home.is_none() {
            surge.countries = blend(&countries, &surge.countries, 0.7);
        }
        surges.push(surge);
    }
    surges
}
