//! A service that is called while it misbehaves: what each call comes to, and how many connections it took.
//!
//! Run with: cargo run -p resources --example http_client

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use resources::http_client::{HttpClient, HttpError, Limits};
use std::{error::Error, num::NonZeroUsize, time::Duration};

// ANCHOR: fetch
#[derive(serde::Deserialize)]
struct Item {
    name: String,
}

async fn fetch(client: &HttpClient, path: &str) -> Result<Item, HttpError> {
    client.send(client.get(path)).await?.json().await
}
// ANCHOR_END: fetch

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start([
        ("/lamp", Response::new(200, r#"{"name":"lamp"}"#).after(ms(100))),
        ("/chair", Response::new(503, "out of order").header("retry-after", 2)),
        ("/shelf", Response::new(200, r#"{"name":"shelf"}"#).stalled()),
        ("/table", Response::new(200, " ".repeat(1024)).endless()),
    ])
    .await?;
    // ANCHOR: limits
    let limits = Limits {
        connect: ms(1000),
        silence: ms(300),
        total: ms(2000),
        idle: ms(30_000),
        in_flight: NonZeroUsize::new(2).ok_or("nothing would ever be sent")?,
        wait: ms(20),
        body_bytes: 64 << 10,
        redirects: 3,
    };
    let client = HttpClient::new(&upstream.url(""), limits)?;
    // ANCHOR_END: limits
    let recorder = Recorder::new("calls to a service that misbehaves (real time)");
    let call = |path| recorder.try_lane(path, fetch(&client, path));
    let (lamp, other, third) = tokio::join!(call("/lamp"), call("/lamp"), call("/lamp"));
    println!("three at once: {}, {}; {}", lamp?.name, other?.name, third.err().ok_or("no limit")?);
    for path in ["/lamp", "/chair", "/shelf", "/table"] {
        match call(path).await {
            Ok(item) => println!("{path}: {}", item.name),
            Err(error) => println!("{path}: {error}"),
        }
    }
    println!("{} connections for {} requests", upstream.connections(), upstream.requests());
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
