//! From the text of a catalogue file to patches, with the place of every mistake.

use std::collections::BTreeMap;
use std::ops::Range;

use brownout_core::model::{Asn, Category, CountryCode, Service};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Position, Problem, ServicePatch, did_you_mean};

const KEYS: &[&str] = &[
    "slug",
    "name",
    "aliases",
    "category",
    "home",
    "targets",
    "networks",
    "depends_on",
    "status_page",
    "users",
    "users_source",
    "disabled",
];

/// Most entries of one list of a service.
const LIST_MAX: usize = 256;

/// Reads a catalogue file.
///
/// # Errors
/// All problems of the text, in its order; a mistake of the TOML itself stands alone.
pub fn parse(text: &str) -> Result<Vec<ServicePatch>, Vec<Problem>> {
    let lines = Lines::of(text);
    let document = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        vec![Problem { at: lines.position(span.start), message: error.message().to_owned() }]
    })?;
    let mut file = File { lines, problems: Vec::new() };
    let mut patches = Vec::new();
    for (key, value) in document.get_ref().iter() {
        if key.get_ref() != "service" {
            let hint = did_you_mean(key.get_ref(), ["service"].into_iter());
            file.report(key.span(), format!("unknown table `{}`{hint}", key.get_ref()));
            continue;
        }
        let Some(services) = value.get_ref().as_array() else {
            file.report(value.span(), "services stand under [[service]], in double brackets");
            continue;
        };
        for service in services.iter() {
            match service.get_ref().as_table() {
                Some(table) => patches.extend(file.service(table, service.span())),
                None => file.report(service.span(), "a service must be a table"),
            }
        }
    }
    let mut seen: BTreeMap<&str, Position> = BTreeMap::new();
    for patch in &patches {
        if let Some(first) = seen.insert(&patch.slug, patch.at) {
            let message = format!("{:?} stands twice, first in line {}", patch.slug, first.line);
            file.problems.push(Problem { at: patch.at, message });
        }
    }
    file.problems.sort_by_key(|problem| problem.at);
    if file.problems.is_empty() { Ok(patches) } else { Err(file.problems) }
}

type Value<'a> = Spanned<DeValue<'a>>;

struct File<'t> {
    lines: Lines<'t>,
    problems: Vec<Problem>,
}

