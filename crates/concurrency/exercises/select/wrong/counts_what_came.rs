//! Breaks `ticks`: `so far` counts orders that were received, of which one has no line yet.

use common::Backend;
use futures::{FutureExt as _, future::BoxFuture};
use std::time::Duration;
use tokio::{
    sync::mpsc::{Receiver, Sender},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

/// How often the shop says how much it has done.
const PERIOD: Duration = Duration::from_millis(100);

/// Writes a line about each order, and one about all of them every 100 ms, until it is stopped or nobody orders any more.
pub async fn run(
    backend: Backend,
    mut orders: Receiver<u32>,
    lines: Sender<String>,
    stop: CancellationToken,
) {
    let mut book = Book { lines, received: 0 };
    let mut ticks = every(PERIOD);
    let mut stopping = false;
    let mut asking: Option<BoxFuture<'static, String>> = None;
    loop {
        tokio::select! {
            // In this order: a stop, and a tick, are heard after each order, however many wait.
            biased;
            // A token that is cancelled stays so: without the condition this arm would win for ever.
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                // Refuses what comes, and keeps what was accepted: `recv` gives it, and then nothing.
                orders.close();
            }
            _ = ticks.tick() => book.sum_up().await,
            // `recv` loses nothing when it is dropped: an order is in the channel, or it has won.
            line = async { asking.as_mut().expect("there is one").await }, if asking.is_some() => {
                asking = None;
                book.write(line).await;
            }
            order = orders.recv(), if asking.is_none() => match order {
                Some(id) => {
                    // Behind the arrow nobody else is polled, and so nobody can win against it.
                    book.received += 1;
                    let backend = backend.clone();
                    asking = Some(async move { look_up(&backend, id).await }.boxed());
                }
                None => break,
            },
        }
    }
}

/// Ticks after each period, the first time after one. One that is late moves those that follow: the default makes up for
/// each one that was missed, at once.
fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What the backend knows of an order.
async fn look_up(backend: &Backend, id: u32) -> String {
    match backend.fetch(id).await {
        Ok(reply) => format!("order {id}: {}", reply.body),
        Err(error) => format!("order {id}: {error}"),
    }
}

/// Where lines are written.
struct Book {
    lines: Sender<String>,
    received: usize,
}

impl Book {
    /// Writes what became of an order.
    async fn write(&mut self, line: String) {
        self.lines.send(line).await.ok();
    }

    /// Writes how many there were.
    async fn sum_up(&mut self) {
        let line = format!("so far: {}", self.received);
        self.lines.send(line).await.ok();
    }
}
