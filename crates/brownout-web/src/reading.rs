//! Every page can be read: by eyes that see little contrast, by ears, by keyboard, and on paper.

use std::collections::{BTreeMap, BTreeSet};

use brownout_core::model::UtcTime;

use crate::assets::ASSETS;
use crate::tests::{PAGES, plain, text};

/// The start tags of a page in order, each with its attributes.
fn tags(html: &str) -> Vec<(&str, BTreeMap<&str, &str>)> {
    let mut found = Vec::new();
    for piece in html.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap_or("").trim_end_matches('/');
        if tag.starts_with(['/', '!']) {
            continue;
        }
        let (name, mut rest) = tag.split_once([' ', '\n']).unwrap_or((tag, ""));
        let mut attributes = BTreeMap::new();
        while let Some(start) = rest.find(|letter: char| !letter.is_whitespace()) {
            rest = &rest[start..];
            let end = rest.find(['=', ' ', '\n']).unwrap_or(rest.len());
            let name = &rest[..end];
            rest = &rest[end..];
            let mut value = "";
            if let Some(quoted) = rest.strip_prefix("=\"") {
                let end = quoted.find('"').unwrap_or(quoted.len());
                value = &quoted[..end];
                rest = quoted.get(end + 1..).unwrap_or("");
            }
            attributes.insert(name, value);
        }
        found.push((name, attributes));
    }
    found
}

