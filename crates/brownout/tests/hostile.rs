//! What strangers send: the real listener on loopback takes it, refuses it, and is none the worse.

// What helps a test prints as tests do.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use brownout_core::model::UtcTime;
use brownout_lab::lab::http::{Connection, get};
use brownout_lab::lab::program::{Plan, Program};
use brownout_lab::rng::Rng;
use brownout_store::embedded::{EmbeddedStore, Options, Token};
use tempfile::TempDir;

const TOKEN: &str = "hostile-token";
/// What must never come back as markup.
const MARKUP: &str = "<script>alert(1)</script>";

/// Starts the program with a token that anybody could have stolen, and `listen` in that section
/// of its configuration.
fn start(listen: &str) -> (TempDir, Program) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut plan = Plan::new(Path::new(env!("CARGO_BIN_EXE_brownout")), folder.path());
    plan.listen.push_str(listen);
    let store = EmbeddedStore::open(&plan.data, Options::default(), UtcTime::default()).expect("a folder");
    let (channel, _) = store.admin.channel("hostile").expect("a channel");
    let hash = *blake3::hash(TOKEN.as_bytes()).as_bytes();
    let (name, created) = ("hostile".to_owned(), UtcTime::default());
    let weight = brownout_core::model::Weight::FULL;
    let token =
        Token { hash, name, channel, created, expires: None, revoked: None, weight, virtual_clock: false };
    assert!(store.admin.add_token(&token).expect("kept"));
    drop(store);
    let program = plan.start().unwrap_or_else(|error| panic!("{error}"));
    (folder, program)
}

/// It is up, it did not panic, and it took less than `mib_max` more memory than before.
fn unharmed(program: &mut Program, before_kib: u64, mib_max: u64) {
    assert!(program.is_alive(), "{}", program.said());
    assert!(!program.said().contains("panicked"), "{}", program.said());
    assert_eq!(get(program.address, "/").expect("a page").status, 200);
    let grown = program.resident_kib().saturating_sub(before_kib) / 1024;
    println!("grown by {grown} MiB");
    assert!(grown < mib_max, "grown by {grown} MiB");
}

fn batch(address: std::net::SocketAddr, body: &[u8]) -> (u16, String) {
    let fields = format!("content-type: application/x-ndjson\r\nauthorization: Bearer {TOKEN}\r\n");
    let mut connection = Connection::open(address).expect("a connection");
    let answer = connection.ask("POST", "/api/v1/reports/batch", &fields, body).expect("an answer");
    (answer.status, answer.text())
}

/// Sound requests, to be spoilt.
fn seeds() -> Vec<Vec<u8>> {
    let post = |path: &str, kind: &str, fields: &str, body: &[u8]| {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\n{fields}content-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    let ndjson = "application/x-ndjson";
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let line = br#"{"service":"x","kind":"login","at":"2026-01-01T00:00:00Z","source":"a","city":1172451,"weight":50}"#;
    let lines = [line.as_slice(), b"\n", line, b"\n", &[b'['; 3000], b"\n"].concat();
    let nested = [b"{\"service\":".as_slice(), &[b'['; 3500]].concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 24 << 20]).expect("packed");
    let bomb = packed.finish().expect("packed");
    let gzip = format!("{token}content-encoding: gzip\r\n");
    vec![
        post("/api/v1/reports", "application/json", "", br#"{"service":"x","kind":"login","country":"PK","comment":"x"}"#),
        post("/api/v1/reports", "application/json", "idempotency-key: a\r\nx-forwarded-for: 1.2.3.4, ::1\r\n", b"{\"service\":\"x\",\"kind\":\"slow\",\"city\":99999999999999999999}"),
        post("/api/v1/reports", "application/json", "", &nested),
        post("/s/x/report", "application/x-www-form-urlencoded", "", b"kind=login&country=PK&city=%ff%00&comment=a%20b"),
        post("/api/v1/reports/batch", ndjson, &token, &lines),
        post("/api/v1/reports/batch", ndjson, &gzip, &bomb),
        post("/api/v1/reports/batch", ndjson, &gzip, b"\x1f\x8b\x08\x00garbage"),
        b"POST /api/v1/reports HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n5\r\n{\"ser\r\nffffffffffffffff\r\n0\r\n\r\n".to_vec(),
        b"GET /s/x?tz=Asia/Karachi&at=2026-01-01T00:00:00Z HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip, br\r\n\r\n".to_vec(),
        b"GET /api/v1/services/x/series?facet=country:PK&from=2026-01-01T00:00:00Z&limit=5 HTTP/1.1\r\nhost: a\r\nif-none-match: \"x\"\r\n\r\n".to_vec(),
        b"GET /api/v1/incidents?limit=5&before=2026-01-01T00:00:00Z HTTP/1.1\r\nhost: a\r\nrange: bytes=0-\r\n\r\nGET /i/x-1 HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"GET /?q=a HTTP/1.1\r\nhost: a\r\nlast-event-id: 99999999999999999999\r\n\r\n".to_vec(),
    ]
}

