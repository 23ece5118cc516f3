//! What every byte stream owes its users, asked of streams of one's own.

use super::{End, Wire, pair};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, ErrorKind},
    pin::pin,
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{sleep, timeout},
};

/// Virtual time after which what has not come is not coming.
const HOUR: Duration = Duration::from_secs(3600);
/// Polls after which somebody is busy rather than waiting: no piece of this check takes a tenth of them.
const MANY: u32 = 100_000;
/// A latency: long enough that whoever reads has to wait.
const LATENCY: Duration = Duration::from_millis(3);

/// Asks a pair of streams that wrap the ends of a [`pair`] what every byte stream owes its users, over
/// scripted wires with many seeds.
///
/// For an `AsyncRead` and `AsyncWrite` of one's own: compression, encryption, a rate limit. `wrap` gets the two ends and
/// gives the two streams; a handshake can be done in it. What is asked: bytes arrive as they were written, both ways at
/// once, also through the narrowest buffer; empty reads and writes take nothing and give nothing; a read that is dropped
/// while it waits loses nothing; whoever waits sleeps until there is something, and is woken then; a peer that goes away
/// or a connection that is reset is noticed. It can't see what goes wrong only between threads.
///
/// # Errors
/// The first thing that was not as it should be, with the seed.
///
/// # Panics
/// If called from within a runtime.
///
/// # Source
/// The idea is that of trio's `check_two_way_stream`.
///
/// # Examples
/// ```
/// use testing::wire;
/// use tokio::io::BufStream;
///
/// assert_eq!(wire::check_stream(async |a, b| (BufStream::new(a), BufStream::new(b))), Ok(()));
/// ```
pub fn check_stream<A, B>(wrap: impl AsyncFn(End, End) -> (A, B)) -> Result<(), String>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    for seed in 0..16 {
        common::clock::paused(async {
            let narrow = || Wire::new(seed).fragments(1..=7).buffer(5);
            let slow = || Wire::new(seed).fragments(1..=7).latency(LATENCY);
            let wrapped = async |there, back| {
                let (a, b) = pair(there, back);
                wrap(a, b).await
            };
            let both_ways = |result: Result<(), String>, what| result.map_err(|why| format!("{what}: {why}"));

            let (a, b) = wrapped(narrow(), narrow()).await;
            both_ways(carries(a, b, seed).await, "both ways at once, through a narrow buffer")?;
            let (a, b) = wrapped(slow(), slow()).await;
            both_ways(carries(a, b, seed).await, "both ways at once, over a slow wire")?;

            let (mut a, mut b) = wrapped(slow(), slow()).await;
            both_ways(takes_nothing_for_nothing(&mut a, &mut b).await, "from the first to the second")?;
            both_ways(loses_nothing_when_dropped(&mut a, &mut b).await, "from the first to the second")?;
            both_ways(loses_nothing_when_dropped(&mut b, &mut a).await, "from the second to the first")?;
            both_ways(sleeps_until_there_is_something(&mut a, &mut b).await, "from the first to the second")?;
            both_ways(sleeps_until_there_is_something(&mut b, &mut a).await, "from the second to the first")?;

            let (a, b) = wrapped(slow(), slow()).await;
            notices_that_the_peer_is_gone(a, b).await?;
            let (a, b) = wrapped(slow(), slow()).await;
            notices_that_the_peer_is_gone(b, a).await?;

            // After a handshake of a few hundred bytes, and before the end of what is sent.
            let (a, b) = wrapped(slow().reset_after(5_000), slow()).await;
            notices_a_reset(a, b).await
        })
        .map_err(|why| format!("{why} (seed {seed})"))?;
    }
    Ok(())
}

/// Each side writes and reads at once; then both shut down and read the end.
async fn carries<A, B>(a: A, b: B, seed: u64) -> Result<(), String>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draw = |n: usize| (0..n).map(|_| random.u8(..)).collect::<Vec<u8>>();
    let (there, back) = (draw(1_000), draw(700));
    let (mut from_a, mut to_a) = tokio::io::split(a);
    let (mut from_b, mut to_b) = tokio::io::split(b);
    let send = async |to: &mut (dyn AsyncWrite + Unpin), bytes: &[u8]| {
        to.write_all(bytes).await?;
        to.flush().await
    };
    let receive = async |from: &mut (dyn AsyncRead + Unpin), bytes: &[u8]| {
        let mut got = vec![0; bytes.len()];
        from.read_exact(&mut got).await?;
        Ok::<_, io::Error>(got == bytes)
    };
    let bytes = async {
        tokio::try_join!(
            send(&mut to_a, &there),
            send(&mut to_b, &back),
            receive(&mut from_a, &back),
            receive(&mut from_b, &there),
        )
    };
    let (.., first, second) = in_time(alone(bytes).await, "to arrive")?;
    if !(first && second) {
        return Err("other bytes arrived than were written".to_owned());
    }
    let end = async {
        let (mut rest_of_a, mut rest_of_b) = (Vec::new(), Vec::new());
        tokio::try_join!(
            to_a.shutdown(),
            to_b.shutdown(),
            from_a.read_to_end(&mut rest_of_a),
            from_b.read_to_end(&mut rest_of_b)
        )
    };
    match in_time(alone(end).await, "to end after a shutdown")? {
        (.., 0, 0) => Ok(()),
        (.., first, second) => Err(format!("{} bytes after the last that was written", first + second)),
    }
}

