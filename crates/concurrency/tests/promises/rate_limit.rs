//! What `rate_limit` promises.

use common::clock::paused;
use concurrency::{PerKey, Permit, Rate, RateLimit, rate_limit::Refused};
use std::{
    num::{NonZeroU32, NonZeroUsize},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::{every_await, explore::Exploration, sim, simulate, simulation::End};
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, advance, sleep, timeout},
};

const ONE: NonZeroU32 = NonZeroU32::MIN;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

fn places(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

#[expect(clippy::disallowed_methods, reason = "a few waiters, all at once: the limit is what is tested")]
async fn all_of<F: Future>(waiters: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(waiters).await
}

/// A limit of `rate` a second.
fn limit(rate: u32, burst: u32, at_once: usize) -> RateLimit {
    RateLimit::new(Rate::per_second(n(rate)).burst(n(burst)), places(at_once))
}

/// When requests began, and how heavy they were, in this order.
type Begun = Vec<(Duration, u32)>;

/// The heaviest that a stretch of time was beyond what it may be.
fn excess(begun: &Begun, rate: u32, burst: u32) -> Option<String> {
    for (at, (from, _)) in begun.iter().enumerate() {
        let mut weight = 0;
        for (to, more) in &begun[at..] {
            weight += u128::from(*more);
            let stretch = (*to - *from).as_nanos();
            // weight <= burst + rate * stretch, without a division
            if weight.saturating_sub(burst.into()) * 1_000_000_000 > stretch * u128::from(rate) {
                return Some(format!("a weight of {weight} from {from:?} to {to:?}"));
            }
        }
    }
    None
}

/// Requests that come, weigh and take what the seed says.
async fn crowd(limit: &RateLimit, seed: u64, count: usize, burst: u32) -> (Begun, usize) {
    let mut random = random_numbers(seed);
    let (begun, in_flight, peak) =
        (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let start = Instant::now();
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (comes, takes, weight, leaves) =
            (random(600), random(120), 1 + random(u64::from(burst)) as u32, random(5) == 0);
        let (limit, begun, in_flight, peak) = (limit.clone(), begun.clone(), in_flight.clone(), peak.clone());
        requests.spawn(async move {
            sleep(ms(comes)).await;
            let turn = limit.acquire_many(n(weight));
            let permit = if leaves { timeout(ms(takes), turn).await.ok() } else { Some(turn.await) };
            let Some(permit) = permit else { return };
            let permit = permit.expect("no more than a burst");
            begun.lock().expect("nobody panics").push((start.elapsed(), weight));
            peak.fetch_max(in_flight.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(ms(takes)).await;
            in_flight.fetch_sub(1, Relaxed);
            drop(permit);
        });
    }
    while requests.join_next().await.transpose().expect("nobody panics").is_some() {}
    let begun = std::mem::take(&mut *begun.lock().expect("nobody panics"));
    (begun, peak.load(Relaxed))
}

/// Numbers below a limit, from a seed.
fn random_numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below.max(1)
    }
}

#[test]
fn over_every_stretch_of_time_no_more_than_burst_and_rate_and_never_too_many_at_once() {
    let (mut full, mut all) = (0, 0);
    for seed in 0..120_u64 {
        let (rate, burst, at_once) =
            ([7, 10, 33, 100, 300, 900][seed as usize % 6], 1 + seed as u32 % 5, 1 + seed as usize % 4);
        paused(async {
            let limit = limit(rate, burst, at_once);
            let (begun, peak) = crowd(&limit, seed, 40, burst).await;
            assert_eq!(excess(&begun, rate, burst), None, "seed {seed}");
            assert!(peak <= at_once);
            full += usize::from(peak == at_once);
            all += begun.len();
        });
    }
    assert!(full > 60 && all > 3000, "{full} {all}: the cases are too tame");
}

#[test]
fn in_the_long_run_it_reaches_its_rate_whatever_the_requests_take() {
    // Also where the period is no whole number of milliseconds, and above a thousand a second.
    for (rate, burst) in
        [(10, 1), (100, 1), (100, 5), (300, 2), (700, 2), (1_000, 2), (5_000, 6), (20_000, 21)]
    {
        for takes in [0, 250] {
            paused(async {
                let limit = limit(rate, burst, 100_000);
                let start = Instant::now();
                let mut requests = JoinSet::new();
                let count = (rate * 3).min(6_000);
                for _ in 0..count {
                    let permit = limit.acquire().await;
                    requests.spawn(async move {
                        sleep(ms(takes)).await;
                        drop(permit);
                    });
                }
                let took = start.elapsed();
                let ideal = Duration::from_secs(1) * (count - burst) / rate;
                assert!(ideal <= took && took <= ideal + ms(1), "{rate} {burst}: {took:?}, not {ideal:?}");
                requests.detach_all();
            });
        }
    }
}

