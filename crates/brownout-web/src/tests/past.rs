//! What comes from the history, and what the host adds to the interface.

use brownout_core::incident::{Cause, Doubt};
use brownout_core::model::Asn;
use brownout_core::snapshot::{Change, State, TimelineEntry};
use brownout_core::verdict::Reason;

use super::*;

/// The past as a list.
struct Past {
    incidents: Vec<IncidentView>,
    broken: bool,
}

impl History for Past {
    fn roll_ups(
        &self,
        key: SeriesKey,
        from: Minute,
        to: Minute,
        limit: usize,
    ) -> Result<Vec<RollUp>, StoreError> {
        if self.broken {
            return Err(StoreError::Io("the disk is gone".to_owned()));
        }
        let starts = (from.0..to.0).step_by(5).take(limit.min(3)).map(Minute);
        Ok(starts.map(|start| RollUp { key, start, hundredths: 250, expected: 1.5 }).collect())
    }

    fn collected(&self, from: Minute, _: Minute) -> Result<Collected, StoreError> {
        let spans = vec![(from, from.plus(20))];
        Ok(Collected { spans, settled_until: Some(from.plus(20)) })
    }

    fn incidents(&self, from: IncidentCursor, limit: usize) -> Result<Vec<IncidentView>, StoreError> {
        Ok(self.incidents.iter().filter(|one| from.is_before(one)).take(limit).cloned().collect())
    }

    fn incident(&self, id: IncidentId) -> Result<Option<IncidentView>, StoreError> {
        Ok(self.incidents.iter().find(|one| one.id == id).cloned())
    }

    fn verdicts(&self, id: IncidentId) -> Result<Vec<Verdict>, StoreError> {
        let found = self.incidents.iter().find(|one| one.id == id);
        Ok(found
            .map_or_else(Vec::new, |one| one.verdicts.iter().map(|verdict| (**verdict).clone()).collect()))
    }
}

/// The description of a route that is not ours.
fn more_api() -> utoipa::openapi::OpenApi {
    serde_json::from_value(serde_json::json!({
        "openapi": "3.1.0", "info": {"title": "More", "version": "1"},
        "paths": {"/api/v1/reports": {"post": {"responses": {}}}},
    }))
    .expect("a description")
}

#[tokio::test]
async fn the_description_holds_what_the_host_answers_too() {
    let json: serde_json::Value =
        serde_json::from_str(&text(&with_past(false), "/api/v1/openapi.json").await).expect("JSON");
    assert!(json["paths"]["/api/v1/reports"]["post"].is_object());
    assert!(json["paths"]["/api/v1/status"]["get"].is_object());
}

fn with_past(broken: bool) -> Router {
    after(vec![long_ago(&snapshot().incidents[2])], broken)
}

/// The same thirty days before.
fn long_ago(incident: &IncidentView) -> IncidentView {
    let mut old = incident.clone();
    old.id.opened = Minute(old.id.opened.0 - 60 * 24 * 30);
    old.opened_at = old.id.opened.start();
    old
}

/// A site with this past, latest first.
fn after(incidents: Vec<IncidentView>, broken: bool) -> Router {
    let (_, updates) = tokio::sync::watch::channel(41);
    let history = Some(Arc::new(Past { incidents, broken }) as Arc<dyn History>);
    app(WebState::new(SiteParts { history, more_api: Some(more_api()), ..parts(updates) }))
}

#[tokio::test]
async fn why_an_incident_is_held_is_on_its_page_in_its_exports_and_in_the_interface() {
    let mut held = long_ago(&snapshot().incidents[2]);
    let doubt = Doubt {
        cause: Cause::StrangeNetworks { networks: 3, most: Asn::new(64_496).map(Facet::Network) },
        doubtful: 480,
        sources: 500,
    };
    let (at, facet) = (held.opened_at.plus_seconds(60), Facet::All);
    for change in [Change::Held(doubt), Change::Released] {
        held.timeline.push(TimelineEntry { at, facet, change, observed: 500, expected: 2.0 });
    }
    held.doubts = vec![doubt];
    held.state = State::Possible;
    let mut verdict = Verdict::clone(held.verdicts.last().expect("a verdict"));
    verdict.state = State::Possible;
    verdict.reasons.push(Reason::Doubted { doubt });
    held.verdicts.push(Arc::new(verdict));
    let app = after(vec![held], false);
    let words =
        "480 of 500 sources come from 3 networks that hardly ever reported it before, above all AS64496";
    let html = text(&app, "/i/github-2025-02-06-1105").await;
    // In the sentence, among the reasons and in the timeline.
    assert_eq!(html.matches(words).count(), 3, "{html}");
    assert!(html.contains("held at “possible”") && html.contains("no longer held"));
    let markdown = text(&app, "/i/github-2025-02-06-1105.md").await;
    assert!(markdown.contains(words));
    let json: serde_json::Value =
        serde_json::from_str(&text(&app, "/api/v1/incidents/github-2025-02-06-1105").await).expect("JSON");
    let told = serde_json::json!([
        {"doubt": "strange_networks", "text": words, "doubtful": 480, "sources": 500}
    ]);
    assert_eq!(json["doubts"], told);
    assert_eq!(
        json["timeline"].as_array().expect("lines").iter().rev().nth(1).expect("two")["change"],
        "held"
    );
}

