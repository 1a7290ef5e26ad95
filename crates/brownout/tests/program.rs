//! The program as a script sees it: exit codes, and which stream carries what.

use std::process::{Command, Output, Stdio};

/// Runs the program in an empty folder with nothing of the caller's settings.
fn brownout(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
    for name in ["CONFIG", "DATA", "LISTEN", "SERVER", "LOG", "LOG_FORMAT"] {
        command.env_remove(format!("BROWNOUT_{name}"));
    }
    std::fs::write(folder.path().join("bad.toml"), "[listen]\nadress = \"x\"\n").expect("written");
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn exit_codes_are_as_promised() {
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["init", "-"], 0),
        (&["check"], 0),
        (&["status", "--server", "http://127.0.0.1:1"], 1),
        (&["status", "--server", "ftp://x"], 2),
        (&["no-such-command"], 2),
        (&[], 2),
        (&["check", "--log-level", "a=b=c"], 2),
        (&["doctor", "--data", "bad.toml"], 3),
        (&["check", "bad.toml"], 78),
        (&["serve", "--config", "bad.toml"], 78),
        (&["serve", "--config", "missing.toml"], 78),
    ] {
        assert_eq!(brownout(arguments).status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn data_and_messages_keep_to_their_streams() {
    let output = brownout(&["init", "-"]);
    assert_eq!(text(&output.stderr), "");
    assert!(text(&output.stdout).contains("#address = \"127.0.0.1:8750\""));
    let output = brownout(&["check", "bad.toml"]);
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("bad.toml:2:1: unknown key `adress`"), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains('\u{1b}'), "colours into a pipe");
}

#[test]
fn a_reader_that_stops_early_is_not_a_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_brownout"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}