#[test]
fn after_an_idle_time_of_any_length_it_is_one_burst() {
    for idle in [ms(300), Duration::from_secs(40), Duration::from_secs(1_200)] {
        paused(async {
            let limit = limit(10, 3, 100);
            let mut begun = Vec::new();
            for _ in 0..2 {
                let start = Instant::now();
                for _ in 0..5 {
                    drop(limit.acquire().await);
                    begun.push(start.elapsed());
                }
                advance(idle).await;
            }
            let once = [ms(0), ms(0), ms(0), ms(100), ms(200)];
            assert_eq!(begun, [once, once].concat());
        });
    }
}

#[test]
fn what_is_in_flight_holds_its_place_and_what_is_spent_stays_spent() {
    paused(async {
        let limit = limit(1_000, 10, 2);
        let (first, second) = (limit.acquire().await, limit.acquire().await);
        assert_eq!(limit.try_acquire(ONE).unwrap_err(), Refused::Full { places: 2 });
        assert!(timeout(ms(500), limit.acquire()).await.is_err(), "the rate has room, the places have none");
        drop(first);
        let third = limit.acquire().await;
        drop((second, third));
        // The other way round: places are free again, and the burst is used up.
        let limit = self::limit(2, 2, 2);
        drop((limit.acquire().await, limit.acquire().await));
        assert_eq!(limit.try_acquire(ONE).unwrap_err(), Refused::NotYet { retry_after: ms(500) });
    });
}

#[test]
fn a_place_that_becomes_free_is_filled_at_once() {
    paused(async {
        let limit = limit(1_000, 100, 3);
        let start = Instant::now();
        let mut requests = JoinSet::new();
        for _ in 0..12 {
            let limit = limit.clone();
            requests.spawn(async move {
                let permit = limit.acquire().await;
                sleep(ms(50)).await;
                drop(permit);
            });
        }
        requests.join_all().await;
        assert_eq!(start.elapsed(), ms(200));
    });
}

#[test]
fn tokens_are_not_hoarded_while_waiting_for_a_place() {
    paused(async {
        let limit = limit(10, 1, 1);
        let held = limit.acquire().await;
        let start = Instant::now();
        let waiting = all_of((0..3).map(|_| async {
            drop(limit.acquire().await);
            start.elapsed()
        }));
        let release = async {
            sleep(ms(1000)).await;
            drop(held);
        };
        let (begun, ()) = tokio::join!(waiting, release);
        assert_eq!(begun, [ms(1000), ms(1100), ms(1200)], "evenly, although all have waited for a second");
    });
}

#[test]
fn nobody_overtakes_under_any_schedule() {
    let tried = Exploration::new().seeds(0..300).check(async |schedule| {
        let limit = limit(50, 3, 2);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut requests = Vec::new();
        for k in 0..8_u64 {
            let (limit, order) = (limit.clone(), order.clone());
            requests.push(schedule.spawn(format!("request {k}"), async move {
                // In the queue one after the other, a millisecond apart; some leave it again.
                sleep(ms(k)).await;
                let weight = n(1 + (k % 3) as u32);
                let permit =
                    timeout(ms(if k == 3 || k == 5 { 30 } else { 5_000 }), limit.acquire_many(weight)).await;
                if let Ok(permit) = permit {
                    order.lock().unwrap().push(k);
                    sleep(ms(35)).await;
                    drop(permit);
                }
            }));
            schedule.sim().settle().await;
            sleep(ms(1)).await;
        }
        for request in requests {
            request.await.unwrap();
        }
        let order = order.lock().unwrap().clone();
        assert!(order.is_sorted(), "{order:?}");
        assert!(order.len() >= 6);
    });
    assert_eq!(tried.unwrap(), 300);
}

#[test]
fn who_does_not_want_to_wait_does_not_overtake_who_does() {
    paused(async {
        let limit = limit(10, 2, 10);
        drop((limit.acquire().await, limit.acquire().await));
        let mut heavy = Box::pin(limit.acquire_many(n(2)));
        assert!(timeout(ms(150), &mut heavy).await.is_err());
        // One has come in by now, which would do. But it is not for us.
        assert_eq!(limit.try_acquire(ONE).unwrap_err(), Refused::NotYet { retry_after: ms(300) });
        let start = Instant::now();
        drop(heavy.await.unwrap());
        assert_eq!(start.elapsed(), ms(50));
        sleep(ms(250)).await;
        drop(limit.try_acquire(ONE).expect("it was told to come now"));
    });
}

