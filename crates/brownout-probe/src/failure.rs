//! Errors of sockets and libraries as failures of stages.

use std::io;

use brownout_core::reach::Failure;
use rustls::CertificateError;

/// What an error of the system says.
pub(crate) fn of_io(error: &io::Error) -> Failure {
    if let Some(inner) = error.get_ref() {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        if let Some(deeper) = inner.downcast_ref::<io::Error>() {
            return of_io(deeper);
        }
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::ConnectionRefused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::ConnectionReset,
        io::ErrorKind::ConnectionAborted => Failure::ConnectionAborted,
        io::ErrorKind::HostUnreachable => Failure::HostUnreachable,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Failure::NetworkUnreachable,
        io::ErrorKind::TimedOut => Failure::Timeout,
        io::ErrorKind::UnexpectedEof => Failure::Eof,
        // Addresses or descriptors ran out, a firewall of this machine, a socket that is not there: these say
        // nothing of the network.
        _ => Failure::Local,
    }
}

/// What an error of the handshake says.
pub(crate) fn of_tls(error: &rustls::Error) -> Failure {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why),
        rustls::Error::NoCertificatesPresented => Failure::CertificateInvalid,
        rustls::Error::AlertReceived(alert) => Failure::TlsAlert(u8::from(*alert)),
        rustls::Error::FailedToGetCurrentTime | rustls::Error::FailedToGetRandomBytes => Failure::Local,
        _ => Failure::TlsFailed,
    }
}

fn of_certificate(why: &CertificateError) -> Failure {
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Failure::CertificateWrongName
        }
        // A signature that is not its issuer's: somebody took the name of an authority.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Failure::CertificateUnknownAuthority
        }
        // A certificate that is its own authority is no valid end of a chain.
        CertificateError::Other(other)
            if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            Failure::CertificateUnknownAuthority
        }
        _ => Failure::CertificateInvalid,
    }
}

/// What an error of HTTP says: of the first cause that is known.
pub(crate) fn of_http(error: &hyper::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if let Some(io) = at.downcast_ref::<io::Error>() {
            return of_io(io);
        }
        cause = at.source();
    }
    match () {
        () if error.is_incomplete_message() || error.is_canceled() || error.is_closed() => Failure::Eof,
        () if error.is_parse() || error.is_parse_status() => Failure::HttpInvalid,
        () if error.is_timeout() => Failure::Timeout,
        () => Failure::HttpInvalid,
    }
}

/// What an error of QUIC says.
pub(crate) fn of_quic(error: &quinn::ConnectionError) -> Failure {
    use quinn::ConnectionError::{
        ApplicationClosed, CidsExhausted, ConnectionClosed, LocallyClosed, Reset, TimedOut, TransportError,
        VersionMismatch,
    };
    match error {
        TimedOut => Failure::Timeout,
        Reset => Failure::ConnectionReset,
        ConnectionClosed(close) => of_quic_code(u64::from(close.error_code)),
        TransportError(error) => of_quic_code(u64::from(error.code)),
        VersionMismatch | ApplicationClosed(_) => Failure::QuicFailed,
        LocallyClosed | CidsExhausted => Failure::Local,
    }
}

/// An alert of TLS inside QUIC is 0x100 and its number (RFC 9001, section 4.8).
fn of_quic_code(code: u64) -> Failure {
    match code {
        0x100..=0x1ff => Failure::TlsAlert((code & 0xff) as u8),
        _ => Failure::QuicFailed,
    }
}
