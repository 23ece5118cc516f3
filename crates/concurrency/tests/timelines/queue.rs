//! Two workers, and a queue that is closed while a producer waits: drained; with the receiver locked while working; and
//! with the queue dropped.

use common::{Backend, Recorder, Trace, clock::paused, recorder::waits_for};
use concurrency::queue::{OnFailure, Settings, queue};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::sleep,
};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(locked()), paused(dropped())]
}

fn backend(recorder: &Recorder) -> Backend {
    Backend::new(recorder).latency(Duration::from_millis(20))
}

/// When it is time to shut down.
async fn shutdown() {
    sleep(Duration::from_millis(10)).await;
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: two workers, room for two, closed after 10 ms");
    let backend = backend(&recorder);
    let work = backend.clone();
    // ANCHOR: right
    let two = NonZeroUsize::new(2).expect("two is not zero");
    let settings =
        Settings { capacity: two, workers: two, on_error: OnFailure::Skip, on_panic: OnFailure::Stop };
    let (queue, mut workers) = queue(settings, move |id| work.fetch(id));
    let produce = async {
        for id in 1.. {
            if let Err(refused) = waits_for("room", queue.push(id)).await {
                return refused.into_item();
            }
        }
        unreachable!("it goes on until the queue is closed")
    };
    let serve = async {
        let mut done = Vec::new();
        while let Some(ended) = workers.next().await {
            done.push(ended.item);
        }
        done
    };
    let close = async {
        shutdown().await;
        queue.close();
    };
    // ANCHOR_END: right
    let (back, done, ()) =
        tokio::join!(recorder.lane("producer", produce), recorder.lane("workers", serve), close);
    assert_eq!((done.as_slice(), back), ([1, 2, 3, 4].as_slice(), 5));
    recorder.trace()
}

async fn locked() -> Trace {
    let recorder = Recorder::new("wrong: two workers, and a receiver that is locked while they work");
    let backend = backend(&recorder);
    let (send, items) = mpsc::channel(4);
    for id in 1..=4 {
        send.send(id).await.expect("it is open");
    }
    drop(send);
    let items = Arc::new(Mutex::new(items));
    let mut workers = JoinSet::new();
    for n in 1..=2 {
        let (backend, items) = (backend.clone(), items.clone());
        workers.spawn(recorder.lane(format!("worker {n}"), async move {
            // ANCHOR: locked
            loop {
                let mut items = waits_for("the receiver", items.lock()).await;
                let Some(id) = items.recv().await else { return };
                // The guard lives to the end of this block: nobody else receives meanwhile.
                backend.fetch(id).await.ok();
            }
            // ANCHOR_END: locked
        }));
    }
    workers.join_all().await;
    assert_eq!(backend.peak(), 1);
    recorder.trace()
}

async fn dropped() -> Trace {
    let recorder = Recorder::new("wrong: a worker that returns at the shutdown, and drops the queue");
    let backend = backend(&recorder);
    let (queue, mut items) = mpsc::channel(2);
    let produce = async {
        let mut accepted = 0;
        while waits_for("room", queue.send(accepted + 1)).await.is_ok() {
            accepted += 1;
        }
        accepted
    };
    // ANCHOR: dropped
    let work = async {
        let mut stop = std::pin::pin!(shutdown());
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return drop(items), // and with it what it had accepted
                Some(id) = items.recv() => backend.fetch(id).await.ok(),
            };
        }
    };
    // ANCHOR_END: dropped
    let (accepted, ()) = tokio::join!(recorder.lane("producer", produce), recorder.lane("worker", work));
    assert_eq!((accepted, backend.calls().len()), (3, 1));
    recorder.trace()
}
