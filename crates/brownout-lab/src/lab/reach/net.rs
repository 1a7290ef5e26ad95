//! Namespaces, the lines between them, and what interferes on the way.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Output, Stdio};

use crate::reach::{How, Site};

/// A process that ends when this does.
#[derive(Debug)]
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All namespaces of one lab, which go when this does.
#[derive(Debug)]
pub(super) struct Net {
    prefix: String,
    made: Vec<String>,
}

/// Whether a namespace can be made here.
pub(super) fn trial() -> io::Result<()> {
    let mut net = Net::new();
    net.add("try").map(|_| ())
}

/// Runs a command to its end; what it said is the error.
pub(super) fn run(words: &[&str]) -> io::Result<Output> {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{}: {said}", words.join(" "))))
}

impl Net {
    pub(super) fn new() -> Self {
        Net { prefix: format!("bo{}", std::process::id() % 100_000), made: Vec::new() }
    }

    /// The name of a namespace.
    pub(super) fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.prefix)
    }

    /// Makes a namespace that forwards and lets everybody ask for echoes.
    pub(super) fn add(&mut self, of: &str) -> io::Result<()> {
        let name = self.name(of);
        run(&["ip", "netns", "add", &name])?;
        self.made.push(name);
        self.inside(of, &["ip", "link", "set", "lo", "up"])?;
        for setting in [
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv6.conf.all.accept_dad=0",
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv4.ping_group_range=0 2147483647",
        ] {
            self.inside(of, &["sysctl", "-q", "-w", setting])?;
        }
        Ok(())
    }

    /// Runs a command in a namespace.
    pub(super) fn inside(&self, of: &str, words: &[&str]) -> io::Result<Output> {
        let name = self.name(of);
        run(&[&["ip", "netns", "exec", &name], words].concat())
    }

    /// The same as a command that is still to be started.
    pub(super) fn command(&self, of: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(of)]).stdin(Stdio::null());
        command
    }

    /// A line between two namespaces, with the addresses of both ends.
    pub(super) fn line(&self, (from, to): (&str, &str), ends: [(&str, &str); 2]) -> io::Result<()> {
        let (from_name, to_name) = (self.name(from), self.name(to));
        // The name of an interface has fifteen letters at most; it is of its namespace alone.
        let (near, far) = (format!("v-{to}"), format!("v-{from}"));
        run(&[
            "ip", "link", "add", &near, "netns", &from_name, "type", "veth", "peer", "name", &far, "netns",
            &to_name,
        ])?;
        for (of, device, (v4, v6)) in [(from, &near, ends[0]), (to, &far, ends[1])] {
            self.inside(of, &["ip", "addr", "add", v4, "dev", device])?;
            self.inside(of, &["ip", "-6", "addr", "add", v6, "dev", device, "nodad"])?;
            self.inside(of, &["ip", "link", "set", device, "up"])?;
        }
        Ok(())
    }

    /// A way to a block, of either family.
    pub(super) fn route(&self, of: &str, block: &str, via: &str) -> io::Result<()> {
        let family = if via.contains(':') { "-6" } else { "-4" };
        self.inside(of, &["ip", family, "route", "add", block, "via", via]).map(|_| ())
    }

    /// Puts rules on a provider's router that interfere with sites on the way to its customers.
    pub(super) fn interfere(&self, isp: &str, customers: &str, how: How, sites: &[Site]) -> io::Result<()> {
        let rule = |site: &Site, words: &[&str]| -> io::Result<()> {
            let (v4, v6) = (site.address.to_string(), site.address_v6().to_string());
            self.inside(
                isp,
                &[&["iptables", "-w", "-I", "FORWARD", "-p", "tcp", "-d", &v4], words].concat(),
            )?;
            self.inside(
                isp,
                &[&["ip6tables", "-w", "-I", "FORWARD", "-p", "tcp", "-d", &v6], words].concat(),
            )?;
            Ok(())
        };
        let reset = ["-j", "REJECT", "--reject-with", "tcp-reset"];
        match how {
            How::TcpDrop => sites.iter().try_for_each(|site| rule(site, &["-j", "DROP"])),
            How::TcpReset => sites.iter().try_for_each(|site| rule(site, &reset)),
            How::TlsResetSni => sites.iter().try_for_each(|site| {
                let by_name = ["-m", "string", "--algo", "bm", "--string", site.host];
                rule(site, &[&by_name[..], &reset].concat())
            }),
            How::TlsMitm => sites.iter().try_for_each(|site| {
                let to = ["--dport", "443", "-j", "REDIRECT", "--to-ports", "8443"];
                let (v4, v6) = (site.address.to_string(), site.address_v6().to_string());
                for (tables, address) in [("iptables", &v4), ("ip6tables", &v6)] {
                    let words = [tables, "-w", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-d", address];
                    self.inside(isp, &[&words[..], &to].concat())?;
                }
                Ok(())
            }),
            How::Throttle => self.slow_down(isp, customers, sites),
            How::V6Broken => {
                self.inside(isp, &["ip6tables", "-w", "-I", "FORWARD", "-j", "DROP"]).map(|_| ())
            }
            How::CutOff => {
                for tables in ["iptables", "ip6tables"] {
                    self.inside(isp, &[tables, "-w", "-I", "FORWARD", "-j", "DROP"])?;
                }
                Ok(())
            }
            // These are the resolver's, and the site's own.
            How::DnsBogon | How::DnsNxdomain | How::BlockPage | How::Refusal | How::Down => Ok(()),
        }
    }

    /// Sixty-four kilobits a second for what comes from these sites.
    fn slow_down(&self, isp: &str, customers: &str, sites: &[Site]) -> io::Result<()> {
        let device = format!("v-{customers}");
        let tc = |words: &[&str]| self.inside(isp, &[&["tc"], words].concat()).map(|_| ());
        tc(&["qdisc", "add", "dev", &device, "root", "handle", "1:", "htb", "default", "1"])?;
        tc(&["class", "add", "dev", &device, "parent", "1:", "classid", "1:1", "htb", "rate", "1gbit"])?;
        tc(&[
            "class", "add", "dev", &device, "parent", "1:", "classid", "1:2", "htb", "rate", "64kbit",
            "burst", "8k",
        ])?;
        for site in sites {
            let (v4, v6) = (format!("{}/32", site.address), format!("{}/128", site.address_v6()));
            for (family, prio, word, block) in [("ip", "1", "ip", v4), ("ipv6", "2", "ip6", v6)] {
                tc(&[
                    "filter", "add", "dev", &device, "protocol", family, "parent", "1:", "prio", prio, "u32",
                    "match", word, "src", &block, "flowid", "1:2",
                ])?;
            }
        }
        Ok(())
    }

    /// Takes all rules off a router.
    pub(super) fn clear(&self, isp: &str, customers: &str) -> io::Result<()> {
        for tables in ["iptables", "ip6tables"] {
            self.inside(isp, &[tables, "-w", "-F"])?;
            self.inside(isp, &[tables, "-w", "-t", "nat", "-F"])?;
        }
        // There may be no queue.
        let _ = self.inside(isp, &["tc", "qdisc", "del", "dev", &format!("v-{customers}"), "root"]);
        Ok(())
    }

    /// Has a site's own machine refuse connections.
    pub(super) fn take_down(&self, www: &str, sites: &[Site]) -> io::Result<()> {
        for site in sites {
            let addresses = [IpAddr::V4(site.address), IpAddr::V6(site.address_v6())];
            for (tables, address) in ["iptables", "ip6tables"].into_iter().zip(addresses) {
                let address = address.to_string();
                let rule = [
                    tables,
                    "-w",
                    "-I",
                    "INPUT",
                    "-p",
                    "tcp",
                    "-d",
                    &address,
                    "-j",
                    "REJECT",
                    "--reject-with",
                    "tcp-reset",
                ];
                self.inside(www, &rule)?;
            }
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.made {
            let _ = run(&["ip", "netns", "del", name]);
        }
    }
}

/// The place of a network in the plan of addresses: `39.N.0.0/24`.
pub(super) fn customer(place: usize) -> Ipv4Addr {
    Ipv4Addr::new(39, u8::try_from(place + 1).unwrap_or(255), 0, 10)
}
