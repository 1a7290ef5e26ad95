//! Serves the made-up world of the fixtures, to look at the pages: `cargo run -p brownout-web
//! --features fixtures --example preview -- 8099`. The same world stands under `/live` as a live site.
//! On the first, the count of X falls by one every two seconds, to see pages change by themselves.

use std::sync::Arc;
use std::time::Duration;

use brownout_web::fixtures::{published, site, snapshot};
use brownout_web::{Challenge, Mode, SiteOptions, not_found, router};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|text| text.parse::<u16>().ok()).unwrap_or(8099);
    let mode = Mode::Scenario {
        name: "x-2025-03-10".to_owned(),
        title: "X, 10 March 2025".to_owned(),
        speed: 60.0,
        live_path: Some("/live/".to_owned()),
    };
    let (replay, shown, sender) = published(snapshot(), SiteOptions { mode, ..SiteOptions::default() }, 0);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let mut next = (**shown.load()).clone();
            next.serial += 1;
            let mut x = (*next.services[0]).clone();
            x.version = next.serial;
            x.observed -= 1;
            next.services[0] = Arc::new(x);
            let serial = next.serial;
            shown.store(Arc::new(next));
            sender.send_replace(serial);
        }
    });
    let challenge = Challenge { url: "/api/v1/challenge".to_owned(), asked: Arc::new(|| false) };
    let live = SiteOptions {
        base_path: "/live".to_owned(),
        challenge: Some(challenge),
        stale_after_seconds: 60,
        ..SiteOptions::default()
    };
    let live = site(snapshot(), live, 400);
    let app = router(replay.clone()).merge(router(live)).fallback_service(not_found(replay));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, app).await
}
