//! A worker that connects in three steps: one attempt fails in the last, one is given up in the middle, one is used.
//!
//! Run with: `cargo run -p resources --example connect`

use common::{
    Recorder,
    clock::paused,
    draw,
    server::{Call, Outcome, Server, ServerError, Session},
};
use resources::{ConnectError, Lent, Ready, Reaper, connect};
use std::time::Duration;
use tokio::time::timeout;

// ANCHOR: worker
/// Exists only with all that it stands on.
struct Worker {
    lease: Lent<Session>,
    // Held for as long as the lease is.
    _session: Lent<Session>,
    _inbox: Lent<Session>,
}

async fn worker(broker: &Server, reaper: &Reaper) -> Result<Ready<Worker>, ConnectError<ServerError>> {
    connect(reaper, async |stack| {
        let mut session = stack.enter("session", broker.open("session"), Session::close).await?;
        let inbox = stack.enter("inbox", broker.open("inbox"), Session::close).await?;
        // A step may need those before it.
        let name = format!("lease for {}", session.ask(7).await?);
        let lease = stack.enter("lease", broker.open(&name), Session::close).await?;
        Ok(Worker { lease, _session: session, _inbox: inbox })
    })
    .await
}
// ANCHOR_END: worker

async fn runs() -> Result<(), ConnectError<ServerError>> {
    const LEASE: &str = "lease for session: 7";
    let (ms, reaper) = (Duration::from_millis, Reaper::new(Duration::from_millis(500)));
    let broker = Server::new(&Recorder::new("refused")).on(Call::Open, LEASE, ms(10), Outcome::Fail);
    if let Err(refused) = worker(&broker, &reaper).await {
        println!("refused: {refused}; undone: {}", refused.undone.closed.join(", "));
    }
    let recorder = Recorder::new("given up in the third step");
    let broker = Server::new(&recorder).on(Call::Open, LEASE, ms(20), Outcome::Done).opens_at_once();
    let given_up = timeout(ms(40), recorder.lane("worker", worker(&broker, &reaper))).await.is_err();
    println!("given up: {given_up}; open by then: {}", broker.left_open().join(", "));
    println!("drained: {}; left open: {:?}", reaper.drain(ms(5000)).await, broker.left_open());
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    let mut ready = worker(&Server::new(&Recorder::new("used")), &reaper).await?;
    println!("used: {:?}", ready.lease.ask(1).await);
    println!("closed: {}", ready.close().await.closed.join(", "));
    Ok(())
}

fn main() -> Result<(), ConnectError<ServerError>> {
    paused(runs())
}
