//! Our listener beside the framework's own, with a handler that does nothing and clients on the
//! same cores: `cargo run --release --example listener_speed -p brownout`.

#![allow(clippy::print_stdout)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use brownout::listener::{ListenerLimits, ListenerMetrics, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 3;
const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
    content-length: 36\r\n\r\n{\"service\":\"x\",\"kind\":\"unreachable\"}";

#[tokio::main]
async fn main() -> io::Result<()> {
    let router = Router::new().route("/", post(|| async { "ok" }));
    let theirs = TcpListener::bind("127.0.0.1:0").await?;
    let their_address = theirs.local_addr()?;
    let their_router = router.clone();
    tokio::spawn(async move { axum::serve(theirs, their_router).await });
    let ours = TcpListener::bind("127.0.0.1:0").await?;
    let our_address = ours.local_addr()?;
    let (limits, metrics) = (ListenerLimits::default(), ListenerMetrics::default());
    tokio::spawn(serve(ours, router, limits, metrics, std::future::pending()));
    for _ in 0..3 {
        println!("axum::serve {:>8.0}/s", rate(their_address).await);
        println!("listener    {:>8.0}/s", rate(our_address).await);
    }
    Ok(())
}

/// Requests per second of keep-alive clients.
async fn rate(address: SocketAddr) -> f64 {
    let count = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let end = start + Duration::from_secs(SECONDS);
    let clients: Vec<_> =
        (0..CONNECTIONS).map(|_| tokio::spawn(client(address, end, count.clone()))).collect();
    for client in clients {
        if let Ok(Err(error)) = client.await {
            println!("a client failed: {error}");
        }
    }
    count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

async fn client(address: SocketAddr, end: Instant, count: Arc<AtomicU64>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    while Instant::now() < end {
        stream.write_all(REQUEST).await?;
        if stream.read(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
