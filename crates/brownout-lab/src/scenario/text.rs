//! Words with their positions, and errors that name them.

use std::fmt;

use brownout_core::model::UtcTime;

/// What is wrong with a scenario, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// A word that was probably meant.
    pub did_you_mean: Option<String>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        match &self.did_you_mean {
            Some(word) => write!(f, "; did you mean `{word}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// A word, a quoted text or a comma.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) column: u32,
    pub(super) quoted: bool,
}

/// The rest of one line, read from left to right.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    line: u32,
    end_column: u32,
}

impl<'a> Cursor<'a> {
    /// Splits a line. `#` at the beginning of a word starts a comment.
    pub(super) fn new(line: u32, text: &'a str) -> Result<Self, ScenarioError> {
        let mut tokens = Vec::new();
        let mut rest = text.char_indices().enumerate().peekable();
        while let Some(&(column, (start, letter))) = rest.peek() {
            let column = column as u32 + 1;
            if letter.is_whitespace() {
                rest.next();
            } else if letter == '#' {
                break;
            } else if letter == '"' {
                rest.next();
                let close = rest.find(|(_, (_, letter))| *letter == '"').ok_or_else(|| ScenarioError {
                    line,
                    column,
                    message: "this text has no closing quote".to_owned(),
                    did_you_mean: None,
                })?;
                tokens.push(Token { text: &text[start + 1..close.1.0], column, quoted: true });
            } else if letter == ',' {
                rest.next();
                tokens.push(Token { text: ",", column, quoted: false });
            } else {
                let mut end = text.len();
                while let Some(&(_, (at, letter))) = rest.peek() {
                    if letter.is_whitespace() || letter == ',' || letter == '"' {
                        end = at;
                        break;
                    }
                    rest.next();
                }
                tokens.push(Token { text: &text[start..end], column, quoted: false });
            }
        }
        Ok(Cursor { tokens, next: 0, line, end_column: text.chars().count() as u32 + 1 })
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.tokens.len()
    }

    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// An error at the word that comes next, or at the end of the line.
    pub(super) fn error(&self, message: impl Into<String>) -> ScenarioError {
        let column = self.tokens.get(self.next).map_or(self.end_column, |token| token.column);
        ScenarioError { line: self.line, column, message: message.into(), did_you_mean: None }
    }

    /// An error at the word that was read last.
    pub(super) fn error_before(&self, message: impl Into<String>) -> ScenarioError {
        let before = self.next.checked_sub(1).and_then(|index| self.tokens.get(index));
        let column = before.map_or(self.end_column, |token| token.column);
        ScenarioError { line: self.line, column, message: message.into(), did_you_mean: None }
    }

