//! How a stage of a measurement can fail.

use serde::{Deserialize, Serialize};

/// Why a lookup, connection, handshake or fetch did not succeed. A closed list: what a reader does not know
/// becomes [`Failure::Other`] and is never mistaken for one that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The resolver says that the name does not exist (RFC 1035, rcode 3).
    NxDomain,
    /// The resolver has no record of the kind that was asked for.
    NoAnswer,
    /// The resolver refused (rcode 5).
    DnsRefused,
    /// The resolver failed (rcode 2), or its answer could not be read.
    DnsServerFailure,
    /// The answer holds addresses of no public network only.
    DnsBogon,
    /// Nothing came in time.
    Timeout,
    /// The port is closed, or somebody said so (TCP RST to a SYN).
    ConnectionRefused,
    /// A connection that stood was reset.
    ConnectionReset,
    /// A connection was given up by this machine's kernel.
    ConnectionAborted,
    /// A router says that the host cannot be reached.
    HostUnreachable,
    /// There is no route, as for IPv6 on a network without it.
    NetworkUnreachable,
    /// A connection was closed before the answer was whole.
    Eof,
    /// The certificate is expired, not yet valid or malformed.
    CertificateInvalid,
    /// The certificate is another name's.
    CertificateWrongName,
    /// The certificate is of no authority that is known.
    CertificateUnknownAuthority,
    /// The other side sent a TLS alert (RFC 8446, section 6), by its number.
    TlsAlert(u8),
    /// The handshake failed otherwise.
    TlsFailed,
    /// The QUIC handshake failed otherwise than by time.
    QuicFailed,
    /// A redirect that leads nowhere: no host, no scheme that is known.
    RedirectInvalid,
    /// More redirects than are followed.
    RedirectsTooMany,
    /// What came is no HTTP.
    HttpInvalid,
    /// This machine did not allow it: no permission, no descriptor, an invalid argument. It says nothing of
    /// the network.
    Local,
    /// Any other.
    Other,
}

impl Failure {
    /// Whether a certificate was shown and was not the site's.
    pub const fn is_of_certificate(self) -> bool {
        matches!(
            self,
            Failure::CertificateInvalid
                | Failure::CertificateWrongName
                | Failure::CertificateUnknownAuthority
        )
    }

    /// Whether it says something of the network or of what answers, and not of the measuring machine.
    pub const fn tells(self) -> bool {
        !matches!(self, Failure::Local | Failure::Other | Failure::NetworkUnreachable)
    }

    /// The word for it in tables and rules.
    pub const fn word(self) -> &'static str {
        match self {
            Failure::NxDomain => "nxdomain",
            Failure::NoAnswer => "no answer",
            Failure::DnsRefused => "refused by the resolver",
            Failure::DnsServerFailure => "resolver failure",
            Failure::DnsBogon => "bogon",
            Failure::Timeout => "timeout",
            Failure::ConnectionRefused => "refused",
            Failure::ConnectionReset => "reset",
            Failure::ConnectionAborted => "aborted",
            Failure::HostUnreachable => "host unreachable",
            Failure::NetworkUnreachable => "network unreachable",
            Failure::Eof => "closed",
            Failure::CertificateInvalid => "invalid certificate",
            Failure::CertificateWrongName => "certificate of another name",
            Failure::CertificateUnknownAuthority => "certificate of an unknown authority",
            Failure::TlsAlert(_) => "TLS alert",
            Failure::TlsFailed => "TLS failure",
            Failure::QuicFailed => "QUIC failure",
            Failure::RedirectInvalid => "invalid redirect",
            Failure::RedirectsTooMany => "too many redirects",
            Failure::HttpInvalid => "not HTTP",
            Failure::Local => "local failure",
            Failure::Other => "other failure",
        }
    }
}
