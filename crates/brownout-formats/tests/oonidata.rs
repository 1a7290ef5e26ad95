//! OONI's own Python package loads what is written.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use brownout_formats::ooni::{read, write};

/// The package, and the version that was looked at.
const PACKAGE: &str = "oonidata==0.3.0";

/// Loads each line of its input as a measurement, and says how many and what was read of the first.
const PROGRAM: &str = r#"
import json, sys
from oonidata.dataclient import load_measurement
loaded = 0
for line in sys.stdin:
    measurement = load_measurement(json.loads(line))
    keys = measurement.test_keys
    document = json.loads(line)["test_keys"]
    assert type(measurement).__name__ == "WebConnectivity", type(measurement)
    assert len(keys.queries or []) == len(document["queries"])
    assert len(keys.tcp_connect or []) == len(document["tcp_connect"])
    assert len(keys.tls_handshakes or []) == len(document["tls_handshakes"])
    assert len(keys.requests or []) == len(document["requests"])
    for ours, theirs in zip(keys.queries or [], document["queries"]):
        assert ours.failure == theirs["failure"] and ours.hostname == theirs["hostname"]
    loaded += 1
print(loaded)
"#;

/// The interpreter of an environment that has the package; it is made at the first time. `None` where the
/// package cannot be had.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oonidata");
    let python = folder.join("bin/python");
    let has = |python: &Path| {
        let import = Command::new(python).args(["-c", "import oonidata"]).stderr(Stdio::null()).status();
        import.is_ok_and(|status| status.success())
    };
    if has(&python) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status().ok()?;
    let install = || {
        let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
        Command::new(&python).args(arguments).status()
    };
    let done = made.success() && install().is_ok_and(|status| status.success());
    (done && has(&python)).then_some(python)
}

/// One measurement with every kind of entry, written by hand.
const OWN: &str = include_str!("own.json");

#[test]
fn what_is_written_is_loaded_by_the_package_of_ooni() {
    let Some(python) = python() else {
        println!("skip: {PACKAGE} cannot be installed here");
        return;
    };
    let mut documents = vec![OWN.as_bytes().to_vec()];
    for folder in ["wc05-qa", "real"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ooni").join(folder);
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            documents.push(std::fs::read(entry.expect("a file").path()).expect("a file"));
        }
    }
    let lines: Vec<String> =
        documents.iter().filter_map(|document| Some(write(&read(document).ok()?))).collect();
    assert!(!lines.is_empty());
    let mut child = Command::new(python)
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program that runs");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(lines.join("\n").as_bytes()).expect("what it reads");
    drop(input);
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "it does not load all");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), lines.len().to_string());
}
