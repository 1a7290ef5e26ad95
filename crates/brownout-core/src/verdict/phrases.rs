//! Parts of sentences: figures, times and lists.

use crate::model::UtcTime;

/// "09:45 UTC", with the date when it is not the day of `today`.
pub(super) fn clock(at: UtcTime, today: UtcTime) -> String {
    let (text, day) = (at.to_string(), today.to_string());
    let time = text.get(11..16).unwrap_or("?");
    if text.get(..10) == day.get(..10) {
        format!("{time} UTC")
    } else {
        format!("{time} UTC on {}", text.get(..10).unwrap_or("?"))
    }
}

/// "09:45 UTC on 2025-03-10"
pub(super) fn clock_of(at: UtcTime) -> String {
    clock(at, UtcTime::default())
}

pub(super) fn reports(count: u32) -> String {
    counted(count, "report", "reports")
}

pub(super) fn counted(count: u32, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{} {many}", grouped(count)),
    }
}

pub(super) fn about(expected: f32) -> String {
    if expected < 0.95 {
        "fewer than one is".to_owned()
    } else if expected < 1.5 {
        "about 1 is".to_owned()
    } else {
        format!("about {} are", grouped(expected.round() as u32))
    }
}

pub(super) fn rarity(years: f64) -> String {
    if years >= 1000.0 {
        "less than once in a thousand years".to_owned()
    } else if years >= 2.0 {
        format!("about once in {years:.0} years")
    } else {
        format!("about {:.0} times a year", (1.0 / years.max(1e-3)).max(1.0))
    }
}

/// A number with commas between thousands.
pub fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
