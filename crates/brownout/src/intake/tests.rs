//! Intake from the outside: real requests against the routes, a sink in memory.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::http::{Method, StatusCode};
use brownout_core::model::{
    Asn, Catalogue, Category, ChannelId, City, CityId, Country, Evidence, Geography, Place, Policy,
    ProblemKind, Region, Report, Seq, Service, ServiceId, Weight,
};
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::Value;
use tower_service::Service as _;

use super::*;

/// Keeps submissions in memory and refuses on demand.
#[derive(Default)]
struct Memory {
    kept: Mutex<Vec<Submission>>,
    refusal: Mutex<Option<Refusal>>,
    next_seq: AtomicU64,
    delay: Mutex<Duration>,
}

impl Memory {
    fn reports(&self) -> Vec<Report> {
        let kept = self.kept.lock().unwrap();
        let evidence = kept.iter().flat_map(|submission| &submission.evidence);
        evidence
            .filter_map(|evidence| if let Evidence::Report(report) = evidence { Some(*report) } else { None })
            .collect()
    }

    fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap() = refusal;
    }
}

impl Sink for Memory {
    fn submit(&self, submission: Submission) -> Submitting<'_> {
        Box::pin(async move {
            let delay = *self.delay.lock().unwrap();
            tokio::time::sleep(delay).await;
            if let Some(refusal) = *self.refusal.lock().unwrap() {
                return Err(refusal);
            }
            let count = submission.evidence.len() as u64;
            let first_seq = Seq(1 + self.next_seq.fetch_add(count, Ordering::Relaxed));
            self.kept.lock().unwrap().push(submission);
            Ok(Accepted { first_seq, received_at: self.now() })
        })
    }

    fn now(&self) -> UtcTime {
        "2025-03-10T10:02:00Z".parse().unwrap()
    }
}

/// Intake with everything around it.
struct Stand {
    intake: Arc<Intake>,
    sink: Arc<Memory>,
    _folder: tempfile::TempDir,
}

fn loose() -> IntakeSettings {
    let free = Rate::new(60_000_000, 1_000_000);
    IntakeSettings {
        source_rate: free,
        subnet_rate: free,
        proof: ProofMode::Off,
        proof_source_rate: free,
        proof_subnet_rate: free,
        ..IntakeSettings::default()
    }
}

fn world() -> World {
    let service = |id, slug: &str, name: &str| Service {
        id: ServiceId(id),
        slug: slug.into(),
        name: name.into(),
        category: Category::Social,
        home: None,
        targets: vec![],
        networks: vec![],
        depends_on: vec![],
        status_page: None,
        users: None,
    };
    let services = vec![service(1, "x", "X (Twitter)"), service(2, "whatsapp", "WhatsApp")];
    let country = |code: &str| Country {
        code: code.parse().unwrap(),
        name: code.into(),
        population: 1,
        internet_users: None,
        latitude: 0.0,
        longitude: 0.0,
    };
    let region = |code: &str| Region { code: code.parse().unwrap(), name: code.into() };
    let lahore = City {
        id: CityId::new(1172451).unwrap(),
        name: "Lahore".into(),
        country: "PK".parse().unwrap(),
        region: Some("PK-PB".parse().unwrap()),
        population: 13_000_000,
        latitude: 0.0,
        longitude: 0.0,
    };
    let geography =
        Geography::new(vec![country("PK"), country("US")], vec![region("PK-PB")], vec![lahore], "d".into());
    World::new(Arc::new(Catalogue::new(services).unwrap()), Arc::new(geography), &Policy::default())
}

impl FormPages for Memory {
    fn problem(&self, slug: &str, entered: &FormReport, problem: &Problem) -> String {
        format!("{slug}|{}|{}", entered.comment, problem.reason.slug())
    }

    fn done_location(&self, receipt: &Receipt) -> String {
        format!("/s/{}/reported?id={}", receipt.service, receipt.seq)
    }
}

fn token(token: &str) -> TokenCheck {
    let grant = TokenGrant { channel: ChannelId(16), virtual_clock: false, weight: Weight::FULL };
    match token {
        "good" => TokenCheck::Granted(grant),
        "half" => TokenCheck::Granted(TokenGrant { weight: Weight::from_percent(50), ..grant }),
        "demo" => TokenCheck::Granted(TokenGrant { virtual_clock: true, ..grant }),
        "old" => TokenCheck::Revoked,
        _ => TokenCheck::Unknown,
    }
}

