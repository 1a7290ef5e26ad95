//! Batches of partners, imports and scenarios.

use super::*;

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
        LINE.replace("}", r#","weight":-1}"#),
        LINE.replace("}", r#","country":"ZZ"}"#),
        LINE.replace("}", r#","city":4294967295}"#),
        LINE.replace("2025", "9999"),
    ];
    let answer = stand.ask(batch(lines.join("\r\n"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let json = answer.json();
    assert_eq!(
        (&json["accepted"], &json["refused_total"], &json["first_seq"]),
        (&4.into(), &13.into(), &1.into())
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
        (15, "invalid_field"),
        (16, "bad_place"),
        (17, "bad_place"),
        (18, "in_the_future"),
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
    stand.sink.refuse(Some(Refusal::ClockTooFar));
    stand.refused(demo().header(clock.0, clock.1), 422, Reason::ClockTooFar).await;
    stand.sink.refuse(Some(Refusal::Overloaded { retry_after: Duration::from_millis(200) }));
    let answer = stand.refused(batch(LINE), 503, Reason::Overloaded).await;
    assert_eq!(answer.headers["retry-after"], "1");
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
    assert_eq!(keys[1].previous.map(|previous| previous.source), Some(keys[0].source));
    assert!(keys[1].generation > keys[0].generation);
    assert_eq!((keys[2].source, keys[2].previous), (keys[1].source, None));
    assert_eq!(stand.intake.metrics().salt_rotations.get(), 1);
}

#[tokio::test]
async fn a_channels_first_batch_begins_with_its_name() {
    let stand = stand(loose());
    let ask = |body: &str| batch(body.to_owned()).header("authorization", "Bearer desk");
    let names = || {
        let kept = stand.sink.kept.lock().unwrap();
        let is_name = |evidence: &Evidence| matches!(evidence, Evidence::Channel { id: ChannelId(17), .. });
        kept.iter().map(|one| one.evidence.iter().map(is_name).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    // Neither an empty batch nor one that the log refuses tells the name.
    assert_eq!(stand.ask(ask("{")).await.json()["accepted"], 0);
    stand.sink.refuse(Some(Refusal::StorageFull));
    stand.refused(ask(LINE), 503, Reason::StorageFull).await;
    stand.sink.refuse(None);
    let first = stand.ask(ask(&[LINE, LINE].join("\n"))).await.json();
    assert_eq!((&first["accepted"], &first["first_seq"]), (&2.into(), &2.into()), "of the first line");
    let second = stand.ask(ask(LINE)).await.json();
    assert_eq!((&second["accepted"], &second["first_seq"]), (&1.into(), &4.into()));
    assert_eq!(names(), [vec![true, false, false], vec![false]]);
}
