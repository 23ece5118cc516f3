//! What `bounded` promises.

use common::{Backend, Recorder, backend::Outcome, clock::paused};
use concurrency::{Settled, bounded};
use futures_util::{
    FutureExt as _, Stream, StreamExt as _,
    future::Either,
    stream::{self, FusedStream as _},
};
use std::{
    cell::Cell,
    future::ready,
    num::NonZeroUsize,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{
    every_await, latencies, simulate,
    simulation::{End, tasks_left},
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn limit(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("limits are not zero")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Input,
    Completion,
}

const BOTH: [Order; 2] = [Order::Input, Order::Completion];

/// Both streams as one type, so that what holds for both is written once.
fn fetched<S>(
    order: Order,
    source: S,
    n: usize,
    backend: &Backend,
) -> impl Stream<Item = (usize, Settled<u32, String>)> + use<S>
where
    S: Stream<Item = u32>,
{
    let backend = backend.clone();
    let work = move |id| {
        backend.fetch(id).map(|reply| reply.map(|reply| reply.id).map_err(|error| error.to_string()))
    };
    match order {
        Order::Input => Either::Left(bounded::in_input_order(source, limit(n), work).enumerate()),
        Order::Completion => Either::Right(bounded::as_completed(source, limit(n), work)),
    }
}

/// When each item of a faultless stream starts, and when it is read: a place becomes free when an outcome is read, and
/// is filled at once.
fn ideal(order: Order, latencies: &[Duration], n: usize, pause: Duration) -> (Vec<Duration>, Vec<Duration>) {
    let (mut starts, mut reads) = (Vec::new(), Vec::new());
    let mut out: Vec<Duration> = Vec::new();
    let (mut freed, mut asks) = (Duration::ZERO, Duration::ZERO);
    let mut waiting = latencies.iter();
    loop {
        while out.len() < n
            && let Some(latency) = waiting.next()
        {
            starts.push(freed);
            out.push(freed + *latency);
        }
        let next = match order {
            Order::Input => 0,
            Order::Completion => (0..out.len()).min_by_key(|index| out[*index]).unwrap_or(0),
        };
        if out.is_empty() {
            return (starts, reads);
        }
        freed = asks.max(out.remove(next));
        reads.push(freed);
        asks = freed + pause;
    }
}

#[test]
fn a_place_that_is_read_free_is_filled_at_once_however_long_the_reader_then_takes() {
    for (seed, order, pause) in (0..40).flat_map(|seed| {
        BOTH.into_iter().flat_map(move |order| [0, 5, 35, 200].map(|pause| (seed, order, ms(pause))))
    }) {
        let latencies = latencies(seed, 7);
        for n in 1..=8 {
            let (starts, reads) = ideal(order, &latencies, n, pause);
            paused(async {
                let recorder = Recorder::new("");
                let mut backend = Backend::new(&recorder);
                for (id, latency) in (0..).zip(&latencies) {
                    backend = backend.on(id, *latency, Outcome::Reply);
                }
                let mut replies = pin!(fetched(order, stream::iter(0..7), n, &backend));
                let (mut read_at, mut positions) = (Vec::new(), Vec::new());
                while let Some((position, settled)) = replies.next().await {
                    assert!(
                        matches!(&settled, Settled::Ok(id) if *id as usize == position),
                        "{position}: {settled:?}"
                    );
                    read_at.push(recorder.now());
                    positions.push(position);
                    sleep(pause).await;
                }
                let calls = backend.calls();
                let started: Vec<Duration> = calls.iter().map(|call| call.started).collect();
                let case = format!("{order:?}, limit {n}, pause {pause:?}, {latencies:?}");
                assert_eq!(started, starts, "starts: {case}");
                assert_eq!(read_at, reads, "reads: {case}");
                for call in &calls {
                    let ended = call.ended.map(|(at, _)| at);
                    assert_eq!(ended, Some(call.started + latencies[call.id as usize]), "stalled: {case}");
                }
                assert_eq!(backend.peak_tasks(), n.min(7), "tasks alive at once: {case}");
                if order == Order::Completion {
                    positions.sort_unstable();
                }
                assert_eq!(positions, [0, 1, 2, 3, 4, 5, 6]);
            });
        }
    }
}

/// What the refill is for: an adapter that fills its places when polled has none to fill while its reader works.
#[test]
fn with_a_limit_of_one_the_next_is_fetched_while_the_reader_works_and_buffered_fetches_nothing() {
    let last_start = |own: bool| {
        paused(async move {
            let backend = Backend::new(&Recorder::new(""));
            let replies = if own {
                fetched(Order::Input, stream::iter(0..3), 1, &backend).map(|_| ()).left_stream()
            } else {
                let backend = backend.clone();
                let spawned = move |id| JoinSet::from_iter([backend.fetch(id)]).join_all();
                stream::iter(0..3).map(spawned).buffered(1).map(|_| ()).right_stream()
            };
            let mut replies = pin!(replies);
            while replies.next().await.is_some() {
                sleep(ms(30)).await;
            }
            backend.calls()[2].started
        })
    };
    assert_eq!((last_start(true), last_start(false)), (ms(40), ms(80)));
}

#[test]
fn as_completed_does_not_wait_for_the_slow_and_in_input_order_does() {
    paused(async {
        for (order, first) in [(Order::Input, (0, 500)), (Order::Completion, (1, 10))] {
            let recorder = Recorder::new("");
            let backend = Backend::new(&recorder).on(0, ms(500), Outcome::Reply);
            let mut replies = pin!(fetched(order, stream::iter(0..9), 2, &backend));
            let (position, _) = replies.next().await.expect("nine are to come");
            assert_eq!((position, recorder.now().as_millis()), first);
        }
    });
}

#[test]
fn an_error_or_a_panic_is_the_outcome_of_its_item_alone() {
    for order in BOTH {
        let run = simulate("", async |recorder| {
            let backend = Backend::new(&recorder)
                .on(1, ms(5), Outcome::Fail)
                .on(2, ms(15), Outcome::Panic)
                .on(3, ms(30), Outcome::Reply);
            fetched(order, stream::iter([0, 1, 2, 3]), 2, &backend).collect::<Vec<_>>().await
        });
        let End::Returned(mut settled) = run.end else { panic!("{:?}", run.end) };
        settled.sort_by_key(|(position, _)| *position);
        let [
            (0, Settled::Ok(0)),
            (1, Settled::Failed(error)),
            (2, Settled::Panicked(panic)),
            (3, Settled::Ok(3)),
        ] = settled.as_slice()
        else {
            panic!("{settled:?}");
        };
        assert_eq!(error, "item 1 is unavailable");
        assert_eq!(panic.message(), "item 2 is cursed");
    }
}

#[test]
fn a_panic_before_the_first_await_costs_no_other_item() {
    let work = |n: u32| {
        assert_ne!(n, 2, "no future for two");
        async move { Ok::<_, ()>(n) }
    };
    let run = simulate("", async |_| {
        let in_order = bounded::in_input_order(stream::iter([1, 2, 3]), limit(2), work);
        let completed = bounded::as_completed(stream::iter([1, 2, 3]), limit(2), work);
        (in_order.collect::<Vec<_>>().await, completed.collect::<Vec<_>>().await)
    });
    let End::Returned((in_order, mut completed)) = run.end else { panic!("{:?}", run.end) };
    completed.sort_by_key(|(position, _)| *position);
    let completed: Vec<_> = completed.into_iter().map(|(_, settled)| settled).collect();
    for settled in [in_order, completed] {
        let [Settled::Ok(1), Settled::Panicked(panic), Settled::Ok(3)] = settled.as_slice() else {
            panic!("{settled:?}");
        };
        assert!(panic.message().contains("no future for two"));
    }
}

#[test]
fn an_endless_source_is_pulled_only_when_there_is_room_and_not_before_the_first_poll() {
    for order in BOTH {
        for pause in [0, 50] {
            paused(async {
                let backend = Backend::new(&Recorder::new("")).on(4, ms(70), Outcome::Reply);
                let pulled = Cell::new(0);
                // It borrows: a source is never sent to another task.
                let source = stream::iter(0..).inspect(|_| pulled.set(pulled.get() + 1));
                let mut replies = pin!(fetched(order, source, 3, &backend));
                sleep(ms(20)).await;
                assert_eq!((pulled.get(), backend.calls().len()), (0, 0), "nobody has asked yet");
                for read in 1..=200 {
                    assert!(replies.next().await.is_some());
                    assert_eq!(pulled.get(), read + 3);
                    sleep(ms(pause)).await;
                    assert_eq!(pulled.get(), read + 3, "pulled while the reader was busy");
                }
            });
        }
    }
}

#[test]
fn a_source_that_has_nothing_yet_holds_up_nothing_that_runs() {
    for order in BOTH {
        paused(async {
            let recorder = Recorder::new("");
            let backend = Backend::new(&recorder).on(0, ms(130), Outcome::Reply);
            // 0 and 1 at once, 2 at 100 ms, the end at 150 ms.
            let source = stream::iter([(0, 0), (0, 1), (100, 2), (50, 3)])
                .then(async |(wait, id)| {
                    sleep(ms(wait)).await;
                    id
                })
                .take_while(|id| ready(*id < 3));
            let mut replies = pin!(fetched(order, source, 4, &backend));
            let mut read = Vec::new();
            while let Some((position, _)) = replies.next().await {
                read.push((position, recorder.now().as_millis()));
            }
            let in_time: [(usize, u128); 3] = match order {
                Order::Input => [(0, 130), (1, 130), (2, 130)],
                Order::Completion => [(1, 10), (2, 110), (0, 130)],
            };
            assert_eq!(read, in_time);
            let started: Vec<_> = backend.calls().iter().map(|call| call.started.as_millis()).collect();
            assert_eq!(started, [0, 0, 100], "item 2 does not wait for the slow one either");
            assert_eq!(recorder.now(), ms(150));
        });
    }
}

#[test]
fn a_reader_may_wait_for_what_the_tasks_hold() {
    for order in BOTH {
        let run = simulate("", async |recorder| {
            // One connection for all: those that fetch, and the loop body.
            let backend = Backend::new(&recorder).places(1);
            let mut replies = pin!(fetched(order, stream::iter(0..6), 3, &backend));
            let mut read = 0;
            while let Some((_, settled)) = replies.next().await {
                assert!(settled.is_ok());
                assert!(backend.fetch(100).await.is_ok());
                read += 1;
            }
            read
        });
        assert_eq!(run.end, End::Returned(6));
        assert_eq!(run.elapsed, ms(120), "twelve calls, one at a time, and never a pause");
    }
}

#[test]
fn a_next_that_is_dropped_loses_nothing() {
    for order in BOTH {
        paused(async {
            let backend = Backend::new(&Recorder::new("")).on(1, ms(35), Outcome::Reply);
            let mut replies = pin!(fetched(order, stream::iter(0..20), 3, &backend));
            let mut read = Vec::new();
            loop {
                // Most of these give up.
                match timeout(ms(3), replies.next()).await {
                    Ok(Some((position, _))) => read.push(position),
                    Ok(None) => break,
                    Err(_) => {}
                }
            }
            if order == Order::Completion {
                read.sort_unstable();
            }
            assert_eq!(read, Vec::from_iter(0..20));
            assert_eq!(backend.calls().len(), 20);
        });
    }
}

#[test]
fn dropped_at_any_await_it_leaves_no_task_and_no_call_behind() {
    for order in BOTH {
        let awaits = every_await(
            || Backend::new(&Recorder::new("")).on(2, ms(70), Outcome::Fail).on(4, ms(3), Outcome::Panic),
            |backend| {
                let backend = backend.clone();
                async move {
                    let mut replies = pin!(fetched(order, stream::iter(0..9), 3, &backend));
                    while replies.next().await.is_some() {
                        sleep(ms(15)).await;
                    }
                }
            },
            async |backend| match (backend.in_flight(), backend.calls()) {
                (0, calls) if calls.iter().all(|call| call.ended.is_some()) => Ok(()),
                (n, _) => Err(format!("{n} calls in flight")),
            },
        );
        assert!(awaits.unwrap() >= 12);
    }
}

#[test]
fn when_the_stream_is_dropped_no_task_is_polled_again() {
    for order in BOTH {
        paused(async {
            let backend = Backend::new(&Recorder::new("")).on(0, ms(10), Outcome::Reply).latency(ms(90));
            let mut replies = Box::pin(fetched(order, stream::iter(0..), 3, &backend));
            assert!(replies.next().await.is_some());
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 3);
            drop(replies);
            // No time passes here, only what was aborted goes.
            assert_eq!(tasks_left().await, 0);
            assert_eq!(backend.in_flight(), 0);
            assert_eq!(backend.calls().len(), 3, "the fourth had its task, and never got its turn");
        });
    }
}

#[test]
fn nothing_in_gives_nothing_out_and_an_end_is_an_end() {
    paused(async {
        let work = async |n: u32| Ok::<_, ()>(n);
        let mut none = bounded::in_input_order(stream::iter([]), limit(3), work);
        assert!(!none.is_terminated());
        assert!(none.next().await.is_none());
        assert!(none.is_terminated());
        // This one would begin again if it were asked once more.
        let mut turns = 0;
        let again = stream::poll_fn(move |_| {
            turns += 1;
            std::task::Poll::Ready((turns % 3 != 0).then_some(turns))
        });
        let mut two = bounded::as_completed(again, limit(3), work);
        for left in [2, 1] {
            assert!(!two.is_terminated());
            assert!(two.next().await.is_some());
            assert_eq!(two.size_hint().0, left - 1);
        }
        assert!(two.is_terminated());
        assert!(two.next().await.is_none());
        assert!(two.next().await.is_none());
    });
}

#[test]
fn the_size_hint_counts_what_is_out() {
    paused(async {
        let mut five = bounded::in_input_order(stream::iter(0..5), limit(3), async |n: u32| Ok::<_, ()>(n));
        for left in (0..=5).rev() {
            assert_eq!(five.size_hint(), (left, Some(left)));
            assert_eq!(five.next().await.is_some(), left > 0);
        }
        let endless = stream::repeat(1);
        let mut endless = bounded::as_completed(endless, limit(3), async |n: u32| Ok::<_, ()>(n));
        assert!(endless.next().await.is_some());
        assert_eq!(endless.size_hint(), (usize::MAX, None));
    });
}

#[test]
fn tasks_of_a_runtime_that_has_gone_are_cancelled() {
    let mut naps = pin!(bounded::in_input_order(stream::iter([1, 2]), limit(1), async |n: u32| {
        sleep(ms(50)).await;
        Ok::<_, ()>(n)
    }));
    paused(async { assert!(timeout(ms(10), naps.next()).await.is_err()) });
    paused(async {
        assert!(matches!(naps.next().await, Some(Settled::Cancelled)));
        assert!(matches!(naps.next().await, Some(Settled::Ok(2))));
    });
}

#[test]
fn it_can_be_read_in_a_task_and_runs_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let alive = Arc::new(AtomicUsize::new(0));
        let peak = Arc::new(AtomicUsize::new(0));
        let work = |alive: Arc<AtomicUsize>, peak: Arc<AtomicUsize>| {
            move |n: u32| {
                let (alive, peak) = (alive.clone(), peak.clone());
                async move {
                    peak.fetch_max(alive.fetch_add(1, Relaxed) + 1, Relaxed);
                    tokio::task::yield_now().await;
                    alive.fetch_sub(1, Relaxed);
                    if n.is_multiple_of(7) { Err(n) } else { Ok(n) }
                }
            }
        };
        let right = |place: usize, settled: &Settled<u32, u32>| match settled {
            Settled::Ok(n) => *n as usize == place,
            Settled::Failed(n) => *n as usize == place && n.is_multiple_of(7),
            _ => false,
        };
        let in_order =
            bounded::in_input_order(stream::iter(0..2000), limit(4), work(alive.clone(), peak.clone()));
        let completed =
            bounded::as_completed(stream::iter(0..2000), limit(4), work(alive.clone(), peak.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(in_order.enumerate().all(move |(place, settled)| ready(right(place, &settled))));
        tasks.spawn(completed.all(move |(place, settled)| ready(right(place, &settled))));
        while let Some(joined) = tasks.join_next().await {
            assert!(joined.unwrap());
        }
        assert!(peak.load(Relaxed) <= 2 * 4, "two streams, each with its own limit");
    });
}

