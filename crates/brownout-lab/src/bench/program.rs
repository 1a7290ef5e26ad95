//! The real program as a process, and what the machine says of it.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client;

/// How long anything may take to come up or go down.
const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration of measured servers: a proxy on this machine tells the clients' addresses, and
/// no client is slowed down.
const CONFIG: &str = "[proxies]\ntrusted = [\"127.0.0.1/32\"]\n\n[intake]\nsource_per_minute = 100000\n\
    source_burst = 100000\nsubnet_per_minute = 100000\nsubnet_burst = 100000\nproof_of_work = \"off\"\n";

/// A running server.
pub(super) struct Program {
    child: Child,
    pub(super) address: SocketAddr,
    /// From the start of the process to its first answer.
    pub(super) first_answer: Duration,
}

impl Program {
    /// Starts `brownout serve` on a folder; `config` is added to the configuration.
    pub(super) fn serve(program: &Path, data: &Path, config: &str) -> io::Result<Self> {
        fs::create_dir_all(data)?;
        let file = data.with_extension("toml");
        fs::write(&file, format!("{CONFIG}\n{config}"))?;
        Self::start(
            Command::new(program).arg("serve").arg("--config").arg(file).arg("--data").arg(data),
            "/healthz",
        )
    }

    /// Starts the program with a free port and waits until `path` is answered.
    pub(super) fn start(command: &mut Command, path: &str) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        for name in ["CONFIG", "DATA", "LISTEN", "LOG", "LOG_FORMAT"] {
            command.env_remove(format!("BROWNOUT_{name}"));
        }
        command.args(["--log-level", "error", "--listen", &address.to_string()]);
        let begun = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        let mut program = Program { child, address, first_answer: Duration::ZERO };
        while begun.elapsed() < PATIENCE {
            if client::get(address, path).is_ok_and(|answer| answer.status == 200) {
                program.first_answer = begun.elapsed();
                return Ok(program);
            }
            if let Some(status) = program.child.try_wait()? {
                return Err(io::Error::other(format!("the program ended: {status}")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// A figure of `/metrics`.
    pub(super) fn metric(&self, name: &str) -> io::Result<f64> {
        let text = String::from_utf8_lossy(&client::get(self.address, "/metrics")?.body).into_owned();
        let start = format!("brownout_{name}");
        let line = text
            .lines()
            .find(|line| line.strip_prefix(&start).is_some_and(|rest| rest.starts_with(['{', ' '])));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no figure {start}")))
    }

    /// Memory in use now and at most so far, in bytes.
    pub(super) fn memory(&self) -> io::Result<Memory> {
        Memory::of(&self.child.id().to_string())
    }

    /// Stops it as an operator would and waits.
    pub(super) fn stop(mut self) -> io::Result<()> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only what is still there after an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) now: u64,
    pub(super) peak: u64,
}

impl Memory {
    /// Of a process by its number, or of `self`.
    pub(super) fn of(process: &str) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let figure = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
        };
        let missing = || io::Error::other("the system does not tell a process's memory");
        Ok(Memory { now: figure("VmRSS:").ok_or_else(missing)?, peak: figure("VmHWM:").ok_or_else(missing)? })
    }
}

/// Mean time of an append with `fdatasync` in a folder.
pub(super) fn fdatasync(folder: &Path, time: Duration) -> io::Result<Duration> {
    use std::io::Write;
    let path = folder.join("fdatasync.tmp");
    let mut file = fs::File::create(&path)?;
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < time {
        file.write_all(&[0x5A; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    let each = begun.elapsed() / count.max(1);
    drop(file);
    fs::remove_file(path)?;
    Ok(each)
}
