use std::fs;
use std::path::Path;
use std::process::Command;

use brownout_core::model::{Catalogue, Category, Evidence, Seq, Service, ServiceId};

use super::support::*;
use crate::embedded::sealed::check_body;
use crate::embedded::{EmbeddedStore, Options, Retention, cat, stats, verify};
use crate::port::{Checkpoint, Checkpoints, EvidenceLog, StoreError};

fn catalogue() -> Catalogue {
    let service = |id: u32, slug: &str| Service::new(ServiceId(id), slug, slug, Category::Social);
    Catalogue::new(vec![service(0, "zulu"), service(1, "yankee"), service(2, "x")]).expect("a catalogue")
}

/// A folder with `count` records in several sealed segments and an open one.
fn filled(root: &Path, count: u64) -> EmbeddedStore {
    let options = Options { rolling: small(), ..Options::default() };
    let mut store = EmbeddedStore::open(root, options, at(0)).expect("opens");
    store.log.append(at(0), &[vec![Evidence::Catalogue(Box::new(catalogue()))]]).expect("appended");
    for number in 0..count / 10 {
        store.log.append(at(number as i64), &[batch(number * 10, 10)]).expect("appended");
    }
    store
}

fn checkpoint(seq: u64) -> Checkpoint {
    Checkpoint { seq: Seq(seq), engine: "e".to_owned(), policy: "p".to_owned(), state: vec![1, 2, 3] }
}

#[test]
fn sealing_changes_the_form_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = filled(folder.path(), 500);
    let before = records(&store.log);
    let sealed = store.maintenance.seal().expect("sealed");
    assert!(sealed.len() > 5);
    assert_eq!(store.maintenance.seal().expect("nothing to do"), []);
    assert_eq!(records(&store.log), before);
    let mid: Vec<u64> =
        store.log.read(Seq(77)).expect("readable").map(|it| it.expect("whole").seq.0).collect();
    assert_eq!(mid, (77..=501).collect::<Vec<_>>());
    store.log.append(at(10_000), &[batch(0, 1)]).expect("goes on");
    drop(store);
    let store = EmbeddedStore::open(folder.path(), Options::default(), at(0)).expect("opens");
    assert_eq!(records(&store.log).len(), 502);
    let report = verify(folder.path()).expect("readable");
    assert!(report.is_sound() && report.records == 502, "{report:?}");
    let found = stats(folder.path()).expect("readable");
    assert_eq!((found.sealed_segments, found.open_segments), (sealed.len() as u64, 1));
    assert_eq!(cat(folder.path(), Seq(5), Seq(9)).expect("readable").count(), 5);
}

#[test]
fn an_interrupted_sealing_is_done_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::default();
    let mut store = EmbeddedStore::open(folder.path(), options, at(0)).expect("opens");
    store.log.append(at(1), &[batch(0, 30)]).expect("appended");
    store.log.roll();
    let path = folder.path().join("log/00000000000000000001.seg");
    let frames = fs::read(&path).expect("there");
    store.maintenance.seal().expect("sealed");
    drop(store);
    fs::write(&path, frames).expect("as if the frames had not been removed");
    let mut store = EmbeddedStore::open(folder.path(), options, at(0)).expect("opens");
    assert_eq!(store.log.append(at(2), &[batch(30, 5)]).expect("appended")[0].first_seq, Seq(31));
    store.log.roll();
    store.maintenance.seal().expect("sealed");
    let found: Vec<Evidence> = records(&store.log).into_iter().map(|record| record.evidence).collect();
    assert_eq!(found, batch(0, 35));
    assert_eq!(stats(folder.path()).expect("readable").sealed_segments, 1);
    assert!(verify(folder.path()).expect("readable").is_sound());
}

#[test]
fn time_goes_on_after_everything_is_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = filled(folder.path(), 100);
    store.log.roll();
    store.maintenance.seal().expect("sealed");
    drop(store);
    assert!(
        fs::read_dir(folder.path().join("log"))
            .expect("there")
            .all(|it| { it.expect("there").path().extension().is_none_or(|extension| extension != "seg") })
    );
    let mut store = EmbeddedStore::open(folder.path(), Options::default(), at(0)).expect("opens");
    let appended = store.log.append(at(-500), &[batch(0, 1)]).expect("appended");
    assert_eq!((appended[0].first_seq, appended[0].received_at), (Seq(102), at(9)));
}

