//! What `select` promises.

use concurrency::{
    Event, Events,
    select::{ForwardError, Signal, forward},
};
use futures_util::FutureExt as _;
use std::{
    future::{pending, ready},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use testing::{every_await, sim};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinSet, yield_now},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A channel that was filled with 0, 1, 2 ...
fn filled(n: u32) -> (mpsc::Sender<u32>, mpsc::Receiver<u32>) {
    let (send, items) = mpsc::channel(n as usize + 8);
    for item in 0..n {
        send.try_send(item).expect("there is room");
    }
    (send, items)
}

/// Letters for events: `s`top, `t`ick, `i`tem.
const fn letter(event: Event<u32>) -> char {
    match event {
        Event::Stop => 's',
        Event::Tick => 't',
        Event::Item(_) => 'i',
    }
}

#[test]
fn every_item_comes_once_and_in_order_and_then_nothing() {
    sim(async |_| {
        let (send, items) = filled(300);
        drop(send);
        let mut events = Events::new(items, pending()).every(ms(7));
        let (mut seen, mut ticks) = (Vec::new(), 0);
        while let Some(event) = events.next().await {
            match event {
                Event::Item(item) => {
                    sleep(ms(u64::from(item) % 4)).await;
                    seen.push(item);
                }
                Event::Tick => ticks += 1,
                Event::Stop => panic!("nobody asked for it"),
            }
        }
        assert_eq!(seen, (0..300).collect::<Vec<_>>());
        assert!(ticks > 40);
        assert_eq!(events.next().await, None, "and so it stays");
    });
}

#[test]
fn the_stop_comes_first_and_closes_the_channel_and_what_was_accepted_still_comes() {
    sim(async |sim| {
        let (send, items) = filled(5);
        let (stop, stopped) = oneshot::channel::<()>();
        let mut events = Events::new(items, stopped.map(drop)).every(ms(10));
        assert_eq!(events.next().await, Some(Event::Item(0)));
        sleep(ms(50)).await;
        // A tick, an item and the stop are due.
        stop.send(()).unwrap();
        assert!(!send.is_closed());
        assert_eq!(events.next().await, Some(Event::Stop));
        assert_eq!(send.send(9).await.unwrap_err().0, 9, "the sender has its item back");
        sleep(ms(50)).await;
        let mut rest = Vec::new();
        while let Some(event) = events.next().await {
            rest.push(event);
        }
        assert_eq!(rest, [1, 2, 3, 4].map(Event::Item), "and no ticks");
        sim.settle().await;
    });
}

#[test]
fn a_channel_that_is_never_empty_delays_the_stop_by_one_item_and_a_tick_by_one() {
    sim(async |_| {
        let (send, items) = filled(4);
        let mut events = Events::new(items, sleep(ms(995))).every(ms(100));
        let (start, mut ticks) = (Instant::now(), Vec::new());
        loop {
            match events.next().await.unwrap() {
                Event::Item(item) => {
                    sleep(ms(30)).await;
                    send.try_send(item).unwrap();
                }
                Event::Tick => ticks.push(start.elapsed()),
                Event::Stop => break,
            }
        }
        assert_eq!(start.elapsed(), ms(1020), "the item that had begun at 990 ms");
        assert!(ticks.len() >= 7, "{ticks:?}");
        let mut before = Duration::ZERO;
        for tick in ticks {
            assert!((ms(100)..=ms(130)).contains(&(tick - before)), "from {before:?} to {tick:?}");
            before = tick;
        }
    });
}

#[test]
fn ticks_that_take_longer_than_their_period_do_not_starve_the_items() {
    sim(async |_| {
        let (_send, items) = filled(6);
        let mut events = Events::new(items, pending()).every(ms(10));
        sleep(ms(15)).await;
        let mut order = String::new();
        for _ in 0..10 {
            let event = events.next().await.unwrap();
            if event == Event::Tick {
                sleep(ms(25)).await;
            }
            order.push(letter(event));
        }
        assert_eq!(order, "titititit".to_owned() + "i");
    });
}

