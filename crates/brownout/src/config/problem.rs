//! What is wrong with a configuration, and exactly where.

use std::fmt;
use std::ops::Range;

/// One thing wrong, with the place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters the offending text has, at least 1.
    pub width: usize,
    /// The offending line, without its end.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What would be right, where it can be guessed.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with the bytes `span` of `source`.
    pub fn at(source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor_boundary(source, span.start);
        let end = floor_boundary(source, span.end.max(start));
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = source[line_start..].lines().next().unwrap_or("");
        let column = source[line_start..start].chars().count() + 1;
        // A caret line never runs past the offending line, whatever the span covers.
        let room = (text.chars().count() + 1).saturating_sub(column - 1).max(1);
        Problem {
            line: before.matches('\n').count() + 1,
            column,
            width: source[start..end].chars().count().clamp(1, room),
            text: text.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// The nearest character boundary at or before `index`.
fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// The name among `known` that somebody most likely meant by `word`.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// Everything wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: String,
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let gutter = problem.line.to_string();
            let blank = " ".repeat(gutter.len());
            let indent: String = problem
                .text
                .chars()
                .take(problem.column - 1)
                .map(|c| if c == '\t' { c } else { ' ' })
                .collect();
            writeln!(f, "{}:{}:{}: {}", self.file, problem.line, problem.column, problem.message)?;
            writeln!(f, " {gutter} | {}", problem.text)?;
            write!(f, " {blank} | {indent}{}", "^".repeat(problem.width))?;
            if let Some(hint) = &problem.hint {
                write!(f, " {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_characters_not_bytes() {
        let source = "a = 1\ntitle = \"é\" x\n";
        let at = source.find('x').expect("an x");
        let problem = Problem::at(source, at..at + 1, "no");
        assert_eq!((problem.line, problem.column, problem.width), (2, 13, 1));
        let shown = ConfigError { file: "f".into(), problems: vec![problem] }.to_string();
        assert_eq!(shown, "f:2:13: no\n 2 | title = \"é\" x\n   |             ^");
    }

    #[test]
    fn a_span_outside_the_file_does_not_panic() {
        let problem = Problem::at("é", 1..900, "no");
        assert_eq!((problem.line, problem.column), (1, 1));
        assert_eq!(Problem::at("", 0..0, "no").width, 1);
        assert_eq!(Problem::at("a\n", 2..9, "no").line, 2);
    }

    #[test]
    fn far_fetched_guesses_are_not_made() {
        assert_eq!(did_you_mean("adress", ["address", "folder"]), Some("did you mean `address`?".into()));
        assert_eq!(did_you_mean("colour", ["address", "folder"]), None);
    }
}
