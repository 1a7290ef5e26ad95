//! What an operator does to an incident on the command line, beside the running program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use brownout_lab::lab::http::{Connection, get};
use brownout_lab::lab::program::{Plan, Program};

fn brownout(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
    for name in ["CONFIG", "DATA", "LISTEN", "SERVER", "LOG", "LOG_FORMAT"] {
        command.env_remove(format!("BROWNOUT_{name}"));
    }
    command.args(arguments).arg("--data").arg(data).stdin(Stdio::null()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Twelve minutes with thirty reports each, on the folder's own clock.
fn burst(program: &Program, token: &str) {
    let mut connection = Connection::open(program.address).expect("a connection");
    for minute in 0..12 {
        let line = |person: u32| {
            format!(
                "{{\"service\":\"x\",\"kind\":\"login\",\"at\":\"2025-03-09T12:{minute:02}:00Z\",\
                 \"source\":\"{minute}-{person}\"}}\n"
            )
        };
        let body: String = (0..30).map(line).collect();
        let fields = format!(
            "content-type: application/x-ndjson\r\nauthorization: Bearer {token}\r\n\
             brownout-clock: 2025-03-09T12:{:02}:00Z\r\n",
            minute + 1
        );
        let answer = connection.ask("POST", "/api/v1/reports/batch", &fields, body.as_bytes());
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Waits for the picture that shows an incident; its name.
fn ongoing(program: &Program) -> String {
    let begun = Instant::now();
    loop {
        let open = get(program.address, "/api/v1/incidents?state=ongoing").expect("an answer").text();
        if let Some(name) = open.split("\"name\":\"x-").nth(1).and_then(|rest| rest.split('"').next()) {
            return format!("x-{name}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no incident: {open}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_order_reaches_the_running_program_and_is_told_what_became_of_it() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let plan = Plan::new(Path::new(env!("CARGO_BIN_EXE_brownout")), folder.path());
    let csv = folder.path().join("calm.csv");
    fs::write(&csv, "at,source,service\n2025-03-09T09:00:00Z,a,x\n").expect("written");
    let import = ["import", "csv", &csv.display().to_string(), "--into", &plan.data.display().to_string()];
    assert!(brownout(&plan.data, &import).status.success());
    let token = text(&brownout(&plan.data, &["token", "add", "--name", "lab", "--virtual"]).stdout);
    let program = plan.start().unwrap_or_else(|error| panic!("{error}"));
    burst(&program, token.trim());
    let name = ongoing(&program);

    let note = brownout(&plan.data, &["incident", "note", &name, "We look at it."]);
    assert!(note.status.success(), "{}", text(&note.stderr));
    assert!(text(&note.stderr).contains("of the log"), "{}", text(&note.stderr));
    let unknown = ["incident", "close", "x-2001-01-01-0000", "--reason", "A slip."];
    let unknown = brownout(&plan.data, &unknown);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains(&format!("ongoing are {name}")), "{}", text(&unknown.stderr));
    let rubbish = brownout(&plan.data, &["incident", "close", "rubbish", "--reason", "A slip."]);
    assert!(text(&rubbish.stderr).contains("not an incident's name"), "{}", text(&rubbish.stderr));
    program.stop().expect("it stops");
    let logged = text(&brownout(&plan.data, &["log", "cat", "--kind", "operator"]).stdout);
    assert!(logged.lines().count() == 1 && logged.contains("We look at it."), "{logged}");

    let nobody = brownout(&plan.data, &["incident", "note", &name, "Nobody hears."]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("Nothing was done"), "{}", text(&nobody.stderr));
}
