//! Vantage points, through the real program: invited, enrolled, measuring, submitting; and everybody who would
//! like to be one and may not.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use brownout_core::model::{Asn, UtcTime};
use brownout_core::reach::{Control, Measurement, Run, Signs, Target, Vantage};
use brownout_lab::lab::http::{Answer, Connection, get};
use brownout_lab::lab::program::{Plan, Program};
use brownout_probe::wire::{Batch, Enrol, Enrolled, Received, Rotate, Schedule, key_in, to_hex};
use brownout_probe::{Identity, Purpose, is_signed};
use serde::Serialize;
use serde_json::Value;

fn brownout(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
    for name in ["CONFIG", "DATA", "LISTEN", "SERVER", "LOG", "LOG_FORMAT", "PROBE_STATE"] {
        command.env_remove(format!("BROWNOUT_{name}"));
    }
    command.args(arguments).stdin(Stdio::null()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An observatory that lets probes in.
struct Stand {
    folder: tempfile::TempDir,
    plan: Plan,
}

impl Stand {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut plan = Plan::new(Path::new(env!("CARGO_BIN_EXE_brownout")), folder.path());
        plan.sections.push_str(&format!("\n[probes]\nenabled = true\n{more}"));
        Stand { folder, plan }
    }

    fn start(&self) -> Program {
        self.plan.start().unwrap_or_else(|error| panic!("{error}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An operator's command.
    fn operate(&self, words: &[&str]) -> Output {
        let config = self.plan.config.display().to_string();
        brownout(&[words, &["--config", &config]].concat())
    }

    fn invite(&self, name: &str, more: &[&str]) -> String {
        let done = self.operate(&[&["probe", "invite", name], more].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout).trim().to_owned()
    }
}

/// A probe of the test's own, which may say anything.
struct Probe {
    address: SocketAddr,
    key: Identity,
    id: u32,
}

fn post(address: SocketAddr, what: &str, (body, signature): (&str, &[u8]), probe: Option<u32>) -> Answer {
    let of = probe.map(|probe| format!("brownout-probe: {probe}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /api/v1/probes/{what} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{of}\
        brownout-signature: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        to_hex(signature),
        body.len()
    );
    let mut connection = Connection::open(address).expect("it listens");
    // What announces too much is answered before it is sent.
    let _ = connection.send(format!("{head}{body}").as_bytes());
    connection.receive().expect("an answer")
}

fn enrol(address: SocketAddr, token: &str, key: &Identity) -> Answer {
    let body = json(&Enrol { token: token.to_owned(), key: to_hex(&key.public()) });
    post(address, "enrol", (&body, &key.sign(Purpose::Enrol, body.as_bytes())), None)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("JSON")
}

/// Status and reason of a refusal.
fn refusal(answer: &Answer) -> (u16, String) {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, problem["reason"].as_str().unwrap_or_default().to_owned())
}

impl Probe {
    fn enrolled(address: SocketAddr, token: &str) -> (Self, Enrolled) {
        let key = Identity::generate().expect("a key");
        let answer = enrol(address, token, &key);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let enrolled: Enrolled = serde_json::from_slice(&answer.body).expect("an answer");
        (Probe { address, key, id: enrolled.probe }, enrolled)
    }

    fn say(&self, what: &str, purpose: Purpose, body: &str) -> Answer {
        post(self.address, what, (body, &self.key.sign(purpose, body.as_bytes())), Some(self.id))
    }

    fn submit(&self, sequence: u64, measurements: Vec<Measurement>) -> Answer {
        self.say("measurements", Purpose::Measurements, &json(&Batch { sequence, measurements }))
    }
}

fn measurement(host: &str, at: UtcTime) -> Measurement {
    Measurement {
        target: Target { url: format!("https://{host}/"), is_tls: true, host: host.to_owned(), port: 443 },
        started_at: at,
        // What it says of itself is not believed.
        vantage: Vantage {
            country: "US".parse().ok(),
            network: Asn::new(1),
            resolver_network: None,
            id: Some(99),
            software: "test 1".to_owned(),
        },
        run: Run::default(),
        control: Control::Missing,
        signs: Signs { block_pages: vec![(0, "made up".to_owned())], ..Signs::default() },
    }
}

fn with_url(url: &str, mut measurement: Measurement) -> Measurement {
    url.clone_into(&mut measurement.target.url);
    measurement
}

fn now() -> UtcTime {
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    UtcTime::from_seconds(i64::try_from(age.as_secs()).expect("seconds"))
}

#[test]
fn a_token_enrols_one_probe_once() {
    let stand = Stand::new("");
    let program = stand.start();
    let token = stand.invite("karachi-1", &["--country", "PK", "--network", "17557"]);
    let (one, other) = (Identity::generate().expect("a key"), Identity::generate().expect("a key"));
    assert_eq!(refusal(&enrol(program.address, "bp_guess", &one)), (401, "token_invalid".to_owned()));
    // Somebody else's key: the request is signed by another.
    let body = json(&Enrol { token: token.clone(), key: to_hex(&one.public()) });
    let forged = post(program.address, "enrol", (&body, &other.sign(Purpose::Enrol, body.as_bytes())), None);
    assert_eq!(refusal(&forged), (401, "bad_signature".to_owned()));
    assert_eq!(enrol(program.address, &token, &one).status, 200);
    assert_eq!(enrol(program.address, &token, &one).status, 200, "its answer may have been lost");
    assert_eq!(refusal(&enrol(program.address, &token, &other)), (403, "token_used".to_owned()));
    // The token is nowhere on the disk.
    for file in
        fs::read_dir(&stand.plan.data).expect("a folder").flatten().filter(|file| file.path().is_file())
    {
        let bytes = fs::read(file.path()).expect("a file");
        assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()), "{:?}", file.path());
    }
    let listed = text(&stand.operate(&["probe", "ls", "--output", "csv"]).stdout);
    assert!(listed.contains("karachi-1,karachi-1,in force,PK,AS17557"), "{listed}");
    let metrics = get(program.address, "/metrics").expect("an answer").text();
    assert!(metrics.contains("intake_refused_total{reason=\"token_used\"} 1"), "refusals are counted");
}

#[test]
fn only_what_is_signed_new_and_scheduled_is_kept() {
    let stand = Stand::new("measurements_per_hour_max = 40\n");
    let program = stand.start();
    let (probe, _) = Probe::enrolled(program.address, &stand.invite("a", &["--country", "PK"]));
    let (stranger, _) = Probe::enrolled(program.address, &stand.invite("b", &["--country", "DE"]));
    let fine = || vec![measurement("x.com", now())];
    let body = json(&Batch { sequence: 1, measurements: fine() });
    let signature = probe.key.sign(Purpose::Measurements, body.as_bytes());
    let submit = |body: &str, signature: &[u8], id: Option<u32>| {
        refusal(&post(program.address, "measurements", (body, signature), id))
    };
    let bad_signature = (401, "bad_signature".to_owned());
    assert_eq!(submit(&body.replace("x.com", "a.com"), &signature, Some(probe.id)), bad_signature);
    assert_eq!(submit(&body, &signature[..60], Some(probe.id)), bad_signature);
    assert_eq!(submit(&body, &signature, Some(stranger.id)), bad_signature, "another's name");
    let as_schedule = probe.key.sign(Purpose::AskSchedule, body.as_bytes());
    assert_eq!(submit(&body, &as_schedule, Some(probe.id)), bad_signature, "another purpose");
    assert_eq!(submit(&body, &signature, None), (401, "probe_unknown".to_owned()));
    assert_eq!(submit(&body, &signature, Some(4_000)), (401, "probe_unknown".to_owned()));

    let answer = probe.submit(
        5,
        vec![
            measurement("x.com", now()),
            measurement("not-on-the-schedule.example", now()),
            measurement("x.com", now().plus_seconds(-8 * 86_400)),
            measurement("x.com", now().plus_seconds(3600)),
            // One that says it is of x.com and names another page, and one whose parts contradict each other.
            with_url("https://x.com/somebody", measurement("x.com", now())),
            Measurement {
                target: Target { port: 22, ..measurement("x.com", now()).target },
                ..measurement("x.com", now())
            },
        ],
    );
    let received: Received = serde_json::from_slice(&answer.body).expect("an answer");
    assert_eq!((received.accepted, received.country), (1, "PK".parse().ok()));
    let reasons: Vec<(u32, &str)> = received.refused.iter().map(|(at, why)| (*at, why.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (1, "not_scheduled"),
            (2, "measurement_stale"),
            (3, "in_the_future"),
            (4, "not_scheduled"),
            (5, "not_scheduled")
        ]
    );

    let replayed = (409, "measurements_replayed".to_owned());
    assert_eq!(refusal(&probe.submit(5, fine())), replayed);
    assert_eq!(refusal(&probe.submit(4, fine())), replayed, "an older one");
    assert_eq!(
        refusal(&probe.submit(6, vec![measurement("x.com", now()); 33])),
        (413, "too_many_lines".to_owned())
    );
    assert_eq!(probe.submit(7, vec![measurement("x.com", now()); 32]).status, 200);
    assert_eq!(
        refusal(&probe.submit(8, vec![measurement("x.com", now()); 32])),
        (429, "too_many_measurements".to_owned())
    );
    assert_eq!(stranger.submit(1, fine()).status, 200, "each probe has its own measure");
    let huge = format!("{{\"sequence\":9,\"measurements\":[{}]}}", " ".repeat(9 << 20));
    let answer = post(program.address, "measurements", (&huge, &[0; 64]), Some(probe.id));
    assert_eq!(refusal(&answer), (413, "body_too_large".to_owned()));
    for rubbish in ["", "null", "[]", "{\"sequence\":-1}", "{\"sequence\":9,\"measurements\":[{}]}"] {
        let answer = probe.say("measurements", Purpose::Measurements, rubbish);
        assert!(matches!(answer.status, 400 | 422), "{rubbish}: {}", answer.text());
    }

    // Of what it said about itself only its version is kept.
    let data = stand.plan.data.display().to_string();
    program.kill();
    let kept = text(&brownout(&["log", "cat", "--kind", "measurement", "--data", &data]).stdout);
    assert_eq!(kept.lines().count(), 34, "{kept}");
    assert!(kept.contains("\"PK\"") && kept.contains("\"DE\"") && !kept.contains("\"US\""), "{kept}");
    assert!(kept.contains("test 1") && !kept.contains("made up"), "{kept}");

    // What was kept stays kept, and is known, after the power was cut.
    let program = stand.start();
    let probe = Probe { address: program.address, ..probe };
    assert_eq!(refusal(&probe.submit(7, fine())), replayed);
    assert!(stand.operate(&["probe", "revoke", "a"]).status.success());
    assert_eq!(refusal(&probe.submit(10, fine())), (403, "probe_revoked".to_owned()));
    let ask = format!("{{\"at\":{}}}", json(&now()));
    assert_eq!(
        refusal(&probe.say("schedule", Purpose::AskSchedule, &ask)),
        (403, "probe_revoked".to_owned())
    );
}

#[test]
fn a_schedule_is_signed_and_for_one_probe() {
    let stand = Stand::new("every_minutes = 5\ncontrol_url = \"https://control.example/api/v1/control\"\n");
    let program = stand.start();
    let (probe, enrolled) = Probe::enrolled(program.address, &stand.invite("a", &["--country", "PK"]));
    let ask = |at: UtcTime| probe.say("schedule", Purpose::AskSchedule, &format!("{{\"at\":{}}}", json(&at)));
    let answer = ask(now());
    let schedule: Schedule = serde_json::from_slice(&answer.body).expect("a schedule");
    assert_eq!((schedule.probe, schedule.every_seconds), (probe.id, 300));
    assert!(schedule.targets.iter().any(|url| url == "https://x.com/"), "{:?}", schedule.targets);
    assert_eq!(
        schedule.control.map(|control| control.url).as_deref(),
        Some("https://control.example/api/v1/control")
    );
    let key = key_in(&enrolled.observatory_key).expect("a key");
    let signature =
        answer.header("brownout-signature").and_then(brownout_probe::wire::from_hex).expect("signed");
    assert!(is_signed(&key, Purpose::Schedule, &answer.body, &signature));
    assert_eq!(refusal(&ask(now().plus_seconds(-3600))), (422, "clock_wrong".to_owned()));
}

#[test]
fn a_key_is_changed_by_its_owner_alone() {
    let stand = Stand::new("");
    let program = stand.start();
    let (probe, _) = Probe::enrolled(program.address, &stand.invite("a", &["--country", "PK"]));
    let new = Identity::generate().expect("a key");
    let rotate = |word: &[u8]| json(&Rotate { key: to_hex(&new.public()), signature: to_hex(word) });
    let body = rotate(&new.sign(Purpose::NewKey, b"4000"));
    assert_eq!(refusal(&probe.say("rotate", Purpose::Rotate, &body)), (422, "bad_key".to_owned()));
    let body = rotate(&new.sign(Purpose::NewKey, probe.id.to_string().as_bytes()));
    let forged =
        post(program.address, "rotate", (&body, &new.sign(Purpose::Rotate, body.as_bytes())), Some(probe.id));
    assert_eq!(refusal(&forged), (401, "bad_signature".to_owned()));
    assert_eq!(probe.say("rotate", Purpose::Rotate, &body).status, 200);
    assert_eq!(
        refusal(&probe.submit(1, Vec::new())),
        (401, "bad_signature".to_owned()),
        "the old key is over"
    );
    let renewed = Probe { key: new, ..probe };
    assert_eq!(renewed.submit(1, Vec::new()).status, 200);
}

#[test]
fn nobody_is_let_in_where_the_operator_does_not_say_so() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let plan = Plan::new(Path::new(env!("CARGO_BIN_EXE_brownout")), folder.path());
    let program = plan.start().unwrap_or_else(|error| panic!("{error}"));
    let key = Identity::generate().expect("a key");
    assert_eq!(refusal(&enrol(program.address, "bp_x", &key)), (404, "probes_off".to_owned()));
}

/// A resolver that leads every name to this machine, where nobody answers.
fn homeward() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let mut answer = bytes[..length].to_vec();
            // The question comes back as an answer with one address, if one of IPv4 was asked for.
            let is_v4 = answer.ends_with(&[0, 1, 0, 1]);
            answer[2] |= 0x80;
            answer[7] = u8::from(is_v4);
            if is_v4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

#[test]
fn a_vantage_point_measures_what_it_is_told_and_sends_it_when_it_can() {
    let stand = Stand::new("services = [\"x\", \"facebook\", \"whatsapp\"]\n");
    let program = stand.start();
    let address = program.address;
    let token = stand.path("token");
    fs::write(&token, stand.invite("karachi-1", &["--country", "PK", "--network", "17557"]))
        .expect("written");
    let (state, token) = (stand.path("probe").display().to_string(), token.display().to_string());
    let url = format!("http://{address}");
    let wanted = ["probe", "enrol", &url, "--token-file", &token, "--state", &state];
    let refused = brownout(&wanted);
    assert_eq!(refused.status.code(), Some(2), "nobody agreed");
    assert!(text(&refused.stderr).contains("not safe"), "{}", text(&refused.stderr));
    let done = brownout(&[&wanted[..], &["--yes"]].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(brownout(&[&wanted[..], &["--yes"]].concat()).status.code(), Some(1), "it is one already");

    let resolver = homeward().to_string();
    let measured = stand.path("measured.jsonl").display().to_string();
    let fast = ["--state", &state, "--once", "--allow-private", "--stage-seconds", "1"];
    let run =
        |more: &[&str]| brownout(&[&["probe", "run", "--resolver", &resolver][..], &fast, more].concat());
    let done = run(&["--into", &measured]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let documents = fs::read_to_string(&measured).expect("a file");
    assert!(documents.lines().count() >= 4 && documents.contains("https://x.com/"));
    let status = || -> Value {
        let answer = get(address, "/api/v1/status").expect("an answer").text();
        serde_json::from_str(&answer).expect("JSON")
    };
    assert_eq!(status()["totals"]["measurements"], 0, "nothing was submitted");

    // The observatory is gone: what is measured waits.
    program.kill();
    let done = run(&[]);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("measurements wait"), "{}", text(&done.stderr));
    let waiting = fs::read_dir(stand.path("probe").join("queue")).expect("a folder").count();
    assert!(waiting >= 4, "{waiting}");

    // It is back, elsewhere: the folder learns the new address, and all is sent.
    let program = stand.start();
    let file = stand.path("probe").join("probe.json");
    let moved =
        fs::read_to_string(&file).expect("a file").replace(&url, &format!("http://{}", program.address));
    fs::write(&file, moved).expect("written");
    let done = run(&[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let listed: Value =
        serde_json::from_slice(&stand.operate(&["probe", "ls", "--output", "json"]).stdout).expect("JSON");
    assert!(listed[0]["batches"].as_u64() >= Some(1), "{listed}");
    let rotated = brownout(&["probe", "rotate", "--state", &state]);
    assert!(rotated.status.success(), "{}", text(&rotated.stderr));
    assert!(run(&[]).status.success(), "with the new key");
    assert!(stand.operate(&["probe", "revoke", "karachi-1"]).status.success());
    let done = run(&[]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("probe_revoked"), "{}", text(&done.stderr));

    let page = get(program.address, "/s/x").expect("an answer").text();
    assert!(page.contains("id=\"reach\""), "the page shows what was measured");
    let left: Vec<_> = fs::read_dir(stand.path("probe")).expect("a folder").flatten().collect();
    for entry in left.iter().filter(|entry| entry.path().is_file()) {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            entry.metadata().expect("its facts").permissions().mode() & 0o077,
            0,
            "{:?}",
            entry.path()
        );
    }
}
