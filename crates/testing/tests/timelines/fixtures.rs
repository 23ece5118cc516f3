//! Two tests, each with a database: one panics, one is given up. With and without a clean-up that outlives them.

use common::{
    Recorder, Trace,
    clock::paused,
    recorder::{note, waits_for},
};
use futures_util::FutureExt as _;
use std::{
    future::pending,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use tokio::{
    sync::{
        mpsc::{self, Sender},
        oneshot,
    },
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A database on a server; a lane of its own, for as long as it is there.
struct Database(Option<oneshot::Sender<()>>);

impl Database {
    fn create(recorder: &Recorder, server: &mut JoinSet<()>, name: &str) -> Self {
        let (gone, is_gone) = oneshot::channel();
        server.spawn(recorder.lane(name, async move {
            if is_gone.await.is_err() {
                pending::<()>().await;
            }
        }));
        Self(Some(gone))
    }

    async fn remove(&mut self) {
        sleep(ms(10)).await;
        self.0.take().map(|gone| gone.send(()));
    }
}

async fn fails() {
    sleep(ms(20)).await;
    // Like `panic!`, without the message on the terminal.
    resume_unwind(Box::new("3 orders, not 4"));
}

// ANCHOR: right
/// Holds a database that has to go. Dropped with it, it can't await: it leaves the database to the reaper.
struct Guard {
    database: Option<Database>,
    reaper: Sender<Database>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            self.reaper.try_send(database).ok();
        }
    }
}

async fn with_database(mut guard: Guard, test: impl Future<Output = ()>) {
    let outcome = AssertUnwindSafe(test).catch_unwind().await;
    if let Some(database) = &mut guard.database {
        database.remove().await;
    }
    guard.database = None; // after the await, which may be the last
    outcome.unwrap_or_else(|payload| resume_unwind(payload));
}
// ANCHOR_END: right

async fn right() -> Trace {
    let recorder = Recorder::new("right: a panic is caught and goes on, a drop is heard by the reaper");
    let (reaper, mut left) = mpsc::channel::<Database>(8);
    let (mut server, mut tests) = (JoinSet::new(), JoinSet::new());
    let mut guard = |name| Guard {
        database: Some(Database::create(&recorder, &mut server, name)),
        reaper: reaper.clone(),
    };
    let (orders, users) = (guard("database 1"), guard("database 2"));
    drop(reaper);
    tests.spawn(recorder.lane("test 1", with_database(orders, fails())));
    let hangs = recorder.lane("test 2", with_database(users, pending()));
    tests.spawn(async { assert!(timeout(ms(40), hangs).await.is_err()) });
    tests.spawn(recorder.lane("reaper", async move {
        while let Some(mut database) = waits_for("work", left.recv()).await {
            note("removes what a test has left");
            database.remove().await;
        }
    }));
    while tests.join_next().await.is_some() {}
    while server.join_next().await.is_some() {}
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: the clean-up is the last line of the test");
    let (mut server, mut tests) = (JoinSet::new(), JoinSet::new());
    let mut orders = Database::create(&recorder, &mut server, "database 1");
    let mut users = Database::create(&recorder, &mut server, "database 2");
    // ANCHOR: wrong
    let first = async move {
        fails().await;
        orders.remove().await;
    };
    let second = async move {
        pending::<()>().await;
        users.remove().await;
    };
    // ANCHOR_END: wrong
    tests.spawn(recorder.lane("test 1", first));
    let hangs = recorder.lane("test 2", second);
    tests.spawn(async { assert!(timeout(ms(40), hangs).await.is_err()) });
    while tests.join_next().await.is_some() {}
    yield_now().await;
    assert_eq!(server.len(), 2);
    recorder.trace()
}
