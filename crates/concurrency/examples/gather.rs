//! Five items over real HTTP, three requests at a time. One answers 500, one too late, one with something else.
//!
//! Run with: `cargo run -p concurrency --example gather`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::{Settled, gather};
use std::{error::Error, num::NonZeroUsize, time::Duration};

// ANCHOR: fetch
#[derive(serde::Deserialize)]
struct Item {
    name: String,
}

/// Every way to fail is an error: no connection, a status that is no success, a body that is no item.
async fn fetch(client: reqwest::Client, url: String) -> Result<Item, reqwest::Error> {
    client.get(url).send().await?.error_for_status()?.json().await
}
// ANCHOR_END: fetch

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start([
        ("/items/1", Response::new(200, r#"{"name":"lamp"}"#).after(ms(120))),
        ("/items/2", Response::new(500, r#"{"error":"out of order"}"#).after(ms(40))),
        ("/items/3", Response::new(200, r#"{"name":"chair"}"#).after(ms(60))),
        ("/items/4", Response::new(200, r#"{"name":"shelf"}"#).after(ms(5000))),
        ("/items/5", Response::new(200, "lost in transit").after(ms(40))),
    ])
    .await?;
    let recorder = Recorder::new("five requests over HTTP, three at a time (real time)");

    // ANCHOR: gather
    // One client for all: it owns the connections. Its time limit is for a request with its body.
    let client = reqwest::Client::builder().timeout(ms(300)).build()?;
    let limit = NonZeroUsize::new(3).ok_or("a limit of zero never ends")?;
    let request = |id| fetch(client.clone(), upstream.url(&format!("/items/{id}")));
    let settled = gather(1..=5, limit, |id| recorder.try_lane(format!("GET {id}"), request(id))).await;
    for (id, outcome) in (1..).zip(&settled) {
        match outcome {
            Settled::Ok(item) => println!("{id}: {}", item.name),
            Settled::Failed(error) if error.is_timeout() => println!("{id}: no answer in time"),
            Settled::Failed(error) if error.is_decode() => println!("{id}: not an item"),
            Settled::Failed(error) => println!("{id}: failed, status {:?}", error.status()),
            Settled::Panicked(panic) => println!("{id}: a bug: {panic}"),
            Settled::Cancelled => println!("{id}: cancelled"),
        }
    }
    // ANCHOR_END: gather
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
