//! Which thread each worker of a runtime sits on, as its hooks tell.

use crate::activity;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};
use tokio::runtime::worker_index;

/// What a watchdog knows of a thread.
#[derive(Debug)]
pub(super) struct Thread {
    /// Where the system keeps its figures.
    pub(super) folder: Option<PathBuf>,
    /// The number of the innermost label that it is polling, zero for none. Written by the thread itself only.
    pub(super) label: AtomicU32,
}

thread_local! {
    /// Held by the thread alone: once it has ended, nobody can take it for stuck.
    static HERE: Arc<Thread> =
        Arc::new(Thread { folder: activity::this_thread(), label: AtomicU32::new(0) });
}

impl Thread {
    /// Marks this thread with a label, and gives the one that it had.
    pub(super) fn mark(number: u32) -> u32 {
        // A thread that is ending has no marks any more.
        HERE.try_with(|here| {
            let outer = here.label.load(Relaxed);
            here.label.store(number, Relaxed);
            outer
        })
        .unwrap_or(0)
    }

    pub(super) fn number(&self) -> Option<u32> {
        self.folder.as_ref()?.file_name()?.to_str()?.parse().ok()
    }
}

/// Who sits where.
#[derive(Debug, Default)]
pub(super) struct Seats {
    workers: RwLock<Vec<Weak<Thread>>>,
    /// Every thread of the runtime, those of `spawn_blocking` too.
    threads: Mutex<Vec<Weak<Thread>>>,
    /// Whether anybody was given the hook that tells.
    pub(super) hooked: AtomicBool,
    /// The root that drives a current-thread runtime, zero for none.
    driver: AtomicU64,
}

impl Seats {
    /// Notes where this thread sits; a runtime's hooks call it when a thread starts, parks and unparks.
    pub(super) fn note(&self) {
        // A thread that is ending sits nowhere any more.
        let _ = HERE.try_with(|here| match worker_index() {
            Some(worker) => self.seat(worker, here),
            None => self.join(here),
        });
    }

    fn seat(&self, worker: usize, here: &Arc<Thread>) {
        let seated = |workers: &Vec<Weak<Thread>>| {
            workers.get(worker).is_some_and(|thread| thread.as_ptr() == Arc::as_ptr(here))
        };
        if seated(&self.workers.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        self.join(here);
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        if workers.len() <= worker {
            workers.resize_with(worker + 1, Weak::new);
        }
        workers[worker] = Arc::downgrade(here);
    }

    fn join(&self, here: &Arc<Thread>) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| thread.strong_count() > 0);
        if !threads.iter().any(|thread| thread.as_ptr() == Arc::as_ptr(here)) {
            threads.push(Arc::downgrade(here));
        }
    }

    /// The thread that a worker was last seen on, if it is still there.
    pub(super) fn seated(&self, worker: usize) -> Option<Arc<Thread>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).get(worker)?.upgrade()
    }

    /// The threads of the runtime on which no worker was seen last.
    pub(super) fn loose(&self) -> Vec<Arc<Thread>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner).clone();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let loose = threads.iter().filter(|thread| !workers.iter().any(|seat| seat.ptr_eq(thread)));
        loose.filter_map(Weak::upgrade).collect()
    }

    /// How many workers have been seen.
    pub(super) fn taken(&self) -> usize {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter(|thread| thread.strong_count() > 0).count()
    }

    pub(super) fn driver(&self) -> u64 {
        self.driver.load(Acquire)
    }

    /// A root is being polled on this thread. It drives the runtime if its thread has the worker; another thread that
    /// is in `block_on` at the same time has not.
    pub(super) fn drive(&self, root: u64) {
        if worker_index() == Some(0) {
            self.note();
            self.driver.store(root, Release);
        }
    }

    /// A root has ended: unless another one drives, nobody does.
    pub(super) fn leave(&self, root: u64) {
        let _ = self.driver.compare_exchange(root, 0, Release, Relaxed);
    }
}
