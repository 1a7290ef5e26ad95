//! The stream of what changes.

use super::*;

#[tokio::test]
async fn the_stream_says_what_changed_and_has_a_last_seat() {
    let site = state(SiteOptions { event_readers_max: 1, ..SiteOptions::default() });
    let app = app(site.clone());
    let request =
        Request::get("/api/v1/events").header("last-event-id", "40").body(Body::empty()).expect("request");
    let mut body = app.clone().oneshot(request).await.expect("an answer").into_body();
    let frame = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
    let event = String::from_utf8(frame.to_vec()).expect("text");
    assert!(event.contains("event: delta") && event.contains("id: 41"), "{event}");
    assert!(event.contains(r#""slug":"x","state":"confirmed","observed":31402"#), "{event}");
    assert!(!event.contains("netflix"), "it did not change: {event}");
    let (status, headers, _) = ask(&app, "/api/v1/events", &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
    assert_eq!((site.stats().event_readers, site.stats().event_readers_refused), (1, 1));
    drop(body);
    assert_eq!(site.stats().event_readers, 0, "the seat is given back");
}

#[tokio::test]
async fn a_stop_ends_the_stream() {
    let (_sender, updates) = tokio::sync::watch::channel(41);
    let site = WebState::new(parts(updates));
    let request = Request::get("/api/v1/events").body(Body::empty()).expect("request");
    let mut body = app(site.clone()).oneshot(request).await.expect("an answer").into_body();
    body.frame().await.expect("a frame").expect("bytes");
    site.end_events();
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn readers_are_told_when_the_host_publishes() {
    let (sender, updates) = tokio::sync::watch::channel(41);
    let snapshots = Arc::new(arc_swap::ArcSwap::from_pointee(snapshot()));
    let site = WebState::new(SiteParts { snapshot: Arc::clone(&snapshots), ..parts(updates) });
    let request = Request::get("/api/v1/events").body(Body::empty()).expect("request");
    let mut body = app(site).oneshot(request).await.expect("an answer").into_body();
    let mut read = async || {
        let frame = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
        String::from_utf8(frame.to_vec()).expect("text")
    };
    assert!(read().await.contains(r#""services":[]"#), "a new reader is told where things stand");
    let mut next = snapshot();
    next.serial = 42;
    let mut signal = (*next.services[3]).clone();
    signal.version = 42;
    next.services[3] = Arc::new(signal);
    snapshots.store(Arc::new(next));
    sender.send(42).expect("a reader");
    let event = read().await;
    assert!(event.contains("id: 42") && event.contains(r#""slug":"signal""#), "{event}");
}