/// Spoils a request in one to four places.
fn spoil(bytes: &mut Vec<u8>, rng: &mut Rng) {
    const BITS: [&[u8]; 16] = [
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"%00%ff",
        b"<script>",
        b"-1",
        b"184467440737095516160",
        b"1e309",
        b"\"",
        b"\\u0000",
        b"\xe2\x80\xae",
        b"content-length: 7\r\n",
        b"transfer-encoding: chunked\r\n",
        b"../../",
    ];
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() as u32 + 1) as usize;
        // Heads are short beside some bodies, and are to be spoilt as often.
        let at = if rng.below(2) == 0 { at.min(rng.below(200) as usize) } else { at };
        let end = (at + rng.below(12) as usize).min(bytes.len());
        let bit = BITS[rng.below(BITS.len() as u32) as usize];
        match rng.below(5) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            2 => drop(bytes.splice(at..end, bit.iter().copied())),
            3 => drop(bytes.splice(at..at, bit.iter().copied())),
            _ => {
                let again = bytes[at..end].repeat(1 + rng.below(40) as usize);
                drop(bytes.splice(at..end, again));
            }
        }
    }
}

/// Sends bytes, says that no more will come, and reads what comes back.
fn throw(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect(address) else { panic!("nobody listens any more") };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    // A reset after an answer is an end like any other.
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// The status codes in what came back over one connection.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let marks = answer.windows(9).enumerate().filter(|(_, window)| *window == b"HTTP/1.1 ");
    let codes =
        marks.filter_map(|(at, _)| std::str::from_utf8(answer.get(at + 9..at + 12)?).ok()?.parse().ok());
    codes.collect()
}

/// Throws so many spoilt requests from four threads. Gives the answers by their status.
fn throw_spoilt(
    address: std::net::SocketAddr,
    seeds: &[Vec<u8>],
    seed: u64,
    requests: u64,
) -> BTreeMap<u16, u32> {
    let work = |worker| {
        let mut rng = Rng::new(seed, worker);
        let mut answered = Vec::new();
        for _ in 0..requests / 4 {
            let mut bytes = seeds[rng.below(seeds.len() as u32) as usize].clone();
            spoil(&mut bytes, &mut rng);
            for status in statuses(&throw(address, &bytes)) {
                let head = String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]);
                assert!(status < 500 || status == 503, "seed {seed}, {status}: {head}");
                answered.push(status);
            }
        }
        answered
    };
    let mut counts = BTreeMap::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|worker| scope.spawn(move || work(worker))).collect();
        for status in workers.into_iter().flat_map(|worker| worker.join().expect("a worker")) {
            *counts.entry(status).or_default() += 1;
        }
    });
    counts
}

