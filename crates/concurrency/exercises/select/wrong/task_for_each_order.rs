//! Breaks `one-at-a-time`: a task for each order: none is lost, and all are asked for at once, without a bound and in any order.

use common::Backend;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{
        Mutex,
        mpsc::{Receiver, Sender},
    },
    task::JoinSet,
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
    let book = Arc::new(Mutex::new(Book { lines, written: 0 }));
    let mut ticks = every(PERIOD);
    let mut stopping = false;
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                orders.close();
            }
            _ = ticks.tick() => book.lock().await.sum_up().await,
            order = orders.recv() => match order {
                Some(id) => {
                    let (backend, book) = (backend.clone(), book.clone());
                    tasks.spawn(async move {
                        let line = look_up(&backend, id).await;
                        book.lock().await.write(line).await;
                    });
                }
                None => break,
            },
        }
    }
    tasks.join_all().await;
}

/// Ticks after each period, the first time after one; a late tick moves those that follow.
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
