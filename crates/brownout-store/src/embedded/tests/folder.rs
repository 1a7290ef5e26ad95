use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use brownout_core::effect::Derived;
use brownout_core::model::{ChannelId, Evidence, Facet, IncidentId, Minute, Seq, ServiceId, Weight};
use brownout_core::snapshot::{Rarest, State};
use brownout_core::verdict::{Confidence, Locus, Reason, Verdict};

use super::support::*;
use crate::contract::{self, Parts};
use crate::embedded::{
    Admin, Clock, Comment, CommentState, EmbeddedStore, Options, Rolling, Token, backup, comments,
    delete_removed_comments, verify,
};
use crate::memory::MemoryStore;
use crate::port::{DerivedStore, EvidenceLog, History, StoreError};

fn store(root: &Path) -> EmbeddedStore {
    EmbeddedStore::open(root, Options::default(), at(0)).expect("opens")
}

fn verdict(revision: u32) -> Arc<Verdict> {
    let incident = IncidentId { service: ServiceId(4), opened: Minute(29_000_000) };
    Arc::new(Verdict {
        service: incident.service,
        incident: Some(incident),
        revision,
        as_of: at(60),
        state: State::Possible,
        since: Some(at(0)),
        extent: Vec::new(),
        located: None,
        locus: Locus::Undetermined,
        confidence: Confidence::Weak,
        reasons: vec![Reason::StillLearning],
        looked_at: Vec::new(),
        not_looked_at: Vec::new(),
        ruleset: 1,
        policy: String::new(),
        hash: String::new(),
    })
}

fn publish(revision: u32) -> Derived {
    Derived { verdicts: vec![verdict(revision)], ..Derived::default() }
}

#[test]
fn the_embedded_adapter_keeps_the_contract() {
    contract::run(&mut || {
        let folder = tempfile::tempdir().expect("a folder");
        Box::new(move || {
            let store = store(folder.path());
            Parts {
                log: Box::new(store.log),
                checkpoints: Box::new(store.checkpoints),
                derived: Box::new(store.derived),
                history: store.history,
            }
        })
    });
}

#[test]
fn the_memory_adapter_keeps_the_contract() {
    contract::run(&mut || {
        let store = Rc::new(MemoryStore::new());
        Box::new(move || Parts {
            log: Box::new((*store).clone()),
            checkpoints: Box::new((*store).clone()),
            derived: Box::new((*store).clone()),
            history: Arc::new((*store).clone()),
        })
    });
}

#[test]
fn a_folder_has_one_owner_and_one_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = store(folder.path());
    let error = EmbeddedStore::open(folder.path(), Options::default(), at(0)).expect_err("held");
    assert!(matches!(&error, StoreError::Locked(what) if what.contains(&std::process::id().to_string())));
    let admin = first.admin.clone();
    drop(first);
    assert!(EmbeddedStore::open(folder.path(), Options::default(), at(0)).is_err(), "a part still holds it");
    drop(admin);
    let other = Options { clock: Clock::Virtual, ..Options::default() };
    assert!(EmbeddedStore::open(folder.path(), other, at(0)).is_err());
    assert_eq!(store(folder.path()).info.created, at(0));
}

#[test]
fn a_lost_or_damaged_database_takes_neither_tokens_nor_verdicts_with_it() {
    for damage in ["missing", "rubbish", "empty"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut first = store(folder.path());
        first.log.append(at(1), &[batch(0, 20)]).expect("appended");
        first.derived.apply(Seq(10), &publish(1)).expect("applied");
        let token = Token {
            hash: [7; 32],
            name: "partner".to_owned(),
            channel: ChannelId::FIRST_PARTNER,
            created: at(1),
            expires: Some(at(9)),
            revoked: None,
            weight: Weight::from_percent(50),
            virtual_clock: true,
        };
        assert!(first.admin.add_token(&token).expect("kept"));
        assert!(!first.admin.add_token(&token).expect("taken"));
        drop(first);
        let path = folder.path().join("brownout.sqlite");
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(folder.path().join(format!("brownout.sqlite{suffix}")));
        }
        match damage {
            "missing" => fs::remove_file(&path).expect("there"),
            "rubbish" => fs::write(&path, vec![0x5a; 9000]).expect("written"),
            _ => fs::write(&path, b"").expect("written"),
        }
        let mut again = store(folder.path());
        let incident = verdict(1).incident.expect("one");
        assert_eq!(again.derived.applied().expect("readable"), Seq(0), "{damage}");
        assert_eq!(again.history.verdicts(incident).expect("readable"), [(*verdict(1)).clone()], "{damage}");
        assert_eq!(again.admin.token(&[7; 32]).expect("readable"), Some(token), "{damage}");
        // The replay publishes the same again: the ledger keeps one.
        again.derived.apply(Seq(10), &publish(1)).expect("applied");
        again.derived.apply(Seq(12), &publish(2)).expect("applied");
        drop(again);
        assert_eq!(verify(folder.path()).expect("readable").verdicts, 2);
    }
}

