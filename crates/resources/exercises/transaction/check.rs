//! What `in_tx` works with, and what is verified on any answer.

use common::{
    Verdict,
    recorder::panic_message,
    verdict::{Finding, Kind},
};
use futures_util::{
    FutureExt as _,
    future::{LocalBoxFuture, join_all},
};
use sqlx::{
    Executor as _, Sqlite, SqliteConnection, SqlitePool, pool::PoolConnection, sqlite::SqlitePoolOptions,
};
use std::{
    any::Any,
    cell::RefCell,
    collections::VecDeque,
    fmt,
    future::pending,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};
use testing::{
    Case, Checked, Database,
    case::{verdict, without_folders},
    every_await, with_real_io,
};
use tokio::{
    select,
    task::spawn_blocking,
    time::{Instant, advance},
};

/// Why nothing was written.
#[derive(Debug)]
pub enum TxError {
    /// There was no transaction: the body has not run.
    NotBegun(sqlx::Error),
    /// The body has failed, and was rolled back.
    Failed(sqlx::Error),
    /// The database has refused the COMMIT, and it was rolled back.
    NotCommitted(sqlx::Error),
}

/// Whether SQLite was busy: somebody else was in the way, and the same may succeed.
pub fn is_busy(error: &sqlx::Error) -> bool {
    resources::transaction::is_transient(error)
}

const ACCOUNTS: &str = "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER CHECK (balance >= 0));
    INSERT INTO accounts VALUES ('ada', 500), ('bob', 500);
    CREATE TABLE receipts (account TEXT REFERENCES accounts DEFERRABLE INITIALLY DEFERRED)";

/// Of real time: who has not ended by then waits for a connection that never comes.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of real time: who has done nothing for so long waits for the clock.
const QUIET: Duration = Duration::from_millis(50);

/// How long a pool is asked for a connection, where it has none to give.
const NO_CONNECTION: Duration = Duration::from_secs(1);

const CURSE: &str = "the body is cursed";

/// How one run of the body ends, after it has written.
#[derive(Debug)]
enum End {
    /// Well.
    Value,
    /// With a violated constraint.
    Overdrawn,
    /// With an error of its own.
    Error,
    /// Well, but with something written that the database will not commit.
    Orphan,
    /// With a panic.
    Panic,
    /// The database was busy.
    Busy(sqlx::Error),
}

/// What the body does, run after run. Clones are the same script.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<State>>);

struct State {
    amount: i64,
    ends: VecDeque<End>,
    runs: usize,
    /// Whether the database was ever busy: from then on an answer may pause.
    pauses: bool,
    /// Whether a run has found the database busy, and no other has begun.
    between: bool,
    /// Set when others could not write between two runs.
    locked_out: Option<String>,
    /// Reads, and keeps who writes from committing; gone with the run after so many.
    reader: Option<(usize, PoolConnection<Sqlite>)>,
}

impl Script {
    fn new(amount: i64, ends: impl IntoIterator<Item = End>) -> Self {
        Self(Arc::new(Mutex::new(State {
            amount,
            ends: ends.into_iter().collect(),
            runs: 0,
            pauses: false,
            between: false,
            locked_out: None,
            reader: None,
        })))
    }

    /// Each run ends in the same way.
    fn always(amount: i64, end: fn() -> End) -> Self {
        Self::new(amount, (0..10).map(|_| end()))
    }

