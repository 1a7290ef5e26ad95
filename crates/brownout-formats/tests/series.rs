//! Scored rows of one network through a block.

use std::path::Path;

use brownout_core::model::UtcTime;
use brownout_core::reach::{Bracket, Cell, Change, Gap, Reachability, Volume};

fn time(text: &str) -> UtcTime {
    let text = text.split('.').next().unwrap_or(text).replace(' ', "T");
    format!("{text}Z").parse().expect("a time")
}

#[test]
fn a_block_with_a_gap_in_its_onset_is_told_as_two_changes_and_one_gap() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/ooni/series/twitter-as20294-uganda.csv");
    if !file.is_file() {
        println!("skip: {} is not there", file.display());
        return;
    }
    let mut rows = csv::Reader::from_path(file).expect("rows");
    let names = rows.headers().expect("names").clone();
    let place = |name: &str| names.iter().position(|known| known == name).expect("a column");
    let (at, tcp, tls) = (place("measurement_start_time"), place("tcp_blocked"), place("tls_blocked"));
    let (dns, tcp_ok, tls_ok) = (place("dns_blocked"), place("tcp_ok"), place("tls_ok"));
    let (mut cell, mut volume) = (Cell::default(), Volume::default());
    let mut gaps: Vec<Gap> = Vec::new();
    let mut looks_since = Vec::new();
    let mut before: Option<UtcTime> = None;
    for row in rows.records() {
        let row = row.expect("a row");
        let part = |place: usize| row[place].parse::<f64>().unwrap_or(0.0);
        let at = time(&row[at]);
        let is_ok = part(tcp_ok) > 0.5 && part(tls_ok) > 0.5;
        let is_hit = !is_ok && [tcp, tls, dns].into_iter().any(|place| part(place) > 0.5);
        // Time passes between the rows.
        let mut now = before.unwrap_or(at);
        while now < at {
            gaps.extend(volume.pass(now));
            now = now.plus_seconds(3600);
        }
        before = Some(at);
        volume.look(at);
        if is_ok || is_hit {
            looks_since.push((at, is_hit));
            let state = if is_hit { Reachability::Blocked } else { Reachability::Ok };
            cell.look(at, None, state, None);
        }
    }
    let changes: Vec<Change> = cell.changes().iter().map(|(_, change)| *change).collect();
    for change in &changes {
        let Bracket { earliest, likeliest, latest } = change.bracket;
        println!(
            "{} told {} [{earliest}, {likeliest}, {latest}] {} of {}",
            change.begins, change.told_at, change.hits, change.looks
        );
    }
    for gap in &gaps {
        println!("gap from {} told {} due {:.0}", gap.from, gap.told_at, gap.due);
    }
    let [begins, ends] = changes[..] else { panic!("{changes:#?}") };
    assert!(begins.begins && !ends.begins);
    assert!(begins.bracket.earliest < time("2026-01-14 00:00:00"), "{begins:?}");
    assert!(begins.bracket.latest >= time("2026-01-17 00:00:00"), "{begins:?}");
    let informative =
        looks_since.iter().filter(|(at, _)| *at >= time("2026-01-18 05:46:00") && *at <= begins.told_at);
    assert!(informative.count() <= 5, "{begins:?}");
    assert!(ends.bracket.earliest >= time("2026-01-22 00:00:00"), "{ends:?}");
    assert!(ends.bracket.latest <= time("2026-01-24 23:59:00"), "{ends:?}");
    let [gap] = gaps[..] else { panic!("{gaps:#?}") };
    assert!(gap.from < time("2026-01-14 00:00:00") && gap.told_at < time("2026-01-17 00:00:00"), "{gap:?}");
}
