//! What the real program measures in the lab, condition by condition.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use brownout_core::model::{Asn, UtcTime};
use brownout_core::reach::{Measurement, Vantage};
use brownout_formats::ooni::read;

use super::net::{Net, Running, customer};
use super::servers::{BLOCK_PAGE, INNOCENT, Papers, Web, resolver};
use crate::reach::{Field, How, Interference, Probe, Scenario, Site, probes, sites};

const CONTROL: &str = "193.0.0.10";
const CONTROL_PORT: u16 = 8091;
/// A resolver that is not there.
const NO_RESOLVER: &str = "39.255.255.53";
/// Seconds for each stage: the lab's lines are short.
const STAGE_SECONDS: &str = "2";

/// Under what a measurement was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    Quiet,
    Met,
    Lying,
    NoResolver,
}

/// A network in the lab: its router, its customer, its place in the plan of addresses.
struct Provider {
    network: Asn,
    isp: String,
    customer: String,
    place: usize,
    probe: Probe,
}

impl Provider {
    fn gateway(&self) -> String {
        format!("39.{}.0.1", self.place + 1)
    }
}

/// The lab's network, and what was measured in it.
pub struct Wire {
    // Processes end before their namespaces go.
    resolvers: BTreeMap<Asn, Running>,
    web: Option<Web>,
    _control: Vec<Running>,
    net: Net,
    papers: Papers,
    program: PathBuf,
    folder: PathBuf,
    providers: Vec<Provider>,
    sites: Vec<Site>,
    repeats: usize,
    pool: BTreeMap<(Condition, Asn, &'static str), Vec<Measurement>>,
    next: usize,
    runs: usize,
    /// Measurements taken so far.
    pub(super) measured: usize,
}

impl Wire {
    /// Builds the network and measures it while nothing interferes.
    pub(super) fn new(program: &Path, folder: &Path, repeats: usize) -> io::Result<Self> {
        let sites = sites();
        let quiet = Scenario {
            name: "",
            interferences: Vec::new(),
            has_liar: false,
            has_broken_resolver: false,
            expected: Vec::new(),
        };
        let mut providers: Vec<Provider> = Vec::new();
        for probe in probes(&quiet) {
            if providers.iter().all(|provider| provider.network != probe.network) {
                let place = providers.len();
                let (isp, customer) = (format!("isp{place}"), format!("cust{place}"));
                providers.push(Provider { network: probe.network, isp, customer, place, probe });
            }
        }
        let mut net = Net::new();
        build(&mut net, &providers, &sites)?;
        let names: Vec<&str> = sites.iter().map(|site| site.host).collect();
        let papers = Papers::new(&folder.join("papers"), &names)?;
        let web = Web::sites(&net, "www", (&folder.join("www"), &papers), &sites, &[])?;
        let mut wire = Wire {
            resolvers: BTreeMap::new(),
            web: Some(web),
            _control: Vec::new(),
            net,
            papers,
            program: program.to_owned(),
            folder: folder.to_owned(),
            providers,
            sites,
            repeats,
            pool: BTreeMap::new(),
            next: 0,
            runs: 0,
            measured: 0,
        };
        wire.start_control()?;
        for place in 0..wire.providers.len() {
            wire.resolve(place, &[])?;
        }
        let all: Vec<usize> = (0..wire.providers.len()).collect();
        wire.measure_all(Condition::Quiet, &all, None)?;
        Ok(wire)
    }

    fn start_control(&mut self) -> io::Result<()> {
        self._control.push(resolver(&self.net, ("ctl", CONTROL), &self.sites, &[])?);
        let token = self.folder.join("token");
        fs::write(&token, "lab\n")?;
        let mut command = self.net.command("ctl");
        command.arg(&self.program).args([
            "probe",
            "control",
            "--listen",
            &format!("{CONTROL}:{CONTROL_PORT}"),
        ]);
        command.args(["--resolver", CONTROL, "--innocent", INNOCENT.0, "--stage-seconds", STAGE_SECONDS]);
        command.args([
            "--per-second",
            "10000",
            "--at-once",
            "64",
            "--roots",
            &self.papers.path("trusted", "pem"),
        ]);
        command.arg("--token-file").arg(&token).stdout(Stdio::null()).stderr(Stdio::null());
        self._control.push(Running(command.spawn()?));
        std::thread::sleep(Duration::from_millis(500));
        Ok(())
    }