#[test]
fn retry_after_is_exact_when_nobody_waits() {
    for (rate, weight) in [(4, 1), (10, 3), (50, 2)] {
        paused(async {
            let limit = limit(rate, 3, 10);
            drop(limit.try_acquire(n(3)).expect("a whole burst is there"));
            let Err(Refused::NotYet { retry_after }) = limit.try_acquire(n(weight)) else {
                panic!("a second burst")
            };
            assert_eq!(retry_after, Duration::from_secs(1) * weight / rate);
            advance(retry_after - ms(1)).await;
            assert_eq!(limit.try_acquire(n(weight)).unwrap_err(), Refused::NotYet { retry_after: ms(1) });
            advance(ms(1)).await;
            drop(limit.try_acquire(n(weight)).expect("now it is time"));
        });
    }
}

#[test]
fn a_rate_that_does_not_divide_a_second_is_rather_too_slow_than_too_fast() {
    paused(async {
        for rate in [3, 7, 300, 999_999_999] {
            let limit = limit(rate, 1, 10);
            drop(limit.try_acquire(ONE).expect("nobody was here before"));
            let Err(Refused::NotYet { retry_after }) = limit.try_acquire(ONE) else { panic!("two of one") };
            assert!(
                retry_after * rate >= Duration::from_secs(1)
                    && (retry_after - Duration::from_nanos(1)) * rate < Duration::from_secs(1)
            );
        }
    });
}

#[test]
fn what_can_never_be_is_refused_at_once() {
    paused(async {
        let limit = limit(10, 3, 10);
        let refused = Refused::TooHeavy { weight: n(4), burst: n(3) };
        assert_eq!(limit.acquire_many(n(4)).await.unwrap_err(), refused);
        assert_eq!(limit.try_acquire(n(4)).unwrap_err(), refused);
        assert_eq!(refused.to_string(), "a weight of 4 is more than a burst, 3");
        assert_eq!(
            Refused::NotYet { retry_after: ms(250) }.to_string(),
            "the rate is used up; again in 250ms"
        );
        drop(limit.acquire_many(n(3)).await.expect("a burst"));
    });
}

#[test]
fn a_pause_is_for_everybody_and_is_never_made_shorter() {
    paused(async {
        let limit = limit(10, 2, 10);
        let start = Instant::now();
        let in_flight = async {
            drop(limit.acquire().await);
            drop(limit.acquire().await);
            limit.pause(ms(450));
            limit.pause(ms(50));
        };
        // They wait for the rate already, at 100 ms and later, when the server says no.
        let waiting = all_of((0..4).map(|_| async {
            yield_now().await;
            drop(limit.acquire().await);
            start.elapsed()
        }));
        let ((), begun) = tokio::join!(in_flight, waiting);
        // A burst has come in by then, and goes at once.
        assert_eq!(begun, [ms(450), ms(450), ms(550), ms(650)]);
        limit.pause(ms(30));
        sleep(ms(20)).await;
        assert_eq!(limit.try_acquire(ONE).unwrap_err(), Refused::NotYet { retry_after: ms(10) });
        limit.pause(ms(700));
        assert_eq!(limit.try_acquire(ONE).unwrap_err(), Refused::NotYet { retry_after: ms(700) });
        limit.pause(Duration::MAX);
        assert!(timeout(Duration::from_secs(1_800), limit.acquire()).await.is_err());
    });
}

#[test]
fn a_pause_that_is_made_longer_keeps_those_who_wait_for_its_end() {
    paused(async {
        let limit = limit(10, 2, 10);
        limit.pause(ms(100));
        let longer = async {
            sleep(ms(50)).await;
            limit.pause(ms(200));
        };
        let start = Instant::now();
        let (permit, ()) = tokio::join!(limit.acquire(), longer);
        assert_eq!(start.elapsed(), ms(250));
        drop(permit);
    });
}

