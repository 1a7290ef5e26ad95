//! One person's report, as JSON and from the form.

use super::*;

#[tokio::test]
async fn a_report_becomes_evidence_and_its_address_is_gone() {
    let stand = stand(loose());
    let text = r#"{"service":"x","kind":"login","city":"lahore","comment":" <script>é</script> "}"#;
    let answer = stand.ask(report(text)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
    let json = answer.json();
    assert_eq!((&json["id"], &json["service"], &json["country"]), (&1.into(), &"x".into(), &"PK".into()));
    assert_eq!(json["received_at"], "2025-03-10T10:02:00Z");
    assert_eq!(json["weight_percent"], 100);
    let note = json["counted_note"].as_str().unwrap();
    assert!(note.contains("again only after an hour without a report"), "{note}");
    let [kept] = &stand.sink.reports()[..] else { panic!("one report") };
    assert_eq!((kept.service, kept.kind, kept.channel), (ServiceId(1), ProblemKind::Login, ChannelId::WEB));
    assert_eq!((kept.place.city, kept.network), (CityId::new(1172451), Asn::new(17557)));
    assert_eq!(kept.occurred_at, stand.sink.now());
    let comment = stand.sink.kept.lock().unwrap()[0].comment.clone().unwrap();
    assert_eq!(
        (comment.service, comment.text.as_str()),
        (ServiceId(1), "<script>é</script>"),
        "verbatim, and apart"
    );
    let evidence = format!("{:?}", stand.sink.kept.lock().unwrap()[0].evidence);
    assert!(!evidence.contains("198.51") && !evidence.contains("script"), "{evidence}");
}

#[tokio::test]
async fn every_refusal_of_a_report_has_its_reason() {
    let stand = stand(loose());
    let text = |text: &str| report(text.to_owned());
    let answer = stand.refused(text("{\"service\": \"x\",\n kind}"), 400, Reason::MalformedJson).await.json();
    assert_eq!((&answer["line"], &answer["column"]), (&2.into(), &2.into()));
    stand.refused(text(r#"{"service":"x"}"#), 422, Reason::InvalidField).await;
    stand.refused(text(r#"{"service":"x","kind":"login","<b>":1}"#), 422, Reason::InvalidField).await;
    stand.refused(text(r#"{"service":"x","kind":"nothing"}"#), 422, Reason::UnknownKind).await;
    for place in
        [r#""country":"ZZ""#, r#""city":"Atlantis""#, r#""city":7"#, r#""country":"US","region":"PK-PB""#]
    {
        stand
            .refused(report(format!(r#"{{"service":"x","kind":"login",{place}}}"#)), 422, Reason::BadPlace)
            .await;
    }
    let long = format!(r#"{{"service":"x","kind":"login","comment":"{}"}}"#, "é".repeat(501));
    stand.refused(report(long), 422, Reason::CommentTooLong).await;
    stand.refused(report(vec![b' '; 16 * 1024 + 1]), 413, Reason::BodyTooLarge).await;
    stand.refused(text("").header("content-length", "1000000000"), 413, Reason::BodyTooLarge).await;
    stand.refused(text("{}").header("content-type", "text/plain"), 415, Reason::UnsupportedMediaType).await;
    stand
        .refused(text("{}").header("content-type", "application/x-ndjson"), 415, Reason::UnsupportedMediaType)
        .await;
    let proof = text(r#"{"service":"x","kind":"login","proof":"e30="}"#);
    stand.refused(proof, 422, Reason::ProofInvalid).await;
    let key = "k".repeat(256);
    let fine = r#"{"service":"x","kind":"login"}"#;
    stand.refused(text(fine).header("idempotency-key", &key), 400, Reason::BadIdempotencyKey).await;
    for (refusal, status, reason) in [
        (Refusal::Overloaded { retry_after: Duration::from_secs(3) }, 503, Reason::Overloaded),
        (Refusal::StorageFull, 503, Reason::StorageFull),
        (Refusal::StorageFailed, 503, Reason::StorageFailed),
        (Refusal::ReadOnly, 503, Reason::StorageReadOnly),
        (Refusal::ShuttingDown, 503, Reason::ShuttingDown),
    ] {
        stand.sink.refuse(Some(refusal));
        let answer = stand.refused(text(fine), status, reason).await;
        assert!(answer.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn a_packed_report_is_told_to_come_plain() {
    let stand = stand(loose());
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(br#"{"service":"x","kind":"login"}"#).unwrap();
    let packed = packer.finish().unwrap();
    let ask = report(packed.clone()).header("content-encoding", "gzip");
    let answer = stand.refused(ask, 415, Reason::UnsupportedMediaType).await;
    assert_eq!(answer.headers["accept-encoding"], "identity");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("without Content-Encoding") && detail.contains("Only a batch"), "{detail}");
    let packed_form = stand.ask(form("kind=login").header("content-encoding", "br")).await;
    assert_eq!(packed_form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let plain = report(r#"{"service":"x","kind":"login"}"#).header("content-encoding", "identity");
    assert_eq!(stand.ask(plain).await.status, StatusCode::CREATED);
    let batch = batch(packed).header("content-encoding", "br");
    let answer = stand.refused(batch, 415, Reason::UnsupportedMediaType).await;
    assert_eq!(answer.headers["accept-encoding"], "gzip, identity");
}

#[tokio::test]
async fn an_unknown_service_gets_a_suggestion() {
    let stand = stand(loose());
    for (written, meant) in [
        ("whatsap", Some("whatsapp")),
        ("WhatsApp", Some("whatsapp")),
        ("Twitter", Some("x")),
        ("twiter", Some("x")),
        ("TW", Some("x")),
        ("two", None),
        ("zzzzzz", None),
    ] {
        let text = format!(r#"{{"service":"{written}","kind":"login"}}"#);
        let answer = stand.refused(report(text), 422, Reason::UnknownService).await.json();
        assert_eq!(answer.get("did_you_mean").and_then(Value::as_str), meant, "{written}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_invented_services_leave_nothing_behind() {
    let stand = stand(IntakeSettings { proof: ProofMode::Auto, ..loose() });
    let body: Vec<String> =
        (0..100_000).map(|i| LINE.replace("\"x\"", &format!("\"made-up-{i}\""))).collect();
    for half in body.chunks(50_000) {
        let answer = stand.ask(batch(half.join("\n"))).await.json();
        assert_eq!((&answer["accepted"], &answer["refused_total"]), (&0.into(), &50_000.into()));
        assert_eq!(answer["refused"].as_array().unwrap().len(), 100);
    }
    for i in 0..500 {
        let text = format!(r#"{{"service":"made-up-{i}","kind":"login"}}"#);
        stand.refused(report(text), 422, Reason::UnknownService).await;
    }
    assert!(stand.sink.kept.lock().unwrap().is_empty());
    let mut registry = prometheus_client::registry::Registry::default();
    stand.intake.metrics().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("intake_refused_lines_total{reason=\"unknown_service\"} 100000"), "{text}");
    assert!(!text.contains("made-up"));
}

#[tokio::test]
async fn markup_in_a_refusal_stays_text() {
    let stand = stand(loose());
    let answer =
        stand.ask(report(r#"{"service":"x","kind":"login","<img src=x onerror=alert(1)>":1}"#)).await;
    assert!(!answer.body.contains(&b'<') && !answer.body.contains(&b'>'), "{:?}", answer.body);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(answer.json()["detail"].as_str().unwrap().contains("<img"), "a program still reads it");
}

#[tokio::test]
async fn one_address_is_slowed_down_with_retry_after() {
    let settings = IntakeSettings { source_rate: Rate::new(1, 2), ..loose() };
    let stand = stand(settings);
    let fine = || report(r#"{"service":"x","kind":"login"}"#);
    assert_eq!(stand.ask(fine()).await.status, StatusCode::CREATED);
    assert_eq!(stand.ask(fine()).await.status, StatusCode::CREATED);
    let answer = stand.refused(fine(), 429, Reason::RateLimited).await;
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait));
    assert_eq!(stand.ask(fine().from("203.0.113.1")).await.status, StatusCode::CREATED);
    assert_eq!(stand.ask(form("kind=login")).await.status, StatusCode::TOO_MANY_REQUESTS, "the form too");
}

#[tokio::test]
async fn a_client_is_known_through_trusted_proxies_only() {
    let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()], ForwardedBy::XForwardedFor);
    let stand = stand(IntakeSettings { proxies, ..loose() });
    let fine = || report(r#"{"service":"x","kind":"login"}"#);
    stand.ask(fine()).await;
    stand.ask(fine().from("10.0.0.1").header("x-forwarded-for", HOME)).await;
    stand.ask(fine().from("203.0.113.1").header("x-forwarded-for", HOME)).await;
    stand.ask(fine().from("::ffff:198.51.100.7")).await;
    let keys: Vec<u64> = stand.sink.reports().iter().map(|report| report.source.source).collect();
    assert_eq!((keys[0] == keys[1], keys[0] == keys[2], keys[0] == keys[3]), (true, false, true));
}

#[tokio::test]
async fn user_agents_make_at_most_three_sources_of_an_address() {
    let stand = stand(loose());
    for agent in 0..50 {
        let agent = format!("agent/{agent}");
        stand.ask(report(r#"{"service":"x","kind":"login"}"#).header("user-agent", &agent)).await;
    }
    let sources: BTreeSet<u64> = stand.sink.reports().iter().map(|report| report.source.source).collect();
    let subnets: BTreeSet<u64> = stand.sink.reports().iter().map(|report| report.source.subnet).collect();
    assert_eq!((sources.len(), subnets.len()), (3, 1));
}

#[tokio::test]
async fn a_repeated_key_gives_the_same_answer_once() {
    let stand = stand(loose());
    let text = r#"{"service":"x","kind":"login"}"#;
    let keyed = |text: &str| report(text.to_owned()).header("idempotency-key", "k1");
    let first = stand.ask(keyed(text)).await;
    let again = stand.ask(keyed(text)).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(stand.sink.reports().len(), 1);
    let other = r#"{"service":"x","kind":"slow"}"#;
    stand.refused(keyed(other), 422, Reason::IdempotencyMismatch).await;
    stand.ask(keyed(text).from("203.0.113.1")).await;
    assert_eq!(stand.sink.reports().len(), 2, "the key of somebody else");
    stand.ask(batch(LINE).header("idempotency-key", "k1")).await;
    let answer = stand.ask(batch(LINE).header("idempotency-key", "k1")).await;
    assert_eq!((answer.json()["accepted"].clone(), stand.sink.reports().len()), (1.into(), 3));
}

#[tokio::test]
async fn of_twin_requests_the_second_waits_and_a_refused_one_may_come_again() {
    let stand = stand(loose());
    *stand.sink.delay.lock().unwrap() = Duration::from_millis(50);
    let keyed = || report(r#"{"service":"x","kind":"login"}"#).header("idempotency-key", "k1");
    stand.sink.refuse(Some(Refusal::StorageFull));
    assert_eq!(stand.ask(keyed()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    stand.sink.refuse(None);
    let (first, second) = tokio::join!(stand.ask(keyed()), stand.ask(keyed()));
    assert_eq!(first.body, second.body);
    assert_eq!((first.status, stand.sink.reports().len()), (StatusCode::CREATED, 1));
}

#[tokio::test]
async fn the_proof_decides_the_weight_while_it_is_asked_for() {
    let stand = stand(IntakeSettings { proof: ProofMode::On, ..loose() });
    let challenge = || Ask { method: Method::GET, path: "/api/v1/reports/challenge", ..report("") };
    let answer = stand.ask(challenge()).await.json();
    assert_eq!(answer["asked"], true);
    let proof = proof::tests::solve(&serde_json::from_value(answer).unwrap());
    let text = format!(r#"{{"service":"x","kind":"login","proof":"{proof}"}}"#);
    stand.sink.refuse(Some(Refusal::StorageFull));
    stand.refused(report(text.clone()), 503, Reason::StorageFull).await;
    stand.sink.refuse(None);
    assert_eq!(
        stand.ask(report(text.clone())).await.json()["weight_percent"],
        100,
        "not used up by a refusal"
    );
    stand.refused(report(text), 422, Reason::ProofReplayed).await;
    let without = stand.ask(report(r#"{"service":"x","kind":"login"}"#)).await;
    assert_eq!((without.status, &without.json()["weight_percent"]), (StatusCode::CREATED, &50.into()));
    let weights: Vec<u8> = stand.sink.reports().iter().map(|report| report.weight.percent()).collect();
    assert_eq!(weights, [100, 50]);
}

#[tokio::test]
async fn an_expired_proof_is_named_as_such() {
    let stand = stand(IntakeSettings { proof: ProofMode::On, ..loose() });
    let proof = proof::tests::solve(&stand.intake.proofs.challenge(unix_seconds() - 601).unwrap());
    let text = format!(r#"{{"service":"x","kind":"login","proof":"{proof}"}}"#);
    stand.refused(report(text), 422, Reason::ProofExpired).await;
}

#[tokio::test]
async fn proofs_are_asked_of_a_busy_source_and_of_all_in_a_flood() {
    let settings = IntakeSettings { proof: ProofMode::Auto, proof_source_rate: Rate::new(1, 2), ..loose() };
    let stand = stand(settings);
    let mut weights = Vec::new();
    for _ in 0..3 {
        weights.push(
            stand.ask(report(r#"{"service":"x","kind":"login"}"#)).await.json()["weight_percent"].clone(),
        );
    }
    assert_eq!(weights, [100, 100, 50]);
    let mut last = Value::Null;
    for i in 0..150 {
        let from = format!("203.0.{}.{}", i / 100, i % 100);
        last = stand.ask(report(r#"{"service":"x","kind":"login"}"#).from(&from)).await.json();
    }
    assert_eq!(last["weight_percent"], 50, "more than fifty a second");
}

#[tokio::test]
async fn the_form_redirects_after_success_and_comes_back_with_what_was_entered() {
    let stand = stand(loose());
    let answer = stand.ask(form("kind=login&country=&city=Atlantis&comment=%3Cb%3E+hi&unknown=1")).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (StatusCode::SEE_OTHER, &"/s/x/reported?id=1".parse().unwrap())
    );
    let [kept] = &stand.sink.reports()[..] else { panic!("one report") };
    assert_eq!(kept.place.country, Some("PK".parse().unwrap()), "a city nobody knows is let go");
    let longest = format!("x|{}|kind_missing", "\u{10348}".repeat(500));
    for (ask, status, page) in [
        (form("kind=&comment=%3Cb%3E"), 422, "x|<b>|kind_missing"),
        (form("comment=hi"), 422, "x|hi|kind_missing"),
        (form("kind=nonsense"), 422, "x||unknown_kind"),
        (form("kind=login").header("content-type", "text/plain"), 415, "x||unsupported_media_type"),
        (form("kind=login").header("sec-fetch-site", "cross-site"), 403, "x||cross_site"),
        (form(&format!("kind={}", "x".repeat(17_000))), 413, "x||body_too_large"),
        // A comment of full length in the longest script is still taken.
        (form(&format!("kind=&comment={}", "%F0%90%8D%88".repeat(500))), 422, &longest),
        (form("kind=a&kind=b"), 400, "x||malformed_form"),
        (Ask { path: "/s/nothing/report", ..form("kind=login") }, 422, "nothing||unknown_service"),
        (Ask { path: "/s/%FF/report", ..form("kind=login") }, 422, "||unknown_service"),
    ] {
        let answer = stand.ask(ask).await;
        assert_eq!((answer.status.as_u16(), std::str::from_utf8(&answer.body).unwrap()), (status, page));
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    }
    assert_eq!(stand.intake.metrics().refused(Reason::KindMissing), 3);
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let stand = stand(IntakeSettings { body_timeout: Duration::from_millis(50), ..loose() });
    let (_sender, receiver) = tokio::io::duplex(8);
    let stream = Body::new(Dripping(receiver));
    stand.refused(report(stream), 408, Reason::BodyTimeout).await;
}

/// A body whose bytes never come.
struct Dripping(#[allow(dead_code, reason = "kept open")] tokio::io::DuplexStream);

impl hyper::body::Body for Dripping {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, io::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn an_operator_may_take_no_comments_and_a_replay_takes_no_reports() {
    let body = r#"{"service":"x","kind":"login","comment":"it is down"}"#;
    let quiet = stand(IntakeSettings { comments: false, ..loose() });
    assert_eq!(quiet.ask(report(body)).await.reason(), (422, "comments_off".into()));
    assert_eq!(
        quiet.ask(form("kind=login&comment=it+is+down")).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(quiet.ask(form("kind=login&comment=+")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(quiet.sink.reports().len(), 1);
    let replay = stand(IntakeSettings { is_live: false, ..loose() });
    assert_eq!(replay.ask(report(body)).await.reason(), (409, "not_live".into()));
    assert_eq!(replay.ask(form("kind=login")).await.status, StatusCode::CONFLICT);
    assert!(replay.sink.reports().is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_and_comes_again_with_its_key_counts_once() {
    let stand = stand(loose());
    *stand.sink.delay.lock().unwrap() = Duration::from_millis(80);
    let body = r#"{"service":"x","kind":"login"}"#;
    let line = [LINE, "\n"].concat();
    for (kept, ask) in [(1, report as fn(String) -> Ask<'static>), (2, batch)] {
        let text = if kept == 1 { body.to_owned() } else { line.clone() };
        let again = || ask(text.clone()).header("idempotency-key", "once");
        let hung_up = tokio::time::timeout(Duration::from_millis(20), stand.ask(again())).await;
        assert!(hung_up.is_err(), "it is under way");
        assert!(stand.ask(again()).await.status.is_success());
        assert_eq!(stand.sink.reports().len(), kept);
    }
}
