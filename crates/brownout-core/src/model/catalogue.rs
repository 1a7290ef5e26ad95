//! The services that can be reported: the catalogue decides, never a client.

use std::fmt;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::{Asn, CountryCode, ServiceId};

macro_rules! categories {
    ($($(#[$doc:meta])* $name:ident, $slug:literal, $label:literal;)*) => {
        /// What a service is for. Categories share priors while a service is new.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Category { $($(#[$doc])* $name),* }

        impl Category {
            /// All categories, in the order in which pages show them.
            pub const ALL: &'static [Category] = &[$(Category::$name),*];
            /// The name used in files and interfaces.
            pub const fn slug(self) -> &'static str { match self { $(Category::$name => $slug),* } }
            /// The words shown to a person.
            pub const fn label(self) -> &'static str { match self { $(Category::$name => $label),* } }
            /// The category with this slug.
            pub fn from_slug(slug: &str) -> Option<Self> {
                match slug { $($slug => Some(Category::$name),)* _ => None }
            }
        }
    };
}

categories! {
    /// Social networks.
    Social, "social", "Social networks";
    /// Messaging and calls over the internet.
    Messaging, "messaging", "Messaging";
    /// Mail.
    Mail, "mail", "Mail";
    /// Video, music and television.
    Streaming, "streaming", "Streaming";
    /// Games and game shops.
    Games, "games", "Games";
    /// Internet providers.
    Internet, "internet", "Internet providers";
    /// Mobile networks.
    Mobile, "mobile", "Mobile networks";
    /// Clouds, content networks and name services.
    Cloud, "cloud", "Clouds and networks";
    /// Work and development tools.
    Work, "work", "Work and development";
    /// Banks and payments.
    Finance, "finance", "Banks and payments";
    /// Shops and deliveries.
    Shopping, "shopping", "Shops and deliveries";
    /// Travel and transport.
    Travel, "travel", "Travel and transport";
    /// Search, maps, artificial intelligence and knowledge.
    Knowledge, "knowledge", "Search, AI and knowledge";
    /// Government and public services.
    Public, "public", "Public services";
    /// News.
    News, "news", "News";
}

/// One service of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Number inside the data folder; see [`ServiceId`].
    pub id: ServiceId,
    /// Public name in addresses: 1 to 48 of a-z, 0-9 and inner hyphens.
    pub slug: String,
    /// Name shown to people.
    pub name: String,
    /// What it is for.
    pub category: Category,
    /// The country of a service that serves one country; `None` is international.
    pub home: Option<CountryCode>,
    /// Host names or addresses that stand for the service.
    pub targets: Vec<String>,
    /// The service's own networks, where it is an internet provider.
    pub networks: Vec<Asn>,
    /// Slugs of the clouds and content networks it is built on.
    pub depends_on: Vec<String>,
    /// Its own status page.
    pub status_page: Option<String>,
    /// Users worldwide, where a source gives them.
    pub users: Option<u64>,
    /// Other words by which people look for it, such as `twitter` for X: 1 to 48 characters each, in
    /// small letters. Logs from before there were aliases have none.
    #[serde(default)]
    pub aliases: Vec<String>,
}

impl Service {
    /// A service of which no more is known than what it is called and what it is for.
    pub fn new(id: ServiceId, slug: impl Into<String>, name: impl Into<String>, category: Category) -> Self {
        Service {
            id,
            slug: slug.into(),
            name: name.into(),
            category,
            home: None,
            targets: Vec::new(),
            networks: Vec::new(),
            depends_on: Vec::new(),
            status_page: None,
            users: None,
            aliases: Vec::new(),
        }
    }

    /// Whether a text, in small letters, may be an alias.
    pub fn is_alias(text: &str) -> bool {
        let plain = text.trim() == text && !text.contains(char::is_control) && text.to_lowercase() == text;
        plain && (1..=48).contains(&text.chars().count())
    }

    /// Whether this is what it is called: its slug, its name or an alias. `text` is in small letters.
    pub fn is_called(&self, text: &str) -> bool {
        self.slug == text
            || self.aliases.iter().any(|alias| alias == text)
            || self.name.to_lowercase() == text
    }

    /// Whether a search for this finds it: `text`, in small letters, is a part of its slug, its name or
    /// an alias.
    pub fn is_found_by(&self, text: &str) -> bool {
        self.slug.contains(text)
            || self.aliases.iter().any(|alias| alias.contains(text))
            || self.name.to_lowercase().contains(text)
    }
}

/// An immutable list of services, found by number or slug.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Service>", into = "Vec<Service>")]
pub struct Catalogue {
    services: IndexMap<String, Service, FxBuildHasher>,
    by_id: IndexMap<ServiceId, usize, FxBuildHasher>,
    /// Providers by their networks; the first that names one owns it.
    by_network: IndexMap<Asn, ServiceId, FxBuildHasher>,
    /// Services by the hosts of their targets, without `www.`; the first that names one owns it.
    by_host: IndexMap<String, ServiceId, FxBuildHasher>,
}

impl Catalogue {
    /// The most services that one catalogue may have.
    pub const SERVICES_MAX: usize = 100_000;

    /// Checks the list: slugs well formed and unique, numbers unique, dependencies known, and no alias
    /// that means another service.
    pub fn new(services: Vec<Service>) -> Result<Self, CatalogueError> {
        if services.len() > Self::SERVICES_MAX {
            return Err(CatalogueError::TooMany(services.len()));
        }
        let mut catalogue = Catalogue::default();
        for service in services {
            if !slug_is_well_formed(&service.slug) {
                return Err(CatalogueError::Slug(service.slug));
            }
            if service.name.trim().is_empty() || service.name.chars().count() > 80 {
                return Err(CatalogueError::Name(service.slug));
            }
            let index = catalogue.services.len();
            if catalogue.by_id.insert(service.id, index).is_some() {
                return Err(CatalogueError::Duplicate(service.slug));
            }
            if matches!(service.category, Category::Internet | Category::Mobile) {
                for network in &service.networks {
                    catalogue.by_network.entry(*network).or_insert(service.id);
                }
            }
            for target in &service.targets {
                catalogue.by_host.entry(bare_host(target)).or_insert(service.id);
            }
            let slug = service.slug.clone();
            if catalogue.services.insert(slug.clone(), service).is_some() {
                return Err(CatalogueError::Duplicate(slug));
            }
        }
        for service in catalogue.services.values() {
            for needed in &service.depends_on {
                if !catalogue.services.contains_key(needed) || *needed == service.slug {
                    return Err(CatalogueError::Dependency {
                        service: service.slug.clone(),
                        depends_on: needed.clone(),
                    });
                }
            }
        }
        catalogue.check_aliases()?;
        Ok(catalogue)
    }

    fn check_aliases(&self) -> Result<(), CatalogueError> {
        let mut owners: IndexMap<&str, &Service, FxBuildHasher> = IndexMap::default();
        for service in self.services.values() {
            for alias in &service.aliases {
                let known = owners.insert(alias, service);
                if !Service::is_alias(alias) || known.is_some_and(|known| known.id != service.id) {
                    return Err(CatalogueError::Alias(alias.clone()));
                }
            }
        }
        if owners.is_empty() {
            return Ok(());
        }
        for service in self.services.values() {
            for name in [&service.slug, &service.name.to_lowercase()] {
                if owners.get(name.as_str()).is_some_and(|owner| owner.id != service.id) {
                    return Err(CatalogueError::Alias(name.clone()));
                }
            }
        }
        Ok(())
    }

    /// The service with this slug.
    pub fn find(&self, slug: &str) -> Option<&Service> {
        self.services.get(slug)
    }

    /// The service with this number.
    pub fn get(&self, id: ServiceId) -> Option<&Service> {
        self.by_id.get(&id).and_then(|index| self.services.get_index(*index)).map(|(_, service)| service)
    }

    /// The internet provider or mobile network that a network belongs to.
    pub fn provider_of(&self, network: Asn) -> Option<&Service> {
        self.by_network.get(&network).and_then(|id| self.get(*id))
    }

    /// The service that a host is a target of: with or without `www.`, in any case.
    pub fn service_at(&self, host: &str) -> Option<&Service> {
        self.by_host.get(&bare_host(host)).and_then(|id| self.get(*id))
    }

    /// All services, in catalogue order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Service> {
        self.services.values()
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}

impl TryFrom<Vec<Service>> for Catalogue {
    type Error = CatalogueError;

    fn try_from(services: Vec<Service>) -> Result<Self, CatalogueError> {
        Catalogue::new(services)
    }
}

impl From<Catalogue> for Vec<Service> {
    fn from(catalogue: Catalogue) -> Self {
        catalogue.services.into_values().collect()
    }
}

/// A host as targets are compared: in small letters, without `www.` and the root's dot.
pub fn bare_host(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.strip_prefix("www.").map(str::to_owned).unwrap_or(host)
}

/// Whether a slug may stand in an address: 1 to 48 of a-z, 0-9 and inner single hyphens.
fn slug_is_well_formed(slug: &str) -> bool {
    (1..=48).contains(&slug.len())
        && slug.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

/// Why a list of services is not a catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueError {
    /// More than [`Catalogue::SERVICES_MAX`].
    TooMany(usize),
    /// A slug that is not 1 to 48 of a-z, 0-9 and inner hyphens.
    Slug(String),
    /// A service (by slug) whose name is empty or over 80 characters.
    Name(String),
    /// A slug or number that stands twice.
    Duplicate(String),
    /// An alias that is not one, or that means another service too.
    Alias(String),
    /// A dependency on a service that is not in the list, or on itself.
    Dependency {
        /// The service that names it.
        service: String,
        /// The slug that is not there.
        depends_on: String,
    },
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogueError::TooMany(count) => {
                write!(f, "{count} services; at most {} fit", Catalogue::SERVICES_MAX)
            }
            CatalogueError::Slug(slug) => {
                write!(f, "{slug:?} is not a slug: 1 to 48 of a-z, 0-9 and inner hyphens")
            }
            CatalogueError::Name(slug) => write!(f, "the name of {slug:?} is empty or over 80 characters"),
            CatalogueError::Duplicate(slug) => write!(f, "{slug:?} stands twice in the catalogue"),
            CatalogueError::Alias(alias) => {
                write!(f, "the alias {alias:?} is not in small letters, or means another service too")
            }
            CatalogueError::Dependency { service, depends_on } => {
                write!(
                    f,
                    "{service:?} depends on {depends_on:?}, which is not another service of the catalogue"
                )
            }
        }
    }
}

impl std::error::Error for CatalogueError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(id: u32, slug: &str, aliases: &[&str]) -> Service {
        let name = slug.to_uppercase();
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Service { aliases, ..Service::new(ServiceId(id), slug, name, Category::Social) }
    }

    #[test]
    fn an_alias_belongs_to_one_service() {
        let two = |a: &[&str], b: &[&str]| {
            Catalogue::new(vec![service(1, "x", a), service(2, "reddit", b)]).map(|catalogue| catalogue.len())
        };
        assert_eq!(two(&["twitter", "x"], &[]), Ok(2));
        for (a, b) in
            [(&["reddit"][..], &[][..]), (&["q"], &["q"]), (&["Q"], &[]), (&[""], &[]), (&[" q"], &[])]
        {
            assert!(matches!(two(a, b), Err(CatalogueError::Alias(_))), "{a:?} {b:?}");
        }
        let x = service(1, "x", &["twitter"]);
        assert!(x.is_called("twitter") && x.is_called("x") && !x.is_called("twit"));
        assert!(x.is_found_by("twit") && !x.is_found_by("twist"));
    }
}
