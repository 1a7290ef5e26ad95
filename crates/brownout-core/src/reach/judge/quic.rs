//! The handshake of QUIC.

use super::super::measurement::{Handshake, Transport};
use super::super::rules::QUIC_DROPPED;
use super::super::scene::Hop;
use super::super::{Finding, Layer, Mechanism};

/// Whether QUIC is dropped where TLS over TCP works at the same address; `None` else.
pub(in super::super) fn judge(hop: &Hop<'_>) -> Option<Finding> {
    let tried: Vec<&Handshake> =
        hop.handshakes(Transport::Quic).filter(|one| hop.is_usual(one.endpoint)).collect();
    let works_over_tcp = |quic: &Handshake| {
        hop.handshakes(Transport::Tcp)
            .any(|tcp| tcp.endpoint.ip() == quic.endpoint.ip() && tcp.failure.is_none())
    };
    let failure = tried.first()?.failure?;
    let is_dropped = tried.iter().all(|one| one.failure.is_some() && works_over_tcp(one));
    let works_there = hop.scene.control().is_some_and(|control| {
        control
            .quic
            .iter()
            .any(|(endpoint, failure)| failure.is_none() && tried.iter().any(|one| one.endpoint == *endpoint))
    });
    let finding = Finding {
        hop: hop.number,
        layer: Layer::Quic,
        rule: &QUIC_DROPPED,
        mechanism: Some(Mechanism::QuicDrop),
        failure: Some(failure),
    };
    (is_dropped && works_there && failure.tells()).then_some(finding)
}