#[test]
fn who_leaves_the_queue_costs_nobody_a_turn() {
    // Each of five waits until it is dropped, or not: those who stay begin as if the others had never come.
    for leavers in 0..32_u32 {
        for after in [0, 10, 90, 100, 130] {
            paused(async {
                let limit = limit(10, 1, 10);
                drop(limit.acquire().await);
                let start = Instant::now();
                let begun = all_of((0..5).map(|k| {
                    let limit = &limit;
                    async move {
                        let leaves = leavers >> k & 1 == 1;
                        let permit =
                            timeout(if leaves { ms(after) } else { ms(60_000) }, limit.acquire()).await;
                        permit.is_ok().then(|| start.elapsed())
                    }
                }))
                .await;
                let begun: Vec<_> = begun.into_iter().flatten().collect();
                let evenly: Vec<_> = (1..).take(begun.len()).map(|k| ms(100 * k)).collect();
                assert_eq!(begun, evenly, "{leavers:b} leave after {after}");
                assert!(begun.len() >= 5 - leavers.count_ones() as usize);
            });
        }
    }
}

#[test]
fn dropped_at_any_await_it_gives_back_its_place_and_has_spent_nothing() {
    for heavy in [false, true] {
        let awaits = every_await(
            || {
                let limit = limit(10, 2, 1);
                let used = limit.try_acquire(n(2)).expect("a whole burst is there");
                (limit, Mutex::new(Some(used)), Instant::now())
            },
            |(limit, used, _)| {
                let limit = limit.clone();
                // Its place is given back while the other waits for it; the rate is not.
                let used = used.lock().unwrap().take();
                async move {
                    let release = async {
                        sleep(ms(30)).await;
                        drop(used);
                    };
                    let ask = async {
                        if heavy { limit.acquire_many(n(2)).await.ok() } else { Some(limit.acquire().await) }
                    };
                    drop(tokio::join!(release, ask));
                }
            },
            async |(limit, _, _)| {
                // A minute later: a whole burst, the place, and nobody in the queue.
                let start = Instant::now();
                drop(limit.try_acquire(n(2)).map_err(|refused| refused.to_string())?);
                drop(limit.acquire().await);
                if start.elapsed() == ms(100) { Ok(()) } else { Err(format!("{:?}", start.elapsed())) }
            },
        );
        assert!(awaits.unwrap() >= 2);
    }
}

#[test]
fn a_permit_that_goes_with_a_panic_or_an_abort_gives_its_place_back() {
    let run = simulate("", async |_| {
        let limit = limit(1_000, 10, 1);
        let held = limit.clone();
        let task = async move {
            let _permit = held.acquire().await;
            std::panic::resume_unwind(Box::new("cursed"));
        };
        let panicked: Result<(), _> = futures_util::FutureExt::catch_unwind(AssertUnwindSafe(task)).await;
        assert!(panicked.is_err());
        let held = limit.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _permit = held.acquire().await;
            std::future::pending::<()>().await;
        });
        sleep(ms(10)).await;
        assert_eq!(limit.try_acquire(ONE).unwrap_err(), Refused::Full { places: 1 });
        tasks.shutdown().await;
        limit.try_acquire(ONE).map(drop)
    });
    assert_eq!((run.end, run.leaked), (End::Returned(Ok(())), 0));
}

#[test]
fn one_key_does_not_hold_up_another() {
    paused(async {
        let hosts = PerKey::new(Rate::per_second(n(10)), places(1), places(10));
        let held = hosts.limit("slow").unwrap().acquire().await;
        drop(hosts.limit("quick").unwrap().try_acquire(ONE).expect("another host"));
        // The same key is the same limit.
        assert_eq!(hosts.limit("slow").unwrap().try_acquire(ONE).unwrap_err(), Refused::Full { places: 1 });
        drop(held);
        assert!(matches!(hosts.limit("slow").unwrap().try_acquire(ONE), Err(Refused::NotYet { .. })));
    });
}

