//! A pool of connections that is set up for a service, and says why it has none left.
//!
//! sqlx has the pool, and this does not hide it. What a service needs beside it is here: [`PoolSettings`] with the limits
//! that sqlx leaves open, [`acquire()`], whose error names the cause and who holds what, [`with_connection()`], in which
//! nested use is refused at once, [`close()`] with a bound, and [`migrate()`], which many processes may begin at once.

mod acquire;
mod migrate;
mod notes;
mod settings;

pub use acquire::{AcquireError, Lease, acquire, with_connection};
pub use migrate::{MigrateError, migrate};
pub use notes::{Evidence, Holder};
pub use settings::{Dialect, PoolSettings};

use sqlx::{Pool, pool::PoolConnection};
use std::{fmt, ptr, time::Duration};
use tokio::time::timeout;

/// No limit is longer than what PostgreSQL and SQLite have room for, 24 days; sqlx and the clock panic for much more.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Which pool it is: clones of one have the same number, for as long as one of them lives. A connection that is out keeps
/// its pool alive, so nobody else has the number meanwhile.
fn identity<DB: sqlx::Database>(pool: &Pool<DB>) -> usize {
    ptr::from_ref(pool.options()).addr()
}

/// What [`close()`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "it says whether somebody still has a connection"]
pub struct Closed {
    /// Connections that had not come back when the time was up. Each is closed when it does.
    pub still_out: u32,
    /// Who has them, of those that were taken with [`acquire()`] or [`with_connection()`].
    pub holders: Vec<Holder>,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.still_out {
            0 => f.write_str("the pool is closed, and every connection with it"),
            out => write!(f, "the pool is closed, but {out} still out{}", notes::listed(&self.holders)),
        }
    }
}

/// Closes the pool, waits for what is out no longer than `within`, and says what has not come back.
///
/// `pool.close()` alone waits for as long as somebody keeps a connection, and closes none before the last has come. Call
/// this when what uses the pool has stopped.
///
/// # Shape
/// From the call on, nobody gets a connection any more: who waits for one has an error at once. Idle ones are closed
/// first, then those that come back. What is still out after `within` is closed when it comes back, and nobody
/// waits for it.
///
/// # Cancel safety
/// The pool stays closed; connections that are not closed yet go with the runtime. It can be called again.
///
/// # Source
/// `Pool::close` of sqlx, which has no bound.
///
/// # Examples
/// ```
/// use resources::database::{PoolSettings, close};
/// use sqlx::sqlite::SqliteConnectOptions;
/// use std::{num::NonZeroU32, time::Duration};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let settings = PoolSettings::new(NonZeroU32::new(2).unwrap());
/// let pool = settings.pool(SqliteConnectOptions::new().in_memory(true));
/// let held = pool.acquire().await?;
/// let closed = close(&pool, Duration::from_millis(20)).await;
/// assert_eq!(closed.still_out, 1);
/// drop(held);
/// # Ok::<(), sqlx::Error>(())
/// # }).unwrap();
/// ```
pub fn close<DB: sqlx::Database>(
    pool: &Pool<DB>,
    within: Duration,
) -> impl Future<Output = Closed> + Send + use<DB> {
    let pool = pool.clone();
    // In this order: sqlx gives nobody an idle one of a pool that is closed, and would close it only with the last.
    let idle: Vec<PoolConnection<DB>> = std::iter::from_fn(|| pool.try_acquire()).collect();
    drop(pool.close());
    async move {
        let farewell = async {
            for connection in idle {
                // What it still has to say is of no use to anybody.
                connection.close().await.ok();
            }
            pool.close().await;
        };
        if timeout(within, farewell).await.is_ok() {
            return Closed { still_out: 0, holders: Vec::new() };
        }
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        let still_out = pool.size().saturating_sub(idle);
        Closed { still_out, holders: notes::holders(identity(&pool)) }
    }
}
