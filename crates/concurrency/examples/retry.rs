//! An order over real HTTP to a server that is busy at first, one that has no such item, and one that is down.
//!
//! Run with: `cargo run -p concurrency --example retry`

use common::{Recorder, draw, upstream};
use concurrency::{Attempt, Deadline, Idempotency, Retry, RetryBudget, Retryable, retry::Backoff};
use std::{error::Error, num::NonZeroUsize, sync::Arc, time::Duration};

// ANCHOR: error
#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error("status {0}")]
    Status(u16, Option<Duration>),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl Retryable for OrderError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Status(429 | 503, _) | Self::Http(_))
    }
    fn retry_after(&self) -> Option<Duration> {
        if let Self::Status(_, pause) = self { *pause } else { None }
    }
}

async fn order(client: &reqwest::Client, url: &str, attempt: Attempt) -> Result<String, OrderError> {
    let request = client.post(url).header("idempotency-key", attempt.key().unwrap_or_default());
    let response = request.send().await?;
    if !response.status().is_success() {
        // In seconds. The header can also be a date, which this leaves to the back-off.
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let pause = header.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        return Err(OrderError::Status(response.status().as_u16(), pause));
    }
    Ok(format!("{}, attempt {}", response.text().await?, attempt.number))
}
// ANCHOR_END: error

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let busy = || upstream::Response::new(503, "").header("retry-after", 1);
    let ordered = upstream::Response::new(201, "ordered");
    let routes = [("/lamp", busy()), ("/lamp", ordered), ("/sofa", busy())];
    let upstream = upstream::Upstream::start(routes).await?;
    let (client, recorder) = (reqwest::Client::new(), Recorder::new("three orders over HTTP (real time)"));
    // ANCHOR: retry
    let (ms, n) = (Duration::from_millis, |n| NonZeroUsize::new(n).ok_or("zero"));
    let budget = RetryBudget::new(n(20)?, 10);
    let retry = Retry::new(n(4)?, Backoff::new(ms(50), ms(400))).each(ms(500)).budget(&budget);
    for (item, patience) in [("lamp", ms(4000)), ("desk", ms(4000)), ("sofa", ms(900))] {
        let (url, deadline) = (upstream.url(&format!("/{item}")), Deadline::after("the order", patience));
        // Made with the order, and stored with it: not here, once an attempt.
        let key = Idempotency::Keyed(Arc::from(format!("order of a {item}")));
        let work = retry.run(&deadline, key, |attempt| order(&client, &url, attempt));
        let told = recorder.try_lane(item, work).await.unwrap_or_else(|error| error.why.to_string());
        println!("{item}: {told}; retries left: {}", budget.left());
    }
    // ANCHOR_END: retry
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
