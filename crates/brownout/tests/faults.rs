//! Disks that are full or cannot be written, files that are damaged or gone, and clocks that go
//! back: the real program stays up, says what is wrong, and loses nothing that it acknowledged.

// What helps a test prints as tests do.
#![allow(clippy::print_stdout)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use brownout_core::model::{ChannelId, Evidence};
use brownout_lab::lab::http::{Answer, Connection, get};
use brownout_lab::lab::program::{Plan, Program};
use brownout_store::embedded::LogReader;
use tempfile::TempDir;

fn plan() -> (TempDir, Plan) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let plan = Plan::new(Path::new(env!("CARGO_BIN_EXE_brownout")), folder.path());
    (folder, plan)
}

fn start(plan: &Plan) -> Program {
    plan.start().unwrap_or_else(|error| panic!("{error}"))
}

/// Sends a report of a source in a subnet of its own.
fn report(program: &Program, source: u32) -> Answer {
    let [b, c, d] = [1, (source >> 8) as u8, source as u8];
    let fields = format!("content-type: application/json\r\nx-forwarded-for: 39.{c}.{d}.{b}\r\n");
    let mut connection = Connection::open(program.address).expect("a connection");
    connection
        .ask("POST", "/api/v1/reports", &fields, br#"{"service":"x","kind":"login"}"#)
        .expect("an answer")
}

fn acknowledged(program: &Program, sources: std::ops::Range<u32>) {
    for source in sources {
        let answer = report(program, source);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

fn refused(answer: &Answer, reason: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(
        answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|it| it > 0))
    );
    assert!(answer.text().contains(&format!("\"reason\":\"{reason}\"")), "{}", answer.text());
}

fn pages_are_up(program: &Program) {
    for path in ["/", "/s/x", "/api/v1/openapi.json", "/healthz"] {
        let answer = get(program.address, path).expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

fn ready(program: &Program) -> u16 {
    get(program.address, "/readyz").map_or(0, |answer| answer.status)
}

/// Reports of the web channel in a folder's log, and how many ranges of it are lost.
fn in_log(data: &Path) -> (u64, u64) {
    let reader = LogReader::open(data);
    let (mut reports, mut gaps) = (0, 0);
    for batch in reader.batches(reader.first_seq().expect("a log")).expect("a log") {
        match batch {
            Ok((_, evidence)) => {
                let web = |it: &&Evidence| matches!(it, Evidence::Report(it) if it.channel == ChannelId::WEB);
                reports += evidence.iter().filter(web).count() as u64;
            }
            Err(_) => gaps += 1,
        }
    }
    (reports, gaps)
}

/// Waits for what may take a minute: a calm program looks at its log once a minute.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(100), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Has the program run where `mount` gave it a disk of its own at the data folder. The mount is
/// seen by nobody else and goes with the program. `None` where the machine does not allow it.
fn with_own_disk(plan: &mut Plan, mount: &str) -> Option<()> {
    fs::create_dir_all(&plan.data).expect("a folder");
    let place = plan.data.display();
    let script = mount.replace("PLACE", &place.to_string());
    let unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-c"].map(str::to_owned);
    let tried = Command::new("unshare")
        .args(&unshare[1..])
        .arg(format!("{script} >/dev/null 2>&1"))
        .status()
        .is_ok_and(|status| status.success());
    if !tried {
        println!("skip: this machine does not allow a mount of its own here ({script})");
        return None;
    }
    plan.inside = unshare.to_vec();
    plan.inside.extend([format!("{script} >/dev/null 2>&1; exec \"$@\""), "sh".to_owned()]);
    Some(())
}

/// The data folder as the program sees it.
fn seen_by(program: &Program, plan: &Plan) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", program.id(), plan.data.display()))
}

#[test]
fn a_full_disk_refuses_reports_until_there_is_room() {
    let (_folder, mut plan) = plan();
    if with_own_disk(&mut plan, "mount -t tmpfs -o size=6m brownout PLACE").is_none() {
        return;
    }
    let program = start(&plan);
    acknowledged(&program, 0..20);
    let data = seen_by(&program, &plan);
    let filler = data.join("filler");
    let mut file = fs::File::create(&filler).expect("a file");
    let full = io::copy(&mut io::repeat(0), &mut file).expect_err("it gets full");
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    // The segment has room that was made ahead: some thousands of reports fit yet, so none waits.
    let kept = (20..20_000).find(|&kept| match report(&program, 1000 + kept).status {
        201 => false,
        status => status == 503 || panic!("answered with {status}"),
    });
    let kept = kept.expect("reports are refused in the end");
    refused(&report(&program, 1), "storage_full");
    pages_are_up(&program);
    assert_eq!(ready(&program), 503);
    assert!(program.metric("brownout_refused_storage_total", "") >= 2.0);
    assert!(program.metric("brownout_intake_refused_total", "storage_full") >= 2.0);
    assert!(program.metric("brownout_store_failed_appends_total", "") >= 1.0);
    // Failing must not be fast: one line when it begins, and about one try a second.
    let groups = program.metric("brownout_log_groups_total", "");
    std::thread::sleep(Duration::from_secs(3));
    assert!(program.metric("brownout_log_groups_total", "") - groups <= 8.0);
    assert_eq!(program.said().matches("the log cannot be written").count(), 1, "{}", program.said());

    drop(file);
    fs::remove_file(&filler).expect("removed");
    until("there is room again", || report(&program, 2).status == 201);
    acknowledged(&program, 30..50);
    until("it is ready", || ready(&program) == 200);
    let (reports, gaps) = in_log(&data);
    assert_eq!((reports, gaps), (u64::from(kept) + 21, 0));
    assert_eq!(program.metric("brownout_history_behind", ""), 0.0);
    let (status, said) = program.stop().expect("it stops");
    assert!(status.success() && !said.contains("panicked"), "{said}");
}

#[test]
fn a_start_on_a_full_disk_shows_what_is_there() {
    let (folder, mut plan) = plan();
    let program = start(&plan);
    acknowledged(&program, 0..20);
    // Killed, so that the start has something to make up for; it gives no room back that it could use.
    program.kill();
    cut_room(&plan.data);
    let kept = folder.path().join("kept");
    fs::rename(&plan.data, &kept).expect("renamed");
    fs::create_dir(&plan.data).expect("a folder");
    let fill = "dd if=/dev/zero of=PLACE/filler bs=1k 2>/dev/null || true";
    let mount = format!(
        "mount -t tmpfs -o size=6m brownout PLACE && cp -a {}/. PLACE && {{ {fill}; }}",
        kept.display()
    );
    if with_own_disk(&mut plan, &mount).is_none() {
        return;
    }
    // Temporary files would lie on the same disk.
    plan.variables.push(("TMPDIR".to_owned(), plan.data.clone().into_os_string()));
    let program = start(&plan);
    pages_are_up(&program);
    assert!(get(program.address, "/").expect("a page").text().contains("takes no reports in"));
    assert_eq!(ready(&program), 503);
    refused(&report(&program, 1), "storage_full");
    let data = seen_by(&program, &plan);
    assert_eq!(in_log(&data), (20, 0));
    let mut reader = Connection::open(program.address).expect("a connection");
    assert_eq!(reader.ask("GET", "/readyz", "", b"").expect("an answer").status, 503);

    // With room again it goes on by itself, also for those who are connected.
    fs::remove_file(data.join("filler")).expect("removed");
    until("it is ready", || ready(&program) == 200);
    acknowledged(&program, 20..30);
    assert_eq!(reader.ask("GET", "/readyz", "", b"").expect("an answer").status, 200);
    assert!(!get(program.address, "/").expect("a page").text().contains("takes no reports in"));
    pages_are_up(&program);
    assert_eq!(in_log(&data), (30, 0));
    assert!(program.metric("brownout_listener_accepted_total", "") >= 10.0, "counted from the start");
    let (status, said) = program.stop().expect("it stops");
    assert!(status.success() && !said.contains("panicked"), "{said}");
}

#[test]
fn a_disk_that_turns_read_only_refuses_reports() {
    let (folder, mut plan) = plan();
    let image = folder.path().join("disk");
    let made = fs::File::create(&image).and_then(|file| file.set_len(24 << 20)).is_ok()
        && Command::new("mkfs.ext4").arg("-q").arg(&image).status().is_ok_and(|status| status.success());
    if !made {
        return println!("skip: no mkfs.ext4 here");
    }
    let mount = format!("mount -o loop,errors=remount-ro {} PLACE", image.display());
    if with_own_disk(&mut plan, &mount).is_none() {
        return;
    }
    let program = start(&plan);
    acknowledged(&program, 0..20);
    // An error of the file system, after which the kernel lets nobody write any more.
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", program.id())).expect("mounts");
    let line = mounts.lines().find(|line| line.contains(&*plan.data.to_string_lossy())).expect("the disk");
    let device = line.split(' ').next().and_then(|path| path.rsplit('/').next()).expect("its device");
    if fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").is_err() {
        return println!("skip: no error of a file system can be had here");
    }
    until("reports are refused", || report(&program, 1).status == 503);
    let answer = report(&program, 1);
    let reason =
        if answer.text().contains("storage_failed") { "storage_failed" } else { "storage_read_only" };
    refused(&answer, reason);
    pages_are_up(&program);
    assert_eq!(ready(&program), 503);
    assert_eq!(in_log(&seen_by(&program, &plan)), (20, 0));
    let said = program.kill();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_shown() {
    let (_folder, mut plan) = plan();
    let program = start(&plan);
    acknowledged(&program, 0..20);
    program.stop().expect("it stops");
    if with_own_disk(&mut plan, "mount --bind PLACE PLACE && mount -o remount,bind,ro PLACE").is_none() {
        return;
    }
    plan.variables.push(("TMPDIR".to_owned(), plan.data.clone().into_os_string()));
    let program = start(&plan);
    pages_are_up(&program);
    assert!(get(program.address, "/").expect("a page").text().contains("takes no reports in"));
    assert_eq!(ready(&program), 503);
    refused(&report(&program, 1), "storage_read_only");
    let (status, said) = program.stop().expect("it stops");
    assert!(status.success(), "{said}");
    assert!(said.contains("cannot be written"), "{said}");
    assert_eq!(in_log(&plan.data), (20, 0));
}

/// Cuts the room off that a killed program leaves behind its records; the segment.
fn cut_room(data: &Path) -> PathBuf {
    let mut files = fs::read_dir(data.join("log")).expect("the log").flatten().map(|it| it.path());
    let segment = files.next().expect("a segment");
    let mut bytes = fs::read(&segment).expect("bytes");
    // The last record may itself end in zeros, of a key's eight bytes at most.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 9);
    assert!(end < bytes.len(), "there is room");
    bytes.truncate(end);
    fs::write(&segment, bytes).expect("written");
    segment
}

#[test]
fn a_damaged_segment_costs_what_was_in_it_and_no_more() {
    let (_folder, plan) = plan();
    let program = start(&plan);
    acknowledged(&program, 0..60);
    program.kill();
    let segment = cut_room(&plan.data);
    let mut bytes = fs::read(&segment).expect("bytes");
    // The second half holds the reports, each in a frame of its own.
    let at = bytes.len() - 2000;
    bytes[at] ^= 0x40;
    fs::write(&segment, bytes).expect("written");
    let (left, gaps) = in_log(&plan.data);
    assert!(gaps >= 1 && (50..60).contains(&left), "{left} left, {gaps} gaps");

    let program = start(&plan);
    pages_are_up(&program);
    assert_eq!(ready(&program), 200);
    assert_eq!(program.metric("brownout_store_lost_records_total", ""), (60 - left) as f64);
    assert!(program.metric("brownout_store_corrupt_frames_total", "") >= 1.0);
    let said = program.said();
    assert!(said.contains("records") && said.contains("are lost"), "{said}");
    acknowledged(&program, 100..110);
    program.stop().expect("it stops");
    assert_eq!(in_log(&plan.data), (left + 10, gaps));
}

#[test]
fn lost_and_damaged_derived_state_is_made_again() {
    let (_folder, plan) = plan();
    let program = start(&plan);
    acknowledged(&program, 0..30);
    program.stop().expect("it stops");
    let total = |program: &Program| program.metric("brownout_reports_total", "");
    let checkpoints = plan.data.join("checkpoints");
    let database = plan.data.join("brownout.sqlite");
    let gone = |name: &str| drop(fs::remove_file(plan.data.join(name)));

    let found: Vec<PathBuf> =
        fs::read_dir(&checkpoints).expect("a folder").flatten().map(|it| it.path()).collect();
    assert!(!found.is_empty(), "a stop leaves a checkpoint");
    for checkpoint in found {
        let mut bytes = fs::read(&checkpoint).expect("bytes");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(&checkpoint, bytes).expect("written");
    }
    let program = start(&plan);
    assert_eq!(total(&program), 30.0, "from the log instead of the checkpoint");
    assert!(program.metric("brownout_store_corrupt_checkpoints_total", "") >= 1.0);
    program.stop().expect("it stops");

    for name in ["brownout.sqlite", "brownout.sqlite-wal", "brownout.sqlite-shm"] {
        gone(name);
    }
    let program = start(&plan);
    assert_eq!((total(&program), ready(&program)), (30.0, 200), "without a database");
    program.stop().expect("it stops");

    for name in ["brownout.sqlite-wal", "brownout.sqlite-shm"] {
        gone(name);
    }
    fs::write(&database, "this is no database, and never was one".repeat(400)).expect("written");
    let program = start(&plan);
    assert_eq!((total(&program), ready(&program)), (30.0, 200), "with a damaged database");
    assert_eq!(program.metric("brownout_store_derived_rebuilt_total", ""), 1.0);
    assert!(plan.data.join("brownout.sqlite.damaged").exists(), "the old one is kept to look at");
    pages_are_up(&program);
    program.stop().expect("it stops");
    assert_eq!(in_log(&plan.data), (30, 0));
}

#[test]
fn a_reload_tells_no_change_where_the_command_line_goes_before_the_file() {
    let (folder, mut plan) = plan();
    let elsewhere = folder.path().join("elsewhere");
    plan.variables = vec![("BROWNOUT_DATA".to_owned(), elsewhere.clone().into())];
    let program = start(&plan);
    assert!(elsewhere.join("FOLDER.json").exists());
    let text = fs::read_to_string(&plan.config).expect("there");
    fs::write(&plan.config, format!("{text}\n[policy]\nquiet_minutes = 31\n")).expect("written");
    let hangup = Command::new("kill").args(["-HUP", &program.id().to_string()]).status();
    assert!(hangup.is_ok_and(|status| status.success()));
    until("it is read again", || program.said().contains("policy.quiet_minutes"));
    assert!(!program.said().contains("after a restart"), "{}", program.said());
    program.stop().expect("it stops");
}

#[test]
fn only_the_program_may_look_into_its_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, plan) = plan();
    let secrets = plan.data.join("secrets");
    let mode = || fs::metadata(&secrets).expect("there").permissions().mode() & 0o777;
    start(&plan).stop().expect("it stops");
    assert_eq!(mode(), 0o700);
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o755)).expect("set");
    start(&plan).stop().expect("it stops");
    assert_eq!(mode(), 0o700, "one of an earlier version is closed, too");
}

