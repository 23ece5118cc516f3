//! A database in memory behind a pool: statements that take their time, and connections of which there are few.

use crate::{Recorder, recorder};
use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

/// How long a statement takes.
pub const STATEMENT: Duration = Duration::from_millis(10);

/// A database that knows how many connections there ever were, who has one, and what was asked.
///
/// Clones are handles to the same database. Each statement is a lane of the recorder, and takes [`STATEMENT`]. The clock
/// may be paused: there is no I/O.
///
/// # Examples
/// ```
/// use common::{Recorder, clock, database::Database};
/// use std::time::Duration;
///
/// clock::paused(async {
///     let database = Database::new(&Recorder::new("a pool of one")).row("price of 7", 4500);
///     let pool = database.pool(1, Duration::from_secs(1));
///     let mut held = pool.acquire().await?;
///     assert_eq!(held.fetch("price of 7").await, 4500);
///     assert!(pool.fetch("price of 7").await.is_err(), "there is only one, and it is held");
///     drop(held);
///     assert_eq!(pool.fetch("price of 7").await?, 4500);
///     assert_eq!((database.opened(), database.out(), database.timed_out().len()), (1, 0, 1));
/// # Ok::<(), common::database::PoolTimedOut>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Database {
    shared: Arc<Mutex<State>>,
    recorder: Recorder,
}

#[derive(Default)]
struct State {
    rows: HashMap<String, u32>,
    out_of_reach: Range<Duration>,
    opened: usize,
    out: usize,
    asked: Vec<Duration>,
    timed_out: Vec<Duration>,
    log: Vec<Statement>,
}

/// A statement that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What was asked.
    pub text: String,
    /// When it was asked, counted from the recorder's start.
    pub asked: Duration,
    /// When it had ended.
    pub ended: Duration,
}

/// No connection has become free in time. As with a real pool, that is all there is to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolTimedOut;

impl fmt::Display for PoolTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pool timed out while waiting for an open connection")
    }
}

impl std::error::Error for PoolTimedOut {}

impl Database {
    /// An empty database: whatever is fetched is 0.
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        Self { shared: Arc::default(), recorder: recorder.clone() }
    }

    /// What this statement gives.
    #[must_use = "it is set in place; bind or chain what is returned"]
    pub fn row(self, statement: &str, value: u32) -> Self {
        self.lock().rows.insert(statement.to_owned(), value);
        self
    }

    /// Whoever asks a pool for a connection in this time, counted from the recorder's start, gets none.
    #[must_use = "it is set in place; bind or chain what is returned"]
    pub fn out_of_reach(self, during: Range<Duration>) -> Self {
        self.lock().out_of_reach = during;
        self
    }

    /// A pool that opens at most so many connections, and waits no longer for one.
    #[must_use]
    pub fn pool(&self, connections: usize, acquire_timeout: Duration) -> Pool {
        Pool {
            database: self.clone(),
            permits: Arc::new(Semaphore::new(connections)),
            idle: Arc::default(),
            acquire_timeout,
        }
    }

    /// How many connections were opened, by all pools together. They stay open.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.lock().opened
    }

    /// How many of them are held now.
    #[must_use]
    pub fn out(&self) -> usize {
        self.lock().out
    }

    /// When somebody asked a pool for one, counted from the recorder's start, whatever came of it.
    #[must_use]
    pub fn asked(&self) -> Vec<Duration> {
        self.lock().asked.clone()
    }

    /// When somebody who had waited for one got none, counted from the recorder's start.
    #[must_use]
    pub fn timed_out(&self) -> Vec<Duration> {
        self.lock().timed_out.clone()
    }

    /// The statements that have ended, in that order.
    #[must_use]
    pub fn log(&self) -> Vec<Statement> {
        self.lock().log.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("opened", &self.opened()).finish_non_exhaustive()
    }
}

/// A pool of connections, first come, first served. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    database: Database,
    permits: Arc<Semaphore>,
    /// How many are open and nobody's.
    idle: Arc<Mutex<usize>>,
    acquire_timeout: Duration,
}

impl Pool {
    /// A connection, as soon as one is free.
    ///
    /// # Errors
    /// [`PoolTimedOut`], if none was within the pool's timeout.
    ///
    /// # Cancel safety
    /// Cancel safe: whoever is dropped has left the queue.
    pub async fn acquire(&self) -> Result<Connection, PoolTimedOut> {
        let asked = self.database.recorder.now();
        let out_of_reach = {
            let mut state = self.database.lock();
            state.asked.push(asked);
            state.out_of_reach.contains(&asked)
        };
        let permit = async {
            if out_of_reach {
                std::future::pending::<()>().await;
            }
            self.permits.clone().acquire_owned().await
        };
        match timeout(self.acquire_timeout, permit).await {
            Ok(Ok(permit)) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let mut state = self.database.lock();
                match *idle {
                    0 => state.opened += 1,
                    _ => *idle -= 1,
                }
                state.out += 1;
                drop((state, idle));
                Ok(Connection { pool: self.clone(), _permit: permit })
            }
            _ => {
                let now = self.database.recorder.now();
                self.database.lock().timed_out.push(now);
                recorder::note("no connection");
                Err(PoolTimedOut)
            }
        }
    }

    /// Acquires a connection for one statement, and gives it back.
    ///
    /// # Errors
    /// [`PoolTimedOut`], if there was no connection.
    ///
    /// # Cancel safety
    /// Cancel safe: the connection goes back.
    pub async fn fetch(&self, statement: &str) -> Result<u32, PoolTimedOut> {
        Ok(self.acquire().await?.fetch(statement).await)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("free", &self.permits.available_permits()).finish_non_exhaustive()
    }
}

/// A connection that is held. Dropped, it goes back to its pool.
#[must_use = "dropped, it goes back to its pool"]
pub struct Connection {
    pool: Pool,
    /// After what `drop` does: whoever gets it next finds the connection idle.
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Runs a statement.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing was done then.
    pub async fn fetch(&mut self, statement: &str) -> u32 {
        let database = &self.pool.database;
        let run = async {
            let asked = database.recorder.now();
            sleep(STATEMENT).await;
            let mut state = database.lock();
            let (text, ended) = (statement.to_owned(), database.recorder.now());
            state.log.push(Statement { text, asked, ended });
            state.rows.get(statement).copied().unwrap_or(0)
        };
        database.recorder.lane(statement, run).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        *self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.pool.database.lock().out -= 1;
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}
