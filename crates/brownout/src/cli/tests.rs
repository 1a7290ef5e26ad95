use std::io::{BufRead, BufReader};
use std::net::TcpListener;

use clap::CommandFactory;
use serde_json::Value;

use super::*;

/// What one run did: how it ended, its data, its messages (a failure's included).
pub(super) struct Ran {
    pub(super) exit: Exit,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn brownout(args: &[&str]) -> Ran {
    let cli =
        Cli::try_parse_from(std::iter::once("brownout").chain(args.iter().copied())).expect("a command line");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let format = cli.settings.output;
    let ended = run(cli, &mut Console { out: &mut out, err: &mut err, format });
    let (out, mut err) = (String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"));
    let exit = ended.unwrap_or_else(|failure| {
        err.push_str(&failure.message);
        failure.exit
    });
    Ran { exit, out, err }
}

/// A server on a free port that gives each request line the first fitting answer, for ever.
fn serving(answers: &'static [(&'static str, u16, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let found = answers.iter().find(|(path, _, _)| request.starts_with(&format!("GET {path} ")));
            let (status, body) =
                found.map_or((404, "{\"title\":\"Not here\"}"), |(_, status, body)| (*status, *body));
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("sent");
        }
    });
    base
}

const SERVICES: &str = r#"{"services":[
    {"slug":"x","name":"X","state":"confirmed","since":"2025-03-10T10:02:00Z","observed":65,"expected":4.0,"incident":"x-2025-03-10-0947"},
    {"slug":"mail","name":"Mail","state":"possible","since":"2025-03-10T10:12:00Z","observed":9,"expected":1.0,"incident":null},
    {"slug":"calm","name":"Calm","state":"calm","since":null,"observed":0,"expected":0.0,"incident":null}]}"#;

fn observatory() -> String {
    serving(&[
        ("/api/v1/services", 200, SERVICES),
        (
            "/api/v1/incidents?limit=50&state=ongoing",
            200,
            r#"{"incidents":[{"name":"x-2025-03-10-0947","service":"x","state":"confirmed","opened_at":"2025-03-10T09:47:00Z"}]}"#,
        ),
        ("/api/v1/incidents?limit=50", 200, r#"{"incidents":[]}"#),
        ("/api/v1/incidents/x-1", 200, r#"{"name":"x-1"}"#),
        ("/i/x-1.md", 200, "# X\n\u{1b}[2Jtext\n"),
        ("/i/x-1.csv", 200, "at,count\r\n"),
        ("/i/x-1.json", 200, "{}"),
        (
            "/api/v1/services/x/series?from=2025-03-10T09%3A00%3A00Z&facet=country%3APK",
            200,
            r#"{"points":[{"at":"2025-03-10T09:00:00Z","sources":3.0,"expected":1.5},{"at":"2025-03-10T09:05:00Z","sources":0.5,"expected":1.5}]}"#,
        ),
        (
            "/api/v1/services/nope/series?from=2025-03-10T09%3A00%3A00Z",
            404,
            r#"{"title":"No such service","detail":"nope"}"#,
        ),
    ])
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_help_with_an_example() {
    fn look(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} has no description");
        let mut leaf = true;
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            look(sub, &format!("{path} {}", sub.get_name()));
            leaf = false;
        }
        if leaf {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example") && help.contains(path), "{path} has no example");
        }
    }
    look(&Cli::command(), "brownout");
}

#[test]
fn status_lists_trouble_and_its_exit_code_tells_it() {
    let server = observatory();
    let ran = brownout(&["status", "--server", &server]);
    assert_eq!(ran.exit, Exit::Ok);
    insta::assert_snapshot!(ran.out, @r"
    SERVICE  NAME  STATE      SINCE                 OBSERVED  EXPECTED  INCIDENT
    x        X     confirmed  2025-03-10T10:02:00Z        65       4.0  x-2025-03-10-0947
    mail     Mail  possible   2025-03-10T10:12:00Z         9       1.0  -
    ");
    let exit =
        |args: &[&str]| brownout(&[&["status", "--exit-code", "--server", &server], args].concat()).exit;
    assert_eq!(exit(&[]), Exit::Outage);
    assert_eq!(exit(&["mail"]), Exit::Ok);
    assert_eq!(exit(&["mail", "--possible"]), Exit::Outage);
    assert_eq!(exit(&["calm"]), Exit::Ok);
    assert_eq!(exit(&["unknown"]), Exit::Error);
    let all: Value =
        serde_json::from_str(&brownout(&["status", "--all", "-o", "json", "--server", &server]).out)
            .expect("JSON");
    assert_eq!(all.as_array().map(Vec::len), Some(3));
}

#[test]
fn incidents_are_listed_and_shown() {
    let server = observatory();
    let ran = brownout(&["incident", "ls", "--state", "ongoing", "-o", "csv", "--server", &server]);
    assert_eq!(
        ran.out,
        "name,service,state,opened_at\r\nx-2025-03-10-0947,x,confirmed,2025-03-10T09:47:00Z\r\n"
    );
    let ran = brownout(&["incident", "ls", "--server", &server]);
    assert_eq!((ran.out.as_str(), ran.err.trim()), ("", "no such incidents"));
    let ran = brownout(&["incident", "show", "x-1", "--server", &server]);
    assert_eq!(ran.out, "# X\n\u{fffd}[2Jtext\n");
    let ran = brownout(&["incident", "show", "x-1", "-o", "ndjson", "--server", &server]);
    assert_eq!(ran.out, "{\"name\":\"x-1\"}\n");
}

#[test]
fn counts_are_queried_with_everything_escaped() {
    let server = observatory();
    let from = "2025-03-10T09:00:00Z";
    let ran =
        brownout(&["query", "x", "--from", from, "--facet", "country:PK", "-o", "csv", "--server", &server]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""));
    assert_eq!(
        ran.out,
        "at,sources,expected\r\n2025-03-10T09:00:00Z,3.0,1.5\r\n2025-03-10T09:05:00Z,0.5,1.5\r\n"
    );
    let ran = brownout(&["query", "nope", "--from", from, "--server", &server]);
    assert_eq!(ran.exit, Exit::Error);
    assert!(ran.err.ends_with("No such service: nope (404)"), "{}", ran.err);
}

#[test]
fn an_incident_is_exported_to_a_file() {
    let server = observatory();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.csv");
    let name = file.display().to_string();
    let ran = brownout(&["export", "x-1", "--as", "csv", "--to", &name, "--server", &server]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, ""));
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "at,count\r\n");
    assert_eq!(brownout(&["export", "x-1", "--as", "json", "--server", &server]).out, "{}");
    assert_eq!(brownout(&["export", "gone", "--server", &server]).exit, Exit::Error);
}

