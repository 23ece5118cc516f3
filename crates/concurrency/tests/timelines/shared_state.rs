//! A transfer whose customer leaves at 10 ms, while somebody is asked about it, and an audit at 30 ms: in drafts, in a task
//! that owns the accounts, and under a lock that is held across the await.

use common::{Backend, Recorder, Trace, backend::FetchError, clock::paused};
use concurrency::shared_state::{Committed, own};
use futures_util::FutureExt as _;
use std::{num::NonZeroUsize, time::Duration};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(draft()), paused(owner()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The customer leaves after 10 ms.
async fn leaves<T>(recorder: &Recorder, transfer: impl Future<Output = T>) {
    let left = timeout(ms(10), recorder.lane("transfer 10", transfer)).await;
    assert!(left.is_err());
    sleep(ms(20)).await;
}

/// All money is somewhere.
async fn audit(recorder: &Recorder, accounts: [i64; 2]) {
    let audit = async {
        sleep(ms(5)).await;
        let sum: i64 = accounts.iter().sum();
        if sum == 100 { Ok(()) } else { Err(format!("{sum} of 100")) }
    };
    recorder.try_lane(format!("audit of {accounts:?}"), audit).await.ok();
}

async fn draft() -> Trace {
    let recorder = Recorder::new("right: a draft, nothing is moved");
    let clearing = Backend::new(&recorder).latency(ms(20));
    // ANCHOR: draft
    let accounts = Committed::new([50, 50]);
    let transfer = async {
        let mut draft = accounts.begin().await;
        draft[0] -= 10;
        clearing.fetch(1).await?; // 20 ms, and the customer leaves after 10
        draft[1] += 10;
        draft.commit();
        Ok::<_, FetchError>(())
    };
    // ANCHOR_END: draft
    leaves(&recorder, transfer).await;
    audit(&recorder, *accounts.snapshot()).await;
    assert_eq!(*accounts.snapshot(), [50, 50]);
    recorder.trace()
}

async fn owner() -> Trace {
    let recorder = Recorder::new("right: an owner, all of it is moved");
    let clearing = Backend::new(&recorder).latency(ms(20));
    // ANCHOR: owner
    let (accounts, owner) = own([50, 50], NonZeroUsize::MIN);
    let cleared = clearing.fetch(1);
    let transfer = accounts.call_async(|accounts| {
        let change = async move {
            accounts[0] -= 10;
            cleared.await?; // the owner's await: the customer can't cut it off
            accounts[1] += 10;
            Ok::<_, FetchError>(())
        };
        change.boxed()
    });
    // ANCHOR_END: owner
    leaves(&recorder, transfer).await;
    let accounts = owner.shutdown().await.expect("no call panics");
    audit(&recorder, accounts).await;
    assert_eq!(accounts, [40, 60]);
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: a lock held across the await");
    let clearing = Backend::new(&recorder).latency(ms(20));
    // ANCHOR: wrong
    let accounts = Mutex::new([50, 50]);
    let transfer = async {
        let mut accounts = accounts.lock().await;
        accounts[0] -= 10;
        clearing.fetch(1).await?; // dropped here: unlocked, and no word of it
        accounts[1] += 10;
        Ok::<_, FetchError>(())
    };
    // ANCHOR_END: wrong
    leaves(&recorder, transfer).await;
    let accounts = *accounts.lock().await;
    audit(&recorder, accounts).await;
    assert_eq!(accounts, [40, 50]);
    recorder.trace()
}
