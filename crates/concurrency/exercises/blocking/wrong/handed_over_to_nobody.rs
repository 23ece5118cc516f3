//! Breaks `never-starts`: a caller that goes between the `send` of a place to it and its next poll takes the place with it.

use concurrency::{BlockingError, Panic};
use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};
use tokio::sync::oneshot;
struct State {
    free: usize,
    queue: VecDeque<oneshot::Sender<()>>,
}
pub struct Offload {
    limit: usize,
    may_wait: usize,
    state: Arc<Mutex<State>>,
}
struct Place(Arc<Mutex<State>>);
impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap();
        while let Some(next) = state.queue.pop_front() {
            if next.send(()).is_ok() {
                return;
            }
        }
        state.free += 1;
    }
}
impl Offload {
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        Self {
            limit: limit.get(),
            may_wait,
            state: Arc::new(Mutex::new(State { free: limit.get(), queue: VecDeque::new() })),
        }
    }
    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let turn = {
            let mut state = self.state.lock().unwrap();
            state.queue.retain(|waiting| !waiting.is_closed());
            if state.free > 0 {
                state.free -= 1;
                None
            } else if state.queue.len() < self.may_wait {
                let (tx, rx) = oneshot::channel();
                state.queue.push_back(tx);
                Some(rx)
            } else {
                return Err(BlockingError::Busy { running: self.limit, waiting: self.may_wait });
            }
        };
        if let Some(turn) = turn {
            turn.await.ok();
        }
        let place = Place(self.state.clone());
        tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        })
        .await
        .map_err(|e| BlockingError::Panicked(Panic::new(e.into_panic())))
    }
}