    fn runs(&self) -> usize {
        self.lock().runs
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that moves the script's amount from ada to bob, and ends as the script says; its value is the amount.
pub(crate) fn body(script: Script) -> impl AsyncFn(&mut SqliteConnection) -> sqlx::Result<i64> {
    async move |tx: &mut SqliteConnection| {
        let (amount, end, reader) = {
            let mut state = script.lock();
            state.runs += 1;
            state.between = false;
            let runs = state.runs;
            let reader = state.reader.take_if(|(until, _)| runs > *until);
            let end = state.ends.pop_front().unwrap_or(End::Value);
            state.pauses |= matches!(end, End::Busy(_)) || state.reader.is_some();
            (state.amount, end, reader)
        };
        if let Some((_, mut reader)) = reader {
            reader.execute("ROLLBACK").await?;
        }
        for (name, by) in [("ada", -amount), ("bob", amount)] {
            let update = sqlx::query("UPDATE accounts SET balance = balance + ? WHERE name = ?");
            update.bind(by).bind(name).execute(&mut *tx).await?;
        }
        match end {
            End::Value => {}
            End::Overdrawn => {
                tx.execute("UPDATE accounts SET balance = -1 WHERE name = 'bob'").await?;
            }
            End::Error => return Err(sqlx::Error::RowNotFound),
            End::Orphan => {
                tx.execute("INSERT INTO receipts VALUES ('nobody')").await?;
            }
            // Not `panic!`: a scripted panic has no business on the learner's screen.
            End::Panic => resume_unwind(Box::new(CURSE)),
            End::Busy(error) => {
                script.lock().between = true;
                return Err(error);
            }
        }
        Ok(amount)
    }
}

/// The verdict on an answer, by its module.
macro_rules! judged {
    ($($answer:tt)+) => {
        check::check(&|pool, script| {
            Box::pin(async move { $($answer)+::in_tx(&pool, check::body(script)).await })
        })
    };
}
pub(crate) use judged;

type Answer<'a> = &'a dyn Fn(SqlitePool, Script) -> LocalBoxFuture<'static, Result<i64, TxError>>;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(answer: Answer<'_>) -> Verdict {
    verdict(|| {
        let (error, overdrawn) = (|| End::Error, || End::Overdrawn);
        for amount in [30, 499] {
            commits(answer, amount)?;
        }
        for (end, says) in
            [(error as fn() -> End, "no rows returned"), (overdrawn, "CHECK constraint failed")]
        {
            rolls_back(answer, end, says)?;
        }
        is_refused(answer, 0)?;
        is_not_begun(answer)?;
        panics(answer, 0)?;
        for calls in [2, 5] {
            several(answer, calls)?;
        }
        for (busy, then) in [(1, "Ok"), (2, "Ok"), (1, "an error"), (3, "busy")] {
            is_busy_at_first(answer, busy, then)?;
        }
        for busy in [1, 2, 3] {
            commit_is_busy(answer, busy)?;
        }
        // What holds for the first attempt holds for a later one.
        for busy in [1, 2] {
            is_refused(answer, busy)?;
            panics(answer, busy)?;
        }
        is_not_tried_again(answer)?;
        begins_once(answer)?;
        for busy in [false, true] {
            for end in [|| End::Value, error, || End::Orphan, || End::Panic] {
                is_dropped(answer, end, busy)?;
            }
        }
        Ok(())
    })
}

/// What a call gave.
type Outcome = Result<Result<i64, TxError>, Box<dyn Any + Send>>;

/// What was seen of a call.
struct Seen {
    /// Nothing, if it had not ended in time.
    outcome: Option<Outcome>,
    /// What the next borrower of the connection found.
    next: Result<(), String>,
    /// The balance of ada by then.
    ada: i64,
    runs: usize,
}

async fn accounts() -> Database<Sqlite> {
    let database = Database::sqlite_in_memory().connections(1).await.expect("SQLite needs nothing");
    database.pool().execute(ACCOUNTS).await.expect("the tables are right");
    database
}

/// A call, and what was seen of it.
struct Run {
    name: String,
    seen: Seen,
}

impl Run {
    fn rule(&self, rule: &str, kept: bool, expected: impl fmt::Display, seen: impl fmt::Display) -> Checked {
        if kept {
            return Ok(());
        }
        Err(broken(rule, &self.name, expected, seen))
    }
}

fn broken(rule: &str, case: &str, expected: impl fmt::Display, seen: impl fmt::Display) -> Box<Verdict> {
    let finding = Finding {
        rule: Some(rule.to_owned()),
        case: case.to_owned(),
        expected: expected.to_string(),
        seen: seen.to_string(),
        trace: None,
    };
    Box::new(Verdict::found(Kind::RuleBroken, finding))
}

fn run(answer: Answer<'_>, name: impl Into<String>, script: &Script) -> Checked<Run> {
    let name = name.into();
    let seen = Case::run(&name, async |_| watched(answer, script).await)?.value;
    let run = Run { name, seen };
    run.rule(
        "connection",
        run.seen.outcome.is_some(),
        "a call that ends, on a pool of one connection",
        "it waits for something that never comes, such as a second connection",
    )?;
    Ok(run)
}

async fn watched(answer: Answer<'_>, script: &Script) -> Seen {
    let database = with_real_io(accounts()).await;
    // Connected by now: that needs to read, which in memory nobody can while somebody writes.
    let other = who_waits(&database, "PRAGMA busy_timeout = 500");
    drop(with_real_io(other.acquire()).await);
    watched_on(answer, script, database.pool(), &other).await
}

/// A call on `pool`, and what was seen of it; `other` is one more pool for the same database.
async fn watched_on(answer: Answer<'_>, script: &Script, pool: &SqlitePool, other: &SqlitePool) -> Seen {
    let call = AssertUnwindSafe(answer(pool.clone(), script.clone())).catch_unwind();
    let outcome = in_time(async {
        select! {
            biased;
            outcome = call => outcome,
            never = goes(script, other) => never,
        }
    });
    let outcome = outcome.await;
    drop(script.lock().reader.take());
    let next = in_time(next_borrower(pool)).await;
    let (ada, next) = next.unwrap_or_else(|| (0, Err(String::from("no connection: none came back"))));
    in_time(pool.close()).await;
    in_time(other.close()).await;
    Seen { outcome, next, ada, runs: script.runs() }
}

/// Has the paused clock go once the database was busy, twenty times as fast as a real one: who pauses between two attempts
/// costs nobody much time. But first it stands still for a while, and others try to write: they can, unless a transaction
/// was left open for the pause.
async fn goes<T>(script: &Script, other: &SqlitePool) -> T {
    let mut looked = 0;
    loop {
        real(Duration::from_millis(1)).await;
        let between = || Some(script.lock()).filter(|state| state.between).map(|state| state.runs);
        if let Some(runs) = between().filter(|runs| *runs > looked) {
            real(QUIET).await;
            if between() == Some(runs) {
                looked = runs;
                if let Err(error) = writes(other).await {
                    script.lock().locked_out.get_or_insert_with(|| error.to_string());
                }
            }
        }
        if script.lock().pauses {
            advance(Duration::from_millis(20)).await;
        }
    }
}

/// Waits for so long, of real time; a paused clock is held.
async fn real(wait: Duration) {
    let (_never, end) = sync_channel::<()>(0);
    drop(spawn_blocking(move || end.recv_timeout(wait)).await);
}

/// One more pool of one connection, which waits where another is in its way, as the pragma says.
fn who_waits(database: &Database<Sqlite>, pragma: &'static str) -> SqlitePool {
    database.pool_with(SqlitePoolOptions::new().max_connections(1).after_connect(move |connection, _| {
        Box::pin(async move { connection.execute(pragma).await.map(drop) })
    }))
}

/// Whether others can write.
async fn writes(pool: &SqlitePool) -> sqlx::Result<()> {
    pool.acquire().await?.execute("BEGIN IMMEDIATE; ROLLBACK").await.map(drop)
}

/// Runs `future` for a second of real time at most; a paused clock is held, as by [`with_real_io`].
async fn in_time<F: Future>(future: F) -> Option<F::Output> {
    let (_ended, end) = sync_channel::<()>(0);
    let late = spawn_blocking(move || end.recv_timeout(PATIENCE));
    select! {
        biased;
        output = future => Some(output),
        Ok(Err(RecvTimeoutError::Timeout)) = late => None,
    }
}

/// What ada has, and whether the one connection is as it should be.
async fn next_borrower(pool: &SqlitePool) -> (i64, Result<(), String>) {
    let found = async {
        let mut next = pool.acquire().await?;
        let sql = "SELECT SUM(balance), MIN(balance) FILTER (WHERE name = 'ada') FROM accounts";
        let (sum, ada): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut *next).await?;
        if sum != 1000 {
            return Ok((ada, Err(format!("half a transfer: the balances add up to {sum}, not to 1000"))));
        }
        let begun = next.execute("BEGIN; ROLLBACK").await;
        Ok::<_, sqlx::Error>((ada, begun.map(drop).map_err(|error| format!("a transaction: {error}"))))
    };
    found.await.unwrap_or_else(|error| (0, Err(format!("an error: {error}"))))
}