#[test]
fn missed_ticks_are_not_made_up_for() {
    // The second: what the page says of the default.
    for ours in [true, false] {
        sim(async move |_| {
            let (_send, items) = filled(1);
            let mut events = Events::new(items, pending()).every(ms(100));
            let mut plain = interval(ms(100));
            plain.tick().await;
            assert_eq!(events.next().await, Some(Event::Item(0)));
            sleep(ms(550)).await;
            let mut at = Vec::new();
            for _ in 0..6 {
                if ours {
                    assert_eq!(events.next().await, Some(Event::Tick));
                } else {
                    plain.tick().await;
                }
                at.push(Instant::now());
            }
            let at: Vec<u128> = at.iter().map(|tick| (*tick - at[0]).as_millis()).collect();
            if ours {
                assert_eq!(at, [0, 100, 200, 300, 400, 500]);
            } else {
                assert_eq!(at, [0, 0, 0, 0, 0, 50], "five at once");
            }
        });
    }
}

#[test]
fn without_ticks_there_are_none_and_the_first_comes_after_a_period() {
    sim(async |_| {
        let (_send, items) = filled(0);
        let start = Instant::now();
        let mut events = Events::new(items, sleep(ms(500)));
        assert_eq!((events.next().await, start.elapsed()), (Some(Event::Stop), ms(500)));
        let (_send, items) = filled(0);
        let mut events = Events::new(items, pending()).every(ms(100));
        assert_eq!((events.next().await, start.elapsed()), (Some(Event::Tick), ms(600)));
    });
}

#[test]
fn a_stop_that_is_there_to_begin_with_comes_before_any_item() {
    sim(async |_| {
        let (_send, items) = filled(2);
        let mut events = Events::new(items, ready(()));
        let mut order = String::new();
        while let Some(event) = events.next().await {
            order.push(letter(event));
        }
        assert_eq!(order, "sii");
    });
}

#[test]
fn the_end_of_the_channel_is_the_end_also_while_it_waits() {
    sim(async |sim| {
        let (send, items) = filled(0);
        let mut events = Events::new(items, pending()).every(ms(1000));
        let sender = sim.spawn("sender", async move {
            sleep(ms(10)).await;
            drop(send);
        });
        let start = Instant::now();
        assert_eq!((events.next().await, start.elapsed()), (None, ms(10)));
        sender.await.unwrap();
    });
}

#[test]
fn signals_come_while_items_wait_and_take_none() {
    sim(async |_| {
        let (send, items) = filled(3);
        let mut events = Events::new(items, sleep(ms(25))).every(ms(10));
        assert_eq!(events.signal().await, Signal::Tick);
        assert_eq!(events.signal().await, Signal::Tick);
        assert_eq!(events.signal().await, Signal::Stop);
        assert!(send.is_closed());
        assert!(timeout(ms(100), events.signal()).await.is_err(), "once");
        for item in 0..3 {
            assert_eq!(events.next().await, Some(Event::Item(item)));
        }
        assert_eq!(events.next().await, None);
    });
}

#[test]
fn given_up_again_and_again_nothing_is_lost() {
    for impatience in 1..12 {
        sim(async move |sim| {
            let (send, items) = mpsc::channel(2);
            let sender = sim.spawn("sender", async move {
                for item in 0..20 {
                    sleep(ms(item % 5)).await;
                    send.send(item).await.unwrap();
                }
            });
            let mut events = Events::new(items, sleep(ms(1_000_000))).every(ms(6));
            let (mut seen, mut ticks) = (Vec::new(), 0);
            while seen.len() < 20 {
                match timeout(ms(impatience), events.next()).await {
                    Ok(Some(Event::Item(item))) => seen.push(item),
                    Ok(Some(Event::Tick)) => ticks += 1,
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => {}
                }
            }
            assert_eq!(seen, (0..20).collect::<Vec<_>>());
            assert!(ticks >= 4, "{ticks} ticks");
            sender.await.unwrap();
        });
    }
}

type Seen = Arc<(tokio::sync::Mutex<Events<u32>>, Mutex<String>)>;

