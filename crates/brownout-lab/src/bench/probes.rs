//! Checks of targets on loopback, beside Debian's prometheus-blackbox-exporter.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::paper::{Paper, bytes, count, rounds};
use super::program::Memory;
use super::trivial::Trivial;
use super::{Settings, client, median};

/// The peer's program.
const PEER: &str = "prometheus-blackbox-exporter";
/// Checks at once, on both sides.
const AT_ONCE: usize = 64;
/// What the peer is asked to do: a GET, and a connection; over IPv4, as the targets are.
const MODULES: &str = "modules:\n  fetch:\n    prober: http\n    timeout: 5s\n    http:\n      \
    preferred_ip_protocol: ip4\n  connect:\n    prober: tcp\n    timeout: 5s\n    tcp:\n      \
    preferred_ip_protocol: ip4\n";
/// A page as large as a small site's first.
const PAGE_BYTES: usize = 6_000;

/// A process that ends when this does.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many checks a second, and how much memory.
pub(super) fn probes(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let page = client::Got {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())],
        body: [b"<!doctype html><title>A page</title>".as_slice(), &[b'x'; PAGE_BYTES]].concat(),
    };
    let site = Trivial::start(Some(&page))?;
    let limit =
        median((0..settings.rounds).map(|_| bare(site.address, settings.time)).collect::<io::Result<_>>()?);
    paper.note("bare clients: connect, ask, read, close, a second", count(limit));
    let peer = Peer::start(settings).ok();
    if peer.is_none() {
        paper.explain(format!(
            "**Probes**: {PEER} is not installed here (`apt-get install {PEER}`); ours was measured alone."
        ));
    }
    for (depth, name) in [("fetch", "HTTP"), ("connect", "TCP")] {
        let (mut ours, mut theirs, mut memory) = (vec![], vec![], 0);
        let mut checks = 400;
        for _ in 0..settings.rounds {
            let (rate, peak) = measure(settings, site.address, (depth, checks), None)?;
            memory = memory.max(peak);
            ours.push(rate);
            // From the second round on as many as take the time.
            checks = ((rate * settings.time.as_secs_f64()) as usize).clamp(400, 200_000);
            if let Some(peer) = &peer {
                theirs.push(peer.rate(site.address, depth, settings.time)?);
            }
        }
        // The first, shorter round is mostly the start of the program.
        let (rate, best) = (median(ours[usize::from(ours.len() > 1)..].to_vec()), median(theirs.clone()));
        let title = format!("{name} checks/s, {AT_ONCE} at once, a connection each");
        match (peer.is_some(), depth) {
            (true, "fetch") => paper.bar(
                &title,
                format!(
                    "{} ({:.1} times the peer's {}, {:.0}% of bare clients)",
                    count(rate),
                    rate / best,
                    count(best),
                    100.0 * rate / limit
                ),
                "10 times the peer",
                rate >= 10.0 * best,
            ),
            (true, _) => paper.note(
                &title,
                format!("{} ({:.1} times the peer's {})", count(rate), rate / best, count(best)),
            ),
            (false, _) => paper.note(&title, count(rate)),
        }
        paper.note(&format!("{name} checks, memory at the peak"), bytes(memory));
        paper.explain(format!(
            "**{name} checks.** `brownout probe measure --depth {depth} --targets FILE --into FILE`: the whole \
             program from its start to the last document on disk, every check judged and written in OONI's form \
             with a time for each stage; beside it `{PEER}`, asked for `/probe?module={depth}` over {AT_ONCE} \
             keep-alive connections. Neither keeps a connection to the target. Rounds, ours: {}; peer: {}.",
            rounds(&ours),
            rounds(&theirs)
        ));
    }
    full(settings, site.address, paper)?;
    if let Some(peer) = &peer {
        paper.note("the peer's memory at the peak", bytes(peer.memory()?));
    }
    Ok(())
}

/// What this machine can do at all: clients that only connect, ask, read the answer and close, on all cores.
fn bare(site: SocketAddr, time: Duration) -> io::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let end = begun + time;
        let client = move || async move {
            let (mut fine, mut buffer) = (0_u64, Vec::with_capacity(16 << 10));
            while Instant::now() < end {
                let mut stream = TcpStream::connect(site).await?;
                stream.write_all(b"GET /page HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
                buffer.clear();
                while !is_whole(&buffer) {
                    if stream.read_buf(&mut buffer).await? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                    }
                }
                fine += 1;
            }
            Ok(fine)
        };
        let clients: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(client())).collect();
        let mut fine = 0;
        for client in clients {
            fine += client.await.map_err(io::Error::other)??;
        }
        Ok(fine as f64 / begun.elapsed().as_secs_f64())
    })
}

