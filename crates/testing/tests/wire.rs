//! Scripted byte streams: what arrives, when, and how it ends.

use common::clock::paused;
use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use testing::wire::{self, End, Wire, check_stream};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3600);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Reads to the end; gives the lengths of the reads, and how it ended.
async fn reads(end: &mut End) -> (Vec<usize>, Option<ErrorKind>) {
    let mut lengths = Vec::new();
    loop {
        match end.read(&mut [0; 64]).await {
            Ok(0) => return (lengths, None),
            Ok(n) => lengths.push(n),
            Err(error) => return (lengths, Some(error.kind())),
        }
    }
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls once, with a waker that counts.
fn poll_read(end: &mut End, count: &Arc<Count>) -> Poll<io::Result<usize>> {
    let waker = Waker::from(count.clone());
    let mut bytes = [0; 64];
    let mut buf = ReadBuf::new(&mut bytes);
    let poll = Pin::new(end).poll_read(&mut Context::from_waker(&waker), &mut buf);
    poll.map_ok(|()| buf.filled().len())
}

fn poll_write(end: &mut End, bytes: &[u8], count: &Arc<Count>) -> Poll<io::Result<usize>> {
    Pin::new(end).poll_write(&mut Context::from_waker(&Waker::from(count.clone())), bytes)
}

#[test]
fn bytes_arrive_in_seeded_fragments_and_writes_are_short() {
    let run = |seed| {
        paused(async {
            let (mut a, mut b) = wire::pair(Wire::new(seed).fragments(1..=7), Wire::new(0));
            assert!(a.write(&[1; 64]).await.unwrap() <= 7);
            a.write_all(&[1; 200]).await.unwrap();
            drop(a);
            reads(&mut b).await
        })
    };
    let (lengths, ended) = run(3);
    assert_eq!((lengths.clone(), ended), run(3));
    assert_ne!(lengths, run(4).0);
    assert_eq!(ended, None);
    assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&1), Some(&7)));
}

#[test]
fn each_fragment_takes_its_latency_one_after_another() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).fragments(2..=2).latency(ms(3)), Wire::new(0));
        let start = Instant::now();
        a.write_all(&[0; 10]).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO, "writing takes no time");
        for fragment in 1..=5 {
            assert_eq!(b.read(&mut [0; 64]).await.unwrap(), 2);
            assert_eq!(start.elapsed(), ms(3 * fragment));
        }
        // After a pause, the wire is free: the next one takes no longer than the first.
        sleep(ms(100)).await;
        let start = Instant::now();
        a.write_all(&[0; 2]).await.unwrap();
        a.shutdown().await.unwrap();
        assert_eq!(reads(&mut b).await, (vec![2], None));
        assert_eq!(start.elapsed(), ms(3));
    });
}

#[test]
fn a_full_buffer_makes_the_writer_wait_until_bytes_were_read() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).buffer(5), Wire::new(0));
        let woken = Arc::new(Count::default());
        assert!(matches!(poll_write(&mut a, &[0; 64], &woken), Poll::Ready(Ok(5))));
        assert!(poll_write(&mut a, &[0; 64], &woken).is_pending());
        assert_eq!(woken.0.load(SeqCst), 0, "a writer that waits is not woken for nothing");
        assert_eq!(b.read(&mut [0; 2]).await.unwrap(), 2);
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(matches!(poll_write(&mut a, &[0; 64], &woken), Poll::Ready(Ok(2))));
        assert!(poll_write(&mut a, &[0; 64], &woken).is_pending());
        drop(b);
        assert_eq!(woken.0.load(SeqCst), 2, "a reader that goes away wakes the writer");
        let Poll::Ready(Err(error)) = poll_write(&mut a, &[0], &woken) else { panic!("an error") };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_reader_is_woken_once_by_bytes_and_by_an_end_and_never_for_nothing() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0), Wire::new(0));
        let woken = Arc::new(Count::default());
        assert!(poll_read(&mut b, &woken).is_pending());
        assert!(poll_read(&mut b, &woken).is_pending());
        assert_eq!(woken.0.load(SeqCst), 0);
        a.write_all(b"one").await.unwrap();
        a.write_all(b"two").await.unwrap();
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(matches!(poll_read(&mut b, &woken), Poll::Ready(Ok(3))));
        assert!(matches!(poll_read(&mut b, &woken), Poll::Ready(Ok(3))));
        assert!(poll_read(&mut b, &woken).is_pending());
        a.shutdown().await.unwrap();
        assert_eq!(woken.0.load(SeqCst), 2);
        assert!(matches!(poll_read(&mut b, &woken), Poll::Ready(Ok(0))));
    });
}