#[test]
fn figures_without_bound_are_kept_as_the_largest() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut open = store(folder.path());
    let mut endless = (*verdict(1)).clone();
    let (facet, recurrence_years) = (Facet::All, f64::INFINITY);
    let rarest = Rarest { minutes: 15, observed: 9, expected: f32::INFINITY, recurrence_years };
    endless.reasons = vec![Reason::ReportsAboveUsual { facet, observed: 9, expected: f32::NAN, rarest }];
    let derived = Derived { verdicts: vec![Arc::new(endless.clone())], ..Derived::default() };
    open.derived.apply(Seq(1), &derived).expect("applied");
    let rarest = Rarest { expected: f32::MAX, recurrence_years: f64::MAX, ..rarest };
    endless.reasons = vec![Reason::ReportsAboveUsual { facet, observed: 9, expected: 0.0, rarest }];
    let incident = endless.incident.expect("one");
    assert_eq!(open.history.verdicts(incident).expect("readable"), [endless]);
    assert!(verify(folder.path()).expect("readable").is_sound());
}

#[test]
fn tokens_are_revoked_and_channels_numbered() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = store(folder.path()).admin;
    assert_eq!(admin.channel("one").expect("given"), (ChannelId(16), true));
    assert_eq!(admin.channel("two").expect("given"), (ChannelId(17), true));
    assert_eq!(admin.channel("one").expect("given"), (ChannelId(16), false));
    assert_eq!(admin.channels().expect("readable").len(), 2);
    assert!(!admin.revoke_token("nobody", at(1)).expect("asked"));
    assert_eq!(admin.comment_state(Seq(3)).expect("readable"), CommentState::Kept);
    admin.set_comment_state(Seq(3), CommentState::Removed, at(1)).expect("kept");
    assert_eq!(admin.comment_state(Seq(3)).expect("readable"), CommentState::Removed);
}

#[test]
fn a_lost_or_damaged_admin_database_stops_no_start_and_gives_no_number_twice() {
    for damage in ["missing", "rubbish", "one page"] {
        let folder = tempfile::tempdir().expect("a folder");
        let first = store(folder.path());
        for number in 0..30 {
            first.admin.channel(&format!("partner-{number:0>600}")).expect("given");
        }
        let known = first.admin.channels().expect("readable");
        drop(first);
        let path = folder.path().join("admin.sqlite");
        match damage {
            "missing" => fs::remove_file(&path).expect("there"),
            "rubbish" => fs::write(&path, vec![0x5a; 9000]).expect("written"),
            _ => {
                let mut bytes = fs::read(&path).expect("there");
                let last = bytes.len() - 4096;
                bytes[last..].fill(0x5a);
                fs::write(&path, bytes).expect("written");
            }
        }
        let damaged = damage != "missing";
        assert_eq!(Admin::examine(folder.path()).is_some_and(|it| it.is_err()), damaged, "{damage}");
        assert_eq!(Admin::beside(folder.path()).is_err(), damaged, "{damage}: left for the server");
        let again = store(folder.path());
        assert_eq!(again.counters.admin_set_aside.get(), u64::from(damaged), "{damage}");
        assert_eq!(folder.path().join("admin.sqlite.damaged").exists(), damaged, "{damage}");
        let log = || known.iter().map(|(id, name)| (*id, name.as_str()));
        assert_eq!(again.admin.keep_channels(log()).expect("kept"), 30, "{damage}");
        assert_eq!(again.admin.keep_channels(log()).expect("kept"), 0, "they are known");
        assert_eq!(again.admin.channels().expect("readable"), known);
        assert_eq!(again.admin.channel("new").expect("given"), (ChannelId(46), true));
    }
}

#[test]
fn an_old_channel_keeps_its_number_though_its_name_has_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = store(folder.path()).admin;
    assert_eq!(admin.channel("desk").expect("given").0, ChannelId(16));
    let log = [(ChannelId::WEB, "web"), (ChannelId(16), "other"), (ChannelId(18), "desk")];
    assert_eq!(admin.keep_channels(log).expect("kept"), 1);
    assert_eq!(admin.channel("desk").expect("given"), (ChannelId(16), false));
    assert_eq!(admin.channel("new").expect("given"), (ChannelId(19), true));
}