    /// Starts a provider's resolver anew.
    fn resolve(&mut self, place: usize, lies: &[(How, &str)]) -> io::Result<()> {
        let provider = &self.providers[place];
        self.resolvers.remove(&provider.network);
        let running = resolver(&self.net, (&provider.isp, &provider.gateway()), &self.sites, lies)?;
        self.resolvers.insert(provider.network, running);
        Ok(())
    }

    /// Makes the conditions of a scenario, measures them with packets and undoes them.
    pub(super) fn prepare(&mut self, scenario: &Scenario) -> io::Result<()> {
        self.pool.retain(|(condition, _, _), _| *condition == Condition::Quiet);
        if scenario.has_liar {
            // It finds a reset wherever it looks: on its own line.
            let all = self.sites.clone();
            self.net.interfere(
                &self.providers[0].isp,
                &self.providers[0].customer,
                How::TlsResetSni,
                &all,
            )?;
            self.measure_all(Condition::Lying, &[0], None)?;
            self.clear(0)?;
        }
        if scenario.has_broken_resolver {
            self.measure_all(Condition::NoResolver, &[0], Some(NO_RESOLVER))?;
        }
        let met: Vec<usize> = (0..self.providers.len())
            .filter(|place| scenario.interferences.iter().any(|one| one.meets(&self.providers[*place].probe)))
            .collect();
        if met.is_empty() {
            return Ok(());
        }
        let mut middles = Vec::new();
        for place in &met {
            self.interfere(*place, &scenario.interferences, &mut middles)?;
        }
        self.serve(&scenario.interferences)?;
        if scenario.interferences.iter().any(|one| one.how == How::CutOff) {
            met.iter().try_for_each(|place| self.is_cut_off(*place))?;
        } else {
            self.measure_all(Condition::Met, &met, None)?;
        }
        for place in &met {
            self.clear(*place)?;
        }
        for tables in ["iptables", "ip6tables"] {
            self.net.inside("www", &[tables, "-w", "-F"])?;
        }
        self.serve(&[])
    }

    fn of<'a>(&'a self, interference: &'a Interference) -> Vec<Site> {
        let is_of = |site: &&Site| interference.host.is_none_or(|host| host == site.host);
        self.sites.iter().filter(is_of).copied().collect()
    }

    fn interfere(
        &mut self,
        place: usize,
        interferences: &[Interference],
        middles: &mut Vec<Web>,
    ) -> io::Result<()> {
        let provider = &self.providers[place];
        let here: Vec<&Interference> =
            interferences.iter().filter(|one| one.meets(&provider.probe)).collect();
        for one in &here {
            self.net.interfere(&provider.isp, &provider.customer, one.how, &self.of(one))?;
            if one.how == How::TlsMitm {
                let folder = self.folder.join(&provider.isp);
                let _ = fs::remove_file(folder.join("nginx.pid"));
                middles.push(Web::middle(&self.net, &provider.isp, (&folder, &self.papers))?);
            }
        }
        let is_lie = |how: How| matches!(how, How::DnsBogon | How::DnsNxdomain | How::BlockPage);
        let lies: Vec<(How, &str)> =
            here.iter().filter(|one| is_lie(one.how)).filter_map(|one| Some((one.how, one.host?))).collect();
        if lies.is_empty() { Ok(()) } else { self.resolve(place, &lies) }
    }

