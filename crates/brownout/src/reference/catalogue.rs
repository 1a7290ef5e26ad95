//! The catalogue file: the services as shipped, changed by an operator's own file.

mod aliases;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use brownout_core::model::{Asn, Catalogue, CatalogueError, Category, CountryCode, Service, ServiceId};
use serde::{Deserialize, Serialize};

pub use read::parse;

/// The catalogue that is part of this program, as text. Also the example for operators.
pub const EMBEDDED: &str = include_str!("../../data/catalogue.toml");

/// One service, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEntry {
    /// Public name in addresses.
    pub slug: String,
    /// Name shown to people.
    pub name: String,
    /// Other words by which people look for it, in small letters; see [`Service::aliases`].
    pub aliases: Vec<String>,
    /// What it is for.
    pub category: Category,
    /// The country of a service that serves one country.
    pub home: Option<CountryCode>,
    /// Host names or addresses that stand for the service.
    pub targets: Vec<String>,
    /// The service's own networks.
    pub networks: Vec<Asn>,
    /// Slugs of the clouds and content networks it is built on.
    pub depends_on: Vec<String>,
    /// Its own status page.
    pub status_page: Option<String>,
    /// Users worldwide; always with `users_source`.
    pub users: Option<u64>,
    /// Where `users` comes from.
    pub users_source: Option<String>,
}

impl ServiceEntry {
    /// A service of which no more is known than what it is called and what it is for.
    pub fn new(slug: String, name: String, category: Category) -> Self {
        ServiceEntry {
            slug,
            name,
            aliases: Vec::new(),
            category,
            home: None,
            targets: Vec::new(),
            networks: Vec::new(),
            depends_on: Vec::new(),
            status_page: None,
            users: None,
            users_source: None,
        }
    }
}

/// One `[[service]]` of a file: only the fields it gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePatch {
    /// Which service; the one field that must be there.
    pub slug: String,
    /// Where it stands in its file.
    pub at: Position,
    /// Takes the service away.
    pub disabled: bool,
    /// See [`ServiceEntry::name`].
    pub name: Option<String>,
    /// See [`ServiceEntry::aliases`].
    pub aliases: Option<Vec<String>>,
    /// See [`ServiceEntry::category`].
    pub category: Option<Category>,
    /// See [`ServiceEntry::home`].
    pub home: Option<CountryCode>,
    /// See [`ServiceEntry::targets`].
    pub targets: Option<Vec<String>>,
    /// See [`ServiceEntry::networks`].
    pub networks: Option<Vec<Asn>>,
    /// See [`ServiceEntry::depends_on`].
    pub depends_on: Option<Vec<String>>,
    /// See [`ServiceEntry::status_page`].
    pub status_page: Option<String>,
    /// See [`ServiceEntry::users`].
    pub users: Option<u64>,
    /// See [`ServiceEntry::users_source`].
    pub users_source: Option<String>,
}

/// A place in a file, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// One thing that is wrong with a catalogue file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// What, and what was probably meant.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.at.line, self.at.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// The services as shipped, changed by the text of an operator's own file.
///
/// # Errors
/// All problems of the operator's file, in its order.
pub fn load(own: Option<&str>) -> Result<Vec<ServiceEntry>, Vec<Problem>> {
    let shipped = merge(Vec::new(), parse(EMBEDDED)?)?;
    match own {
        Some(text) => merge(shipped, parse(text)?),
        None => Ok(shipped),
    }
}

