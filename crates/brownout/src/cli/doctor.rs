//! `brownout doctor`: looks at what the program needs, changes nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use brownout_store::embedded::Admin;
use clap::Args;
use serde_json::json;

use super::client::Client;
use super::{Console, Exit, Failure, Settings, Table, check};
use crate::config::Config;

/// Name of the lock file in the data folder.
const LOCK_FILE: &str = "LOCK";
/// Below this much free space a warning is due.
const FREE_BYTES_LOW: u64 = 1 << 30;
/// Below this much free space nothing good happens.
const FREE_BYTES_MIN: u64 = 64 << 20;
/// Free databases of this kind appear weekly to monthly, so an older one was forgotten.
const MMDB_DAYS_OLD: i64 = 90;
/// No honest clock is before this version was made (2025-01-01T00:00:00Z).
const CLOCK_SECONDS_MIN: u64 = 1_735_689_600;
/// How long the disk is measured.
const SYNC_TIME: Duration = Duration::from_millis(500);
/// The slowest flush at which single reports are still taken smoothly: 20 ms.
const SYNCS_PER_SECOND_LOW: f64 = 50.0;

/// Looks at what the program needs.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  brownout doctor\n  brownout doctor --output json\n\nEnds with 3 when something fails."
)]
pub struct Doctor {
    /// Address to look at, instead of the configured one
    #[arg(long, value_name = "ADDRESS:PORT", env = "BROWNOUT_LISTEN")]
    pub listen: Option<SocketAddr>,
}

/// How one look turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warn,
    /// Does not work.
    Fail,
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Warn => "warn",
            Health::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it is.
    pub health: Health,
    /// What was seen.
    pub detail: String,
}

fn finding(what: &str, health: Health, detail: impl Into<String>) -> Finding {
    Finding { what: what.to_owned(), health, detail: detail.into() }
}

pub(super) fn run(args: &Doctor, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, file) = match settings.load(args.listen) {
        Ok(loaded) => loaded,
        Err(failure) => {
            console.say(&failure.message);
            let broken = vec![finding("configuration", Health::Fail, "not valid; see above")];
            print(&broken, console)?;
            return Ok(failure.exit);
        }
    };
    let findings = examine(&config, file.as_deref());
    print(&findings, console)?;
    let failed = findings.iter().any(|finding| finding.health == Health::Fail);
    Ok(if failed { Exit::CheckFailed } else { Exit::Ok })
}

fn print(findings: &[Finding], console: &mut Console<'_>) -> Result<(), Failure> {
    let mut table = Table::new(&["what", "health", "detail"]);
    table.rows =
        findings.iter().map(|f| vec![json!(f.what), json!(f.health.word()), json!(f.detail)]).collect();
    console.table(&table)
}

/// Looks at everything.
pub fn examine(config: &Config, file: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![configuration(config, file)];
    findings.extend(data_folder(&config.data.folder));
    findings.push(port(config.listen.address));
    findings.push(clock(&config.data.folder, SystemTime::now()));
    findings.push(catalogue(config));
    findings.extend(databases(config));
    findings
}

fn configuration(config: &Config, file: Option<&Path>) -> Finding {
    let name = file.map_or("defaults, no file".to_owned(), |file| file.display().to_string());
    match config.warnings().first() {
        Some(warning) => finding("configuration", Health::Warn, format!("{name}: {warning}")),
        None => finding("configuration", Health::Ok, name),
    }
}

fn data_folder(folder: &Path) -> Vec<Finding> {
    let name = folder.display();
    let there = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => folder.to_owned(),
        Ok(_) => return vec![finding("data folder", Health::Fail, format!("{name} is not a folder"))],
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // It is made at the first start, so what counts is the folder it will be made in.
            let parent = folder.ancestors().skip(1).find(|parent| parent.is_dir());
            let parent = parent.map_or(PathBuf::from("."), Path::to_owned);
            let place = parent.display();
            let created = match rustix::fs::access(&parent, rustix::fs::Access::WRITE_OK) {
                Ok(()) => {
                    let detail = format!("{name} is not there yet; the first start makes it in {place}");
                    finding("data folder", Health::Ok, detail)
                }
                Err(error) => {
                    let detail = format!("{name} is not there and cannot be made in {place}: {error}");
                    finding("data folder", Health::Fail, detail)
                }
            };
            return vec![created, free_space(&parent)];
        }
        Err(error) => return vec![finding("data folder", Health::Fail, format!("{name}: {error}"))],
    };
    let mut findings = vec![finding("data folder", Health::Ok, name.to_string()), lock(&there)];
    findings.push(free_space(&there));
    findings.push(sync_speed(&there));
    findings.extend(tokens(&there));
    findings
}

