//! Orders, a ticker and a stop in one loop; each order is looked up over real HTTP, and none is lost at the stop.
//!
//! Run with: `cargo run -p concurrency --example select`

use common::{
    Recorder, draw,
    recorder::note,
    upstream::{Response, Upstream},
};
use concurrency::{Event, Events};
use std::{error::Error, time::Duration};
use tokio::{sync::mpsc, time::sleep};

async fn look_up(client: &reqwest::Client, url: String) -> Result<String, reqwest::Error> {
    client.get(url).send().await?.error_for_status()?.text().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start((1..=6).map(|id| {
        let status = if id == 4 { 404 } else { 200 };
        (format!("/orders/{id}"), Response::new(status, format!("a lamp, size {id}")).after(ms(60)))
    }))
    .await?;
    let recorder = Recorder::new("six orders over HTTP, stopped after 150 ms (real time)");
    let client = reqwest::Client::new();
    let (order, orders) = mpsc::channel(8);
    for id in 1..=6 {
        order.send(id).await?;
    }
    let serve = async {
        // ANCHOR: select
        let mut events = Events::new(orders, sleep(ms(150))).every(ms(50));
        while let Some(event) = events.next().await {
            match event {
                Event::Stop => note("stop: no more orders"),
                Event::Tick => note("tick"),
                Event::Item(id) => {
                    let reply = look_up(&client, upstream.url(&format!("/orders/{id}")));
                    match recorder.try_lane(format!("GET {id}"), reply).await {
                        Ok(text) => println!("{id}: {text}"),
                        Err(error) => println!("{id}: {:?}", error.status()),
                    }
                }
            }
        }
        // ANCHOR_END: select
    };
    let late = async {
        order.closed().await;
        order.send(7).await
    };
    let ((), late) = tokio::join!(recorder.lane("loop", serve), late);
    println!("7: {}", late.map_or("refused, and given back", |()| "accepted"));
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
