//! A paused clock that stands still while real I/O is under way.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Sleep, sleep},
};

/// How long [`with_real_io`] waits, in real time, before it says that nothing will come.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Runs `future` while the paused clock stands still, so that a timeout around a socket or a database doesn't fire before
/// the answer had a chance to come.
///
/// When everything waits, a paused clock jumps to the next timer. It knows nothing of sockets, nor of threads that tokio
/// didn't start, such as SQLite's: a 30 s timeout around an answer that takes 20 ms has fired before the answer is there.
/// Wrap what does I/O, not the whole test: within, *no* virtual time passes, so that a `sleep` in there never ends and a
/// timeout never fires. Where the peer can be had in memory, [`wire`](crate::wire) or `tokio::io::duplex` need no such
/// thing, and there latencies are exact. For a scope that isn't one future, take [`HeldClock`].
///
/// On a clock that isn't paused it does nothing. It costs one of the runtime's blocking threads for as long as it lasts,
/// and some 20 µs to begin and to end. Scopes may be nested and may overlap; the clock moves again when the
/// last has ended.
///
/// # Panics
/// If called outside of a tokio runtime with its timers enabled, and if `future` takes longer than [`LIMIT`] of real
/// time: no timeout can end it, and a test that hangs tells nobody anything.
///
/// # Cancel safety
/// As cancel safe as `future`. Dropped, it lets the clock go.
///
/// # Source
/// tokio does not advance a paused clock while a `spawn_blocking` task runs (`tokio::time::pause`, "Auto-advance").
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use testing::with_real_io;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{TcpListener, TcpStream}, time::{Instant, timeout}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// let start = Instant::now();
/// let reply = with_real_io(timeout(Duration::from_secs(30), async {
///     let mut client = TcpStream::connect(address).await?;
///     listener.accept().await?.0.write_all(b"!").await?;
///     client.read_u8().await
/// }));
/// assert_eq!(reply.await.expect("no timeout")?, b'!');
/// assert_eq!(start.elapsed(), Duration::ZERO);
/// # Ok(())
/// # }
/// ```
pub async fn with_real_io<F: Future>(future: F) -> F::Output {
    within(LIMIT, future).await
}

/// [`with_real_io`] with a limit of one's own.
async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    let (_clock, thread) = HeldClock::until(Some(limit));
    tokio::select! {
        biased;
        output = future => output,
        Ok(Ended::Late) = thread => panic!(
            "with_real_io: nothing after {limit:?} of real time. Virtual time stands still in here: a sleep never ends and \
             a timeout never fires. Either the peer doesn't answer, or something inside waits for the clock and belongs \
             outside"
        ),
    }
}

/// Holds a paused clock for as long as it lives; [`with_real_io`] is the same around one future, and with a limit.
///
/// For set-up and tear-down, or in a struct that owns a server or a database. Several hold the clock together; it moves
/// again when the last is gone, also by a panic. Nothing limits it in time. Dropping the runtime lets it go, too: a guard
/// that outlives its runtime does not keep it from shutting down.
///
/// # Examples
/// ```
/// use testing::real_io::HeldClock;
/// use tokio::{net::{TcpListener, TcpStream}, time::{Duration, Instant, sleep}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// let clock = HeldClock::new();
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// drop(clock);
/// sleep(Duration::from_secs(3600)).await; // in no time, as before
/// # Ok(())
/// # }
/// ```
#[must_use = "the clock is held for as long as the guard lives"]
pub struct HeldClock {
    /// Dropped, it ends the blocking task.
    _hold: SyncSender<()>,
    /// Never comes due. What rings it is the runtime's end: it fires its timers before it waits for blocking tasks.
    _end_of_runtime: Pin<Box<Sleep>>,
}

/// Why the blocking task ended.
enum Ended {
    LetGo,
    Late,
}

impl HeldClock {
    /// Holds the clock of this runtime.
    ///
    /// # Panics
    /// If called outside of a tokio runtime, or in one without timers.
    pub fn new() -> Self {
        Self::until(None).0
    }

    fn until(limit: Option<Duration>) -> (Self, JoinHandle<Ended>) {
        // A place for one ring; whoever finds it taken has nothing to add.
        let (hold, let_go) = sync_channel(1);
        // From here to its end no virtual time passes, also while the task still waits for a thread.
        let thread = spawn_blocking(move || wait(&let_go, limit));
        let mut end_of_runtime = Box::pin(sleep(Duration::MAX));
        let bell = Waker::from(Arc::new(Bell(hold.clone())));
        let due = end_of_runtime.as_mut().poll(&mut Context::from_waker(&bell));
        debug_assert!(due.is_pending(), "the end of time has come");
        (Self { _hold: hold, _end_of_runtime: end_of_runtime }, thread)
    }
}

impl Default for HeldClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HeldClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldClock")
    }
}

/// Blocks until the guard is gone, the runtime ends, or `limit` has passed.
fn wait(let_go: &Receiver<()>, limit: Option<Duration>) -> Ended {
    let Some(limit) = limit else {
        let _ended = let_go.recv();
        return Ended::LetGo;
    };
    match let_go.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => Ended::Late,
        _ => Ended::LetGo,
    }
}

/// Ends the blocking task.
struct Bell(SyncSender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _taken = self.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::{sleep, within};
    use std::time::Duration;

    #[test]
    fn nothing_for_too_long_is_told_and_does_not_hang() {
        let late = || {
            common::clock::paused(async {
                within(Duration::from_millis(50), sleep(Duration::from_secs(1))).await;
            });
        };
        let told = std::panic::catch_unwind(late).unwrap_err();
        let told = common::recorder::panic_message(&*told);
        assert!(told.contains("nothing after 50ms of real time"), "{told}");
    }
}