/// Lays patches over entries: a known slug is overridden field by field, a new one added at the
/// end, a disabled one taken away, and with it the dependencies of others on it.
///
/// # Errors
/// New services without a name, category or target, dependencies on unknown services, and aliases that
/// mean another service.
pub fn merge(base: Vec<ServiceEntry>, patches: Vec<ServicePatch>) -> Result<Vec<ServiceEntry>, Vec<Problem>> {
    let mut entries = base;
    let mut problems = Vec::new();
    let mut disabled = BTreeSet::new();
    let mut positions = BTreeMap::new();
    let mut aliased = BTreeMap::new();
    for patch in patches {
        let known = entries.iter().position(|entry| entry.slug == patch.slug);
        if patch.disabled {
            match known {
                Some(index) => {
                    entries.remove(index);
                }
                None => {
                    let slugs = entries.iter().map(|entry| entry.slug.as_str());
                    let message =
                        format!("no service {:?} to disable{}", patch.slug, did_you_mean(&patch.slug, slugs));
                    problems.push(Problem { at: patch.at, message });
                }
            }
            disabled.insert(patch.slug);
            continue;
        }
        disabled.remove(&patch.slug);
        positions.insert(patch.slug.clone(), patch.at);
        if patch.aliases.is_some() {
            aliased.insert(patch.slug.clone(), patch.at);
        }
        match known {
            Some(index) => patch.lay_over(&mut entries[index]),
            None => match patch.into_entry() {
                Ok(entry) => entries.push(entry),
                Err(problem) => problems.push(problem),
            },
        }
    }
    for entry in &mut entries {
        entry.depends_on.retain(|slug| !disabled.contains(slug));
    }
    problems.extend(unknown_dependencies(&entries, &positions));
    problems.extend(aliases::settle(&mut entries, &aliased));
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

fn unknown_dependencies(entries: &[ServiceEntry], positions: &BTreeMap<String, Position>) -> Vec<Problem> {
    let slugs: BTreeSet<&str> = entries.iter().map(|entry| entry.slug.as_str()).collect();
    let mut problems = Vec::new();
    for entry in entries {
        for needed in &entry.depends_on {
            if !slugs.contains(needed.as_str()) || *needed == entry.slug {
                let others = slugs.iter().copied().filter(|slug| *slug != entry.slug);
                let hint = did_you_mean(needed, others);
                let message =
                    format!("{:?} depends on {needed:?}, which is not another service{hint}", entry.slug);
                problems
                    .push(Problem { at: positions.get(&entry.slug).copied().unwrap_or_default(), message });
            }
        }
    }
    problems
}

impl ServicePatch {
    fn lay_over(self, entry: &mut ServiceEntry) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut entry.name, self.name);
        set(&mut entry.aliases, self.aliases);
        set(&mut entry.category, self.category);
        set(&mut entry.targets, self.targets);
        set(&mut entry.networks, self.networks);
        set(&mut entry.depends_on, self.depends_on);
        set(&mut entry.home, self.home.map(Some));
        set(&mut entry.status_page, self.status_page.map(Some));
        set(&mut entry.users, self.users.map(Some));
        set(&mut entry.users_source, self.users_source.map(Some));
    }

    fn into_entry(self) -> Result<ServiceEntry, Problem> {
        let missing = |field: &str| Problem {
            at: self.at,
            message: format!("the new service {:?} has no `{field}`", self.slug),
        };
        let name = self.name.clone().ok_or_else(|| missing("name"))?;
        let category = self.category.ok_or_else(|| missing("category"))?;
        let targets =
            self.targets.clone().filter(|targets| !targets.is_empty()).ok_or_else(|| missing("targets"))?;
        Ok(ServiceEntry {
            slug: self.slug,
            name,
            aliases: self.aliases.unwrap_or_default(),
            category,
            home: self.home,
            targets,
            networks: self.networks.unwrap_or_default(),
            depends_on: self.depends_on.unwrap_or_default(),
            status_page: self.status_page,
            users: self.users,
            users_source: self.users_source,
        })
    }
}

/// Which numbers have been given in a data folder. A number stands for one slug for ever, also
/// after its service has left the catalogue, so this must see every catalogue of the log, or be
/// kept with the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    by_slug: BTreeMap<String, ServiceId>,
    next: u32,
}

impl Numbers {
    /// Takes in a catalogue that was in force.
    pub fn observe(&mut self, catalogue: &Catalogue) {
        for service in catalogue.iter() {
            self.by_slug.insert(service.slug.clone(), service.id);
            self.next = self.next.max(service.id.0.saturating_add(1));
        }
    }

    /// Numbers below `next` have been given, to whomever.
    pub fn reserve(&mut self, next: u32) {
        self.next = self.next.max(next);
    }

    fn give(&mut self, slug: &str) -> ServiceId {
        let next = &mut self.next;
        *self.by_slug.entry(slug.to_owned()).or_insert_with(|| {
            let id = ServiceId(*next);
            *next = next.saturating_add(1);
            id
        })
    }
}

/// Numbers the services: a known slug keeps its number, a new one gets the next that never was. An
/// alias that means another service too is let go.
///
/// # Errors
/// Whatever makes the list no catalogue.
pub fn assign(mut entries: Vec<ServiceEntry>, numbers: &mut Numbers) -> Result<Catalogue, CatalogueError> {
    aliases::settle(&mut entries, &BTreeMap::new());
    let services = entries.into_iter().map(|entry| Service {
        id: numbers.give(&entry.slug),
        slug: entry.slug,
        name: entry.name,
        category: entry.category,
        home: entry.home,
        targets: entry.targets,
        networks: entry.networks,
        depends_on: entry.depends_on,
        status_page: entry.status_page,
        users: entry.users,
        aliases: entry.aliases,
    });
    Catalogue::new(services.collect())
}

