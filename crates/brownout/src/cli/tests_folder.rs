//! Commands that work on a data folder.

use std::fs;
use std::path::Path;

use brownout_core::model::{Evidence, Facet, Seq, SeriesKey, ServiceId, UtcTime};
use brownout_store::embedded::{Admin, Comment, EmbeddedStore, LogReader, Options, ReadOnlyStore};
use brownout_store::port::{History, Steps};
use serde_json::Value;
use tempfile::TempDir;

use super::tests::{Ran, brownout};
use super::*;

/// A burst of one service in one city, among a few lines of rubbish.
fn table(people: u32) -> String {
    let mut text = String::from("at,source,service,country,region,city,kind\n");
    for hour in 0..6 {
        text.push_str(&format!("2025-03-09T{hour:02}:10:00Z,early{hour},x,PK,,,login\n"));
    }
    for person in 0..people {
        let (minute, second) = (person / 12, person % 12 * 5);
        text.push_str(&format!("2025-03-09 12:{minute:02}:{second:02},p{person},x,PK,PK-PB,Lahore,login\n"));
    }
    text.push_str("2025-03-09T12:00:30Z,p0,x,PK,PK-PB,Lahore,login\n");
    text.push_str("2025-03-09T12:00:00Z,somebody,no-such-service,PK,,,\n");
    text.push_str("yesterday,somebody,x,PK,,,\n2025-03-09T12:00:00Z,,x,PK,,,\n\"\u{0},\n");
    text
}

struct Folder {
    _temporary: TempDir,
    /// The data folder.
    data: String,
    /// A place for another.
    other: String,
    csv: String,
}

fn folder() -> Folder {
    let temporary = tempfile::tempdir().expect("a folder");
    let path = |name: &str| temporary.path().join(name).display().to_string();
    let (data, other, csv) = (path("data"), path("other"), path("reports.csv"));
    Folder { _temporary: temporary, data, other, csv }
}

fn imported() -> Folder {
    let folder = folder();
    fs::write(&folder.csv, table(240)).expect("written");
    let ran = import(&folder, &["-o", "json"]);
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    folder
}

fn import(folder: &Folder, more: &[&str]) -> Ran {
    brownout(&[&["import", "csv", &folder.csv, "--into", &folder.data], more].concat())
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err))
}

