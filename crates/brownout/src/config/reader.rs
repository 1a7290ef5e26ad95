//! Walks a TOML text section by section and notes everything that is wrong, not only the first.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::str::FromStr;

use brownout_core::model::Policy;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Problem, did_you_mean};

/// A text being read.
pub(super) struct Reader<'i> {
    source: &'i str,
    root: DeTable<'i>,
    sections: Vec<&'static str>,
    problems: Vec<Problem>,
}

impl<'i> Reader<'i> {
    pub(super) fn new(source: &'i str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(source);
        let problems = errors
            .iter()
            .map(|error| Problem::at(source, error.span().unwrap_or(0..0), error.message()))
            .collect();
        Reader { source, root: root.into_inner(), sections: Vec::new(), problems }
    }

    /// Reads one section with `read`; its keys are all optional.
    pub(super) fn section(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_, 'i>)) {
        self.sections.push(name);
        let Some((key, value)) = self.root.remove_entry(name) else { return };
        let span = value.span();
        let DeValue::Table(table) = value.into_inner() else {
            self.problems.push(Problem::at(
                self.source,
                key.span().start..span.end,
                format!("`{name}` is a section: write [{name}]"),
            ));
            return;
        };
        let mut section =
            Section { name, table, source: self.source, known: Vec::new(), problems: &mut self.problems };
        read(&mut section);
        section.refuse_the_rest();
    }

    /// All problems in the order of the file, unknown sections included.
    pub(super) fn finish(mut self, file: &str) -> Result<(), ConfigError> {
        for key in self.root.keys() {
            let name = key.get_ref();
            self.problems.push(
                Problem::at(self.source, key.span(), format!("unknown section or key `{name}`"))
                    .hint(did_you_mean(name, self.sections.iter().copied())),
            );
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems.dedup();
        Err(ConfigError { file: file.to_owned(), problems: self.problems })
    }
}

/// One section being read. A method leaves its target as it was when the key is missing or wrong.
pub(super) struct Section<'r, 'i> {
    name: &'static str,
    table: DeTable<'i>,
    source: &'i str,
    known: Vec<String>,
    problems: &'r mut Vec<Problem>,
}

impl<'i> Section<'_, 'i> {
    /// A whole number of any width, within `range`.
    pub(super) fn whole<T: TryFrom<u64>>(&mut self, key: &str, target: &mut T, range: RangeInclusive<u64>) {
        let Some(value) = self.take(key) else { return };
        let number = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok()) {
            Some(number) => *target = number,
            None => {
                let (low, high) = (range.start(), range.end());
                self.refuse(value.span(), format!("`{key}` is a whole number from {low} to {high}"));
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str, target: &mut bool) {
        let Some(value) = self.take(key) else { return };
        match value.get_ref().as_bool() {
            Some(flag) => *target = flag,
            None => self.refuse(value.span(), format!("`{key}` is true or false")),
        }
    }

    /// Text of at most `chars_max` characters on one line.
    pub(super) fn text(&mut self, key: &str, target: &mut String, chars_max: usize) {
        let Some((text, span)) = self.take_text(key) else { return };
        if text.chars().count() > chars_max || text.chars().any(char::is_control) {
            self.refuse(span, format!("`{key}` is one line of at most {chars_max} characters"));
        } else {
            *target = text;
        }
    }

    /// Text of a form of its own.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, key: &str, target: &mut T) {
        let Some((text, span)) = self.take_text(key) else { return };
        match text.parse() {
            Ok(value) => *target = value,
            Err(error) => self.refuse(span, format!("`{key}`: {error}")),
        }
    }

    /// A path; empty is "not set".
    pub(super) fn path(&mut self, key: &str, target: &mut Option<PathBuf>) {
        if let Some((text, _)) = self.take_text(key) {
            *target = (!text.is_empty()).then(|| PathBuf::from(text));
        }
    }

    /// A list of texts of a form of their own.
    pub(super) fn list<T: FromStr<Err: Display>>(&mut self, key: &str, target: &mut Vec<T>) {
        let Some(value) = self.take(key) else { return };
        let Some(items) = value.get_ref().as_array() else {
            self.refuse(value.span(), format!("`{key}` is a list, such as [\"...\"]"));
            return;
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref().as_str().map(str::parse) {
                Some(Ok(value)) => list.push(value),
                Some(Err(error)) => self.refuse(item.span(), format!("`{key}`: {error}")),
                None => self.refuse(item.span(), format!("`{key}` holds texts in quotes")),
            }
        }
        *target = list;
    }

    /// All fields of the policy; the policy's own type says which there are and what they may be.
    pub(super) fn policy(&mut self, target: &mut Policy) {
        let fields = match serde_json::to_value(&*target) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => return,
        };
        let mut accepted = String::new();
        for field in fields.keys() {
            let Some(value) = self.take(field) else { continue };
            let span = value.span();
            let line = format!("{field} = {}\n", &self.source[span.clone()]);
            match toml::from_str::<Policy>(&line) {
                Ok(policy) => match policy.check() {
                    Ok(()) => accepted.push_str(&line),
                    Err(error) => self.refuse(span, error.to_string()),
                },
                Err(error) => self.refuse(span, format!("`{field}`: {}", error.message())),
            }
        }
        if let Ok(policy) = toml::from_str(&accepted) {
            *target = policy;
        }
    }

    fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'i>>> {
        self.known.push(key.to_owned());
        self.table.remove(key)
    }

    fn take_text(&mut self, key: &str) -> Option<(String, Range<usize>)> {
        let value = self.take(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some((text.to_owned(), value.span())),
            None => {
                self.refuse(value.span(), format!("`{key}` is a text in quotes"));
                None
            }
        }
    }

    fn refuse(&mut self, span: Range<usize>, message: String) {
        self.problems.push(Problem::at(self.source, span, message));
    }

    fn refuse_the_rest(self) {
        for key in self.table.keys() {
            let name = key.get_ref();
            self.problems.push(
                Problem::at(self.source, key.span(), format!("unknown key `{name}` in [{}]", self.name))
                    .hint(did_you_mean(name, self.known.iter().map(String::as_str))),
            );
        }
    }
}
