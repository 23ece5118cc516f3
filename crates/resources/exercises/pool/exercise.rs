//! A pool of sessions. Task and rules: `cargo run`, or README.md.

use common::server::{Server, ServerError, Session};
use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicUsize, Ordering},
};

/// At most `size` sessions, lent one by one.
pub struct Pool {
    server: Server,
    size: NonZeroUsize,
    /// How many sessions were asked for so far: each has a name of its own.
    asked: AtomicUsize,
}

/// A session that is borrowed. Dropped, it goes back to its pool.
pub struct Lease {
    session: Session,
}

impl Pool {
    pub fn new(server: Server, size: NonZeroUsize) -> Self {
        Self { server, size, asked: AtomicUsize::new(0) }
    }

    /// Borrows a session.
    pub async fn get(&self) -> Result<Lease, ServerError> {
        todo!("lend one of {} sessions, or open one", self.size)
    }

    /// Opens the next session: "1", "2", "3" ...
    async fn open(&self) -> Result<Session, ServerError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.server.open(&number.to_string()).await
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}