#[test]
fn there_are_never_more_keys_than_may_be_and_what_is_in_use_is_not_forgotten() {
    paused(async {
        let hosts = PerKey::new(Rate::per_second(n(10)).burst(n(2)), places(4), places(3));
        let too_many = Refused::TooManyKeys { keys: 3 };
        for used in 0..4 {
            // In flight; waiting; spent; paused: each alone keeps its key.
            let limit = hosts.limit("used").unwrap();
            let (mut permit, mut waiting) = (None::<Permit>, None);
            match used {
                0 => permit = Some(limit.acquire().await),
                1 => {
                    drop(limit.acquire_many(n(2)).await);
                    let limit = limit.clone();
                    let mut turn = Box::pin(async move { limit.acquire_many(n(2)).await });
                    assert!(timeout(ms(1), &mut turn).await.is_err());
                    waiting = Some(turn);
                }
                2 => drop(limit.acquire().await),
                _ => limit.pause(ms(90)),
            }
            drop(limit);
            // The other two are like new, and make room; the third does not.
            let others = [hosts.limit("a").unwrap(), hosts.limit("b").unwrap()];
            assert_eq!(hosts.limit("c").unwrap_err(), too_many, "{used}");
            assert_eq!(hosts.kept(), 3);
            drop(others);
            assert!(hosts.limit("c").is_ok());
            assert_eq!(hosts.kept(), 2);
            drop((permit, waiting));
            // Later it is like new itself.
            sleep(ms(5_000)).await;
            let others = ["d", "e", "f"].map(|key| hosts.limit(key).expect("room"));
            drop(others);
            assert_eq!(hosts.kept(), 3);
        }
    });
}

#[test]
fn that_a_key_was_forgotten_cannot_be_noticed() {
    for seed in 0..40_u64 {
        paused(async {
            // Room for two keys; four come, as often as they like.
            let hosts = PerKey::new(Rate::per_second(n(20)).burst(n(3)), places(2), places(2));
            let (start, mut random) = (Instant::now(), random_numbers(seed));
            let mut begun: Vec<Begun> = vec![Vec::new(); 4];
            for _ in 0..400 {
                let key = random(4) as usize;
                let weight = 1 + random(3) as u32;
                if let Ok(limit) = hosts.limit(key)
                    && let Ok(permit) = limit.try_acquire(n(weight))
                {
                    begun[key].push((start.elapsed(), weight));
                    drop(permit);
                }
                assert!(hosts.kept() <= 2);
                advance(ms(random(60))).await;
            }
            for begun in begun {
                assert!(begun.len() > 10);
                assert_eq!(excess(&begun, 20, 3), None);
            }
        });
    }
}

#[test]
fn clones_are_one_limit_and_nothing_runs_on() {
    sim(async |sim| {
        let limit = limit(10, 1, 10);
        drop(limit.clone().acquire().await);
        let theirs = limit.clone();
        let task = sim.spawn("another", async move { theirs.acquire().await });
        let start = Instant::now();
        drop(task.await.unwrap());
        assert_eq!(start.elapsed(), ms(100));
    });
}

#[test]
fn it_can_be_used_from_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let limit = limit(1_000_000, 1_000, 3);
        let (in_flight, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut requests = JoinSet::new();
        for k in 0..3_000_u64 {
            let (limit, in_flight, peak) = (limit.clone(), in_flight.clone(), peak.clone());
            requests.spawn(async move {
                let turn = limit.acquire();
                let permit = if k % 7 == 0 { timeout(ms(k % 3), turn).await.ok() } else { Some(turn.await) };
                if permit.is_some() {
                    peak.fetch_max(in_flight.fetch_add(1, Relaxed) + 1, Relaxed);
                    yield_now().await;
                    in_flight.fetch_sub(1, Relaxed);
                }
            });
        }
        requests.join_all().await;
        assert!(peak.load(Relaxed) <= 3);
        for _ in 0..3 {
            std::mem::forget(limit.try_acquire(ONE).expect("all places are free again"));
        }
    });
}

#[test]
fn nobody_is_told_that_it_is_full_while_nothing_is_in_flight() {
    let one = NonZeroU32::MIN;
    let limit = RateLimit::new(Rate::per_minute(one), NonZeroUsize::MIN);
    drop(limit.try_acquire(one).expect("nobody has used it"));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..200_000 {
                    let refused = limit.try_acquire(one).expect_err("the rate is used up");
                    assert!(matches!(refused, Refused::NotYet { .. }), "seen: {refused}");
                }
            });
        }
    });
}

#[test]
fn a_burst_of_whatever_size_is_counted() {
    let max = NonZeroU32::MAX;
    for rate in [Rate::per_second(max), Rate::per_minute(NonZeroU32::MIN)] {
        let limit = RateLimit::new(rate.burst(max), NonZeroUsize::MAX);
        let most = match limit.try_acquire(max) {
            Ok(_) => max,
            Err(Refused::TooHeavy { burst, .. }) => burst,
            Err(other) => panic!("seen: {other}"),
        };
        // Whether or not there was one to be had: the arithmetic holds.
        for _ in 0..3 {
            drop(limit.try_acquire(most));
        }
        assert!(matches!(limit.try_acquire(most), Err(Refused::NotYet { .. })));
    }
}
