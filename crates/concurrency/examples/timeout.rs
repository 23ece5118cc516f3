//! A handler that asks two endpoints, under limits of their own and one for the whole request: whose was it?
//!
//! Run with: `cargo run -p concurrency --example timeout`

use common::upstream::{Response, Upstream};
use common::{Recorder, draw};
use concurrency::{Deadline, TimedOut};
use std::{error::Error, time::Duration};

// ANCHOR: handler
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Failure {
    Late(#[from] TimedOut),
    Http(#[from] reqwest::Error),
}

async fn ask(client: &reqwest::Client, url: String, limit: Deadline) -> Result<String, Failure> {
    // The server can tell that an answer would come too late, and save itself the work.
    let request = client.get(url).header("x-remaining-ms", limit.remaining().as_millis().to_string());
    // For a body that is read outside of `run`. Later than the limit: at the same moment, reqwest's nameless one wins.
    let request = request.timeout(limit.remaining() + Duration::from_millis(100));
    Ok(limit.run(async { request.send().await?.error_for_status()?.text().await }).await??)
}

async fn handler(client: &reqwest::Client, site: String) -> Result<String, Failure> {
    let (all, each) = (Duration::from_millis(600), Duration::from_millis(400));
    let deadline = Deadline::after("the request", all);
    let user = ask(client, format!("{site}/user"), deadline.within("user", each)).await?;
    let cart = ask(client, format!("{site}/cart"), deadline.within("cart", each)).await?;
    Ok(format!("{user}: {cart}"))
}
// ANCHOR_END: handler

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let reply = |body, after| Response::new(200, body).after(Duration::from_millis(after));
    let upstream = Upstream::start([
        ("/quick/user", reply("Ada", 20)),
        ("/quick/cart", reply("a lamp", 20)),
        ("/stuck/user", reply("Ada", 20)),
        ("/stuck/cart", reply("never seen", 5000)),
        ("/slow/user", reply("Ada", 300)),
        ("/slow/cart", reply("never seen", 5000)),
        ("/gateway/user", Response::new(504, "a timeout, but not one of ours")),
    ])
    .await?;
    let (recorder, client) = (Recorder::new("four requests over HTTP (real time)"), reqwest::Client::new());
    for site in ["/quick", "/stuck", "/slow", "/gateway"] {
        match recorder.try_lane(site, handler(&client, upstream.url(site))).await {
            Ok(page) => println!("{site}: {page}"),
            Err(Failure::Late(late)) => println!("{site}: the limit of {}, {:?}", late.limit, late.budget),
            Err(Failure::Http(error)) => println!("{site}: HTTP status {:?}", error.status()),
        }
    }
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
