//! One run: from a URL to its last answer, each hop through all its stages.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use brownout_core::reach::{
    Baseline, Connect, Failure, Family, Fetch, Handshake, Lookup, Ping, REDIRECTS_MAX, Resolver, Run, Target,
    Transport,
};
use futures_util::future::{OptionFuture, join, join_all, join3};
use hyper::header::{COOKIE, HeaderValue};

use crate::dns::Asked;
use crate::http::{Answered, Ask, BODY_KEPT_BYTES_MAX};
use crate::target::{authority_of, path_of, sent_to};
use crate::tcp::millis_since;
use crate::tls::Link;
use crate::{ControlPoint, ControlQuestion, Depth, Prober};

/// Most addresses of the target that are tried, of each family, and of a hop after the first.
const ADDRESSES_MAX: usize = 4;
const ADDRESSES_LATER_MAX: usize = 2;
/// No redirect is followed after so long.
const RUN_TIME_MAX: Duration = Duration::from_secs(90);
/// Most cookies that a run carries on.
const COOKIES_MAX: usize = 32;

/// What came of one endpoint.
struct Reached {
    connect: Connect,
    shakes: Vec<Handshake>,
    link: Option<Link>,
}

/// Name and value of a cookie, and the host that it is for. They live as long as the run and are never kept.
struct Cookie {
    host: String,
    name: String,
    value: String,
}

impl Prober {
    /// Measures a target, and also the endpoints that somebody else was given for it.
    pub(crate) async fn run(
        &self,
        target: &Target,
        also: &[SocketAddr],
        control: Option<&ControlPoint>,
    ) -> (Run, Option<Baseline>) {
        let begin = Instant::now();
        let mut run = Run::default();
        let mut cookies = Vec::new();
        let lookups = self.look_up_all(0, target).await;
        let endpoints = endpoints_of(&lookups, target, ADDRESSES_MAX);
        run.lookups = lookups;
        let asked: OptionFuture<_> = control
            .map(|point| {
                let question = ControlQuestion { url: target.url.clone(), endpoints: endpoints.clone() };
                self.ask_control(point, question)
            })
            .into();
        let course = async {
            let mut next = self.hop(&mut run, 0, (target, &with(endpoints, also)), &mut cookies).await;
            let mut hop = 0;
            while let Some(target) = next.take() {
                hop += 1;
                if begin.elapsed() > RUN_TIME_MAX {
                    break;
                }
                let lookups = self.look_up_usual(hop, &target.host).await;
                let endpoints = endpoints_of(&lookups, &target, ADDRESSES_LATER_MAX);
                run.lookups.extend(lookups);
                next = self.hop(&mut run, hop, (&target, &endpoints), &mut cookies).await;
            }
        };
        let ((), found) = join(course, asked).await;
        (run, found.flatten())
    }

    /// Looks the target's name up at everybody who is to be asked.
    async fn look_up_all(&self, hop: u8, target: &Target) -> Vec<Lookup> {
        let host = target.host.as_str();
        if target.address().is_some() {
            return Vec::new();
        }
        if self.is_plain() {
            return self.look_up_usual(hop, host).await;
        }
        let resolvers = &self.settings.resolvers;
        let mut lookups = Vec::new();
        for family in [Family::V4, Family::V6] {
            lookups.push(self.look_up(hop, Asked::System(&resolvers.system), host, family));
            lookups.extend(resolvers.plain.iter().map(|at| self.look_up(hop, Asked::Udp(*at), host, family)));
            let https = resolvers.https.iter();
            lookups.extend(https.map(|url| self.look_up(hop, Asked::Https(url), host, family)));
        }
        // That the same resolver gives another answer over TCP tells of injection.
        lookups.extend(resolvers.plain.iter().map(|at| self.look_up(hop, Asked::Tcp(*at), host, Family::V4)));
        let mut found = join_all(lookups).await;
        let usual = found.iter().filter(|lookup| lookup.resolver == Resolver::System);
        let is_failing = usual.clone().all(|lookup| lookup.answers.is_empty());
        if let Some(innocent) =
            self.settings.innocent_name.as_deref().filter(|name| is_failing && *name != host)
        {
            let lookup = self.look_up(hop, Asked::System(&resolvers.system), innocent, Family::V4).await;
            found.push(Lookup { is_control_name: true, ..lookup });
        }
        found
    }

    /// Looks a name up as a program would: at the system's resolvers.
    async fn look_up_usual(&self, hop: u8, host: &str) -> Vec<Lookup> {
        if host.parse::<IpAddr>().is_ok() {
            return Vec::new();
        }
        let system = Asked::System(&self.settings.resolvers.system);
        let v4 = self.look_up(hop, system, host, Family::V4);
        if !self.is_plain() {
            let both = join(v4, self.look_up(hop, system, host, Family::V6)).await;
            return vec![both.0, both.1];
        }
        let v4 = v4.await;
        if v4.failure == Some(Failure::NoAnswer) {
            return vec![v4, self.look_up(hop, system, host, Family::V6).await];
        }
        vec![v4]
    }

