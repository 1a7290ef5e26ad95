//! What is allowed but seldom meant.

use super::{Config, ProofOfWork};

impl Config {
    /// Sentences about settings that are valid and yet look like a mistake.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let address = self.listen.address;
        if !address.ip().is_loopback() && self.proxies.trusted.is_empty() {
            warnings.push(format!(
                "[listen] address = \"{address}\" is open to the network as plain HTTP and [proxies] trusted is \
                 empty: behind a proxy every reader would count as one source; without one there is no TLS"
            ));
        }
        if self.proxies.trusted.iter().any(super::Cidr::is_everything) {
            warnings.push(
                "[proxies] trusted holds every address: any client can claim to be any other".to_owned(),
            );
        }
        if self.metrics.enabled && self.metrics.allow.iter().any(super::Cidr::is_everything) {
            warnings.push("[metrics] allow holds every address: /metrics is public".to_owned());
        }
        if self.intake.source_per_minute > self.intake.subnet_per_minute {
            warnings.push(
                "[intake] source_per_minute is above subnet_per_minute and so has no effect".to_owned(),
            );
        }
        if self.intake.proof_of_work == ProofOfWork::Off && !address.ip().is_loopback() {
            warnings
                .push("[intake] proof_of_work = \"off\" leaves floods to the rate limits alone".to_owned());
        }
        let probes = &self.probes;
        if probes.enabled && probes.control_url.is_empty() {
            warnings.push(
                "[probes] control_url is empty: without a control a block cannot be told from an outage"
                    .to_owned(),
            );
        }
        let urls = [("control_url", &probes.control_url), ("doh_url", &probes.doh_url)];
        for (key, url) in urls.into_iter().filter(|(_, url)| !url.is_empty()) {
            if let Err(error) = brownout_probe::parse_target(url, brownout_probe::Guard::Any) {
                warnings.push(format!("[probes] {key} = \"{url}\" cannot be asked: {error}"));
            }
        }
        if self.log.retention_days == 0 && self.log.retention_gib_max == 0 {
            warnings
                .push("[log] keeps everything for ever: the disk is the only limit of the log".to_owned());
        }
        if self.policy.possible_sources_min < self.policy.possible_subnets_min {
            warnings.push(
                "[policy] possible_subnets_min is above possible_sources_min and decides alone".to_owned(),
            );
        }
        warnings
    }
}
