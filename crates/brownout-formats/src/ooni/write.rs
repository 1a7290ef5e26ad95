//! A measurement as OONI's programs would have written it.

use super::fields::CONTROL_NAME;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brownout_core::reach::{
    Answer, Baseline, Connect, Failure, Family, Fetch, Flags, Handshake, Likeness, Lookup, Measurement,
    Resolver, Response, Transport, flags,
};
use serde_json::{Map, Value, json};

/// Version of the test whose keys are written.
const TEST_VERSION: &str = "0.5.28";
/// Version of the document's form (df-000).
const DATA_FORMAT_VERSION: &str = "0.2.0";
/// What stands for an address that nobody is told.
const NO_ADDRESS: &str = "127.0.0.1";

/// Writes a measurement as one JSON document without a line break. No address of a probe is written, for none
/// is kept.
pub fn write(measurement: &Measurement) -> String {
    let vantage = &measurement.vantage;
    let network =
        |asn: Option<brownout_core::model::Asn>| asn.map_or_else(|| "AS0".to_owned(), |asn| asn.to_string());
    let started_at = time(measurement);
    let (software, version) = vantage.software.rsplit_once(' ').unwrap_or((vantage.software.as_str(), "0"));
    let document = json!({
        "annotations": {},
        "data_format_version": DATA_FORMAT_VERSION,
        "extensions": {"dnst": 0, "httpt": 0, "tcpconnect": 0, "tlshandshake": 0},
        "input": measurement.target.url,
        "measurement_start_time": started_at,
        "probe_asn": network(vantage.network),
        "probe_cc": vantage.country.map_or_else(|| "ZZ".to_owned(), |country| country.to_string()),
        "probe_ip": NO_ADDRESS,
        "report_id": "",
        "resolver_asn": network(vantage.resolver_network),
        "resolver_ip": NO_ADDRESS,
        "software_name": software,
        "software_version": version,
        "test_helpers": {},
        "test_keys": test_keys(measurement),
        "test_name": "web_connectivity",
        "test_runtime": runtime_seconds(measurement),
        "test_start_time": started_at,
        "test_version": TEST_VERSION,
    });
    document.to_string()
}

