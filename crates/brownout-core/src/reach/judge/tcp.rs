//! Connecting.

use std::net::SocketAddr;

use super::super::measurement::Connect;
use super::super::rules::{TCP_FAILURE, TCP_FAILURE_ALONE, TCP_FAILURE_EVERYWHERE, TCP_OK};
use super::super::scene::{Hop, There};
use super::super::{Failure, Finding, Layer, Mechanism};

/// Judges the connections to a person's addresses; `None` where none says anything.
pub(in super::super) fn judge(hop: &Hop<'_>) -> Option<Finding> {
    let finding = |rule, mechanism, failure| {
        Some(Finding { hop: hop.number, layer: Layer::Tcp, rule, mechanism, failure })
    };
    let tried: Vec<&Connect> = hop.connects().filter(|one| hop.is_usual(one.endpoint)).collect();
    if tried.iter().any(|one| one.failure.is_none()) {
        return finding(&TCP_OK, None, None);
    }
    let masks_v6 = is_v6_broken(hop);
    let failed: Vec<(SocketAddr, Failure)> = tried
        .iter()
        .filter(|one| !(masks_v6 && one.endpoint.is_ipv6()))
        .filter_map(|one| Some((one.endpoint, one.failure.filter(|failure| failure.tells())?)))
        .collect();
    let (_, failure) = *failed.first()?;
    match failed.iter().map(|(endpoint, _)| there(hop, *endpoint)).min_by_key(rank)? {
        There::Ok => finding(&TCP_FAILURE, Some(Mechanism::TcpIpBlock), Some(failure)),
        There::Failed(_) => finding(&TCP_FAILURE_EVERYWHERE, Some(Mechanism::SiteTcp), Some(failure)),
        There::Unknown => finding(&TCP_FAILURE_ALONE, Some(Mechanism::TcpIpBlock), Some(failure)),
    }
}

/// One address at which the control succeeds is enough for a site that works.
fn rank(there: &There) -> u8 {
    match there {
        There::Ok => 0,
        There::Failed(_) => 1,
        There::Unknown => 2,
    }
}

/// How the control fared at an endpoint.
fn there(hop: &Hop<'_>, endpoint: SocketAddr) -> There {
    let control = hop.scene.control().filter(|_| hop.number == 0);
    let known = control.and_then(|control| control.connects.iter().find(|(known, _)| *known == endpoint));
    hop.there(known.map(|(_, failure)| *failure))
}

/// Whether more than half of what goes over IPv6 fails here: then it is this network's, and no target's.
fn is_v6_broken(hop: &Hop<'_>) -> bool {
    let connects = &hop.scene.measurement.run.connects;
    let tried = connects.iter().filter(|one| one.endpoint.is_ipv6()).count();
    let failed = connects.iter().filter(|one| one.endpoint.is_ipv6() && one.failure.is_some()).count();
    2 * failed > tried
}
