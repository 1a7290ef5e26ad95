//! Serves the made-up world of the fixtures, to look at the pages: `cargo run -p brownout-web
//! --features fixtures --example preview -- 8099`. The same world stands under `/live` as a live site.

use brownout_web::fixtures::{site, snapshot};
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
    let replay = site(snapshot(), SiteOptions { mode, ..SiteOptions::default() }, 0);
    let challenge = Challenge { url: "/api/v1/challenge".to_owned(), asked: std::sync::Arc::new(|| false) };
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
