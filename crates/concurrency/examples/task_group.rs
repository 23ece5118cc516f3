//! A page of four parts over real HTTP. One part answers 500: the others are cancelled, and the server sees them go.
//!
//! Run with: `cargo run -p concurrency --example task_group`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::task_group::{self, Origin};
use std::{error::Error, time::Duration};

const PARTS: [&str; 4] = ["profile", "orders", "prices", "news"];

// ANCHOR: fetch
/// A status that is no success is an error: without `error_for_status`, a 500 would be a body like any other.
async fn fetch(client: reqwest::Client, url: String) -> Result<String, reqwest::Error> {
    client.get(url).send().await?.error_for_status()?.text().await
}
// ANCHOR_END: fetch

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start([
        ("/profile", Response::new(200, "Ada").after(ms(20))),
        ("/orders", Response::new(200, "3 orders").after(ms(3000))),
        ("/prices", Response::new(500, "out of order").after(ms(300))),
        ("/news", Response::new(200, "no news").after(ms(5000))),
    ])
    .await?;
    let recorder = Recorder::new("four requests over HTTP, one answers 500 (real time)");

    // ANCHOR: page
    let client = reqwest::Client::new();
    let page = task_group::all(PARTS, |part| {
        let request = fetch(client.clone(), upstream.url(&format!("/{part}")));
        recorder.try_lane(format!("GET /{part}"), request)
    });
    match recorder.try_lane("task_group", page).await {
        Ok(parts) => println!("the page: {}", parts.join(", ")),
        Err(failed) => {
            for failure in failed.failures() {
                let part = match failure.origin {
                    Origin::Child(index) => PARTS[index],
                    Origin::Body => "the body",
                };
                println!("no page: {part} failed, status {:?}", failure.error.status());
            }
            println!("{} requests cancelled", failed.cancelled);
            // Dropping a request's future closes its connection. The server notices a moment later.
            upstream.abandoned(failed.cancelled).await;
            println!("the server has seen {} clients go", failed.cancelled);
        }
    }
    // ANCHOR_END: page
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
