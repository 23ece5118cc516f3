//! What is verified on any answer to `pool`.

use common::{
    Recorder, Verdict,
    draw::time,
    server::{Call, Outcome, Server, ServerError, Session, What},
};
use futures_util::{FutureExt as _, future::BoxFuture, poll};
use std::{
    future::pending,
    num::NonZeroUsize,
    ops::DerefMut,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};
use testing::{Case, Checked, case::verdict, latencies, simulation::tasks_left};
use tokio::{
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

const OPENING: Duration = ms(10);

type Held = Box<dyn DerefMut<Target = Session> + Send>;
type Got = Result<Held, ServerError>;
type Get = Arc<dyn Fn() -> BoxFuture<'static, Got> + Send + Sync>;
type Answer<'a> = &'a dyn Fn(Server, NonZeroUsize) -> Get;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<P, L, F>(
    new: impl Fn(Server, NonZeroUsize) -> P,
    get: impl Fn(Arc<P>) -> F + Copy + Send + Sync + 'static,
) -> Verdict
where
    P: Send + Sync + 'static,
    L: DerefMut<Target = Session> + Send + 'static,
    F: Future<Output = Result<L, ServerError>> + Send + 'static,
{
    let answer: Answer<'_> = &|server, size| {
        let pool = Arc::new(new(server, size));
        Arc::new(move || get(pool.clone()).map(|got| got.map(|lease| Box::new(lease) as Held)).boxed())
    };
    verdict(|| {
        reuses(answer)?;
        for (size, users) in [(1, 4), (2, 7), (3, 3), (4, 12), (5, 2)] {
            for holds in [vec![ms(20); users], latencies(size as u64, users)] {
                crowd(answer, size, &holds)?;
            }
        }
        for size in [2, 3] {
            beside_an_opening(answer, size)?;
        }
        for size in [1, 3] {
            hog(answer, size)?;
            for ending in ENDINGS {
                returned(answer, size, ending)?;
            }
            for panics in [false, true] {
                left_while_waiting(answer, size, panics)?;
            }
            for polls in 1..=3 {
                left_while_lent(answer, size, polls)?;
            }
            for after in 0..=10 {
                left_while_opening(answer, size, ms(after))?;
            }
            for outcome in [Outcome::Fail, Outcome::Panic] {
                for failing in 1..=3 {
                    failed(answer, size, outcome, failing)?;
                }
            }
            for panicking in 1..=size {
                panicked(answer, size, panicking)?;
            }
            outlived(answer, size)?;
        }
        for seed in 0..12 {
            storm(answer, seed)?;
        }
        Ok(())
    })
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn size_of(size: usize) -> NonZeroUsize {
    NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN)
}

fn of(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Sessions count as soon as they are asked for.
fn server(recorder: &Recorder) -> Server {
    Server::new(recorder).opens_at_once()
}

/// The largest number of sessions at once: asked for, and neither refused nor closed nor dropped.
fn most(server: &Server) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in server.log() {
        match line.what {
            What::Opened => now += 1,
            What::NotOpened | What::Closed | What::NotClosed | What::Left => now = now.saturating_sub(1),
            What::Closing => {}
        }
        most = most.max(now);
    }
    most
}

/// How many leases can be had at once: they are asked for at the same time, two more than there should be, and kept.
async fn to_be_had(get: &Get, size: usize) -> usize {
    let mut asking = JoinSet::new();
    for _ in 0..size + 2 {
        asking.spawn(timeout(ms(200), get()));
    }
    let mut had = Vec::new();
    while let Some(asked) = asking.join_next().await {
        if let Ok(Ok(Ok(lease))) = asked {
            had.push(lease);
        }
    }
    had.len()
}

/// The pool is dropped, and what it does has time to end.
async fn over(get: Get) {
    drop(get);
    sleep(ms(1000)).await;
    tasks_left().await;
}

fn exactly<T>(case: &Case<T>, rule: &str, had: usize, size: usize) -> Checked {
    let expected = format!("afterwards {} can be borrowed at once, and no more", of(size, "session"));
    case.rule(rule, had == size, expected, format!("{had} can"))
}

fn within_size<T>(case: &Case<T>, most: usize, size: usize) -> Checked {
    let expected = format!("at most {} at once, those included that are being opened", of(size, "session"));
    case.rule("bounded", most <= size, expected, format!("{most} at once"))
}

