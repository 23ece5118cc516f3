//! A service's background over real HTTP: mails, of which one is refused and one hangs, and exchange rates from a server
//! that is out of order. When they are given up, the service shuts down.
//!
//! Run with: `cargo run -p concurrency --example background`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::background::{Backoff, Cause, Incident, Next, Restart, Supervisor};
use std::{error::Error, time::Duration};
use tokio_util::sync::CancellationToken;

async fn get(client: reqwest::Client, url: String) -> Result<(), reqwest::Error> {
    client.get(url).send().await?.error_for_status().map(drop)
}

// ANCHOR: sink
/// The one place where what goes wrong in the background is heard of: logs, counters, and what to do about it.
fn log(incident: &Incident<reqwest::Error>, stop: &CancellationToken) {
    let what = match &incident.cause {
        Cause::Failed(error) => format!("status {:?}", error.status()),
        Cause::Panicked(panic) => format!("a bug: {panic}"),
        _ => String::from("it returned"),
    };
    let next = match incident.next {
        Next::Restarts { .. } => "again after a pause",
        Next::GivesUp => "given up",
        _ => "not again",
    };
    println!("{}, attempt {}: {what}, {next}", incident.name, incident.attempt);
    // There is no shop without exchange rates.
    if incident.next == Next::GivesUp {
        stop.cancel();
    }
}
// ANCHOR_END: sink

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start([
        ("/rates", Response::new(503, "out of order")),
        ("/mail/1", Response::new(200, "sent").after(ms(50))),
        ("/mail/2", Response::new(404, "no such address").after(ms(100))),
        ("/mail/3", Response::new(200, "sent").after(ms(10_000))),
    ])
    .await?;
    let recorder = Recorder::new("the background of a service, over HTTP (real time)");
    let (client, stop) = (reqwest::Client::new(), CancellationToken::new());
    let job = |name: &str, path: &str| recorder.try_lane(name, get(client.clone(), upstream.url(path)));

    // ANCHOR: serve
    let failed = stop.clone();
    let supervisor = Supervisor::unbounded(move |incident| log(&incident, &failed));
    let background = supervisor.spawner();
    let backoff = Backoff { first: ms(500), longest: ms(5000), restarts: 1, window: ms(60_000), seed: 1 };
    let (rates, http, drawn) = (upstream.url("/rates"), client.clone(), recorder.clone());
    let refresh = move |_stop| drawn.try_lane("rates", get(http.clone(), rates.clone()));
    background.keep_up("rates", Restart::OnFailure(backoff), refresh).map_err(|refused| refused.why)?;
    for n in 1..=3 {
        let name = format!("mail {n}");
        let mail = job(&name, &format!("/mail/{n}"));
        background.spawn(name, |_stop| mail).map_err(|refused| refused.why)?;
    }
    stop.cancelled().await; // Or Ctrl-C, or SIGTERM.
    let report = supervisor.shutdown(ms(200)).await;
    println!("shut down; cut off: {}", report.aborted.join(", "));
    // ANCHOR_END: serve
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
