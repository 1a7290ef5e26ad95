//! The player keeps to the scenario: exact anchors, the same bytes for the same seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brownout_core::model::UtcTime;
use brownout_lab::{Pace, Player, Scenario, Step};
use proptest::prelude::*;

fn shipped(name: &str) -> Arc<Scenario> {
    Arc::new(Scenario::parse(brownout_lab::find(name).expect("shipped")).expect("it parses"))
}

fn play(scenario: &Arc<Scenario>, seed: Option<u64>) -> Vec<Step> {
    Player::new(Arc::clone(scenario), seed, Pace::default()).collect()
}

/// The value of a text or number field of one line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!("\"{name}\":"))? + name.len() + 3;
    let rest = &line[start..];
    let end = rest.find([',', '}'])?;
    Some(rest[..end].trim_matches('"'))
}

/// New sources per (country, minute); a source counts where it is first seen.
fn new_sources(steps: &[Step]) -> BTreeMap<(String, u32), u32> {
    let mut seen = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for step in steps {
        for line in std::str::from_utf8(&step.body).expect("UTF-8").lines() {
            let at: UtcTime = field(line, "at").expect("at").parse().expect("a time");
            if seen.insert(field(line, "source").expect("source").to_owned()) {
                let country = field(line, "country").unwrap_or("world").to_owned();
                *counts.entry((country, at.minute().0)).or_default() += 1;
            }
        }
    }
    counts
}

fn trailing(counts: &BTreeMap<(String, u32), u32>, country: &str, at: UtcTime) -> u32 {
    let until = at.minute().0;
    (until - 15..until).filter_map(|minute| counts.get(&(country.to_owned(), minute))).sum()
}

#[test]
fn the_reference_incident_meets_every_figure() {
    let scenario = shipped("x-2025-03-10");
    let steps = play(&scenario, None);
    let counts = new_sources(&steps);
    assert!(!scenario.anchors.is_empty());
    for anchor in &scenario.anchors {
        let country = anchor.scope.country.expect("a country").to_string();
        assert_eq!(trailing(&counts, &country, anchor.at), anchor.sources, "{} {country}", anchor.at);
    }
    for (country, time) in [
        ("US", "10:00"),
        ("US", "14:00"),
        ("US", "15:30"),
        ("US", "16:35"),
        ("GB", "10:00"),
        ("PK", "10:02"),
        ("PK", "16:32"),
    ] {
        let at: UtcTime = format!("2025-03-10T{time}:00Z").parse().expect("a time");
        let peak = trailing(&counts, country, at);
        for minutes in (-15..=15).filter(|minutes| *minutes != 0) {
            let beside = trailing(&counts, country, at.plus_seconds(minutes * 60));
            assert!(beside < peak, "{country} {time}: {beside} is not below {peak} at {minutes} minutes");
        }
    }
    let lines: u32 = steps.iter().map(|step| step.lines).sum();
    assert!((600_000..2_000_000).contains(&lines), "{lines}");
}

#[test]
fn the_reference_incident_carries_the_published_figures() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/x-2025-03-10.csv");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: {path} is not there");
        return;
    };
    let scenario = shipped("x-2025-03-10");
    let mut checked = 0;
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[1] != "reports" {
            continue;
        }
        let at: UtcTime = cells[0].replace('Z', ":00Z").parse().expect("a time");
        let country = if cells[2] == "UK" { "GB" } else { cells[2] };
        let documented = line.ends_with('1');
        let found = scenario.anchors.iter().find(|anchor| {
            anchor.at == at && anchor.scope.country.is_some_and(|known| known.as_str() == country)
        });
        let found = found.unwrap_or_else(|| panic!("no anchor for {line}"));
        assert_eq!(found.sources.to_string(), cells[3], "{line}");
        assert_eq!(found.mark == brownout_lab::Mark::Documented, documented, "{line}");
        checked += 1;
    }
    assert_eq!(checked, 21);
}

#[test]
fn the_same_seed_gives_the_same_bytes_at_any_pace() {
    let scenario = shipped("flash");
    let once = play(&scenario, Some(7));
    assert_eq!(once, play(&scenario, Some(7)));
    assert_ne!(once, play(&scenario, Some(8)));
    let bytes = |steps: &[Step]| steps.iter().flat_map(|step| step.body.clone()).collect::<Vec<u8>>();
    let fine = Pace { step_seconds: 10, warm_up_step_seconds: 60 };
    let finer: Vec<Step> = Player::new(Arc::clone(&scenario), Some(7), fine).collect();
    assert!(finer.len() > once.len());
    assert_eq!(bytes(&once), bytes(&finer));
}