fn five() -> Seen {
    let (send, items) = filled(5);
    let stop = async move {
        sleep(ms(45)).await;
        // Open until then: it is the stop that closes the channel.
        drop(send);
    };
    Arc::new((tokio::sync::Mutex::new(Events::new(items, stop).every(ms(10))), Mutex::default()))
}

fn push(seen: &Seen, event: Event<u32>) {
    seen.1.lock().unwrap_or_else(PoisonError::into_inner).push(letter(event));
}

#[test]
fn dropped_at_any_await_it_leaves_every_event_for_the_next_call() {
    let read = |seen: &Seen| {
        let seen = seen.clone();
        async move {
            while let Some(event) = { seen.0.lock().await.next().await } {
                push(&seen, event);
                // The handler; dropped here, nothing is in its hand.
                sleep(ms(12)).await;
            }
        }
    };
    let rest = async |seen: Seen| {
        while let Some(event) = { seen.0.lock().await.next().await } {
            push(&seen, event);
        }
        let seen = seen.1.lock().map_err(|error| error.to_string())?.clone();
        let count = |wanted| seen.chars().filter(|letter| *letter == wanted).count();
        if (count('i'), count('s')) == (5, 1) { Ok(()) } else { Err(seen) }
    };
    assert!(every_await(five, read, rest).unwrap() >= 12);
    let signals = |seen: &Seen| {
        let seen = seen.clone();
        async move {
            loop {
                let signal = seen.0.lock().await.signal().await;
                match signal {
                    Signal::Tick => push(&seen, Event::Tick),
                    Signal::Stop => return push(&seen, Event::Stop),
                }
            }
        }
    };
    assert!(every_await(five, signals, rest).unwrap() >= 4);
}