#[test]
fn ten_thousand_malformed_requests_do_no_harm() {
    let (_folder, mut program) = start("");
    let seeds = seeds();
    // What it needs once, such as rendered pages and room to unpack in, is no growth.
    throw_spoilt(program.address, &seeds, 1, 1000);
    let before = program.resident_kib();
    let answered = throw_spoilt(program.address, &seeds, 2, 10_000);
    println!("answers by status: {answered:?}");
    unharmed(&mut program, before, 64);
    let refused = program.metric("brownout_intake_refused_total", "");
    println!("{refused} refusals counted");
    // What intake refuses is counted with its reason; 404 and a head that is none are not its, nor is each 405.
    let by_intake: u32 = [413, 415, 422, 401, 408].iter().filter_map(|it| answered.get(it)).sum();
    assert!(refused >= f64::from(by_intake), "{refused} counted, {by_intake} refused");
    let page = get(program.address, "/s/x").expect("a page").text();
    assert!(!page.contains("<script>alert"), "no script of a stranger");
}

#[test]
fn slow_clients_are_cut_and_others_served() {
    let (_folder, mut program) =
        start("header_timeout_seconds = 2\nbody_timeout_seconds = 2\nbatch_timeout_seconds = 2\n");
    let before = program.resident_kib();
    let heads: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ",
        b"POST /api/v1/reports HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{",
        b"POST /s/x/report HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n",
    ];
    let mut slow: Vec<TcpStream> = (0..500)
        .map(|number| {
            let mut stream = TcpStream::connect(program.address).expect("a connection");
            stream.write_all(heads[number % 3]).expect("sent");
            stream
        })
        .collect();
    let begun = Instant::now();
    let mut worst = Duration::ZERO;
    while !slow.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} slow clients are still there", slow.len());
        let asked = Instant::now();
        assert_eq!(get(program.address, "/").expect("a page").status, 200);
        worst = worst.max(asked.elapsed());
        slow.retain_mut(|stream| {
            let dribbled = stream.write_all(b"a").is_ok();
            stream.set_nonblocking(true).expect("set");
            let mut buffer = [0; 4096];
            let open = match stream.read(&mut buffer) {
                Ok(0) => false,
                Ok(_) => true,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            };
            stream.set_nonblocking(false).expect("set");
            dribbled && open
        });
        std::thread::sleep(Duration::from_millis(250));
    }
    println!("all 500 cut after {:?}; a page took {worst:?} at worst", begun.elapsed());
    assert!(worst < Duration::from_secs(3), "a page took {worst:?}");
    assert!(program.metric("brownout_listener_broken_total", "") > 0.0);
    assert!(program.metric("brownout_intake_refused_total", "body_timeout") > 0.0);
    unharmed(&mut program, before, 64);
}

#[test]
fn a_gigabyte_is_refused_early() {
    let (_folder, mut program) = start("");
    let before = program.resident_kib();
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let mut sent_most = 0;
    for (path, kind) in [
        ("/api/v1/reports", "application/json"),
        ("/s/x/report", "application/x-www-form-urlencoded"),
        ("/api/v1/reports/batch", "application/x-ndjson"),
    ] {
        for declared in [true, false] {
            let length = if declared { "content-length: 1073741824" } else { "transfer-encoding: chunked" };
            let mut stream = TcpStream::connect(program.address).expect("a connection");
            stream.set_write_timeout(Some(Duration::from_secs(20))).expect("set");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
            let head =
                format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: {kind}\r\n{token}{length}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("sent");
            let block = [b"10000\r\n".as_slice(), &[b' '; 65536], b"\r\n"].concat();
            let mut sent = 0_usize;
            while sent < 1 << 30 && stream.write_all(&block).is_ok() {
                sent += block.len();
            }
            sent_most = sent_most.max(sent);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(sent < 64 << 20, "{path}: {sent} bytes were taken");
            // A client that goes on sending may be reset before it reads the answer.
            assert!(matches!(statuses(&answer).first(), None | Some(413)), "{path}");
        }
    }
    println!("{} KiB were sent at most", sent_most / 1024);
    assert_eq!(program.metric("brownout_intake_refused_total", "body_too_large"), 6.0);
    unharmed(&mut program, before, 64);
}

