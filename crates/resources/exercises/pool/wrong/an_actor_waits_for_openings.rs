//! Breaks `concurrent`: an actor that awaits what it opens hears of nothing that comes back meanwhile.

use common::server::{Call, Server, ServerError, Session};
use futures::FutureExt;
use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    panic::AssertUnwindSafe,
};
use tokio::sync::{mpsc, oneshot};

type Answer = oneshot::Sender<Result<Lease, ServerError>>;

enum Msg {
    Ask(Answer),
    Back(Option<Session>),
}

pub struct Pool {
    to: mpsc::UnboundedSender<Msg>,
}

pub struct Lease {
    session: Option<Session>,
    to: mpsc::WeakUnboundedSender<Msg>,
}

impl Pool {
    pub fn new(server: Server, size: NonZeroUsize) -> Self {
        let (to, inbox) = mpsc::unbounded_channel();
        tokio::spawn(run(server, size.get(), to.downgrade(), inbox));
        Self { to }
    }
    pub async fn get(&self) -> Result<Lease, ServerError> {
        let (answer, told) = oneshot::channel();
        self.to.send(Msg::Ask(answer)).ok();
        told.await.unwrap_or(Err(ServerError { call: Call::Open, session: "pool".into() }))
    }
}

async fn run(
    server: Server,
    size: usize,
    to: mpsc::WeakUnboundedSender<Msg>,
    mut inbox: mpsc::UnboundedReceiver<Msg>,
) {
    let (mut free, mut asked) = (size, 0_usize);
    let mut idle: Vec<Session> = Vec::new();
    let mut queue: VecDeque<Answer> = VecDeque::new();
    let lend = |answer: Answer, session: Session| {
        drop(answer.send(Ok(Lease { session: Some(session), to: to.clone() })));
    };
    loop {
        // All that has arrived.
        let mut next = if free > 0 && !queue.is_empty() {
            inbox.try_recv().ok()
        } else {
            let Some(first) = inbox.recv().await else { return };
            Some(first)
        };
        while let Some(message) = next {
            match message {
                Msg::Ask(answer) => queue.push_back(answer),
                Msg::Back(session) => {
                    free += 1;
                    idle.extend(session);
                }
            }
            next = inbox.try_recv().ok();
        }
        queue.retain(|answer| !answer.is_closed());
        let mut opening = Vec::new();
        while free > 0 && !queue.is_empty() {
            let Some(answer) = queue.pop_front() else { break };
            free -= 1;
            if let Some(session) = idle.pop() {
                lend(answer, session);
            } else {
                asked += 1;
                let open = AssertUnwindSafe(server.open(&asked.to_string())).catch_unwind();
                opening.push(async move { (answer, open.await) }.boxed());
            }
        }
        // At the same time, and nothing else meanwhile: nobody hears of what comes back.
        for (answer, opened) in futures::future::join_all(opening).await {
            match opened {
                Ok(Ok(session)) => lend(answer, session),
                Ok(Err(error)) => {
                    free += 1;
                    answer.send(Err(error)).ok();
                }
                Err(_) => {
                    free += 1;
                    drop(answer);
                }
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let session = self.session.take();
        let back = if std::thread::panicking() {
            drop(session);
            None
        } else {
            session
        };
        if let Some(to) = self.to.upgrade() {
            to.send(Msg::Back(back)).ok();
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