fn told(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => String::from("nothing"),
        Some(Ok(Ok(value))) => format!("Ok({value})"),
        Some(Ok(Err(error))) => {
            let (variant, error) = match error {
                TxError::NotBegun(error) => ("NotBegun", error),
                TxError::Failed(error) => ("Failed", error),
                TxError::NotCommitted(error) => ("NotCommitted", error),
            };
            format!("{variant}: {error}")
        }
        Some(Err(payload)) => match payload.downcast_ref::<&'static str>() {
            Some(message) => format!("a panic with the payload {message:?}, a `&'static str`"),
            None => format!("a panic with another payload: {}", panic_message(&**payload)),
        },
    }
}

/// Whether ada has what she should, and the connection is free of any transaction.
fn left(case: &Run, rule: &str, ada: i64) -> Checked {
    let Seen { ada: seen, next, .. } = &case.seen;
    let expected = if ada == 500 { "nothing of it is there" } else { "all of it is there" };
    let found = Found(next, *seen);
    let clean = "the next borrower of the connection finds no transaction on it";
    case.rule(rule, next.is_ok(), clean, &found)?;
    case.rule(rule, *seen == ada, format!("afterwards {expected}: ada has {ada}"), &found)
}

/// What the next borrower found, in words.
struct Found<'a>(&'a Result<(), String>, i64);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(()) => write!(f, "ada has {}", self.1),
            Err(found) => f.write_str(found),
        }
    }
}