#[test]
fn a_deleted_comment_is_nowhere_in_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let comment = |seq: u64, text: &str| Comment {
        report: Seq(seq),
        service: ServiceId(1),
        received_at: at(seq as i64),
        text: text.to_owned(),
    };
    let mut open = store(folder.path());
    open.comments.append(&[comment(1, "kept \u{1F300}"), comment(2, "my secret")]).expect("appended");
    open.comments.append(&[comment(3, "also kept")]).expect("appended");
    assert!(open.comments.append(&[comment(4, &"x".repeat(5000))]).is_err());
    assert!(open.comments.delete(Seq(2)).expect("deleted"));
    assert!(!open.comments.delete(Seq(2)).expect("gone"));
    open.comments.append(&[comment(5, "after")]).expect("appended");
    drop(open);
    let mut open = store(folder.path());
    let texts: Vec<String> = open.comments.read().expect("readable").into_iter().map(|it| it.text).collect();
    assert_eq!(texts, ["kept \u{1F300}", "also kept", "after"]);
    for entry in fs::read_dir(folder.path().join("comments")).expect("there") {
        let bytes = fs::read(entry.expect("there").path()).expect("readable");
        assert!(!String::from_utf8_lossy(&bytes).contains("my secret"));
    }
    assert_eq!(open.comments.expire(at(5)).expect("kept"), 0);
    assert_eq!(open.comments.expire(at(6)).expect("gone"), 1);
    assert_eq!(open.comments.read().expect("readable"), []);
}

#[test]
fn a_backup_under_load_is_whole_and_opens() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = tempfile::tempdir().expect("a folder");
    let options = Options { rolling: small(), ..Options::default() };
    let mut store = EmbeddedStore::open(folder.path(), options, at(0)).expect("opens");
    for number in 0..20 {
        store.log.append(at(number), &[batch(number as u64 * 10, 10)]).expect("appended");
    }
    store.derived.apply(Seq(100), &publish(1)).expect("applied");
    store.maintenance.seal().expect("sealed");
    let (maintenance, admin) = (store.maintenance.clone(), store.admin.clone());
    let report = std::thread::scope(|scope| {
        let copying = scope.spawn(|| maintenance.backup(target.path(), &admin).expect("copied"));
        for number in 20..60 {
            store.log.append(at(number), &[batch(number as u64 * 10, 10)]).expect("appended");
        }
        copying.join().expect("no panic")
    });
    assert!(report.is_sound() && report.records >= 200, "{report:?}");
    assert!(store.maintenance.backup(target.path(), &admin).is_err(), "never into a folder in use");
    let mut copy = EmbeddedStore::open(target.path(), options, at(0)).expect("opens");
    let found: Vec<Evidence> = records(&copy.log).into_iter().map(|record| record.evidence).collect();
    assert_eq!(found, batch(0, report.records));
    assert_eq!(copy.history.verdicts(verdict(1).incident.expect("one")).expect("readable").len(), 1);
    copy.log.append(at(900), &[batch(0, 1)]).expect("goes on");
    assert_eq!(records(&store.log).len(), 600);
}

#[test]
fn a_backup_from_outside_is_whole_while_the_log_is_written_and_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = tempfile::tempdir().expect("a folder");
    let options = Options { rolling: small(), ..Options::default() };
    assert!(backup(folder.path(), target.path()).is_err(), "no data folder yet");
    let mut store = EmbeddedStore::open(folder.path(), options, at(0)).expect("opens");
    for number in 0..40 {
        store.log.append(at(number), &[batch(number as u64 * 10, 10)]).expect("appended");
    }
    store.derived.apply(Seq(100), &publish(1)).expect("applied");
    store.admin.channel("partner").expect("given");
    let report = std::thread::scope(|scope| {
        let copying = scope.spawn(|| backup(folder.path(), target.path()).expect("copied"));
        for number in 40..80 {
            store.log.append(at(number), &[batch(number as u64 * 10, 10)]).expect("appended");
            store.maintenance.seal().expect("sealed");
        }
        copying.join().expect("no panic")
    });
    assert!(report.is_sound() && report.records >= 400, "{report:?}");
    assert!(backup(folder.path(), target.path()).is_err(), "never into a folder in use");
    let copy = EmbeddedStore::open(target.path(), options, at(0)).expect("opens");
    let found: Vec<Evidence> = records(&copy.log).into_iter().map(|record| record.evidence).collect();
    assert_eq!(found, batch(0, report.records));
    assert_eq!(copy.admin.channels().expect("readable").len(), 1);
    assert_eq!(copy.history.verdicts(verdict(1).incident.expect("one")).expect("readable").len(), 1);
}