#[test]
fn steps_move_forward_and_hold_what_came_before_their_clock() {
    let scenario = shipped("flash");
    let pace = Pace { step_seconds: 10, warm_up_step_seconds: 600 };
    let mut before = scenario.plays_from();
    for step in Player::new(Arc::clone(&scenario), None, pace) {
        assert!(step.clock > before);
        let lines: Vec<&str> = std::str::from_utf8(&step.body).expect("UTF-8").lines().collect();
        assert_eq!(lines.len(), step.lines as usize);
        let mut last = before;
        for line in lines {
            let at: UtcTime = field(line, "at").expect("at").parse().expect("a time");
            assert!(at >= last && at < step.clock, "{line}");
            last = at;
        }
        before = step.clock;
    }
    assert_eq!(before, scenario.end);
}

#[test]
fn no_subnet_holds_more_than_three_sources() {
    let mut subnets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in play(&shipped("flash"), None) {
        for line in std::str::from_utf8(&step.body).expect("UTF-8").lines() {
            let name = |key| field(line, key).expect("both keys").to_owned();
            subnets.entry(name("subnet")).or_default().insert(name("source"));
        }
    }
    assert!(subnets.values().all(|sources| sources.len() <= 3));
    let sources: usize = subnets.values().map(BTreeSet::len).sum();
    let mean = sources as f64 / subnets.len() as f64;
    assert!((1.4..1.6).contains(&mean), "{mean}");
}

#[test]
fn page_views_and_channels_come_beside_the_reports() {
    let text = "title \"t\"\nstart 2025-01-01T00:00Z\nend 2025-01-01T02:00Z\nservice a social \"A\"\n\
                channel form 50%\nchannel partner 50%\npage-views a 3 per report\nanchor 01:00 a PK 900 synthetic\n";
    let steps = play(&Arc::new(Scenario::parse(text).expect("it parses")), None);
    let until: UtcTime = "2025-01-01T01:00:00Z".parse().expect("a time");
    let (mut reports, mut views) = (BTreeMap::<String, u32>::new(), 0);
    for step in steps.iter().filter(|step| step.clock <= until) {
        for line in std::str::from_utf8(&step.body).expect("UTF-8").lines() {
            assert_eq!(field(line, "country"), Some("PK"));
            *reports.entry(step.channel.to_string()).or_default() += 1;
        }
        views += step.page_views.iter().map(|views| views.count).sum::<u32>();
    }
    assert_eq!(views, 2700);
    assert_eq!(reports.values().sum::<u32>(), 900);
    assert!((380..520).contains(&reports["form"]), "{reports:?}");
}

#[test]
fn silence_loses_everything_and_the_clock_goes_on() {
    let scenario = shipped("collector-dies");
    let (from, to): (UtcTime, UtcTime) =
        ("2025-01-15T14:00:00Z".parse().expect("a time"), "2025-01-15T14:30:00Z".parse().expect("a time"));
    let steps = play(&scenario, None);
    let silent: Vec<&Step> = steps.iter().filter(|step| step.clock > from && step.clock <= to).collect();
    assert_eq!(silent.len(), 30);
    assert!(silent.iter().all(|step| step.lines == 0));
    assert!(steps.iter().filter(|step| step.clock > to).any(|step| step.lines > 0));
}

#[test]
fn a_brigade_is_one_subnet_with_all_of_its_reports() {
    let mut subnets: BTreeMap<String, u32> = BTreeMap::new();
    for step in play(&shipped("brigade"), None) {
        for line in std::str::from_utf8(&step.body).expect("UTF-8").lines() {
            *subnets.entry(field(line, "subnet").expect("a subnet").to_owned()).or_default() += 1;
        }
    }
    assert_eq!(subnets.values().max(), Some(&500));
    assert_eq!(subnets.values().filter(|count| **count > 3).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn anchors_are_met_through_the_player(
        steps in prop::collection::vec((15_u32..90, 0_u32..3000), 1..6), seed: u64, repeats in 0_u32..50,
    ) {
        let mut text = format!(
            "title \"t\"\nstart 2025-01-01T00:00Z\nend 2025-01-02T00:00Z\nservice a social \"A\"\n\
             repeats {repeats}%\nbaseline a PK 30 per hour dispersion 3\n"
        );
        let mut minute = 0;
        for (gap, sources) in &steps {
            minute += gap;
            text += &format!("anchor {:02}:{:02} a PK {sources} synthetic\n", minute / 60, minute % 60);
        }
        let scenario = Arc::new(Scenario::parse(&text).expect("it parses"));
        let counts = new_sources(&play(&scenario, Some(seed)));
        for anchor in &scenario.anchors {
            prop_assert_eq!(trailing(&counts, "PK", anchor.at), anchor.sources);
        }
    }
}