/// ` (did you mean "x"?)` for the nearest of the known words, or nothing.
fn did_you_mean<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .map(|word| (strsim::damerau_levenshtein(found, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min();
    near.map_or_else(String::new, |(_, word)| format!(" (did you mean {word:?}?)"))
}

#[cfg(test)]
mod tests {
    use brownout_core::model::Evidence;

    use super::*;

    fn problems(own: &str) -> Vec<String> {
        load(Some(own)).expect_err("problems").iter().map(Problem::to_string).collect()
    }

    #[test]
    fn the_shipped_catalogue_is_a_catalogue() {
        let entries = load(None).unwrap_or_else(|problems| panic!("{}", problems[0]));
        assert!(entries.len() >= 180, "{}", entries.len());
        let categories: BTreeSet<Category> = entries.iter().map(|entry| entry.category).collect();
        assert!(categories.len() >= 12, "{categories:?}");
        assert!(entries.iter().all(|entry| !entry.targets.is_empty()));
        let catalogue = assign(entries, &mut Numbers::default()).expect("a catalogue");
        let spectrum = catalogue.find("spectrum").expect("Spectrum");
        for number in [11427, 20115, 33363] {
            assert!(spectrum.networks.contains(&Asn::new(number).expect("not zero")), "AS{number}");
        }
        assert_eq!(catalogue.find("x").map(|service| service.name.as_str()), Some("X"));
        for country in ["PK", "GB", "US", "IN", "DE", "BR"] {
            let home = country.parse().ok();
            let there = catalogue.iter().filter(|service| service.home == home).count();
            assert!(there >= 10, "{country}: {there}");
        }
    }

    #[test]
    fn an_own_file_adds_overrides_and_takes_away() {
        let own = r#"
            [[service]]
            slug = "x"
            name = "X, formerly Twitter"
            [[service]]
            slug = "cloudflare"
            disabled = true
            [[service]]
            slug = "city-portal"
            name = "City portal"
            category = "public"
            targets = ["portal.example.org"]
            depends_on = ["aws"]
        "#;
        let entries = load(Some(own)).expect("merged");
        let find = |slug: &str| entries.iter().find(|entry| entry.slug == slug);
        let x = find("x").expect("x");
        assert_eq!(x.name, "X, formerly Twitter");
        assert_eq!(x.targets, ["x.com", "api.x.com", "twitter.com"], "what is not given stays");
        assert!(x.depends_on.is_empty(), "nothing depends on what is gone: {:?}", x.depends_on);
        assert!(find("cloudflare").is_none());
        assert_eq!(find("city-portal").map(|entry| entry.category), Some(Category::Public));
        assert!(assign(entries, &mut Numbers::default()).is_ok());
    }

    #[test]
    fn mistakes_are_named_with_their_place_and_what_was_meant() {
        assert_eq!(
            problems("[[service]]\nslug = \"x\"\ncategroy = \"social\"\n"),
            ["line 3, column 1: unknown key `categroy` (did you mean \"category\"?)"]
        );
        assert_eq!(
            problems("[[service]]\nslug = \"x\"\ncategory = \"socail\"\n"),
            ["line 3, column 12: no category \"socail\" (did you mean \"social\"?)"]
        );
        assert_eq!(
            problems("[[service]]\nslug = \"new\"\nname = \"New\"\n"),
            ["line 1, column 1: the new service \"new\" has no `category`"]
        );
        assert_eq!(
            problems("[[service]]\nslug = \"x\"\ndepends_on = [\"cloudflair\"]\n"),
            [
                "line 1, column 1: \"x\" depends on \"cloudflair\", which is not another service (did you mean \"cloudflare\"?)"
            ]
        );
        assert_eq!(
            problems("[[service]]\nslug = \"spectrm\"\ndisabled = true\n"),
            ["line 1, column 1: no service \"spectrm\" to disable (did you mean \"spectrum\"?)"]
        );
        assert_eq!(
            problems("[[service]]\nslug = \"x\"\nhome = \"Pakistan\"\n[[servce]]\nnetworks = [1]\n").len(),
            2,
            "all are told at once"
        );
        assert!(problems("[[service]\n")[0].starts_with("line 1, column "));
    }

    #[test]
    fn wrong_values_are_refused() {
        for (line, says) in [
            ("slug = \"Big X\"", "is not a slug"),
            ("networks = [0]", "is not an AS number"),
            ("networks = [\"AS1\"]", "is not an AS number"),
            ("networks = 1", "must be a list"),
            ("users = 5", "`users` needs `users_source`"),
            ("users = -5\nusers_source = \"s\"", "is not a count"),
            ("disabled = \"yes\"", "must be true or false"),
            ("targets = [\"\"]", "is not a host name or address"),
            ("targets = [\"https://x.com/\"]", "is not a host name or address"),
            ("status_page = \"javascript:alert(1)\"", "must start with https:// or http://"),
            ("name = \"\"", "1 to 80 characters"),
        ] {
            let slug = if line.starts_with("slug") { "" } else { "slug = \"x\"\n" };
            let found = problems(&format!("[[service]]\n{slug}{line}\n"));
            assert!(found[0].contains(says), "{line}: {}", found[0]);
        }
        assert!(problems("[[service]]\nname = \"N\"\n")[0].contains("has no `slug`"));
        assert!(
            problems("[[service]]\nslug = \"x\"\n[[service]]\nslug = \"x\"\n")[0].contains("stands twice")
        );
    }

    #[test]
    fn an_alias_means_one_service() {
        let shipped = load(None).expect("entries");
        let found = |slug: &str| shipped.iter().find(|entry| entry.slug == slug).expect("a service");
        assert!(found("x").aliases.contains(&"twitter".to_owned()));
        let new = |slug: &str, rest: &str| {
            format!(
                "[[service]]\nslug = {slug:?}\nname = \"N {slug}\"\ncategory = \"news\"\ntargets = [\"a.b\"]\n{rest}\n"
            )
        };
        for (own, says) in [
            (
                new("n", r#"aliases = ["reddit"]"#),
                r#"line 1, column 1: the alias "reddit" of "n" means "reddit" too"#,
            ),
            (new("n", r#"aliases = ["YouTube"]"#), r#"means "youtube" too"#),
            (
                new("n", r#"aliases = ["q"]"#) + &new("m", r#"aliases = ["Q"]"#),
                r#"the alias "q" of "n" means "m" too"#,
            ),
            (new("n", r#"aliases = [" "]"#), "is not another word for a service"),
            (new("n", "aliases = \"q\""), "must be a list"),
        ] {
            let found = problems(&own);
            assert!(found.iter().any(|found| found.contains(says)), "{own}: {found:?}");
        }
        // What is shipped gives way to what an operator names so.
        let own = new("twitter", "") + &new("n", r#"aliases = ["Insta"]"#);
        let entries = load(Some(&own)).unwrap_or_else(|problems| panic!("{}", problems[0]));
        let catalogue = assign(entries, &mut Numbers::default()).expect("a catalogue");
        let aliases = |slug: &str| catalogue.find(slug).map(|service| service.aliases.clone());
        assert_eq!(aliases("x"), Some(vec!["tweetdeck".to_owned()]));
        assert_eq!(aliases("instagram"), Some(vec!["ig".to_owned()]));
        assert_eq!(aliases("n"), Some(vec!["insta".to_owned()]));
    }

    #[test]
    fn a_logged_catalogue_from_before_there_were_aliases_is_read() {
        let entries: Vec<ServiceEntry> = load(None).expect("entries");
        let without =
            entries.into_iter().map(|entry| ServiceEntry { aliases: Vec::new(), ..entry }).collect();
        let catalogue = assign(without, &mut Numbers::default()).expect("a catalogue");
        let record = Evidence::Catalogue(Box::new(catalogue));
        let text = serde_json::to_string(&record).expect("JSON");
        let old = text.replace(r#","aliases":[]"#, "");
        assert!(!old.contains("aliases") && text.contains("aliases"));
        assert_eq!(serde_json::from_str::<Evidence>(&old).expect("read"), record);
    }

    #[test]
    fn numbers_stay_and_are_never_given_again() {
        let mut numbers = Numbers::default();
        let three: Vec<ServiceEntry> = load(None).expect("entries").into_iter().take(3).collect();
        let bare = |entry: &ServiceEntry| ServiceEntry { depends_on: Vec::new(), ..entry.clone() };
        let three: Vec<ServiceEntry> = three.iter().map(bare).collect();
        let first = assign(three.clone(), &mut numbers).expect("a catalogue");
        let last = first.find(&three[2].slug).expect("the third").id;

        // A restart: what is known comes from the log alone. The last one leaves, another comes.
        let mut numbers = Numbers::default();
        numbers.observe(&first);
        let new = ServiceEntry { slug: "new".to_owned(), ..three[0].clone() };
        let second = assign(vec![three[1].clone(), new], &mut numbers).expect("a catalogue");
        assert_eq!(second.find(&three[1].slug).map(|service| service.id), Some(ServiceId(1)));
        assert!(second.find("new").is_some_and(|service| service.id > last));
        let third = assign(three.clone(), &mut numbers).expect("a catalogue");
        assert_eq!(
            third.find(&three[2].slug).map(|service| service.id),
            Some(last),
            "it comes back as itself"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = parse(&text);
            let _ = parse(&format!("[[service]]\nslug = {text}"));
        }
    }
}