fn commits(answer: Answer<'_>, amount: i64) -> Checked {
    let script = Script::new(amount, []);
    let case =
        run(answer, format!("a body that moves {amount} from ada to bob, and gives Ok({amount})"), &script)?;
    let outcome = case.seen.outcome.as_ref();
    let kept = matches!(outcome, Some(Ok(Ok(value))) if *value == amount);
    case.rule("commit", kept, format!("Ok({amount})"), told(outcome))?;
    left(&case, "commit", 500 - amount)
}

fn rolls_back(answer: Answer<'_>, end: fn() -> End, says: &str) -> Checked {
    let name = format!("a body that moves 30 from ada to bob, and then fails: {says}");
    let case = run(answer, name, &Script::always(30, end))?;
    let outcome = case.seen.outcome.as_ref();
    let kept = matches!(outcome, Some(Ok(Err(TxError::Failed(error)))) if error.to_string().contains(says));
    left(&case, "rollback", 500)?;
    case.rule("rollback", kept, format!("Failed, with the body's error: {says}"), told(outcome))
}

/// A script that is busy so many times, and then ends so.
fn after_busy(busy: usize, end: fn() -> End) -> Script {
    let errors = if busy == 0 { Vec::new() } else { plain(busy_errors(busy)) };
    Script::new(30, errors.into_iter().chain((0..5).map(|_| end())))
}

/// Like ", once the database was busy".
const fn at_first(busy: usize) -> &'static str {
    match busy {
        0 => "",
        1 => ", when the database was busy once before",
        _ => ", when the database was busy twice before",
    }
}

