//! Three replicas over real HTTP: one is slow, one is down. A hedged read, and a quorum of two.
//!
//! Run with: `cargo run -p concurrency --example first`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::{FirstError, first};
use std::{error::Error, num::NonZeroUsize, time::Duration};

// ANCHOR: read
/// A read, which may be made twice. A status such as 503 is an error: it must not win.
async fn read(client: &reqwest::Client, url: String) -> Result<String, reqwest::Error> {
    client.get(url).send().await?.error_for_status()?.text().await
}
// ANCHOR_END: read

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start([
        ("/slow/price", Response::new(200, "17").after(ms(1500))),
        ("/down/price", Response::new(503, "out of order").after(ms(20))),
        ("/near/price", Response::new(200, "17").after(ms(80))),
        ("/far/price", Response::new(200, "17").after(ms(250))),
    ])
    .await?;
    let recorder = Recorder::new("a hedged read, then a quorum, over HTTP (real time)");
    let client = reqwest::Client::new();
    let ask = |replica: &str| {
        recorder.try_lane(format!("GET {replica}"), read(&client, upstream.url(&format!("/{replica}/price"))))
    };

    // ANCHOR: first
    let two = NonZeroUsize::new(2).ok_or("a limit of zero never asks")?;
    // The next is asked after 100 ms, or at once when one fails. The iterator makes each request when it is due.
    let replicas = ["slow", "down", "near"];
    let reads = replicas.iter().map(|replica| ask(replica));
    let (winner, price) = first::of(reads).hedged(ms(100), two).success().await?;
    println!("{price} from {}", replicas[winner]);

    // Two that agree, of three that are asked at once.
    let replicas = ["slow", "far", "near"];
    let quorum = first::of(replicas.iter().map(|replica| ask(replica))).successes(two).await?;
    let voters: Vec<&str> = quorum.iter().map(|(attempt, _)| replicas[*attempt]).collect();
    println!("{} say {}", voters.join(" and "), quorum[0].1);

    let refused = first::of((0..2).map(|_| ask("down"))).success().await;
    if let Err(FirstError::TooFew { outcomes, .. }) = refused {
        println!("nobody replies: {} failures", outcomes.len());
    }
    // ANCHOR_END: first
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
