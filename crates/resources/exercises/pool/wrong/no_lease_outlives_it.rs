//! Breaks `returned`: a lease that is dropped later than its pool panics, at a shutdown for instance.

use common::server::{Server, ServerError, Session};
use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
pub struct Pool {
    server: Server,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Session>>>,
    asked: AtomicUsize,
}
pub struct Lease {
    session: Option<Session>,
    idle: Weak<Mutex<Vec<Session>>>,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub fn new(server: Server, size: NonZeroUsize) -> Self {
        let places = Arc::new(Semaphore::new(size.get()));
        Self { server, places, idle: Arc::default(), asked: AtomicUsize::new(0) }
    }
    pub async fn get(&self) -> Result<Lease, ServerError> {
        let place = self.places.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle {
            Some(session) => session,
            None => self.open().await?,
        };
        Ok(Lease { session: Some(session), idle: Arc::downgrade(&self.idle), _place: place })
    }
    async fn open(&self) -> Result<Session, ServerError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.server.open(&number.to_string()).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if thread::panicking() {
            drop(session);
        } else {
            let idle = self.idle.upgrade().expect("the pool is alive");
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("it is there until the lease is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("it is there until the lease is dropped")
    }
}
