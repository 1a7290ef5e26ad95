//! A prober among real sockets on loopback: resolvers that lie, servers that reset, certificates that are not
//! the site's.

mod lab;

use std::time::Duration;

use brownout_core::reach::{
    Control, Failure, Family, Fingerprints, Measurement, Mechanism, Reachability, Resolver, Transport,
    Vantage, analyse,
};
use brownout_probe::{ControlPoint, Depth, Guard, Prober, Resolvers, Settings, Timeouts, parse_target};

use lab::{Answers, Site, names, resolver, web};

fn settings(resolvers: Resolvers, roots: Vec<lab::Root>) -> Settings {
    Settings {
        resolvers,
        guard: Guard::Any,
        innocent_name: Some("innocent.test".to_owned()),
        timeouts: Timeouts::all(Duration::from_millis(800)),
        connections_per_second_max: 0,
        roots,
        ..Settings::default()
    }
}

/// Measures as a probe that asks one resolver, beside a control that asks an honest one.
async fn measured(url: &str, resolvers: Resolvers, honest: Answers, root: lab::Root) -> Measurement {
    let honest = Resolvers { system: vec![resolver(honest).await], ..Resolvers::default() };
    let control = Prober::new(settings(honest, vec![root.clone()])).expect("a prober");
    let control = web(Site::Control(std::sync::Arc::new(control))).await;
    let point = ControlPoint::new(&format!("http://{control}/"), None).expect("a point");
    let prober = Prober::new(settings(resolvers, vec![root])).expect("a prober");
    let target = parse_target(url, Guard::Any).expect("a target");
    prober.measure(&target, Vantage::default(), Some(&point)).await
}

async fn system(answers: Answers) -> Resolvers {
    Resolvers { system: vec![resolver(answers).await], ..Resolvers::default() }
}

fn judged(measurement: &Measurement) -> (Reachability, Option<Mechanism>) {
    let analysis = analyse(measurement, &Fingerprints::default());
    (analysis.state, analysis.mechanism)
}

#[tokio::test]
async fn a_site_that_answers_is_reached_and_every_stage_is_kept() {
    let authority = lab::authority();
    let site = web(Site::Tls(authority.server("site.test"))).await;
    let honest = names(&[("site.test", &[site.ip()]), ("innocent.test", &[site.ip()])]);
    let url = format!("https://site.test:{}/", site.port());
    let found = measured(&url, system(honest.clone()).await, honest, authority.root()).await;
    assert_eq!(judged(&found), (Reachability::Ok, None), "{found:#?}");
    let run = &found.run;
    assert_eq!(run.lookups.len(), 2);
    assert_eq!(run.connects.len(), 1);
    let shake = run.handshakes.iter().find(|one| one.transport == Transport::Tcp).expect("a handshake");
    assert_eq!((shake.failure, shake.certificates.len()), (None, 1));
    let fetch = run.usual_fetches().next().expect("a fetch");
    let response = fetch.response.as_ref().expect("an answer");
    assert_eq!((response.status, response.title.as_deref()), (200, Some("A site of the test")));
    assert!(
        response.body_length > Some(1_000) && fetch.curve.last().map(|last| last.1) == response.body_length
    );
    let Control::Found(control) = &found.control else { panic!("no control") };
    assert_eq!(control.addresses[0].address, site.ip());
    assert_eq!(control.handshakes, [(site, None)]);
    let theirs = control.fetch.as_ref().and_then(|fetch| fetch.response.as_ref()).expect("its answer");
    assert_eq!((theirs.title.as_deref(), theirs.body.len()), (Some("A site of the test"), 0));
}

