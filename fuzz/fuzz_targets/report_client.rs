//! What a proxy says of its client, whatever its bytes are: an address, and the peer's own when
//! the peer is not trusted.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderValue};
use brownout::intake::{ForwardedBy, TrustedProxies};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let mut headers = HeaderMap::new();
    headers.append("forwarded", value.clone());
    headers.append("x-forwarded-for", value);
    let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let everybody = ["0.0.0.0/0", "::/0"].map(|text| text.parse().expect("a network"));
    for header in [ForwardedBy::Forwarded, ForwardedBy::XForwardedFor] {
        TrustedProxies::new(everybody.to_vec(), header).client(peer, &headers);
        assert_eq!(TrustedProxies::new(vec![], header).client(peer, &headers), peer);
    }
});
