//! Starts and ends the real program.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::http;

/// Longest wait for the program to listen.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest wait for it to end when it was asked to.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How to start the program.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The executable.
    pub program: PathBuf,
    /// Its data folder, as the program sees it.
    pub data: PathBuf,
    /// Where its configuration is written.
    pub config: PathBuf,
    /// Lines of the configuration's section `[listen]` after its address.
    pub listen: String,
    /// More of the configuration, whole sections.
    pub sections: String,
    /// Variables of its environment.
    pub variables: Vec<(String, OsString)>,
    /// A command that runs the program, which follows as its last arguments.
    pub inside: Vec<String>,
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Plan {
    /// The program on a data folder inside `folder`, where its configuration goes too. Clients on
    /// the same machine may say who they are, and are hardly slowed down.
    pub fn new(program: &Path, folder: &Path) -> Self {
        Plan {
            program: program.to_owned(),
            data: folder.join("data"),
            config: folder.join("lab.toml"),
            listen: String::new(),
            sections: "[proxies]\ntrusted = [\"127.0.0.0/8\"]\n\n[intake]\nsource_per_minute = 100000\n\
                source_burst = 100000\nsubnet_per_minute = 10000000\nsubnet_burst = 10000000\n\
                proof_of_work = \"off\"\n"
                .to_owned(),
            variables: Vec::new(),
            inside: Vec::new(),
        }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it ends or says nothing; with what it said.
    pub fn start(&self) -> io::Result<Program> {
        let data = toml_text(&self.data);
        let text = format!(
            "[data]\nfolder = {data}\n\n[listen]\naddress = \"127.0.0.1:0\"\n{}\n{}",
            self.listen, self.sections
        );
        fs::write(&self.config, text)?;
        let mut words = self.inside.iter().map(OsString::from).collect::<Vec<_>>();
        words.extend([self.program.clone().into(), "serve".into(), "--config".into()]);
        words.push(self.config.clone().into());
        let mut command = Command::new(&words[0]);
        for name in ["CONFIG", "DATA", "LISTEN", "SERVER", "LOG", "LOG_FORMAT"] {
            command.env_remove(format!("BROWNOUT_{name}"));
        }
        command.env("RUST_BACKTRACE", "0").args(&words[1..]).envs(self.variables.iter().cloned());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let said = Arc::new(Mutex::new(String::new()));
        let (listens, address) = channel();
        let errors = child.stderr.take().ok_or_else(|| io::Error::other("no standard error"))?;
        let kept = said.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("brownout listens on http://") {
                    let _ = listens.send(rest.trim_end_matches('/').to_owned());
                }
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut program =
            Program { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), said, reader: Some(reader) };
        match program.listening(&address) {
            Some(address) => program.address = address,
            None => return Err(io::Error::other(format!("it does not listen: {}", program.said()))),
        }
        Ok(program)
    }
}

impl Program {
    fn listening(&mut self, address: &Receiver<String>) -> Option<SocketAddr> {
        address.recv_timeout(START_MAX).ok()?.parse().ok()
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it at once, as a power cut would, and waits until it is gone.
    pub fn kill(mut self) -> String {
        self.end();
        self.said()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    /// Asks it to stop and waits.
    ///
    /// # Errors
    /// When it does not stop; it is killed then.
    pub fn stop(mut self) -> io::Result<(ExitStatus, String)> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                self.end();
                return Ok((status, self.said()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other(format!("it does not stop: {}", self.said())))
    }

    /// Resident memory in KiB; 0 where it cannot be told.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The sum of a metric over its labels, of those whose labels contain `label`; 0 when there is
    /// none, and not a number when nobody answers.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let Ok(text) = http::get(self.address, "/metrics").map(|answer| answer.text()) else {
            return f64::NAN;
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            let found = key.split('{').next() == Some(name) && key.contains(label);
            found.then(|| value.parse::<f64>().ok())?
        });
        values.sum()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

fn toml_text(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}
