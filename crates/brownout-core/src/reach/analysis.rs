//! What a measurement says, and by which rule.

use serde::{Deserialize, Serialize};

use super::judge;
use super::rules::Rule;
use super::scene::{Hop, Scene};
use super::{Failure, Fingerprints, Measurement, Mechanism, Reachability};

/// A stage of a measurement, from the one that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Looking up the name.
    Dns,
    /// Connecting.
    Tcp,
    /// The handshake over TCP.
    Tls,
    /// The request and its answer.
    Http,
    /// The handshake of QUIC; people's programs fall back to TCP without it.
    Quic,
}

impl Layer {
    /// All of them, in their order.
    pub const ALL: [Layer; 5] = [Layer::Dns, Layer::Tcp, Layer::Tls, Layer::Http, Layer::Quic];

    /// The letter for it in strips: D, T, S, H or Q.
    pub const fn letter(self) -> char {
        match self {
            Layer::Dns => 'D',
            Layer::Tcp => 'T',
            Layer::Tls => 'S',
            Layer::Http => 'H',
            Layer::Quic => 'Q',
        }
    }
}

/// What one stage of one hop says, by one rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Redirects before it.
    pub hop: u8,
    /// The stage.
    pub layer: Layer,
    /// The rule that holds.
    pub rule: &'static Rule,
    /// How it fails.
    pub mechanism: Option<Mechanism>,
    /// What failed at the probe.
    pub failure: Option<Failure>,
}

/// What a measurement says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The state.
    pub state: Reachability,
    /// How it fails, where it does.
    pub mechanism: Option<Mechanism>,
    /// What decided; nothing where nothing did.
    pub decided_by: Option<Finding>,
    /// All that was found, in the order in which it was weighed.
    pub findings: Vec<Finding>,
}

/// From this chance of being blocked on, one measurement says so; below it that seems so.
const BLOCKED_MIN: f32 = 0.8;
/// A chance must be better than even to decide anything.
const DECISIVE_ABOVE: f32 = 0.5;

/// Judges a measurement: the last hop first, and in each the page before the handshake, the connection and the
/// name. What comes late says most: a page that came makes good whatever was odd before it, and only what a
/// person's program would have used counts. The first finding that is decisive decides.
pub fn analyse(measurement: &Measurement, known: &Fingerprints) -> Analysis {
    let scene = Scene { measurement, known };
    let findings: Vec<Finding> = scene.hops().iter().flat_map(findings_of).collect();
    let decided = findings.iter().find_map(|finding| Some((state_of(finding)?, *finding)));
    let (state, decided_by) =
        decided.map_or((Reachability::Insufficient, None), |(state, by)| (state, Some(by)));
    Analysis { state, mechanism: decided_by.and_then(|by| by.mechanism), decided_by, findings }
}

fn findings_of(hop: &Hop<'_>) -> Vec<Finding> {
    let name = judge::dns::judge(hop);
    // At an address that the name does not stand for, nothing is learned of the site.
    let is_trusted = name.as_ref().is_none_or(|name| name.is_trusted);
    let later = is_trusted.then(|| {
        let http = judge::http::judge(hop);
        [http, judge::tls::judge(hop), judge::tcp::judge(hop), judge::quic::judge(hop)]
    });
    let later = later.into_iter().flatten().flatten();
    later.chain(name.map(|name| name.finding)).collect()
}

/// The state that a finding is decisive for.
fn state_of(finding: &Finding) -> Option<Reachability> {
    use super::rules::{
        DNS_RESOLVER_BROKEN, HTTP_BROKEN_REDIRECT, HTTP_CHALLENGE, HTTP_ERROR, HTTP_REFUSAL, HTTP_UNFINISHED,
    };
    let is = |rule: &'static Rule| std::ptr::eq(finding.rule, rule);
    if is(&HTTP_CHALLENGE) || is(&DNS_RESOLVER_BROKEN) {
        return Some(Reachability::Insufficient);
    }
    if is(&HTTP_REFUSAL) || is(&HTTP_ERROR) || is(&HTTP_BROKEN_REDIRECT) || is(&HTTP_UNFINISHED) {
        return Some(Reachability::Impaired);
    }
    let odds = finding.rule.odds;
    if finding.layer == Layer::Quic {
        return None;
    }
    if odds.blocked >= BLOCKED_MIN {
        return Some(Reachability::Blocked);
    }
    if odds.blocked > DECISIVE_ABOVE {
        return Some(Reachability::LikelyBlocked);
    }
    if odds.down > DECISIVE_ABOVE {
        return Some(Reachability::Down);
    }
    // A name that is found and a connection that stands are no page.
    (finding.layer == Layer::Http && odds.ok > DECISIVE_ABOVE).then_some(Reachability::Ok)
}
