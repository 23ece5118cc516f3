//! The Rust half of the cheat sheet, as far as something has to be
//! given back: each line is run, and what it does is asserted. The
//! lines are short, since the page prints two languages side by
//! side: see rustfmt.toml.

// ANCHOR: resources_imports
use common::server::{ServerError, Session};
use resources::{
    ExitStack, HttpClient, Lifespan, Pool, Reaper, connect,
    http_client,
    lifespan::{self, Starting},
    pool, scope, signals, transaction,
};
use sqlx::SqliteConnection;
use std::{
    convert::Infallible, num::NonZeroUsize, time::Duration,
};

/// Two at once, for instance.
const LIMIT: NonZeroUsize =
    NonZeroUsize::new(2).expect("two is not zero");

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
// ANCHOR_END: resources_imports

use common::{
    Recorder,
    server::{Call, Outcome, Server},
    upstream::{Response, Upstream},
};
use resources::{
    PoolError, TxError,
    lifespan::{Phase, Reason},
};
use sqlx::Executor as _;
use std::{cell::RefCell, process::Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

type Tested = Result<(), Box<dyn std::error::Error>>;

/// Opens, asks and closes a session in 10 ms each.
fn server() -> Server {
    Server::new(&Recorder::new("cheat sheet"))
}

#[tokio::test(start_paused = true)]
async fn it_is_closed_whoever_is_gone() -> Tested {
    let server = server();
    let open = |name| server.open(name);
    let reaper = Reaper::new(ms(500));
    let use_one = async || {
        // ANCHOR: scope
        let row = scope(
            &reaper,
            "session",
            open("a"),
            async |session| session.ask(7).await,
            Session::close,
        )
        .await?;
        // ANCHOR_END: scope
        Ok::<_, Box<dyn std::error::Error>>(row)
    };
    assert_eq!(use_one().await?, "a: 7");
    assert!(server.left_open().is_empty());
    // In the middle of its opening, its use, its closing.
    for given_up in [5, 15, 25] {
        assert!(
            timeout(ms(given_up), use_one()).await.is_err()
        );
    }
    assert!(reaper.drain(ms(1000)).await.is_clean());
    assert_eq!(server.opened_so_far(), 4);
    assert!(server.left_open().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn as_many_as_there_are_are_closed_in_reverse() -> Tested
{
    let server = server();
    let open = |name| server.open(name);
    let names = ["a", "b"];
    let shown = RefCell::new(Vec::new());
    let show = |row| shown.borrow_mut().push(row);
    let reaper = Reaper::new(ms(500));
    // ANCHOR: exit_stack
    let mut stack = ExitStack::new(&reaper);
    for name in names {
        let opening = open(name);
        let mut session = stack
            .enter(name, opening, Session::close)
            .await?;
        show(session.ask(7).await?);
    }
    let closed = stack.close().await;
    // ANCHOR_END: exit_stack
    assert_eq!(shown.take(), ["a: 7", "b: 7"]);
    assert_eq!(closed.closed, ["b", "a"]);
    assert!(server.left_open().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn all_is_opened_or_nothing() -> Tested {
    let server =
        server().on(Call::Open, "b", ms(10), Outcome::Fail);
    let open = |name| server.open(name);
    let reaper = Reaper::new(ms(500));
    // ANCHOR: connect
    let both = connect(&reaper, async |stack| {
        let a = open("a");
        let a = stack.enter("a", a, Session::close).await?;
        let b = open("b");
        let b = stack.enter("b", b, Session::close).await?;
        Ok::<_, ServerError>((a, b))
    })
    .await;
    // ANCHOR_END: connect
    let error = both.err().ok_or("b was opened")?;
    assert_eq!(error.error.session, "b");
    assert_eq!(error.undone.closed, ["a"]);
    assert!(server.left_open().is_empty());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_few_are_lent_to_many() -> Tested {
    let server = server();
    let open = {
        let server = server.clone();
        move || server.open("a")
    };
    // ANCHOR: pool
    let limits = pool::Limits::new(LIMIT, ms(5000));
    let pool = Pool::new(open, limits);
    let ask = pool.with(async |session| session.ask(7).await);
    let row = ask.await??;
    // ANCHOR_END: pool
    assert_eq!(row, "a: 7");
    let ask = || {
        pool.with(async |session| {
            sleep(ms(5)).await;
            session.ask(7).await
        })
    };
    let given_up = timeout(ms(10), ask()).await;
    assert!(given_up.is_err());
    // One that was left in the middle of a question is not lent.
    let three = tokio::try_join!(ask(), ask(), ask())?;
    assert_eq!(three.2?, "a: 7");
    assert_eq!(
        (server.opened_so_far(), server.peak()),
        (3, 3)
    );
    assert!(pool.close(ms(1000)).await.taken.is_empty());
    Ok(())
}

#[tokio::test]
async fn all_statements_count_or_none() -> Tested {
    const GIVE: &str = "UPDATE accounts \
        SET balance = balance + ? WHERE name = 'bob'";
    const TAKE: &str = "UPDATE accounts \
        SET balance = balance - ? WHERE name = 'ada'";
    let database =
        testing::Database::sqlite_in_memory().await?;
    let pool = database.pool();
    pool.execute(
        "CREATE TABLE accounts
            (name TEXT, balance INT CHECK (balance >= 0));
         INSERT INTO accounts VALUES ('ada', 50), ('bob', 50)",
    )
    .await?;
    let transfer = async |cents: i64| {
        // ANCHOR: transaction
        type Tx = SqliteConnection;
        transaction(pool, async |tx: &mut Tx| {
            let give = sqlx::query(GIVE).bind(cents);
            give.execute(&mut *tx).await?;
            let take = sqlx::query(TAKE).bind(cents);
            take.execute(&mut *tx).await
        })
        .await?;
        // ANCHOR_END: transaction
        Ok::<_, TxError<sqlx::Error>>(())
    };
    transfer(20).await?;
    let refused = transfer(60).await;
    assert!(matches!(refused, Err(TxError::Failed(_))));
    let balances: Vec<i64> = sqlx::query_scalar(
        "SELECT balance FROM accounts ORDER BY name",
    )
    .fetch_all(pool)
    .await?;
    assert_eq!(balances, [30, 70]);
    Ok(())
}

#[tokio::test]
async fn a_call_has_a_limit_at_every_level() -> Tested {
    let item = r#"{"name":"lamp"}"#;
    let upstream = Upstream::start([
        ("/items/7", Response::new(200, item)),
        ("/items/8", Response::new(302, "")),
    ])
    .await?;
    let url = upstream.url("");
    // ANCHOR: http_client
    let limits = http_client::Limits {
        connect: ms(1000),
        silence: ms(2000), // For each part of an answer.
        total: ms(5000),   // For all of it.
        idle: ms(30_000),
        in_flight: LIMIT,
        wait: ms(100), // For a place among those in flight.
        body_bytes: 1 << 20,
        redirects: 3,
    };
    let client = HttpClient::new(&url, limits)?;
    let call = client.get("/items/7");
    let item: Item = client.send(call).await?.json().await?;
    // ANCHOR_END: http_client
    assert_eq!(item.name, "lamp");
    let again = client.get("/items/7");
    client.send(again).await?.drain().await?;
    assert_eq!(upstream.connections(), 1);
    let other = client.send(client.get("/items/8")).await;
    assert!(other.is_err(), "no success is an error");
    Ok(())
}

#[derive(serde::Deserialize)]
struct Item {
    name: String,
}

type Sessions = Pool<Opens>;

/// How one is opened.
struct Opens(Server);

impl pool::Manage for Opens {
    type Resource = Session;
    type Error = ServerError;

    async fn create(&self) -> Result<Session, ServerError> {
        self.0.open("pooled").await
    }

    async fn close(
        &self,
        session: Session,
    ) -> Result<(), ServerError> {
        session.close().await
    }
}

async fn open_pool(
    server: &Server,
) -> Result<Sessions, PoolError<ServerError>> {
    let limits = pool::Limits::new(LIMIT, ms(100));
    let pool = Pool::new(Opens(server.clone()), limits);
    // What can't be reached is found out at the start.
    drop(pool.get().await?);
    Ok(pool)
}

async fn close_pool(pool: Sessions) -> Result<(), String> {
    let taken = pool.close(ms(100)).await.taken;
    if taken.is_empty() {
        Ok(())
    } else {
        Err(format!("still out: {taken:?}"))
    }
}

/// Asks once, and once more when it is to stop.
async fn work(
    pool: Sessions,
    stop: CancellationToken,
) -> Result<(), PoolError<ServerError>> {
    drop(pool.get().await?.ask(1).await);
    stop.cancelled().await;
    drop(pool.get().await?.ask(2).await);
    Ok(())
}

#[tokio::test]
#[cfg_attr(
    not(unix),
    ignore = "it sends a SIGTERM to itself"
)]
async fn it_starts_in_order_and_stops_in_reverse() -> Tested {
    let server = server();
    let open_pool = || open_pool(&server);
    // ANCHOR: lifespan
    let limits =
        lifespan::Limits { start: ms(5000), stop: ms(1000) };
    let start = async |app: &mut Starting| {
        let opening = open_pool();
        let pool = app
            .open("pool", limits, opening, close_pool)
            .await?;
        let worker = async {
            let run = |stop| work(pool, stop);
            Ok::<_, Infallible>(((), run))
        };
        app.start("worker", limits, worker).await
    };
    // ANCHOR_END: lifespan
    let life = Lifespan::new(ms(10_000));
    let mut phase = life.phase();
    let program = async {
        // ANCHOR: signal
        let stops = signals()?; // SIGTERM or SIGINT.
        let report = life.run(stops, start).await?;
        // ANCHOR_END: signal
        Ok::<_, Box<dyn std::error::Error>>(report)
    };
    let operator = async {
        phase.wait_for(|now| *now == Phase::Ready).await?;
        let me = std::process::id().to_string();
        let kill = ["-TERM", &me];
        let sent =
            Command::new("kill").args(kill).status()?;
        assert!(sent.success());
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let (report, ()) = tokio::try_join!(program, operator)?;
    assert_eq!(report.reason, Reason::Asked("SIGTERM"));
    let stopped =
        report.components.iter().map(|one| one.name);
    assert!(stopped.eq(["worker", "pool"]));
    assert!(report.is_clean(), "{report}");
    assert!(server.left_open().is_empty());
    Ok(())
}
