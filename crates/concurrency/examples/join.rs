//! A page that borrows what it reads from, and then a write to three stores over real HTTP, two of which refuse.
//!
//! Run with: `cargo run -p concurrency --example join`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::join::{self, BranchError};
use std::{error::Error, time::Duration};

/// A status that is no success is an error; the URL in it says whose.
async fn call(request: reqwest::RequestBuilder) -> Result<String, reqwest::Error> {
    request.send().await?.error_for_status()?.text().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start([
        ("/user", Response::new(200, "Ada").after(ms(60))),
        ("/orders", Response::new(200, "3").after(ms(100))),
        ("/database", Response::new(200, "written").after(ms(200))),
        ("/index", Response::new(503, "busy").after(ms(120))),
        ("/cache", Response::new(500, "out of order").after(ms(40))),
    ])
    .await?;
    let recorder = Recorder::new("two reads and three writes over HTTP (real time)");

    // ANCHOR: page
    let client = reqwest::Client::new();
    let get = |path| recorder.try_lane(format!("GET {path}"), call(client.get(upstream.url(path))));
    let put = |path| recorder.try_lane(format!("PUT {path}"), call(client.put(upstream.url(path)).body("7")));

    // Reads: one that fails makes the other pointless.
    let (user, orders) = tokio::try_join!(get("/user"), get("/orders"))?;
    println!("{user} has {orders} orders");

    // Writes: one that fails stops none, and each error is told.
    let stores = ["/database", "/index", "/cache"];
    if let Err(errors) = join::all((put(stores[0]), put(stores[1]), put(stores[2]))).await {
        println!("{errors}");
        for failure in errors.failures() {
            match &failure.error {
                BranchError::Failed(error) => println!("{}: {:?}", stores[failure.branch], error.status()),
                bug => println!("{}: {bug}", stores[failure.branch]),
            }
        }
    }
    // ANCHOR_END: page
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
