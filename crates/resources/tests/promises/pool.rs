use common::{
    Recorder,
    clock::paused,
    server::{Call, Outcome, Server, ServerError, Session, What},
};
use futures_util::{FutureExt as _, future::BoxFuture, poll};
use resources::{
    CloseError,
    pool::{Closed, Doing, Limits, Manage, Pool, PoolError, Pooled},
};
use std::{
    convert::Infallible,
    future::pending,
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};
use testing::{every_await, latencies, sim};
use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn size(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// Sessions of a server, named 1, 2, 3 in the order in which they are asked for.
struct Sessions {
    server: Server,
    asked: AtomicUsize,
    /// What is asked before a session is lent again.
    check: bool,
    lost: Arc<Mutex<Vec<String>>>,
}

impl Manage for Sessions {
    type Resource = Session;
    type Error = ServerError;

    async fn create(&self) -> Result<Session, ServerError> {
        let name = (self.asked.fetch_add(1, SeqCst) + 1).to_string();
        self.server.open(&name).await
    }

    async fn recycle(&self, session: &mut Session) -> Result<(), ServerError> {
        if self.check { session.ask(0).await.map(drop) } else { Ok(()) }
    }

    async fn close(&self, session: Session) -> Result<(), ServerError> {
        session.close().await
    }

    fn not_closed(&self, error: CloseError<ServerError>) {
        self.lost.lock().unwrap().push(error.to_string());
    }
}

type SessionPool = Pool<Sessions>;

fn server() -> Server {
    // Sessions that are being opened count, and an opening that is dropped leaves one behind.
    Server::new(&Recorder::new("")).opens_at_once()
}

fn pool_of(server: &Server, limits: Limits, check: bool) -> SessionPool {
    let (server, asked) = (server.clone(), AtomicUsize::new(0));
    Pool::new(Sessions { server, asked, check, lost: Arc::default() }, limits)
}

fn pool(server: &Server, n: usize) -> SessionPool {
    pool_of(server, Limits::new(size(n), ms(1000)), false)
}

/// Exactly `n` can be borrowed, and not one more; everything is closed then.
async fn intact(pool: &SessionPool, server: &Server, n: usize) -> Result<(), String> {
    let mut all = Vec::new();
    for _ in 0..n {
        all.push(
            pool.get().await.map_err(|error| format!("{} can be borrowed, not {n}: {error}", all.len()))?,
        );
    }
    if let Ok(Ok(_)) = timeout(ms(50), pool.get()).await {
        return Err(format!("more than {n} can be borrowed"));
    }
    drop(all);
    let status = pool.status();
    if status.idle != n || !status.taken.is_empty() || status.waiting != 0 {
        return Err(format!("all are idle: {status:?}"));
    }
    let closed = pool.close(ms(100)).await;
    let dropped = server.log().into_iter().filter(|line| line.what == What::Left).count();
    match (closed.taken.len(), server.left_open().len(), dropped, server.peak() <= n) {
        (0, 0, 0, true) => Ok(()),
        _ => Err(format!("{closed:?}, {server:?}, {dropped} dropped, {} at once", server.peak())),
    }
}

#[test]
fn what_is_dropped_is_lent_again_to_whoever_asked_first() {
    sim(async |sim| {
        let server = server();
        let pool = pool(&server, 2);
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..20_u64)
            .map(|n| {
                let (pool, order) = (pool.clone(), order.clone());
                sim.spawn(format!("{n}"), async move {
                    let held = pool.get().await.unwrap();
                    order.lock().unwrap().push(n);
                    sleep(latencies(n, 1)[0]).await;
                    drop(held);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert_eq!(server.opened_so_far(), 2, "two are enough");
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn as_many_as_there_may_be_are_opened_at_the_same_time() {
    sim(async |_| {
        let server = server();
        let (pool, start) = (pool(&server, 3), Instant::now());
        let (a, b, c) = tokio::join!(pool.get(), pool.get(), pool.get());
        assert_eq!(start.elapsed(), ms(10), "one after the other would be 30 ms");
        let names = [&a, &b, &c].map(|one| one.as_ref().unwrap().name().to_owned());
        assert_eq!(names, ["1", "2", "3"]);
        drop((a, b, c));
        intact(&pool, &server, 3).await.unwrap();
    });
}

#[test]
fn nothing_is_opened_before_it_is_asked_for_or_while_one_is_idle() {
    sim(async |_| {
        let server = server();
        let pool = pool(&server, 3);
        drop(pool.get());
        sleep(ms(100)).await;
        assert_eq!(server.opened_so_far(), 0);
        for _ in 0..5 {
            drop(pool.get().await.unwrap());
        }
        assert_eq!(server.opened_so_far(), 1);
    });
}

#[test]
fn the_one_last_used_is_lent_first() {
    sim(async |_| {
        let pool = pool(&server(), 2);
        let (one, two) = tokio::join!(pool.get(), pool.get());
        drop(one);
        drop(two);
        assert_eq!(pool.get().await.unwrap().name(), "2");
    });
}

#[test]
fn a_place_that_comes_back_is_taken_in_the_same_moment() {
    sim(async |sim| {
        let server = server();
        let pool = pool(&server, 1);
        let held = pool.get().await.unwrap();
        let waiter = pool.clone();
        let waiter = sim.spawn("waiter", async move {
            drop(waiter.get().await.unwrap());
            Instant::now()
        });
        sleep(ms(30)).await;
        let back = Instant::now();
        drop(held);
        assert_eq!(waiter.await.unwrap(), back);
    });
}

/// Polls what it wakes in the very moment, as another thread might: whatever comes after the wake-up comes too late.
struct AtOnce(Mutex<Option<BoxFuture<'static, ()>>>);

impl Wake for AtOnce {
    fn wake(self: Arc<Self>) {
        if let Some(mut woken) = self.0.lock().unwrap().take() {
            assert!(woken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
    }
}

#[test]
fn whoever_is_woken_by_a_place_finds_what_came_back_with_it() {
    sim(async |_| {
        let opened = Arc::new(AtomicUsize::new(0));
        let theirs = opened.clone();
        let open = move || std::future::ready(Ok::<_, Infallible>(theirs.fetch_add(1, SeqCst)));
        let pool = Pool::new(open, Limits::new(size(1), ms(50)));
        let (held, theirs) = (pool.get().await.unwrap(), pool.clone());
        let mut next = async move { assert_eq!(*theirs.get().await.unwrap(), 0) }.boxed();
        let at_once = Arc::new(AtOnce(Mutex::new(None)));
        let waker = Waker::from(at_once.clone());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        *at_once.0.lock().unwrap() = Some(next);
        drop(held);
        assert!(at_once.0.lock().unwrap().is_none(), "it was woken");
        assert_eq!(opened.load(SeqCst), 1);
    });
}

#[test]
fn never_more_exist_than_there_may_be_whatever_becomes_of_their_users() {
    for seed in 0..40 {
        sim(async move |sim| {
            let n = 1 + (seed % 4) as usize;
            let mut server = server();
            for name in 1..60_u32 {
                let drawn = latencies(seed * 100 + u64::from(name), 3);
                let outcome = |n: u32| match (name + n) % 5 {
                    0 => Outcome::Fail,
                    1 => Outcome::Panic,
                    _ => Outcome::Done,
                };
                let name = name.to_string();
                server = server
                    .on(Call::Open, &name, drawn[0], outcome(0))
                    .on(Call::Ask, &name, drawn[1] / 4, outcome(2))
                    .on(Call::Close, &name, drawn[2], outcome(3));
            }
            let limits =
                Limits { idle: Some(ms(60)), lifetime: Some(ms(400)), ..Limits::new(size(n), ms(3000)) };
            let pool = pool_of(&server, limits, seed % 2 == 0);
            sim.expect_panic("is cursed");
            let users: Vec<_> = (0..30_u64)
                .map(|user| {
                    let pool = pool.clone();
                    sim.spawn(format!("{user}"), async move {
                        let drawn = latencies(seed * 1000 + user, 3);
                        sleep(drawn[0]).await;
                        let work = async {
                            match user % 3 {
                                0 => drop(pool.with(async |one| one.ask(1).await).await),
                                1 => {
                                    if let Ok(mut one) = pool.get().await {
                                        one.ask(1).await.ok();
                                    }
                                }
                                _ => {
                                    if let Ok(mut one) = pool.get().await
                                        && one.ask(1).await.is_err()
                                    {
                                        one.mark_broken();
                                    }
                                }
                            }
                        };
                        timeout(drawn[1] + drawn[2], work).await.ok();
                    })
                })
                .collect();
            for user in users {
                // Some panic, with the server.
                user.await.ok();
            }
            sleep(ms(1000)).await;
            let status = pool.status();
            assert!(server.peak() <= n, "{} at once, of {n}", server.peak());
            assert!(status.taken.is_empty() && status.waiting == 0 && status.idle <= n, "{status:?}");
            assert!(pool.close(ms(1000)).await.taken.is_empty());
            assert_eq!(server.left_open(), Vec::<String>::new());
            assert!(server.log().iter().all(|line| line.what != What::Left));
        });
    }
}

#[test]
fn dropped_at_any_await_no_place_is_lost_and_nothing_half_open_left() {
    for check in [false, true] {
        let awaits = every_await::with_io(
            async || {
                let quick = |server: Server, name: &str| {
                    [Call::Open, Call::Ask, Call::Close]
                        .into_iter()
                        .fold(server, |server, call| server.on(call, name, ms(1), Outcome::Done))
                };
                let server = ["1", "2", "3", "4", "5"].into_iter().fold(server(), quick);
                let pool = pool_of(&server, Limits::new(size(1), ms(60_000)), check);
                (server, pool)
            },
            |(_, pool)| {
                let pool = pool.clone();
                async move {
                    let mut one = pool.get().await.unwrap();
                    one.ask(1).await.unwrap();
                    drop(one);
                    pool.with(async |one| one.ask(2).await).await.unwrap().unwrap();
                    drop(pool.get().await.unwrap());
                }
            },
            async |(server, pool)| {
                let one = pool.get().await.map_err(|error| error.to_string())?;
                if poll!(pin!(pool.get())).is_ready() {
                    return Err(String::from("two of one"));
                }
                drop(one);
                let closed = pool.close(ms(60_000)).await;
                let dropped = server.log().iter().filter(|line| line.what == What::Left).count();
                match (closed.taken.len(), server.left_open().len(), dropped, server.peak()) {
                    (0, 0, 0, 1) => Ok(()),
                    _ => Err(format!("{closed:?}, {server:?}, {dropped} dropped, {} at once", server.peak())),
                }
            },
        );
        assert!(awaits.unwrap() >= 4);
    }
}

#[test]
fn a_waiter_that_leaves_loses_no_place_and_lets_the_next_one_go_first() {
    let awaits = every_await(
        || Pool::new(|| std::future::ready(Ok::<_, Infallible>(7)), Limits::new(size(1), ms(60_000))),
        |pool| {
            let pool = pool.clone();
            async move {
                let held = pool.get().await.unwrap();
                let (second, third) = (pool.get(), pool.with(async |_| ()));
                let (mut second, mut third) = (pin!(second), pin!(third));
                assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
                drop(held);
                drop(second.await);
                third.await.unwrap();
            }
        },
        async |pool| {
            let held = pool.get().await.map_err(|error| error.to_string())?;
            let more = poll!(pin!(pool.get())).is_ready();
            drop(held);
            let status = pool.status();
            let kept = !more && status.taken.is_empty() && (status.idle, status.waiting) == (1, 0);
            if kept { Ok(()) } else { Err(format!("more: {more}, {status:?}")) }
        },
    );
    assert!(awaits.unwrap() >= 3);
    for leaves in 1..4_u64 {
        sim(async move |sim| {
            let server = server();
            let pool = pool(&server, 1);
            let held = pool.get().await.unwrap();
            let served = Arc::new(Mutex::new(Vec::new()));
            let tasks: Vec<_> = (1..=4_u64)
                .map(|n| {
                    let (pool, served) = (pool.clone(), served.clone());
                    sim.spawn(format!("{n}"), async move {
                        let limit = if n <= leaves { ms(n * 5) } else { ms(900) };
                        if let Ok(Ok(one)) = timeout(limit, pool.get()).await {
                            served.lock().unwrap().push((n, Instant::now()));
                            drop(one);
                        }
                    })
                })
                .collect();
            sleep(ms(40)).await;
            let back = Instant::now();
            drop(held);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*served.lock().unwrap(), (leaves + 1..=4).map(|n| (n, back)).collect::<Vec<_>>());
            intact(&pool, &server, 1).await.unwrap();
        });
    }
}

#[test]
fn who_leaves_while_one_is_opened_leaves_it_to_the_next() {
    for after in 0..10 {
        sim(async move |_| {
            let server = server();
            let (pool, start) = (pool(&server, 1), Instant::now());
            assert!(timeout(ms(after), pool.get()).await.is_err());
            let next = pool.get().await.unwrap();
            assert_eq!((next.name(), start.elapsed()), ("1", ms(10)), "not opened a second time");
            drop(next);
            intact(&pool, &server, 1).await.unwrap();
        });
    }
}

#[test]
fn what_is_opened_for_nobody_becomes_idle() {
    sim(async |_| {
        let server = server();
        let pool = pool(&server, 2);
        assert!(timeout(ms(5), pool.get()).await.is_err());
        assert_eq!(pool.status().taken[0].doing, Doing::Opening);
        sleep(ms(5)).await;
        yield_now().await;
        let status = pool.status();
        assert_eq!((status.idle, status.taken.len()), (1, 0));
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn an_opening_that_fails_panics_or_hangs_costs_no_place_and_the_next_one_has_it_at_once() {
    for (outcome, at, what) in [
        (Outcome::Fail, 10, "it could not be opened: the server could not open 1"),
        (Outcome::Panic, 10, "opening it panicked: 1 is cursed"),
        (Outcome::Hang, 70, "it was not opened within 70ms"),
    ] {
        sim(async move |sim| {
            let server = server().on(Call::Open, "1", ms(10), outcome);
            let limits = Limits { open: ms(70), ..Limits::new(size(1), ms(1000)) };
            let (pool, start) = (pool_of(&server, limits, false), Instant::now());
            let theirs = pool.clone();
            let next = async move {
                let one = theirs.get().await.unwrap();
                (one.name().to_owned(), start.elapsed())
            };
            let (told, next) = tokio::join!(pool.get(), sim.spawn("next", next));
            let told = told.err().unwrap();
            match outcome {
                Outcome::Fail => {
                    assert!(matches!(&told, PoolError::NotOpened(error) if error.session == "1"));
                }
                Outcome::Panic => assert!(matches!(told, PoolError::OpeningPanicked { .. })),
                _ => assert!(matches!(told, PoolError::OpeningTimedOut { limit } if limit == ms(70))),
            }
            assert_eq!(told.to_string(), what);
            assert_eq!(next.unwrap(), (String::from("2"), ms(at + 10)));
        });
    }
}

#[test]
fn a_panic_before_the_first_await_of_an_opening_is_an_error_too() {
    sim(async |sim| {
        sim.expect_panic("out of");
        let fail = || -> std::future::Ready<Result<u8, Infallible>> { panic!("out of ideas") };
        let pool = Pool::new(fail, Limits::new(size(1), ms(50)));
        for _ in 0..3 {
            let told = pool.get().await.unwrap_err();
            assert_eq!(told.to_string(), "opening it panicked: out of ideas");
        }
    });
}

#[test]
fn what_a_panic_went_through_is_closed_and_not_lent_again() {
    for with in [false, true] {
        sim(async move |sim| {
            sim.expect_panic("in the middle");
            let server = server();
            let (pool, start) = (pool(&server, 1), Instant::now());
            let theirs = pool.clone();
            let user = sim.spawn("user", async move {
                if with {
                    let body = async |_: &mut Pooled<Sessions>| -> () { panic!("in the middle") };
                    drop(theirs.with(body).await);
                } else {
                    let _one = theirs.get().await.unwrap();
                    panic!("in the middle");
                }
            });
            assert!(user.await.unwrap_err().is_panic());
            let next = pool.get().await.unwrap();
            // Opened, closed, and only then opened again: there may be one.
            assert_eq!((next.name(), start.elapsed(), server.peak()), ("2", ms(30), 1));
            drop(next);
            intact(&pool, &server, 1).await.unwrap();
        });
    }
}

#[test]
fn borrowed_by_a_destructor_while_a_panic_goes_on_it_is_lent_again() {
    type Opened = std::future::Ready<Result<u8, Infallible>>;
    struct Asks(Pool<fn() -> Opened>);
    impl Drop for Asks {
        fn drop(&mut self) {
            drop(self.0.get().now_or_never().unwrap().unwrap());
        }
    }
    let runtime = common::clock::paused_runtime();
    let _inside = runtime.enter();
    let open: fn() -> Opened = || std::future::ready(Ok(7));
    let pool = Pool::new(open, Limits::new(size(1), ms(50)));
    let asks = Asks(pool.clone());
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _asks = asks;
        std::panic::resume_unwind(Box::new("not its fault"));
    }));
    assert!(panicked.is_err());
    assert_eq!(pool.status().idle, 1);
}

#[test]
fn a_body_that_is_dropped_in_the_middle_leaves_nothing_half_asked_behind() {
    sim(async |_| {
        let server = server();
        let pool = pool(&server, 1);
        let body = pool.with(async |one| one.ask(1).await);
        assert!(timeout(ms(15), body).await.is_err());
        assert_eq!(pool.status().taken[0].doing, Doing::Closing);
        assert_eq!(pool.get().await.unwrap().name(), "2");
        // A plain guard tells nothing of what its owner was about.
        let mut plain = pool.get().await.unwrap();
        assert!(timeout(ms(5), plain.ask(1)).await.is_err());
        drop(plain);
        assert_eq!(pool.get().await.unwrap().name(), "2");
        // Caught outside, a panic leaves a future that is dropped later, when nothing panics any more.
        let mut body = Box::pin(pool.with(async |_| -> () { std::panic::resume_unwind(Box::new("caught")) }));
        assert!(AssertUnwindSafe(&mut body).catch_unwind().await.is_err());
        drop(body);
        assert_eq!(pool.get().await.unwrap().name(), "3");
        intact(&pool, &server, 1).await.unwrap();
    });
}

#[test]
fn a_body_that_ends_gives_back_whatever_its_value_is() {
    sim(async |_| {
        let server = server().on(Call::Ask, "1", ms(10), Outcome::Fail);
        let pool = pool(&server, 1);
        let told = pool.with(async |one| one.ask(1).await).await.unwrap();
        assert_eq!(told.unwrap_err().call, Call::Ask);
        assert_eq!(pool.status().idle, 1);
        intact(&pool, &server, 1).await.unwrap();
    });
}

#[test]
fn what_is_marked_as_broken_is_closed_and_keeps_its_place_until_then() {
    sim(async |_| {
        let server = server().on(Call::Close, "1", ms(40), Outcome::Done);
        let (pool, start) = (pool(&server, 1), Instant::now());
        pool.with(async |one| one.mark_broken()).await.unwrap();
        let second = pool.get().await.unwrap();
        assert_eq!((second.name(), start.elapsed(), server.peak()), ("2", ms(10 + 40 + 10), 1));
        drop(second);
        intact(&pool, &server, 1).await.unwrap();
    });
}

#[test]
fn what_is_taken_out_is_the_callers_and_its_place_is_free_at_once() {
    sim(async |_| {
        let server = server();
        let pool = pool(&server, 1);
        let mine = pool.get().await.unwrap().take();
        assert!(pool.status().taken.is_empty());
        drop(pool.get().await.unwrap());
        assert!(pool.close(ms(100)).await.taken.is_empty());
        assert_eq!(server.left_open(), ["1"]);
        mine.close().await.unwrap();
    });
}

#[test]
fn what_fails_its_check_is_closed_and_the_next_one_lent() {
    for (outcome, check_ends) in [(Outcome::Fail, 10), (Outcome::Panic, 10), (Outcome::Hang, 70)] {
        sim(async move |_| {
            let server = server().on(Call::Ask, "1", ms(10), outcome);
            let limits = Limits { open: ms(70), ..Limits::new(size(1), ms(1000)) };
            let pool = pool_of(&server, limits, true);
            drop(pool.get().await.unwrap());
            let start = Instant::now();
            let second = pool.get().await.unwrap();
            // Checked, closed, and another opened in its place.
            assert_eq!((second.name(), start.elapsed()), ("2", ms(check_ends + 10 + 10)));
            assert_eq!((server.peak(), server.left_open()), (1, vec![String::from("2")]));
            drop(second);
            intact(&pool, &server, 1).await.unwrap();
        });
    }
}

#[test]
fn who_leaves_during_the_check_costs_nothing() {
    sim(async |_| {
        let server = server();
        let pool = pool_of(&server, Limits::new(size(1), ms(1000)), true);
        drop(pool.get().await.unwrap());
        let start = Instant::now();
        assert!(timeout(ms(5), pool.get()).await.is_err());
        let next = pool.get().await.unwrap();
        assert_eq!((next.name(), start.elapsed()), ("1", ms(20)), "two checks, one session");
    });
}

#[test]
fn what_is_idle_for_too_long_or_too_old_is_closed_instead_of_lent() {
    sim(async |_| {
        let limits = Limits { idle: Some(ms(50)), lifetime: Some(ms(200)), ..Limits::new(size(2), ms(1000)) };
        let server = server();
        let pool = pool_of(&server, limits, false);
        let name = async || pool.get().await.unwrap().name().to_owned();
        assert_eq!(name().await, "1");
        sleep(ms(50)).await;
        assert_eq!(name().await, "1");
        sleep(ms(51)).await;
        assert_eq!(name().await, "2");
        for _ in 0..4 {
            sleep(ms(45)).await;
            assert_eq!(name().await, "2");
        }
        sleep(ms(45)).await;
        assert_eq!(name().await, "3");
        assert_eq!(server.left_open(), ["3"]);
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn a_closing_that_fails_panics_or_hangs_frees_its_place_and_is_told() {
    for (outcome, at, what) in [
        (Outcome::Fail, 10, "it could not be closed: the server could not close 1"),
        (Outcome::Panic, 10, "closing it panicked: 1 is cursed"),
        (Outcome::Hang, 80, "it was not closed within 80ms"),
    ] {
        sim(async move |_| {
            let server = server().on(Call::Close, "1", ms(10), outcome);
            let limits = Limits { close: ms(80), ..Limits::new(size(1), ms(1000)) };
            let lost = Arc::<Mutex<Vec<String>>>::default();
            let asked = AtomicUsize::new(0);
            let sessions = Sessions { server, asked, check: false, lost: lost.clone() };
            let pool = Pool::new(sessions, limits);
            pool.with(async |one| one.mark_broken()).await.unwrap();
            let start = Instant::now();
            drop(pool.get().await.unwrap());
            assert_eq!(start.elapsed(), ms(at + 10));
            assert_eq!(*lost.lock().unwrap(), [what]);
            assert_eq!((pool.status().not_closed, pool.close(ms(100)).await.not_closed), (1, 1));
        });
    }
}

#[test]
fn a_panic_of_the_one_who_hears_of_a_bad_closing_costs_no_place() {
    struct Loud;
    impl Manage for Loud {
        type Resource = u8;
        type Error = &'static str;
        async fn create(&self) -> Result<u8, &'static str> {
            Ok(7)
        }
        async fn recycle(&self, _: &mut u8) -> Result<(), &'static str> {
            Err("stale")
        }
        async fn close(&self, _: u8) -> Result<(), &'static str> {
            Err("gone")
        }
        fn not_closed(&self, error: CloseError<&'static str>) {
            panic!("{error}");
        }
    }
    sim(async |sim| {
        sim.expect_panic("gone");
        let pool = Pool::new(Loud, Limits::new(size(1), ms(50)));
        for _ in 0..3 {
            pool.get().await.unwrap().mark_broken();
            drop(pool.get().await.unwrap());
        }
        assert!(pool.close(ms(10)).await.taken.is_empty());
    });
}

#[test]
fn a_time_limit_names_who_has_them() {
    sim(async |sim| {
        let server = server().on(Call::Open, "2", ms(90), Outcome::Done);
        let pool = pool_of(&server, Limits::new(size(2), ms(60)), false);
        let line = line!() + 1;
        let first = pool.get().await.unwrap();
        sleep(ms(20)).await;
        let theirs = pool.clone();
        let second = sim.spawn("second", async move { theirs.get().await });
        yield_now().await;
        let mut other = pin!(pool.get());
        assert!(poll!(&mut other).is_pending());
        let start = Instant::now();
        let told = pool.get().await.unwrap_err();
        assert_eq!(start.elapsed(), ms(60));
        let PoolError::TimedOut { limit, size: of, taken, waiting } = &told else { panic!("{told}") };
        assert_eq!((*limit, of.get(), taken.len(), *waiting), (ms(60), 2, 2, 1));
        assert_eq!([taken[0].doing, taken[1].doing], [Doing::InUse, Doing::Opening]);
        assert_eq!((taken[0].asked_at.line(), taken[0].asked_at.file()), (line, file!()));
        let told = told.to_string();
        assert!(
            told.starts_with("nothing became free within 60ms: 2 of 2 taken, 1 more waiting\n"),
            "{told}"
        );
        assert!(told.contains(&format!("in use for 80ms, asked for at {}:{line}:", file!())), "{told}");
        assert!(told.contains("being opened for 60ms, asked for at "), "{told}");
        // Its own opening counts too: it goes on, and is the next one's.
        assert!(matches!(second.await.unwrap(), Err(PoolError::TimedOut { waiting: 1, .. })));
        drop(first);
        // Its time is over as well, but there is a place when it looks.
        drop(other.await.unwrap());
        sleep(ms(60)).await;
        assert_eq!(pool.status().idle, 2);
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn a_long_list_of_holders_is_cut_short_and_not_in_the_value() {
    sim(async |_| {
        let pool = Pool::new(|| async { Ok::<_, Infallible>(()) }, Limits::new(size(8), ms(10)));
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(pool.get().await.unwrap());
        }
        let told = pool.get().await.unwrap_err();
        assert!(matches!(&told, PoolError::TimedOut { taken, .. } if taken.len() == 8));
        let told = told.to_string();
        assert_eq!((told.lines().count(), told.lines().last()), (1 + 5 + 1, Some("  and 3 more")));
    });
}

#[test]
fn a_second_one_in_a_body_is_refused_at_once_and_both_lines_named() {
    sim(async |_| {
        let server = server();
        let (pool, start) = (pool(&server, 2), Instant::now());
        let outer_line = line!() + 1;
        let nested = pool.with(async |_| {
            let inner_line = line!() + 1;
            let with = pool.clone().with(async |_| ()).await.unwrap_err();
            let get = tokio::join!(pool.get(), async {}).0.unwrap_err();
            (with, get, inner_line)
        });
        let (with, get, inner_line) = nested.await.unwrap();
        assert_eq!(start.elapsed(), ms(10), "only the opening took its time");
        let PoolError::Nested { outer, inner } = with else { panic!("{with}") };
        assert_eq!((outer.line(), inner.line(), inner.file()), (outer_line, inner_line, file!()));
        assert!(get.to_string().starts_with(&format!(
            "a second one asked for at {}:{}",
            file!(),
            inner_line + 1
        )));
        // Afterwards nothing is held.
        assert!(pool.with(async |_| ()).await.is_ok());
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn ten_thousand_nested_requests_to_a_pool_of_two_all_end_at_once() {
    sim(async |_| {
        let server = server();
        let (pool, start) = (pool_of(&server, Limits::new(size(2), ms(30_000)), false), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..10_000 {
            let pool = pool.clone();
            tasks.spawn(async move { pool.with(async |_| pool.with(async |_| ()).await).await });
        }
        while let Some(told) = tasks.join_next().await {
            assert!(matches!(told.unwrap().unwrap(), Err(PoolError::Nested { .. })));
        }
        assert_eq!(start.elapsed(), ms(10), "two openings, and no other wait");
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn ten_thousand_that_pass_theirs_down_all_end_well() {
    sim(async |_| {
        let server = server();
        let pool = pool_of(&server, Limits::new(size(2), ms(30_000)), false);
        let mut tasks = JoinSet::new();
        for _ in 0..10_000 {
            let pool = pool.clone();
            tasks.spawn(async move {
                let inner = async |one: &mut Pooled<Sessions>| {
                    yield_now().await;
                    one.name().len()
                };
                pool.with(async |one| inner(one).await).await
            });
        }
        while let Some(told) = tasks.join_next().await {
            assert_eq!(told.unwrap().unwrap(), 1);
        }
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn two_plain_guards_are_not_seen_and_the_time_limit_names_the_lines() {
    sim(async |_| {
        let server = server();
        let (pool, start) = (pool_of(&server, Limits::new(size(2), ms(100)), false), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            let pool = pool.clone();
            tasks.spawn(async move {
                let _outer = pool.get().await.unwrap();
                pool.get().await.map(drop)
            });
        }
        // One gives up, and what it gives back is enough for the other.
        let mut told = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            told.extend(ended.unwrap().err());
        }
        let [told] = told.as_slice() else { panic!("{told:?}") };
        let outer = format!("in use for 100ms, asked for at {}:", file!());
        assert_eq!(told.to_string().matches(&outer).count(), 2, "{told}");
        assert_eq!(start.elapsed(), ms(110));
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn another_pool_and_a_task_of_its_own_are_not_nested() {
    sim(async |sim| {
        let server = server();
        let (one, two) = (pool(&server, 2), pool(&server, 1));
        let theirs = one.clone();
        let both = one.with(async |_| {
            let other = two.with(async |_| one.get().await.is_err()).await.unwrap();
            let task = sim.spawn("task", async move { theirs.with(async |_| ()).await.is_ok() });
            (other, task.await.unwrap())
        });
        assert_eq!(both.await.unwrap(), (true, true));
        // Next to a body is not in it.
        let (beside, body) = tokio::join!(two.with(async |_| sleep(ms(5)).await), two.with(async |_| ()));
        assert!(beside.is_ok() && body.is_ok());
    });
}

#[test]
fn closed_it_lends_nothing_and_waits_for_what_is_out_no_longer_than_told() {
    sim(async |sim| {
        let server = server();
        let (pool, start) = (pool(&server, 3), Instant::now());
        drop(tokio::join!(pool.get(), pool.get(), pool.get()));
        let line = line!() + 1;
        let kept = pool.get().await.unwrap();
        let brief = pool.get().await.unwrap();
        let theirs = pool.clone();
        let waiter = sim.spawn("waiter", async move {
            let _third = theirs.get().await.unwrap();
            drop(theirs.get().await);
            start.elapsed()
        });
        yield_now().await;
        sim.spawn("brief", async move {
            sleep(ms(20)).await;
            drop(brief);
        });
        let report: Closed = pool.close(ms(100)).await;
        assert_eq!(start.elapsed(), ms(10 + 100));
        assert_eq!(waiter.await.unwrap(), ms(10), "told at once");
        assert_eq!(report.taken.len(), 1);
        assert_eq!((report.taken[0].doing, report.taken[0].asked_at.line()), (Doing::InUse, line));
        assert_eq!(server.left_open().len(), 1, "what was idle or came back is closed");
        assert!(matches!(pool.get().await, Err(PoolError::Closed)));
        assert!(matches!(pool.with(async |_| ()).await, Err(PoolError::Closed)));
        drop(kept);
        // Closed when it comes back; a second close waits for that.
        assert!(pool.close(ms(100)).await.taken.is_empty());
        assert_eq!(start.elapsed(), ms(10 + 100 + 10));
        assert_eq!(server.left_open(), Vec::<String>::new());
    });
}

#[test]
fn a_close_that_finds_everything_at_home_takes_one_closing() {
    sim(async |_| {
        let server = server();
        let pool = pool(&server, 3);
        drop(tokio::join!(pool.get(), pool.get(), pool.get()));
        let start = Instant::now();
        assert!(pool.close(ms(1000)).await.taken.is_empty());
        assert_eq!((start.elapsed(), server.left_open().len()), (ms(10), 0), "all three at once");
        assert!(pool.close(Duration::ZERO).await.taken.is_empty());
    });
}

#[test]
fn what_is_opened_when_the_pool_is_closed_is_closed_when_it_is_open() {
    sim(async |_| {
        let server = server();
        let (pool, start) = (pool(&server, 1), Instant::now());
        let (told, report) = tokio::join!(pool.get(), async {
            sleep(ms(4)).await;
            pool.close(ms(1000)).await
        });
        assert!(matches!(told, Err(PoolError::Closed)));
        assert_eq!((report.taken.len(), start.elapsed()), (0, ms(20)));
        assert_eq!(server.left_open(), Vec::<String>::new());
    });
}

#[test]
fn a_close_that_is_dropped_has_closed_and_can_be_called_again() {
    for after in 0..12 {
        sim(async move |_| {
            let server = server();
            let pool = pool(&server, 2);
            drop(tokio::join!(pool.get(), pool.get()));
            let kept = pool.get().await.unwrap();
            assert!(timeout(ms(after), pool.close(ms(100))).await.is_err());
            assert!(matches!(pool.get().await, Err(PoolError::Closed)));
            drop(kept);
            assert!(pool.close(ms(100)).await.taken.is_empty());
            assert_eq!(server.left_open(), Vec::<String>::new());
        });
    }
}

#[test]
fn its_figures_add_up_at_any_moment() {
    sim(async |sim| {
        let server = server();
        let pool = pool(&server, 2);
        for n in 0..6_u64 {
            let pool = pool.clone();
            sim.spawn(format!("{n}"), async move {
                let _one = pool.get().await.unwrap();
                sleep(ms(15)).await;
            });
        }
        let mut seen = Vec::new();
        for _ in 0..8 {
            sleep(ms(9)).await;
            let status = pool.status();
            let doing = |what| status.taken.iter().filter(|taken| taken.doing == what).count();
            seen.push((doing(Doing::Opening), doing(Doing::InUse), status.idle, status.waiting));
        }
        // Opened by 10 ms; then two at a time for 15 ms each.
        let (opening, last) = ((2, 0, 0, 4), (0, 0, 2, 0));
        let used = |waiting| (0, 2, 0, waiting);
        assert_eq!(seen, [opening, used(4), used(2), used(2), used(0), used(0), last, last]);
    });
}

#[test]
fn a_user_that_is_aborted_gives_back_what_it_had() {
    sim(async |sim| {
        let server = server();
        let pool = pool(&server, 2);
        for after in [0, 5, 10, 30] {
            let theirs = pool.clone();
            let user = sim.spawn("user", async move {
                let _one = theirs.get().await.unwrap();
                pending::<()>().await;
            });
            sleep(ms(after)).await;
            user.abort();
            assert!(user.await.unwrap_err().is_cancelled());
        }
        intact(&pool, &server, 2).await.unwrap();
    });
}

#[test]
fn on_several_threads_nothing_is_lost_and_no_more_exist_than_there_may_be() {
    #[derive(Default)]
    struct Count {
        now: AtomicUsize,
        peak: AtomicUsize,
    }
    struct Counted(Arc<Count>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.now.fetch_sub(1, SeqCst);
        }
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let count = Arc::new(Count::default());
        let theirs = count.clone();
        let open = move || {
            let count = theirs.clone();
            async move {
                yield_now().await;
                count.peak.fetch_max(count.now.fetch_add(1, SeqCst) + 1, SeqCst);
                Ok::<_, Infallible>(Counted(count))
            }
        };
        let pool = Pool::new(open, Limits::new(size(3), Duration::from_secs(60)));
        let mut users = JoinSet::new();
        for user in 0..40_usize {
            let pool = pool.clone();
            users.spawn(async move {
                for round in 0..100 {
                    match (user + round) % 4 {
                        0 => pool.with(async |_| yield_now().await).await.unwrap(),
                        1 => pool.get().await.unwrap().mark_broken(),
                        // Asked for, and left after one poll.
                        2 => drop(poll!(Box::pin(pool.get()))),
                        _ => drop(pool.get().await.unwrap()),
                    }
                }
            });
        }
        while let Some(user) = users.join_next().await {
            user.unwrap();
        }
        let report = pool.close(Duration::from_secs(60)).await;
        assert!(report.taken.is_empty(), "{report:?}");
        assert_eq!(count.now.load(SeqCst), 0);
        assert_eq!(count.peak.load(SeqCst), 3);
    });
}

#[test]
fn it_can_be_given_back_on_a_thread_without_a_runtime_and_after_its_runtime() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let server = server();
    let pool = pool(&server, 3);
    let [good, mut broken, mut late] = [0; 3].map(|_| runtime.block_on(pool.get()).unwrap());
    broken.mark_broken();
    std::thread::spawn(move || drop((good, broken))).join().unwrap();
    let closed = async {
        while server.left_open().len() > 2 {
            yield_now().await;
        }
    };
    runtime.block_on(closed);
    late.mark_broken();
    drop(runtime);
    // Nobody can close it any more: it is dropped, and its place is free.
    drop(late);
    let status = pool.status();
    assert_eq!((status.idle, status.taken.len()), (1, 0));
}

#[test]
fn what_is_opened_when_the_runtime_ends_frees_its_place() {
    let server = server();
    let pool = pool(&server, 1);
    let runtime = common::clock::paused_runtime();
    assert!(runtime.block_on(async { timeout(ms(5), pool.get()).await }).is_err());
    assert_eq!(pool.status().taken.len(), 1);
    drop(runtime);
    assert_eq!(pool.status().taken.len(), 0);
    paused(async { assert_eq!(pool.get().await.unwrap().name(), "2") });
}

#[test]
fn what_is_checked_when_the_runtime_ends_is_not_lent_again() {
    let server = server().on(Call::Ask, "1", ms(10), Outcome::Hang);
    let pool = pool_of(&server, Limits::new(size(1), ms(1000)), true);
    let runtime = common::clock::paused_runtime();
    runtime.block_on(async {
        drop(pool.get().await.unwrap());
        assert!(timeout(ms(5), pool.get()).await.is_err());
    });
    drop(runtime);
    let status = pool.status();
    assert_eq!((status.idle, status.taken.len()), (0, 0));
}

#[test]
fn the_last_handle_drops_what_is_idle_and_what_is_out_lives_on() {
    sim(async |_| {
        let alive = Arc::new(());
        let theirs = alive.clone();
        let pool = Pool::new(
            move || std::future::ready(Ok::<_, Infallible>(theirs.clone())),
            Limits::new(size(2), ms(50)),
        );
        let (one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        drop(two);
        drop(pool);
        assert_eq!(Arc::strong_count(&*one), 4, "ours, the closure's, the idle one, and the one that is out");
        drop(one);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn its_futures_can_be_spawned_and_its_errors_are_errors() {
    fn spawnable<T: Send + 'static>(value: T) -> T {
        value
    }
    fn error<E: std::error::Error + Send + Sync + 'static>(error: &E) -> String {
        error.to_string()
    }
    sim(async |_| {
        let server = server();
        let pool = pool(&server, 2);
        let theirs = pool.clone();
        let work = spawnable(async move {
            let text = String::from("borrowed");
            let asked = theirs.with(async |one| (one.ask(1).await, text.len())).await;
            let held = spawnable(theirs.get().await);
            drop((asked, held));
            theirs.close(ms(100)).await
        });
        assert!(work.await.taken.is_empty());
        fn shared<T: Send + Sync + Clone>(_: &T) {}
        shared(&pool);
        assert_eq!(error(&pool.get().await.unwrap_err()), "the pool is closed");
    });
}

/// Panics where it is dropped, unless that would end the process.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("a bomb"));
        }
    }
}

/// What it is asked to do ends at its limit only, and panics when it is dropped there.
struct Bombs {
    opens: bool,
    lost: Arc<Mutex<Vec<String>>>,
}

impl Manage for Bombs {
    type Resource = u8;
    type Error = Infallible;

    async fn create(&self) -> Result<u8, Self::Error> {
        if self.opens {
            return Ok(7);
        }
        let _bomb = Bomb;
        pending().await
    }

    async fn recycle(&self, _: &mut u8) -> Result<(), Self::Error> {
        let _bomb = Bomb;
        pending().await
    }

    async fn close(&self, _: u8) -> Result<(), Self::Error> {
        let _bomb = Bomb;
        pending().await
    }

    fn not_closed(&self, error: CloseError<Self::Error>) {
        self.lost.lock().unwrap().push(error.to_string());
    }
}

#[test]
fn a_destructor_that_panics_at_a_limit_is_told_as_what_it_is_and_costs_no_place() {
    paused(async {
        for opens in [false, true] {
            let lost = Arc::default();
            let limits = Limits { open: ms(10), close: ms(10), ..Limits::new(size(1), ms(1000)) };
            let pool = Pool::new(Bombs { opens, lost: Arc::clone(&lost) }, limits);
            for use_ in 0..3 {
                let got = pool.get().await.map(|seven| *seven);
                if opens {
                    // The second fails its check, and its closing; the third, too.
                    assert_eq!(got.unwrap(), 7);
                    assert_eq!((pool.status().not_recycled, pool.status().not_closed), (use_, use_));
                } else {
                    assert!(
                        matches!(&got, Err(PoolError::OpeningPanicked { message }) if message == "a bomb"),
                        "{got:?}"
                    );
                }
            }
            assert!(pool.status().taken.is_empty());
            let closed = pool.close(ms(100)).await;
            assert_eq!((closed.taken.len(), closed.not_closed), (0, if opens { 3 } else { 0 }));
            let told = lost.lock().unwrap().clone();
            assert_eq!(told, vec!["closing it panicked: a bomb"; closed.not_closed]);
        }
    });
}

#[test]
fn without_a_runtime_the_place_is_free_when_the_resource_is_gone() {
    struct Looks(Arc<Mutex<Option<usize>>>, Weak<dyn Fn() -> usize + Send + Sync>);
    impl Drop for Looks {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = self.1.upgrade().map(|taken| taken());
        }
    }
    type Open = Box<dyn Fn() -> BoxFuture<'static, Result<Looks, ServerError>> + Send + Sync>;
    let seen = Arc::new(Mutex::new(None));
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let held = Arc::new(OnceLock::<Pool<Open>>::new());
    let taken: Arc<dyn Fn() -> usize + Send + Sync> = Arc::new({
        let held = held.clone();
        move || held.get().unwrap().status().taken.len()
    });
    let (looks, weak) = (seen.clone(), Arc::downgrade(&taken));
    let open: Open = Box::new(move || {
        let looks = Looks(looks.clone(), weak.clone());
        Box::pin(async { Ok(looks) })
    });
    let pool = held.get_or_init(|| Pool::new(open, Limits::new(size(1), ms(1000))));
    let mut pooled = runtime.block_on(pool.get()).unwrap();
    pooled.mark_broken();
    drop(runtime);
    drop(pooled);
    assert_eq!(*seen.lock().unwrap(), Some(1), "it is dropped in its place");
    assert!(pool.status().taken.is_empty());
}

#[test]
fn what_an_error_says_stays_as_it_was() {
    paused(async {
        let server = server();
        let pool = pool(&server, 1);
        let held = pool.get().await.unwrap();
        let error = pool.get().await.unwrap_err();
        let said = error.to_string();
        drop(held);
        sleep(ms(5000)).await;
        assert_eq!(error.to_string(), said);
    });
}
