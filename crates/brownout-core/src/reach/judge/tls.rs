//! The handshake.

use super::super::measurement::{Handshake, Transport};
use super::super::rules::{
    Rule, TLS_CERTIFICATE, TLS_FAILURE, TLS_FAILURE_ALONE, TLS_FAILURE_BY_NAME, TLS_FAILURE_EVERYWHERE,
    TLS_OK, TLS_RESET, TLS_RESET_BY_NAME,
};
use super::super::scene::{Hop, There};
use super::super::{Failure, Finding, Layer, Mechanism};

/// Judges the handshakes at a person's addresses; `None` where none says anything.
pub(in super::super) fn judge(hop: &Hop<'_>) -> Option<Finding> {
    let finding = |rule, mechanism, failure| {
        Some(Finding { hop: hop.number, layer: Layer::Tls, rule, mechanism, failure })
    };
    let tried: Vec<&Handshake> =
        hop.handshakes(Transport::Tcp).filter(|one| one.is_verified && hop.is_usual(one.endpoint)).collect();
    if tried.iter().any(|one| one.failure.is_none()) {
        return finding(&TLS_OK, None, None);
    }
    let told = tried.iter().filter_map(|one| Some((*one, one.failure.filter(|failure| failure.tells())?)));
    let (shake, failure) = told.min_by_key(|(_, failure)| rank(*failure))?;
    let (rule, mechanism) = match there(hop, shake) {
        There::Ok => of_failure(failure, is_by_name(hop, shake)),
        There::Failed(theirs) if theirs.is_of_certificate() => {
            (&TLS_FAILURE_EVERYWHERE, Mechanism::SiteCertificate)
        }
        There::Failed(_) => (&TLS_FAILURE_EVERYWHERE, Mechanism::SiteTls),
        // That the same address answers to another name is as good as a control.
        There::Unknown if is_by_name(hop, shake) => of_failure(failure, true),
        There::Unknown => (&TLS_FAILURE_ALONE, of_failure(failure, false).1),
    };
    finding(rule, Some(mechanism), Some(failure))
}

/// Which failure of several says most.
fn rank(failure: Failure) -> u8 {
    match failure {
        _ if failure.is_of_certificate() => 0,
        Failure::ConnectionReset => 1,
        Failure::TlsAlert(_) => 2,
        Failure::Eof => 3,
        _ => 4,
    }
}

fn of_failure(failure: Failure, is_by_name: bool) -> (&'static Rule, Mechanism) {
    match failure {
        Failure::CertificateUnknownAuthority => (&TLS_CERTIFICATE, Mechanism::TlsSelfSigned),
        Failure::CertificateWrongName => (&TLS_CERTIFICATE, Mechanism::TlsWrongName),
        Failure::CertificateInvalid => (&TLS_CERTIFICATE, Mechanism::TlsInvalid),
        Failure::ConnectionReset if is_by_name => (&TLS_RESET_BY_NAME, Mechanism::TlsResetSni),
        Failure::ConnectionReset => (&TLS_RESET, Mechanism::TlsReset),
        // A silence alone is an anomaly; beside an answer to another name it is more.
        Failure::Timeout if is_by_name => (&TLS_FAILURE_BY_NAME, Mechanism::TlsDropSni),
        Failure::Timeout => (&TLS_FAILURE, Mechanism::TlsTimeout),
        Failure::Eof if is_by_name => (&TLS_FAILURE_BY_NAME, Mechanism::TlsEof),
        Failure::Eof => (&TLS_FAILURE, Mechanism::TlsEof),
        Failure::TlsAlert(_) => (&TLS_FAILURE, Mechanism::TlsAlert),
        _ => (&TLS_FAILURE, Mechanism::TlsFailure),
    }
}

/// Whether a handshake for an innocent name got an answer at the same address.
fn is_by_name(hop: &Hop<'_>, shake: &Handshake) -> bool {
    let is_answer = |failure: Option<Failure>| {
        failure.is_none_or(|failure| failure.is_of_certificate() || matches!(failure, Failure::TlsAlert(_)))
    };
    hop.scene.measurement.run.handshakes.iter().any(|one| {
        one.is_control_name
            && one.transport == shake.transport
            && one.endpoint == shake.endpoint
            && is_answer(one.failure)
    })
}

/// How the control's handshake fared: at the same address, else at any.
fn there(hop: &Hop<'_>, shake: &Handshake) -> There {
    let control = hop.scene.control().filter(|_| hop.number == 0);
    let known = control.and_then(|control| {
        let same = control.handshakes.iter().find(|(endpoint, _)| *endpoint == shake.endpoint);
        let works = || control.handshakes.iter().find(|(_, failure)| failure.is_none());
        same.or_else(works).or_else(|| control.handshakes.first())
    });
    hop.there(known.map(|(_, failure)| *failure))
}