fn reuses(answer: Answer<'_>) -> Checked {
    for size in [1, 3] {
        let case =
            Case::run(format!("5 who come one after the other, to a pool of {size}"), async |recorder| {
                let server = server(&recorder);
                let get = answer(server.clone(), size_of(size));
                let mut told = Vec::new();
                for n in 1..=5 {
                    let asked = async {
                        let mut lease = get().await?;
                        lease.ask(n).await
                    };
                    told.push(recorder.lane(format!("user {n}"), asked).await);
                    sleep(ms(5)).await;
                }
                let opened = server.opened_so_far();
                over(get).await;
                (told, opened)
            })?;
        let (told, opened) = &case.value;
        let wrong = told.iter().find_map(|told| told.as_ref().err());
        let seen = wrong.map(ToString::to_string).unwrap_or_default();
        case.rule("reuse", wrong.is_none(), "each of them is served by a session that is open", seen)?;
        let expected = "1 session is opened, for all of them: there is never a second at the same time";
        case.rule("reuse", *opened == 1, expected, format!("{} opened", of(*opened, "session")))?;
    }
    Ok(())
}

/// What became of one who asked.
#[derive(Clone)]
struct Use {
    user: usize,
    session: String,
    got: Duration,
    back: Duration,
}

/// All ask at 0 ms, one after the other, and keep theirs for a while.
fn crowd(answer: Answer<'_>, size: usize, holds: &[Duration]) -> Checked {
    let users = holds.len();
    let case =
        Case::run(format!("{} ask at once, in a pool of {size}", of(users, "user")), async |recorder| {
            let server = server(&recorder);
            let get = answer(server.clone(), size_of(size));
            let uses = Arc::new(Mutex::new(Vec::new()));
            let mut asking = JoinSet::new();
            for (user, hold) in holds.iter().copied().enumerate() {
                let (get, uses, clock) = (get.clone(), uses.clone(), recorder.clone());
                asking.spawn(recorder.lane(format!("user {}", user + 1), async move {
                    if let Ok(lease) = get().await {
                        let (got, session) = (clock.now(), lease.name().to_owned());
                        sleep(hold).await;
                        let back = clock.now();
                        drop(lease);
                        let mut uses = uses.lock().expect("nobody panics under this lock");
                        uses.push(Use { user, session, got, back });
                    }
                }));
            }
            timeout(ms(5000), asking.join_all()).await.ok();
            let uses = uses.lock().expect("nobody panics under this lock").clone();
            let (most, opened, had) = (most(&server), server.opened_so_far(), to_be_had(&get, size).await);
            over(get).await;
            (uses, most, opened, had)
        })?;
    let (uses, most, opened, had) = &case.value;
    within_size(&case, *most, size)?;
    for (n, one) in uses.iter().enumerate() {
        let other = uses[..n]
            .iter()
            .find(|other| other.session == one.session && one.got < other.back && other.got < one.back);
        let twice = || {
            format!(
                "users {} and {} had session {} together",
                other.map_or(0, |o| o.user + 1),
                one.user + 1,
                one.session
            )
        };
        case.rule("bounded", other.is_none(), "a session is lent to one user at a time", twice())?;
    }
    let served = format!("{} were served within 5 s", uses.len());
    case.rule("returned", uses.len() == users, format!("all {users} are served"), served)?;
    let expected = format!("{} opened, as many as are used at once", of(size.min(users), "session"));
    case.rule("reuse", *opened == size.min(users), expected, format!("{} opened", of(*opened, "session")))?;
    let (mut got, mut back): (Vec<_>, Vec<_>) = uses.iter().map(|one| (one.got, one.back)).unzip();
    got.sort();
    back.sort();
    let first = &got[..size.min(users)];
    case.rule(
        "concurrent",
        first.iter().all(|at| *at == OPENING),
        format!("the first {} are opened at the same time, all by {}", first.len(), time(OPENING)),
        format!("they were lent at {}", times(first)),
    )?;
    case.rule(
        "concurrent",
        got.iter().skip(size).zip(&back).all(|(got, back)| got == back),
        "each session that comes back is lent again at once, while somebody waits",
        format!("they came back at {}, and were lent at {}", times(&back), times(&got[size.min(users)..])),
    )?;
    let mut order = uses.clone();
    order.sort_by_key(|one| one.user);
    in_order(&case, &order)?;
    exactly(&case, "returned", *had, size)
}

