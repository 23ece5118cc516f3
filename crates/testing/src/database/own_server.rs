use super::{Error, server::Server};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{runtime::Builder, task::spawn_blocking};

/// A PostgreSQL server of a test's own, which it may kill and start again.
///
/// [`Database::postgres`](super::Database::postgres) gives a database on a server that all tests of a process share; it
/// starts in a second, so take this one only for what those tests must not see. It is started as that one is, ends with
/// the process at the latest, and takes connections on a socket in a temporary folder only.
///
/// # Examples
/// ```
/// use sqlx::{Connection as _, PgConnection};
/// use testing::database::{PostgresServer, or_skip};
///
/// # #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> { // a test
///     let Some(mut server) = or_skip(PostgresServer::start().await) else { return Ok(()) };
///     let mut connection = PgConnection::connect_with(&server.options()).await?;
///     server.kill()?;
///     assert!(connection.ping().await.is_err());
///     server.restart().await?;
///     PgConnection::connect_with(&server.options()).await?.ping().await?;
///     Ok(())
/// }
/// ```
#[must_use = "dropping it ends the server"]
pub struct PostgresServer(Arc<Mutex<Server>>);

impl PostgresServer {
    /// Starts one. `DATABASE_URL` is not asked: nobody's server is killed but our own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no PostgreSQL is installed, [`Error::Start`] if it does not start.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped, the server ends, and its folder goes.
    pub async fn start() -> Result<Self, Error> {
        let server = elsewhere(async || Server::start(true).await).await?;
        Ok(Self(Arc::new(Mutex::new(server))))
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        lock(&self.0).options()
    }

    /// The same, for programs that are started with a `DATABASE_URL`.
    pub fn url(&self) -> String {
        self.options().to_url_lossy().into()
    }

    /// Kills it with SIGKILL, and waits until it is gone; its connections break. What was committed is still there when it
    /// has [started again](Self::restart), since the machine has lived on.
    ///
    /// # Errors
    /// If nobody is left to kill it.
    pub fn kill(&mut self) -> io::Result<()> {
        lock(&self.0).kill()
    }

    /// Starts it again, at the same address.
    ///
    /// # Errors
    /// [`Error::Start`], with what it says.
    ///
    /// # Cancel safety
    /// Dropped in the middle, it starts all the same.
    #[expect(clippy::await_holding_lock, reason = "the runtime below has no other future that could want it")]
    pub async fn restart(&mut self) -> Result<(), Error> {
        let server = self.0.clone();
        elsewhere(async move || lock(&server).restart().await).await
    }
}

/// Runs it on a clock that goes: the caller's may be paused. While it runs, that one stands still.
async fn elsewhere<T: Send + 'static>(
    work: impl AsyncFnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let run = move || {
        let runtime = Builder::new_current_thread().enable_time().build();
        runtime.map_err(|error| Error::Start { why: error.to_string() })?.block_on(work())
    };
    spawn_blocking(run).await.unwrap_or_else(|died| Err(Error::Start { why: died.to_string() }))
}

fn lock(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresServer")
    }
}
