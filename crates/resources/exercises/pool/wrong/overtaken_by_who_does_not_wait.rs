//! Breaks `fifo`: who is woken has to look again, and somebody who has not waited may have been quicker.

use common::server::{Server, ServerError, Session};
use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

pub struct Pool {
    server: Server,
    shared: Arc<Shared>,
    asked: AtomicUsize,
}

struct Shared {
    size: usize,
    state: Mutex<State>,
    back: Notify,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// How many exist, opening ones included.
    count: usize,
}

pub struct Lease {
    session: Option<Session>,
    shared: Arc<Shared>,
}

/// A place for a session that is being opened: free again, unless the session is there.
struct Place(Option<Arc<Shared>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.free();
        }
    }
}

impl Pool {
    pub fn new(server: Server, size: NonZeroUsize) -> Self {
        let shared = Shared { size: size.get(), state: Mutex::default(), back: Notify::new() };
        Self { server, shared: Arc::new(shared), asked: AtomicUsize::new(0) }
    }

    pub async fn get(&self) -> Result<Lease, ServerError> {
        loop {
            let mut place = Place(None);
            {
                let mut state = self.shared.state.lock().unwrap();
                if let Some(session) = state.idle.pop() {
                    return Ok(Lease { session: Some(session), shared: self.shared.clone() });
                }
                if state.count < self.shared.size {
                    state.count += 1;
                    place = Place(Some(self.shared.clone()));
                }
            }
            if place.0.is_some() {
                let session = self.open().await?;
                place.0 = None;
                return Ok(Lease { session: Some(session), shared: self.shared.clone() });
            }
            self.shared.back.notified().await;
        }
    }

    async fn open(&self) -> Result<Session, ServerError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.server.open(&number.to_string()).await
    }
}

impl Shared {
    fn free(&self) {
        self.state.lock().unwrap().count -= 1;
        self.back.notify_one();
    }

    fn give_back(&self, session: Session) {
        self.state.lock().unwrap().idle.push(session);
        self.back.notify_one();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if std::thread::panicking() {
            drop(session);
            self.shared.free();
        } else {
            self.shared.give_back(session);
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