fn times(times: &[Duration]) -> String {
    times.iter().map(|at| time(*at)).collect::<Vec<_>>().join(", ")
}

/// Who asked earlier is served no later.
fn in_order<T>(case: &Case<T>, uses: &[Use]) -> Checked {
    let early = uses.windows(2).find(|pair| pair[1].got < pair[0].got);
    let seen = early.map(|pair| {
        let [first, second] = [&pair[0], &pair[1]];
        format!(
            "user {} was served at {}, and user {} before, at {}",
            first.user + 1,
            time(first.got),
            second.user + 1,
            time(second.got)
        )
    });
    case.rule(
        "fifo",
        early.is_none(),
        "they are served in the order in which they asked",
        seen.unwrap_or_default(),
    )
}

/// One gives back and asks again in the same breath, while others have waited for long.
fn hog(answer: Answer<'_>, size: usize) -> Checked {
    let name = format!("a pool of {size}: one gives back and asks again at once, while 3 wait");
    let case = Case::run(name, async |recorder| {
        let get = answer(server(&recorder), size_of(size));
        let mut others = Vec::new();
        for _ in 1..size {
            others.push(get().await);
        }
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut asking = JoinSet::new();
        for (user, asks, times) in [("hog", 0, 4), ("user 1", 15, 1), ("user 2", 16, 1), ("user 3", 17, 1)] {
            let (get, order) = (get.clone(), order.clone());
            asking.spawn(recorder.lane(user, async move {
                sleep(ms(asks)).await;
                for _ in 0..times {
                    if let Ok(_lease) = get().await {
                        order.lock().expect("nobody panics under this lock").push(user);
                        sleep(ms(20)).await;
                    }
                }
            }));
        }
        timeout(ms(5000), asking.join_all()).await.ok();
        drop(others);
        over(get).await;
        order.lock().expect("nobody panics under this lock").clone()
    })?;
    let expected = ["hog", "user 1", "user 2", "user 3", "hog", "hog", "hog"];
    case.rule("fifo", case.value == expected, expected.join(", "), case.value.join(", "))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Done,
    TimedOut,
    Aborted,
    OnAnotherThread,
}

const ENDINGS: [Ending; 4] = [Ending::Done, Ending::TimedOut, Ending::Aborted, Ending::OnAnotherThread];

impl Ending {
    const fn words(self) -> &'static str {
        match self {
            Self::Done => "an owner is done",
            Self::TimedOut => "an owner is dropped by a timeout",
            Self::Aborted => "an owner's task is aborted",
            Self::OnAnotherThread => "a lease is dropped on a thread without a runtime",
        }
    }
}

/// All are out, somebody waits, and 40 ms later one comes back.
fn returned(answer: Answer<'_>, size: usize, ending: Ending) -> Checked {
    let case = Case::run(format!("a pool of {size}: {}", ending.words()), async |recorder| {
        let get = answer(server(&recorder), size_of(size));
        let others = borrowed(&get, size - 1).await;
        let back = recorder.now() + ms(40);
        let (clock, mine) = (recorder.clone(), get.clone());
        let owner = async move {
            let lease = mine().await.ok()?;
            if matches!(ending, Ending::TimedOut | Ending::Aborted) {
                pending::<()>().await;
            }
            sleep(back.saturating_sub(clock.now())).await;
            if ending == Ending::OnAnotherThread {
                // It takes no time: nobody is kept waiting by this join.
                return Some(std::thread::spawn(move || drop(lease)).join().is_ok());
            }
            drop(lease);
            Some(true)
        };
        let owner = recorder.lane("owner", owner);
        let mut owners = JoinSet::new();
        let task = owners.spawn(async move {
            if ending == Ending::TimedOut { timeout(ms(40), owner).await.ok().flatten() } else { owner.await }
        });
        sleep(ms(1)).await;
        let (clock, theirs) = (recorder.clone(), get.clone());
        let mut waiters = JoinSet::new();
        waiters.spawn(recorder.lane("waiter", async move {
            let got = timeout(ms(1000), theirs()).await;
            got.is_ok_and(|got| got.is_ok()).then(|| clock.now())
        }));
        sleep(back.saturating_sub(recorder.now())).await;
        if ending == Ending::Aborted {
            task.abort();
        }
        let well = owners.join_next().await.and_then(Result::ok).flatten();
        let got = waiters.join_next().await.and_then(Result::ok).flatten();
        drop(others);
        let had = to_be_had(&get, size).await;
        over(get).await;
        (well, back, got, had)
    })?;
    let (well, back, got, had) = &case.value;
    let expected = "its destructor needs no runtime: a lease may be dropped on any thread";
    case.rule("returned", *well != Some(false), expected, "it panicked")?;
    let seen =
        got.map_or_else(|| String::from("it never had one"), |at| format!("it had one at {}", time(at)));
    let expected = format!("the one who waits has it at {}, in the same moment", time(*back));
    case.rule("returned", *got == Some(*back), expected, seen)?;
    exactly(&case, "returned", *had, size)
}

