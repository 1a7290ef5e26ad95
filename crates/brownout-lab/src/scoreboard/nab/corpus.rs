//! The series and their labelled windows, read from a folder laid out as the benchmark's own.

use std::collections::BTreeMap;
use std::path::Path;

use brownout_core::model::UtcTime;

/// The part of a series that nobody is judged on, and the rows after which it ends at the latest.
const PROBATION_PART: f64 = 0.15;
const PROBATION_OF_ROWS_MAX: usize = 5000;

/// One series.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Folder and file.
    pub(super) name: String,
    pub(super) times: Vec<UtcTime>,
    pub(super) values: Vec<f64>,
    /// First and last row of every window, in order, none overlapping.
    pub(super) windows: Vec<(usize, usize)>,
}

impl Series {
    /// Rows at the beginning that are not judged.
    pub(super) fn probation(&self) -> usize {
        (PROBATION_PART * self.values.len().min(PROBATION_OF_ROWS_MAX) as f64) as usize
    }

    /// The folder that it is in, which says what it is about.
    pub(super) fn category(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

/// All series that `windows.json` names, sorted by name.
///
/// # Errors
/// In words: a file cannot be read, or a window does not begin and end at rows of its series.
pub(super) fn read(folder: &Path) -> Result<Vec<Series>, String> {
    let path = folder.join("windows.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let windows: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    windows
        .into_iter()
        .map(|(name, windows)| one(folder, &name, &windows).map_err(|error| format!("{name}: {error}")))
        .collect()
}

fn one(folder: &Path, name: &str, windows: &[(String, String)]) -> Result<Series, String> {
    let file = std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())?;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for line in file.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let row = line.split_once(',').and_then(|(at, value)| Some((time(at)?, value.trim().parse().ok()?)));
        let (at, value) = row.ok_or_else(|| format!("not a row: {line}"))?;
        times.push(at);
        values.push(value);
    }
    let row_at = |text: &str| {
        let row = time(text).and_then(|at| times.iter().position(|other| *other == at));
        row.ok_or_else(|| format!("a window at {text}, which is not a row"))
    };
    let windows = windows
        .iter()
        .map(|(first, last)| Ok((row_at(first)?, row_at(last)?)))
        .collect::<Result<Vec<_>, String>>()?;
    if windows.iter().any(|(first, last)| first > last) || windows.windows(2).any(|two| two[0].1 >= two[1].0)
    {
        return Err("windows that overlap".to_owned());
    }
    Ok(Series { name: name.to_owned(), times, values, windows })
}

/// `2014-04-10 07:15:00`, with or without a fraction, taken as UTC.
fn time(text: &str) -> Option<UtcTime> {
    format!("{}Z", text.trim().replacen(' ', "T", 1)).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_fraction() {
        let at = time("2014-04-10 07:15:00.000000");
        assert!(at.is_some() && at == time("2014-04-10 07:15:00"));
        assert_eq!(time("10 April"), None);
    }

    #[test]
    fn probation_ends_after_750_rows() {
        let series = |rows| Series {
            name: "a/b.csv".to_owned(),
            times: Vec::new(),
            values: vec![0.0; rows],
            windows: Vec::new(),
        };
        assert_eq!(series(4032).probation(), 604);
        assert_eq!(series(20_000).probation(), 750);
        assert_eq!(series(1).category(), "a");
    }
}
