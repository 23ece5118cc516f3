//! A pool of sessions.

use common::server::{Server, ServerError, Session};
use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// At most `size` sessions, lent one by one.
pub struct Pool {
    server: Server,
    /// The right to have a session. Tokio's semaphore is fair, and a waiter that leaves takes no permit along.
    places: Arc<Semaphore>,
    /// What has come back. A std lock, as it is held for a push or a pop and never over an await; so `Drop` can take it.
    idle: Arc<Mutex<Vec<Session>>>,
    asked: AtomicUsize,
}

/// A session that is borrowed. Dropped, it goes back to its pool.
pub struct Lease {
    /// In an `Option`, because a destructor has to take it out. Empty only then.
    session: Option<Session>,
    idle: Arc<Mutex<Vec<Session>>>,
    /// Dropped after `Drop::drop`, with the other fields: whoever gets the place finds the session.
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub fn new(server: Server, size: NonZeroUsize) -> Self {
        let places = Arc::new(Semaphore::new(size.get()));
        Self { server, places, idle: Arc::default(), asked: AtomicUsize::new(0) }
    }

    /// Borrows a session.
    pub async fn get(&self) -> Result<Lease, ServerError> {
        // An owned permit, for it is to go where the lease goes. From here on it is given back by whatever path we leave:
        // by the `?` below, by a panic, and when this future is dropped.
        let place = self.places.clone().acquire_owned().await.expect("nobody closes the semaphore");
        // In a statement of its own: a guard in the scrutinee of a `match` would live over the await.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match idle {
            Some(session) => session,
            None => self.open().await?,
        };
        Ok(Lease { session: Some(session), idle: self.idle.clone(), _place: place })
    }

    /// Opens the next session: "1", "2", "3" ...
    async fn open(&self) -> Result<Session, ServerError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.server.open(&number.to_string()).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if thread::panicking() {
            // Perhaps half a question has been asked: nobody should read the other half's answer.
            drop(session);
        } else {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
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
