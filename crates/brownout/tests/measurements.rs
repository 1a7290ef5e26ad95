//! Measurements from files, through the real program: imported, shown and run again.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use brownout_core::model::{Asn, CountryCode, UtcTime};
use brownout_lab::lab::http::get;
use brownout_lab::lab::program::Plan;
use brownout_lab::reach::{Field as _, How, Interference, Probe, Site, World};
use serde_json::Value;

fn brownout(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
    for name in ["CONFIG", "DATA", "LISTEN", "SERVER", "LOG", "LOG_FORMAT"] {
        command.env_remove(format!("BROWNOUT_{name}"));
    }
    command.args(arguments).stdin(Stdio::null()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

const SITES: [Site; 3] = [
    Site { host: "x.com", address: Ipv4Addr::new(104, 244, 42, 1) },
    Site { host: "www.facebook.com", address: Ipv4Addr::new(31, 13, 70, 36) },
    Site { host: "nobody-knows.example", address: Ipv4Addr::new(104, 16, 7, 7) },
];

/// A day and a half of three countries, every half hour; X is blocked in Pakistan for the last eight hours. As
/// volunteers send them: in no order.
fn measurements() -> String {
    let country = |text: &str| text.parse::<CountryCode>().expect("a country");
    let mut probes = Vec::new();
    for (index, code) in (0..).zip(["PK", "DE", "US"]) {
        for network in 1..=2 {
            probes.push(Probe {
                id: probes.len() as u64,
                country: country(code),
                network: Asn::new(64_600 + 10 * index + network).expect("a number"),
                lies: false,
                is_resolver_broken: false,
            });
        }
    }
    let block = Interference {
        country: Some(country("PK")),
        network: None,
        host: Some("x.com"),
        how: How::TlsResetSni,
    };
    let begin: UtcTime = "2025-03-09T00:00:00Z".parse().expect("a time");
    let mut world = World::new(7);
    let mut lines = Vec::new();
    for round in 0..72 {
        let met: &[Interference] = if round >= 56 { &[block] } else { &[] };
        for (index, probe) in (0..).zip(&probes) {
            for site in &SITES {
                let at = begin.plus_seconds(1800 * round + 200 * index);
                let measurement = world.measure(probe, site, at, met).expect("nobody is cut off");
                lines.push(brownout_formats::ooni::write(&measurement));
            }
        }
    }
    lines.reverse();
    let mut all = String::new();
    lines.iter().for_each(|line| writeln!(all, "{line}").expect("room"));
    all.push_str("{\"test_name\":\"ndt\"}\nrubbish\n");
    all
}

#[test]
fn measurements_are_imported_in_their_order_and_shown() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let plan = Plan::new(Path::new(env!("CARGO_BIN_EXE_brownout")), folder.path());
    let (file, data) = (folder.path().join("all.jsonl"), plan.data.display().to_string());
    fs::write(&file, measurements()).expect("written");
    let import = ["import", "ooni", &file.display().to_string(), "--into", &data, "--output", "json"];
    let done = brownout(&import);
    let said = text(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("432  left out: no service of the catalogue has this target"), "{said}");
    let rows: Value = serde_json::from_slice(&done.stdout).expect("rows");
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (&row["service"], &row["place"], &row["state"]),
        (&"x".into(), &"Pakistan".into(), &"blocked".into())
    );
    assert_eq!((&row["mechanism"], &row["networks"]), (&"tls.reset.sni".into(), &"most".into()));
    assert!(
        row["earliest"].as_str() <= Some("2025-03-10T04:00:00Z")
            && row["latest"].as_str() >= Some("2025-03-10T04:00:00Z")
    );
    assert!(!Path::new(&format!("{data}.sorting")).exists());

    let kept =
        text(&brownout(&["log", "cat", "--kind", "measurement", "--limit", "1", "--data", &data]).stdout);
    assert!(kept.contains("x.com") || kept.contains("www.facebook.com"), "{kept}");
    assert!(!kept.contains("nobody-knows"), "{kept}");

    let program = plan.start().unwrap_or_else(|error| panic!("{error}"));
    let page = get(program.address, "/s/x").expect("an answer").text();
    assert!(page.contains("Blocked in Pakistan since about 04:0"), "{page}");
    assert!(page.contains("the handshake is reset because of the name in it"), "{page}");
    let country = get(program.address, "/c/PK").expect("an answer").text();
    assert!(country.contains("What is reached from here") && country.contains("/s/x#reach"), "{country}");
    let answer = get(program.address, "/api/v1/services/x").expect("an answer").text();
    let detail: Value = serde_json::from_str(&answer).expect("JSON");
    let reach = &detail["reachability"];
    assert_eq!(reach["state"], "blocked");
    assert_eq!(reach["countries"][0]["scope"]["code"], "PK");
    assert_eq!(reach["countries"][0]["mechanism"], "tls.reset.sni");
    assert_eq!(reach["signals"][0]["whole"], true);
    let facebook = get(program.address, "/api/v1/services/facebook").expect("an answer").text();
    let facebook: Value = serde_json::from_str(&facebook).expect("JSON");
    assert_eq!(facebook["reachability"]["state"], "ok");
    program.stop().expect("it stops");

    // The log alone says the same again.
    for checkpoint in fs::read_dir(plan.data.join("checkpoints")).expect("a folder") {
        fs::remove_file(checkpoint.expect("a file").path()).expect("removed");
    }
    let program = plan.start().unwrap_or_else(|error| panic!("{error}"));
    let again = get(program.address, "/api/v1/services/x").expect("an answer").text();
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(again["reachability"], *reach);
    program.stop().expect("it stops");

    let later = brownout(&["import", "ooni", &file.display().to_string(), "--into", &data]);
    assert_eq!(later.status.code(), Some(1));
    assert!(text(&later.stderr).contains("import into another folder"), "{}", text(&later.stderr));
}