/// So many leases, one asked for after the other.
async fn borrowed(get: &Get, count: usize) -> Vec<Held> {
    let mut leases = Vec::new();
    for _ in 0..count {
        if let Ok(Ok(lease)) = timeout(ms(1000), get()).await {
            leases.push(lease);
        }
    }
    leases
}

/// Some leave while they wait; the last of them in the very moment in which it was woken, before it has looked.
fn left_while_waiting(answer: Answer<'_>, size: usize, woken: bool) -> Checked {
    let what = if woken { "one leaves when it has been woken" } else { "two of three leave while they wait" };
    let case = Case::run(format!("a pool of {size}: {what}"), async |recorder| {
        let get = answer(server(&recorder), size_of(size));
        let mut all = borrowed(&get, size).await;
        let mut waiters = JoinSet::new();
        let back = recorder.now() + ms(40);
        let mut first = woken.then(|| Box::pin(recorder.lane("user 1", get())));
        if let Some(first) = &mut first {
            drop(poll!(first));
        }
        let leavers = [(1, 10), (2, 20)].into_iter().filter(|_| !woken);
        for (user, limit) in leavers.chain([(3, 200)]) {
            let (get, clock) = (get.clone(), recorder.clone());
            let asked =
                recorder.lane(format!("user {user}"), async move { get().await.map(|_| clock.now()) });
            waiters.spawn(async move { timeout(ms(limit), asked).await.ok().and_then(Result::ok) });
        }
        sleep(back.saturating_sub(recorder.now())).await;
        drop(all.pop());
        drop(first);
        let mut got = None;
        while let Some(waiter) = waiters.join_next().await {
            got = got.or(waiter.ok().flatten());
        }
        drop(all);
        let had = to_be_had(&get, size).await;
        over(get).await;
        (back, got, had)
    })?;
    let (back, got, had) = &case.value;
    let seen = got
        .map_or_else(|| String::from("user 3 never had one"), |at| format!("user 3 had one at {}", time(at)));
    let expected = format!("user 3, who stays, has what comes back at {}", time(*back));
    case.rule("left", *got == Some(*back), expected, seen)?;
    exactly(&case, "left", *had, size)
}

/// All are idle, and one leaves when it has been polled so many times: what is there is lent, maybe, over an await.
fn left_while_lent(answer: Answer<'_>, size: usize, polls: usize) -> Checked {
    let name = format!("a pool of {size}, all of it idle: one leaves after {}", of(polls, "poll"));
    let case = Case::run(name, async |recorder| {
        let get = answer(server(&recorder), size_of(size));
        drop(borrowed(&get, size).await);
        let mut leaver = Box::pin(recorder.lane("leaver", get()));
        for _ in 0..polls {
            if poll!(&mut leaver).is_ready() {
                break;
            }
            yield_now().await;
        }
        drop(leaver);
        let had = to_be_had(&get, size).await;
        over(get).await;
        had
    })?;
    exactly(&case, "left", case.value, size)
}

/// The pool is dropped while all of it is lent.
fn outlived(answer: Answer<'_>, size: usize) -> Checked {
    let name = format!("a pool of {size} is dropped before its leases are");
    let case = Case::run(name, async |recorder| {
        let get = answer(server(&recorder), size_of(size));
        let leases = borrowed(&get, size).await;
        over(get).await;
        // It takes no time: nobody is kept waiting by this join.
        std::thread::spawn(move || drop(leases)).join().is_ok()
    })?;
    let expected = "a lease may be dropped later than its pool";
    case.rule("returned", case.value, expected, "its destructor panicked")
}

