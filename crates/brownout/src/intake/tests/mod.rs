//! Intake from the outside: real requests against the routes, a sink in memory.

use std::io::Write;
use std::net::SocketAddr;
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

mod batch;
mod single;

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
    let service = |id, slug: &str, name: &str| Service::new(ServiceId(id), slug, name, Category::Social);
    let aliases = ["twitter", "tw"].map(str::to_owned).to_vec();
    let x = Service { aliases, ..service(1, "x", "X (Twitter)") };
    let services = vec![x, service(2, "whatsapp", "WhatsApp")];
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

    fn done_location(&self, slug: &str, receipt: &Receipt) -> String {
        format!("/s/{slug}/reported?id={}", receipt.seq)
    }
}

fn token(token: &str) -> TokenCheck {
    let grant = TokenGrant { channel: ChannelId(16), virtual_clock: false, weight: Weight::FULL };
    match token {
        "good" => TokenCheck::Granted(grant),
        "half" => TokenCheck::Granted(TokenGrant { weight: Weight::from_percent(50), ..grant }),
        "demo" => TokenCheck::Granted(TokenGrant { virtual_clock: true, ..grant }),
        "desk" => TokenCheck::Granted(TokenGrant { channel: ChannelId(17), ..grant }),
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
        channel_names: Box::new(|id| (id == ChannelId(17)).then(|| "desk".to_owned())),
        pages: Box::new(Memory::default()),
        salts: SaltBox::open(folder.path(), 75, sink.now(), system_random).unwrap(),
        settings,
        metrics: IntakeMetrics::default(),
        probes: None,
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

#[test]
fn reasons_are_one_to_one_with_their_names() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.slug()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    assert!(Reason::ALL.iter().all(|reason| (400..=599).contains(&reason.status())));
}

#[tokio::test]
async fn a_wrong_method_is_told_and_counted() {
    let stand = stand(IntakeSettings::default());
    for path in ["/api/v1/reports", "/api/v1/reports/batch", "/s/x/report"] {
        let ask = Ask { method: Method::DELETE, path, ..report("") };
        let answer = stand.refused(ask, 405, Reason::MethodNotAllowed).await;
        assert_eq!(answer.headers["allow"], "POST", "{path}");
    }
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
