//! The services that can fail, and where their reporters are.

use brownout_core::model::{
    Asn, Catalogue, Category, City, CountryCode, Geography, Place, ProblemKind, Service, ServiceId,
};

use crate::rng::Rng;

/// Countries of the world, and networks of each: one for every provider that may be at home there, for no
/// two own the same.
const COUNTRIES: usize = 4;
const NETWORKS: usize = 10;
const KINDS: usize = ProblemKind::ALL.len();

/// A mix of problem kinds, or of countries: weights that add up to 1.
pub(super) type Mix<const N: usize> = [f64; N];

/// How one service is usually reported.
pub(super) struct Usual {
    pub(super) per_hour: f64,
    pub(super) kinds: Mix<KINDS>,
    pub(super) countries: Mix<COUNTRIES>,
    /// Of a provider, the share of reporters who are on its own networks.
    pub(super) on_own: f64,
    /// Shape of its noise.
    pub(super) noise: f64,
}

/// Services, places and networks; drawn anew for every engine.
pub(super) struct World {
    pub(super) services: Vec<Service>,
    pub(super) usual: Vec<Usual>,
    cities: Vec<City>,
    networks: Vec<Vec<(Asn, f64)>>,
}

/// Category, how many, and how many of the world's first clouds each may be built on.
const SHARES: [(Category, usize); 13] = [
    (Category::Mobile, 5),
    (Category::Internet, 5),
    (Category::Cloud, 5),
    (Category::Social, 6),
    (Category::Messaging, 4),
    (Category::Games, 6),
    (Category::Streaming, 5),
    (Category::Finance, 6),
    (Category::Shopping, 5),
    (Category::Work, 5),
    (Category::Knowledge, 4),
    (Category::Travel, 3),
    (Category::News, 3),
];

impl World {
    /// Draws a world. Names and numbers are made here and fit.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let cities = cities();
        let mut world = World { services: Vec::new(), usual: Vec::new(), cities, networks: Vec::new() };
        for country in 0..COUNTRIES as u32 {
            let weights: Mix<NETWORKS> = mix(rng, &[1.0; NETWORKS]);
            let asn = |index: u32| Asn::new(60_000 + country * 100 + index);
            let networks = (0..NETWORKS as u32).zip(weights);
            world.networks.push(networks.filter_map(|(index, share)| Some((asn(index)?, share))).collect());
        }
        for (category, count) in SHARES {
            for number in 0..count {
                world.add(rng, category, number);
            }
        }
        world
    }

    fn add(&mut self, rng: &mut Rng, category: Category, number: usize) {
        let id = ServiceId(self.services.len() as u32);
        let slug = format!("{}-{number}", category.slug());
        let mut service = Service::new(id, slug.clone(), slug, category);
        let is_provider = is_provider(category);
        let is_local = is_provider || matches!(category, Category::Finance | Category::Shopping);
        // Most providers and banks are of one country, so that many compete.
        let home = if rng.unit() < 0.75 { 0 } else { 1 + rng.below(COUNTRIES as u32 - 1) as usize };
        let mut strength = [0.6; COUNTRIES];
        if is_local {
            strength = [0.05; COUNTRIES];
            strength[home] = 3.0;
            service.home = Some(self.country(home));
        }
        if is_provider {
            let first = if category == Category::Mobile { 0 } else { NETWORKS / 2 };
            let own = &self.networks[home][(first + number) % NETWORKS];
            service.networks = vec![own.0];
        } else if category != Category::Cloud && rng.unit() < 0.7 {
            let clouds: Vec<&Service> =
                self.services.iter().filter(|one| one.category == Category::Cloud).collect();
            let one = &clouds[rng.below(clouds.len() as u32) as usize];
            service.depends_on = vec![one.slug.clone()];
        }
        let kinds = mix(rng, &failing(category).map(|weight| 3.0 * weight + 0.15));
        self.usual.push(Usual {
            per_hour: log_uniform(rng, 2.0, 400.0),
            kinds,
            countries: mix(rng, &strength),
            on_own: 0.4 + 0.5 * rng.unit(),
            noise: log_uniform(rng, 3.0, 20.0),
        });
        self.services.push(service);
    }

    /// A world of given services, all at home in the first country: category, slug, usual reports an
    /// hour, and what each is built on.
    pub(super) fn given(rng: &mut Rng, services: &[(Category, &str, f64, Option<&str>)]) -> Self {
        let mut world = World::draw(rng);
        world.services.clear();
        world.usual.clear();
        for (category, slug, per_hour, built_on) in services {
            let number = world.services.len();
            world.add(rng, *category, number);
            let service = &mut world.services[number];
            (service.slug, service.name) = ((*slug).to_owned(), (*slug).to_owned());
            service.depends_on = built_on.iter().map(|slug| (*slug).to_owned()).collect();
            world.usual[number].per_hour = *per_hour;
            if is_provider(*category) {
                service.home = Some(world.cities[0].country);
                service.networks = vec![world.networks[0][number % NETWORKS].0];
                world.usual[number].countries = [0.97, 0.01, 0.01, 0.01];
            }
        }
        world
    }

    pub(super) fn catalogue(&self) -> Catalogue {
        Catalogue::new(self.services.clone()).unwrap_or_default()
    }

    /// Services of some categories.
    pub(super) fn of(&self, wanted: impl Fn(&Service) -> bool) -> Vec<usize> {
        (0..self.services.len()).filter(|index| wanted(&self.services[*index])).collect()
    }

    pub(super) fn country(&self, index: usize) -> CountryCode {
        self.cities[index * 3].country
    }

    pub(super) fn place(&self, rng: &mut Rng, country: usize) -> Place {
        let city = &self.cities[country * 3 + rng.below(3) as usize];
        Place { country: Some(city.country), region: city.region, city: Some(city.id) }
    }

    /// A network of a country, by how many people are on it.
    pub(super) fn network(&self, rng: &mut Rng, country: usize) -> Option<Asn> {
        let weights: Vec<f64> = self.networks[country].iter().map(|(_, share)| *share).collect();
        let index = pick(rng, &weights);
        // Of one reporter in eight it is not known.
        (rng.below(8) > 0).then(|| self.networks[country][index].0)
    }

    /// The country in which a network is.
    pub(super) fn country_of(&self, network: Asn) -> usize {
        self.networks
            .iter()
            .position(|networks| networks.iter().any(|(known, _)| *known == network))
            .unwrap_or(0)
    }
}

