use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use brownout_core::model::{Evidence, Seq};
use proptest::prelude::*;

use super::support::*;
use crate::embedded::frame::{Content, FrameScan, Header, Scanned, push_frame};
use crate::embedded::log::Fail;
use crate::embedded::{EmbeddedLog, EncodedBatch, Rolling, wire};
use crate::port::{EvidenceLog, StoreError};

#[test]
fn what_was_appended_is_read_again_after_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = open(folder.path());
    let appended = log.append(at(0), &[batch(0, 30), vec![], batch(30, 12)]).expect("appended");
    let firsts: Vec<u64> = appended.iter().map(|it| it.first_seq.0).collect();
    assert_eq!(firsts, [1, 31, 31]);
    let mut encoded = [(at(1), EncodedBatch::encode(&batch(42, 5)).expect("encoded"))];
    assert_eq!(log.append_encoded(&mut encoded).expect("appended")[0].first_seq, Seq(43));
    drop(log);

    let log = open(folder.path());
    let found: Vec<Evidence> = records(&log).into_iter().map(|record| record.evidence).collect();
    assert_eq!(found, batch(0, 47));
    assert_eq!((log.last_seq(), log.last_received_at(), log.first_seq()), (Seq(47), Some(at(1)), Seq(1)));
    let tail: Vec<u64> = log.read(Seq(40)).expect("readable").map(|it| it.expect("whole").seq.0).collect();
    assert_eq!(tail, (40..=47).collect::<Vec<_>>());
}

#[test]
fn a_clock_set_back_does_not_set_the_log_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = open(folder.path());
    log.append(at(3600), &[batch(0, 1)]).expect("appended");
    let appended = log.append(at(0), &[batch(1, 1)]).expect("appended");
    assert_eq!(appended[0].received_at, at(3600));
    drop(log);
    let mut log = open(folder.path());
    assert_eq!(log.append(at(1), &[batch(2, 1)]).expect("appended")[0].received_at, at(3600));
}

#[test]
fn a_crash_at_any_byte_keeps_exactly_the_whole_batches() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = open(folder.path());
    let path = folder.path().join("00000000000000000001.seg");
    let mut ends = vec![(0, 0)];
    for number in 0..4 {
        log.append(at(number), &[batch(number as u64 * 2, 2)]).expect("appended");
    }
    drop(log);
    let whole = fs::read(&path).expect("there");
    let mut scan = FrameScan::new(&whole[..]);
    while let Some(Scanned::Frame { header, end, .. }) = scan.next_frame().expect("memory can be read") {
        ends.push((end as usize, header.last_seq().0));
    }
    assert_eq!(ends.last(), Some(&(whole.len(), 8)), "nothing but frames once it is closed");
    // Cut off, and cut off within room that was made before.
    let cuts =
        (0..=whole.len()).map(|cut| (cut, 0)).chain((0..=whole.len()).step_by(3).map(|cut| (cut, 700)));
    for (cut, room) in cuts {
        let left = [&whole[..cut], &vec![0; room]].concat();
        fs::write(&path, &left).expect("written");
        let mut log = open(folder.path());
        // A frame that ends in zeros may be whole without them.
        let is_kept = |end: usize| left.get(..end) == Some(&whole[..end]);
        let kept = ends.iter().rev().find(|(end, _)| is_kept(*end)).expect("the empty log at least");
        assert_eq!(log.last_seq(), Seq(kept.1), "cut at {cut}");
        assert_eq!(records(&log).len() as u64, kept.1, "cut at {cut}");
        assert_eq!(fs::metadata(&path).expect("there").len(), kept.0 as u64, "cut at {cut}");
        log.append(at(9), &[batch(90, 1)]).expect("goes on");
        assert_eq!(records(&log).len() as u64, kept.1 + 1, "cut at {cut}");
    }
}

/// A log whose segments are as large as an operator's.
fn large(folder: &Path) -> EmbeddedLog {
    let counters = std::sync::Arc::new(crate::counters::Counters::default());
    EmbeddedLog::open(folder, Rolling::default(), Seq(0), counters, None).expect("opens")
}