#[test]
fn forward_passes_on_all_in_order_and_at_the_readers_pace() {
    sim(async |sim| {
        let (from, mut items) = filled(10);
        drop(from);
        let (to, mut out) = mpsc::channel(2);
        let reader = sim.spawn("reader", async move {
            let mut got = Vec::new();
            while let Some(item) = out.recv().await {
                got.push(item);
                sleep(ms(10)).await;
            }
            got
        });
        let start = Instant::now();
        forward(&mut items, &to).await.unwrap();
        // The last was passed on when the eighth was taken; a place for more, when the ninth was.
        assert_eq!(start.elapsed(), ms(80));
        drop(to);
        assert_eq!(reader.await.unwrap(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn forward_takes_nothing_that_it_cannot_pass_on() {
    sim(async |sim| {
        let (_from, mut items) = filled(3);
        let (to, out) = mpsc::channel(1);
        drop(out);
        assert_eq!(forward(&mut items, &to).await, Err(ForwardError::Closed));
        assert_eq!(items.len(), 3);

        // The reader goes while it waits for an item.
        let (from, mut items) = filled(0);
        let (to, out) = mpsc::channel(1);
        let reader = sim.spawn("reader", async move {
            sleep(ms(10)).await;
            drop(out);
        });
        let start = Instant::now();
        assert_eq!(forward(&mut items, &to).await, Err(ForwardError::Closed));
        assert_eq!(start.elapsed(), ms(10));
        from.send(7).await.unwrap();
        assert_eq!(items.recv().await, Some(7));
        reader.await.unwrap();
    });
}

#[test]
fn dropped_at_any_await_forward_leaves_every_item_in_one_of_the_channels() {
    let setup = || {
        let (from, items) = filled(4);
        drop(from);
        let (to, out) = mpsc::channel(1);
        let (items, out) = (Arc::new(tokio::sync::Mutex::new(items)), Arc::new(tokio::sync::Mutex::new(out)));
        (items, to, out, Arc::new(Mutex::new(Vec::new())))
    };
    let awaits = every_await(
        setup,
        |(items, to, out, got)| {
            let (items, to, out, got) = (items.clone(), to.clone(), out.clone(), got.clone());
            async move {
                let pass = async { forward(&mut *items.lock().await, &to).await };
                let read = async {
                    for _ in 0..4 {
                        sleep(ms(5)).await;
                        let item = out.lock().await.recv().await;
                        got.lock().unwrap().extend(item);
                    }
                };
                let (passed, ()) = tokio::join!(pass, read);
                passed.unwrap();
            }
        },
        async |(items, _, out, got)| {
            let mut all = got.lock().map_err(|error| error.to_string())?.clone();
            while let Ok(item) = out.lock().await.try_recv() {
                all.push(item);
            }
            while let Ok(item) = items.lock().await.try_recv() {
                all.push(item);
            }
            if all == [0, 1, 2, 3] { Ok(()) } else { Err(format!("{all:?}")) }
        },
    );
    assert!(awaits.unwrap() >= 6);
}

#[test]
fn select_is_fair_and_biased_is_not() {
    // What the page says of `select!`, in numbers: two channels that always have something.
    sim(async |_| {
        for biased in [false, true] {
            let ((_a, mut first), (_b, mut second)) = (filled(20_000), filled(20_000));
            let mut firsts = 0;
            for _ in 0..10_000 {
                let won = if biased {
                    tokio::select! { biased; _ = first.recv() => 1, _ = second.recv() => 0 }
                } else {
                    tokio::select! { _ = first.recv() => 1, _ = second.recv() => 0 }
                };
                firsts += won;
            }
            if biased {
                assert_eq!(firsts, 10_000);
            } else {
                // Ten standard deviations.
                assert!((4_500..5_500).contains(&firsts), "{firsts} of 10,000");
            }
        }
    });
}

#[test]
fn a_sleep_in_an_arm_of_a_busy_loop_never_ends() {
    sim(async |_| {
        for pinned in [false, true] {
            let (_send, mut items) = filled(50);
            let mut deadline = pin!(sleep(ms(100)));
            let mut seen = 0;
            while seen < 50 {
                let item = if pinned {
                    tokio::select! { biased; () = &mut deadline => None, item = items.recv() => item }
                } else {
                    tokio::select! { biased; () = sleep(ms(100)) => None, item = items.recv() => item }
                };
                let Some(_) = item else { break };
                sleep(ms(10)).await;
                seen += 1;
            }
            assert_eq!(seen, if pinned { 10 } else { 50 });
        }
    });
}

#[test]
fn a_receiver_and_a_lookup_in_one_arm_lose_what_the_ticker_interrupts() {
    // What the page says of the commonest mistake, in numbers.
    sim(async |_| {
        let (send, mut items) = filled(10);
        drop(send);
        let mut ticks = interval(ms(15));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stored = Vec::new();
        loop {
            let receive_and_look_up = async {
                let item = items.recv().await?;
                sleep(ms(10)).await;
                Some(item)
            };
            tokio::select! {
                biased;
                _ = ticks.tick() => {}
                item = receive_and_look_up => match item {
                    Some(item) => stored.push(item),
                    None => break,
                },
            }
        }
        assert_eq!(stored, [0, 2, 4, 6, 8], "five of ten");
    });
}

#[test]
fn it_can_be_spawned_and_loses_nothing_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..50 {
            let (send, items) = mpsc::channel(4);
            let (stop, stopped) = oneshot::channel::<()>();
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                let mut events = Events::new(items, stopped.map(drop)).every(Duration::from_micros(100));
                let mut items = 0;
                while let Some(event) = events.next().await {
                    items += usize::from(matches!(event, Event::Item(_)));
                    yield_now().await;
                }
                items
            });
            let mut senders = JoinSet::new();
            for _ in 0..3 {
                let send = send.clone();
                senders.spawn(async move {
                    let mut accepted = 0;
                    while send.send(1).await.is_ok() {
                        accepted += 1;
                    }
                    accepted
                });
            }
            for _ in 0..20 {
                yield_now().await;
            }
            stop.send(()).unwrap();
            let accepted: usize = senders.join_all().await.into_iter().sum();
            assert_eq!(tasks.join_next().await.unwrap().unwrap(), accepted);
        }
    });
    fn is_send<T: Send>(_: T) {}
    let ((to, mut items), (_from, others)) = (filled(1), filled(1));
    is_send(forward(&mut items, &to));
    let mut events = Events::new(others, pending());
    is_send(pin!(events.next()));
    is_send(pin!(events.signal()));
}
