//! The loop that answers in a small shop. It runs, and it loses orders. Task and rules: `cargo run`, or README.md.

use common::Backend;
use std::time::Duration;
use tokio::{
    sync::mpsc::{Receiver, Sender},
    time::{Instant, Interval, interval_at},
};
use tokio_util::sync::CancellationToken;

/// How often the shop says how much it has done.
const PERIOD: Duration = Duration::from_millis(100);

/// Writes a line about each order, and one about all of them every 100 ms, until it is stopped or nobody orders any more.
pub async fn run(backend: Backend, orders: Receiver<u32>, lines: Sender<String>, stop: CancellationToken) {
    let mut desk = Desk { backend, orders };
    let mut book = Book { lines, written: 0 };
    let mut ticks = every(PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => book.sum_up().await,
            line = desk.receive_and_look_up() => match line {
                Some(line) => book.write(line).await,
                None => break,
            },
        }
    }
}

/// Ticks after each period, the first time after one.
fn every(period: Duration) -> Interval {
    interval_at(Instant::now() + period, period)
}

/// Where orders come in.
struct Desk {
    backend: Backend,
    orders: Receiver<u32>,
}

impl Desk {
    /// The next order, with what the backend knows of it; nothing when there are no more.
    async fn receive_and_look_up(&mut self) -> Option<String> {
        let id = self.orders.recv().await?;
        let line = match self.backend.fetch(id).await {
            Ok(reply) => format!("order {id}: {}", reply.body),
            Err(error) => format!("order {id}: {error}"),
        };
        Some(line)
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