    /// An error at the word that was read last, which should have been one of these.
    pub(super) fn unknown<'b>(
        &self,
        what: &str,
        found: &str,
        known: impl IntoIterator<Item = &'b str>,
    ) -> ScenarioError {
        let shown: String = found.chars().take(40).collect();
        let mut error = self.error_before(format!("`{shown}` is not {what}"));
        let scored = known.into_iter().map(|word| (strsim::jaro_winkler(&shown, word), word));
        error.did_you_mean = scored
            .filter(|(score, _)| *score > 0.75)
            .max_by(|left, right| left.0.total_cmp(&right.0))
            .map(|(_, word)| word.to_owned());
        error
    }

    pub(super) fn any(&mut self, what: &str) -> Result<Token<'a>, ScenarioError> {
        let token = *self.tokens.get(self.next).ok_or_else(|| self.error(format!("{what} is missing")))?;
        self.next += 1;
        Ok(token)
    }

    /// A word without quotes.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, ScenarioError> {
        let token = self.any(what)?;
        if token.quoted || token.text == "," {
            return Err(self.error_before(format!("{what} is expected here")));
        }
        Ok(token.text)
    }

    pub(super) fn quoted(&mut self, what: &str) -> Result<&'a str, ScenarioError> {
        let token = self.any(&format!("{what} in quotes"))?;
        if !token.quoted {
            return Err(self.error_before(format!("{what} is expected here, in quotes")));
        }
        Ok(token.text)
    }

    /// Unreads a word.
    pub(super) fn back(&mut self) {
        self.next = self.next.saturating_sub(1);
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.next).is_some_and(|token| !token.quoted && token.text == word);
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), ScenarioError> {
        if self.take(word) {
            return Ok(());
        }
        let found = self.word(&format!("`{word}`"))?;
        Err(self.unknown(&format!("the word `{word}`, which is expected here"), found, [word]))
    }

    pub(super) fn done(&self) -> Result<(), ScenarioError> {
        if self.is_done() { Ok(()) } else { Err(self.error("the line should end here")) }
    }

    /// A number, with a plus sign if one likes.
    pub(super) fn number(&mut self, what: &str, range: (f64, f64)) -> Result<f64, ScenarioError> {
        let word = self.word(what)?;
        let value = word.trim_start_matches('+').parse::<f64>().ok().filter(|value| value.is_finite());
        match value {
            Some(value) if (range.0..=range.1).contains(&value) => Ok(value),
            Some(_) => Err(self.error_before(format!("{what} goes from {} to {}", range.0, range.1))),
            None => Err(self.error_before(format!("{what} is expected here, as a number"))),
        }
    }

    pub(super) fn whole(&mut self, what: &str, range: (u64, u64)) -> Result<u64, ScenarioError> {
        let word = self.word(what)?;
        match word.trim_start_matches('+').parse::<u64>() {
            Ok(value) if (range.0..=range.1).contains(&value) => Ok(value),
            Ok(_) => Err(self.error_before(format!("{what} goes from {} to {}", range.0, range.1))),
            Err(_) => Err(self.error_before(format!("{what} is expected here, as a whole number"))),
        }
    }

    /// A share such as `12.5%`, as 0 to 1.
    pub(super) fn percent(&mut self) -> Result<f64, ScenarioError> {
        let word = self.word("a share such as 12%")?;
        let value = word.strip_suffix('%').and_then(|digits| digits.parse::<f64>().ok());
        match value {
            Some(value) if (0.0..=100.0).contains(&value) => Ok(value / 100.0),
            _ => Err(self.error_before("a share from 0% to 100% is expected here")),
        }
    }

    /// A length such as `40 minutes`, in whole minutes.
    pub(super) fn minutes(&mut self, minutes_max: u64) -> Result<u32, ScenarioError> {
        let count = self.whole("a length such as `40 minutes`", (0, minutes_max))?;
        let unit = self.word("`minutes`, `hours` or `days`")?;
        let each = match unit {
            "minute" | "minutes" => 1,
            "hour" | "hours" => 60,
            "day" | "days" => 1440,
            _ => return Err(self.unknown("a unit of time", unit, ["minutes", "hours", "days"])),
        };
        let total = count * each;
        if total > minutes_max {
            return Err(self.error_before(format!("this may last {minutes_max} minutes at most")));
        }
        Ok(total as u32)
    }

    /// A whole minute: `2025-03-10T10:02Z`, or `10:02`, the first such time from `start` on.
    pub(super) fn time(&mut self, start: Option<UtcTime>) -> Result<UtcTime, ScenarioError> {
        let word = self.word("a time such as 10:02")?;
        let found = match start {
            Some(start) if word.len() == 5 => clock(word).map(|minutes| {
                let first = start.minute().0;
                let ahead = (i64::from(minutes) - i64::from(first % 1440)).rem_euclid(1440);
                start.plus_seconds(ahead * 60)
            }),
            _ => instant(word),
        };
        found.ok_or_else(|| self.error_before("a time such as 10:02 or 2025-03-10T10:02Z is expected here"))
    }
}

/// Minutes since midnight.
pub(super) fn clock(word: &str) -> Option<u32> {
    let (hours, minutes) = word.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn instant(word: &str) -> Option<UtcTime> {
    let at: UtcTime = match word.strip_suffix('Z') {
        // Without seconds, as people write it.
        Some(rest) if rest.len() == 16 => format!("{rest}:00Z").parse().ok()?,
        _ => word.parse().ok()?,
    };
    let in_range = at.millis() >= 0 && at < UtcTime::MAX && at.millis() % 60_000 == 0;
    in_range.then_some(at)
}