/// `2025-03-10 10:02:00`, UTC.
fn time(measurement: &Measurement) -> String {
    let text = measurement.started_at.to_string();
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// All stages one after the other: at least as long as the run was.
fn runtime_seconds(measurement: &Measurement) -> f64 {
    let run = &measurement.run;
    let millis = (run.lookups.iter().map(|one| one.millis))
        .chain(run.connects.iter().map(|one| one.millis))
        .chain(run.handshakes.iter().map(|one| one.millis))
        .chain(run.fetches.iter().map(|one| one.millis));
    millis.flatten().map(|millis| f64::from(millis) / 1000.0).sum()
}

fn test_keys(measurement: &Measurement) -> Value {
    let run = &measurement.run;
    let flags = flags(measurement);
    let of = |transport| run.handshakes.iter().filter(move |one| one.transport == transport);
    let mut requests: Vec<&Fetch> = run.fetches.iter().collect();
    // The last stands first.
    requests.sort_by_key(|fetch| std::cmp::Reverse(fetch.hop));
    let mut keys = json!({
        "agent": "redirect",
        "client_resolver": NO_ADDRESS,
        "network_events": null,
        "queries": run.lookups.iter().flat_map(queries).collect::<Vec<_>>(),
        "requests": requests.into_iter().map(request).collect::<Vec<_>>(),
        "retries": null,
        "socksproxy": null,
        "tcp_connect": run.connects.iter().map(connect).collect::<Vec<_>>(),
        "tls_handshakes": of(Transport::Tcp).map(handshake).collect::<Vec<_>>(),
        "quic_handshakes": of(Transport::Quic).map(handshake).collect::<Vec<_>>(),
        "control": measurement.control.found().map_or_else(|| json!({}), control),
        "control_failure": measurement.control.found().is_none().then_some("unknown_failure: no control"),
    });
    if let (Some(keys), Value::Object(verdict)) = (keys.as_object_mut(), verdict(measurement, &flags)) {
        keys.extend(verdict);
    }
    keys
}

/// What the test itself says.
fn verdict(measurement: &Measurement, flags: &Flags) -> Value {
    let run = &measurement.run;
    let blocking = match (flags.verdict, flags.accessible) {
        (Some(word), _) => json!(word),
        (None, Some(_)) => json!(false),
        (None, None) => Value::Null,
    };
    let lookup = run.lookups.iter().find(|one| one.hop == 0 && one.resolver == Resolver::System);
    let consistency = measurement.control.found().map(|_| {
        if flags.dns.0 == 0 && flags.verdict != Some("dns") { "consistent" } else { "inconsistent" }
    });
    let http_failure = run.usual_fetches().max_by_key(|fetch| fetch.hop).and_then(|fetch| fetch.failure);
    let Likeness { status, length, headers, title } = flags.likeness.unwrap_or_default();
    json!({
        "accessible": flags.accessible,
        "blocking": blocking,
        "body_length_match": length,
        "body_proportion": proportion(measurement),
        "dns_consistency": consistency,
        "dns_experiment_failure": lookup.and_then(|one| one.failure).map(text_of),
        "headers_match": headers,
        "http_experiment_failure": http_failure.map(text_of),
        "status_code_match": status,
        "title_match": title,
        "x_blocking_flags": flags.blocking.0,
        "x_dns_flags": flags.dns.0,
        "x_null_null_flags": flags.null_null.0,
    })
}

fn proportion(measurement: &Measurement) -> f64 {
    let ours = measurement
        .run
        .usual_fetches()
        .max_by_key(|fetch| fetch.hop)
        .and_then(|fetch| fetch.response.as_ref());
    let theirs = measurement.control.found().and_then(|found| found.fetch.as_ref()?.response.as_ref());
    let length = |response: Option<&Response>| response.and_then(|response| response.body_length);
    match (length(ours), length(theirs)) {
        (Some(ours), Some(theirs)) if ours.max(theirs) > 0 => {
            ours.min(theirs) as f64 / ours.max(theirs) as f64
        }
        _ => 0.0,
    }
}

fn tags(hop: u8) -> Value {
    json!([format!("depth={hop}")])
}

/// The same of what may be for an innocent name, which the form has no field for.
fn tags_of(hop: u8, is_control_name: bool) -> Value {
    match is_control_name {
        true => json!([format!("depth={hop}"), CONTROL_NAME]),
        false => tags(hop),
    }
}

fn seconds(millis: Option<u32>) -> Option<f64> {
    millis.map(|millis| f64::from(millis) / 1000.0)
}

/// A lookup; the second answer to the same question is one of its own.
fn queries(lookup: &Lookup) -> Vec<Value> {
    let (engine, address) = match &lookup.resolver {
        Resolver::System => ("getaddrinfo", ""),
        Resolver::Plain(address) => ("udp", address.as_str()),
        Resolver::Https(url) => ("doh", url.as_str()),
    };
    let kind = match lookup.family {
        Family::V4 => "A",
        Family::V6 => "AAAA",
        Family::Any => "ANY",
    };
    let query = |answers: &[Answer], failure: Option<Failure>| {
        json!({
            "answers": answers.iter().map(answer).collect::<Vec<_>>(),
            "engine": engine,
            "failure": failure.map(text_of),
            "hostname": lookup.host,
            "query_type": kind,
            "resolver_address": address,
            "resolver_hostname": null,
            "resolver_port": null,
            "t0": lookup.millis.map(|_| 0.0),
            "t": seconds(lookup.millis),
            "tags": tags_of(lookup.hop, lookup.is_control_name),
        })
    };
    let second = (!lookup.second.is_empty()).then(|| query(&lookup.second, None));
    std::iter::once(query(&lookup.answers, lookup.failure)).chain(second).collect()
}

fn answer(answer: &Answer) -> Value {
    let (kind, field) = if answer.address.is_ipv4() { ("A", "ipv4") } else { ("AAAA", "ipv6") };
    let mut entry = Map::new();
    entry.insert("answer_type".to_owned(), json!(kind));
    entry.insert(field.to_owned(), json!(answer.address.to_string()));
    entry.insert("asn".to_owned(), json!(answer.network.map(|asn| asn.0.get())));
    entry.insert("as_org_name".to_owned(), Value::Null);
    entry.insert("ttl".to_owned(), Value::Null);
    Value::Object(entry)
}

fn connect(connect: &Connect) -> Value {
    json!({
        "ip": connect.endpoint.ip().to_string(),
        "port": connect.endpoint.port(),
        "status": {"failure": connect.failure.map(text_of), "success": connect.failure.is_none()},
        "t0": connect.millis.map(|_| 0.0),
        "t": seconds(connect.millis),
        "tags": tags(connect.hop),
    })
}

fn handshake(shake: &Handshake) -> Value {
    json!({
        "network": match shake.transport { Transport::Tcp => "tcp", Transport::Quic => "udp" },
        "address": shake.endpoint.to_string(),
        "cipher_suite": "",
        "failure": shake.failure.map(text_of),
        "negotiated_protocol": "",
        "no_tls_verify": !shake.is_verified,
        "peer_certificates": null,
        "server_name": shake.server_name,
        "t0": shake.millis.map(|_| 0.0),
        "t": seconds(shake.millis),
        "tags": tags_of(shake.hop, shake.is_control_name),
        "tls_version": "",
    })
}

fn request(fetch: &Fetch) -> Value {
    let (network, transport) = match fetch.transport {
        Transport::Tcp => ("tcp", "tcp"),
        Transport::Quic => ("udp", "quic"),
    };
    json!({
        "network": network,
        "address": fetch.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default(),
        "alpn": "",
        "failure": fetch.failure.map(text_of),
        "request": {
            "body": "",
            "body_is_truncated": false,
            "headers": {},
            "headers_list": [],
            "method": "GET",
            "tor": {"exit_ip": null, "exit_name": null, "is_tor": false},
            "url": fetch.url,
            "x_transport": transport,
        },
        "response": fetch.response.as_ref().map(response),
        "t0": fetch.millis.map(|_| 0.0),
        "t": seconds(fetch.millis),
        "tags": tags(fetch.hop),
    })
}

fn response(response: &Response) -> Value {
    let headers: Map<String, Value> =
        response.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let is_whole = response.body_length == Some(response.body.len() as u64);
    json!({
        "body": bytes(&response.body),
        "body_is_truncated": response.is_truncated || !is_whole,
        "code": response.status,
        "headers": headers,
        "headers_list": response.headers,
    })
}

/// Bytes as text where they are some.
fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({"format": "base64", "data": STANDARD.encode(bytes)}),
    }
}