#[test]
fn a_hundred_thousand_invented_services_leave_no_trace() {
    let (_folder, mut program) = start("");
    let lines = |from: u32, count: u32| -> String {
        let line = |number| {
            format!(
                "{{\"service\":\"invented-{number}\",\"kind\":\"login\",\"at\":\"2026-01-01T00:00:00Z\",\"source\":\"s{number}\"}}\n"
            )
        };
        (from..from + count).map(line).collect()
    };
    batch(program.address, lines(0, 1000).as_bytes());
    let mut connection = Connection::open(program.address).expect("a connection");
    let mut invent = |number: u32| {
        let [_, _, c, d] = number.to_be_bytes();
        let fields = format!("content-type: application/json\r\nx-forwarded-for: 39.{c}.{d}.1\r\n");
        let body = format!("{{\"service\":\"invented-{number}\",\"kind\":\"login\"}}");
        let answer = connection.ask("POST", "/api/v1/reports", &fields, body.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 422);
    };
    invent(0);
    let before = program.resident_kib();
    let series = program.metric("brownout_series", "");
    let metric_lines =
        |program: &Program| get(program.address, "/metrics").expect("metrics").text().lines().count();
    let kinds = metric_lines(&program);
    for hundred in 1..100 {
        let (status, answer) = batch(program.address, lines(hundred * 1000, 1000).as_bytes());
        assert_eq!(status, 200, "{answer}");
        assert!(answer.contains("\"accepted\":0") && answer.contains("\"refused_total\":1000"), "{answer}");
    }
    // The same one by one, as clients without a token would.
    for number in 1..1000 {
        invent(number);
        assert_eq!(get(program.address, &format!("/s/invented-{number}")).expect("an answer").status, 404);
    }
    assert_eq!(program.metric("brownout_intake_refused_lines_total", "unknown_service"), 100_000.0);
    assert_eq!(program.metric("brownout_intake_refused_total", "unknown_service"), 1000.0);
    assert_eq!(program.metric("brownout_series", ""), series);
    assert_eq!(metric_lines(&program), kinds, "no label comes from a client");
    unharmed(&mut program, before, 48);
}

