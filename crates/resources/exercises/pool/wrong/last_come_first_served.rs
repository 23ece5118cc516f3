//! Breaks `fifo`: the waiters are a stack: whoever comes later is served before.

use common::server::{Server, ServerError, Session};
use std::collections::VecDeque;
use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::oneshot;

pub struct Pool {
    server: Server,
    shared: Arc<Shared>,
    asked: AtomicUsize,
}

struct Shared {
    size: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// How many exist, opening ones included.
    count: usize,
    /// Each is sent a session, or nothing: the right to open one.
    waiting: VecDeque<oneshot::Sender<Option<Session>>>,
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
        let shared = Shared { size: size.get(), state: Mutex::default() };
        Self { server, shared: Arc::new(shared), asked: AtomicUsize::new(0) }
    }

    pub async fn get(&self) -> Result<Lease, ServerError> {
        let waiting = {
            let mut state = self.shared.state.lock().unwrap();
            if let Some(session) = state.idle.pop() {
                return Ok(Lease { session: Some(session), shared: self.shared.clone() });
            }
            if state.count < self.shared.size {
                state.count += 1;
                None
            } else {
                let (tell, told) = oneshot::channel();
                state.waiting.push_back(tell);
                Some(told)
            }
        };
        let handed = match waiting {
            Some(told) => told.await.unwrap(),
            None => None,
        };
        let session = match handed {
            Some(session) => session,
            None => {
                let mut place = Place(Some(self.shared.clone()));
                let session = self.open().await?;
                place.0 = None;
                session
            }
        };
        Ok(Lease { session: Some(session), shared: self.shared.clone() })
    }

    async fn open(&self) -> Result<Session, ServerError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.server.open(&number.to_string()).await
    }
}

impl Shared {
    /// A place without a session: whoever waits may open one.
    fn free(&self) {
        let mut state = self.state.lock().unwrap();
        while let Some(waiter) = state.waiting.pop_back() {
            if waiter.send(None).is_ok() {
                return;
            }
        }
        state.count -= 1;
    }

    fn give_back(&self, session: Session) {
        let mut state = self.state.lock().unwrap();
        let mut session = Some(session);
        while let Some(waiter) = state.waiting.pop_back() {
            match waiter.send(session.take()) {
                Ok(()) => return,
                Err(unsent) => session = unsent,
            }
        }
        state.idle.extend(session);
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