    /// What the sites do themselves: refuse a country, or go down.
    fn serve(&mut self, interferences: &[Interference]) -> io::Result<()> {
        for one in interferences.iter().filter(|one| one.how == How::Down) {
            self.net.take_down("www", &self.of(one))?;
        }
        let refusals = interferences.iter().filter(|one| one.how == How::Refusal);
        let refused: Vec<(String, &str)> = refusals
            .flat_map(|one| {
                let met = self.providers.iter().filter(|provider| one.meets(&provider.probe));
                met.flat_map(|provider| {
                    let place = provider.place + 1;
                    let host = one.host.unwrap_or("_");
                    [(format!("39.{place}.0.0/24"), host), (format!("2a01:{place}::/32"), host)]
                })
            })
            .collect();
        let folder = self.folder.join("www");
        // The old one ends before the new one listens.
        self.web = None;
        let _ = fs::remove_file(folder.join("nginx.pid"));
        let web = Web::sites(&self.net, "www", (&folder, &self.papers), &self.sites, &refused)?;
        self.web = Some(web);
        Ok(())
    }

    fn clear(&mut self, place: usize) -> io::Result<()> {
        let provider = &self.providers[place];
        self.net.clear(&provider.isp, &provider.customer)?;
        self.resolve(place, &[])
    }

    /// Nothing may get through, or what is not measured would not be for want of a line.
    fn is_cut_off(&self, place: usize) -> io::Result<()> {
        let provider = &self.providers[place];
        let mut command = self.net.command(&provider.customer);
        let url = format!("http://{CONTROL}:{CONTROL_PORT}/livez");
        command.arg(&self.program).args([
            "probe",
            "measure",
            &url,
            "--depth",
            "connect",
            "--stage-seconds",
            "1",
        ]);
        command.args(["--resolver", &provider.gateway()]);
        match command.output()?.status.code() {
            Some(3) => Ok(()),
            other => Err(io::Error::other(format!("the provider is not cut off: {other:?}"))),
        }
    }

    /// Measures all sites from some networks, side by side.
    fn measure_all(
        &mut self,
        condition: Condition,
        places: &[usize],
        resolver: Option<&str>,
    ) -> io::Result<()> {
        for _ in 0..self.repeats {
            let begun: Vec<(usize, PathBuf, Running)> =
                places.iter().map(|place| self.begin(*place, resolver)).collect::<io::Result<_>>()?;
            self.runs += 1;
            for (place, file, mut running) in begun {
                running.0.wait()?;
                let documents = fs::read_to_string(&file).unwrap_or_default();
                let network = self.providers[place].network;
                let mut count = 0;
                for line in documents.lines() {
                    let measurement =
                        read(line.as_bytes()).map_err(|refusal| io::Error::other(refusal.to_string()))?;
                    let site = self.sites.iter().find(|site| site.host == measurement.target.host);
                    let Some(site) = site else { continue };
                    self.pool.entry((condition, network, site.host)).or_default().push(measurement);
                    count += 1;
                }
                if count != self.sites.len() {
                    let detail = format!("{count} of {} sites were measured in {network}", self.sites.len());
                    return Err(io::Error::other(detail));
                }
                self.measured += count;
                fs::remove_file(&file)?;
            }
        }
        Ok(())
    }

    fn begin(&self, place: usize, resolver: Option<&str>) -> io::Result<(usize, PathBuf, Running)> {
        let provider = &self.providers[place];
        let gateway = provider.gateway();
        let into = self.folder.join(format!("{}-{}.jsonl", provider.customer, self.runs));
        let mut command = self.net.command(&provider.customer);
        command.arg(&self.program).args(["probe", "measure"]);
        command.args(self.sites.iter().map(|site| format!("https://{}/", site.host)));
        command.args(["--resolver", resolver.unwrap_or(&gateway), "--innocent", INNOCENT.0]);
        command.args(["--control", &format!("http://{CONTROL}:{CONTROL_PORT}/api/v1/control")]);
        command.arg("--token-file").arg(self.folder.join("token"));
        command.args(["--stage-seconds", STAGE_SECONDS, "--per-second", "1000", "--at-once", "8"]);
        command.args(["--roots", &self.papers.path("trusted", "pem")]).arg("--into").arg(&into);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok((place, into, Running(command.spawn()?)))
    }
}