/// Changes a byte in the middle of the log's first file.
fn damage(data: &str) {
    let log = Path::new(data).join("log");
    let mut files: Vec<_> = fs::read_dir(&log).expect("there").map(|it| it.expect("there").path()).collect();
    files.sort();
    let path = files.iter().find(|path| path.extension().is_some_and(|it| it == "seg")).expect("a segment");
    let mut bytes = fs::read(path).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_table_is_played_and_its_incident_told_with_its_city() {
    let folder = folder();
    fs::write(&folder.csv, table(240)).expect("written");
    let ran = import(&folder, &["-o", "json"]);
    let told = json_of(&ran);
    assert_eq!(ran.exit, Exit::Ok);
    assert_eq!((&told["rows"], &told["accepted"]), (&Value::from(251), &Value::from(247)), "{told}");
    assert_eq!(told["repeats_collapsed"], 1);
    assert_eq!(told["refused"].as_object().map(|reasons| reasons.len()), Some(4), "{told}");
    let incident = &told["incidents"][0];
    assert_eq!((&incident["service"], &incident["state"]), (&Value::from("x"), &Value::from("ended")));
    let places = incident["places"].to_string();
    assert!(places.contains("\"Lahore\"") && places.contains("\"PK\""), "{places}");
    assert!(import(&folder, &[]).err.contains("has come to"), "time only goes on");
}

#[test]
fn history_tells_silence_from_nothing_known() {
    let folder = imported();
    let store = EmbeddedStore::open_read_only(Path::new(&folder.data)).expect("opens");
    let found = read_x(&store, Facet::All, "2025-03-09T00:00:00Z", "2025-03-09T12:00:00Z");
    let counts: Vec<u32> = found.steps.iter().map(|step| step.hundredths).collect();
    // A report at ten past each of six hours, and silence in between; from the first on, no gap.
    let mut expected = vec![0; 142];
    (0..6).for_each(|hour| expected[hour * 12] = 100);
    assert_eq!(counts, expected);
    assert_eq!(found.steps[0].start.start().to_string(), "2025-03-09T00:10:00Z");
    let settled = found.settled_until.expect("some");
    let after = read_x(&store, Facet::All, &settled.start().to_string(), "2025-03-10T00:00:00Z");
    assert!(after.steps.is_empty(), "what is not settled is not told");
    let nobody = Facet::Kind(brownout_core::model::ProblemKind::Payments);
    let found = read_x(&store, nobody, "2025-03-09T00:00:00Z", "2025-03-09T12:00:00Z");
    assert_eq!((found.steps.len(), found.settled_until), (0, Some(settled)), "a series that never began");
}

fn read_x(store: &ReadOnlyStore, facet: Facet, from: &str, to: &str) -> Steps {
    let minute = |text: &str| text.parse::<UtcTime>().expect("a time").minute();
    let mut batches = store.log.batches(Seq(1)).expect("readable");
    let service = batches.find_map(|batch| match batch.expect("whole").1.as_slice() {
        [Evidence::Report(report), ..] => Some(report.service),
        _ => None,
    });
    let key = SeriesKey { service: service.expect("a report"), facet };
    let history = store.history.as_ref().expect("there");
    history.steps(key, minute(from), minute(to), 1000).expect("readable")
}

#[test]
fn rubbish_is_refused_with_a_reason_and_never_a_panic() {
    let folder = folder();
    for (text, says) in [
        ("", "no column `at`"),
        ("\u{0}\u{1}\n\u{2}", "no column `at`"),
        ("at,source,servce\n", "did you mean `servce`?"),
        ("at,source,service\n", "no row can be imported"),
        ("at,source,service\nx,y,z\n,,\n", "2 rows refused: the time cannot be read"),
        ("at,source,service\n2023-03-09T12:00:00Z,a,x\n2025-03-09T12:00:00Z,a,x\n", "more than 400 days"),
        ("at,source,service\n0,a,x\n2025-03-09T12:00:00Z,a,x\n", "is one of the times wrong?"),
    ] {
        fs::write(&folder.csv, text).expect("written");
        let ran = import(&folder, &[]);
        assert_eq!(ran.exit, Exit::Error, "{text:?}");
        assert!(ran.err.contains(says), "{text:?}: {}", ran.err);
    }
    assert!(!Path::new(&folder.data).exists(), "nothing was made of nothing");
    fs::write(&folder.csv, "at,source,service\n2199-01-01T00:00:00Z,a,x\n").expect("written");
    let ran = import(&folder, &[]);
    assert!(
        ran.exit == Exit::Error && ran.err.contains("1 rows refused: the time is yet to come"),
        "{}",
        ran.err
    );
    // One wrong time among right ones is counted, and no reason to do without the others.
    fs::write(&folder.csv, "at,source,service\n2199-01-01T00:00:00Z,a,x\n2025-03-09T12:00:00Z,b,x\n")
        .expect("written");
    let ran = import(&folder, &[]);
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.err.contains("refused: the time is yet to come"), "{}", ran.err);
    let ran = brownout(&["import", "spectrum", "/no/such/file", "--into", &folder.data]);
    assert_eq!(ran.exit, Exit::Error);
}

#[test]
fn a_table_of_which_nothing_gets_in_is_an_error_with_its_reasons() {
    let folder = folder();
    let rows = "2025-03-09T12:00:00Z,a,twiter\n2025-03-09T12:01:00Z,b,twiter\nyesterday,c,x\n";
    fs::write(&folder.csv, format!("at,source,service\n{rows}")).expect("written");
    for form in ["table", "json"] {
        let ran = import(&folder, &["-o", form]);
        assert_eq!(ran.exit, Exit::Error, "{}", ran.err);
        assert!(ran.err.contains("no row was imported"), "{}", ran.err);
        assert!(ran.err.contains("2 rows: No such service"), "{}", ran.err);
        assert!(ran.err.contains("1 rows: the time cannot be read"), "{}", ran.err);
    }
    // Nothing moved the folder's clock, so the table can be put right.
    fs::write(&folder.csv, format!("at,source,service\n{}", rows.replace("twiter", "x"))).expect("written");
    let ran = import(&folder, &[]);
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
}

