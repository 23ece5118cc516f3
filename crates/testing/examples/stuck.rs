//! Three requests on one thread. One computes, one blocks, and meanwhile nobody else is served: who is it?
//!
//! Run with: `cargo run -p testing --example stuck`

use std::{hint::black_box, time::Duration};
use testing::{
    Heartbeat, Watchdog,
    watchdog::{Doing, labelled},
};
use tokio::{runtime::Builder, time::sleep};

const LONG: Duration = Duration::from_millis(600);

async fn quote() {
    sleep(LONG).await;
}

/// A hash of a gigabyte, as it were.
#[expect(
    clippy::unused_async,
    reason = "an `async fn` without an await never gives way: that is the mistake"
)]
async fn thumbnail() {
    let hash = (0..60_000_000_u64).fold(7, |hash: u64, n| black_box(hash.rotate_left(5) ^ n));
    assert_ne!(hash, 0);
}

#[expect(clippy::unused_async, clippy::disallowed_methods, reason = "stands for a driver that is not async")]
async fn invoice() {
    std::thread::sleep(LONG);
}

fn main() -> std::io::Result<()> {
    // ANCHOR: watch
    let mut builder = Builder::new_current_thread();
    let setup = Watchdog::limit(Duration::from_millis(50))
        .on_stall(|stall| eprintln!("{stall}"))
        .install(builder.enable_all());
    let runtime = builder.build()?;
    let watchdog = setup.start(runtime.handle())?;
    let heartbeat = Heartbeat::start(runtime.handle(), Duration::from_millis(10));
    runtime.block_on(watchdog.root(async {
        labelled("thumbnail", thumbnail()).await;
        labelled("quote", quote()).await;
        labelled("invoice", invoice()).await;
    }));
    // ANCHOR_END: watch

    for stall in watchdog.stalls() {
        let Some(label) = stall.label else { continue };
        let doing = match stall.doing {
            Doing::Blocked { .. } => "blocked in a call that is not async",
            doing => &doing.to_string(),
        };
        println!("{}: {doing}", label.name);
    }
    println!("the loop was late by more than {:?}: {}", LONG / 2, heartbeat.worst() > LONG / 2);
    Ok(())
}