    /// All stages of a hop after its lookups; tells where it sends on to.
    async fn hop(
        &self,
        run: &mut Run,
        hop: u8,
        (target, endpoints): (&Target, &[SocketAddr]),
        cookies: &mut Vec<Cookie>,
    ) -> Option<Target> {
        if self.is_plain() {
            let reached = self.reach_one(hop, target, endpoints).await;
            return self.fetch_of(run, hop, target, reached, cookies).await;
        }
        let is_first = hop == 0;
        let beside: Vec<IpAddr> = [IpAddr::is_ipv4, IpAddr::is_ipv6]
            .into_iter()
            .filter_map(|is_of| endpoints.iter().map(SocketAddr::ip).find(is_of))
            .filter(|_| is_first)
            .collect();
        let quic =
            join_all(beside.iter().filter(|_| target.is_tls).map(|address| self.quic(hop, target, *address)));
        let pings = join_all(beside.iter().map(|address| self.ping(*address)));
        let pages = async {
            let reached = join_all(endpoints.iter().map(|endpoint| self.reach(hop, target, *endpoint))).await;
            let mut found = Run::default();
            let next = self.fetch_of(&mut found, hop, target, reached, cookies).await;
            (found, next)
        };
        let ((found, next), quic, pings) = join3(pages, quic, pings).await;
        run.connects.extend(found.connects);
        run.handshakes.extend(found.handshakes);
        run.fetches.extend(found.fetches);
        for (shake, fetch) in quic {
            run.handshakes.push(shake);
            run.fetches.extend(fetch);
        }
        run.pings.extend(pings.into_iter().flatten().collect::<Vec<Ping>>());
        next
    }

    /// Connects to one endpoint after the other until one works.
    async fn reach_one(&self, hop: u8, target: &Target, endpoints: &[SocketAddr]) -> Vec<Reached> {
        let mut all = Vec::new();
        for endpoint in endpoints {
            let reached = self.reach(hop, target, *endpoint).await;
            let is_done = reached.link.is_some();
            all.push(reached);
            if is_done {
                break;
            }
        }
        all
    }

    /// Connects to an endpoint, and makes a handshake where the target wants one.
    async fn reach(&self, hop: u8, target: &Target, endpoint: SocketAddr) -> Reached {
        let (connect, stream) = self.connect_noted(hop, endpoint).await;
        let mut reached = Reached { connect, shakes: Vec::new(), link: None };
        let Some(stream) = stream else { return reached };
        if !target.is_tls {
            reached.link = Some(Link::Open(stream));
            return reached;
        }
        let (shake, secured) = self.secure_noted(hop, endpoint, (stream, &target.host), false).await;
        let is_failing = shake.failure.is_some();
        reached.shakes.push(shake);
        reached.link = secured.map(|secured| Link::Secured(Box::new(secured)));
        let innocent = self.settings.innocent_name.as_deref();
        if let Some(innocent) = innocent.filter(|name| is_failing && !self.is_plain() && *name != target.host)
            && let Ok(stream) = self.connect(endpoint).await
        {
            let (shake, _) = self.secure_noted(hop, endpoint, (stream, innocent), true).await;
            reached.shakes.push(shake);
        }
        reached
    }

    /// Asks for the page over the first connection that stands; tells where it sends on to.
    async fn fetch_of(
        &self,
        run: &mut Run,
        hop: u8,
        target: &Target,
        reached: Vec<Reached>,
        cookies: &mut Vec<Cookie>,
    ) -> Option<Target> {
        let mut link = None;
        for Reached { connect, shakes, link: stands } in reached {
            let endpoint = connect.endpoint;
            run.connects.push(connect);
            run.handshakes.extend(shakes);
            link = link.or(stands.map(|link| (endpoint, link)));
        }
        let (endpoint, link) = link?;
        if self.settings.depth == Depth::Connect {
            return None;
        }
        let begin = Instant::now();
        let answered = self.fetch(target, link, cookies).await;
        let mut failure = answered.failure;
        let mut next = None;
        if let (None, Some(response)) = (failure, &answered.response) {
            gather_cookies(&target.host, &response.headers, cookies);
            if let Some(location) = response.header("location").filter(|_| response.is_redirect()) {
                match sent_to(target, location, self.settings.guard) {
                    _ if hop >= REDIRECTS_MAX => failure = Some(Failure::RedirectsTooMany),
                    None => failure = Some(Failure::RedirectInvalid),
                    found => next = found,
                }
            }
        }
        run.fetches.push(Fetch {
            hop,
            url: target.url.clone(),
            is_tls: target.is_tls,
            transport: Transport::Tcp,
            endpoint: Some(endpoint),
            failure,
            response: answered.response,
            curve: answered.curve,
            millis: Some(millis_since(begin)),
        });
        next
    }

