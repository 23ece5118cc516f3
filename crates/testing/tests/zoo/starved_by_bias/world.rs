//! A worker with a queue, in which there is one job that fails each time, and is put back.

use std::{
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

/// How many run at once.
pub const AT_ONCE: usize = 2;

/// The queue, and the switch.
#[derive(Debug)]
pub struct World {
    queue: mpsc::Sender<usize>,
    jobs: Mutex<Option<mpsc::Receiver<usize>>>,
    switch: watch::Sender<bool>,
    attempts: AtomicUsize,
    born: std::time::Instant,
}

impl World {
    /// What the operator does: after a quarter of an hour, has the worker shut down.
    pub async fn operate(&self) {
        sleep(Duration::from_secs(900)).await;
        self.switch.send_replace(true);
    }

    /// Ends when the operator wants the worker to end.
    pub async fn shutdown(&self) {
        // It can't err: the sender is here.
        self.switch.subscribe().wait_for(|off| *off).await.ok();
    }

    /// The jobs, for the one worker.
    pub fn jobs(&self) -> Option<mpsc::Receiver<usize>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// An export, which takes half an hour and fails; it goes back into the queue.
    pub async fn work(&self, job: usize) {
        sleep(Duration::from_secs(1800)).await;
        // A thread that was given up is not to burn the processor for ever.
        if self.born.elapsed() > Duration::from_secs(3) {
            pending::<()>().await;
        }
        self.attempts.fetch_add(1, Relaxed);
        // It errs if the worker is gone.
        self.queue.try_send(job).ok();
    }
}

/// A fresh one.
///
/// # Panics
/// Never: the queue has room for the job.
pub fn world() -> Arc<World> {
    let (queue, jobs) = mpsc::channel(8);
    queue.try_send(1).expect("there is room");
    Arc::new(World {
        queue,
        jobs: Mutex::new(Some(jobs)),
        switch: watch::Sender::new(false),
        attempts: AtomicUsize::new(0),
        born: std::time::Instant::now(),
    })
}

/// What an ordinary test asserts when the program has run: the job was tried, and the worker has ended.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let attempts = world.attempts.load(Relaxed);
    if attempts > 0 { Ok(()) } else { Err(String::from("the job was not tried")) }
}
