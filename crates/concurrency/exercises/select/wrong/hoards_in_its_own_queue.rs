//! Breaks `back-pressure`: whatever comes goes on into a queue without end, and is worked off long after the stop.

use common::Backend;
use std::time::Duration;
use tokio::{
    sync::mpsc::{Receiver, Sender, unbounded_channel},
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
    let (keep, mut kept) = unbounded_channel();
    let accept = async move {
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    orders.close();
                }
                order = orders.recv() => match order {
                    Some(id) => {
                        keep.send(id).ok();
                    }
                    None => break,
                },
            }
        }
    };
    let work = async move {
        let mut book = Book { lines, written: 0 };
        let mut ticks = every(PERIOD);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => book.sum_up().await,
                order = kept.recv() => match order {
                    Some(id) => {
                        let line = look_up(&backend, id).await;
                        book.write(line).await;
                    }
                    None => break,
                },
            }
        }
    };
    tokio::join!(accept, work);
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
    written: usize,
}

impl Book {
    /// Writes what became of an order.
    async fn write(&mut self, line: String) {
        self.lines.send(line).await.ok();
        self.written += 1;
    }

    /// Writes how many there were.
    async fn sum_up(&mut self) {
        let line = format!("so far: {}", self.written);
        self.lines.send(line).await.ok();
    }
}