impl Field for Wire {
    fn measure(
        &mut self,
        probe: &Probe,
        site: &Site,
        at: UtcTime,
        interferences: &[Interference],
    ) -> Option<Measurement> {
        let met: Vec<&Interference> = interferences.iter().filter(|one| one.meets(probe)).collect();
        if met.iter().any(|one| one.how == How::CutOff) {
            return None;
        }
        let condition = match () {
            () if probe.lies => Condition::Lying,
            () if probe.is_resolver_broken => Condition::NoResolver,
            () if !met.is_empty() => Condition::Met,
            () => Condition::Quiet,
        };
        let taken = self.pool.get(&(condition, probe.network, site.host))?;
        // Each of those that were taken has its turn.
        self.next = self.next.wrapping_add(1);
        let mut measurement = taken.get(self.next % taken.len().max(1))?.clone();
        measurement.started_at = at;
        measurement.vantage = Vantage {
            country: Some(probe.country),
            network: Some(probe.network),
            resolver_network: Some(probe.network),
            id: Some(probe.id),
            software: measurement.vantage.software,
        };
        Some(measurement)
    }
}

/// Namespaces, lines, addresses and ways.
fn build(net: &mut Net, providers: &[Provider], sites: &[Site]) -> io::Result<()> {
    net.add("core")?;
    let attach = |net: &mut Net, name: &str, number: usize| -> io::Result<(String, String)> {
        net.add(name)?;
        let (near, far) = (format!("10.99.{number}.1"), format!("10.99.{number}.2"));
        let (near_v6, far_v6) = (format!("fd00:99:{number}::1"), format!("fd00:99:{number}::2"));
        net.line(
            ("core", name),
            [
                (&format!("{near}/24"), &format!("{near_v6}/64")),
                (&format!("{far}/24"), &format!("{far_v6}/64")),
            ],
        )?;
        net.route(name, "default", &near)?;
        net.route(name, "default", &near_v6)?;
        Ok((far, far_v6))
    };
    let (www, www_v6) = attach(net, "www", 1)?;
    let mut own: Vec<String> = vec![INNOCENT.1.to_string(), BLOCK_PAGE.to_string()];
    own.extend(sites.iter().flat_map(|site| [site.address.to_string(), site.address_v6().to_string()]));
    own.sort();
    own.dedup();
    for address in &own {
        let (length, via) = if address.contains(':') { (128, &www_v6) } else { (32, &www) };
        let block = format!("{address}/{length}");
        net.inside("www", &["ip", "addr", "add", &block, "dev", "lo"])?;
        net.route("core", &block, via)?;
    }
    let (control, _) = attach(net, "ctl", 2)?;
    let block = format!("{CONTROL}/32");
    // Of the line rather than of lo, for resolvers on lo are not asked from elsewhere.
    net.inside("ctl", &["ip", "addr", "add", &block, "dev", "v-core"])?;
    net.route("core", &block, &control)?;
    for provider in providers {
        let (far, far_v6) = attach(net, &provider.isp, 10 + provider.place)?;
        net.add(&provider.customer)?;
        let (place, address) = (provider.place + 1, customer(provider.place));
        let (gateway, gateway_v6) = (provider.gateway(), format!("2a01:{place}::1"));
        net.line(
            (&provider.isp, &provider.customer),
            [
                (&format!("{gateway}/24"), &format!("{gateway_v6}/64")),
                (&format!("{address}/24"), &format!("2a01:{place}::10/64")),
            ],
        )?;
        net.route(&provider.customer, "default", &gateway)?;
        net.route(&provider.customer, "default", &gateway_v6)?;
        net.route("core", &format!("39.{place}.0.0/24"), &far)?;
        net.route("core", &format!("2a01:{place}::/64"), &far_v6)?;
    }
    Ok(())
}
