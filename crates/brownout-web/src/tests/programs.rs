//! What a program is told.

use super::*;
use crate::respond::Failure;

async fn refused(app: &Router, method: &str, path: &str) -> (HeaderMap, serde_json::Value) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
    let (head, body) = app.clone().oneshot(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    assert_eq!(head.headers["content-type"], "application/problem+json", "{method} {path}: {body:?}");
    let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(problem["status"], head.status.as_u16(), "{path}");
    let reason = problem["reason"].as_str().unwrap_or_else(|| panic!("{path}: {problem}"));
    assert_eq!(problem["type"], format!("urn:brownout:problem:{reason}"), "{path}");
    (head.headers, problem)
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let app = app(state(SiteOptions { base_path: "/live".to_owned(), ..SiteOptions::default() }));
    for (path, reason) in [
        ("/services/%FF", "bad_request"),
        ("/services/%FF/series", "bad_request"),
        ("/incidents/%C3%28", "bad_request"),
        ("/events?since=abc", "bad_request"),
        ("/events?since=1&since=2", "bad_request"),
        ("/incidents?limit=abc", "bad_request"),
        ("/incidents?limit=1&limit=2", "bad_request"),
        ("/incidents?state=broken", "bad_request"),
        ("/incidents?before=yesterday", "bad_request"),
        ("/services/x/series?facet=country:Pakistan", "bad_request"),
        ("/services/x/series?from=%FF", "bad_request"),
        ("/services/nope", "not_found"),
        ("/services/%zz", "not_found"),
        ("/incidents/nope", "not_found"),
        ("/nope", "not_found"),
        ("/services/x/series", "history_not_kept"),
    ] {
        let (_, problem) = refused(&app, "GET", &format!("/live/api/v1{path}")).await;
        assert_eq!(problem["reason"], reason, "{path}");
    }
    let (_, problem) = refused(&app, "GET", "/live/api/v1/incidents?limit=-1").await;
    assert_eq!(problem["detail"], "“limit” is a number from 1 to 100.");
    for path in ["/status", "/services/x", "/events"] {
        let (headers, problem) = refused(&app, "DELETE", &format!("/live/api/v1{path}")).await;
        assert_eq!(problem["reason"], "method_not_allowed", "{path}");
        assert!(headers["allow"].to_str().is_ok_and(|allow| allow.contains("GET")), "{path}");
    }
    let (status, headers, _) = ask(&app, "/live/s/%FF", &[]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("text/html")), "a page");
}

#[test]
fn the_description_lists_every_reason_and_where_it_may_come() {
    let document = serde_json::to_value(crate::openapi()).expect("JSON");
    let reason = document.pointer("/components/schemas/Problem/properties/reason/description");
    let listed = reason.and_then(|text| text.as_str()).expect("a description");
    for failure in [
        Failure::NotFound,
        Failure::BadRequest(""),
        Failure::History,
        Failure::NotKept,
        Failure::Busy,
        Failure::WrongMethod,
        Failure::Internal,
    ] {
        assert!(listed.contains(&format!("`{}`", failure.reason())), "{listed}");
    }
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let refusal = methods.pointer("/get/responses/default/content");
        assert!(refusal.is_some_and(|kinds| kinds.get("application/problem+json").is_some()), "{path}");
    }
}

/// Everything under a name, wherever it stands.
fn all<'a>(json: &'a serde_json::Value, name: &str, found: &mut Vec<&'a serde_json::Value>) {
    match json {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            if key == name {
                found.push(value);
            }
            all(value, name, found);
        }),
        serde_json::Value::Array(items) => items.iter().for_each(|item| all(item, name, found)),
        _ => {}
    }
}

/// The made-up world, in which what is usual of X is still being learned.
fn learning() -> WebState {
    let mut snapshot = snapshot();
    let incident = Arc::make_mut(&mut snapshot.incidents[0]);
    let verdict = incident.verdicts.last_mut().expect("a verdict");
    Arc::make_mut(verdict).reasons.push(brownout_core::verdict::Reason::StillLearning);
    let verdict = Arc::clone(verdict);
    let x = Arc::make_mut(&mut snapshot.services[0]);
    x.learning = true;
    x.verdict = verdict;
    site(snapshot, SiteOptions::default(), 0)
}

#[tokio::test]
async fn while_what_is_usual_is_learned_neither_pages_nor_programs_get_a_figure() {
    let (known, learned) = (plain(), app(learning()));
    for path in ["/api/v1/services/x", "/api/v1/incidents/x-2025-03-10-0947"] {
        for name in ["expected", "p10", "median", "p90", "threshold"] {
            let figures = async |app: &Router| {
                let json: serde_json::Value = serde_json::from_str(&text(app, path).await).expect("JSON");
                let mut found = Vec::new();
                all(&json, name, &mut found);
                (found.len(), found.iter().filter(|value| value.is_number()).count())
            };
            let (all, numbers) = figures(&known).await;
            assert!(all > 0 && numbers == all, "{path}: {name}");
            assert_eq!(figures(&learned).await, (all, 0), "{path}: {name}");
        }
    }
    let services = text(&learned, "/api/v1/services").await;
    assert!(services.contains(r#""slug":"x","name":"X","category":"social","state":"confirmed""#));
    assert!(services.contains(r#""learning":true,"expected":null"#), "{services}");
    for path in ["/s/x", "/i/x-2025-03-10-0947"] {
        let page = text(&learned, path).await;
        assert!(page.contains("still being learned"), "{path}");
        for figure in [r#"class="band""#, "times usual", "about 12 are usual", "usual 12"] {
            assert!(!page.contains(figure), "{path}: {figure}");
        }
    }
    let world = text(&learned, "/").await;
    assert!(world.contains("</b> reports in the last 15 min; what is usual is still being learned."));
    let csv = text(&learned, "/i/x-2025-03-10-0947.csv").await;
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",,,")), "{csv}");
}