#[test]
fn no_server_is_told_as_such() {
    let ran = brownout(&["status", "--server", "http://127.0.0.1:1"]);
    assert_eq!(ran.exit, Exit::Error);
    assert!(ran.err.contains("is `brownout serve` running there?"), "{}", ran.err);
}

#[test]
fn init_writes_a_file_that_checks_and_never_overwrites() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("brownout.toml").display().to_string();
    assert_eq!(brownout(&["init", &file]).exit, Exit::Ok);
    assert_eq!(brownout(&["init", &file]).exit, Exit::Error);
    assert_eq!(brownout(&["init", &file, "--force"]).exit, Exit::Ok);
    let ran = brownout(&["check", "--strict", &file]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, ""), "{}", ran.err);
    assert_eq!(brownout(&["init", "-"]).out, crate::config::TEMPLATE);
}

#[test]
fn check_tells_bad_from_doubtful() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("b.toml");
    let file = path.display().to_string();
    let check = |text: &str, args: &[&str]| {
        std::fs::write(&path, text).expect("written");
        brownout(&[&["check", &file], args].concat())
    };
    let ran = check("[listen]\nadress = \"x\"\n", &[]);
    assert_eq!(ran.exit, Exit::BadConfig);
    assert!(ran.err.starts_with(&format!("{file}:2:1: unknown key `adress`")), "{}", ran.err);
    assert_eq!(check("[listen]\naddress = \"0.0.0.0:80\"\n", &[]).exit, Exit::Ok);
    assert_eq!(check("[listen]\naddress = \"0.0.0.0:80\"\n", &["--strict"]).exit, Exit::CheckFailed);
    assert_eq!(check("[catalogue]\nfile = \"/no/such\"\n", &[]).exit, Exit::CheckFailed);
    std::fs::write(&path, b"\xff\xfe").expect("written");
    assert_eq!(brownout(&["check", &file]).exit, Exit::BadConfig);
    assert_eq!(brownout(&["check", "/no/such/file"]).exit, Exit::BadConfig);
    let ran = check("[policy]\nquiet_minutes = 45\n", &["--show", "-o", "csv"]);
    assert!(ran.out.contains("policy.quiet_minutes,45\r\n"), "{}", ran.out);
    let ran = check("", &["--show"]);
    let line = |name: &str| ran.out.lines().find(|line| line.contains(name)).map(str::to_owned);
    assert!(line("possible_per_service_year").expect("a line").ends_with("0.02"), "{}", ran.out);
}

#[test]
fn a_flag_wins_over_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("b.toml").display().to_string();
    std::fs::write(&file, "[data]\nfolder = \"a\"\n[listen]\naddress = \"127.0.0.1:1\"\n").expect("written");
    let cli = Cli::try_parse_from(["brownout", "serve", "-c", &file, "--data", "b"]).expect("a command line");
    let (config, from) = cli.settings.load(Some("127.0.0.1:2".parse().expect("an address"))).expect("valid");
    assert_eq!((config.data.folder.to_str(), config.listen.address.port()), (Some("b"), 2));
    assert_eq!(from.map(|from| from.display().to_string()), Some(file));
}

#[test]
fn papers_are_made_for_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let man = folder.path().join("man1");
    assert_eq!(brownout(&["man", &man.display().to_string()]).exit, Exit::Ok);
    for page in ["brownout.1", "brownout-serve.1", "brownout-incident-show.1"] {
        let text = std::fs::read_to_string(man.join(page)).expect(page);
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(brownout(&["completions", shell]).out.contains("incident"), "{shell}");
    }
}

#[test]
fn doctor_fails_on_a_file_where_the_folder_should_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("data");
    std::fs::write(&file, "").expect("written");
    let ran =
        brownout(&["doctor", "--listen", "127.0.0.1:0", "-o", "json", "--data", &file.display().to_string()]);
    assert_eq!(ran.exit, Exit::CheckFailed);
    let findings: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert!(
        findings
            .as_array()
            .is_some_and(|list| list.iter().any(|f| f["what"] == "data folder" && f["health"] == "FAIL"))
    );
}