#[tokio::test]
async fn every_page_has_a_language_a_title_one_heading_and_an_order() {
    let app = plain();
    let mut titles = BTreeSet::new();
    for path in PAGES {
        let html = text(&app, path).await;
        let tags = tags(&html);
        let count = |name: &str| tags.iter().filter(|tag| tag.0 == name).count();
        assert!(html.contains(r#"<html lang="en" dir="ltr">"#), "{path}");
        assert_eq!((count("h1"), count("main"), count("nav")), (1, 1, 1), "{path}");
        let title = html.split("<title>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("");
        assert!(title.len() > 5, "{path}: {title:?}");
        titles.insert(title.to_owned());
        let mut level = 1;
        for (name, _) in &tags {
            let Some(next) = name.strip_prefix('h').and_then(|digit| digit.parse::<u8>().ok()) else {
                continue;
            };
            assert!(next <= level + 1, "{path}: from h{level} to h{next}");
            level = next;
        }
        let first = tags.iter().find(|tag| ["a", "button", "input"].contains(&tag.0)).expect("a first stop");
        assert_eq!(first.1.get("href"), Some(&"#main"), "{path}: the first stop leads past what repeats");
        assert!(tags.iter().all(|tag| tag.1.get("tabindex").is_none_or(|at| *at == "-1")), "{path}");
    }
    assert!(titles.len() > 10, "pages can be told apart by their titles: {titles:?}");
}

#[tokio::test]
async fn controls_have_labels_pictures_words_and_parts_names() {
    let app = plain();
    for path in PAGES {
        let html = text(&app, path).await;
        let tags = tags(&html);
        let all: Vec<&str> = tags.iter().filter_map(|tag| tag.1.get("id").copied()).collect();
        let ids: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), ids.len(), "{path}: an id stands twice");
        let labelled: BTreeSet<&str> =
            tags.iter().filter(|tag| tag.0 == "label").filter_map(|tag| tag.1.get("for").copied()).collect();
        for (name, attributes) in &tags {
            let get = |key: &str| attributes.get(key).copied();
            if let Some(part) = get("aria-labelledby") {
                assert!(ids.contains(part), "{path}: nothing is called {part}");
            }
            match *name {
                // A choice stands inside its label, which the next check sees to.
                "input" if matches!(get("type"), Some("hidden" | "radio")) => {}
                "input" | "select" | "textarea" => {
                    assert!(get("id").is_some_and(|id| labelled.contains(id)), "{path}: {attributes:?}");
                }
                "img" => assert!(get("alt").is_some() && get("width").is_some(), "{path}: {attributes:?}"),
                // A drawing within a drawing is read out with it.
                "svg" if get("x").is_some() => {}
                "svg" => assert!(
                    get("aria-hidden").is_some() || get("aria-label").is_some_and(|words| !words.is_empty()),
                    "{path}: {attributes:?}"
                ),
                "th" => assert!(get("scope").is_some(), "{path}"),
                "time" => {
                    let at = get("datetime").and_then(|at| at.parse::<UtcTime>().ok());
                    assert!(at.is_some(), "{path}: {attributes:?}");
                }
                _ => {}
            }
        }
        assert_eq!(
            html.matches(r#"type="radio""#).count(),
            html.matches(r#"<label class="choice"><input type="radio""#).count(),
            "{path}: a choice without a label"
        );
    }
}

#[tokio::test]
async fn beside_every_chart_stands_its_table() {
    let app = plain();
    let mut charts = 0;
    for path in PAGES {
        let html = text(&app, path).await;
        for chart in html.split(r#"<svg class="chart""#).skip(1) {
            charts += 1;
            assert!(chart.contains(r#"<details id="numbers">"#) && chart.contains("<table>"), "{path}");
        }
    }
    assert!(charts > 5, "{charts}");
}

#[tokio::test]
async fn an_incident_of_hundreds_of_lines_shows_the_whole_and_countries_first() {
    let mut large = crate::fixtures::snapshot();
    let mut incident = (*large.incidents[0]).clone();
    let city = incident
        .scopes
        .iter()
        .find(|scope| matches!(scope.facet, brownout_core::model::Facet::City(_)))
        .cloned()
        .unwrap_or_else(|| {
            let mut scope = incident.scopes[0].clone();
            scope.facet = brownout_core::model::Facet::City(
                brownout_core::model::CityId::new(1_172_451).expect("a number"),
            );
            scope
        });
    let line = brownout_core::snapshot::TimelineEntry { facet: city.facet, ..incident.timeline[0].clone() };
    incident.scopes.extend(std::iter::repeat_n(city, 100));
    incident.timeline.extend(std::iter::repeat_n(line, 500));
    let name = format!("/i/{}", incident.id.name("x"));
    large.incidents[0] = std::sync::Arc::new(incident);
    let site = crate::fixtures::site(large, crate::SiteOptions::default(), 0);
    let html = text(&crate::router(site), &name).await;
    let (open, folded) = html.split_once(r#"<details id="timeline-cities">"#).expect("cities are folded");
    let open = open.split(r#"id="timeline""#).nth(1).expect("a timeline");
    assert!(open.matches("<li").count() < 50, "{}", open.matches("<li").count());
    assert!(folded.contains("<summary>Cities (50"), "the count is said");
    let extent = html.split(r#"id="scopes""#).nth(1).and_then(|rest| rest.split("<details").next());
    assert!(extent.is_some_and(|rows| rows.contains("Worldwide") && rows.matches("<tr>").count() <= 11));
}

/// Colours of the style by name, in light or dark.
fn palette(dark: bool) -> BTreeMap<String, [f64; 3]> {
    let style = std::str::from_utf8(&ASSETS.style.plain).expect("text");
    let (light, rest) = style.split_once('}').expect("a palette");
    let night = rest.split_once("prefers-color-scheme:dark").expect("a dark one").1;
    let night = night.split_once('}').expect("an end").0;
    let mut colours = BTreeMap::new();
    for text in [light, night].into_iter().take(1 + usize::from(dark)) {
        for entry in text.split([';', '{']) {
            let Some((name, value)) =
                entry.trim().strip_prefix("--").and_then(|entry| entry.split_once(":#"))
            else {
                continue;
            };
            let digits: String = match value.len() {
                3 => value.chars().flat_map(|digit| [digit, digit]).collect(),
                _ => value.chars().take(6).collect(),
            };
            let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("a colour");
            colours.insert(name.to_owned(), [part(0), part(2), part(4)].map(|part| f64::from(part) / 255.0));
        }
    }
    colours
}

/// Contrast of two colours, WCAG 2.2.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
    let light = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (a, b) = (light(a), light(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn words_and_shapes_stand_out_by_day_and_by_night() {
    const WORDS: &[(&str, &str)] = &[
        ("ink", "bg"),
        ("ink", "card"),
        ("soft", "bg"),
        ("soft", "card"),
        ("link", "bg"),
        ("link", "card"),
        ("link", "warn"),
        ("warn-ink", "warn"),
        ("on-accent", "accent"),
        ("replay-ink", "replay"),
    ];
    // The half circle of "possible" has an outline of ink, and a coloured country one too; the usual
    // band is carried by its median.
    const SHAPES: &[(&str, &str)] = &[
        ("bar", "card"),
        ("bar", "bg"),
        ("median", "card"),
        ("median", "band"),
        ("soft", "band"),
        ("confirmed", "card"),
        ("ended", "card"),
        ("calm", "card"),
        ("calm", "bg"),
        ("hatch", "card"),
        ("hatch", "bg"),
    ];
    for dark in [false, true] {
        let colours = palette(dark);
        for (pairs, least) in [(WORDS, 4.5), (SHAPES, 3.0)] {
            for (over, under) in pairs {
                let ratio = contrast(colours[*over], colours[*under]);
                assert!(ratio >= least, "dark: {dark}, {over} on {under}: {ratio:.2}");
            }
        }
    }
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
}