#[test]
fn an_operator_decides_beside_a_running_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = store(folder.path());
    let comment = |seq: u64| Comment {
        report: Seq(seq),
        service: ServiceId(1),
        received_at: at(1),
        text: format!("text {seq}"),
    };
    running.comments.append(&[comment(1), comment(2)]).expect("appended");
    let beside = Admin::beside(folder.path()).expect("opens");
    assert_eq!(beside.channel("partner").expect("given"), (ChannelId(16), true));
    assert_eq!(running.admin.channels().expect("readable").len(), 1, "seen at once");
    beside.set_comment_state(Seq(2), CommentState::Removed, at(2)).expect("kept");
    assert!(matches!(delete_removed_comments(folder.path(), &beside), Err(StoreError::Locked(_))));
    assert_eq!(running.admin.removals().expect("readable"), [Seq(2)]);
    assert_eq!(running.comments.delete_removed(&running.admin).expect("deleted"), 1);
    assert_eq!(comments(folder.path()).expect("readable"), [comment(1)]);
    assert_eq!(running.admin.removals().expect("readable"), []);
    drop(running);
    beside.set_comment_state(Seq(1), CommentState::Removed, at(3)).expect("kept");
    assert_eq!(delete_removed_comments(folder.path(), &beside).expect("deleted"), 1);
    assert_eq!(comments(folder.path()).expect("readable"), []);
}

#[test]
fn a_folder_is_served_without_being_written() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(EmbeddedStore::open_read_only(folder.path()).is_err());
    let mut owner = store(folder.path());
    owner.log.append(at(1), &[batch(0, 20)]).expect("appended");
    owner.derived.apply(Seq(20), &publish(1)).expect("applied");
    let beside = EmbeddedStore::open_read_only(folder.path()).expect("opens beside its owner");
    assert_eq!(beside.log.records(Seq(1)).expect("readable").count(), 20);
    let incident = verdict(1).incident.expect("one");
    assert_eq!(beside.history.expect("there").verdicts(incident).expect("readable").len(), 1);
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let folder = tempfile::tempdir().expect("a folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        println!("skipped: a small tmpfs cannot be mounted here");
        return;
    }
    let result = std::panic::catch_unwind(|| fill_and_go_on(folder.path()));
    let unmounted = Command::new("umount").arg(folder.path()).status();
    assert!(result.is_ok(), "see above");
    assert!(unmounted.is_ok_and(|status| status.success()));
}

fn fill_and_go_on(root: &Path) {
    let options =
        Options { rolling: Rolling { segment_bytes: 100_000, ..Rolling::default() }, ..Options::default() };
    let mut open = EmbeddedStore::open(root, options, at(0)).expect("opens");
    let mut kept = 0;
    let error = loop {
        match open.log.append(at(1), &[batch(kept, 500)]) {
            Ok(_) => kept += 500,
            Err(error) => break error,
        }
        assert!(kept < 100_000, "the disk is never full");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert_eq!((open.log.last_seq(), records(&open.log).len() as u64), (Seq(kept), kept));
    for _ in 0..3 {
        assert!(matches!(open.log.append(at(2), &[batch(kept, 5000)]), Err(StoreError::Full(_))));
    }
    // Room comes back.
    let old = root.join("log/00000000000000000001.seg");
    let old_copy = fs::read(&old).expect("there");
    fs::remove_file(&old).expect("removed");
    open.log.append(at(3), &[batch(kept, 10)]).expect("works again");
    let last = open.log.last_seq();
    assert_eq!(last, Seq(kept + 10));
    drop((open, old_copy));
    let again = EmbeddedStore::open(root, options, at(0)).expect("opens");
    assert_eq!(again.log.last_seq(), last);
    assert_eq!(again.counters.lost_records.get(), 0);
}

#[test]
fn a_folder_full_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("lost+found")).expect("made");
    drop(EmbeddedStore::open(folder.path(), Options::default(), at(0)).expect("as good as empty"));
    drop(EmbeddedStore::open(folder.path(), Options::default(), at(0)).expect("its own"));
    let foreign = tempfile::tempdir().expect("a folder");
    std::fs::write(foreign.path().join("thesis.txt"), "").expect("written");
    let refused = EmbeddedStore::open(foreign.path(), Options::default(), at(0)).expect_err("refused");
    assert!(refused.to_string().contains("thesis.txt"), "{refused}");
    assert_eq!(std::fs::read_dir(foreign.path()).expect("there").count(), 1);
    // That another program has logs there too makes it no data folder; one that lost its file is one.
    std::fs::create_dir(foreign.path().join("log")).expect("made");
    EmbeddedStore::open(foreign.path(), Options::default(), at(0)).expect_err("refused");
    std::fs::remove_file(folder.path().join("FOLDER.json")).expect("removed");
    drop(EmbeddedStore::open(folder.path(), Options::default(), at(0)).expect("still its own"));
}
