//! Seven pages over real HTTP, three requests at a time, in order, for a reader that takes its time with each.
//!
//! Run with: `cargo run -p concurrency --example bounded`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::{Settled, bounded};
use futures_util::{StreamExt as _, stream};
use std::{error::Error, num::NonZeroUsize, pin::pin, time::Duration};
use tokio::time::sleep;

#[derive(serde::Deserialize)]
struct Page {
    title: String,
}

async fn fetch(client: reqwest::Client, url: String) -> Result<Page, reqwest::Error> {
    client.get(url).send().await?.error_for_status()?.json().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let pages = [(200, 90), (200, 40), (200, 70), (200, 120), (503, 40), (200, 80), (200, 60)];
    let routes = (1..).zip(pages).map(|(page, (status, latency))| {
        let body = format!(r#"{{"title":"page {page}"}}"#);
        (format!("/pages/{page}"), Response::new(status, body).after(ms(latency)))
    });
    let upstream = Upstream::start(routes).await?;
    let recorder = Recorder::new("seven pages over HTTP, at most three ahead of the reader (real time)");
    let client = reqwest::Client::builder().timeout(ms(1000)).build()?;
    let limit = NonZeroUsize::new(3).ok_or("a limit of zero never ends")?;
    let read = async {
        // ANCHOR: bounded
        let request = |page| {
            let url = upstream.url(&format!("/pages/{page}"));
            recorder.try_lane(format!("GET {page}"), fetch(client.clone(), url))
        };
        let mut pages = pin!(bounded::in_input_order(stream::iter(1..=7), limit, request));
        while let Some(page) = pages.next().await {
            match page {
                Settled::Ok(Page { title }) => println!("{title}"),
                Settled::Failed(error) => println!("failed, status {:?}", error.status()),
                Settled::Panicked(panic) => println!("a bug: {panic}"),
                Settled::Cancelled => println!("cancelled"),
            }
            sleep(ms(50)).await; // Render it; the next ones are on their way meanwhile.
        }
        // ANCHOR_END: bounded
    };
    recorder.lane("reader", read).await;
    println!("requests at once: at most {}", upstream.peak());
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
