//! Real measurements of many years: each is read, or refused with a reason; and what is written is read again
//! as the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use brownout_core::reach::{Fingerprints, Vantage, analyse, flags};
use brownout_formats::ooni::{Refusal, read, write};

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn files(folder: &str) -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ooni").join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skip: {} is not there", folder.display());
        return None;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| !file.to_string_lossy().ends_with(".analysis.json"));
    files.sort();
    Some(files)
}

#[test]
fn every_real_measurement_is_read_or_refused_with_a_reason() {
    let Some(files) = files("real") else { return };
    let mut refused: BTreeMap<Refusal, Vec<String>> = BTreeMap::new();
    let mut read_count = 0;
    for file in &files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        match read(&std::fs::read(file).expect("a file")) {
            Ok(measurement) => {
                read_count += 1;
                let analysis = analyse(&measurement, &Fingerprints::default());
                println!(
                    "{name}: {} {} {:?}",
                    analysis.state.word(),
                    analysis.mechanism.map_or("-", |mechanism| mechanism.word()),
                    analysis.decided_by.map(|by| by.rule.id)
                );
            }
            Err(refusal) => refused.entry(refusal).or_default().push(name),
        }
    }
    println!("{read_count} read, refused: {refused:#?}");
    assert_eq!(read_count + refused.values().map(Vec::len).sum::<usize>(), files.len());
    assert!(!refused.contains_key(&Refusal::NotJson) && !refused.contains_key(&Refusal::NoTarget));
}

#[test]
fn what_is_written_is_read_again_as_the_same() {
    for folder in ["wc05-qa", "real"] {
        for file in files(folder).unwrap_or_default() {
            let Ok(measurement) = read(&std::fs::read(&file).expect("a file")) else { continue };
            let written = write(&measurement);
            assert!(!written.contains('\n'));
            let again = read(written.as_bytes()).expect("a measurement");
            assert_eq!(again.run.lookups, measurement.run.lookups, "{}", file.display());
            assert_eq!(again.run.connects, measurement.run.connects, "{}", file.display());
            let vantage = Vantage { id: None, ..measurement.vantage.clone() };
            assert_eq!(again.vantage, vantage, "{}", file.display());
            assert_eq!(flags(&again), flags(&measurement), "{}", file.display());
            let judged = |measurement| analyse(measurement, &Fingerprints::default());
            assert_eq!(judged(&again).state, judged(&measurement).state, "{}", file.display());
        }
    }
}