/// Fifty calls behind three permits: how many were in flight at once, and how many tasks.
fn with_permits(run: impl AsyncFnOnce(Backend, Arc<Semaphore>, &mut JoinSet<()>)) -> (usize, usize) {
    paused(async {
        let backend = Backend::new(&Recorder::new(""));
        let mut tasks = JoinSet::new();
        run(backend.clone(), Arc::new(Semaphore::new(3)), &mut tasks).await;
        tasks.join_all().await;
        assert_eq!(backend.calls().len(), 50);
        (backend.peak(), backend.peak_tasks())
    })
}

#[test]
fn a_permit_bounds_tasks_too_only_if_taken_before_the_spawn_and_moved_into_the_task() {
    let right = with_permits(async |backend, permits, tasks| {
        // ANCHOR: permit
        for id in 0..50 {
            let permit = permits.clone().acquire_owned().await;
            let call = backend.fetch(id);
            tasks.spawn(async move {
                drop(call.await);
                drop(permit);
            });
        }
        // ANCHOR_END: permit
    });
    assert_eq!(right, (3, 3));

    let inside_the_task = with_permits(async |backend, permits, tasks| {
        for id in 0..50 {
            let (permits, call) = (permits.clone(), backend.fetch(id));
            tasks.spawn(async move {
                let _permit = permits.acquire().await;
                drop(call.await);
            });
        }
    });
    assert_eq!(inside_the_task, (3, 50));

    let not_moved = with_permits(async |backend, permits, tasks| {
        for id in 0..50 {
            let _permit = permits.acquire().await;
            let call = backend.fetch(id);
            tasks.spawn(async move { drop(call.await) });
        }
    });
    assert_eq!(not_moved, (50, 50));

    #[expect(let_underscore_drop, reason = "it is the mistake that this is about")]
    let not_bound = with_permits(async |backend, permits, tasks| {
        for id in 0..50 {
            let (permits, call) = (permits.clone(), backend.fetch(id));
            tasks.spawn(async move {
                let _ = permits.acquire().await;
                drop(call.await);
            });
        }
    });
    assert_eq!(not_bound, (50, 50));
}
