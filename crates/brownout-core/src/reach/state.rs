//! What may be said of a target at a place.

use serde::{Deserialize, Serialize};

/// Whether a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reachability {
    /// It works.
    Ok,
    /// It answers, but not as it does elsewhere: slowly, with a refusal or an error of its own.
    Impaired,
    /// Somebody on the way seems to interfere; one kind of luck or defect could explain it too.
    LikelyBlocked,
    /// Somebody on the way interferes.
    Blocked,
    /// It fails for the control as well.
    Down,
    /// Nothing can be said.
    Insufficient,
}

impl Reachability {
    /// Which of several is told of all: the one with the highest.
    pub const fn severity(self) -> u8 {
        match self {
            Reachability::Insufficient => 0,
            Reachability::Ok => 1,
            Reachability::Impaired => 2,
            Reachability::Down => 3,
            Reachability::LikelyBlocked => 4,
            Reachability::Blocked => 5,
        }
    }

    /// What is tested for in it: blocked and likely blocked are one.
    pub const fn kind(self) -> Self {
        match self {
            Reachability::LikelyBlocked => Reachability::Blocked,
            state => state,
        }
    }

    /// The word for it in files and interfaces.
    pub const fn word(self) -> &'static str {
        match self {
            Reachability::Ok => "ok",
            Reachability::Impaired => "impaired",
            Reachability::LikelyBlocked => "likely_blocked",
            Reachability::Blocked => "blocked",
            Reachability::Down => "down",
            Reachability::Insufficient => "insufficient",
        }
    }
}

macro_rules! mechanisms {
    ($($name:ident = $word:literal, $about:literal;)*) => {
        /// How a target is kept from being reached, or fails by itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Mechanism {
            $(
                #[doc = $about]
                #[serde(rename = $word)]
                $name,
            )*
        }

        impl Mechanism {
            /// All of them.
            pub const ALL: &[Mechanism] = &[$(Mechanism::$name),*];

            /// The word for it in files and interfaces.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Mechanism::$name => $word,)*
                }
            }

            /// What it is, in a few words.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Mechanism::$name => $about,)*
                }
            }
        }
    };
}

mechanisms! {
    DnsBogon = "dns.injection.bogon", "an address of no public network is given for the name";
    DnsAddress = "dns.injection.address", "a wrong address is given for the name";
    DnsBlockPage = "dns.injection.block_page", "the address of a block page is given for the name";
    DnsNxdomain = "dns.nxdomain", "the name is denied";
    DnsNoAnswer = "dns.no_answer", "the name is said to have no address";
    DnsRefused = "dns.refused", "the resolver refuses the name";
    DnsServerFailure = "dns.server_failure", "the resolver fails on the name";
    DnsTimeout = "dns.timeout", "questions for the name are not answered";
    DnsGhost = "dns.ghost", "an address is still given for a name that is gone";
    TcpIpBlock = "tcp.ip_block", "connections to the address are kept from standing";
    TlsReset = "tls.reset", "the handshake is reset";
    TlsResetSni = "tls.reset.sni", "the handshake is reset because of the name in it";
    TlsEof = "tls.eof", "the handshake is closed";
    TlsTimeout = "tls.timeout", "the handshake is not answered";
    TlsDropSni = "tls.drop.sni", "the handshake is dropped because of the name in it";
    TlsAlert = "tls.alert", "the handshake is refused by an alert";
    TlsSelfSigned = "tls.mitm.self_signed", "a certificate of an unknown authority is shown";
    TlsWrongName = "tls.mitm.wrong_name", "another name's certificate is shown";
    TlsInvalid = "tls.mitm.invalid", "an invalid certificate is shown";
    TlsFailure = "tls.failure", "the handshake fails";
    HttpReset = "http.reset", "the connection is reset once the request is seen";
    HttpEof = "http.eof", "the connection is closed once the request is seen";
    HttpTimeout = "http.timeout", "the request is not answered";
    HttpFailure = "http.failure", "the request fails";
    HttpBlockPage = "http.block_page", "a block page is shown";
    HttpDiff = "http.diff", "another page is shown";
    HttpRefusal = "http.server_refusal", "the site itself refuses";
    HttpChallenge = "http.server_challenge", "the site asks for a proof of being human";
    HttpError = "http.server_error", "the site itself has an error";
    QuicDrop = "quic.drop", "QUIC is dropped";
    Throttle = "throttle", "it is slowed down";
    SiteDns = "site.dns", "the name leads nowhere";
    SiteTcp = "site.tcp", "no connection stands anywhere";
    SiteTls = "site.tls", "the handshake fails everywhere";
    SiteCertificate = "site.certificate", "the site's certificate is not valid";
    SiteRedirect = "site.redirect", "the site's redirects lead nowhere";
    SiteHttp = "site.http", "the site does not answer, or with an error, anywhere";
}
