//! Breaks `reuse`: what comes back is dropped, and another session is opened for everybody.

use common::server::{Server, ServerError, Session};
use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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
    idle: Arc<Mutex<Vec<Session>>>,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub fn new(server: Server, size: NonZeroUsize) -> Self {
        let places = Arc::new(Semaphore::new(size.get()));
        Self { server, places, idle: Arc::default(), asked: AtomicUsize::new(0) }
    }

    pub async fn get(&self) -> Result<Lease, ServerError> {
        let place = self.places.clone().acquire_owned().await.unwrap();
        let session = self.open().await?;
        Ok(Lease { session: Some(session), idle: self.idle.clone(), _place: place })
    }

    async fn open(&self) -> Result<Session, ServerError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.server.open(&number.to_string()).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if !std::thread::panicking() {
            self.idle.lock().unwrap().push(session);
        }
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().unwrap()
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().unwrap()
    }
}
