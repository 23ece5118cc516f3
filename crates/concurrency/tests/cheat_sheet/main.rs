//! The Rust half of the cheat sheet: each line is run, and what it
//! does is asserted. The lines are short, since the page prints two
//! languages side by side: see rustfmt.toml.
#![expect(
    clippy::disallowed_methods,
    reason = "a reader meets tokio's own spawn: each owns the handle"
)]

// ANCHOR: imports
use concurrency::{
    Bulkhead, Deadline, Idempotency, Rate, RateLimit, Retry,
    Scope, Settled, Supervisor, TimedOut, bounded, first,
    gather, gather_until, join, partial,
    queue::{self, OnFailure, Settings},
    retry::Backoff,
    shared_state::Committed,
    task_group,
};
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _, future::ready,
    stream,
};
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
    time::Duration,
};
use testing::proof::Gauge;
use tokio::{
    runtime::{Handle, Runtime},
    sync::{
        self, Barrier, Semaphore, mpsc,
        mpsc::error::TrySendError, oneshot, watch,
    },
    task::yield_now,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken, task::AbortOnDropHandle,
};

/// Two at once, for instance.
const LIMIT: NonZeroUsize =
    NonZeroUsize::new(2).expect("two is not zero");

/// The first one, and two more.
const ATTEMPTS: NonZeroUsize =
    NonZeroUsize::new(3).expect("three is not zero");

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
// ANCHOR_END: imports

