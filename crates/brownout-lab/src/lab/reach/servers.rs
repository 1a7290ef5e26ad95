//! Real servers: sites, a block page, a man in the middle (nginx), resolvers (dnsmasq), certificates (openssl).

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::net::{Net, Running, run};
use crate::reach::{How, Site};

/// The innocent name, and where it stands.
pub(super) const INNOCENT: (&str, Ipv4Addr) = ("example.org", Ipv4Addr::new(23, 215, 0, 136));
/// Where those are sent who may not read a site.
pub(super) const BLOCK_PAGE: Ipv4Addr = Ipv4Addr::new(23, 49, 1, 7);
const BOGON: Ipv4Addr = Ipv4Addr::new(10, 10, 34, 35);
/// As large as to take long at sixty-four kilobits a second.
const PAGE_BYTES: usize = 48_000;

/// Certificates, in files.
pub(super) struct Papers {
    folder: PathBuf,
}

impl Papers {
    /// Makes an authority that probes trust and one that they do not, and a certificate of each.
    pub(super) fn new(folder: &Path, names: &[&str]) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let papers = Papers { folder: folder.to_owned() };
        for authority in ["trusted", "other"] {
            let (key, certificate) = (papers.path(authority, "key"), papers.path(authority, "pem"));
            run(&[
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                &format!("/CN=Lab {authority}"),
                "-keyout",
                &key,
                "-out",
                &certificate,
            ])?;
        }
        papers.sign("trusted", "site", names)?;
        papers.sign("trusted", "innocent", &[INNOCENT.0])?;
        papers.sign("other", "middle", names)?;
        papers.sign("other", "block", &["blocked.example"])?;
        Ok(papers)
    }

    pub(super) fn path(&self, name: &str, ending: &str) -> String {
        self.folder.join(format!("{name}.{ending}")).display().to_string()
    }

    fn sign(&self, authority: &str, name: &str, names: &[&str]) -> io::Result<()> {
        let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let extensions = self.path(name, "ext");
        fs::write(&extensions, format!("subjectAltName={}\n", alternatives.join(",")))?;
        let (key, request, certificate) =
            (self.path(name, "key"), self.path(name, "csr"), self.path(name, "pem"));
        run(&[
            "openssl",
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            &format!("/CN={}", names[0]),
            "-keyout",
            &key,
            "-out",
            &request,
        ])?;
        run(&[
            "openssl",
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &self.path(authority, "pem"),
            "-CAkey",
            &self.path(authority, "key"),
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ])
        .map(|_| ())
    }
}

/// A web server in a namespace.
pub(super) struct Web {
    _process: Running,
}

impl Web {
    /// Starts the sites' server; `refused` are blocks of readers that it does not serve.
    pub(super) fn sites(
        net: &Net,
        www: &str,
        (folder, papers): (&Path, &Papers),
        sites: &[Site],
        refused: &[(String, &str)],
    ) -> io::Result<Self> {
        let mut servers = String::new();
        for site in sites {
            let rules: String = refused
                .iter()
                .filter(|(_, host)| *host == site.host)
                .map(|(block, _)| format!("deny {block};"))
                .collect();
            let listen = format!(
                "listen {}:443 ssl http2; listen [{}]:443 ssl http2;",
                site.address,
                site.address_v6()
            );
            servers.push_str(&server(&listen, site.host, (papers, "site"), &rules));
        }
        servers.push_str(&server(
            &format!("listen {}:443 ssl;", INNOCENT.1),
            INNOCENT.0,
            (papers, "innocent"),
            "",
        ));
        servers.push_str(&server(&format!("listen {BLOCK_PAGE}:443 ssl;"), "_", (papers, "block"), ""));
        start(net, www, folder, &servers)
    }

    /// Starts a man in the middle.
    pub(super) fn middle(net: &Net, isp: &str, (folder, papers): (&Path, &Papers)) -> io::Result<Self> {
        let listen = "listen 8443 ssl; listen [::]:8443 ssl;";
        start(net, isp, folder, &server(listen, "_", (papers, "middle"), ""))
    }
}

fn server(listen: &str, name: &str, (papers, certificate): (&Papers, &str), rules: &str) -> String {
    let (pem, key) = (papers.path(certificate, "pem"), papers.path(certificate, "key"));
    format!(
        "server {{ {listen} server_name {name}; ssl_certificate {pem}; ssl_certificate_key {key}; {rules} \
         location / {{ index {certificate}.html; }} }}\n"
    )
}

fn start(net: &Net, of: &str, folder: &Path, servers: &str) -> io::Result<Web> {
    fs::create_dir_all(folder)?;
    for page in ["site", "innocent", "middle", "block"] {
        let body =
            format!("<!doctype html><title>The page of {page}</title>{}", "words ".repeat(PAGE_BYTES / 6));
        fs::write(folder.join(format!("{page}.html")), body)?;
    }
    let path = folder.display();
    let mut config = String::new();
    let _ = writeln!(
        config,
        "daemon off; master_process off; pid {path}/nginx.pid; error_log {path}/error.log; user root;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; root {path}; types {{ text/html html; }}\n\
         client_body_temp_path {path}/t1; proxy_temp_path {path}/t2; fastcgi_temp_path {path}/t3;\n\
         uwsgi_temp_path {path}/t4; scgi_temp_path {path}/t5;\n{servers}}}"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let mut command = net.command(of);
    command.args(["nginx", "-p"]).arg(folder).arg("-c").arg(&file);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut running = Running(process);
    // It listens when it has written its number.
    for _ in 0..300 {
        if let Some(status) = running.0.try_wait()? {
            let said = fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            return Err(io::Error::other(format!("nginx ended: {status}: {said}")));
        }
        if folder.join("nginx.pid").exists() {
            std::thread::sleep(Duration::from_millis(50));
            return Ok(Web { _process: running });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Starts a resolver that knows the sites, but for what interferes.
pub(super) fn resolver(
    net: &Net,
    (of, listen): (&str, &str),
    sites: &[Site],
    lies: &[(How, &str)],
) -> io::Result<Running> {
    let mut command = net.command(of);
    command.args([
        "dnsmasq",
        "--no-daemon",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--bind-interfaces",
        "--user=root",
        "--cache-size=0",
        "--except-interface=lo",
    ]);
    command.arg(format!("--listen-address={listen}"));
    command.arg(format!("--host-record={},{}", INNOCENT.0, INNOCENT.1));
    for site in sites {
        let lie = lies.iter().find(|(_, host)| *host == site.host).map(|(how, _)| how);
        command.arg(match lie {
            Some(How::DnsBogon) => format!("--address=/{}/{BOGON}", site.host),
            Some(How::BlockPage) => format!("--address=/{}/{BLOCK_PAGE}", site.host),
            Some(How::DnsNxdomain) => format!("--address=/{}/", site.host),
            _ => format!("--host-record={},{},{}", site.host, site.address, site.address_v6()),
        });
    }
    // What it does not know does not exist.
    command.args(["--local=/#/", "--log-facility=-"]);
    let running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    std::thread::sleep(Duration::from_millis(150));
    Ok(running)
}
