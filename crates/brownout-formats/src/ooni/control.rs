//! What the test helper found.

use std::net::{IpAddr, SocketAddr};

use brownout_core::model::Asn;
use brownout_core::reach::{Answer, Baseline, BaselineFetch, Control, Failure, Response};
use serde_json::Value;

use super::body::headers_in;
use super::failure::failure_in;
use super::fields::{field, list, number, pairs, text};

/// The control of a measurement's test keys.
pub(super) fn control_in(keys: &Value) -> Control {
    let control = field(keys, "control");
    let failed = failure_in(field(keys, "control_failure")).is_some();
    if failed || control.as_object().is_none_or(serde_json::Map::is_empty) {
        return Control::Missing;
    }
    let dns = field(control, "dns");
    let baseline = Baseline {
        addresses: addresses_in(control, dns),
        lookup_failure: failure_in(field(dns, "failure")),
        connects: endpoints(control, "tcp_connect"),
        handshakes: endpoints(control, "tls_handshake"),
        quic: endpoints(control, "quic_handshake"),
        fetch: fetch_in(field(control, "http_request")),
    };
    Control::Found(Box::new(baseline))
}

fn addresses_in(control: &Value, dns: &Value) -> Vec<Answer> {
    let known = field(control, "ip_info");
    let network = |address: &str| {
        number(field(known, address), "asn").and_then(|asn| Asn::new(u32::try_from(asn).ok()?))
    };
    let answer = |text: &str| Some(Answer { address: text.parse().ok()?, network: network(text) });
    list(dns, "addrs").iter().filter_map(|address| answer(address.as_str()?)).collect()
}

fn endpoints(control: &Value, stage: &str) -> Vec<(SocketAddr, Option<Failure>)> {
    let one = |(endpoint, found): (&str, &Value)| {
        let endpoint = endpoint_of(endpoint)?;
        let failure = failure_in(field(found, "failure"));
        // Programs that know no reason say only that it failed.
        let is_ok = field(found, "status").as_bool().unwrap_or(failure.is_none());
        Some((endpoint, failure.or((!is_ok).then_some(Failure::Other))))
    };
    pairs(control, stage).filter_map(one).collect()
}

/// An endpoint, also where an address of IPv6 stands without its brackets.
pub(super) fn endpoint_of(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| {
        let (address, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, port.parse().ok()?))
    })
}

fn fetch_in(value: &Value) -> Option<BaselineFetch> {
    value.as_object()?;
    let failure = failure_in(field(value, "failure"));
    let status = number(value, "status_code").and_then(|status| u16::try_from(status).ok());
    let response = status.filter(|status| *status >= 100).map(|status| Response {
        status,
        headers: headers_in(value),
        title: text(value, "title").map(|title| title.trim().to_owned()),
        body_length: number(value, "body_length").and_then(|length| u64::try_from(length).ok()),
        is_truncated: false,
        body: Vec::new(),
    });
    Some(BaselineFetch { failure, response })
}