/// While a session is opened for one, another one's comes back, and a third one waits.
fn beside_an_opening(answer: Answer<'_>, size: usize) -> Checked {
    let name = format!("a pool of {size}: one comes back while opening another takes 100 ms, and 2 wait");
    let case = Case::run(name, async |recorder| {
        let server = server(&recorder).on(Call::Open, &size.to_string(), ms(100), Outcome::Done);
        let get = answer(server, size_of(size));
        let mut others = borrowed(&get, size - 1).await;
        let mut asking = JoinSet::new();
        for user in ["user 1", "user 2"] {
            let (get, clock) = (get.clone(), recorder.clone());
            let asked = async move { get().await.map(|lease| (clock.now(), lease)) };
            asking.spawn(recorder.lane(user, timeout(ms(1000), asked)));
            sleep(ms(5)).await;
        }
        sleep(ms(20)).await;
        let back = recorder.now();
        drop(others.pop());
        // Who is served first keeps what it has until both are.
        let mut served = Vec::new();
        let mut kept = Vec::new();
        while let Some(asked) = asking.join_next().await {
            if let Ok(Ok(Ok((at, lease)))) = asked {
                served.push(at);
                kept.push(lease);
            }
        }
        drop((others, kept));
        over(get).await;
        (back, served)
    })?;
    let (back, served) = &case.value;
    // The one for whom it is opened may have it, and leave what is opened to the other.
    let first = served.first();
    case.rule(
        "concurrent",
        first == Some(back),
        format!("one of the two has at {} what comes back, and waits for no opening", time(*back)),
        first.map_or_else(|| String::from("neither had one"), |at| format!("it had one at {}", time(*at))),
    )
}

/// One leaves while a session is opened for it, and another one waits behind it.
fn left_while_opening(answer: Answer<'_>, size: usize, after: Duration) -> Checked {
    let name = format!("a pool of {size}: one leaves {} after it has asked", time(after));
    let case = Case::run(name, async |recorder| {
        let server = server(&recorder);
        let get = answer(server.clone(), size_of(size));
        let others = borrowed(&get, size - 1).await;
        let start = recorder.now();
        let leaver = async { drop(timeout(after, recorder.lane("leaver", get())).await) };
        let waiter = async {
            sleep(ms(1)).await;
            let got = recorder.lane("waiter", timeout(ms(1000), get())).await;
            (got.is_ok_and(|got| got.is_ok()), recorder.now() - start)
        };
        let ((), (served, at)) = tokio::join!(leaver, waiter);
        drop(others);
        let (most, had) = (most(&server), to_be_had(&get, size).await);
        over(get).await;
        (served, at, most, had)
    })?;
    let (served, at, most, had) = &case.value;
    within_size(&case, *most, size)?;
    // The leaver's opening may go on for the waiter, or another one be begun.
    let by = after.max(ms(1)) + OPENING;
    let seen =
        if *served { format!("it is served after {}", time(*at)) } else { String::from("it never is") };
    let expected = format!("the one who waits is served within {}", time(by));
    case.rule("left", *served && *at <= by, expected, seen)?;
    exactly(&case, "left", *had, size)
}

/// The first sessions can't be opened; as many users ask, and one more.
fn failed(answer: Answer<'_>, size: usize, outcome: Outcome, failing: usize) -> Checked {
    let what = if outcome == Outcome::Panic { "panics" } else { "fails" };
    let name = format!("a pool of {size}: opening the first {} {what}", of(failing, "session"));
    let case = Case::run(name, async |recorder| {
        let scripted = |server: Server, n: usize| server.on(Call::Open, &n.to_string(), OPENING, outcome);
        let server = (1..=failing).fold(server(&recorder), scripted);
        let get = answer(server.clone(), size_of(size));
        let mut asking = JoinSet::new();
        for user in 1..=failing + 1 {
            let (get, clock) = (get.clone(), recorder.clone());
            let asked = async move {
                let got = timeout(ms(1000), AssertUnwindSafe(get()).catch_unwind()).await;
                let end = match got {
                    Ok(Ok(Ok(_))) => "was served",
                    Ok(_) => "was told",
                    Err(_) => "was told nothing",
                };
                (user, end, clock.now())
            };
            asking.spawn(recorder.lane(format!("user {user}"), asked));
        }
        let mut ends = asking.join_all().await;
        ends.sort_unstable();
        let (most, had) = (most(&server), to_be_had(&get, size).await);
        over(get).await;
        (ends, most, had)
    })?;
    let (ends, most, had) = &case.value;
    for (user, end, at) in ends {
        // In rounds of as many as there are places.
        let due = OPENING * u32::try_from((user - 1) / size + 1).unwrap_or(u32::MAX);
        let should = if *user <= failing { "was told" } else { "was served" };
        case.rule(
            "failed",
            (*end, *at) == (should, due),
            format!("user {user} {should} at {}", time(due)),
            format!("user {user} {end}, at {}", time(*at)),
        )?;
    }
    exactly(&case, "failed", *had, size)?;
    within_size(&case, *most, size)
}

