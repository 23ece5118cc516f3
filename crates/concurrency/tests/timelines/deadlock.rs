//! A sale that waits for a journal, and a line that says so: both polled, and the sale left alone.

use common::{Recorder, Trace, clock::paused};
use std::{pin::pin, time::Duration};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const PATIENCE: Duration = ms(20);

/// Keeps the journal for 40 ms.
async fn back_up(journal: &Mutex<Vec<&str>>) {
    let _journal = journal.lock().await;
    sleep(ms(40)).await;
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: both are polled");
    let journal = Mutex::new(Vec::new());
    let write = async |line, takes| {
        let mut journal = journal.lock().await;
        sleep(takes).await;
        journal.push(line);
    };
    let order = async {
        // ANCHOR: right
        let mut sale = pin!(recorder.lane("sale", write("sold", ms(20))));
        if timeout(PATIENCE, &mut sale).await.is_err() {
            tokio::join!(sale, recorder.lane("line", write("slow", ms(10))));
        }
        // ANCHOR_END: right
    };
    tokio::join!(recorder.lane("back-up", back_up(&journal)), order);
    assert_eq!(journal.into_inner(), ["sold", "slow"]);
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: an await in the arm (given up after 100 ms)");
    let journal = Mutex::new(Vec::new());
    let write = async |line, takes| {
        let mut journal = journal.lock().await;
        sleep(takes).await;
        journal.push(line);
    };
    let order = async {
        // ANCHOR: wrong
        let mut sale = pin!(recorder.lane("sale", write("sold", ms(20))));
        tokio::select! {
            biased;
            () = &mut sale => return,
            // The lock is given to the sale, which came first, and which nobody polls here.
            () = sleep(PATIENCE) => recorder.lane("line", write("slow", ms(10))).await,
        }
        sale.await;
        // ANCHOR_END: wrong
    };
    let both = async { tokio::join!(recorder.lane("back-up", back_up(&journal)), order) };
    assert!(timeout(ms(100), both).await.is_err());
    assert!(journal.into_inner().is_empty());
    recorder.trace()
}