#[test]
fn damage_in_a_segment_is_sealed_as_a_gap_that_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = filled(folder.path(), 200);
    drop(store);
    let path = folder.path().join("log/00000000000000000001.seg");
    let mut bytes = fs::read(&path).expect("there");
    let end = bytes.len() - 10;
    bytes[end] ^= 1;
    fs::write(&path, &bytes).expect("written");
    let store = EmbeddedStore::open(folder.path(), Options::default(), at(0)).expect("opens");
    let before: Vec<String> = read_all(&store.log).iter().map(|it| format!("{it:?}")).collect();
    store.maintenance.seal().expect("sealed");
    let after: Vec<String> = read_all(&store.log).iter().map(|it| format!("{it:?}")).collect();
    assert_eq!(before, after);
    assert_eq!(after.iter().filter(|it| it.contains("are lost")).count(), 1);
    assert_eq!(verify(folder.path()).expect("readable").problems.len(), 1);
}

#[test]
fn a_damaged_sealed_segment_costs_itself_and_never_a_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = filled(folder.path(), 200);
    let sealed = store.maintenance.seal().expect("sealed");
    let name = format!("log/{:020}-{:020}.parquet", sealed[1].first.0, sealed[1].last.0);
    let path = folder.path().join(name);
    let whole = fs::read(&path).expect("there");
    let body = usize::try_from(check_body(&path).expect("whole")).expect("small");
    assert!(body > whole.len() / 4 && verify(folder.path()).expect("readable").is_sound());
    for at in (0..whole.len()).step_by(29) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, &bytes).expect("written");
        let read = read_all(&store.log);
        let good = read.iter().filter(|it| it.is_ok()).count() as u64;
        let lost = read.iter().filter(|it| it.is_err()).count();
        // A byte that means nothing to the rows may change without a loss.
        assert!(
            (good, lost) == (201 - sealed[1].records, 1) || (good, lost) == (201, 0),
            "{at}: {good} {lost}"
        );
        // Texts that only other tools read are looked at by whoever asks for it.
        assert!(at >= body || !verify(folder.path()).expect("readable").is_sound(), "{at} of {body}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    assert_eq!(read_all(&store.log).iter().filter(|it| it.is_err()).count(), 1);
    // The next start counts it, also when it is gone altogether.
    drop(store);
    let lost = || {
        EmbeddedStore::open(folder.path(), Options::default(), at(0))
            .expect("opens")
            .counters
            .lost_records
            .get()
    };
    assert_eq!(lost(), sealed[1].records);
    fs::remove_file(&path).expect("removed");
    assert_eq!(lost(), sealed[1].records);
}

#[test]
fn retention_waits_for_a_checkpoint_and_keeps_the_horizon() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = filled(folder.path(), 500);
    let sealed = store.maintenance.seal().expect("sealed");
    let all_but_two = Retention {
        bytes: Some(sealed[sealed.len() - 2..].iter().map(|it| it.bytes).sum()),
        ..Retention::default()
    };
    assert_eq!(store.maintenance.retain(at(0), &all_but_two).expect("nothing goes"), 0);
    assert_eq!(store.counters.retention_held.get(), 1);
    for seq in [20, sealed[2].last.0, sealed[2].last.0 + 5, 499, 500] {
        store.checkpoints.save(&checkpoint(seq)).expect("saved");
    }
    for seq in [499, 500] {
        let path = folder.path().join(format!("checkpoints/{seq:020}.ckpt"));
        let mut bytes = fs::read(&path).expect("there");
        bytes[25] ^= 1;
        fs::write(&path, &bytes).expect("written");
    }
    assert_eq!(store.maintenance.retain(at(0), &all_but_two).expect("three go"), 3);
    assert_eq!(store.log.first_seq(), sealed[3].first);
    assert!(matches!(store.log.read(Seq(1)), Err(StoreError::NotRetained(Seq(1)))));
    let newest = store.checkpoints.newest(Seq(u64::MAX)).expect("readable").expect("one");
    assert_eq!(newest.seq, Seq(sealed[2].last.0 + 5), "damaged ones are passed over");
    assert!(store.checkpoints.newest(sealed[2].last).expect("readable").is_some(), "the horizon is kept");
    assert!(!folder.path().join(format!("checkpoints/{:020}.ckpt", 20)).exists());
    for seq in [497, 498, 501] {
        store.checkpoints.save(&checkpoint(seq)).expect("saved");
    }
    let young = Retention { age_seconds: Some(1), ..Retention::default() };
    assert_eq!(store.maintenance.retain(at(1_000_000), &young).expect("all go") as usize, sealed.len() - 3);
    assert_eq!(verify(folder.path()).expect("readable").problems, Vec::<String>::new());
}

#[test]
fn other_tools_read_sealed_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = filled(folder.path(), 500);
    store.maintenance.seal().expect("sealed");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_sealed.py");
    let python = std::env::var("BROWNOUT_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python).arg(script).arg(folder.path().join("log")).output();
    let Ok(output) = output else {
        println!("skipped: no Python here");
        return;
    };
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(77) {
        println!("skipped: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
    println!("{said}");
}