#[test]
fn a_damaged_database_of_tokens_stops_no_start() {
    let (_folder, plan) = plan();
    let program = start(&plan);
    acknowledged(&program, 0..5);
    program.stop().expect("it stops");
    for name in ["admin.sqlite-wal", "admin.sqlite-shm"] {
        let _ = fs::remove_file(plan.data.join(name));
    }
    fs::write(plan.data.join("admin.sqlite"), "this is no database, and never was one".repeat(400))
        .expect("written");
    let program = start(&plan);
    assert_eq!(ready(&program), 200);
    acknowledged(&program, 5..10);
    assert_eq!(program.metric("brownout_store_admin_set_aside_total", ""), 1.0);
    assert!(program.said().contains("make new ones with `brownout token add`"), "{}", program.said());
    assert!(plan.data.join("admin.sqlite.damaged").exists(), "the old one is kept to look at");
    program.stop().expect("it stops");
    assert_eq!(in_log(&plan.data), (10, 0));
}

/// `libfaketime` where Debian and others put it.
fn faketime() -> Option<PathBuf> {
    let folders = ["x86_64-linux-gnu/faketime", "aarch64-linux-gnu/faketime", "faketime"];
    let found = folders.iter().map(|folder| PathBuf::from(format!("/usr/lib/{folder}/libfaketime.so.1")));
    found.into_iter().find(|path| path.exists())
}