#[tokio::test]
async fn what_resolvers_say_is_kept_apart() {
    let site = web(Site::Page).await;
    let honest = names(&[("site.test", &[site.ip()])]);
    let url = format!("http://site.test:{}/", site.port());
    for (lie, failure, how) in [
        (Answers::nxdomain(), Failure::NxDomain, Mechanism::DnsNxdomain),
        (Answers::refused(), Failure::DnsRefused, Mechanism::DnsRefused),
        (Answers::servfail(), Failure::DnsServerFailure, Mechanism::DnsServerFailure),
        (Answers::silent(), Failure::Timeout, Mechanism::DnsTimeout),
    ] {
        // It tells the truth of the innocent name, or it would be broken.
        let lie = lie.but(&[("innocent.test", &[site.ip()])]);
        let found = measured(&url, system(lie).await, honest.clone(), lab::authority().root()).await;
        let usual = found.run.lookups.iter().find(|one| one.family == Family::V4).expect("a lookup");
        assert_eq!(usual.failure, Some(failure));
        assert_eq!(judged(&found), (Reachability::Blocked, Some(how)), "{failure:?}");
    }
    // Where it does not know the innocent name either, the resolver is broken and nothing is blocked.
    let found = measured(&url, system(Answers::servfail()).await, honest, lab::authority().root()).await;
    assert!(!matches!(judged(&found).0, Reachability::Blocked | Reachability::LikelyBlocked));
}

#[tokio::test]
async fn a_second_answer_to_one_question_is_kept() {
    let site = web(Site::Page).await;
    let honest = names(&[("site.test", &[site.ip()])]);
    let injected = honest.clone().after(&[("site.test", &["10.10.34.35".parse().expect("an address")])]);
    let url = format!("http://site.test:{}/", site.port());
    let found = measured(&url, system(injected).await, honest, lab::authority().root()).await;
    let usual = found.run.lookups.iter().find(|one| one.family == Family::V4).expect("a lookup");
    assert_eq!(usual.answers[0].address.to_string(), "10.10.34.35");
    assert_eq!(usual.second[0].address, site.ip());
}

#[tokio::test]
async fn other_resolvers_are_asked_over_udp_tcp_and_https() {
    let authority = lab::authority();
    let site = web(Site::Page).await;
    let honest = names(&[("site.test", &[site.ip()])]);
    let plain = resolver(honest.clone()).await;
    let doh = web(Site::Names(authority.server("127.0.0.1"), honest.clone())).await;
    let url = format!("https://127.0.0.1:{}/dns-query", doh.port());
    let resolvers = Resolvers {
        system: vec![resolver(Answers::nxdomain().but(&[("innocent.test", &[site.ip()])])).await],
        plain: vec![plain],
        https: vec![url.clone()],
    };
    let target = format!("http://site.test:{}/", site.port());
    let found = measured(&target, resolvers, honest, authority.root()).await;
    for by in
        [Resolver::Plain(plain.to_string()), Resolver::Plain(format!("tcp://{plain}")), Resolver::Https(url)]
    {
        let lookup = found.run.lookups.iter().find(|one| one.resolver == by && one.family == Family::V4);
        let lookup = lookup.unwrap_or_else(|| panic!("{by:?} was not asked"));
        assert_eq!(lookup.answers.first().map(|one| one.address), Some(site.ip()), "{lookup:?}");
    }
    assert_eq!(judged(&found), (Reachability::Blocked, Some(Mechanism::DnsNxdomain)));
}

#[tokio::test]
async fn handshakes_that_fail_are_told_apart() {
    let authority = lab::authority();
    let real = web(Site::Tls(authority.server("site.test"))).await;
    for (site, failure, how) in [
        (
            Site::ResetName(authority.server("innocent.test"), "site.test"),
            Failure::ConnectionReset,
            Mechanism::TlsResetSni,
        ),
        (Site::CloseAtOnce, Failure::Eof, Mechanism::TlsEof),
        (Site::Tls(authority.server("other.test")), Failure::CertificateWrongName, Mechanism::TlsWrongName),
        (
            Site::Tls(lab::authority().server("site.test")),
            Failure::CertificateUnknownAuthority,
            Mechanism::TlsSelfSigned,
        ),
        (
            Site::Tls(lab::own_authority("site.test")),
            Failure::CertificateUnknownAuthority,
            Mechanism::TlsSelfSigned,
        ),
        (Site::Tls(authority.expired("site.test")), Failure::CertificateInvalid, Mechanism::TlsInvalid),
    ] {
        let here = web(site).await;
        // The probe is led to the one on the way; the control, to the site.
        let honest = names(&[("site.test", &[real.ip()])]);
        let url = format!("https://site.test:{}/", here.port());
        let found = measured_at(&url, here, real, honest, authority.root()).await;
        let shake = found.run.handshakes.iter().find(|one| one.transport == Transport::Tcp).expect("one");
        assert_eq!(shake.failure, Some(failure));
        if failure.is_of_certificate() {
            assert_eq!(shake.certificates.len(), 1, "what was shown is kept");
        }
        // That an address closes on every name alike is less than that it does on one.
        let state = if failure == Failure::Eof { Reachability::LikelyBlocked } else { Reachability::Blocked };
        assert_eq!(judged(&found), (state, Some(how)), "{failure:?}: {found:#?}");
    }
}

