//! The ways to do something for each of many items, at most [`LIMIT`] at once unless they can't.

use crate::LIMIT;
use concurrency::{bounded, gather};
use futures_concurrency::{prelude::ConcurrentStream as _, stream::StreamExt as _};
use futures_util::{
    StreamExt as _,
    future::join_all,
    stream::{self, FuturesUnordered},
};
use std::{
    hint::black_box,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::{JoinSet, yield_now},
};

const BOUND: NonZeroUsize = NonZeroUsize::new(LIMIT).expect("not zero");

/// The most tasks that were alive whenever one of a few thousand calls looked.
pub(crate) static TASKS: AtomicUsize = AtomicUsize::new(0);

/// One of them.
pub(crate) struct Way {
    /// What to call it on the command line and in the table.
    pub(crate) name: &'static str,
    /// What its work can do and it gives.
    pub(crate) kind: Kind,
}

/// What one gets for the price: only ways of one kind are alternatives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A task for each item, on all threads, never more of them than the limit; a list of results in input order.
    TasksInOrder,
    /// The same, but the results come one by one.
    TasksStreamed,
    /// A task for each item, all at once.
    TasksUnbounded,
    /// Futures that one task polls in turn: no second thread, and they stand still while the reader works.
    FuturesInTurn,
}

/// All of them, this crate's first within each kind.
pub(crate) const WAYS: [Way; 11] = [
    Way { name: "gather", kind: Kind::TasksInOrder },
    Way { name: "JoinSet, refilled by hand", kind: Kind::TasksInOrder },
    Way { name: "bounded::in_input_order", kind: Kind::TasksStreamed },
    Way { name: "bounded::as_completed", kind: Kind::TasksStreamed },
    Way { name: "buffered, over JoinHandles", kind: Kind::TasksStreamed },
    Way { name: "JoinSet and Semaphore", kind: Kind::TasksUnbounded },
    Way { name: "FuturesUnordered, refilled by hand", kind: Kind::FuturesInTurn },
    Way { name: "buffered", kind: Kind::FuturesInTurn },
    Way { name: "buffer_unordered", kind: Kind::FuturesInTurn },
    Way { name: "futures-concurrency, limited", kind: Kind::FuturesInTurn },
    Way { name: "join_all", kind: Kind::FuturesInTurn },
];

/// The most calls that were in flight at once, while somebody [`counts`](COUNTING).
pub(crate) static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

/// Whether calls are counted: only in the warm-up, for it costs time.
pub(crate) static COUNTING: AtomicBool = AtomicBool::new(false);

static NOW: AtomicUsize = AtomicUsize::new(0);

/// Waits once, as the smallest real call does.
async fn call(n: u64) -> Result<u64, ()> {
    let counting = COUNTING.load(Relaxed);
    if counting {
        IN_FLIGHT.fetch_max(NOW.fetch_add(1, Relaxed) + 1, Relaxed);
    }
    yield_now().await;
    if counting {
        NOW.fetch_sub(1, Relaxed);
    }
    if n % 512 == 500 {
        TASKS.fetch_max(Handle::current().metrics().num_alive_tasks(), Relaxed);
    }
    Ok(black_box(n))
}

/// Does `items` calls the way of that name, and says how many succeeded.
pub(crate) async fn run(way: &str, items: u64) -> Option<usize> {
    Some(match way {
        "gather" => {
            let settled = gather(0..items, BOUND, call).await;
            settled.iter().filter(|settled| settled.is_ok()).count()
        }
        "JoinSet, refilled by hand" => join_set(items).await.iter().flatten().count(),
        "bounded::in_input_order" => {
            bounded::in_input_order(stream::iter(0..items), BOUND, call).count().await
        }
        "bounded::as_completed" => bounded::as_completed(stream::iter(0..items), BOUND, call).count().await,
        "buffered, over JoinHandles" => spawned(items).await,
        "JoinSet and Semaphore" => all_at_once(items).await.iter().flatten().count(),
        "FuturesUnordered, refilled by hand" => futures_unordered(items).await.iter().flatten().count(),
        "buffered" => stream::iter(0..items).map(call).buffered(LIMIT).count().await,
        "buffer_unordered" => stream::iter(0..items).map(call).buffer_unordered(LIMIT).count().await,
        "futures-concurrency, limited" => limited(items).await.len(),
        "join_all" => without_limit(items).await,
        _ => return None,
    })
}

/// A place in the list for each task; no word of panics or of who owns the tasks.
async fn join_set(items: u64) -> Vec<Option<u64>> {
    let mut replies = vec![None; items as usize];
    let mut waiting = 0..items;
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < LIMIT
            && let Some(n) = waiting.next()
        {
            tasks.spawn(async move { (n, call(n).await) });
        }
        match tasks.join_next().await {
            Some(Ok((n, reply))) => replies[n as usize] = reply.ok(),
            Some(Err(_)) => {}
            None => return replies,
        }
    }
}

/// Tasks that run on when the stream is dropped.
#[expect(clippy::disallowed_methods, reason = "this is what one would write; each handle is awaited")]
async fn spawned(items: u64) -> usize {
    stream::iter(0..items).map(|n| tokio::spawn(call(n))).buffered(LIMIT).count().await
}

/// The limit is on the calls: the tasks are all there from the start.
async fn all_at_once(items: u64) -> Vec<Option<u64>> {
    let permits = Arc::new(Semaphore::new(LIMIT));
    let mut replies = vec![None; items as usize];
    let mut tasks = JoinSet::new();
    for n in 0..items {
        let permits = permits.clone();
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            (n, call(n).await)
        });
    }
    while let Some(joined) = tasks.join_next().await {
        if let Ok((n, reply)) = joined {
            replies[n as usize] = reply.ok();
        }
    }
    replies
}

async fn futures_unordered(items: u64) -> Vec<Option<u64>> {
    let mut replies = vec![None; items as usize];
    let mut waiting = 0..items;
    let mut calls = FuturesUnordered::new();
    loop {
        while calls.len() < LIMIT
            && let Some(n) = waiting.next()
        {
            calls.push(async move { (n, call(n).await) });
        }
        match calls.next().await {
            Some((n, reply)) => replies[n as usize] = reply.ok(),
            None => return replies,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what it costs is the question")]
async fn without_limit(items: u64) -> usize {
    join_all((0..items).map(call)).await.len()
}

async fn limited(items: u64) -> Vec<Result<u64, ()>> {
    stream::iter(0..items).co().limit(Some(BOUND)).map(call).collect().await
}
