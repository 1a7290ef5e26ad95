//! The world map: one outline per country, coloured on an absolute scale.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use brownout_core::model::CountryCode;

use crate::chart::escape;

/// Outlines by country, from the data file.
static OUTLINES: LazyLock<BTreeMap<CountryCode, &'static str>> =
    LazyLock::new(|| parse(include_str!("../data/world.txt")));

/// Width and height of the drawing, as the data file's header says.
pub(crate) const WIDTH: u32 = 2000;
pub(crate) const HEIGHT: u32 = 870;

fn parse(text: &str) -> BTreeMap<CountryCode, &str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let (code, path) = line.split_once('\t')?;
            Some((code.parse().ok()?, path))
        })
        .collect()
}

/// The whole world without any colour, as a file of its own that browsers keep.
pub(crate) fn base() -> String {
    let mut out = String::with_capacity(60_000);
    let _ = write!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"><style>path{{fill:#e4e2dc;stroke:#fff;stroke-width:1.5}}@media(prefers-color-scheme:dark){{path{{fill:#2b323b;stroke:#12161c}}}}</style><path d=""##
    );
    for path in OUTLINES.values() {
        out.push_str(path);
    }
    out.push_str("\"/></svg>");
    out
}

/// One coloured country.
#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) country: CountryCode,
    pub(crate) href: String,
    /// Read out and shown on hover: plain text.
    pub(crate) label: String,
    /// Reports per million people who use the internet.
    pub(crate) rate: f64,
}

/// Bounds of the colour steps in reports per million internet users in 15 minutes. They never
/// change with what is shown, so that two maps can be compared.
pub(crate) const STEPS: [(f64, &str); 5] =
    [(0.0, "under 0.1"), (0.1, "0.1 to 1"), (1.0, "1 to 10"), (10.0, "10 to 100"), (100.0, "100 and more")];

/// The class of a rate's colour.
fn step(rate: f64) -> usize {
    STEPS.iter().rposition(|(from, _)| rate >= *from).unwrap_or(0)
}

/// The coloured countries, to be laid over [`base`].
pub(crate) fn overlay(spots: &[Spot], title: &str) -> String {
    let mut out = String::new();
    let _ =
        write!(out, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{}">"#, escape(title));
    for spot in spots {
        if let Some(path) = OUTLINES.get(&spot.country) {
            let _ = write!(
                out,
                r#"<a href="{}" tabindex="-1"><path class="m{}" d="{path}"><title>{}</title></path></a>"#,
                escape(&spot.href),
                step(spot.rate),
                escape(&spot.label)
            );
        }
    }
    out.push_str("</svg>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_knows_the_world() {
        assert!(OUTLINES.len() > 200, "{}", OUTLINES.len());
        for code in ["PK", "US", "GB", "BR", "ZA"] {
            assert!(OUTLINES.contains_key(&code.parse().expect("a code")), "{code}");
        }
        for path in OUTLINES.values() {
            assert!(
                path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" .-,".contains(&byte)),
                "{path}"
            );
        }
    }

    #[test]
    fn colours_do_not_depend_on_what_else_is_shown() {
        assert_eq!([0.0, 0.09, 0.1, 5.0, 99.0, 1e9].map(step), [0, 0, 1, 2, 3, 4]);
    }
}
