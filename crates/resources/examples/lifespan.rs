//! A service whose requests are drained, whose worker is stuck, and whose database is closed last. Stop it with Ctrl-C or
//! SIGTERM; after 300 ms it stops by itself.
//!
//! Run with: `cargo run -p resources --example lifespan`

use common::{Recorder, draw, server::Server, server::ServerError};
use futures_util::stream;
use resources::lifespan::{Lifespan, Limits, StartError, Starting, signals};
use std::{convert::Infallible, error::Error, future::pending, process::ExitCode, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

async fn pause(millis: u64) -> Result<(), Infallible> {
    sleep(Duration::from_millis(millis)).await;
    Ok(())
}

// ANCHOR: start
const LIMITS: Limits = Limits { start: Duration::from_secs(5), stop: Duration::from_millis(200) };

async fn start(app: &mut Starting, server: Server, lanes: Recorder) -> Result<(), StartError> {
    let database = async {
        let session = server.open("database").await?;
        Ok::<_, ServerError>(((), async move |stop: CancellationToken| {
            stop.cancelled().await;
            session.close().await // When everybody who asks it has gone.
        }))
    };
    app.start("database", LIMITS, database).await?;
    app.step("migrate", LIMITS.start, pause(20)).await?;
    for name in ["worker", "http"] {
        let lanes = lanes.clone();
        let run = async move |stop: CancellationToken| {
            stop.cancelled().await;
            let drains = async { if name == "http" { pause(100).await } else { pending().await } };
            lanes.lane(format!("{name} drains"), drains).await
        };
        app.start(name, LIMITS, async { Ok::<_, Infallible>(((), run)) }).await?;
    }
    println!("started");
    Ok(())
}
// ANCHOR_END: start

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let lanes = Recorder::new("the end of a service (real time)");
    let server = Server::new(&lanes);
    // A service has the signals alone: `run(signals()?, ..)`.
    let demo = stream::once(Box::pin(pause(300)));
    let stops = stream::select(signals()?, futures_util::StreamExt::map(demo, |_| "the end of the demo"));
    let life = Lifespan::new(Duration::from_secs(10));
    let report = life.run(stops, async |app| start(app, server, lanes.clone()).await).await?;
    for component in &report.components {
        println!("{}: {:?}", component.name, component.end);
    }
    eprintln!("\n{}", draw::terminal(&lanes.trace(), draw::Terminal::here()));
    Ok(ExitCode::from(report.exit_status()))
}