#[test]
fn room_is_made_ahead_and_is_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("00000000000000000001.seg");
    let mut log = large(folder.path());
    log.append(at(0), &[batch(0, 2)]).expect("appended");
    let room = fs::metadata(&path).expect("there").len();
    for number in 1..50 {
        log.append(at(number), &[batch(number as u64 * 2, 2)]).expect("appended");
    }
    assert_eq!(fs::metadata(&path).expect("there").len(), room, "fifty appends fit into it");
    // As a crash leaves it.
    let crashed = tempfile::tempdir().expect("a folder");
    fs::copy(&path, crashed.path().join("00000000000000000001.seg")).expect("copied");
    let counters = std::sync::Arc::new(crate::counters::Counters::default());
    let again = EmbeddedLog::open(crashed.path(), small(), Seq(0), counters.clone(), None).expect("opens");
    assert_eq!((again.last_seq(), counters.torn_bytes_cut.get()), (Seq(100), 0));
    log.append(at(60), &[batch(100, 5000)]).expect("appended");
    log.append(at(61), &[batch(5100, 1)]).expect("appended");
    assert_eq!(records(&log).len(), 5101, "beyond the room as well");
    drop(log);
    let frames = fs::read(&path).expect("there");
    let (_, other) = frames_of(&frames);
    assert_eq!(other, 0);
    assert!(frames.len() as u64 > room, "and what is left is given back");
    assert_eq!(large(folder.path()).last_seq(), Seq(5101));
}

#[test]
fn a_reader_that_read_ahead_sees_what_is_written_there_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = large(folder.path());
    log.append(at(0), &[batch(0, 2)]).expect("appended");
    log.append(at(0), &[batch(2, 2)]).expect("appended");
    let mut batches = log.reader().batches(Seq(1)).expect("readable");
    let mut next = || batches.next().map(|batch| batch.expect("whole").0.first_seq);
    assert_eq!(next(), Some(Seq(1)), "all of the room is in its buffer now");
    log.append(at(1), &[batch(4, 2)]).expect("appended");
    log.roll();
    log.append(at(2), &[batch(6, 2)]).expect("appended");
    assert_eq!([next(), next(), next(), next()], [Some(Seq(3)), Some(Seq(5)), Some(Seq(7)), None]);
}

#[test]
fn damage_in_the_middle_costs_its_batch_and_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = open(folder.path());
    let path = folder.path().join("00000000000000000001.seg");
    let mut ends = vec![0];
    for number in 0..3 {
        log.append(at(number), &[batch(number as u64 * 5, 5)]).expect("appended");
        ends.push(fs::metadata(&path).expect("there").len() as usize);
    }
    drop(log);
    let whole = fs::read(&path).expect("there");
    for byte in ends[1]..ends[2] {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0x10;
        fs::write(&path, &damaged).expect("written");
        let log = open(folder.path());
        assert_eq!(log.last_seq(), Seq(15));
        let read = read_all(&log);
        assert_eq!(read.iter().filter(|it| it.is_ok()).count(), 10);
        let errors: Vec<String> =
            read.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
        assert_eq!(errors, ["stored data are damaged: records 6 to 10 are lost"]);
    }
}

#[test]
fn a_failed_write_keeps_nothing_and_the_log_goes_on() {
    let failures = [
        (Fail::Write(ErrorKind::StorageFull), "storage is full"),
        (Fail::Write(ErrorKind::ReadOnlyFilesystem), "storage is read-only"),
        (Fail::Sync(ErrorKind::Other), "seg"),
        (Fail::Sync(ErrorKind::StorageFull), "storage is full"),
    ];
    for before in [0, 4] {
        for (fail, words) in failures {
            let folder = tempfile::tempdir().expect("a folder");
            let mut log = open(folder.path());
            log.append(at(0), &[batch(0, before)]).expect("appended");
            log.fail_next = Some(fail);
            let error = log.append(at(1), &[batch(50, 3)]).expect_err("fails");
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!((log.last_seq(), records(&log).len() as u64), (Seq(before), before));
            let appended = log.append(at(2), &[batch(60, 2)]).expect("goes on");
            assert_eq!(appended[0].first_seq, Seq(before + 1));
            drop(log);
            let log = open(folder.path());
            let found: Vec<_> = records(&log).into_iter().map(|record| record.evidence).collect();
            assert_eq!(found, [batch(0, before), batch(60, 2)].concat(), "{fail:?}");
        }
    }
}

