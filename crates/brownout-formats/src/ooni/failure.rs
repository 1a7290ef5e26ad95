//! Failures as OONI writes them (df-007), and those of its older programs.

use brownout_core::reach::Failure;
use serde_json::Value;

/// The failure that a text stands for.
pub fn failure_of(text: &str) -> Failure {
    match text {
        "dns_nxdomain_error" | "dns_name_error" => Failure::NxDomain,
        "dns_no_answer" | "android_dns_cache_no_data" | "no_answer" => Failure::NoAnswer,
        "dns_refused_error" => Failure::DnsRefused,
        "dns_bogon_error" => Failure::DnsBogon,
        "dns_servfail_error"
        | "dns_server_misbehaving"
        | "dns_server_failure"
        | "dns_temporary_failure"
        | "dns_non_recoverable_failure"
        | "dns_lookup_error"
        | "dns_reply_with_wrong_query_id"
        | "deferred_timeout_error" => Failure::DnsServerFailure,
        "generic_timeout_error"
        | "timed_out"
        | "connection_timed_out"
        | "tcp_timed_out_error"
        | "connect_timed_out"
        | "response_timed_out"
        | "dns_timeout_error" => Failure::Timeout,
        "connection_refused" | "connection_refused_error" | "connect_refused" => Failure::ConnectionRefused,
        "connection_reset" | "connection_reset_by_peer" => Failure::ConnectionReset,
        "connection_aborted" | "connection_already_closed" => Failure::ConnectionAborted,
        "host_unreachable" | "host_not_found" => Failure::HostUnreachable,
        "network_unreachable" | "network_down" | "address_family_not_supported" | "address_not_available" => {
            Failure::NetworkUnreachable
        }
        "eof_error" | "response_never_received" | "connection_lost" | "connection_closed" => Failure::Eof,
        "ssl_invalid_certificate" => Failure::CertificateInvalid,
        "ssl_invalid_hostname" => Failure::CertificateWrongName,
        "ssl_unknown_authority" => Failure::CertificateUnknownAuthority,
        "ssl_failed_handshake" | "ssl_error" | "ssl_handshake_error" => Failure::TlsFailed,
        "quic_incompatible_version" => Failure::QuicFailed,
        "http_invalid_redirect_location_host" | "http_invalid_redirect" => Failure::RedirectInvalid,
        "http_parse_error" | "http_unexpected_status_code" => Failure::HttpInvalid,
        "permission_denied"
        | "invalid_argument"
        | "bad_address"
        | "not_a_socket"
        | "interrupted"
        | "operation_canceled"
        | "operation_would_block"
        | "too_many_open_files"
        | "no_buffer_space"
        | "already_connected"
        | "not_connected"
        | "wrong_protocol_type"
        | "message_size"
        | "destination_address_required"
        | "protocol_not_available"
        | "no_protocol_option"
        | "resource_unavailable"
        | "value_too_large"
        | "connect_error" => Failure::Local,
        _ => of_words(text),
    }
}

/// Texts of which only a part is the same every time.
fn of_words(text: &str) -> Failure {
    let has = |words: &str| text.contains(words);
    match () {
        () if has("too many redirects") || has("10 redirects") => Failure::RedirectsTooMany,
        () if has("connection reset") => Failure::ConnectionReset,
        () if has("connection refused") => Failure::ConnectionRefused,
        () if has("i/o timeout") || has("timed out") || has("deadline exceeded") => Failure::Timeout,
        () if has("unexpected EOF") => Failure::Eof,
        () if has("no such host") => Failure::NxDomain,
        () if has("remote error: tls: ") => Failure::TlsAlert(alert_of(text)),
        () if has("x509: certificate signed by unknown authority") => Failure::CertificateUnknownAuthority,
        () if has("malformed HTTP") => Failure::HttpInvalid,
        () if has("unsupported protocol scheme") => Failure::RedirectInvalid,
        () => Failure::Other,
    }
}

/// The number of a TLS alert by its name in Go's library (RFC 8446, appendix B.2).
fn alert_of(text: &str) -> u8 {
    const NAMES: [(&str, u8); 12] = [
        ("close notify", 0),
        ("unexpected message", 10),
        ("bad record MAC", 20),
        ("handshake failure", 40),
        ("bad certificate", 42),
        ("illegal parameter", 47),
        ("unknown certificate authority", 48),
        ("access denied", 49),
        ("protocol version not supported", 70),
        ("internal error", 80),
        ("unrecognized name", 112),
        ("no application protocol", 120),
    ];
    NAMES.iter().find(|(name, _)| text.ends_with(name)).map_or(80, |(_, number)| *number)
}

/// A failure's field: `null` and `false` are a success.
pub(super) fn failure_in(value: &Value) -> Option<Failure> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => Some(failure_of(text)),
        _ => Some(Failure::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_old_and_new_programs_are_known() {
        let cases = [
            ("generic_timeout_error", Failure::Timeout),
            ("connection_refused_error", Failure::ConnectionRefused),
            ("unknown_failure: stopped after too many redirects", Failure::RedirectsTooMany),
            ("unknown_failure: remote error: tls: handshake failure", Failure::TlsAlert(40)),
            (
                "unknown_failure: Get: read tcp: connection reset by peer, connection reset",
                Failure::ConnectionReset,
            ),
            ("something new", Failure::Other),
        ];
        for (text, failure) in cases {
            assert_eq!(failure_of(text), failure, "{text}");
        }
    }
}
