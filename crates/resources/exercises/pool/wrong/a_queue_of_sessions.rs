//! Breaks `panicked`: what does not come back is missing from the count for ever: there are fewer sessions from then on.

use common::server::{Server, ServerError, Session};
use std::{
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{Mutex, mpsc};

pub struct Pool {
    server: Server,
    asked: AtomicUsize,
    /// A word for each session that may still be opened, and the sessions that came back.
    back: mpsc::Sender<Option<Session>>,
    next: Mutex<mpsc::Receiver<Option<Session>>>,
}

pub struct Lease {
    session: Option<Session>,
    back: mpsc::Sender<Option<Session>>,
}

/// The word for a session goes back, if the session could not be opened.
struct Word<'a>(Option<&'a mpsc::Sender<Option<Session>>>);

impl Drop for Word<'_> {
    fn drop(&mut self) {
        if let Some(back) = self.0 {
            back.try_send(None).unwrap();
        }
    }
}

impl Pool {
    pub fn new(server: Server, size: NonZeroUsize) -> Self {
        let (back, next) = mpsc::channel(size.get());
        for _ in 0..size.get() {
            back.try_send(None).unwrap();
        }
        Self { server, asked: AtomicUsize::new(0), back, next: Mutex::new(next) }
    }

    pub async fn get(&self) -> Result<Lease, ServerError> {
        let next = {
            let mut next = self.next.lock().await;
            let mut first = next.recv().await.unwrap();
            if first.is_none() {
                // A session is better than the word for one: words go to the end of the queue.
                for _ in 0..next.len() {
                    let other = next.try_recv().unwrap();
                    self.back.try_send(first).unwrap();
                    first = other;
                    if first.is_some() {
                        break;
                    }
                }
            }
            first
        };
        let session = match next {
            Some(session) => session,
            None => {
                let mut word = Word(Some(&self.back));
                let session = self.open().await?;
                word.0 = None;
                session
            }
        };
        Ok(Lease { session: Some(session), back: self.back.clone() })
    }

    async fn open(&self) -> Result<Session, ServerError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.server.open(&number.to_string()).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.back.try_send(self.session.take()).unwrap();
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