#[test]
fn segments_roll_by_size_and_age_and_read_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = open_rolling(folder.path(), small());
    for number in 0..20 {
        log.append(at(number), &[batch(number as u64 * 10, 10)]).expect("appended");
    }
    assert!(fs::read_dir(folder.path()).expect("there").count() > 4);
    assert_eq!(records(&log).len(), 200);
    log.append(at(200_000), &[batch(200, 1)]).expect("appended");
    assert!(folder.path().join("00000000000000000201.seg").exists());
    drop(log);
    assert_eq!(records(&open(folder.path())).len(), 201);
}

#[test]
fn a_reader_sees_whole_durable_batches_while_the_writer_appends() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = open_rolling(folder.path(), small());
    let reader = log.reader();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(move || {
            let mut most = 0;
            while most < 600 {
                let found: Vec<_> =
                    reader.records(Seq(0)).expect("readable").map(|it| it.expect("whole").seq.0).collect();
                assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
                assert!(found.len() % 3 == 0 && found.len() >= most);
                most = found.len();
            }
        });
        for number in 0..200 {
            log.append(at(number), &[batch(number as u64, 3)]).expect("appended");
        }
        watcher.join().expect("no panic");
    });
}

#[test]
fn numbers_that_were_judged_are_never_given_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = open(folder.path());
    log.append(at(0), &[batch(0, 5)]).expect("appended");
    drop(log);
    let counters = std::sync::Arc::new(crate::counters::Counters::default());
    let mut log = crate::embedded::EmbeddedLog::open(folder.path(), small(), Seq(9), counters.clone(), None)
        .expect("opens");
    assert_eq!(counters.lost_records.get(), 4);
    assert_eq!(log.append(at(1), &[batch(5, 1)]).expect("appended")[0].first_seq, Seq(10));
    let read = read_all(&log);
    assert!(matches!(&read[5], Err(StoreError::Corrupt(what)) if what == "records 6 to 9 are lost"));
    assert_eq!(read.len(), 7);
}

fn frames_of(bytes: &[u8]) -> (Vec<(Header, Vec<u8>)>, u64) {
    let mut scan = FrameScan::new(bytes);
    let (mut frames, mut other) = (Vec::new(), 0);
    while let Some(scanned) = scan.next_frame().expect("memory can be read") {
        match scanned {
            Scanned::Frame { header, payload, .. } => frames.push((header, payload.to_vec())),
            Scanned::Damage { bytes, .. } | Scanned::Tail { bytes, .. } => other += bytes,
        }
    }
    (frames, other)
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), count in any::<u32>()) {
        let (frames, other) = frames_of(&bytes);
        let framed: usize = frames.iter().map(|(header, _)| header.frame_bytes()).sum();
        let room = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let counted = framed as u64 + other;
        prop_assert!(counted <= bytes.len() as u64 && counted >= (bytes.len() - room) as u64);
        let _ = wire::decode(&bytes, count, &mut Vec::new());
        let _ = wire::decode(&bytes, count % 8, &mut Vec::new());
    }

    #[test]
    fn any_report_bytes_that_decode_encode_to_the_same_report(mut bytes in proptest::array::uniform32(any::<u8>())) {
        let is_rotated = bytes[0] % 2 == 0;
        let mut whole = vec![0; if is_rotated { 68 } else { 52 }];
        bytes[0] = if is_rotated { 5 } else { 1 };
        bytes[1] %= 11;
        whole[..32].copy_from_slice(&bytes);
        if is_rotated {
            whole[52..].copy_from_slice(&bytes[..16]);
        }
        let mut out = Vec::new();
        wire::decode(&whole, 1, &mut out).expect("a report");
        let mut again = Vec::new();
        wire::encode(&out[0], &mut again).expect("encodes");
        prop_assert_eq!(&again[..], &whole[..]);
    }

    #[test]
    fn any_bit_flip_is_noticed_and_costs_one_frame(flip in any::<prop::sample::Index>(), sizes in proptest::collection::vec(0u64..6, 1..5)) {
        let mut bytes = Vec::new();
        let mut seq = 1;
        for size in &sizes {
            let mut payload = Vec::new();
            for evidence in batch(seq, *size) {
                wire::encode(&evidence, &mut payload).expect("encodes");
            }
            push_frame(Content::Evidence, Seq(seq), at(0), *size as u32, &payload, &mut bytes).expect("fits");
            seq += size;
        }
        let (before, _) = frames_of(&bytes);
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (after, other) = frames_of(&bytes);
        prop_assert_eq!(after.len() + 1, before.len());
        prop_assert!(other > 0);
        prop_assert!(after.iter().all(|frame| before.contains(frame)));
    }
}