/// The same URL leads a probe to one server and the control to another: as by something on the way.
async fn measured_at(
    url: &str,
    here: std::net::SocketAddr,
    there: std::net::SocketAddr,
    honest: Answers,
    root: lab::Root,
) -> Measurement {
    let mut found = measured(url, system(honest.clone()).await, honest, root.clone()).await;
    let clean = format!("https://site.test:{}/", there.port());
    let prober = Prober::new(settings(system(names(&[("site.test", &[there.ip()])])).await, vec![root]))
        .expect("a prober");
    let question = brownout_probe::ControlQuestion { url: clean, endpoints: Vec::new() };
    let mut control = prober.baseline(&question).await.expect("a baseline").found;
    // One address, whichever port it is played on.
    for (endpoint, _) in control.connects.iter_mut().chain(&mut control.handshakes).chain(&mut control.quic) {
        *endpoint = here;
    }
    found.control = Control::Found(Box::new(control));
    found
}

#[tokio::test]
async fn redirects_are_followed_to_their_end_and_no_further() {
    let site = web(Site::Redirects).await;
    let honest = names(&[("site.test", &[site.ip()])]);
    let prober = Prober::new(settings(system(honest).await, Vec::new())).expect("a prober");
    let measure = async |path: &str| {
        let url = format!("http://site.test:{}{path}", site.port());
        let target = parse_target(&url, Guard::Any).expect("a target");
        prober.measure(&target, Vantage::default(), None).await.run
    };
    let run = measure("/3").await;
    assert_eq!(run.fetches.iter().map(|one| one.hop).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(run.fetches[3].response.as_ref().map(|one| one.status), Some(200));
    let run = measure("/loop").await;
    assert_eq!(run.fetches.len(), 11);
    assert_eq!(run.fetches[10].failure, Some(Failure::RedirectsTooMany));
    let run = measure("/nowhere").await;
    assert_eq!(run.fetches[0].failure, Some(Failure::RedirectInvalid));
    let run = measure("/cookie").await;
    assert_eq!(run.fetches.last().and_then(|one| one.response.as_ref()).map(|one| one.status), Some(204));
}

#[tokio::test]
async fn pages_that_do_not_end_are_cut_off() {
    let endless = web(Site::Endless).await;
    let stuck = web(Site::Stuck).await;
    let prober = Prober::new(settings(Resolvers::default(), Vec::new())).expect("a prober");
    let measure = async |at: std::net::SocketAddr| {
        let target = parse_target(&format!("http://{at}/"), Guard::Any).expect("a target");
        prober.measure(&target, Vantage::default(), None).await.run.fetches.remove(0)
    };
    let fetch = measure(endless).await;
    let response = fetch.response.expect("an answer");
    assert!(response.is_truncated && fetch.failure.is_none());
    assert!(response.body.len() <= 65_536 && response.body_length < Some(2 << 20));
    assert!(fetch.curve.len() <= 65 && fetch.curve.is_sorted());
    let fetch = measure(stuck).await;
    assert_eq!(fetch.failure, Some(Failure::Timeout));
    assert_eq!(fetch.response.expect("a beginning").body_length, Some(10));
}

#[tokio::test]
async fn nobody_is_led_to_a_private_address() {
    let inner = web(Site::Page).await;
    let rebinding = names(&[("site.test", &[inner.ip()])]);
    let guarded = Settings { guard: Guard::Public, ..settings(system(rebinding).await, Vec::new()) };
    let prober = Prober::new(guarded).expect("a prober");
    let target =
        parse_target(&format!("http://site.test:{}/", inner.port()), Guard::Public).expect("a target");
    let run = prober.measure(&target, Vantage::default(), None).await.run;
    assert_eq!(run.connects[0].failure, Some(Failure::Local));
    assert!(run.fetches.is_empty() && run.pings.is_empty());
    let question = brownout_probe::ControlQuestion {
        url: format!("http://site.test:{}/", inner.port()),
        endpoints: vec![inner, "169.254.169.254:80".parse().expect("an endpoint")],
    };
    let found = prober.baseline(&question).await.expect("an answer").found;
    assert!(found.connects.iter().all(|(_, failure)| *failure == Some(Failure::Local)));
}

#[tokio::test]
async fn a_page_is_fetched_over_quic_too() {
    let authority = lab::authority();
    let server = authority.server("site.test");
    let site = web(Site::Tls(server.clone())).await;
    lab::quic(site, server).await;
    let honest = names(&[("site.test", &[site.ip()])]);
    let url = format!("https://site.test:{}/", site.port());
    let found = measured(&url, system(honest.clone()).await, honest, authority.root()).await;
    let shake = found.run.handshakes.iter().find(|one| one.transport == Transport::Quic).expect("one");
    assert_eq!((shake.failure, shake.certificates.len()), (None, 1));
    let fetch = found.run.fetches.iter().find(|one| one.transport == Transport::Quic).expect("one");
    assert_eq!(fetch.response.as_ref().map(|one| one.status), Some(200), "{fetch:?}");
    assert_eq!(found.control.found().map(|control| control.quic.clone()), Some(vec![(site, None)]));
}

#[tokio::test]
async fn a_plain_check_makes_one_connection() {
    let site = web(Site::Page).await;
    let honest = names(&[("site.test", &[site.ip(), site.ip()])]);
    let plain = Settings { depth: Depth::Fetch, ..settings(system(honest).await, Vec::new()) };
    let prober = Prober::new(plain).expect("a prober");
    let target = parse_target(&format!("http://site.test:{}/", site.port()), Guard::Any).expect("a target");
    let run = prober.measure(&target, Vantage::default(), None).await.run;
    assert_eq!((run.lookups.len(), run.connects.len(), run.fetches.len()), (1, 1, 1));
    assert!(run.handshakes.is_empty() && run.pings.is_empty());
}

#[tokio::test]
async fn an_echo_is_asked_for_where_the_system_permits() {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap_or_default();
    if range.split_whitespace().collect::<Vec<_>>() != ["0", "2147483647"] {
        println!(
            "skip: this system permits no echoes (net.ipv4.ping_group_range = {})",
            range.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        return;
    }
    let site = web(Site::Page).await;
    let prober = Prober::new(settings(Resolvers::default(), Vec::new())).expect("a prober");
    let target = parse_target(&format!("http://{site}/"), Guard::Any).expect("a target");
    let run = prober.measure(&target, Vantage::default(), None).await.run;
    assert!(run.pings.len() == 1 && run.pings[0].millis.is_some(), "{:?}", run.pings);
}

#[tokio::test]
async fn the_innocent_name_itself_is_measured_like_any_other() {
    let site = web(Site::Page).await;
    let honest = names(&[("innocent.test", &[site.ip()])]);
    let prober = Prober::new(settings(system(honest).await, Vec::new())).expect("a prober");
    let url = format!("http://innocent.test:{}/", site.port());
    let target = parse_target(&url, Guard::Any).expect("a target");
    let run = prober.measure(&target, Vantage::default(), None).await.run;
    assert!(run.lookups.iter().all(|lookup| !lookup.is_control_name));
    assert_eq!(run.fetches.len(), 1);
}