/// Waits until as many sources are shown; tells what there is when it has waited for long.
fn counted(program: &Program, sources: f64) {
    let begun = Instant::now();
    until("they are counted", || {
        let is_so = program.metric("brownout_sources_15_minutes", "") >= sources;
        if !is_so && begun.elapsed() > Duration::from_secs(98) {
            let figures = get(program.address, "/metrics").map(|answer| answer.text());
            println!("{figures:?}\n{}", program.said());
        }
        is_so
    });
}

#[test]
fn a_clock_set_back_an_hour_stops_nothing() {
    let Some(library) = faketime() else {
        return println!("skip: no libfaketime here (Debian: apt-get install libfaketime)");
    };
    let (folder, mut plan) = plan();
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0").expect("written");
    plan.variables = vec![
        ("LD_PRELOAD".to_owned(), library.into()),
        ("FAKETIME_TIMESTAMP_FILE".to_owned(), clock.clone().into()),
        ("FAKETIME_NO_CACHE".to_owned(), "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".into()),
        ("DONT_FAKE_MONOTONIC".to_owned(), "1".into()),
    ];
    let program = start(&plan);
    acknowledged(&program, 0..12);
    let ahead = |program: &Program| program.metric("brownout_clock_ahead_milliseconds", "") / 1000.0;
    assert_eq!(ahead(&program), 0.0);

    fs::write(&clock, "-3600").expect("written");
    until("it is noticed", || ahead(&program) > 3500.0);
    assert_eq!(program.metric("brownout_clock_set_back_total", ""), 1.0);
    acknowledged(&program, 100..112);
    // New sources are counted, at once and not an hour later, and the next look is taken.
    counted(&program, 24.0);
    assert_eq!(program.metric("brownout_reports_late_total", ""), 0.0);
    let shown = program.metric("brownout_snapshot_timestamp_seconds", "");
    until("time moves on", || program.metric("brownout_snapshot_timestamp_seconds", "") > shown);

    fs::write(&clock, "+0").expect("written");
    until("it is forward again", || ahead(&program) == 0.0);
    acknowledged(&program, 300..312);
    // Killed an hour ahead of the clock that it is started with.
    fs::write(&clock, "+0").expect("written");
    program.kill();
    fs::write(&clock, "-3600").expect("written");
    let program = start(&plan);
    assert!(ahead(&program) > 3500.0 && program.said().contains("behind the log"), "{}", program.said());
    acknowledged(&program, 400..412);
    counted(&program, 48.0);
    program.stop().expect("it stops");

    let mut last = None;
    for record in LogReader::open(&plan.data).records(brownout_core::model::Seq(1)).expect("a log") {
        let record = record.expect("a record");
        assert!(last <= Some(record.received_at), "time goes back at {}", record.seq);
        last = Some(record.received_at);
    }
    assert_eq!(in_log(&plan.data), (48, 0));
}
