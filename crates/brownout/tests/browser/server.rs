//! The real program, serving from an empty folder.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `brownout serve`. Ends with this value.
pub(crate) struct Server {
    process: Child,
    /// Where it listens, such as `http://127.0.0.1:40001`.
    pub(crate) base: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts `brownout serve` with this configuration on a port that the system chooses.
    pub(crate) fn start(config: &str) -> Server {
        Server::run(config, &["serve", "--data", "data"])
    }

    /// Starts `brownout demo`: the outage of 10 March 2025, as fast as it goes.
    pub(crate) fn demo() -> Server {
        Server::run("", &["demo", "--speed", "3600"])
    }

    fn run(config: &str, arguments: &[&str]) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("brownout.toml"), config).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
        for name in ["CONFIG", "DATA", "LISTEN", "SERVER", "LOG", "LOG_FORMAT"] {
            command.env_remove(format!("BROWNOUT_{name}"));
        }
        let mut process = command
            .args(arguments)
            .args(["--config", "brownout.toml", "--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("its messages")).lines();
        let base = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.get(line.find("http://")?..)?.trim_end_matches('/').to_owned()))
            .expect("it says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        let server = Server { process, base, _folder: folder };
        server.wait_until_ready();
        server
    }

    /// The value of a counter of `/metrics` that has no labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut answer = ureq::get(format!("{}/metrics", self.base)).call().expect("metrics");
        let text = answer.body_mut().read_to_string().expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    }

    fn wait_until_ready(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while ureq::get(format!("{}/readyz", self.base)).call().is_err() {
            assert!(Instant::now() < end, "it does not become ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