fn is_provider(category: Category) -> bool {
    matches!(category, Category::Mobile | Category::Internet)
}

/// Three cities each of the first countries that have them in regions.
fn cities() -> Vec<City> {
    let mut known = std::collections::BTreeMap::<_, Vec<City>>::new();
    for city in Geography::embedded().cities().filter(|city| city.region.is_some()) {
        let cities = known.entry(city.country).or_default();
        if cities.len() < 3 {
            cities.push(city.clone());
        }
    }
    known.retain(|_, cities| cities.len() == 3);
    known.into_values().take(COUNTRIES).flatten().collect()
}

/// What people say, on the whole, when a service of a category fails.
pub(super) fn failing(category: Category) -> Mix<KINDS> {
    let weigh = |weights: &[(ProblemKind, f64)]| {
        let mut mix = [0.02; KINDS];
        for (kind, weight) in weights {
            mix[*kind as usize] += weight;
        }
        normal(mix)
    };
    use ProblemKind as K;
    match category {
        Category::Mobile => weigh(&[(K::Calls, 0.5), (K::Connection, 0.3), (K::OtherNetwork, 0.05)]),
        Category::Internet => weigh(&[(K::Connection, 0.6), (K::Slow, 0.2), (K::OtherNetwork, 0.03)]),
        Category::Cloud => weigh(&[(K::Unreachable, 0.5), (K::Slow, 0.2), (K::Login, 0.2)]),
        Category::Finance | Category::Shopping => {
            weigh(&[(K::Payments, 0.3), (K::Login, 0.3), (K::App, 0.2), (K::Unreachable, 0.2)])
        }
        Category::Streaming => {
            weigh(&[(K::Media, 0.4), (K::Slow, 0.2), (K::App, 0.2), (K::Unreachable, 0.1)])
        }
        Category::Messaging => weigh(&[(K::Messages, 0.5), (K::App, 0.2), (K::Login, 0.1)]),
        _ => weigh(&[(K::Unreachable, 0.3), (K::App, 0.25), (K::Login, 0.2), (K::Slow, 0.2)]),
    }
}

/// What people say of a service that they only cannot reach.
pub(super) fn echoing(category: Category) -> Mix<KINDS> {
    let mut mix = [0.03; KINDS];
    let provider = matches!(category, Category::Mobile | Category::Internet);
    let weights = if provider {
        [(ProblemKind::OtherNetwork, 0.5), (ProblemKind::Calls, 0.2), (ProblemKind::Connection, 0.2)]
    } else {
        [(ProblemKind::Unreachable, 0.4), (ProblemKind::Slow, 0.2), (ProblemKind::Other, 0.2)]
    };
    for (kind, weight) in weights {
        mix[kind as usize] += weight;
    }
    normal(mix)
}

fn normal<const N: usize>(mix: Mix<N>) -> Mix<N> {
    let sum: f64 = mix.iter().sum();
    mix.map(|weight| weight / sum)
}

/// A draw from a Dirichlet distribution.
pub(super) fn mix<const N: usize>(rng: &mut Rng, strength: &[f64; N]) -> Mix<N> {
    normal(strength.map(|shape| shape * rng.gamma_factor(shape) + 1e-9))
}

/// `share` of the first mix and the rest of the second.
pub(super) fn blend<const N: usize>(these: &Mix<N>, those: &Mix<N>, share: f64) -> Mix<N> {
    std::array::from_fn(|index| share * these[index] + (1.0 - share) * those[index])
}

/// A position, by weights that need not add up to anything.
pub(super) fn pick(rng: &mut Rng, weights: &[f64]) -> usize {
    let mut left = rng.unit() * weights.iter().sum::<f64>();
    weights
        .iter()
        .position(|weight| {
            left -= weight;
            left < 0.0
        })
        .unwrap_or(weights.len() - 1)
}

/// Evenly by its logarithm.
pub(super) fn log_uniform(rng: &mut Rng, from: f64, to: f64) -> f64 {
    from * libm::pow(to / from, rng.unit())
}

/// Evenly between two values.
pub(super) fn uniform(rng: &mut Rng, from: f64, to: f64) -> f64 {
    from + (to - from) * rng.unit()
}
