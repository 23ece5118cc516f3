//! Eight thumbnails over real HTTP, for two workers. One fails at each attempt, one takes too long for the deadline.
//!
//! Run with: `cargo run -p concurrency --example queue`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::{
    Settled,
    queue::{self, OnFailure, Settings},
};
use futures_util::stream;
use std::{error::Error, num::NonZeroU32, num::NonZeroUsize, time::Duration};
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start((1..=8).map(|id| {
        let (status, latency) = match id {
            3 => (503, 30),
            4 => (200, 5000),
            _ => (200, 50),
        };
        (format!("/thumbnails/{id}"), Response::new(status, "done").after(ms(latency)))
    }))
    .await?;
    let recorder = Recorder::new("eight thumbnails over HTTP, two workers, room for three (real time)");
    let (client, base, lanes) = (reqwest::Client::new(), upstream.url("/thumbnails"), recorder.clone());
    // ANCHOR: queue
    let make = move |id: u32| {
        let request = client.get(format!("{base}/{id}")).send();
        let reply = async { request.await?.error_for_status()?.text().await };
        lanes.try_lane(format!("GET {id}"), reply)
    };
    let (two, three) = (NonZeroUsize::MIN.saturating_add(1), NonZeroUsize::MIN.saturating_add(2));
    let twice = OnFailure::Retry(NonZeroU32::MIN.saturating_add(1));
    let settings = Settings { capacity: three, workers: two, on_error: twice, on_panic: OnFailure::Skip };
    let deadline = sleep(ms(600));
    let report = queue::run_until(deadline, stream::iter(1..=8), settings, make).await;
    for ended in report.done.into_iter().chain(report.failed).chain(report.left) {
        let (id, attempts) = (ended.item, ended.attempts);
        match ended.outcome {
            Settled::Ok(text) => println!("{id}: {text}"),
            Settled::Failed(error) => println!("{id}: failed {attempts} times, {:?}", error.status()),
            Settled::Panicked(panic) => println!("{id}: a bug: {panic}"),
            Settled::Cancelled => println!("{id}: not done, given back; begun {attempts} times"),
        }
    }
    // ANCHOR_END: queue
    println!("requests at once: at most {}", upstream.peak());
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