/// 198.51.100.0/24 is in Pakistan, the rest of the world is unknown.
fn lookup(address: IpAddr) -> AddressFacts {
    match address {
        IpAddr::V4(v4) if v4.octets().starts_with(&[198, 51, 100]) => AddressFacts {
            place: Place { country: Some("PK".parse().unwrap()), ..Place::default() },
            network: Asn::new(17557),
        },
        _ => AddressFacts::default(),
    }
}

fn stand(settings: IntakeSettings) -> Stand {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let intake = Intake::new(IntakeParts {
        sink: sink.clone(),
        world: world(),
        lookup: Box::new(lookup),
        tokens: Box::new(token),
        pages: Box::new(Memory::default()),
        salts: SaltBox::open(folder.path(), 75, sink.now(), system_random).unwrap(),
        settings,
        metrics: IntakeMetrics::default(),
    });
    Stand { intake: Arc::new(intake.unwrap()), sink, _folder: folder }
}

const HOME: &str = "198.51.100.7";

struct Ask<'a> {
    method: Method,
    path: &'a str,
    from: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: Body,
}

fn report<'a>(body: impl Into<Body>) -> Ask<'a> {
    let headers = vec![("content-type", "application/json")];
    Ask { method: Method::POST, path: "/api/v1/reports", from: HOME, headers, body: body.into() }
}

fn form<'a>(body: &str) -> Ask<'a> {
    let headers = vec![("content-type", "application/x-www-form-urlencoded")];
    Ask { path: "/s/x/report", headers, ..report(body.to_owned()) }
}

fn batch<'a>(body: impl Into<Body>) -> Ask<'a> {
    let headers = vec![("content-type", "application/x-ndjson"), ("authorization", "Bearer good")];
    Ask { path: "/api/v1/reports/batch", headers, ..report(body) }
}

impl<'a> Ask<'a> {
    fn from(self, from: &'a str) -> Self {
        Ask { from, ..self }
    }

    fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn reason(&self) -> (u16, String) {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        let reason = json["reason"].as_str().unwrap();
        assert_eq!(json["type"], format!("urn:brownout:problem:{reason}"));
        (self.status.as_u16(), reason.to_owned())
    }
}

