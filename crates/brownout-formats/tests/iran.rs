//! Hourly connectivity of a country's provinces through a shutdown.

use std::collections::BTreeMap;
use std::path::Path;

use brownout_core::model::UtcTime;
use brownout_core::reach::Falls;

#[test]
fn a_national_shutdown_is_told_within_three_hours() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/reach/iran-2019/irn-2019-11-11_gif.csv");
    if !file.is_file() {
        println!("skip: {} is not there", file.display());
        return;
    }
    let mut rows = csv::Reader::from_path(file).expect("rows");
    let mut cities: BTreeMap<u32, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for row in rows.records() {
        let row = row.expect("a row");
        let (hour, value) = (row[5].parse::<u32>().expect("a time") / 3600, row[9].parse::<f64>());
        if let Ok(value) = value {
            cities.entry(hour).or_default().entry(row[2].to_owned()).or_default().push(value);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mut country, mut provinces) = (Falls::default(), BTreeMap::<String, Falls>::new());
    let (mut national, mut regional, mut under_half) = (Vec::new(), Vec::new(), None);
    for (hour, values) in &cities {
        let means: Vec<f64> = values.values().map(|values| mean(values)).collect();
        let level = mean(&means);
        if level < 50.0 && under_half.is_none() {
            under_half = Some(UtcTime::from_seconds(i64::from(*hour) * 3600));
        }
        national.extend(country.step(*hour, level));
        for (name, values) in values {
            let told = provinces.entry(name.clone()).or_default().step(*hour, mean(values));
            regional.extend(told.map(|told| (name.clone(), told)));
        }
    }
    let under_half = under_half.expect("a shutdown");
    for (name, fall) in regional.iter().filter(|(_, fall)| fall.told_at <= under_half) {
        println!("{name}: {} of {} told {}", fall.level, fall.usual, fall.told_at);
    }
    println!("{national:?}");
    let first = national.first().expect("a fall");
    assert!(
        first.begins && first.told_at.seconds() <= under_half.seconds() + 3 * 3600,
        "{first:?} {under_half}"
    );
    assert!(first.told_at.seconds() >= under_half.seconds() - 3 * 3600, "{first:?}");
    // Before the day of it, one: on the evening of the 15th two islands fell, Qeshm to a fifth of its hosts and
    // Kish to seven tenths, while the coast stayed whole. On the day itself those in which it began earlier.
    let early = |until: &str| -> Vec<&str> {
        let until: UtcTime = until.parse().expect("a time");
        let begins = regional.iter().filter(|(_, fall)| fall.begins && fall.told_at <= until);
        begins.map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(early("2019-11-16T00:00:00Z"), ["Hormozgan"]);
    assert_eq!(early("2019-11-16T21:00:00Z"), ["Hormozgan", "Khuzestan", "East Azarbaijan", "Fars"]);
}