#[test]
fn a_reader_of_a_slow_wire_is_woken_by_the_arrival_only_and_the_last_who_polled_is() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).latency(ms(3)), Wire::new(0));
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        a.write_all(b"one").await.unwrap();
        assert!(poll_read(&mut b, &first).is_pending());
        assert!(poll_read(&mut b, &second).is_pending());
        sleep(ms(2)).await;
        assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (0, 0));
        sleep(ms(2)).await;
        assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (0, 1));
        assert!(matches!(poll_read(&mut b, &second), Poll::Ready(Ok(3))));
    });
}

#[test]
fn a_reader_that_waits_for_an_arrival_is_woken_by_a_reset() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).latency(HOUR), Wire::new(0).reset_after(1));
        let woken = Arc::new(Count::default());
        a.write_all(b"an hour away").await.unwrap();
        assert!(poll_read(&mut b, &woken).is_pending());
        b.write_all(b"!").await.unwrap();
        assert_eq!(a.read(&mut [0; 2]).await.unwrap(), 1);
        assert_eq!(woken.0.load(SeqCst), 1);
        assert!(matches!(poll_read(&mut b, &woken), Poll::Ready(Err(_))));
    });
}

#[test]
fn a_clean_end_is_read_and_the_writer_is_told() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).eof_after(100), Wire::new(0));
        assert_eq!(a.write(&[0; 200]).await.unwrap(), 100);
        assert_eq!(a.write(&[0; 200]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(reads(&mut b).await, (vec![64, 36], None));
        b.write_all(b"the other direction is open").await.unwrap();
        assert_eq!(a.read(&mut [0; 64]).await.unwrap(), 27);
    });
}

#[test]
fn a_truncated_direction_ends_for_the_reader_and_takes_everything_from_the_writer() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).buffer(5).truncate_after(5), Wire::new(0));
        assert_eq!(a.write(&[0; 8]).await.unwrap(), 5);
        timeout(HOUR, a.write_all(&[0; 1000])).await.unwrap().unwrap();
        a.flush().await.unwrap();
        assert_eq!(reads(&mut b).await, (vec![5], None));
    });
}

#[test]
fn a_reset_ends_both_directions_on_both_sides_and_wakes_all_who_wait() {
    paused(async {
        let (a, b) =
            wire::pair(Wire::new(0).buffer(50).reset_after(100), Wire::new(0).buffer(3).stall_after(2));
        let ((mut from_a, mut to_a), (mut from_b, mut to_b)) = (tokio::io::split(a), tokio::io::split(b));
        let mut nothing = Vec::new();
        let all = async {
            tokio::join!(
                from_a.read_to_end(&mut nothing),
                async {
                    sleep(ms(1)).await;
                    to_a.write_all(&[0; 1000]).await
                },
                async {
                    let mut got = Vec::new();
                    let ended = from_b.read_to_end(&mut got).await;
                    assert_eq!(got.len(), 100);
                    ended
                },
                async { to_b.write_all(&[0; 1000]).await },
            )
        };
        let (first, second, third, fourth) = timeout(HOUR, all).await.expect("nobody waits");
        for kind in [first.map(drop), second, third.map(drop), fourth].map(|ended| ended.unwrap_err().kind())
        {
            assert_eq!(kind, ErrorKind::ConnectionReset);
        }
        assert_eq!(to_a.flush().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(to_b.shutdown().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_connection_can_be_reset_before_the_first_byte() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).reset_after(0), Wire::new(0));
        assert_eq!(a.write(b"?").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(reads(&mut b).await, (vec![], Some(ErrorKind::ConnectionReset)));
    });
}

#[test]
fn a_stalled_direction_never_ends_not_even_by_a_shutdown() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).buffer(10).stall_after(5), Wire::new(0));
        a.write_all(&[0; 10]).await.unwrap();
        assert_eq!(b.read(&mut [0; 64]).await.unwrap(), 5);
        a.write_all(&[0; 5]).await.unwrap();
        assert!(timeout(HOUR, a.write(&[0])).await.is_err(), "the lost bytes keep their room");
        drop(a);
        assert!(timeout(HOUR, b.read(&mut [0; 64])).await.is_err());
    });
}