use concurrency::{
    GroupClosed, Retryable, Stopped, background::Incident,
};
use std::{
    cell::RefCell,
    env, fmt,
    future::pending,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use tokio::time::Instant;

type Tested = Result<(), Box<dyn std::error::Error>>;

#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error("refused")]
    Refused,
    #[error(transparent)]
    Closed(#[from] GroupClosed),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Retryable for PageError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// Stands in for a call over the network, and takes 10 ms times
/// `id`. 13 is refused.
async fn fetch(id: u32) -> Result<String, PageError> {
    sleep(Duration::from_millis(10) * id).await;
    if id == 13 {
        return Err(PageError::Refused);
    }
    Ok(format!("page {id}"))
}

/// Never answers.
async fn hang() -> Result<String, PageError> {
    pending().await
}

/// What a program does with a page: it notes it.
#[derive(Default)]
struct Shown(RefCell<Vec<String>>);

impl Shown {
    fn push(&self, what: impl fmt::Display) {
        self.0.borrow_mut().push(what.to_string());
    }

    /// What was shown since the last look.
    fn taken(&self) -> Vec<String> {
        self.0.take()
    }
}

async fn serve() -> &'static str {
    yield_now().await;
    "done"
}

#[test]
fn a_program_is_run() -> Tested {
    // ANCHOR: run
    let runtime = Runtime::new()?;
    let result = runtime.block_on(serve());
    // ANCHOR_END: run
    assert_eq!(result, "done");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_moment_is_waited() {
    let began = Instant::now();
    // ANCHOR: sleep
    sleep(Duration::from_millis(2)).await;
    // ANCHOR_END: sleep
    assert_eq!(began.elapsed(), ms(2));
    // ANCHOR: yield
    yield_now().await;
    // ANCHOR_END: yield
    assert_eq!(began.elapsed(), ms(2));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made() -> Tested {
    // ANCHOR: call
    let page = fetch(1).await?;
    // ANCHOR_END: call
    assert_eq!(page, "page 1");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_task_is_started_and_awaited_later() -> Tested {
    let began = Instant::now();
    // ANCHOR: start
    let task = AbortOnDropHandle::new(tokio::spawn(fetch(1)));
    let page = task.await??; // A panic, then its own error.
    // ANCHOR_END: start
    assert_eq!(
        (page.as_str(), began.elapsed()),
        ("page 1", ms(10))
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_are_awaited_at_once() -> Tested {
    let began = Instant::now();
    // ANCHOR: join
    let (user, cart) = tokio::try_join!(fetch(1), fetch(2))?;
    // ANCHOR_END: join
    assert_eq!(
        (user.as_str(), cart.as_str()),
        ("page 1", "page 2")
    );
    assert_eq!(began.elapsed(), ms(20));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_are_brought_to_their_end() {
    let began = Instant::now();
    // ANCHOR: join_all
    let both = join::all((fetch(13), fetch(14))).await;
    // ANCHOR_END: join_all
    let errors = both.unwrap_err();
    assert_eq!(errors.failures().count(), 1);
    assert_eq!(began.elapsed(), ms(140));
}

#[tokio::test(start_paused = true)]
async fn a_part_is_of_use() {
    let ids = [1, 13, 2];
    // ANCHOR: partial
    let report = partial(ids, LIMIT, |id| fetch(*id)).await;
    let (pages, errors) = (report.ok, report.failed);
    // ANCHOR_END: partial
    assert_eq!(
        pages,
        [(1, "page 1".to_owned()), (2, "page 2".to_owned())]
    );
    assert_eq!(errors[0].0, 13);
}

#[tokio::test(start_paused = true)]
async fn many_are_gathered() {
    let ids = [1, 13, 2];
    let (mut pages, mut errors) = (Vec::new(), Vec::new());
    // ANCHOR: gather
    for outcome in gather(ids, LIMIT, fetch).await {
        match outcome {
            Settled::Ok(page) => pages.push(page),
            Settled::Failed(error) => errors.push(error),
            Settled::Panicked(panic) => panic.resume(),
            Settled::Cancelled => {}
        }
    }
    // ANCHOR_END: gather
    assert_eq!(pages, ["page 1", "page 2"]);
    assert!(matches!(errors[..], [PageError::Refused]));
}

#[tokio::test(start_paused = true)]
async fn parts_of_one_whole_are_a_group() -> Tested {
    // ANCHOR: task_group
    let pages = task_group(async |group| {
        let user = group.spawn(fetch(1))?;
        let cart = group.spawn(fetch(2))?;
        Ok::<_, PageError>([user.await?, cart.await?])
    })
    .await?;
    // ANCHOR_END: task_group
    assert_eq!(pages, ["page 1", "page 2"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_group_stops_at_the_first_failure() {
    let mut errors = Vec::new();
    let began = Instant::now();
    // ANCHOR: task_group_failed
    let all = task_group::all([1, 13, 99], fetch).await;
    if let Err(failed) = all {
        errors.push(failed.first.error);
        for another in failed.rest {
            errors.push(another.error);
        }
    }
    // ANCHOR_END: task_group_failed
    assert!(matches!(errors[..], [PageError::Refused]));
    assert_eq!(began.elapsed(), ms(130));
}

#[tokio::test(start_paused = true)]
async fn a_few_are_fetched_at_a_time() {
    let (ids, shown) = ([3, 1, 2], Shown::default());
    let show = |page: Settled<String, PageError>| {
        shown.push(page.ok().unwrap());
    };
    // ANCHOR: bounded
    let ids = stream::iter(ids);
    let mut pages =
        bounded::in_input_order(ids, LIMIT, fetch);
    while let Some(page) = pages.next().await {
        show(page);
    }
    // ANCHOR_END: bounded
    assert_eq!(shown.taken(), ["page 3", "page 1", "page 2"]);
}

#[tokio::test(start_paused = true)]
async fn they_are_shown_as_they_come() {
    let (ids, shown) = ([3, 1, 2], Shown::default());
    let show = |at, page: Settled<String, PageError>| {
        shown.push(format_args!(
            "{at}: {}",
            page.ok().unwrap()
        ));
    };
    // ANCHOR: as_completed
    let ids = stream::iter(ids);
    let mut pages = bounded::as_completed(ids, LIMIT, fetch);
    while let Some((position, page)) = pages.next().await {
        show(position, page);
    }
    // ANCHOR_END: as_completed
    let order = ["1: page 1", "0: page 3", "2: page 2"];
    assert_eq!(shown.taken(), order);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_shared() -> Tested {
    let semaphore = Semaphore::new(1);
    // ANCHOR: semaphore
    let permit = semaphore.acquire().await?;
    let page = fetch(1).await?;
    drop(permit);
    // ANCHOR_END: semaphore
    assert_eq!(
        (page.as_str(), semaphore.available_permits()),
        ("page 1", 1)
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_first_to_finish_is_taken() -> Tested {
    let began = Instant::now();
    // ANCHOR: first_completed
    let page = tokio::select! {
        page = fetch(1) => page?,
        page = fetch(9) => page?,
    };
    // ANCHOR_END: first_completed
    assert_eq!(
        (page.as_str(), began.elapsed()),
        ("page 1", ms(10))
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_first_to_succeed_is_taken() -> Tested {
    // ANCHOR: first
    let calls = [fetch(13), fetch(14)];
    let (_which, page) = first::of(calls).success().await?;
    // ANCHOR_END: first
    assert_eq!(page, "page 14");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_in_time() -> Tested {
    let began = Instant::now();
    // ANCHOR: timeout
    let request = Deadline::after("request", ms(20));
    let page = match request.run(hang()).await {
        Ok(page) => page?,
        Err(TimedOut { limit, .. }) => {
            format!("{limit}: too late")
        }
    };
    // ANCHOR_END: timeout
    let seen = (page.as_str(), began.elapsed());
    assert_eq!(seen, ("request: too late", ms(20)));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_there_in_time_is_kept() {
    let ids = [1, 90];
    // ANCHOR: wait_timeout
    let stop = sleep(ms(20));
    let settled = gather_until(stop, ids, LIMIT, fetch).await;
    // ANCHOR_END: wait_timeout
    assert!(settled[0].is_ok());
    assert!(matches!(settled[1], Settled::Cancelled));
}

#[tokio::test]
async fn a_blocking_call_is_made_on_a_thread() -> Tested {
    let path = env::temp_dir();
    // ANCHOR: to_thread
    let disk = Bulkhead::new(LIMIT, 16);
    let found = disk.run(move |_| path.exists()).await?;
    // ANCHOR_END: to_thread
    assert!(found);
    Ok(())
}

#[tokio::test]
async fn computing_is_for_a_thread_of_its_own() -> Tested {
    let factorial = |n: u32| (1..=n).product::<u32>();
    // ANCHOR: compute
    let (send, result) = oneshot::channel();
    thread::spawn(move || send.send(factorial(5)));
    let result = result.await?;
    // ANCHOR_END: compute
    assert_eq!(result, 120);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thread_calls_async_code() -> Tested {
    let handle = Handle::current();
    let on_a_thread = move || {
        // ANCHOR: from_a_thread
        let page = handle.block_on(fetch(1));
        // ANCHOR_END: from_a_thread
        page
    };
    assert_eq!(
        tokio::task::spawn_blocking(on_a_thread).await??,
        "page 1"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forgotten() -> Tested {
    let audits = Arc::new(AtomicU32::new(0));
    let audited = audits.clone();
    let audit = || async move {
        sleep(ms(10)).await;
        audited.fetch_add(1, Relaxed);
        Err(PageError::Refused)
    };
    let (tell, told) = std::sync::mpsc::channel();
    let sink = move |incident: Incident<PageError>| {
        tell.send(incident.name).expect("somebody listens");
    };
    // ANCHOR: background
    let supervisor = Supervisor::unbounded(sink);
    let background = supervisor.spawner();
    background.spawn("audit", |_stop| audit())?;
    // ... and at the end:
    let report = supervisor.shutdown(ms(100)).await;
    // ANCHOR_END: background
    assert_eq!(report.failed, ["audit"]);
    assert_eq!(audits.load(Relaxed), 1);
    assert_eq!(told.recv()?, "audit");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_task_is_cancelled() {
    let task = tokio::spawn(hang());
    // ANCHOR: cancel
    task.abort();
    let ended = task.await;
    // ANCHOR_END: cancel
    assert!(ended.unwrap_err().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn work_is_asked_to_stop() -> Tested {
    let stop = CancellationToken::new();
    let mut rounds = 0;
    let work = async {
        // ANCHOR: stop
        while !stop.is_cancelled() {
            fetch(1).await?;
            rounds += 1;
        }
        // ANCHOR_END: stop
        Ok::<_, PageError>(())
    };
    let operator = async {
        sleep(ms(25)).await;
        stop.cancel();
    };
    tokio::join!(work, operator).0?;
    assert_eq!(rounds, 3);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_must_not_stop_is_seen_through() {
    let shown = Shown::default();
    let show = |what| shown.push(what);
    let saved = Arc::new(AtomicU32::new(0));
    let saves = saved.clone();
    let save = || async move {
        sleep(ms(50)).await;
        saves.fetch_add(1, Relaxed);
        Ok::<_, PageError>(())
    };
    let scope =
        Scope::new("program", |lost| panic!("{lost}"));
    // ANCHOR: shield
    let saving = scope.shield("save", save());
    if timeout(ms(20), saving).await.is_err() {
        show("still saving");
    }
    // ... and at the end:
    let report = scope.close("shutdown", ms(100)).await;
    // ANCHOR_END: shield
    assert!(report.is_clean());
    assert_eq!(shown.taken(), ["still saving"]);
    assert_eq!(saved.load(Relaxed), 1);
}

// ANCHOR: finally
struct Release<'a>(&'a Shown);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.push("released");
    }
}

async fn work(shown: &Shown) {
    let _release = Release(shown);
    pending::<()>().await;
}
// ANCHOR_END: finally

#[tokio::test(start_paused = true)]
async fn it_is_released_whatever_happens() {
    let shown = Shown::default();
    assert!(timeout(ms(10), work(&shown)).await.is_err());
    assert_eq!(shown.taken(), ["released"]);
}

struct Connection<'a>(&'a Shown);

impl Connection<'_> {
    async fn query(&mut self) -> Result<String, PageError> {
        fetch(1).await
    }

    async fn close(self) -> Result<(), PageError> {
        sleep(ms(10)).await;
        self.0.push("closed");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_closed_at_the_end() -> Tested {
    let shown = Shown::default();
    let connect =
        async || Ok::<_, PageError>(Connection(&shown));
    // ANCHOR: async_with
    let mut connection = connect().await?;
    let row = connection.query().await;
    connection.close().await?;
    let row = row?;
    // ANCHOR_END: async_with
    assert_eq!(
        (row.as_str(), shown.taken()),
        ("page 1", vec!["closed".to_owned()])
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn items_are_handed_over() -> Tested {
    // ANCHOR: queue
    let (queue, mut items) = mpsc::channel(100);
    queue.send(7).await?; // Waits while it is full.
    let item = items.recv().await; // Waits while it is empty.
    // ANCHOR_END: queue
    assert_eq!(item, Some(7));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_worked_off() -> Tested {
    let shown = Shown::default();
    let show = |item: u32| shown.push(item);
    let (queue, mut items) = mpsc::channel(100);
    // ANCHOR: queue_close
    queue.send(7).await?;
    drop(queue); // Says that this was all.
    while let Some(item) = items.recv().await {
        show(item);
    }
    // ANCHOR_END: queue_close
    assert_eq!(shown.taken(), ["7"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn workers_take_from_a_queue() {
    let ids = [1, 13, 2];
    // ANCHOR: workers
    let settings = Settings {
        capacity: LIMIT,
        workers: LIMIT,
        on_error: OnFailure::Skip,
        on_panic: OnFailure::Stop,
    };
    let ids = stream::iter(ids);
    let report = queue::run(ids, settings, fetch).await;
    // ANCHOR_END: workers
    assert_eq!(
        (report.done.len(), report.failed.len()),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn room_is_not_waited_for() {
    let shown = Shown::default();
    let show = |what: String| shown.push(what);
    let (queue, _items) = mpsc::channel(1);
    // ANCHOR: queue_full
    for item in [7, 8] {
        if let Err(TrySendError::Full(item)) =
            queue.try_send(item)
        {
            show(format!("no room for {item}"));
        }
    }
    // ANCHOR_END: queue_full
    assert_eq!(shown.taken(), ["no room for 8"]);
}

#[tokio::test(start_paused = true)]
async fn one_value_is_handed_over() -> Tested {
    // ANCHOR: future
    let (promise, future) = oneshot::channel();
    promise.send(7).expect("somebody waits");
    let value = future.await?;
    // ANCHOR_END: future
    assert_eq!(value, 7);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn all_are_told() -> Tested {
    // ANCHOR: event
    let ready = CancellationToken::new();
    let waiting = ready.clone().cancelled_owned();
    ready.cancel();
    waiting.await;
    // ANCHOR_END: event
    assert!(ready.is_cancelled());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_state_is_waited_for() -> Tested {
    let (delivery, mut stock) = watch::channel(0);
    let sell = async move {
        // ANCHOR: condition
        stock.wait_for(|stock| *stock > 0).await?;
        // ANCHOR_END: condition
        Ok::<_, watch::error::RecvError>(Instant::now())
    };
    let deliver = async {
        sleep(ms(10)).await;
        delivery.send_replace(1);
    };
    let began = Instant::now();
    let sold = tokio::join!(sell, deliver).0?;
    assert_eq!(sold - began, ms(10));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_meet() {
    let barrier = Barrier::new(2);
    let guest = async |late| {
        sleep(late).await;
        // ANCHOR: barrier
        barrier.wait().await;
        // ANCHOR_END: barrier
        Instant::now()
    };
    let began = Instant::now();
    let (one, two) =
        tokio::join!(guest(ms(10)), guest(ms(30)));
    assert_eq!((one - began, two - began), (ms(30), ms(30)));
}

#[test]
fn what_is_shared_is_locked_for_a_moment() -> Tested {
    // ANCHOR: shared
    let counts = Arc::new(Mutex::new(HashMap::new()));
    let mut locked =
        counts.lock().expect("no panic holds it");
    *locked.entry("page").or_insert(0) += 1;
    drop(locked); // Before the next await.
    // ANCHOR_END: shared
    assert_eq!(counts.lock().unwrap()["page"], 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_held_across_an_await() -> Tested {
    let shown = Shown::default();
    let connection = Connection(&shown);
    // ANCHOR: lock
    let connection = sync::Mutex::new(connection);
    let row = connection.lock().await.query().await?;
    // ANCHOR_END: lock
    assert_eq!(row, "page 1");
    assert!(connection.try_lock().is_ok());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_change_is_made_whole_or_not_at_all() {
    let accounts = Committed::new([50, 50]);
    let check = || sleep(ms(10));
    let transfer = async {
        // ANCHOR: change
        let mut draft = accounts.begin().await;
        draft[0] -= 10;
        check().await;
        draft[1] += 10;
        draft.commit();
        // ANCHOR_END: change
    };
    assert!(timeout(ms(5), transfer).await.is_err());
    assert_eq!(*accounts.snapshot(), [50, 50]);
}

// ANCHOR: generator
fn pages(
    count: u32,
) -> impl Stream<Item = Result<String, PageError>> {
    stream::unfold(0..count, async |mut ids| {
        Some((fetch(ids.next()?).await, ids))
    })
}
// ANCHOR_END: generator

#[tokio::test(start_paused = true)]
async fn pages_are_iterated_over() -> Tested {
    let shown = Shown::default();
    let show = |page: String| shown.push(page);
    // ANCHOR: async_for
    let mut two = pin!(pages(2));
    while let Some(page) = two.next().await {
        show(page?);
    }
    // ANCHOR_END: async_for
    assert_eq!(shown.taken(), ["page 0", "page 1"]);
    // ANCHOR: comprehension
    let pages = pages(3);
    let found =
        pages.try_filter(|page| ready(page.contains('2')));
    let found: Vec<String> = found.try_collect().await?;
    // ANCHOR_END: comprehension
    assert_eq!(found, ["page 2"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_closed_early() -> Tested {
    // ANCHOR: aclosing
    let mut source = Box::pin(pages(9));
    let page = source.next().await;
    drop(source); // Closed, here and now.
    // ANCHOR_END: aclosing
    assert_eq!(page.transpose()?.as_deref(), Some("page 0"));
    Ok(())
}

// ANCHOR: iterator
struct Countdown {
    left: u32,
}

impl Stream for Countdown {
    type Item = u32;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<u32>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(self.left))
    }
}
// ANCHOR_END: iterator

#[tokio::test(start_paused = true)]
async fn a_stream_is_made_by_hand() {
    let counted: Vec<u32> =
        Countdown { left: 3 }.collect().await;
    assert_eq!(counted, [2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_again() -> Tested {
    let tries = AtomicU32::new(0);
    let flaky = || {
        let tried = tries.fetch_add(1, Relaxed) + 1;
        fetch(if tried < 3 { 13 } else { 1 })
    };
    // ANCHOR: retry
    let retry =
        Retry::new(ATTEMPTS, Backoff::new(ms(50), ms(2000)));
    let page = retry
        .run(
            &Deadline::after("page", ms(5000)),
            Idempotency::Idempotent,
            async |_attempt| flaky().await,
        )
        .await?;
    // ANCHOR_END: retry
    assert_eq!(
        (page.as_str(), tries.load(Relaxed)),
        ("page 1", 3)
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn so_many_begin_in_a_second() -> Tested {
    const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
    let (ids, shown) = ([0, 0, 0], Shown::default());
    let show = |page: String| shown.push(page);
    let began = Instant::now();
    // ANCHOR: per_second
    let limit = RateLimit::new(Rate::per_second(TEN), LIMIT);
    for id in ids {
        let permit = limit.acquire().await;
        show(fetch(id).await?);
        drop(permit);
    }
    // ANCHOR_END: per_second
    assert_eq!(
        (shown.taken().len(), began.elapsed()),
        (3, ms(200))
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn they_keep_their_distance() -> Tested {
    let (ids, shown) = ([0, 0, 0], Shown::default());
    let show = |page: String| shown.push(page);
    let began = Instant::now();
    // ANCHOR: rate_limit
    let mut ticks = interval(ms(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for id in ids {
        ticks.tick().await; // The first is at once.
        show(fetch(id).await?);
    }
    // ANCHOR_END: rate_limit
    assert_eq!(
        (shown.taken().len(), began.elapsed()),
        (3, ms(200))
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_value_is_carried_along_but_not_into_a_task()
-> Tested {
    // ANCHOR: context
    tokio::task_local! { static REQUEST: &'static str; }
    let handler = async { REQUEST.get() };
    let seen = REQUEST.scope("a7", handler).await;
    // ANCHOR_END: context
    assert_eq!(seen, "a7");
    let task =
        async { REQUEST.try_with(|request| *request).ok() };
    let spawned = REQUEST
        .scope("a7", async { tokio::spawn(task).await });
    assert_eq!(spawned.await?, None);
    Ok(())
}

// ANCHOR: test
#[tokio::test(start_paused = true)]
async fn a_page_has_its_number() -> Tested {
    assert_eq!(fetch(1).await?, "page 1");
    Ok(())
}
// ANCHOR_END: test

// ANCHOR: test_timeout
#[tokio::test(start_paused = true)]
async fn a_wait_of_an_hour_is_a_test_of_a_moment() {
    let hour = Duration::from_secs(3600);
    let late = timeout(hour, hang()).await;
    assert!(late.is_err());
}
// ANCHOR_END: test_timeout

#[tokio::test(start_paused = true)]
async fn three_at_once_and_never_four() -> Tested {
    // ANCHOR: test_limit
    let (gauge, permits) = (Gauge::new(), Semaphore::new(3));
    let call = async |n| {
        let permit = permits.acquire().await;
        gauge.hold(format!("call {n}"), sleep(ms(10))).await;
        drop(permit);
    };
    let calls =
        stream::iter(0..10).for_each_concurrent(10, call);
    calls.await;
    gauge.check_peak(3)?; // Never four, and once three.
    // ANCHOR_END: test_limit
    Ok(())
}

// What the dictionary of the book says beside the lines.

#[test]
fn the_end_of_a_runtime_drops_its_tasks_where_they_stand()
-> Tested {
    let log = Arc::new(Mutex::new(Vec::new()));
    let logged = log.clone();
    let dropped = DropNote(log.clone());
    let background = async move {
        sleep(ms(3_600_000)).await;
        logged.lock().unwrap().push("cleaned up");
        drop(dropped);
    };
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        tokio::spawn(background);
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(*log.lock().unwrap(), ["dropped"]);
    Ok(())
}

struct DropNote(Arc<Mutex<Vec<&'static str>>>);

impl Drop for DropNote {
    fn drop(&mut self) {
        let mut log =
            self.0.lock().expect("no panic holds it");
        log.push("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_is_dropped_is_an_error() {
    let (promise, future) = oneshot::channel::<u32>();
    drop(promise);
    assert!(future.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_tasks_panic_is_in_its_handle() {
    let task = tokio::spawn(async { panic!("of the task") });
    assert!(task.await.unwrap_err().is_panic());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_what_was_said_before() {
    let told = sync::Notify::new();
    told.notify_waiters();
    let late = timeout(ms(10), told.notified()).await;
    assert!(late.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_dropped_does_not_wait() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut set = tokio::task::JoinSet::new();
    let note = DropNote(log.clone());
    set.spawn(async move {
        hang().await.ok();
        drop(note);
    });
    yield_now().await;
    drop(set);
    assert!(log.lock().unwrap().is_empty(), "not yet");
    yield_now().await;
    assert_eq!(*log.lock().unwrap(), ["dropped"]);
}

#[tokio::test(start_paused = true)]
async fn a_plain_handle_lets_its_task_run_on() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let task = || {
        let note = DropNote(log.clone());
        async move {
            hang().await.ok();
            drop(note);
        }
    };
    drop(tokio::spawn(task()));
    sleep(ms(10)).await;
    assert!(log.lock().unwrap().is_empty());
    drop(AbortOnDropHandle::new(tokio::spawn(task())));
    sleep(ms(10)).await;
    assert_eq!(*log.lock().unwrap(), ["dropped"]);
}