/// Whether the database of tokens and channels is sound, and whether it once was not.
fn tokens(folder: &Path) -> Option<Finding> {
    if let Some(Err(error)) = Admin::examine(folder) {
        return Some(finding("tokens", Health::Fail, error.to_string()));
    }
    let aside = folder.join("admin.sqlite.damaged");
    aside.exists().then(|| {
        let detail = format!(
            "were damaged and set aside: make them again (`brownout token add`), then remove {}",
            aside.display()
        );
        finding("tokens", Health::Warn, detail)
    })
}

/// Who holds the folder. The lock is asked for, never waited for, and let go at once.
fn lock(folder: &Path) -> Finding {
    let path = folder.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return finding("lock", Health::Ok, "free"),
        Err(error) => return finding("lock", Health::Fail, format!("{}: {error}", path.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => finding("lock", Health::Ok, "free"),
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            let holder: String = holder.trim().chars().filter(|c| !c.is_control()).take(80).collect();
            let who =
                if holder.is_empty() { "another process".to_owned() } else { format!("process {holder}") };
            finding("lock", Health::Ok, format!("held by {who}"))
        }
        Err(TryLockError::Error(error)) => finding("lock", Health::Warn, error.to_string()),
    }
}

fn free_space(folder: &Path) -> Finding {
    match rustix::fs::statvfs(folder) {
        Ok(stats) => {
            let free = stats.f_bavail.saturating_mul(stats.f_frsize);
            let health = match free {
                0..FREE_BYTES_MIN => Health::Fail,
                FREE_BYTES_MIN..FREE_BYTES_LOW => Health::Warn,
                _ => Health::Ok,
            };
            finding("free space", health, format!("{:.1} GiB", free as f64 / f64::from(1 << 30)))
        }
        Err(error) => finding("free space", Health::Warn, error.to_string()),
    }
}

/// Writes and flushes 4 KiB again and again, as the log does for single reports.
fn sync_speed(folder: &Path) -> Finding {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let measured = measure_syncs(&path);
    let _ = fs::remove_file(&path);
    match measured {
        Ok(per_second) => {
            let health = if per_second < SYNCS_PER_SECOND_LOW { Health::Warn } else { Health::Ok };
            let detail = format!("{per_second:.0} fdatasync/s, {:.2} ms each", 1000.0 / per_second.max(1e-3));
            finding("disk flush", health, detail)
        }
        Err(error) => {
            finding("disk flush", Health::Fail, format!("{} cannot be written: {error}", folder.display()))
        }
    }
}

fn measure_syncs(path: &Path) -> std::io::Result<f64> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let block = [0x5a_u8; 4096];
    let begun = Instant::now();
    let mut count = 0u32;
    while count < 2000 && begun.elapsed() < SYNC_TIME {
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

fn port(address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => finding("port", Health::Ok, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let answers =
                Client::new(&format!("http://{address}")).and_then(|client| client.text("/healthz", &[]));
            match answers {
                Ok(_) => finding("port", Health::Ok, format!("{address} is served and answers /healthz")),
                Err(_) => finding("port", Health::Fail, format!("{address} is taken by another program")),
            }
        }
        Err(error) => finding("port", Health::Fail, format!("{address}: {error}")),
    }
}