impl File<'_> {
    fn report(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem { at: self.lines.position(span.start), message: message.into() });
    }

    fn service(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<ServicePatch> {
        let mut patch = ServicePatch { at: self.lines.position(span.start), ..ServicePatch::default() };
        for (key, value) in table.iter() {
            match key.get_ref().as_ref() {
                "slug" => patch.slug = self.slug(value)?,
                "name" => patch.name = self.name(value),
                "aliases" => patch.aliases = self.list(value, File::alias),
                "category" => patch.category = self.category(value),
                "home" => patch.home = self.country(value),
                "targets" => patch.targets = self.list(value, File::target),
                "networks" => patch.networks = self.list(value, File::network),
                "depends_on" => patch.depends_on = self.list(value, File::slug),
                "status_page" => patch.status_page = self.address(value),
                "users" => patch.users = self.count(value),
                "users_source" => patch.users_source = self.string(value).map(str::to_owned),
                "disabled" => match value.get_ref().as_bool() {
                    Some(disabled) => patch.disabled = disabled,
                    None => self.report(value.span(), "`disabled` must be true or false"),
                },
                unknown => {
                    let hint = did_you_mean(unknown, KEYS.iter().copied());
                    self.report(key.span(), format!("unknown key `{unknown}`{hint}"));
                }
            }
        }
        if patch.slug.is_empty() {
            self.report(span, "this service has no `slug`");
            return None;
        }
        if patch.users.is_some() && patch.users_source.is_none() {
            self.report(span, "`users` needs `users_source`: a figure without a source is not shown");
        }
        Some(patch)
    }

    fn string<'v>(&mut self, value: &'v Value<'_>) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.report(value.span(), format!("this must be text, not {}", value.get_ref().type_str()));
        }
        text
    }

    /// A text that passes `check`, or a problem that it `is not` what was wanted.
    fn checked<T>(
        &mut self,
        value: &Value<'_>,
        wanted: &str,
        check: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.string(value)?;
        let checked = check(text);
        if checked.is_none() {
            self.report(value.span(), format!("{:?} is not {wanted}", shown(text)));
        }
        checked
    }

    fn slug(&mut self, value: &Value<'_>) -> Option<String> {
        self.checked(value, "a slug: 1 to 48 of a-z, 0-9 and inner hyphens", |text| {
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let parts = text.split('-').all(|part| !part.is_empty() && part.bytes().all(letter));
            (parts && text.len() <= 48).then(|| text.to_owned())
        })
    }

    fn name(&mut self, value: &Value<'_>) -> Option<String> {
        self.checked(value, "a name of 1 to 80 characters", |text| {
            let plain = !text.trim().is_empty() && text.chars().count() <= 80;
            (plain && !text.contains(char::is_control)).then(|| text.to_owned())
        })
    }

    fn alias(&mut self, value: &Value<'_>) -> Option<String> {
        self.checked(value, "another word for a service: 1 to 48 characters", |text| {
            let alias = text.trim().to_lowercase();
            Service::is_alias(&alias).then_some(alias)
        })
    }

    fn category(&mut self, value: &Value<'_>) -> Option<Category> {
        let text = self.string(value)?;
        let category = Category::from_slug(text);
        if category.is_none() {
            let hint = did_you_mean(text, Category::ALL.iter().map(|category| category.slug()));
            self.report(value.span(), format!("no category {:?}{hint}", shown(text)));
        }
        category
    }

    fn country(&mut self, value: &Value<'_>) -> Option<CountryCode> {
        self.checked(value, "a two-letter country code such as PK", |text| text.parse().ok())
    }

    fn target(&mut self, value: &Value<'_>) -> Option<String> {
        self.checked(value, "a host name or address", |text| {
            let host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            let plain = (1..=253).contains(&text.len()) && text.bytes().all(host);
            let address = text.parse::<std::net::IpAddr>().is_ok();
            (plain || address).then(|| text.to_ascii_lowercase())
        })
    }

    fn address(&mut self, value: &Value<'_>) -> Option<String> {
        let text = self.string(value)?;
        let known = text.starts_with("https://") || text.starts_with("http://");
        if !known || text.len() > 300 || text.contains(char::is_whitespace) {
            self.report(value.span(), "a status page must start with https:// or http://");
            return None;
        }
        Some(text.to_owned())
    }

    fn number(&self, value: &Value<'_>) -> Option<u64> {
        let integer = value.get_ref().as_integer()?;
        u64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    fn network(&mut self, value: &Value<'_>) -> Option<Asn> {
        let number = self.number(value).and_then(|number| u32::try_from(number).ok()).and_then(Asn::new);
        if number.is_none() {
            self.report(value.span(), "this is not an AS number, such as 17557");
        }
        number
    }

    fn count(&mut self, value: &Value<'_>) -> Option<u64> {
        let count = self.number(value);
        if count.is_none() {
            self.report(value.span(), "this is not a count, such as 600000000");
        }
        count
    }

    fn list<T>(
        &mut self,
        value: &Value<'_>,
        read: impl Fn(&mut Self, &Value<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        match value.get_ref().as_array() {
            Some(values) if values.len() <= LIST_MAX => {
                Some(values.iter().filter_map(|value| read(self, value)).collect())
            }
            Some(_) => {
                self.report(value.span(), format!("this list is longer than {LIST_MAX}"));
                None
            }
            None => {
                self.report(value.span(), "this must be a list, in square brackets");
                None
            }
        }
    }
}

/// The beginning of a text, short enough for a message.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Where each line of a text begins, so that a place is found without reading all before it.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(index, _)| index + 1);
        Lines { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let before = self.text.get(self.starts[line - 1]..offset).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }
}
