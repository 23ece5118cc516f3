//! A crawl over real HTTP of which a part succeeds: the report, and what a client for each call would cost.
//!
//! Run with: `cargo run -p concurrency --example partial`

use common::upstream::{Response, Upstream};
use common::{Recorder, draw};
use concurrency::{Retryable, partial};
use reqwest::{Client, StatusCode};
use std::{error::Error, num::NonZeroUsize, time::Duration};

// ANCHOR: fetch
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct PageError(#[from] reqwest::Error);

impl Retryable for PageError {
    fn is_retryable(&self) -> bool {
        self.0.is_timeout() || self.0.is_connect() || self.0.status() == Some(StatusCode::SERVICE_UNAVAILABLE)
    }
}

async fn fetch(client: Client, url: String) -> Result<u32, PageError> {
    Ok(client.get(url).send().await?.error_for_status()?.json().await?)
}
// ANCHOR_END: fetch

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let answer = |status, body, ms| Response::new(status, body).after(Duration::from_millis(ms));
    let upstream = Upstream::start([
        ("/prices/1", answer(200, "4200", 60)),
        ("/prices/2", answer(503, "", 40)),
        ("/prices/3", answer(200, "never seen", 5000)),
        ("/prices/4", answer(200, "<html>", 40)),
        ("/prices/6", answer(200, "990", 60)),
    ])
    .await?;
    let recorder = Recorder::new("six prices over HTTP, two at a time (real time)");
    // ANCHOR: partial
    let client = Client::builder().timeout(Duration::from_millis(300)).build()?;
    let limit = NonZeroUsize::new(2).ok_or("a limit of zero never ends")?;
    let report = partial(1..=6, limit, |id| {
        let url = upstream.url(&format!("/prices/{id}"));
        recorder.try_lane(format!("GET {id}"), fetch(client.clone(), url))
    })
    .await;
    println!("there: {:?}", report.ok);
    println!("not there: {:?}", report.failed.iter().map(|(id, _)| id).collect::<Vec<_>>());
    println!("to be asked again: {:?}", report.retryable().collect::<Vec<_>>());
    // ANCHOR_END: partial
    for (what, shared) in [("one client", Some(client)), ("a client for each call", None)] {
        let (before, url) = (upstream.connections(), upstream.url("/prices/1"));
        let report = partial(0..10, limit, |_| fetch(shared.clone().unwrap_or_default(), url.clone())).await;
        println!("{what}: {} connections for {}", upstream.connections() - before, report.ok.len());
    }
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
