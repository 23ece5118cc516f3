//! Byte streams in memory, with scripted fragments, latencies and endings.

mod conformance;
mod direction;

pub use conformance::check_stream;

use direction::{Direction, Link};
use std::{
    fmt, io,
    ops::RangeInclusive,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::poll_proceed,
};

/// The script of one direction of a [`pair`]: how its bytes travel, and how it ends.
///
/// Without a script of its own it is a pipe for 64 KiB that loses and delays nothing. For one scripted peer, whose every
/// read and write is known beforehand, `tokio_test::io::Builder` says it more directly; for a network of hosts, turmoil.
///
/// # Examples
/// A reader that takes one `read` for one message, as it may seem to work over loopback:
/// ```
/// use std::time::Duration;
/// use testing::wire::{self, Wire};
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, time::Instant};
///
/// common::clock::paused(async {
///     let there = Wire::new(7).fragments(1..=4).latency(Duration::from_millis(3)).reset_after(20);
///     let (mut client, mut server) = wire::pair(there, Wire::new(0));
///     client.write_all(b"hello, ").await?;
///     client.write_all(b"wire! And more.").await?;
///
///     let mut message = [0; 12];
///     let n = server.read(&mut message).await?;
///     assert!(n <= 4, "one fragment, not the message");
///     server.read_exact(&mut message[n..]).await?;
///     assert_eq!(&message, b"hello, wire!");
///
///     let broken = server.read_to_end(&mut Vec::new()).await.unwrap_err();
///     assert_eq!(broken.kind(), std::io::ErrorKind::ConnectionReset);
/// #   Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "a script does nothing until `pair` takes it"]
pub struct Wire {
    seed: u64,
    fragments: Option<RangeInclusive<usize>>,
    latency: Duration,
    buffer: usize,
    ending: Option<(usize, Ending)>,
}

/// How a direction ends after its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Eof,
    Truncated,
    Reset,
    Stall,
}

impl Wire {
    /// A plain pipe for 64 KiB; what is drawn at random later follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { seed, fragments: None, latency: Duration::ZERO, buffer: 64 * 1024, ending: None }
    }

    /// Cuts what is written into fragments of a random length in bytes, within this range.
    ///
    /// A `write` takes one fragment at most (a short write), and a `read` gives one fragment at most.
    ///
    /// # Panics
    /// If the range is empty or includes 0: a fragment has at least one byte.
    pub fn fragments(mut self, bytes: RangeInclusive<usize>) -> Self {
        assert!(
            *bytes.start() > 0 && !bytes.is_empty(),
            "fragments({bytes:?}): a fragment has at least one byte, so the range starts at 1 or above"
        );
        self.fragments = Some(bytes);
        self
    }

    /// Each fragment takes this long on the wire, one after another: 10 fragments take ten times as long. Without
    /// [`fragments`](Self::fragments), each write is one.
    ///
    /// It is virtual time on a paused clock, in whole milliseconds.
    pub const fn latency(mut self, a_fragment: Duration) -> Self {
        self.latency = a_fragment;
        self
    }

    /// How many bytes the direction holds before writers have to wait: from the `write` that takes them to the `read`
    /// that gives them.
    ///
    /// # Panics
    /// If it holds nothing: nothing would ever get through.
    pub const fn buffer(mut self, bytes: usize) -> Self {
        assert!(bytes > 0, "buffer(0): nothing would ever get through; 1 is the smallest");
        self.buffer = bytes;
        self
    }

    /// After `n` bytes, the reader reads the end, and the writer is told: `BrokenPipe`.
    pub const fn eof_after(mut self, n: usize) -> Self {
        self.ending = Some((n, Ending::Eof));
        self
    }

    /// After `n` bytes, the reader reads the end, and the writer is *not* told: what it writes is lost.
    pub const fn truncate_after(mut self, n: usize) -> Self {
        self.ending = Some((n, Ending::Truncated));
        self
    }

    /// After `n` bytes were read, the connection is reset: everything, in both directions and on both sides, fails with
    /// `ConnectionReset`, and what was under way is lost.
    pub const fn reset_after(mut self, n: usize) -> Self {
        self.ending = Some((n, Ending::Reset));
        self
    }

    /// After `n` bytes, nothing arrives any more, not even an end: the reader waits for ever, and so does the writer once
    /// the [`buffer`](Self::buffer) is full.
    pub const fn stall_after(mut self, n: usize) -> Self {
        self.ending = Some((n, Ending::Stall));
        self
    }
}

/// Two connected ends: what the first writes, the second reads as `there` has it, and the other way round as `back` has
/// it.
///
/// # Examples
/// ```
/// use testing::wire::{self, Wire};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// common::clock::paused(async {
///     let (mut client, mut server) = wire::pair(Wire::new(0), Wire::new(0).truncate_after(3));
///     server.write_all(b"a whole answer").await?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer).await?;
///     assert_eq!(answer, "a w");
/// #   Ok::<(), std::io::Error>(())
/// })
/// # .unwrap();
/// ```
#[must_use = "dropping an end closes the connection"]
pub fn pair(there: Wire, back: Wire) -> (End, End) {
    let link = Link::new([Direction::new(there), Direction::new(back)]);
    let link = Arc::new(Mutex::new(link));
    (End { link: link.clone(), side: 0 }, End { link, side: 1 })
}

/// One end of a [`pair`].
///
/// Shutting it down ends what the other side reads, and leaves the other direction open; dropping it closes both. A
/// flush has nothing to do, as with a TCP stream.
#[must_use = "dropping an end closes the connection"]
pub struct End {
    link: Arc<Mutex<Link>>,
    /// Writes into the direction of this number, and reads from the other.
    side: usize,
}

impl End {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whom a change concerns; not under the lock, for a waker may do anything.
fn ring(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Each await of tokio's own streams counts against the task's budget; so do these, or a busy peer would starve
        // the others, and `every_await` would not see them.
        let unit = ready!(poll_proceed(cx));
        let (poll, wakers) = self.link().read(1 - self.side, cx, buf);
        ring(wakers);
        if poll.is_ready() {
            unit.made_progress();
        }
        poll
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let unit = ready!(poll_proceed(cx));
        let (poll, wakers) = self.link().write(self.side, cx, buf);
        ring(wakers);
        if poll.is_ready() {
            unit.made_progress();
        }
        poll
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.link().intact())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wakers = self.link().shut_down(self.side);
        ring(wakers);
        Poll::Ready(self.link().intact())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let wakers = self.link().close(self.side);
        ring(wakers);
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, received) = self.link().so_far(self.side);
        write!(f, "End({sent} bytes sent, {received} received)")
    }
}