/// Time moves records, so a clock that went back makes them pile up at one instant.
fn clock(folder: &Path, now: SystemTime) -> Finding {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since_epoch.as_secs() < CLOCK_SECONDS_MIN {
        return finding("clock", Health::Fail, "before 2025: the clock is not set");
    }
    let newest = fs::read_dir(folder).ok().into_iter().flatten().flatten();
    let newest = newest.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
    match newest.and_then(|newest| newest.duration_since(now).ok()).filter(|ahead| ahead.as_secs() > 5) {
        Some(ahead) => {
            let detail = format!("the data folder was last written {} s in the future", ahead.as_secs());
            finding("clock", Health::Fail, detail)
        }
        None => finding("clock", Health::Ok, "not before anything in the data folder"),
    }
}

fn catalogue(config: &Config) -> Finding {
    let name = config.catalogue.file.as_ref().map_or_else(
        || "the shipped catalogue".to_owned(),
        |file| format!("the shipped catalogue and {}", file.display()),
    );
    match check::services(config) {
        Ok(services) => finding("catalogue", Health::Ok, format!("{name}: {} services", services.len())),
        Err(problems) => {
            let more = match problems.len() {
                0 | 1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            finding(
                "catalogue",
                Health::Fail,
                format!("{}{more}", problems.first().map_or("", String::as_str)),
            )
        }
    }
}

fn databases(config: &Config) -> Vec<Finding> {
    let (sources, bad) = check::databases(config);
    let mut findings: Vec<Finding> =
        bad.into_iter().map(|why| finding("addresses", Health::Fail, why)).collect();
    for source in sources {
        let Some(content) = source.content else { continue };
        let is_file = config.addresses.files().any(|(_, file)| file.display().to_string() == source.name);
        // The embedded table is as old as the program; only the operator's own files are forgotten.
        let old = is_file && source.age_days.is_some_and(|days| days > MMDB_DAYS_OLD);
        let age = source.age_days.map_or(String::new(), |days| format!(", {days} day(s) old"));
        let what = if is_file { format!("{}: {content}", source.name) } else { source.name };
        findings.push(finding(
            "addresses",
            if old { Health::Warn } else { Health::Ok },
            format!("{what}{age}"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health_of<'a>(findings: &'a [Finding], what: &str) -> Option<&'a Finding> {
        findings.iter().find(|finding| finding.what == what)
    }

    #[test]
    fn a_fresh_folder_is_healthy_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = Config::default();
        config.data.folder = folder.path().to_owned();
        config.listen.address = SocketAddr::from(([127, 0, 0, 1], 0));
        let findings = examine(&config, None);
        for what in ["configuration", "data folder", "lock", "port", "clock", "catalogue", "addresses"] {
            assert_eq!(health_of(&findings, what).map(|f| f.health), Some(Health::Ok), "{what}");
        }
        let flush = health_of(&findings, "disk flush").expect("measured");
        assert!(flush.detail.contains("fdatasync/s"), "{}", flush.detail);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(LOCK_FILE);
        fs::write(&path, "4711\n").expect("written");
        assert_eq!(lock(folder.path()).detail, "free");
        let held = File::open(&path).expect("a file");
        held.lock().expect("the lock");
        assert_eq!(lock(folder.path()).detail, "held by process 4711");
    }

    #[test]
    fn a_foreign_listener_is_told_from_our_own() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let stranger = std::thread::spawn(move || drop(listener.accept()));
        assert_eq!(port(address).health, Health::Fail);
        stranger.join().expect("joined");
    }

    #[test]
    fn a_clock_behind_the_data_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("x"), "").expect("written");
        let hour = Duration::from_secs(3600);
        assert_eq!(clock(folder.path(), SystemTime::now()).health, Health::Ok);
        assert_eq!(clock(folder.path(), SystemTime::now() - hour).health, Health::Fail);
        assert_eq!(clock(folder.path(), SystemTime::UNIX_EPOCH + hour).health, Health::Fail);
    }

    #[test]
    fn a_file_that_is_no_database_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.mmdb");
        fs::write(&path, "not a database").expect("written");
        let mut config = Config::default();
        config.addresses.asn_mmdb = Some(path);
        assert_eq!(databases(&config)[0].health, Health::Fail);
    }
}
