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
use sqlx::{Executor as _, Sqlite, SqliteConnection, SqlitePool};
use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::Duration,
};
use testing::{
    Case, Checked, Database,
    case::{verdict, without_folders},
    every_await, with_real_io,
};
use tokio::{select, task::spawn_blocking};

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
}

impl Script {
    fn new(amount: i64, ends: impl IntoIterator<Item = End>) -> Self {
        Self(Arc::new(Mutex::new(State { amount, ends: ends.into_iter().collect(), runs: 0 })))
    }

    /// Each run ends in the same way.
    fn always(amount: i64, end: fn() -> End) -> Self {
        Self::new(amount, (0..10).map(|_| end()))
    }

    fn is_busy(&self) -> bool {
        self.lock().ends.iter().any(|end| matches!(end, End::Busy(_)))
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
        let (amount, end) = {
            let mut state = script.lock();
            state.runs += 1;
            (state.amount, state.ends.pop_front().unwrap_or(End::Value))
        };
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
            End::Busy(error) => return Err(error),
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
        is_refused(answer)?;
        is_not_begun(answer)?;
        panics(answer)?;
        for calls in [2, 5] {
            several(answer, calls)?;
        }
        for (busy, then) in [(1, "Ok"), (2, "Ok"), (1, "an error"), (3, "busy")] {
            is_busy_at_first(answer, busy, then)?;
        }
        is_not_tried_again(answer)?;
        for end in [|| End::Value, error, || End::Orphan, || End::Panic] {
            is_dropped(answer, end)?;
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
    let seen = if script.is_busy() {
        // Who waits between two attempts waits for a clock, and this one goes.
        plain(watched(answer, script))
    } else {
        Case::run(&name, async |_| watched(answer, script).await)?.value
    };
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
    let call = AssertUnwindSafe(answer(database.pool().clone(), script.clone())).catch_unwind();
    let outcome = in_time(call).await;
    let next = in_time(next_borrower(database.pool())).await;
    let (ada, next) = next.unwrap_or_else(|| (0, Err(String::from("no connection: none came back"))));
    in_time(database.pool().close()).await;
    Seen { outcome, next, ada, runs: script.runs() }
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

fn is_refused(answer: Answer<'_>) -> Checked {
    let name = "a body that gives Ok, but leaves a receipt for an account that is not there";
    let case = run(answer, name, &Script::always(30, || End::Orphan))?;
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

fn panics(answer: Answer<'_>) -> Checked {
    let case =
        run(answer, "a body that moves 30 from ada to bob, and panics", &Script::always(30, || End::Panic))?;
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

fn is_dropped(answer: Answer<'_>, end: fn() -> End) -> Checked {
    let name = match end() {
        End::Value => "a body that gives Ok",
        End::Orphan => "a body whose COMMIT is refused",
        End::Panic => "a body that panics",
        _ => "a body that gives Err",
    };
    let dropped = every_await::with_io(
        accounts,
        |database| {
            let call = answer(database.pool().clone(), Script::always(30, end));
            AssertUnwindSafe(call).catch_unwind().map(drop)
        },
        async |database| {
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
    let name = format!("{name}, dropped at each await in turn");
    let expected = "all of it or nothing, and no transaction on the connection";
    Err(broken("dropped", &name, expected, without_folders(&seen)))
}
