//! A worker with a queue of jobs that were accepted, which is shut down after 25 ms.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// The queue, and what was done.
#[derive(Debug)]
pub struct World {
    // Kept: there may be more to come until the receiver closes the queue.
    queue: mpsc::Sender<usize>,
    jobs: Mutex<Option<mpsc::Receiver<usize>>>,
    done: Mutex<Vec<usize>>,
    shuts_down: Instant,
}

impl World {
    /// The accepted jobs, for the one worker.
    pub fn jobs(&self) -> Option<mpsc::Receiver<usize>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends when the operator wants the worker to end.
    pub async fn shutdown(&self) {
        sleep_until(self.shuts_down).await;
    }

    /// Takes 10 ms.
    pub async fn work(&self, job: usize) {
        sleep(Duration::from_millis(10)).await;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }
}

/// A fresh one, with five jobs.
///
/// # Panics
/// Never: the queue has room for all.
pub fn world() -> Arc<World> {
    let (queue, jobs) = mpsc::channel(8);
    for job in 0..5 {
        queue.try_send(job).expect("there is room for all");
    }
    let shuts_down = Instant::now() + Duration::from_millis(25);
    Arc::new(World { queue, jobs: Mutex::new(Some(jobs)), done: Mutex::default(), shuts_down })
}

/// What an ordinary test asserts when the program has run: it worked, in order, and takes no more jobs.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let done = world.done.lock().map_err(|error| error.to_string())?;
    let closed = world.queue.is_closed();
    if !done.is_empty() && done.is_sorted() && closed {
        Ok(())
    } else {
        Err(format!("{done:?}, closed: {closed}"))
    }
}

/// What a proof asserts: every job that was accepted was done.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let done = world.done.lock().map_err(|error| error.to_string())?;
    if *done == [0, 1, 2, 3, 4] { Ok(()) } else { Err(format!("of five jobs, done {done:?}")) }
}