/// Whole measurements, each with a control that does the same.
fn full(settings: &Settings, site: SocketAddr, paper: &mut Paper) -> io::Result<()> {
    let address = free()?;
    let mut command = Command::new(&settings.program);
    command.args(["probe", "control", "--allow-private", "--resolver", "127.0.0.1:9", "--listen"]);
    command.arg(address.to_string()).args(["--per-second", "100000", "--at-once", "256"]);
    let control = Helper(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    wait_for(address)?;
    let url = format!("http://{address}/api/v1/control");
    let (mut rates, mut memory, mut runs) = (vec![], 0, 200);
    for _ in 0..settings.rounds {
        let (rate, peak) = measure(settings, site, ("full", runs), Some(&url))?;
        memory = memory.max(peak);
        rates.push(rate);
        runs = ((rate * settings.time.as_secs_f64()) as usize).clamp(200, 100_000);
    }
    let of_control = Memory::of(&control.0.id().to_string())?.peak;
    let rate = median(rates[usize::from(rates.len() > 1)..].to_vec());
    paper.note("full measurements/s with a control, HTTP, an address", count(rate));
    paper.note("the same, memory at the peak", format!("{}, control {}", bytes(memory), bytes(of_control)));
    paper.explain(format!(
        "**Full measurements.** `brownout probe measure --control` beside `brownout probe control`: connection, \
         page and echo here, and the same at the control. Rounds: {}.",
        rounds(&rates)
    ));
    Ok(())
}

/// Runs the program on so many checks; checks per second, and its memory at the peak.
fn measure(
    settings: &Settings,
    site: SocketAddr,
    (depth, checks): (&str, usize),
    control: Option<&str>,
) -> io::Result<(f64, u64)> {
    let (targets, into) = (settings.folder.join("targets"), settings.folder.join("measured.jsonl"));
    let mut file = io::BufWriter::new(fs::File::create(&targets)?);
    for check in 0..checks {
        writeln!(file, "http://{site}/page?{check}")?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    let mut command = Command::new(&settings.program);
    command.args(["probe", "measure", "--allow-private", "--resolver", "127.0.0.1:9", "--output", "ndjson"]);
    command.args(["--per-second", "100000", "--depth", depth, "--at-once", &AT_ONCE.to_string()]);
    command.arg("--targets").arg(&targets).arg("--into").arg(&into);
    if let Some(url) = control {
        command.args(["--control", url]);
    }
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak.max(Memory::of(&child.id().to_string()).map_or(0, |memory| memory.peak));
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = begun.elapsed().as_secs_f64();
    let documents = memchr::memchr_iter(b'\n', &fs::read(&into)?).count();
    fs::remove_file(&into)?;
    match status.success() && documents == checks {
        true => Ok((checks as f64 / seconds, peak)),
        false => Err(io::Error::other(format!("{documents} of {checks} checks at depth {depth}: {status}"))),
    }
}

/// The peer at work.
struct Peer {
    process: Helper,
    address: SocketAddr,
}

impl Peer {
    fn start(settings: &Settings) -> io::Result<Self> {
        let config: PathBuf = settings.folder.join("blackbox.yml");
        fs::write(&config, MODULES)?;
        let address = free()?;
        let mut command = Command::new(PEER);
        command.arg(argument("--config.file=", &config)).arg(format!("--web.listen-address={address}"));
        command.args(["--log.level=error"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Helper(command.spawn()?);
        wait_for(address)?;
        Ok(Peer { process, address })
    }

    fn memory(&self) -> io::Result<u64> {
        Ok(Memory::of(&self.process.0.id().to_string())?.peak)
    }

    /// Checks per second, over as many keep-alive connections as there are checks at once.
    fn rate(&self, site: SocketAddr, module: &str, time: Duration) -> io::Result<f64> {
        let target = if module == "fetch" { format!("http://{site}/page") } else { site.to_string() };
        let request =
            format!("GET /probe?module={module}&target={target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let begun = Instant::now();
            let end = begun + time;
            let askers: Vec<_> =
                (0..AT_ONCE).map(|_| tokio::spawn(ask(self.address, request.clone(), end))).collect();
            let mut fine = 0;
            for asker in askers {
                fine += asker.await.map_err(io::Error::other)??;
            }
            Ok(fine as f64 / begun.elapsed().as_secs_f64())
        })
    }
}

/// Asks again and again over one connection; how many checks succeeded.
async fn ask(address: SocketAddr, request: String, end: Instant) -> io::Result<u64> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut fine, mut buffer) = (0, Vec::with_capacity(16 << 10));
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await?;
        buffer.clear();
        // Its answers come in chunks, the last of which is empty.
        while !buffer.ends_with(b"\r\n0\r\n\r\n") && !is_whole(&buffer) {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if memmem::find(&buffer, b"\nprobe_success 1").is_none() {
            return Err(io::Error::other(String::from_utf8_lossy(&buffer).into_owned()));
        }
        fine += 1;
    }
    Ok(fine)
}

/// Whether an answer with a length has come.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(head) = memmem::find(bytes, b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= head + 4 + length)
}

fn argument(name: &str, path: &Path) -> String {
    format!("{name}{}", path.display())
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn wait_for(address: SocketAddr) -> io::Result<()> {
    for _ in 0..1_000 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(io::ErrorKind::TimedOut.into())
}