async fn takes_nothing_for_nothing<A, B>(a: &mut A, b: &mut B) -> Result<(), String>
where
    A: AsyncWrite + Unpin,
    B: AsyncRead + Unpin,
{
    match in_time(alone(a.write(&[])).await, "a write of nothing")? {
        0 => {}
        n => return Err(format!("a write of nothing took {n} bytes")),
    }
    in_time(
        alone(async {
            a.write_all(b"!").await?;
            a.flush().await
        })
        .await,
        "a write",
    )?;
    let read = async {
        let nothing = b.read(&mut []).await?;
        Ok((nothing, b.read_u8().await?))
    };
    match in_time(alone(read).await, "a read of nothing, then of one byte")? {
        (0, b'!') => Ok(()),
        (n, byte) => {
            Err(format!("a read of nothing gave {n} bytes, and the byte after it was {byte}, not 33"))
        }
    }
}

async fn loses_nothing_when_dropped<A, B>(a: &mut A, b: &mut B) -> Result<(), String>
where
    A: AsyncWrite + Unpin,
    B: AsyncRead + Unpin,
{
    let sent: Vec<u8> = (0..200).collect();
    in_time(
        alone(async {
            a.write_all(&sent).await?;
            a.flush().await
        })
        .await,
        "a write",
    )?;
    let (mut got, mut drops) = (Vec::new(), 0);
    while got.len() < sent.len() {
        let mut part = [0; 11];
        match timeout(LATENCY / 3, b.read(&mut part)).await {
            Ok(Ok(0)) => return Err(format!("the end after {} of {} bytes", got.len(), sent.len())),
            Ok(Ok(n)) => got.extend_from_slice(&part[..n]),
            Ok(Err(error)) => return Err(format!("a read failed: {error}")),
            Err(_) if drops > 100_000 => {
                return Err(format!(
                    "{} of {} bytes, and no more, when reads are dropped",
                    got.len(),
                    sent.len()
                ));
            }
            Err(_) => drops += 1,
        }
    }
    if got == sent { Ok(()) } else { Err("bytes were lost or changed when reads were dropped".to_owned()) }
}

async fn sleeps_until_there_is_something<A, B>(a: &mut A, b: &mut B) -> Result<(), String>
where
    A: AsyncWrite + Unpin,
    B: AsyncRead + Unpin,
{
    let polls = Cell::new(0_u32);
    let mut got = [0];
    let mut read = pin!(b.read_exact(&mut got));
    let read = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        read.as_mut().poll(cx)
    });
    let write = async {
        sleep(HOUR / 2).await;
        let while_idle = polls.get();
        a.write_all(b"?").await?;
        a.flush().await?;
        Ok(while_idle)
    };
    let (read, write) = tokio::join!(alone(read), alone(write));
    let while_idle = in_time(write, "a write")?;
    in_time(read, "a read to end when bytes come")?;
    match while_idle {
        0..=10 => Ok(()),
        n => Err(format!("a reader that waited for one byte was polled {n} times before it came")),
    }
}

async fn notices_that_the_peer_is_gone<A, B>(mut stays: A, goes: B) -> Result<(), String>
where
    A: AsyncRead + AsyncWrite + Unpin,
{
    let went = async {
        sleep(LATENCY * 5).await;
        drop(goes);
    };
    // An error is an answer, too: a protocol may want a farewell.
    let read = async { Ok(stays.read(&mut [0]).await.unwrap_or(0)) };
    let (read, ()) = tokio::join!(alone(read), went);
    if in_time(read, "a read to be over when the peer is gone")? > 0 {
        return Err("a byte came from nowhere".to_owned());
    }
    let write = async {
        for _ in 0..1024 {
            if stays.write_all(&[0; 1024]).await.is_err() || stays.flush().await.is_err() {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match in_time(alone(write).await, "a write to fail when the peer is gone")? {
        true => Ok(()),
        false => Err("a mebibyte was written to a peer that is gone, without an error".to_owned()),
    }
}

async fn notices_a_reset<A, B>(mut a: A, mut b: B) -> Result<(), String>
where
    A: AsyncWrite + Unpin,
    B: AsyncRead + Unpin,
{
    let write = async {
        let _reset = a.write_all(&vec![7; 100_000]).await;
        let _reset = a.flush().await;
        Ok(())
    };
    let read = async { Ok(b.read_to_end(&mut Vec::new()).await.is_err()) };
    let (write, read) = tokio::join!(alone(write), alone(read));
    in_time(write, "a write to be over when the connection is reset")?;
    match in_time(read, "a read to be over when the connection is reset")? {
        true => Ok(()),
        false => Err("a connection that was reset looks like one that came to its end".to_owned()),
    }
}

/// Why a future did not come to its end.
enum Stuck {
    Waiting,
    Busy,
}

/// Polls `future` when its own waker was woken, and not whenever something beside it was: that would hide a wake-up that
/// was lost.
async fn alone<F: Future>(future: F) -> Result<F::Output, Stuck> {
    let (mut future, mut polls) = (pin!(future), 0_u32);
    let counted = poll_fn(|cx| {
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            // Whoever asks again and again keeps the clock from moving: no timeout would find out.
            Poll::Pending if polls >= MANY => Poll::Ready(Err(Stuck::Busy)),
            Poll::Pending => Poll::Pending,
        }
    });
    let mut alone = FuturesUnordered::from_iter([counted]);
    timeout(HOUR, alone.select_next_some()).await.unwrap_or(Err(Stuck::Waiting))
}

fn in_time<T>(ended: Result<io::Result<T>, Stuck>, what: &str) -> Result<T, String> {
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(format!("{what}: the end came early"))
        }
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(Stuck::Waiting) => {
            Err(format!("{what}: waited for ever; a wake-up was lost, or bytes were kept back after a flush"))
        }
        Err(Stuck::Busy) => {
            Err(format!("{what}: who waits wakes itself again and again, and keeps the thread busy"))
        }
    }
}
