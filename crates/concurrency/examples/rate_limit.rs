//! Eight requests over real HTTP, at ten a second and four in flight. The server asks for a pause in the middle.
//!
//! Run with: `cargo run -p concurrency --example rate_limit`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::{Rate, RateLimit, Settled, gather};
use std::{
    error::Error,
    num::{NonZeroU32, NonZeroUsize},
    time::{Duration, Instant},
};

// ANCHOR: get
/// One request under the limit. On 429 everybody pauses: the quota is everybody's.
async fn get(client: reqwest::Client, url: String, limit: RateLimit) -> Result<String, reqwest::Error> {
    let _permit = limit.acquire().await;
    let response = client.get(url).send().await?;
    if response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS {
        // As a header it comes in whole seconds; one that is missing is no reason to go on.
        let header =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        limit.pause(header.map_or(Duration::from_millis(500), Duration::from_secs));
    }
    response.error_for_status()?.text().await
}
// ANCHOR_END: get

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let item = |after| Response::new(200, "here").after(Duration::from_millis(after));
    let mut routes: Vec<_> = (1..=8).map(|id| (format!("/{id}"), item(150))).collect();
    routes[3].1 = Response::new(429, "slow down").after(Duration::from_millis(20));
    let upstream = Upstream::start(routes).await?;
    let (recorder, client) = (Recorder::new("ten a second, over HTTP (real time)"), reqwest::Client::new());

    // ANCHOR: limit
    let ten = NonZeroU32::new(10).ok_or("a rate of zero never asks")?;
    let four = NonZeroUsize::new(4).ok_or("a limit of zero never asks")?;
    // One for all who use this API: clones are handles to the same limit.
    let limit = RateLimit::new(Rate::per_second(ten), four);
    let started = Instant::now();
    let request = |id: u32| {
        recorder.try_lane(
            format!("GET {id}"),
            get(client.clone(), upstream.url(&format!("/{id}")), limit.clone()),
        )
    };
    let settled = gather(1..=8, four, request).await;
    // ANCHOR_END: limit
    let refused = settled.iter().filter(|outcome| matches!(outcome, Settled::Failed(_))).count();
    println!("{} answered, {refused} told to slow down", settled.len() - refused);
    // Seven periods of 100 ms, and the pause instead of one of them.
    println!("no quicker than allowed: {}", started.elapsed() >= Duration::from_millis(1_000));
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