    async fn fetch(&self, target: &Target, link: Link, cookies: &[Cookie]) -> Answered {
        let mut headers = self.page_headers();
        let of_host = cookies.iter().filter(|cookie| is_for(&target.host, &cookie.host));
        let pairs: Vec<String> = of_host.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if let Some(value) =
            (!pairs.is_empty()).then(|| HeaderValue::try_from(pairs.join("; ")).ok()).flatten()
        {
            headers.push((COOKIE, value));
        }
        let request = Ask {
            is_tls: target.is_tls,
            authority: authority_of(target),
            path: path_of(target),
            headers,
            body: None,
            kept_bytes_max: BODY_KEPT_BYTES_MAX,
        };
        link.ask(request, self.settings.timeouts.fetch).await
    }
}

/// Where the target may be reached by its lookups: what a person's program would use first, each address once.
fn endpoints_of(lookups: &[Lookup], target: &Target, of_family_max: usize) -> Vec<SocketAddr> {
    if let Some(address) = target.address() {
        return vec![SocketAddr::new(address, target.port)];
    }
    let (usual, others): (Vec<&Lookup>, Vec<&Lookup>) = lookups
        .iter()
        .filter(|lookup| !lookup.is_control_name)
        .partition(|lookup| lookup.resolver == Resolver::System);
    let mut endpoints: Vec<SocketAddr> = Vec::new();
    let mut take = |lookups: &[&Lookup], of_family_max: usize| {
        let answers = lookups.iter().flat_map(|lookup| lookup.answers.iter().chain(&lookup.second));
        for answer in answers {
            let endpoint = SocketAddr::new(answer.address, target.port);
            let of_family = endpoints.iter().filter(|one| one.is_ipv4() == endpoint.is_ipv4()).count();
            if of_family < of_family_max && !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
    };
    take(&usual, of_family_max);
    // What others say is tried too, but not all of it.
    take(&others, of_family_max + 2);
    endpoints
}

fn with(mut endpoints: Vec<SocketAddr>, also: &[SocketAddr]) -> Vec<SocketAddr> {
    for endpoint in also {
        if !endpoints.contains(endpoint) {
            endpoints.push(*endpoint);
        }
    }
    endpoints
}

/// Keeps what an answer sets, for some sites send on for ever whoever brings nothing back.
fn gather_cookies(host: &str, headers: &[(String, String)], cookies: &mut Vec<Cookie>) {
    for (_, field) in headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
        let mut parts = field.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
        let domain =
            parts.filter_map(|part| part.split_once('=')).find(|(key, _)| key.eq_ignore_ascii_case("domain"));
        let domain = domain.map(|(_, domain)| domain.trim_start_matches('.').to_ascii_lowercase());
        let of = domain.filter(|domain| domain.contains('.') && is_for(host, domain));
        let host = of.unwrap_or_else(|| host.to_owned());
        cookies.retain(|cookie| cookie.name != name || cookie.host != host);
        if cookies.len() < COOKIES_MAX {
            cookies.push(Cookie { host, name: name.to_owned(), value: value.to_owned() });
        }
    }
}

/// Whether a host is another's, or below it.
fn is_for(host: &str, of: &str) -> bool {
    host == of || host.strip_suffix(of).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use brownout_core::reach::Answer;

    use super::*;

    fn lookup(resolver: Resolver, addresses: &[&str], is_control_name: bool) -> Lookup {
        let answer = |text: &&str| Answer { address: text.parse().expect("an address"), network: None };
        Lookup {
            hop: 0,
            resolver,
            host: "x.com".to_owned(),
            family: Family::V4,
            answers: addresses.iter().map(answer).collect(),
            failure: None,
            is_control_name,
            second: Vec::new(),
            millis: None,
        }
    }

    #[test]
    fn what_a_person_would_use_comes_first_and_each_address_once() {
        let target = crate::parse_target("https://x.com/", crate::Guard::Public).expect("a target");
        let lookups = [
            lookup(Resolver::Https("https://9.9.9.9/dns-query".to_owned()), &["8.8.4.4", "8.8.4.5"], false),
            lookup(Resolver::System, &["8.8.4.4", "2606::1"], false),
            lookup(Resolver::System, &["1.1.1.1"], true),
        ];
        let found = endpoints_of(&lookups, &target, 1);
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["8.8.4.4:443", "[2606::1]:443", "8.8.4.5:443"]);
        assert_eq!(with(found.clone(), &found), found);
    }

    #[test]
    fn cookies_go_back_to_their_site_only() {
        let mut cookies = Vec::new();
        let set = |value: &str| ("Set-Cookie".to_owned(), value.to_owned());
        let headers = [set("a=1; Domain=.example.org"), set("b=2"), set("c=3; domain=org"), set("nonsense")];
        gather_cookies("www.example.org", &headers, &mut cookies);
        let sent = |host: &str| -> Vec<&str> {
            cookies.iter().filter(|one| is_for(host, &one.host)).map(|one| one.name.as_str()).collect()
        };
        assert_eq!(sent("www.example.org"), ["a", "b", "c"]);
        assert_eq!(sent("example.org"), ["a"]);
        assert!(sent("badexample.org").is_empty());
    }
}