#[test]
fn text_of_strangers_is_never_markup() {
    let (_folder, mut program) = start("");
    let texts = [
        MARKUP,
        "\"><img src=x onerror=alert(1)>",
        "\u{202e}<b>\u{0}</b>\u{1f4a5}",
        "';--</title><svg/onload=alert(1)>",
    ];
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let mut pages = Vec::new();
    let mut connection = Connection::open(program.address).expect("a connection");
    for (number, text) in texts.iter().enumerate() {
        let coded = encode(text);
        for path in [
            format!("/?q={coded}"),
            format!("/?tz={coded}"),
            format!("/s/x?at={coded}"),
            format!("/s/x?tz={coded}"),
            format!("/s/{coded}"),
            format!("/i/{coded}"),
            format!("/c/{coded}"),
            format!("/incidents?before={coded}"),
            format!("/report?q={coded}"),
            format!("/s/x/reported?weight={coded}"),
            format!("/s/{coded}/report"),
            format!("/{coded}"),
            format!("/api/v1/services/{coded}"),
            format!("/api/v1/incidents/{coded}"),
            format!("/api/v1/services/x/series?facet={coded}"),
            format!("/api/v1/incidents?state={coded}&before={coded}"),
        ] {
            let fields =
                format!("user-agent: {MARKUP}\r\nx-forwarded-for: {MARKUP}\r\nreferer: {MARKUP}\r\n");
            pages.push((path.clone(), connection.ask("GET", &path, &fields, b"").expect("an answer")));
        }
        let one = serde_json::json!({"service": "x", "kind": "login", "comment": text}).to_string();
        let fields = format!(
            "content-type: application/json\r\nuser-agent: {MARKUP}\r\nx-forwarded-for: 39.1.{number}.1, {MARKUP}\r\nidempotency-key: {MARKUP}{number}\r\n"
        );
        for (what, body) in [
            ("report", one),
            ("service", serde_json::json!({"service": text, "kind": "login"}).to_string()),
            ("kind", serde_json::json!({"service": "x", "kind": text}).to_string()),
            ("city", serde_json::json!({"service": "x", "kind": "login", "city": text}).to_string()),
            ("field", serde_json::json!({"service": "x", "kind": "login", *text: text}).to_string()),
        ] {
            let answer =
                connection.ask("POST", "/api/v1/reports", &fields, body.as_bytes()).expect("an answer");
            pages.push((what.to_owned(), answer));
        }
        for key in ["kind", "country", "region", "city", "comment", "altcha"] {
            let form = format!("kind=login&{key}={coded}");
            let form = if key == "kind" { format!("kind={coded}&comment={coded}") } else { form };
            let fields = format!(
                "content-type: application/x-www-form-urlencoded\r\nx-forwarded-for: 39.2.{number}.1\r\n"
            );
            let answer = connection.ask("POST", "/s/x/report", &fields, form.as_bytes()).expect("an answer");
            pages.push((format!("form {key}"), answer));
        }
    }
    // And what is shown after all that.
    for path in ["/", "/s/x", "/incidents", "/s/x/report", "/metrics", "/readyz"] {
        pages.push((path.to_owned(), get(program.address, path).expect("an answer")));
    }
    for (what, answer) in &pages {
        assert!(answer.status < 500, "{what}: {}", answer.status);
        let text = answer.text().to_lowercase();
        for markup in ["<script>alert", "<img src=x", "<svg/onload", "<b>\u{0}", "<b>\u{fffd}"] {
            assert!(!text.contains(markup), "{what}: {text}");
        }
        assert!(!answer.head.contains("<script"), "{what}: {}", answer.head);
        if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            let policy = answer.header("content-security-policy").unwrap_or_default();
            assert!(
                policy.contains("default-src 'none'") || policy.contains("script-src"),
                "{what}: {policy}"
            );
            assert!(
                !policy.contains("unsafe-inline") || !policy.contains("script-src 'unsafe-inline'"),
                "{what}"
            );
        }
    }
    println!("{} answers looked at", pages.len());
    let before = program.resident_kib();
    unharmed(&mut program, before, 16);
}

#[test]
fn odd_questions_to_the_interface_are_answered_or_refused() {
    let (_folder, mut program) = start("");
    let mut connection = Connection::open(program.address).expect("a connection");
    let odd = [
        "",
        "0",
        "-1",
        "1",
        "18446744073709551616",
        "99999999999",
        "1e9",
        "NaN",
        "0x10",
        "null",
        "%00",
        "a,b,,",
        "-9999-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "1970-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "country:",
        "country:ZZ",
        "region:PK-",
        "city:-1",
        "city:4294967296",
        "network:0",
        "kind:none",
        ":",
        "channel:65536",
        "all",
    ];
    let names = ["limit", "from", "to", "before", "facet", "state", "at", "tz", "step"];
    for path in [
        "/api/v1/services/x/series",
        "/api/v1/incidents",
        "/s/x",
        "/",
        "/incidents",
        "/i/x-0",
        "/i/x-99999999999999",
        "/api/v1/incidents/x--1",
    ] {
        for name in names {
            for value in odd {
                let path = format!("{path}?{name}={value}&{name}={value}");
                let answer = connection.ask("GET", &path, "", b"").expect("an answer");
                assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
                let path = path.split('&').next().unwrap_or_default();
                let answer = connection.ask("GET", path, "", b"").expect("an answer");
                assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.text());
                assert!(answer.body.len() < 2 << 20, "{path}: {} bytes", answer.body.len());
            }
        }
    }
    let before = program.resident_kib();
    unharmed(&mut program, before, 16);
}
