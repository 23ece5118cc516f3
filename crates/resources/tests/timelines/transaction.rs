//! A client that leaves while BEGIN is being answered, and the next one who borrows the pool's only connection: with a task
//! that owns the connection, and without.

use common::{Recorder, Trace, clock::paused};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    join,
    sync::{Mutex, OwnedMutexGuard},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A connection to a server that has an answer for each statement after 20 ms.
struct Connection {
    recorder: Recorder,
    in_transaction: Arc<AtomicBool>,
}

impl Connection {
    fn new(recorder: &Recorder) -> Self {
        Self { recorder: recorder.clone(), in_transaction: Arc::default() }
    }

    /// What is sent is done, whether or not somebody waits for the answer.
    async fn ask(&mut self, sql: &'static str) {
        let open = self.in_transaction.clone();
        let work = async {
            match sql {
                "BEGIN" => open.store(true, SeqCst),
                "COMMIT" | "ROLLBACK" => open.store(false, SeqCst),
                _ => {}
            }
            sleep(ms(20)).await;
        };
        self.recorder.lane(sql, work).await;
    }
}

/// A pool of one.
type Pool = Arc<Mutex<Connection>>;

// ANCHOR: right
/// A connection with an open transaction.
struct Open(Option<OwnedMutexGuard<Connection>>, TaskTracker);

async fn begin(pool: Pool, tasks: TaskTracker) -> Option<Open> {
    let mut connection = pool.lock_owned().await;
    let owner = tasks.clone();
    // A drop of the caller ends the waiting, and not the task: what it gives is dropped when it is there.
    let task = tasks.spawn(async move {
        connection.ask("BEGIN").await;
        Open(Some(connection), owner)
    });
    task.await.ok()
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take() {
            // First the answer to ROLLBACK, then the next borrower.
            self.1.spawn(async move { connection.ask("ROLLBACK").await });
        }
    }
}
// ANCHOR_END: right

async fn right() -> Trace {
    let recorder = Recorder::new("right: a task owns the connection until it is rolled back");
    let pool: Pool = Arc::new(Mutex::new(Connection::new(&recorder)));
    let tasks = TaskTracker::new();
    let handler = async {
        let mut open = begin(pool.clone(), tasks.clone()).await;
        if let Some(connection) = open.as_mut().and_then(|open| open.0.as_mut()) {
            connection.ask("UPDATE").await;
        }
    };
    scene(&recorder, &pool, handler).await
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: BEGIN belongs to the caller");
    let pool: Pool = Arc::new(Mutex::new(Connection::new(&recorder)));
    let theirs = pool.clone();
    // ANCHOR: wrong
    let handler = async {
        let mut connection = theirs.lock_owned().await;
        // Dropped here, it has been sent: the server is in a transaction of which nobody knows.
        connection.ask("BEGIN").await;
        connection.ask("UPDATE").await;
        connection.ask("COMMIT").await;
    };
    // ANCHOR_END: wrong
    scene(&recorder, &pool, handler).await
}

async fn scene(recorder: &Recorder, pool: &Pool, handler: impl Future<Output = ()>) -> Trace {
    let next = async {
        sleep(ms(10)).await;
        let mut connection = pool.lock().await;
        connection.ask("INSERT").await;
        let unseen = connection.in_transaction.load(SeqCst);
        drop(connection);
        // In a session of its own.
        let select = async {
            sleep(ms(20)).await;
            if unseen { Err("no such row") } else { Ok(()) }
        };
        recorder.try_lane("SELECT elsewhere", select).await.ok();
    };
    let handler = timeout(ms(10), recorder.lane("handler", handler));
    let (left, ()) = join!(handler, next);
    assert!(left.is_err());
    recorder.trace()
}
