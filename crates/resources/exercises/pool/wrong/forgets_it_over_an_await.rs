//! Breaks `left`: the permit is forgotten, and then there is an await before the lease: who leaves there takes a place along.

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
use tokio::sync::Semaphore;
pub struct Pool {
    server: Server,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Session>>>,
    asked: AtomicUsize,
}
pub struct Lease {
    session: Option<Session>,
    idle: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
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
            Some(session) => {
                place.forget();
                tokio::task::yield_now().await;
                session
            }
            None => {
                let session = self.open().await?;
                place.forget();
                session
            }
        };
        Ok(Lease { session: Some(session), idle: self.idle.clone(), places: self.places.clone() })
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
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        self.places.add_permits(1);
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