impl Stand {
    async fn ask(&self, ask: Ask<'_>) -> Answer {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let peer = SocketAddr::new(ask.from.parse().unwrap(), 4711);
        let request = request.extension(ConnectInfo(peer)).body(ask.body).unwrap();
        let (head, body) = router(self.intake.clone()).call(request).await.unwrap().into_parts();
        Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    /// Sees the request refused for a reason, which is counted, and nothing kept.
    async fn refused(&self, ask: Ask<'_>, status: u16, reason: Reason) -> Answer {
        let (counted, kept) = (self.intake.metrics().refused(reason), self.sink.kept.lock().unwrap().len());
        let answer = self.ask(ask).await;
        assert_eq!(answer.reason(), (status, reason.slug().to_owned()), "{:?}", answer.body);
        assert_eq!(self.intake.metrics().refused(reason), counted + 1);
        assert_eq!(self.sink.kept.lock().unwrap().len(), kept);
        answer
    }
}

const LINE: &str = r#"{"service":"x","kind":"login","at":"2025-03-10T10:00:12Z","source":"a"}"#;

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
    stand.refused(report(vec![b' '; 4097]), 413, Reason::BodyTooLarge).await;
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
async fn an_unknown_service_gets_a_suggestion() {
    let stand = stand(loose());
    for (written, meant) in [("whatsap", Some("whatsapp")), ("WhatsApp", Some("whatsapp")), ("zzzzzz", None)]
    {
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
    for (ask, status, page) in [
        (form("kind=&comment=%3Cb%3E"), 422, "x|<b>|unknown_kind"),
        (form("kind=login").header("content-type", "text/plain"), 415, "x||unsupported_media_type"),
        (form("kind=login").header("sec-fetch-site", "cross-site"), 403, "x||cross_site"),
        (form(&format!("kind={}", "x".repeat(5000))), 413, "x||body_too_large"),
        (form("kind=a&kind=b"), 400, "x||malformed_form"),
        (Ask { path: "/s/nothing/report", ..form("kind=login") }, 422, "nothing||unknown_service"),
    ] {
        let answer = stand.ask(ask).await;
        assert_eq!((answer.status.as_u16(), std::str::from_utf8(&answer.body).unwrap()), (status, page));
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    }
    assert_eq!(stand.intake.metrics().refused(Reason::UnknownKind), 1);
}

#[tokio::test]
async fn a_batch_is_one_submission_and_names_the_lines_it_refused() {
    let stand = stand(loose());
    let lines = [
        LINE.to_owned(),
        String::new(),
        LINE.replace("login", "nothing"),
        LINE.replace("10:00:12Z", "10:11:59Z"),
        LINE.replace("10:00:12Z", "10:12:01Z"),
        LINE.replace("10:00:12Z", "soon"),
        LINE.replace("2025", "1999"),
        LINE.replace("\"a\"", "\"\""),
        LINE.replace("}", r#","weight":101}"#),
        LINE.replace(
            "}",
            r#","country":"PK","region":"PK-PB","city":1172451,"asn":17557,"weight":40,"subnet":"s"}"#,
        ),
        LINE.replace("}", r#","country":"US","city":1172451}"#),
        format!("{LINE}{}", " ".repeat(4096)),
        "{".to_owned(),
        LINE.replace("}", r#","extra":1}"#),
    ];
    let answer = stand.ask(batch(lines.join("\r\n"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let json = answer.json();
    assert_eq!(
        (&json["accepted"], &json["refused_total"], &json["first_seq"]),
        (&4.into(), &9.into(), &1.into())
    );
    let refused: Vec<(u64, &str)> = json["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        (3, "unknown_kind"),
        (5, "in_the_future"),
        (6, "bad_time"),
        (8, "bad_source"),
        (9, "bad_weight"),
        (11, "bad_place"),
        (12, "line_too_long"),
        (13, "malformed_json"),
        (14, "invalid_field"),
    ];
    assert_eq!(refused, expected);
    assert_eq!(stand.sink.kept.lock().unwrap().len(), 1, "one submission");
    let reports = stand.sink.reports();
    assert_eq!((reports[3].weight.percent(), reports[3].network), (40, Asn::new(17557)));
    assert_eq!(reports[3].place.city, CityId::new(1172451));
    assert_eq!(reports[3].channel, ChannelId(16));
    assert_eq!(
        reports[0].source.source, reports[2].source.source,
        "late is still evidence, of the same source"
    );
    assert_eq!(reports[2].occurred_at, "1999-03-10T10:00:12Z".parse().unwrap());
}

#[tokio::test]
async fn every_refusal_of_a_batch_has_its_reason() {
    let stand = stand(loose());
    let mut anonymous = batch(LINE);
    anonymous.headers.pop();
    stand.refused(anonymous, 401, Reason::TokenMissing).await;
    stand.refused(batch(LINE).header("authorization", "Basic eDp5"), 401, Reason::TokenMissing).await;
    stand.refused(batch(LINE).header("authorization", "Bearer what"), 401, Reason::TokenInvalid).await;
    stand.refused(batch(LINE).header("authorization", "Bearer old"), 403, Reason::TokenRevoked).await;
    let clock = ("brownout-clock", "2025-03-10T10:00:00Z");
    stand.refused(batch(LINE).header(clock.0, clock.1), 403, Reason::ClockNotAllowed).await;
    stand
        .refused(batch(LINE).header("content-type", "application/json"), 415, Reason::UnsupportedMediaType)
        .await;
    stand.refused(batch(LINE).header("content-encoding", "br"), 415, Reason::UnsupportedMediaType).await;
    stand.refused(batch(LINE).header("content-encoding", "gzip"), 400, Reason::BodyUnreadable).await;
    stand.refused(batch("\n".repeat(50_001)), 413, Reason::TooManyLines).await;
    stand.refused(batch(LINE).header("content-length", "99999999"), 413, Reason::BodyTooLarge).await;
    let demo = || batch(LINE).header("authorization", "Bearer demo");
    stand.refused(demo().header(clock.0, "soon"), 422, Reason::BadTime).await;
    stand.sink.refuse(Some(Refusal::ClockBackwards));
    stand.refused(demo().header(clock.0, clock.1), 409, Reason::ClockBackwards).await;
    stand.sink.refuse(Some(Refusal::Overloaded { retry_after: Duration::from_millis(200) }));
    let answer = stand.refused(batch(LINE), 503, Reason::Overloaded).await;
    assert_eq!(answer.headers["retry-after"], "1");
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
async fn gzip_is_unpacked_up_to_the_limit() {
    let stand = stand(IntakeSettings { batch_bytes_max: 1 << 20, ..loose() });
    let pack = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let text = format!("{LINE}\n{LINE}\n");
    let answer = stand.ask(batch(pack(text.as_bytes())).header("content-encoding", "gzip")).await;
    assert_eq!(answer.json()["accepted"], 2);
    let bomb = pack(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    stand.refused(batch(bomb).header("content-encoding", "gzip"), 413, Reason::BodyTooLarge).await;
}

#[tokio::test]
async fn a_virtual_clock_moves_with_and_without_lines() {
    let stand = stand(loose());
    let demo = |body: &'static str| {
        batch(body).header("authorization", "Bearer demo").header("brownout-clock", "2024-01-01T00:00:00Z")
    };
    let answer = stand.ask(demo("")).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (StatusCode::OK, &0.into()));
    // The line is a year ahead of the virtual clock, whatever the real one says.
    let answer = stand.ask(demo(LINE)).await.json();
    assert_eq!(answer["refused"][0]["reason"], "in_the_future");
    let kept = stand.sink.kept.lock().unwrap();
    let at: UtcTime = "2024-01-01T00:00:00Z".parse().unwrap();
    assert_eq!((kept[0].clock, kept[0].evidence.len()), (Some(at), 0));
}

#[tokio::test]
async fn a_scenario_has_the_same_keys_everywhere_and_a_partner_has_not() {
    let (one, two) = (stand(loose()), stand(loose()));
    for stand in [&one, &two] {
        stand.ask(batch(LINE).header("authorization", "Bearer demo")).await;
        stand.ask(batch(LINE).header("authorization", "Bearer half")).await;
    }
    let (one, two) = (one.sink.reports(), two.sink.reports());
    assert_eq!((one[0].source, one[0].source.generation), (two[0].source, 0));
    assert_ne!(one[1].source.source, two[1].source.source);
    assert_eq!(one[1].weight.percent(), 50, "what the token weighs at most");
}

#[tokio::test]
async fn during_a_rotation_both_keys_are_written() {
    let stand = stand(loose());
    stand.ask(report(r#"{"service":"x","kind":"login"}"#)).await;
    stand.intake.housekeep(stand.sink.now().plus_seconds(86_400)).unwrap();
    stand.ask(report(r#"{"service":"x","kind":"login"}"#)).await;
    stand.intake.housekeep(stand.sink.now().plus_seconds(86_400 + 75 * 60)).unwrap();
    stand.ask(report(r#"{"service":"x","kind":"login"}"#)).await;
    let keys: Vec<_> = stand.sink.reports().iter().map(|report| report.source).collect();
    assert_eq!(keys[1].previous_source, Some(keys[0].source));
    assert!(keys[1].generation > keys[0].generation);
    assert_eq!((keys[2].source, keys[2].previous_source), (keys[1].source, None));
    assert_eq!(stand.intake.metrics().salt_rotations.get(), 1);
}

#[test]
fn reasons_are_one_to_one_with_their_names() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.slug()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    assert!(Reason::ALL.iter().all(|reason| (400..=599).contains(&reason.status())));
}

#[test]
fn the_description_names_every_route() {
    let text = openapi().to_json().unwrap();
    for name in
        ["/api/v1/reports", "/api/v1/reports/batch", "/api/v1/reports/challenge", "BatchLine", "token"]
    {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let world = world();
        let salt = brownout_core::report::Salt::new(1, [1; 32]);
        let key = brownout_core::report::PartnerKey::live(&salt, None, ChannelId(16));
        let TokenCheck::Granted(grant) = token("good") else { unreachable!() };
        prop_assert!(parse_report(&bytes).is_err());
        let judged = judge(&bytes, &world, grant, &key, UtcTime::from_seconds(0)).unwrap();
        prop_assert!(judged.evidence.is_empty());
        // The same inside lines that are nearly right.
        let cut = bytes.len().min(LINE.len());
        let nearly = [&LINE.as_bytes()[..cut], &bytes, b"\n", LINE.as_bytes()].concat();
        let now = "2025-03-10T10:02:00Z".parse().unwrap();
        let judged = judge(&nearly, &world, grant, &key, now).unwrap();
        prop_assert!(!judged.evidence.is_empty());
    }
}