#[tokio::test]
async fn the_past_comes_from_the_history() {
    let app = with_past(false);
    let html = text(&app, "/i/github-2025-02-06-1105").await;
    assert!(html.contains("6 February 2025"));
    let html = text(&app, "/incidents?before=2025-03-01T00:00:00Z").await;
    assert!(html.contains("/i/github-2025-02-06-1105"));
    let json: serde_json::Value =
        serde_json::from_str(&text(&app, "/api/v1/incidents?before=2025-03-01T00:00:00Z").await)
            .expect("JSON");
    assert_eq!(json["incidents"][0]["name"], "github-2025-02-06-1105");
    let path = "/api/v1/services/x/series?facet=country:PK&from=2025-03-10T09:00:00Z&to=2025-03-10T10:00:00Z";
    let json: serde_json::Value = serde_json::from_str(&text(&app, path).await).expect("JSON");
    assert_eq!(json["scope"]["name"], "Pakistan");
    assert_eq!(json["points"][1]["at"], "2025-03-10T09:05:00Z");
    let few =
        serde_json::json!({"at": "2025-03-10T09:05:00Z", "sources": null, "withheld": true, "expected": 1.5});
    assert_eq!(json["points"][1], few, "two people of a country are not told apart");
    let silent = serde_json::json!({"at": "2025-03-10T09:15:00Z", "sources": 0.0, "withheld": false, "expected": null});
    assert_eq!((&json["points"][3], &json["points"][4]), (&silent, &serde_json::Value::Null));
    assert_eq!(json["settled_until"], "2025-03-10T09:20:00Z");
}

#[tokio::test]
async fn only_counts_that_could_point_at_a_person_are_withheld() {
    let app = with_past(false);
    for (facet, sources) in [
        ("all", serde_json::json!(2.5)),
        ("kind:login", serde_json::json!(2.5)),
        ("network:AS17557", serde_json::Value::Null),
        ("region:PK-PB", serde_json::Value::Null),
        ("city:1172451", serde_json::Value::Null),
    ] {
        let path = format!("/api/v1/services/x/series?facet={facet}&from=2025-03-10T09:00:00Z");
        let json: serde_json::Value = serde_json::from_str(&text(&app, &path).await).expect("JSON");
        assert_eq!(json["points"][0]["sources"], sources, "{facet}");
        assert_eq!(json["points"][0]["withheld"], sources.is_null(), "{facet}");
    }
}

#[tokio::test]
async fn pages_of_incidents_lose_none_that_opened_at_one_time() {
    let old = long_ago(&snapshot().incidents[2]);
    let services: Vec<_> = snapshot().catalogue.iter().take(4).map(|service| service.id).collect();
    let of =
        |service: &ServiceId| IncidentView { id: IncidentId { service: *service, ..old.id }, ..old.clone() };
    let app = after(services.iter().map(of).collect(), false);
    let (mut read, mut before) = (BTreeSet::new(), "2025-03-01T00:00:00Z".to_owned());
    for _ in &services {
        let path = format!("/api/v1/incidents?limit=1&before={before}");
        let json: serde_json::Value = serde_json::from_str(&text(&app, &path).await).expect("JSON");
        assert!(read.insert(json["incidents"][0]["name"].to_string()), "{json} is there twice");
        before = json["next_before"].as_str().expect("more may follow").to_owned();
    }
    let path = format!("/api/v1/incidents?limit=1&before={before}");
    let json: serde_json::Value = serde_json::from_str(&text(&app, &path).await).expect("JSON");
    assert_eq!(
        (&json["incidents"], &json["next_before"]),
        (&serde_json::json!([]), &serde_json::Value::Null)
    );
    assert_eq!(ask(&app, &format!("/incidents?before={before}"), &[]).await.0, StatusCode::OK);
    assert_eq!(ask(&app, "/api/v1/incidents?before=yesterday", &[]).await.0, StatusCode::BAD_REQUEST);
    let first = text(&app, "/incidents").await;
    assert!(
        first.contains("/incidents?before=2025-03-03T"),
        "older ones begin where the snapshot ends: {first}"
    );
}

#[tokio::test]
async fn a_store_that_fails_does_not_take_the_pages_down() {
    let app = with_past(true);
    assert_eq!(ask(&app, "/api/v1/services/x/series", &[]).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&app, "/s/x", &[]).await.0, StatusCode::OK);
}