fn is_refused(answer: Answer<'_>, busy: usize) -> Checked {
    let name = "a body that gives Ok, but leaves a receipt for an account that is not there";
    let case = run(answer, format!("{name}{}", at_first(busy)), &after_busy(busy, || End::Orphan))?;
    let outcome = case.seen.outcome.as_ref();
    let kept = matches!(outcome, Some(Ok(Err(TxError::NotCommitted(error)))) if error.to_string().contains("FOREIGN KEY"));
    case.rule(
        "refused",
        kept,
        "NotCommitted, with the database's error: FOREIGN KEY constraint failed",
        told(outcome),
    )?;
    left(&case, "refused", 500)
}

fn is_not_begun(answer: Answer<'_>) -> Checked {
    let script = Script::new(30, []);
    let case = Case::run("a pool that is closed", async |_| {
        let database = with_real_io(accounts()).await;
        with_real_io(database.pool().close()).await;
        in_time(AssertUnwindSafe(answer(database.pool().clone(), script.clone())).catch_unwind()).await
    })?;
    let outcome = case.value.as_ref();
    let kept = matches!(outcome, Some(Ok(Err(TxError::NotBegun(sqlx::Error::PoolClosed)))));
    case.rule(
        "refused",
        kept,
        "NotBegun, with the pool's error: attempted to acquire a connection on a closed pool",
        told(outcome),
    )
}

/// No connection can be had, and that is no case of busy.
fn begins_once(answer: Answer<'_>) -> Checked {
    let script = Script::new(30, []);
    let case = Case::run("a pool whose connection is taken, and that gives up after 1 s", async |_| {
        let database = with_real_io(accounts()).await;
        let pool =
            database.pool_with(SqlitePoolOptions::new().max_connections(1).acquire_timeout(NO_CONNECTION));
        let taken = with_real_io(pool.acquire()).await.expect("the only one");
        let begun = Instant::now();
        let outcome = AssertUnwindSafe(answer(pool.clone(), script.clone())).catch_unwind().await;
        let took = begun.elapsed();
        drop(taken);
        in_time(pool.close()).await;
        in_time(database.pool().close()).await;
        (Some(outcome), took)
    })?;
    let (outcome, took) = &case.value;
    let kept = matches!(outcome, Some(Ok(Err(TxError::NotBegun(sqlx::Error::PoolTimedOut)))));
    case.rule("refused", kept, "NotBegun, with the pool's error: pool timed out", told(outcome.as_ref()))?;
    case.rule(
        "retry",
        *took < NO_CONNECTION * 3 / 2,
        "NotBegun after 1 s: the database was not busy, and the pool is not asked again",
        format!("it came after {:.1} s", took.as_secs_f64()),
    )
}

fn panics(answer: Answer<'_>, busy: usize) -> Checked {
    let name = format!("a body that moves 30 from ada to bob, and panics{}", at_first(busy));
    let case = run(answer, name, &after_busy(busy, || End::Panic))?;
    let outcome = case.seen.outcome.as_ref();
    let kept = matches!(outcome, Some(Err(payload)) if payload.downcast_ref() == Some(&CURSE));
    case.rule("panic", kept, format!("a panic with the payload {CURSE:?}, a `&'static str`"), told(outcome))?;
    left(&case, "panic", 500)
}

fn several(answer: Answer<'_>, calls: usize) -> Checked {
    let script = Script::new(10, []);
    let case = Case::run(format!("{calls} calls at once, on a pool of one connection"), async |_| {
        let database = with_real_io(accounts()).await;
        let all = (0..calls).map(|_| answer(database.pool().clone(), script.clone()));
        #[expect(clippy::disallowed_methods, reason = "five at most")]
        let all = in_time(join_all(all)).await;
        let good = all.map(|all| all.iter().filter(|ended| ended.is_ok()).count());
        let next = in_time(next_borrower(database.pool())).await;
        in_time(database.pool().close()).await;
        (good, next)
    })?;
    let (good, next) = &case.value;
    case.rule(
        "connection",
        *good == Some(calls),
        format!("{calls} calls that give Ok"),
        good.map_or_else(
            || String::from("they wait for each other, and none ends"),
            |n| format!("{n} that did"),
        ),
    )?;
    let ada = 500 - 10 * i64::try_from(calls).expect("five at most");
    let kept = matches!(next, Some((seen, Ok(()))) if *seen == ada);
    let seen = next
        .as_ref()
        .map_or_else(|| String::from("no connection"), |(ada, next)| Found(next, *ada).to_string());
    case.rule("connection", kept, format!("afterwards ada has {ada}"), seen)
}