#[test]
fn the_provider_table_gives_its_repeats_and_incidents() {
    let table =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/spectrum/reports-2026-06-16-to-23.csv");
    if !Path::new(table).exists() {
        println!("skipped: {table} is not there");
        return;
    }
    let folder = folder();
    let ran = brownout(&["import", "spectrum", table, "--into", &folder.data, "-o", "json"]);
    let told = json_of(&ran);
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    let figures = ["rows", "accepted", "repeats_collapsed", "beyond_subnet_cap"].map(|it| told[it].as_u64());
    assert_eq!(figures, [Some(2287), Some(2287), Some(171), Some(0)]);
    let incidents = told["incidents"].as_array().expect("a list");
    assert!(!incidents.is_empty());
    let cities: Vec<&Value> =
        incidents.iter().flat_map(|it| it["places"].as_array().expect("a list")).collect();
    assert!(cities.iter().any(|place| place["kind"] == "city" && place["name"] == "San Antonio"), "{told}");
}

#[test]
fn two_replays_are_the_same_and_the_same_as_it_was_live() {
    let folder = imported();
    let replay = |more: &[&str]| brownout(&[&["replay", folder.data.as_str()], more].concat());
    let (first, second) = (replay(&["-o", "ndjson"]), replay(&["-o", "ndjson"]));
    assert_eq!((first.exit, &first.out), (Exit::Ok, &second.out), "{}", first.err);
    assert!(
        first.out.lines().next().is_some_and(|line| line.contains("\"change\":\"possible\"")),
        "{}",
        first.out
    );
    assert!(first.out.contains("\"scope\":\"Lahore\""), "{}", first.out);
    let digest = |ran: &Ran| json_of(ran)[0]["digest"].as_str().map(str::to_owned).expect("a digest");
    let whole = replay(&["--digest-only", "-o", "json"]);
    assert!(first.err.contains(&format!("digest {}", digest(&whole))), "{}", first.err);
    // The state that the running folder kept is the state that the replay comes to.
    let store = EmbeddedStore::open_read_only(Path::new(&folder.data)).expect("opens");
    let newest = store.checkpoints.positions().expect("readable")[0];
    let kept = store.checkpoints.load(newest).expect("checks");
    let part = replay(&["--digest-only", "-o", "json", "--to", &newest.0.to_string()]);
    assert_eq!(json_of(&part)[0]["last_seq"].as_u64(), Some(newest.0));
    assert_eq!(digest(&part), blake3::hash(&kept.state).to_hex().as_str());
    // From the middle on fewer lines; with another policy other ones; before anything, none.
    let late = replay(&["-o", "ndjson", "--from", &newest.0.to_string()]);
    assert!(late.out.len() < first.out.len() && first.out.ends_with(&late.out));
    let strict = folder.csv.replace("reports.csv", "strict.toml");
    fs::write(&strict, "[policy]\npossible_sources_min = 5000\n").expect("written");
    assert_eq!(replay(&["-o", "ndjson", "--policy", &strict]).out, "");
    assert_eq!(replay(&["-o", "ndjson", "--to", "3"]).out, "");
    assert_eq!(brownout(&["replay", &folder.other]).exit, Exit::Error);
}

#[test]
fn a_damaged_log_is_told_by_every_command_that_reads_it() {
    let folder = imported();
    let data = folder.data.as_str();
    let verify = brownout(&["log", "verify", "--data", data]);
    assert_eq!((verify.exit, verify.err.as_str()), (Exit::Ok, ""));
    damage(data);
    for arguments in [&["log", "verify"][..], &["log", "cat"], &["log", "stats"], &["replay", data]] {
        let ran = brownout(&[arguments, &["--data", data]].concat());
        assert_eq!(ran.exit, Exit::CheckFailed, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("are lost"), "{arguments:?}: {}", ran.err);
    }
    assert_eq!(brownout(&["log", "verify", "--data", &folder.other]).exit, Exit::Error);
}

#[test]
fn records_are_printed_by_position_service_and_kind() {
    let folder = imported();
    let cat = |more: &[&str]| brownout(&[&["log", "cat", "--data", &folder.data], more].concat());
    let reports = cat(&["--kind", "report", "--service", "x"]);
    assert_eq!((reports.exit, reports.out.lines().count()), (Exit::Ok, 247), "{}", reports.err);
    let first: Value = serde_json::from_str(reports.out.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["evidence"]["report"]["kind"], "login");
    let two = cat(&["--from", "2", "--to", "9", "--limit", "2", "-o", "json"]);
    let two = json_of(&two);
    assert_eq!(two.as_array().map(Vec::len), Some(2));
    assert_eq!((&two[0]["seq"], &two[1]["seq"]), (&Value::from(2), &Value::from(3)));
    assert_eq!(json_of(&cat(&["--from", "900000000", "-o", "json"])), Value::Array(vec![]));
    assert_eq!(cat(&["--service", "no-such"]).exit, Exit::Error);
    assert_eq!(cat(&["-o", "csv"]).exit, Exit::Usage);
    let stats = json_of(&brownout(&["log", "stats", "-o", "json", "--data", &folder.data]));
    assert_eq!((&stats["records.report"], &stats["clock"]), (&Value::from(247), &Value::from("virtual")));
}