#[test]
fn after_a_shutdown_what_is_under_way_still_arrives_and_nothing_is_taken() {
    paused(async {
        let (mut a, mut b) = wire::pair(Wire::new(0).latency(ms(5)), Wire::new(0));
        a.write_all(b"last words").await.unwrap();
        a.shutdown().await.unwrap();
        a.shutdown().await.unwrap();
        assert_eq!(a.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(reads(&mut b).await, (vec![10], None));
        b.write_all(b"reply").await.unwrap();
        drop(b);
        assert_eq!(reads(&mut a).await, (vec![5], None));
    });
}

#[test]
fn reads_and_writes_count_against_the_budget_of_their_task() {
    let awaits = testing::every_await(
        || (),
        |()| async {
            let (mut a, mut b) = wire::pair(Wire::new(0), Wire::new(0));
            a.write_all(b"!").await.unwrap();
            b.read_u8().await.unwrap();
        },
        async |()| Ok(()),
    );
    assert_eq!(awaits, Ok(2));
    let over_a_slow_wire = testing::every_await(
        || (),
        |()| async {
            let (mut a, mut b) = wire::pair(Wire::new(0).fragments(1..=2).latency(ms(2)), Wire::new(0));
            a.write_all(b"some more").await.unwrap();
            b.read_exact(&mut [0; 9]).await.unwrap();
        },
        async |()| Ok(()),
    );
    assert!(over_a_slow_wire.unwrap() > 9);
}

#[test]
fn correct_programs_over_a_thousand_seeded_wires_get_their_bytes_and_no_error() {
    for seed in 0..1000 {
        paused(async {
            let script = |seed| Wire::new(seed).fragments(1..=9).latency(ms(seed % 4)).buffer(16);
            let (mut client, server) = wire::pair(script(seed), script(seed + 1));
            let (mut from, mut to) = tokio::io::split(server);
            let echo = async {
                tokio::io::copy(&mut from, &mut to).await.unwrap();
                to.shutdown().await.unwrap();
            };
            let sent: Vec<u8> = (0..=255).cycle().take(100).collect();
            let (mut got, mut part) = (Vec::new(), [0; 32]);
            let client = async {
                let (mut from, mut to) = tokio::io::split(&mut client);
                let send = async {
                    to.write_all(&sent).await.unwrap();
                    to.shutdown().await.unwrap();
                };
                let receive = async {
                    loop {
                        match from.read(&mut part).await.unwrap() {
                            0 => break,
                            n => got.extend_from_slice(&part[..n]),
                        }
                    }
                };
                tokio::join!(send, receive);
            };
            timeout(HOUR, async { tokio::join!(echo, client) }).await.unwrap();
            assert_eq!(got, sent, "seed {seed}");
        });
    }
}

/// A wrapper with one mistake.
struct Wrapped {
    end: End,
    mistake: Mistake,
    written: usize,
    kept: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mistake {
    None,
    LosesWakeUps,
    WakesItself,
    SaysAllWasTaken,
    ResetIsTheEnd,
    KeepsOnFlush,
    ForgetsShutdown,
    IgnoresABrokenPipe,
    ChangesAByte,
    LosesReadsThatAreDropped,
}

impl Wrapped {
    fn new(end: End, mistake: Mistake) -> Self {
        Self { end, mistake, written: 0, kept: Vec::new() }
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.mistake {
            Mistake::LosesWakeUps => {
                Pin::new(&mut self.end).poll_read(&mut Context::from_waker(Waker::noop()), buf)
            }
            Mistake::WakesItself => {
                let poll = Pin::new(&mut self.end).poll_read(cx, buf);
                if poll.is_pending() {
                    cx.waker().wake_by_ref();
                }
                poll
            }
            Mistake::ResetIsTheEnd => {
                let poll = Pin::new(&mut self.end).poll_read(cx, buf);
                poll.map(|ended| ended.or(Ok(())))
            }
            // Waits a while once it has the bytes, with the bytes in hand.
            Mistake::LosesReadsThatAreDropped => {
                let filled = buf.filled().len();
                let mut inner = [0; 4];
                let mut got = ReadBuf::new(&mut inner);
                std::task::ready!(Pin::new(&mut self.end).poll_read(cx, &mut got))?;
                self.written += 1;
                if self.written.is_multiple_of(5) && !got.filled().is_empty() {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let n = got.filled().len().min(buf.remaining());
                buf.put_slice(&got.filled()[..n]);
                assert!(buf.filled().len() >= filled);
                Poll::Ready(Ok(()))
            }
            _ => Pin::new(&mut self.end).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut changed = bytes.to_vec();
        match self.mistake {
            Mistake::KeepsOnFlush if self.kept.len() + bytes.len() < 4 => {
                self.kept.extend_from_slice(bytes);
                return Poll::Ready(Ok(bytes.len()));
            }
            Mistake::ChangesAByte => {
                self.written += 1;
                if self.written == 100 && !changed.is_empty() {
                    changed[0] ^= 1;
                }
            }
            _ => {}
        }
        let poll = Pin::new(&mut self.end).poll_write(cx, &changed);
        match (self.mistake, poll) {
            (Mistake::SaysAllWasTaken, Poll::Ready(Ok(_)))
            | (Mistake::IgnoresABrokenPipe, Poll::Ready(Err(_))) => Poll::Ready(Ok(bytes.len())),
            (_, poll) => poll,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.mistake {
            Mistake::ForgetsShutdown => Poll::Ready(Ok(())),
            _ => Pin::new(&mut self.end).poll_shutdown(cx),
        }
    }
}

#[test]
fn a_wrapper_without_a_mistake_passes_and_each_mistake_is_found() {
    let checked = |mistake| check_stream(async |a, b| (Wrapped::new(a, mistake), Wrapped::new(b, mistake)));
    assert_eq!(checked(Mistake::None), Ok(()));
    for (mistake, told) in [
        (Mistake::LosesWakeUps, "a wake-up was lost"),
        (Mistake::WakesItself, "wakes itself again and again"),
        (Mistake::SaysAllWasTaken, "waited for ever"),
        (Mistake::ResetIsTheEnd, "a connection that was reset looks like one that came to its end"),
        (Mistake::KeepsOnFlush, "kept back after a flush"),
        (Mistake::ForgetsShutdown, "to end after a shutdown"),
        (Mistake::IgnoresABrokenPipe, "a mebibyte was written to a peer that is gone"),
        (Mistake::ChangesAByte, "other bytes arrived than were written"),
        (Mistake::LosesReadsThatAreDropped, "both ways at once"),
    ] {
        let why = checked(mistake).expect_err(&format!("{mistake:?} was not found"));
        assert!(why.contains(told), "{mistake:?}: {why}");
    }
}

#[test]
fn a_handshake_may_be_part_of_the_wrapping() {
    let checked = check_stream(async |mut a, mut b| {
        let (first, second) = tokio::join!(
            async {
                a.write_all(b"hello").await?;
                a.read_u8().await
            },
            async {
                b.read_exact(&mut [0; 5]).await?;
                b.write_all(b"!").await
            },
        );
        first.unwrap();
        second.unwrap();
        (a, b)
    });
    assert_eq!(checked, Ok(()));
}

#[test]
fn ends_are_told_in_a_few_words() {
    paused(async {
        let (mut a, b) = wire::pair(Wire::new(0), Wire::new(0));
        a.write_all(b"abc").await.unwrap();
        assert_eq!(format!("{a:?} {b:?}"), "End(3 bytes sent, 0 received) End(0 bytes sent, 0 received)");
        poll_fn(|_| Poll::Ready(())).await;
    });
}