/// Errors that SQLite gives when it is busy.
async fn busy_errors(count: usize) -> Vec<End> {
    let database = Database::sqlite_in_memory().connections(2).await.expect("SQLite needs nothing");
    let mut writer = database.pool().acquire().await.expect("the first of two");
    let mut other = database.pool().acquire().await.expect("the second of two");
    other.execute("PRAGMA busy_timeout = 0").await.expect("a pragma");
    writer.execute("BEGIN IMMEDIATE").await.expect("nobody else writes");
    let mut errors = Vec::new();
    for _ in 0..count {
        errors.push(End::Busy(other.execute("BEGIN IMMEDIATE").await.expect_err("the first one writes")));
    }
    drop((writer, other));
    database.pool().close().await;
    errors
}

fn plain<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("no runtime: the process is out of file descriptors or memory").block_on(future)
}

fn is_busy_at_first(answer: Answer<'_>, busy: usize, then: &str) -> Checked {
    let mut ends = plain(busy_errors(busy));
    if then == "an error" {
        ends.push(End::Error);
    }
    let script = Script::new(30, ends);
    let times = if busy == 1 { String::from("once") } else { format!("{busy} times") };
    let name =
        format!("a body that moves 30 from ada to bob, and finds the database busy {times}, then {then}");
    let case = run(answer, name, &script)?;
    others_can_write(&case, &script)?;
    let Seen { outcome, runs, .. } = &case.seen;
    let expected = if then == "busy" { busy } else { busy + 1 };
    case.rule("retry", *runs == expected, format!("{expected} runs of the body"), format!("{runs} runs"))?;
    let (kept, wanted, ada) = match (then, outcome) {
        ("Ok", outcome) => (matches!(outcome, Some(Ok(Ok(30)))), "Ok(30)", 470),
        ("an error", outcome) => {
            let kept = matches!(outcome, Some(Ok(Err(TxError::Failed(sqlx::Error::RowNotFound)))));
            (kept, "Failed, with the last error: no rows returned", 500)
        }
        (_, outcome) => {
            let kept = matches!(outcome, Some(Ok(Err(TxError::Failed(error)))) if is_busy(error));
            (kept, "Failed, with the last error: database is locked", 500)
        }
    };
    case.rule("retry", kept, wanted, told(outcome.as_ref()))?;
    left(&case, "retry", ada)
}

fn others_can_write(case: &Run, script: &Script) -> Checked {
    let locked_out = script.lock().locked_out.take();
    case.rule(
        "retry",
        locked_out.is_none(),
        "what was busy is rolled back before anybody waits: others can write",
        format!(
            "in a pause between two attempts, another connection can't: {}",
            locked_out.unwrap_or_default()
        ),
    )
}