fn control(found: &Baseline) -> Value {
    let endpoints = |list: &[(std::net::SocketAddr, Option<Failure>)]| -> Map<String, Value> {
        let entry = |(endpoint, failure): &(std::net::SocketAddr, Option<Failure>)| {
            let found = json!({"status": failure.is_none(), "failure": failure.map(text_of)});
            (endpoint.to_string(), found)
        };
        list.iter().map(entry).collect()
    };
    let networks: Map<String, Value> = found
        .addresses
        .iter()
        .map(|one| {
            let asn = one.network.map_or(0, |asn| asn.0.get());
            (one.address.to_string(), json!({"asn": asn, "flags": 2}))
        })
        .collect();
    json!({
        "dns": {
            "failure": found.lookup_failure.map(text_of),
            "addrs": found.addresses.iter().map(|one| one.address.to_string()).collect::<Vec<_>>(),
        },
        "tcp_connect": endpoints(&found.connects),
        "tls_handshake": endpoints(&found.handshakes),
        "quic_handshake": endpoints(&found.quic),
        "http_request": found.fetch.as_ref().map(|fetch| {
            let response = fetch.response.clone().unwrap_or_default();
            let headers: Map<String, Value> =
                response.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({
                "body_length": response.body_length.map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX)),
                "failure": fetch.failure.map(text_of),
                "headers": headers,
                "status_code": if response.status == 0 { -1 } else { i64::from(response.status) },
                "title": response.title.unwrap_or_default(),
            })
        }),
        "http3_request": null,
        "ip_info": networks,
    })
}

/// The text that OONI's programs write for a failure (df-007).
pub(super) fn text_of(failure: Failure) -> &'static str {
    match failure {
        Failure::NxDomain => "dns_nxdomain_error",
        Failure::NoAnswer => "dns_no_answer",
        Failure::DnsRefused => "dns_refused_error",
        Failure::DnsServerFailure => "dns_servfail_error",
        Failure::DnsBogon => "dns_bogon_error",
        Failure::Timeout => "generic_timeout_error",
        Failure::ConnectionRefused => "connection_refused",
        Failure::ConnectionReset => "connection_reset",
        Failure::ConnectionAborted => "connection_aborted",
        Failure::HostUnreachable => "host_unreachable",
        Failure::NetworkUnreachable => "network_unreachable",
        Failure::Eof => "eof_error",
        Failure::CertificateInvalid => "ssl_invalid_certificate",
        Failure::CertificateWrongName => "ssl_invalid_hostname",
        Failure::CertificateUnknownAuthority => "ssl_unknown_authority",
        Failure::TlsAlert(_) | Failure::TlsFailed => "ssl_failed_handshake",
        Failure::QuicFailed => "quic_incompatible_version",
        Failure::RedirectInvalid => "http_invalid_redirect_location_host",
        Failure::RedirectsTooMany => "unknown_failure: stopped after too many redirects",
        Failure::HttpInvalid => "unknown_failure: malformed HTTP response",
        Failure::Local => "permission_denied",
        Failure::Other => "unknown_failure",
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::failure_of;
    use super::*;

    #[test]
    fn a_failure_goes_there_and_back() {
        let failures = [
            Failure::NxDomain,
            Failure::NoAnswer,
            Failure::DnsRefused,
            Failure::DnsServerFailure,
            Failure::DnsBogon,
            Failure::Timeout,
            Failure::ConnectionRefused,
            Failure::ConnectionReset,
            Failure::ConnectionAborted,
            Failure::HostUnreachable,
            Failure::NetworkUnreachable,
            Failure::Eof,
            Failure::CertificateInvalid,
            Failure::CertificateWrongName,
            Failure::CertificateUnknownAuthority,
            Failure::TlsFailed,
            Failure::QuicFailed,
            Failure::RedirectInvalid,
            Failure::RedirectsTooMany,
            Failure::HttpInvalid,
            Failure::Local,
            Failure::Other,
        ];
        for failure in failures {
            assert_eq!(failure_of(text_of(failure)), failure);
        }
    }
}
