//! The rules by which a stage is judged, each with its name and what it says for and against.
//!
//! The odds are those of OONI's published analysis of web connectivity, which its authors hold against 126
//! labelled measurements, where nothing else is named.

use serde::{Serialize, Serializer};

/// The rules' version. It goes with every analysis: what an older version concluded is not comparable.
pub const RULESET: &str = "1";

/// How likely a target is blocked, down, or well, by one rule alone; they add up to 1 or less.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Odds {
    /// Somebody on the way interferes.
    pub blocked: f32,
    /// It fails for all.
    pub down: f32,
    /// It works.
    pub ok: f32,
}

/// One rule.
#[derive(Debug, PartialEq)]
pub struct Rule {
    /// Its name, which never changes its meaning.
    pub id: &'static str,
    /// What it says.
    pub odds: Odds,
    /// When it holds, as a sentence's end: "the control has ...".
    pub says: &'static str,
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id)
    }
}

macro_rules! rules {
    ($($name:ident = $id:literal, $blocked:literal, $down:literal, $ok:literal, $says:literal;)*) => {
        $(
            #[doc = $says]
            pub(super) static $name: Rule = Rule {
                id: $id,
                odds: Odds { blocked: $blocked, down: $down, ok: $ok },
                says: $says,
            };
        )*
        /// All rules, in the order of their layers.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    DNS_BLOCK_PAGE = "dns.block_page_address", 1.0, 0.0, 0.0,
        "the resolver gives an address that is known to serve block pages in this country";
    DNS_BOGON = "dns.bogon", 0.95, 0.05, 0.0,
        "the resolver gives an address of no public network, and the control gets others";
    DNS_BOGON_EVERYWHERE = "dns.bogon_everywhere", 0.1, 0.9, 0.0,
        "the name stands for an address of no public network, for the control as well";
    DNS_BOGON_ALONE = "dns.bogon_alone", 0.5, 0.5, 0.0,
        "the resolver gives an address of no public network, and nothing else is known";
    DNS_VALID_TLS = "dns.valid_tls", 0.0, 0.0, 1.0,
        "what answers at the resolver's address has the site's valid certificate";
    DNS_SAME_ADDRESS = "dns.same_address", 0.0, 0.0, 0.9,
        "the resolver gives an address that the control gets too";
    DNS_SAME_NETWORK = "dns.same_network", 0.2, 0.0, 0.8,
        "the resolver gives an address in a network of the control's";
    DNS_FAILURE = "dns.failure", 0.9, 0.1, 0.0,
        "the resolver gives no address, and the control gets one";
    DNS_FAILURE_EVERYWHERE = "dns.failure_everywhere", 0.1, 0.9, 0.0,
        "the resolver gives no address, nor does the control's";
    DNS_FAILURE_ALONE = "dns.failure_alone", 0.5, 0.5, 0.0,
        "the resolver gives no address, and nothing else is known";
    DNS_RESOLVER_BROKEN = "dns.resolver_broken", 0.0, 0.0, 0.0,
        "the resolver does not find a name either that exists for certain";
    DNS_GHOST = "dns.ghost", 0.75, 0.25, 0.0,
        "the resolver gives an address for a name that others say is gone";
    DNS_WRONG_CERTIFICATE = "dns.wrong_certificate", 0.9, 0.05, 0.05,
        "what answers at the resolver's address has another certificate, and the control gets other addresses";
    DNS_USELESS = "dns.useless_address", 0.9, 0.1, 0.0,
        "nothing answers at the resolver's address, and another resolver's works from here";
    DNS_SECOND_ANSWER = "dns.second_answer", 0.95, 0.0, 0.05,
        "two different answers came to one question, and only the later is the control's";
    DNS_UNMATCHED = "dns.unmatched", 0.75, 0.0, 0.25,
        "the resolver gives an address in a network that the control does not get";
    TCP_OK = "tcp.ok", 0.0, 0.0, 1.0,
        "a connection stands";
    TCP_FAILURE = "tcp.failure", 0.75, 0.25, 0.0,
        "no connection stands, and the control's does";
    TCP_FAILURE_EVERYWHERE = "tcp.failure_everywhere", 0.25, 0.75, 0.0,
        "no connection stands, nor does the control's";
    TCP_FAILURE_ALONE = "tcp.failure_alone", 0.5, 0.5, 0.0,
        "no connection stands, and nothing else is known";
    TLS_OK = "tls.ok", 0.0, 0.0, 1.0,
        "a handshake shows the site's valid certificate";
    TLS_CERTIFICATE = "tls.certificate", 0.9, 0.1, 0.0,
        "another certificate is shown than the control gets";
    TLS_RESET = "tls.reset", 0.8, 0.2, 0.0,
        "the handshake is reset, and the control's is not";
    TLS_RESET_BY_NAME = "tls.reset_by_name", 0.95, 0.05, 0.0,
        "the handshake is reset for the site's name and not for another at the same address";
    TLS_FAILURE_BY_NAME = "tls.failure_by_name", 0.9, 0.1, 0.0,
        "the handshake fails for the site's name and not for another at the same address";
    TLS_FAILURE = "tls.failure", 0.7, 0.3, 0.0,
        "the handshake fails, and the control's does not";
    TLS_FAILURE_EVERYWHERE = "tls.failure_everywhere", 0.2, 0.8, 0.0,
        "the handshake fails for the control as well";
    TLS_FAILURE_ALONE = "tls.failure_alone", 0.5, 0.5, 0.0,
        "the handshake fails, and nothing else is known";
    HTTP_VALID_TLS = "http.valid_tls", 0.0, 0.0, 1.0,
        "the page came under the site's valid certificate";
    HTTP_SAME_PAGE = "http.same_page", 0.0, 0.0, 0.9,
        "the page is the control's, by its status and its length, headers or title";
    HTTP_BLOCK_PAGE = "http.block_page", 1.0, 0.0, 0.0,
        "the page is one that is known to be shown in place of what is blocked";
    HTTP_DIFFERENT = "http.different", 0.75, 0.0, 0.25,
        "another page came than the control gets";
    HTTP_ALONE = "http.alone", 0.0, 0.0, 0.0,
        "a page came without TLS, and there is none of the control's to compare it with";
    HTTP_CHALLENGE = "http.challenge", 0.0, 0.0, 0.0,
        "the site asks the probe to prove that it is human";
    HTTP_REFUSAL = "http.refusal", 0.0, 0.0, 0.0,
        "the site itself refuses, and not the control";
    HTTP_ERROR = "http.error", 0.0, 0.0, 0.0,
        "the site itself says that it has an error, and not to the control";
    HTTP_ERROR_EVERYWHERE = "http.error_everywhere", 0.0, 1.0, 0.0,
        "the site says that it has an error, to the control as well";
    HTTP_BROKEN_REDIRECT = "http.broken_redirect", 0.0, 0.0, 0.0,
        "under its valid certificate the site sends to where nothing can be";
    HTTP_BROKEN_REDIRECT_EVERYWHERE = "http.broken_redirect_everywhere", 0.0, 1.0, 0.0,
        "the site's redirects lead nowhere, for the control as well";
    HTTP_UNFINISHED = "http.unfinished", 0.0, 0.0, 0.0,
        "the answer began and did not come to its end in time";
    HTTP_RESET = "http.reset", 0.8, 0.2, 0.0,
        "the connection is reset once the request is seen, and the control's is not";
    HTTP_FAILURE = "http.failure", 0.7, 0.3, 0.0,
        "no answer comes to the request, and one comes to the control's";
    HTTP_FAILURE_EVERYWHERE = "http.failure_everywhere", 0.2, 0.8, 0.0,
        "no answer comes to the request, nor to the control's";
    HTTP_FAILURE_ALONE = "http.failure_alone", 0.5, 0.5, 0.0,
        "no answer comes to the request, and nothing else is known";
    QUIC_DROPPED = "quic.dropped", 0.7, 0.3, 0.0,
        "QUIC is not answered where TLS over TCP is, and the control's is";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_names_of_their_own_and_odds_that_are_some() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(RULES[..index].iter().all(|other| other.id != rule.id), "{}", rule.id);
            let Odds { blocked, down, ok } = rule.odds;
            assert!(blocked >= 0.0 && down >= 0.0 && ok >= 0.0 && blocked + down + ok <= 1.0 + 1e-6);
        }
    }
}
