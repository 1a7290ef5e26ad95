//! Targets out of URLs.

use std::fmt;

use brownout_core::reach::Target;
use url::Url;

use crate::Guard;

/// Longest URL of a target, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Why a URL is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It is no absolute URL, or has no host.
    NotUrl,
    /// It begins with something else than `http:` or `https:`.
    NotHttp,
    /// It holds a name or a password.
    Credentials,
    /// It is too long.
    TooLong,
    /// Its host is an address of no public network, and such are not allowed.
    PrivateAddress,
}

impl fmt::Display for TargetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            TargetError::NotUrl => "it is no absolute URL with a host, like https://example.org/",
            TargetError::NotHttp => "only http: and https: are measured",
            TargetError::Credentials => "it holds a name or a password",
            TargetError::TooLong => "it is longer than 2048 bytes",
            TargetError::PrivateAddress => "its address is of no public network",
        })
    }
}

impl std::error::Error for TargetError {}

/// The target that a URL names, its host in ASCII. A host that is an address passes the guard at once; a name
/// does when it has been looked up.
pub fn parse_target(input: &str, guard: Guard) -> Result<Target, TargetError> {
    if input.len() > URL_BYTES_MAX {
        return Err(TargetError::TooLong);
    }
    let mut url = Url::parse(input).map_err(|_| TargetError::NotUrl)?;
    let is_tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(TargetError::NotHttp),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    // What stands after # is never sent.
    url.set_fragment(None);
    let host = url.host_str().ok_or(TargetError::NotUrl)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_owned();
    let port = url.port_or_known_default().ok_or(TargetError::NotUrl)?;
    if host.is_empty() || port == 0 {
        return Err(TargetError::NotUrl);
    }
    let target = Target { url: url.into(), is_tls, host, port };
    match target.address() {
        Some(address) if !guard.allows(address) => Err(TargetError::PrivateAddress),
        _ => Ok(target),
    }
}

/// Where an answer of a target sends on to; `None` where that leads nowhere.
pub(crate) fn sent_to(target: &Target, location: &str, guard: Guard) -> Option<Target> {
    let url = Url::parse(&target.url).ok()?.join(location).ok()?;
    parse_target(url.as_str(), guard).ok()
}

/// What is asked of the target's server: path and query.
pub(crate) fn path_of(target: &Target) -> String {
    let Ok(url) = Url::parse(&target.url) else { return "/".to_owned() };
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The target's host as a request names it: with its port where that is not the usual one.
pub(crate) fn authority_of(target: &Target) -> String {
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    match (target.is_tls, target.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_targets() {
        for (url, host, port, path, authority) in [
            ("https://X.com", "x.com", 443, "/", "x.com"),
            (
                "http://bücher.example:8080/a?b=c#d",
                "xn--bcher-kva.example",
                8080,
                "/a?b=c",
                "xn--bcher-kva.example:8080",
            ),
            ("https://[2606:4700::1111]/", "2606:4700::1111", 443, "/", "[2606:4700::1111]"),
            ("https://example.org./", "example.org", 443, "/", "example.org"),
        ] {
            let target = parse_target(url, Guard::Public).expect(url);
            assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
            assert_eq!(
                (path_of(&target).as_str(), authority_of(&target).as_str()),
                (path, authority),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for (url, why) in [
            ("example.org", TargetError::NotUrl),
            ("https://", TargetError::NotUrl),
            ("https://example.org:0/", TargetError::NotUrl),
            ("ftp://example.org/", TargetError::NotHttp),
            ("https://a:b@example.org/", TargetError::Credentials),
            ("http://169.254.169.254/latest/meta-data", TargetError::PrivateAddress),
            ("http://0x7f000001/", TargetError::PrivateAddress),
            ("http://[::ffff:10.0.0.1]/", TargetError::PrivateAddress),
        ] {
            assert_eq!(parse_target(url, Guard::Public), Err(why), "{url}");
        }
        assert!(parse_target("http://127.0.0.1:8080/", Guard::Any).is_ok());
        let long = format!("https://example.org/{}", "a".repeat(3_000));
        assert_eq!(parse_target(&long, Guard::Public), Err(TargetError::TooLong));
    }

    #[test]
    fn a_redirect_leads_to_a_target_or_nowhere() {
        let from = parse_target("https://example.org/a/b", Guard::Public).expect("a target");
        let to = |location: &str| sent_to(&from, location, Guard::Public).map(|target| target.url);
        assert_eq!(to("../c").as_deref(), Some("https://example.org/c"));
        assert_eq!(to("//www.example.org/").as_deref(), Some("https://www.example.org/"));
        assert_eq!(to("http://192.168.0.1/blocked"), None);
        assert_eq!(to("https:///"), None);
        assert_eq!(to("intent://x"), None);
    }
}
