//! The scenarios of reachability with real packets: network namespaces, real servers, the real program.
//!
//! Four countries with two providers each. A provider is a router with a resolver (dnsmasq); behind it is the
//! probe. The sites stand elsewhere (nginx), and so does the control. What interferes is made of the parts that
//! interfere in the world: a resolver that lies, rules that drop and reset (iptables, also by the name in a
//! handshake), a false certificate behind a redirection, a queue that slows down (tc). Every condition is measured
//! with packets in each network; the hours of a scenario repeat what was measured. All traffic stays inside the
//! namespaces, which go when this does.

mod measured;
mod net;
mod servers;

use std::io;
use std::path::{Path, PathBuf};

use crate::reach::{Outcome, Scenario, play_in};

pub use measured::Wire;

/// Programs that must be there, with the Debian packages that have them.
const NEEDED: [(&str, &str); 7] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("iptables", "iptables"),
    ("ip6tables", "iptables"),
    ("nginx", "nginx-light"),
    ("dnsmasq", "dnsmasq-base"),
    ("openssl", "openssl"),
];

/// Why no real packets can be sent here; `None` where they can.
pub fn missing() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let is_there = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    let mut packages: Vec<&str> =
        NEEDED.iter().filter(|(name, _)| !is_there(name)).map(|(_, package)| *package).collect();
    packages.dedup();
    if !packages.is_empty() {
        return Some(format!("not installed: {}", packages.join(", ")));
    }
    net::trial().err().map(|error| format!("namespaces cannot be made: {error}"))
}

/// The network, ready to be measured.
pub struct Lab {
    wire: Wire,
}

impl Lab {
    /// Builds it; files go to a folder that is there.
    ///
    /// # Errors
    /// A namespace, a server or the control does not come up.
    pub fn new(program: &Path, folder: &Path, repeats: usize) -> io::Result<Self> {
        Ok(Lab { wire: Wire::new(program, folder, repeats)? })
    }

    /// Measures what a scenario needs, and plays it.
    ///
    /// # Errors
    /// A condition cannot be made or measured.
    pub fn play(&mut self, scenario: &Scenario, seed: u64) -> io::Result<Outcome> {
        self.wire.prepare(scenario)?;
        play_in(&mut self.wire, scenario, seed)
            .ok_or_else(|| io::Error::other("the scenario cannot be played"))
    }

    /// Measurements that were taken with packets so far.
    pub fn measured(&self) -> usize {
        self.wire.measured
    }
}
