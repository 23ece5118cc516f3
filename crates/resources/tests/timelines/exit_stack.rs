//! A program that is cancelled while it closes what it has opened: on a stack, in a loop, and with a destructor that closes
//! everything at once.

use common::{Recorder, Trace, clock::paused};
use resources::{ExitStack, Reaper};
use std::{convert::Infallible, mem::take, time::Duration};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(in_a_loop()), paused(all_at_once())]
}

const NAMES: [&str; 3] = ["telemetry", "database", "cache"];

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Takes 20 ms. The lane begins with the closing.
fn close(
    recorder: &Recorder,
    name: &'static str,
) -> impl Future<Output = Result<(), Infallible>> + Send + use<> {
    let recorder = recorder.clone();
    async move {
        recorder.lane(format!("close {name}"), sleep(ms(20))).await;
        Ok(())
    }
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: a stack");
    let reaper = Reaper::new(ms(50));
    let close = |name| close(&recorder, name);
    // ANCHOR: right
    let program = async {
        let mut stack = ExitStack::new(&reaper);
        for name in NAMES {
            stack.push(name, close(name));
        }
        sleep(ms(10)).await;
        stack.close().await
    };
    // ANCHOR_END: right
    assert!(timeout(ms(20), recorder.lane("program", program)).await.is_err());
    let drained = recorder.lane("shutdown", reaper.drain(ms(5000))).await;
    assert!(drained.is_clean());
    recorder.trace()
}

async fn in_a_loop() -> Trace {
    let recorder = Recorder::new("wrong: a loop at the end");
    let close = |name| close(&recorder, name);
    // ANCHOR: wrong
    let program = async {
        sleep(ms(10)).await;
        for name in NAMES.into_iter().rev() {
            // Whoever is dropped here does not come back to the others.
            close(name).await.ok();
        }
    };
    // ANCHOR_END: wrong
    assert!(timeout(ms(20), recorder.lane("program", program)).await.is_err());
    recorder.lane("shutdown", async {}).await;
    recorder.trace()
}

/// Closes what it has in tasks, when it is dropped.
struct Open(TaskTracker, Recorder, Vec<&'static str>);

impl Drop for Open {
    fn drop(&mut self) {
        for name in take(&mut self.2).into_iter().rev() {
            self.0.spawn(close(&self.1, name));
        }
    }
}

async fn all_at_once() -> Trace {
    let recorder = Recorder::new("wrong: a task for each in the destructor");
    let tasks = TaskTracker::new();
    let program = async {
        let _open = Open(tasks.clone(), recorder.clone(), NAMES.to_vec());
        sleep(ms(500)).await;
    };
    assert!(timeout(ms(20), recorder.lane("program", program)).await.is_err());
    tasks.close();
    recorder.lane("shutdown", tasks.wait()).await;
    recorder.trace()
}