#[test]
fn a_backup_is_made_beside_a_server_and_leaves_secrets_out() {
    let folder = imported();
    let secrets = Path::new(&folder.data).join("secrets");
    fs::create_dir_all(&secrets).expect("made");
    fs::write(secrets.join("1"), "salt").expect("written");
    let options = Options { clock: brownout_store::embedded::Clock::Virtual, ..Options::default() };
    let running = EmbeddedStore::open(Path::new(&folder.data), options, UtcTime::default()).expect("opens");
    let ran = brownout(&["backup", &folder.other, "-o", "json", "--data", &folder.data]);
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    drop(running);
    let digest = |data: &str| brownout(&["replay", data, "--digest-only"]).out;
    assert_eq!(digest(&folder.other), digest(&folder.data));
    assert!(!Path::new(&folder.other).join("secrets").exists());
    assert_eq!(brownout(&["log", "verify", "--data", &folder.other]).exit, Exit::Ok);
    let again = brownout(&["backup", &folder.other, "--data", &folder.data]);
    assert_eq!(again.exit, Exit::Error);
    assert!(again.err.contains("is not empty"), "{}", again.err);
}

#[test]
fn a_token_is_shown_once_and_revoked_by_name() {
    let folder = folder();
    let token = |arguments: &[&str]| brownout(&[&["token"], arguments, &["--data", &folder.data]].concat());
    assert_eq!(token(&["ls"]).exit, Exit::Error, "no folder yet");
    let made = token(&["add", "--name", "desk-1", "--channel", "desk", "--weight", "50", "--days", "9"]);
    assert_eq!(made.exit, Exit::Ok, "{}", made.err);
    let secret = made.out.trim();
    assert!(secret.starts_with("bo_") && secret.len() == 67, "{secret}");
    let admin = Admin::beside(Path::new(&folder.data)).expect("opens");
    let kept = admin.token(blake3::hash(secret.as_bytes()).as_bytes()).expect("asked").expect("kept");
    assert_eq!((kept.weight.percent(), kept.virtual_clock, kept.revoked), (50, false, None));
    assert_eq!(kept.expires.map(|at| at.millis_since(kept.created)), Some(9 * 86_400_000));
    assert_eq!(token(&["add", "--name", "desk-1"]).exit, Exit::Error, "taken");
    assert_eq!(token(&["add", "--name", "lab", "--virtual"]).exit, Exit::Ok);
    let listed = token(&["ls", "-o", "json"]);
    let list = json_of(&listed);
    assert_eq!((&list[0]["channel"], &list[0]["state"]), (&Value::from("desk"), &Value::from("in force")));
    assert_eq!(list[1]["virtual"], true);
    assert!(!listed.out.contains(secret));
    assert_eq!(token(&["revoke", "desk-1"]).exit, Exit::Ok);
    assert_eq!(token(&["revoke", "desk-1"]).exit, Exit::Error, "it is already");
    assert_eq!(json_of(&token(&["ls", "-o", "json"]))[0]["state"], "revoked");
    for bad in ["web", "-x", "Desk", ""] {
        assert!(Cli::try_parse_from(["brownout", "token", "add", "--name", bad]).is_err(), "{bad:?}");
    }
}

#[test]
fn a_new_channel_never_gets_the_number_of_one_in_the_log() {
    let folder = imported();
    let root = Path::new(&folder.data);
    let number = |name: &str| {
        let channels = Admin::beside(root).expect("opens").channels().expect("readable");
        channels.iter().find(|(_, known)| known == name).map(|(id, _)| id.0)
    };
    let add = |name: &str| brownout(&["token", "add", "--name", name, "--data", &folder.data]);
    assert_eq!(number("import"), Some(16));
    fs::remove_file(root.join("admin.sqlite")).expect("there");
    assert_eq!(add("desk").exit, Exit::Ok);
    assert_eq!((number("import"), number("desk")), (Some(16), Some(17)), "it was lost");
    fs::write(root.join("admin.sqlite"), [0x5a; 9000]).expect("written");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(root.join(format!("admin.sqlite{suffix}")));
    }
    let ran = add("other");
    assert_eq!(ran.exit, Exit::Error);
    assert!(ran.err.contains("damaged") && ran.err.contains("sets the file aside"), "{}", ran.err);
    let doctor = || brownout(&["doctor", "--data", &folder.data, "--listen", "127.0.0.1:0", "-o", "csv"]);
    assert!(doctor().out.contains("tokens,FAIL"), "{}", doctor().out);
    let options = Options { clock: brownout_store::embedded::Clock::Virtual, ..Options::default() };
    drop(EmbeddedStore::open(root, options, UtcTime::default()).expect("it opens all the same"));
    assert!(doctor().out.contains("tokens,warn"), "{}", doctor().out);
    assert_eq!(add("other").exit, Exit::Ok);
    assert_eq!((number("import"), number("other")), (Some(16), Some(17)), "it was damaged");
}