/// Somebody reads, and for as long as they do, SQLite answers a COMMIT that it is busy; the transaction stays open.
fn commit_is_busy(answer: Answer<'_>, busy: usize) -> Checked {
    let times = if busy == 1 { String::from("once") } else { format!("{busy} times") };
    let name =
        format!("a body that moves 30 from ada to bob, and whose COMMIT finds the database busy {times}");
    let script = Script::new(30, []);
    let seen = Case::run(&name, async |_| {
        let database = with_real_io(accounts()).await;
        // It does not wait for the reader, who goes only when the body is run again.
        let pool = who_waits(&database, "PRAGMA busy_timeout = 0");
        let reader = with_real_io(async {
            let mut reader = database.pool().acquire().await?;
            reader.execute("BEGIN; SELECT * FROM accounts").await?;
            Ok::<_, sqlx::Error>(reader)
        });
        script.lock().reader = Some((busy, reader.await.expect("a reader is never in the way of another")));
        watched_on(answer, &script, &pool, database.pool()).await
    })?;
    let case = Run { name, seen: seen.value };
    let Seen { outcome, runs, .. } = &case.seen;
    let (kept, wanted, ada) = if busy < 3 {
        (matches!(outcome, Some(Ok(Ok(30)))), "Ok(30)", 470)
    } else {
        let kept = matches!(outcome, Some(Ok(Err(TxError::NotCommitted(error)))) if is_busy(error));
        (kept, "NotCommitted, with the last error: database is locked", 500)
    };
    let expected = (busy + 1).min(3);
    case.rule("retry", *runs == expected, format!("{expected} runs of the body"), format!("{runs} runs"))?;
    case.rule("retry", kept, wanted, told(outcome.as_ref()))?;
    left(&case, "retry", ada)
}

fn is_not_tried_again(answer: Answer<'_>) -> Checked {
    for (end, what) in [
        (End::Overdrawn, "violates a constraint"),
        (End::Orphan, "leaves a receipt for nobody"),
        (End::Panic, "panics"),
    ] {
        let script = Script::new(30, [end]);
        let case = run(answer, format!("a body that {what}, the first time"), &script)?;
        let runs = case.seen.runs;
        case.rule(
            "retry",
            runs == 1,
            "1 run of the body: the database was not busy",
            format!("{runs} runs"),
        )?;
    }
    Ok(())
}

fn is_dropped(answer: Answer<'_>, end: fn() -> End, busy: bool) -> Checked {
    let name = match end() {
        End::Value => "a body that gives Ok",
        End::Orphan => "a body whose COMMIT is refused",
        End::Panic => "a body that panics",
        _ => "a body that gives Err",
    };
    let first = at_first(usize::from(busy));
    let name = format!("{name}{first}, dropped at each await in turn");
    // A case of its own, for whoever has patience with one: each drop is quick, and there are many.
    Case::run(&name, async |_| ())?;
    // Each is given away once, and they are had from a database of their own.
    let errors = RefCell::new(Vec::new());
    let dropped = every_await::with_io(
        async || {
            if busy && errors.borrow().is_empty() {
                errors.replace(busy_errors(64).await);
            }
            (accounts().await, Going::begin())
        },
        |(database, _)| {
            let ends = errors.borrow_mut().pop().into_iter().chain((0..5).map(|_| end()));
            let call = answer(database.pool().clone(), Script::new(30, ends));
            AssertUnwindSafe(call).catch_unwind().map(drop)
        },
        async |(database, going)| {
            going.end();
            let next = in_time(next_borrower(database.pool())).await;
            in_time(database.pool().close()).await;
            match next {
                Some((500 | 470, Ok(()))) => Ok(()),
                Some((ada, next)) => Err(format!("the next borrower finds {}", Found(&next, ada))),
                None => Err(String::from("the connection does not come back")),
            }
        },
    );
    let Err(seen) = dropped else { return Ok(()) };
    let expected = "all of it or nothing, and no transaction on the connection";
    Err(broken("dropped", &name, expected, without_folders(&seen)))
}

/// A clock that goes twenty times as fast as a real one, until it is told to end.
struct Going(Arc<AtomicBool>);

impl Going {
    fn begin() -> Self {
        tokio::time::pause();
        let ended = Arc::new(AtomicBool::new(false));
        let going = ended.clone();
        // It stays: those tasks are counted that are more than there were at the start.
        tokio::spawn(async move {
            loop {
                real(Duration::from_millis(1)).await;
                if going.load(Relaxed) {
                    pending::<()>().await;
                }
                advance(Duration::from_millis(20)).await;
            }
        });
        Self(ended)
    }

    /// From here on it is a real one.
    fn end(&self) {
        self.0.store(true, Relaxed);
        tokio::time::resume();
    }
}