/// All are out; one owner panics, and somebody waits.
fn panicked(answer: Answer<'_>, size: usize, panicking: usize) -> Checked {
    let name = format!("a pool of {size}: the owner of session {panicking} panics");
    let case = Case::run(name, async |recorder| {
        let server = server(&recorder);
        let get = answer(server.clone(), size_of(size));
        let mut owners = JoinSet::new();
        for owner in 1..=size {
            let get = get.clone();
            owners.spawn(recorder.lane(format!("owner {owner}"), async move {
                let lease = get().await;
                sleep(ms(30)).await;
                if owner == panicking {
                    // Not `panic!`: a scripted panic is part of the case and has no business on the screen.
                    resume_unwind(Box::new("scripted"));
                }
                sleep(ms(100)).await;
                drop(lease);
            }));
        }
        sleep(ms(1)).await;
        let waiter = recorder.lane("waiter", timeout(ms(1000), get())).await;
        let at = recorder.now();
        let served = waiter.ok().and_then(Result::ok).map(|lease| lease.name().to_owned());
        while owners.join_next().await.is_some() {}
        let (most, had) = (most(&server), to_be_had(&get, size).await);
        over(get).await;
        (served, at, most, had)
    })?;
    let (served, at, most, had) = &case.value;
    let seen = match served {
        Some(name) => format!("it was lent session {name} at {}", time(*at)),
        None => String::from("it was lent none"),
    };
    let other = served.as_ref().is_some_and(|name| *name != panicking.to_string());
    // Closing the session before another is opened may take its 10 ms, too.
    let due = ms(40) + OPENING * 2;
    let expected = format!("the one who waits is lent another session than {panicking}, by {}", time(due));
    case.rule("panicked", other && *at <= due, expected, seen)?;
    exactly(&case, "panicked", *had, size)?;
    within_size(&case, *most, size)
}

/// Users that come, leave, panic and are aborted at random, of a server that fails at random.
fn storm(answer: Answer<'_>, seed: u64) -> Checked {
    let size = 1 + usize::try_from(seed % 4).unwrap_or(0);
    let name = format!("a pool of {size}: 24 users come and go, seed {seed}");
    let case = Case::run(name, async |recorder| {
        let scripted = |server: Server, n: u64| {
            let outcome = match (n + seed) % 7 {
                0 => Outcome::Fail,
                3 => Outcome::Panic,
                _ => Outcome::Done,
            };
            server.on(Call::Open, &n.to_string(), latencies(seed * 100 + n, 1)[0], outcome)
        };
        let server = (1..40).fold(server(&recorder), scripted);
        let get = answer(server.clone(), size_of(size));
        let mut users = JoinSet::new();
        for user in 0..24 {
            let (get, drawn) = (get.clone(), latencies(seed * 1000 + user, 4));
            users.spawn(recorder.lane(format!("user {}", user + 1), async move {
                sleep(drawn[0] * 3).await;
                let used = async {
                    let lease = AssertUnwindSafe(get()).catch_unwind().await;
                    sleep(drawn[1]).await;
                    if user % 8 == 5 {
                        resume_unwind(Box::new("scripted"));
                    }
                    drop(lease);
                };
                timeout(if user % 2 == 0 { drawn[2] + drawn[3] } else { ms(2000) }, used).await.ok();
            }));
        }
        while users.join_next().await.is_some() {}
        sleep(ms(500)).await;
        let (most, had) = (most(&server), to_be_had(&get, size).await);
        // A pool that has opened enough may still have sessions of the script before it that fail.
        over(get).await;
        (most, had)
    })?;
    let (most, had) = &case.value;
    within_size(&case, *most, size)?;
    exactly(&case, "returned", *had, size)
}