#[test]
fn comments_are_moderated_beside_a_server_and_without() {
    let folder = imported();
    let root = Path::new(&folder.data);
    let options = Options { clock: brownout_store::embedded::Clock::Virtual, ..Options::default() };
    let mut running = EmbeddedStore::open(root, options, UtcTime::default()).expect("opens");
    let mut batches = LogReader::open(root).batches(Seq(1)).expect("readable");
    let found = batches.find_map(|batch| match batch.expect("whole").1.as_slice() {
        [Evidence::Report(report), ..] => Some(report.service),
        _ => None,
    });
    let x: ServiceId = found.expect("a report");
    let comment = |seq: u64| Comment {
        report: Seq(seq),
        service: x,
        received_at: UtcTime::from_seconds(1_741_600_000),
        text: format!("text\u{1b}[2J {seq}"),
    };
    running.comments.append(&[comment(41), comment(42), comment(43)]).expect("kept");
    let ran = |arguments: &[&str]| brownout(&[&["comment"], arguments, &["--data", &folder.data]].concat());
    let listed = json_of(&ran(&["ls", "--service", "x", "-o", "json"]));
    assert_eq!((&listed[0]["number"], &listed[0]["state"]), (&Value::from(43), &Value::from("kept")));
    assert!(!ran(&["ls"]).out.contains('\u{1b}'), "a text never drives the terminal");
    assert_eq!(ran(&["remove", "7"]).exit, Exit::Error);
    let removed = ran(&["remove", "42"]);
    assert_eq!(removed.exit, Exit::Ok, "{}", removed.err);
    assert!(removed.err.contains("the running server deletes"), "{}", removed.err);
    assert_eq!(running.comments.delete_removed(&running.admin).expect("deleted"), 1);
    drop(running);
    assert!(ran(&["remove", "43"]).err.contains("is deleted"));
    let listed = json_of(&ran(&["ls", "-o", "json"]));
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!((&listed[0]["number"], &listed[0]["state"]), (&Value::from(41), &Value::from("kept")));
    assert_eq!(ran(&["ls", "--service", "no-such"]).exit, Exit::Error);
}

#[test]
fn a_wrong_catalogue_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (config, catalogue) = (path("b.toml"), path("services.toml"));
    fs::write(&config, format!("[catalogue]\nfile = {catalogue:?}\n")).expect("written");
    fs::write(&catalogue, "[[service]]\nslug = \"x\"\ncategroy = \"social\"\n").expect("written");
    let ran = brownout(&["check", &config]);
    assert_eq!(ran.exit, Exit::CheckFailed);
    assert!(ran.err.contains(&format!("{catalogue}:3:1: unknown key `categroy`")), "{}", ran.err);
    let data = path("data");
    let doctor = || brownout(&["doctor", "-c", &config, "--data", &data, "--listen", "127.0.0.1:0"]);
    let ran = doctor();
    assert_eq!(ran.exit, Exit::CheckFailed);
    assert!(ran.out.contains(":3:1: unknown key"), "{}", ran.out);
    fs::write(&catalogue, "[[service]]\nslug = \"x\"\nname = \"Ex\"\n").expect("written");
    assert_eq!(brownout(&["check", &config]).exit, Exit::Ok);
    assert_eq!(doctor().exit, Exit::Ok);
    let mmdb = path("x.mmdb");
    fs::write(&mmdb, "not a database").expect("written");
    fs::write(&config, format!("[addresses]\nasn_mmdb = {mmdb:?}\n")).expect("written");
    let ran = brownout(&["check", &config]);
    assert_eq!(ran.exit, Exit::CheckFailed);
    assert!(ran.err.contains("[addresses] asn_mmdb"), "{}", ran.err);
}
