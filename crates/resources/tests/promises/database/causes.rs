use super::{
    PATIENCE, all_capacity, in_the_end, leases, ms, paused, runtime, settings, several_threads,
    silent_server, spawn, sqlite,
};
use common::clock::spend;
use resources::{
    TxError,
    database::{AcquireError, Closed, Lease, acquire, close},
    transaction, with_connection,
};
use sqlx::{Connection as _, Sqlite, SqlitePool, postgres::PgConnectOptions};
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use testing::{Database, database::or_skip, every_await, with_real_io};
use tokio::{
    net::TcpListener,
    task::{JoinSet, yield_now},
    time::Instant,
};

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

const LIMIT: Duration = Duration::from_secs(1);

async fn one(connection: &mut sqlx::SqliteConnection) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT 1").fetch_one(connection).await?)
}

#[test]
fn connections_that_do_not_come_back_are_told_with_their_places_and_since_when() {
    paused().block_on(async {
        let (_database, pool) = sqlite(2).await;
        let first = with_real_io(acquire(&pool, PATIENCE)).await.unwrap();
        tokio::time::sleep(ms(250)).await;
        let second = with_real_io(acquire(&pool, PATIENCE)).await.unwrap();
        let start = Instant::now();
        let other = spawn(acquire(&pool, LIMIT));
        let error = spawn(acquire(&pool, LIMIT)).await.unwrap().unwrap_err();
        assert_eq!(start.elapsed(), LIMIT);
        let text = error.to_string();
        let AcquireError::Held { evidence } = error else { panic!("{error}") };
        assert_eq!((evidence.waited, evidence.limit, evidence.open, evidence.idle), (LIMIT, 2, 2, 0));
        assert_eq!((evidence.returned, evidence.late, evidence.waiting), (0, ms(0), 1));
        let held: Vec<_> =
            evidence.holders.iter().map(|holder| (holder.held_for, holder.same_task)).collect();
        assert_eq!(held, [(ms(1250), false), (LIMIT, false)]);
        assert!(evidence.holders.iter().all(|holder| holder.asked_at.file() == file!()));
        assert!(evidence.holders[0].asked_at.line() < evidence.holders[1].asked_at.line());
        assert!(text.contains("causes.rs:") && text.contains("for 1.25s"), "{text}");
        drop((first, second, other.await.unwrap().unwrap_err()));
        with_real_io(all_capacity(&pool)).await.unwrap();
    });
}

#[test]
fn connections_that_come_back_and_are_given_to_others_are_told_as_too_many_callers() {
    paused().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let held = leases(&pool, 1).await;
        let before = spawn(acquire(&pool, PATIENCE));
        let late = spawn(acquire(&pool, LIMIT));
        tokio::time::sleep(ms(100)).await;
        drop(held);
        let served = with_real_io(before).await.unwrap().unwrap();
        let error = late.await.unwrap().unwrap_err();
        let AcquireError::Overloaded { evidence } = error else { panic!("{error}") };
        assert_eq!((evidence.returned, evidence.holders.len(), evidence.waited), (1, 1, LIMIT));
        drop(served);
    });
}

#[test]
fn a_task_that_waits_for_a_second_one_without_the_runner_is_told_that_it_has_the_first() {
    paused().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let task = spawn(async move {
            let _first = leases(&pool, 1).await;
            acquire(&pool, LIMIT).await.unwrap_err()
        });
        let error = task.await.unwrap();
        assert!(error.to_string().contains("in this very task"), "{error}");
        let AcquireError::Held { evidence } = error else { panic!("{error}") };
        assert!(evidence.holders[0].same_task);
    });
}

#[test]
fn those_who_have_a_connection_of_the_pool_itself_are_counted_though_nobody_knows_where() {
    paused().block_on(async {
        let (options, served) = silent_server().await;
        let pool = settings(1).pool(options);
        let held = with_real_io(pool.acquire()).await.unwrap();
        let error = acquire(&pool, LIMIT).await.unwrap_err();
        // The pool has all it may have: nobody asks the server for more.
        assert_eq!(served.load(SeqCst), 1);
        let AcquireError::Held { evidence } = error else { panic!("{error}") };
        assert_eq!((evidence.open, evidence.idle, evidence.holders.len()), (1, 0, 0));
        drop(held);
    });
}

#[test]
fn a_server_that_refuses_is_named_with_what_it_said() {
    paused().block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let pool = settings(2).pool(PgConnectOptions::new().host("127.0.0.1").port(port));
        let error = acquire(&pool, LIMIT).await.unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
        let AcquireError::Unreachable { refusal: Some(refusal), evidence } = error else { panic!("{error}") };
        assert!(
            matches!(&*refusal, sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused)
        );
        assert_eq!(evidence.waited, LIMIT);
        // What sqlx says of it, which is why there is `acquire`.
        let options = sqlx::postgres::PgPoolOptions::new().acquire_timeout(ms(100));
        let plain = options.connect_lazy_with((*pool.connect_options()).clone());
        assert!(matches!(plain.acquire().await, Err(sqlx::Error::PoolTimedOut)));
    });
}

#[test]
fn a_server_that_does_not_answer_is_told_as_that_and_asked_by_one_at_a_time() {
    paused().block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let pool = settings(2).pool(PgConnectOptions::new().host("127.0.0.1").port(port));
        let mut waiting = JoinSet::new();
        for _ in 0..20 {
            waiting.spawn(acquire(&pool, LIMIT));
        }
        let start = Instant::now();
        // Two of the pool's own, and the one that asks.
        let mut came = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(LIMIT - ms(5) - start.elapsed(), listener.accept()).await
        {
            came.push(stream);
        }
        assert_eq!(came.len(), 3);
        while let Some(error) = waiting.join_next().await {
            let error = error.unwrap().unwrap_err();
            assert!(matches!(error, AcquireError::Unreachable { refusal: None, .. }), "{error}");
        }
        assert_eq!(start.elapsed(), LIMIT);
    });
}

#[test]
fn a_server_that_is_full_is_told_from_a_pool_that_is_full() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let role: String = sqlx::query_scalar("SELECT 'guest_' || current_database()")
            .fetch_one(database.pool())
            .await
            .unwrap();
        let create = format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'guest' CONNECTION LIMIT 1");
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(database.pool()).await.unwrap();
        let options = (*database.pool().connect_options()).clone().username(&role).password("guest");
        let pool = settings(5).pool(options);
        let held = acquire(&pool, PATIENCE).await.unwrap();
        // In real time: on a machine that is busy with something else the answer may be `Blocked`, and is true.
        let error = loop {
            match acquire(&pool, 3 * LIMIT).await.unwrap_err() {
                AcquireError::Blocked { .. } | AcquireError::Unreachable { refusal: None, .. } => {}
                error => break error,
            }
        };
        assert!(error.to_string().contains("too many connections"), "{error}");
        let AcquireError::Unreachable { refusal: Some(refusal), evidence } = error else { panic!("{error}") };
        assert_eq!(refusal.as_database_error().unwrap().code().unwrap(), "53300");
        assert_eq!(evidence.holders.len(), 1);
        drop(held);
        drop(close(&pool, PATIENCE).await);
        let gone = async || {
            let drop_role = format!("DROP ROLE \"{role}\"");
            sqlx::query(sqlx::AssertSqlSafe(drop_role)).execute(database.pool()).await.is_ok()
        };
        in_the_end(gone, "the role can't be dropped").await;
    });
}

#[test]
fn a_server_that_will_never_let_us_in_is_told_at_once() {
    runtime().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        let options = (*database.pool().connect_options()).clone().database("nowhere");
        let pool = settings(1).pool(options);
        let error = acquire(&pool, PATIENCE).await.unwrap_err();
        let AcquireError::Unreachable { refusal: Some(refusal), evidence } = error else { panic!("{error}") };
        assert_eq!(refusal.as_database_error().unwrap().code().unwrap(), "3D000");
        assert!(evidence.waited < settings(1).acquire_within);
    });
}

/// Asks until it is told what is `wanted`. On a machine that is busy, another cause may be true for a while: a runtime that has
/// no processor is blocked, and a pool in which nobody gets to run has none that come back.
async fn is_told<D: sqlx::Database>(
    pool: &sqlx::Pool<D>,
    limit: Duration,
    wanted: fn(&AcquireError) -> bool,
) {
    let start = std::time::Instant::now();
    loop {
        match acquire(pool, limit).await {
            Err(error) if wanted(&error) => return,
            ended => assert!(start.elapsed() < PATIENCE, "{ended:?}"),
        }
    }
}

#[test]
fn those_who_come_and_go_without_acquire_are_told_as_too_many_callers_and_not_as_a_leak() {
    several_threads().block_on(async {
        let Some(database) = or_skip(Database::postgres().await) else { return };
        for by_transaction in [true, false] {
            let pool = super::postgres(&database, &settings(2));
            let mut callers = JoinSet::new();
            for _ in 0..60 {
                let pool = pool.clone();
                callers.spawn(async move {
                    loop {
                        const SLOW: &str = "SELECT pg_sleep(0.02)";
                        if by_transaction {
                            let work = async |tx: &mut sqlx::PgConnection| {
                                sqlx::query(SLOW).execute(tx).await.map(drop)
                            };
                            transaction(&pool, work).await.ok();
                        } else {
                            sqlx::query(SLOW).execute(&pool).await.ok();
                        }
                    }
                });
            }
            in_the_end(async || pool.size() == 2 && pool.num_idle() == 0, "nobody came").await;
            tokio::time::sleep(ms(100)).await;
            is_told(&pool, ms(300), |error| matches!(error, AcquireError::Overloaded { .. })).await;
            callers.shutdown().await;
        }
    });
}

#[test]
fn of_a_pool_that_does_not_count_no_leak_is_claimed() {
    runtime().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let held = pool.acquire().await.unwrap();
        is_told(&pool, ms(50), |error| matches!(error, AcquireError::InUse { .. })).await;
        drop(held);
    });
}

#[test]
fn a_pool_that_has_all_it_may_have_asks_nothing_of_a_server_that_is_full() {
    paused().block_on(async {
        let (options, served) = silent_server().await;
        let pool = settings(2).pool(options);
        let held =
            with_real_io(async { (pool.acquire().await.unwrap(), pool.acquire().await.unwrap()) }).await;
        let error = acquire(&pool, LIMIT).await.unwrap_err();
        assert!(matches!(error, AcquireError::Held { .. }), "{error}");
        assert_eq!(served.load(SeqCst), 2);
        drop(held);
    });
}

#[test]
fn a_wait_of_no_length_and_one_whose_owner_does_not_poll_it_are_no_fault_of_the_runtime() {
    paused().block_on(async {
        let (_database, database) = sqlite(1).await;
        let pool = settings(1).pool((*database.connect_options()).clone());
        let held = leases(&pool, 1).await;
        for limit in [0, 1, 2, 5, 19] {
            let error = acquire(&pool, ms(limit)).await.unwrap_err();
            assert!(matches!(error, AcquireError::Held { .. }), "{limit} ms: {error}");
        }
        let theirs = pool.clone();
        let lazy = spawn(async move {
            let mut acquiring = std::pin::pin!(acquire(&theirs, 4 * LIMIT));
            assert!(futures_util::poll!(&mut acquiring).is_pending());
            tokio::time::sleep(3 * LIMIT / 2).await;
            drop(tokio::time::timeout(ms(100), acquiring).await);
        });
        tokio::time::sleep(5 * LIMIT / 4).await;
        let error = acquire(&pool, ms(600)).await.unwrap_err();
        let AcquireError::Held { evidence } = error else { panic!("{error}") };
        assert_eq!(evidence.late, ms(0));
        lazy.await.unwrap();
        drop(held);
    });
}

#[test]
fn a_runtime_that_is_blocked_is_told_from_a_pool_that_is_empty() {
    paused().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let held = leases(&pool, 1).await;
        let waiting = spawn(acquire(&pool, LIMIT));
        tokio::time::sleep(ms(50)).await;
        // In five pieces, as a loop that computes between two awaits.
        for _ in 0..5 {
            spend(ms(130));
            yield_now().await;
        }
        let error = waiting.await.unwrap().unwrap_err();
        let AcquireError::Blocked { late, evidence } = error else { panic!("{error}") };
        assert!((LIMIT / 2..LIMIT).contains(&late), "{late:?}");
        assert_eq!((evidence.late, evidence.holders.len()), (late, 1));
        drop(held);
    });
}

#[test]
fn a_runtime_that_is_blocked_beyond_the_limit_in_one_piece_is_told_too() {
    paused().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let _held = leases(&pool, 1).await;
        let waiting = spawn(acquire(&pool, LIMIT));
        yield_now().await;
        spend(3 * LIMIT);
        let error = waiting.await.unwrap().unwrap_err();
        assert!(matches!(error, AcquireError::Blocked { late, .. } if late > 2 * LIMIT), "{error}");
    });
}

#[test]
fn a_second_connection_within_the_first_is_refused_at_once_and_says_where_the_first_was_asked_for() {
    paused().block_on(async {
        let (_database, pool) = sqlite(2).await;
        let (_other_database, other) = sqlite(1).await;
        with_real_io(with_connection(&pool, PATIENCE, async |connection| {
            let outer = line!() - 1;
            // There would be a second one, and the next two callers would wait for each other.
            let nested = acquire(&pool, PATIENCE).await.unwrap_err();
            let AcquireError::Nested { outer: told } = nested else { panic!("{nested}") };
            assert_eq!((told.file(), told.line()), (file!(), outer));
            let clone = pool.clone();
            let nested = with_connection(&clone, PATIENCE, async |_| Ok::<_, Error>(())).await;
            assert!(matches!(nested, Err(Error::Acquire(AcquireError::Nested { .. }))));
            // Another pool is another matter, and so is another task.
            with_connection(&other, PATIENCE, one).await?;
            let task = spawn(acquire(&pool, PATIENCE));
            drop(task.await.unwrap()?);
            assert_eq!(one(connection).await?, 1);
            Ok::<_, Error>(())
        }))
        .await
        .unwrap();
        // Afterwards it is a caller like any other.
        with_real_io(all_capacity(&pool)).await.unwrap();
    });
}

#[test]
fn a_transaction_counts_as_a_connection_and_the_other_way_round() {
    paused().block_on(async {
        let (_database, pool) = sqlite(2).await;
        let work = with_connection(&pool, PATIENCE, async |_| {
            let nested = transaction(&pool, async |_| Ok::<_, sqlx::Error>(())).await;
            Ok::<_, Error>(matches!(nested, Err(TxError::Nested { .. })))
        });
        assert!(with_real_io(work).await.unwrap());
        let work = transaction(&pool, async |_| {
            let nested = acquire(&pool, PATIENCE).await;
            Ok::<_, sqlx::Error>(matches!(nested, Err(AcquireError::Nested { .. })))
        });
        assert!(with_real_io(work).await.unwrap());
    });
}

#[test]
fn ten_thousand_nested_acquires_on_a_pool_of_two_are_all_refused_and_nobody_waits_for_a_timeout() {
    several_threads().block_on(async {
        let (_database, pool) = sqlite(2).await;
        let mut patient = settings(2);
        patient.acquire_within = PATIENCE;
        let pool = {
            let options = (*pool.connect_options()).clone();
            patient.pool(options)
        };
        let mut callers = JoinSet::new();
        for _ in 0..10_000 {
            let pool = pool.clone();
            callers.spawn(async move {
                with_connection(&pool, PATIENCE, async |_| {
                    let nested = with_connection(&pool, PATIENCE, async |_| Ok::<_, Error>(())).await;
                    Ok::<_, Error>(matches!(nested, Err(Error::Acquire(AcquireError::Nested { .. }))))
                })
                .await
            });
        }
        let mut refused = 0;
        while let Some(caller) = callers.join_next().await {
            refused += usize::from(caller.unwrap().unwrap());
        }
        assert_eq!((refused, pool.size()), (10_000, 2));
        all_capacity(&pool).await.unwrap();
    });
}

#[test]
fn never_more_connections_than_the_pool_may_have_on_several_threads() {
    several_threads().block_on(async {
        let (_database, pool) = sqlite(3).await;
        let (out, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut callers = JoinSet::new();
        for _ in 0..300 {
            let (pool, out, peak) = (pool.clone(), out.clone(), peak.clone());
            callers.spawn(async move {
                with_connection(&pool, PATIENCE, async |connection| {
                    peak.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                    let one = one(connection).await;
                    out.fetch_sub(1, SeqCst);
                    one
                })
                .await
            });
        }
        while let Some(caller) = callers.join_next().await {
            assert_eq!(caller.unwrap().unwrap(), 1);
        }
        assert!((2..=3).contains(&peak.load(SeqCst)), "{peak:?}");
    });
}

#[test]
fn dropped_at_any_await_no_connection_and_no_place_is_lost() {
    let awaits = every_await::with_io(
        async || sqlite(2).await,
        |(_, pool)| {
            let pool = pool.clone();
            async move {
                let lease = acquire(&pool, PATIENCE).await?;
                let two = with_connection(&pool, PATIENCE, async |connection| {
                    sqlx::query("BEGIN").execute(&mut *connection).await?;
                    one(connection).await
                });
                two.await?;
                drop(lease);
                Ok::<_, Error>(())
            }
        },
        async |(_database, pool)| {
            all_capacity(&pool).await?;
            let all = leases(&pool, 2).await;
            // Whoever was dropped is no longer noted, neither as one who holds nor as one who waits.
            let error = acquire(&pool, ms(20)).await.unwrap_err();
            let Some(evidence) = error.evidence() else { return Err(error.to_string()) };
            drop(all);
            match (evidence.holders.len(), evidence.waiting, pool.size()) {
                (2, 1, 2) => Ok(()),
                seen => Err(format!("held, waiting, open: {seen:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 2);
}

#[test]
fn a_panic_and_an_abort_give_the_connection_back() {
    runtime().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let panics = with_connection(&pool, PATIENCE, async |connection| {
            sqlx::query("BEGIN").execute(connection).await?;
            std::panic::resume_unwind(Box::new("meant"));
            #[expect(unreachable_code, reason = "it is of this type all the same")]
            Ok::<(), Error>(())
        });
        assert!(futures_util::FutureExt::catch_unwind(AssertUnwindSafe(panics)).await.is_err());
        let theirs = pool.clone();
        let task = spawn(async move {
            with_connection(&theirs, PATIENCE, async |_| std::future::pending::<Result<(), Error>>().await)
                .await
        });
        in_the_end(async || pool.num_idle() == 0 && pool.size() == 1, "it has none").await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        all_capacity(&pool).await.unwrap();
    });
}

#[test]
fn what_is_discarded_is_closed_and_the_pool_opens_another() {
    runtime().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let mut lease = acquire(&pool, PATIENCE).await.unwrap();
        sqlx::query("CREATE TEMP TABLE mine (id INTEGER)").execute(&mut *lease).await.unwrap();
        drop(lease);
        let mut lease = acquire(&pool, PATIENCE).await.unwrap();
        assert!(sqlx::query("SELECT * FROM mine").fetch_all(&mut *lease).await.is_ok(), "the same");
        lease.discard();
        let mut lease = acquire(&pool, PATIENCE).await.unwrap();
        assert!(sqlx::query("SELECT * FROM mine").fetch_all(&mut *lease).await.is_err(), "another");
    });
}

#[test]
fn a_closed_pool_gives_none_and_who_waits_for_one_is_told_at_once() {
    paused().block_on(async {
        let (_database, pool) = sqlite(1).await;
        let held = leases(&pool, 1).await;
        let waiting = spawn(acquire(&pool, LIMIT));
        tokio::time::sleep(ms(10)).await;
        let start = Instant::now();
        let closing = close(&pool, ms(100));
        assert!(matches!(waiting.await.unwrap(), Err(AcquireError::Closed)));
        assert_eq!(start.elapsed(), ms(0));
        let closed: Closed = closing.await;
        assert_eq!((closed.still_out, closed.holders.len(), start.elapsed()), (1, 1, ms(100)));
        assert!(closed.to_string().contains("promises/database.rs:"), "{closed}");
        assert!(matches!(acquire(&pool, LIMIT).await, Err(AcquireError::Closed)));
        // What comes back later is closed, and a second call sees it.
        drop(held);
        let closed = with_real_io(close(&pool, PATIENCE)).await;
        assert_eq!((closed.still_out, pool.size()), (0, 0));
    });
}

#[test]
fn the_idle_are_closed_though_somebody_keeps_one() {
    paused().block_on(async {
        let (_database, pool) = sqlite(3).await;
        let mut all = leases(&pool, 3).await;
        let kept: Lease<Sqlite> = all.remove(0);
        drop(all);
        with_real_io(in_the_real_end(&pool, 2)).await;
        let closed = with_real_io(async {
            tokio::select! {
                closed = close(&pool, PATIENCE) => panic!("{closed}"),
                () = async { while pool.size() > 1 { yield_now().await } } => {}
            }
        });
        closed.await;
        let closed = close(&pool, ms(10)).await;
        assert_eq!((closed.still_out, pool.size()), (1, 1));
        drop(kept);
    });
}

async fn in_the_real_end(pool: &SqlitePool, idle: usize) {
    while pool.num_idle() < idle {
        yield_now().await;
    }
}

#[test]
fn dropped_at_any_await_a_close_has_closed_the_pool_and_can_be_called_again() {
    let awaits = every_await::with_io(
        async || {
            let (database, pool) = sqlite(3).await;
            all_capacity(&pool).await.unwrap();
            in_the_real_end(&pool, 3).await;
            (database, pool)
        },
        |(_, pool)| close(pool, PATIENCE),
        async |(_database, pool)| {
            let closed = close(&pool, PATIENCE).await;
            match (pool.is_closed(), closed.still_out, pool.size()) {
                (true, 0, 0) => Ok(()),
                seen => Err(format!("closed, still out, open: {seen:?}")),
            }
        },
    );
    assert!(awaits.unwrap() >= 1);
}

#[test]
fn its_futures_can_be_spawned_and_its_errors_are_errors() {
    fn spawnable<T: Send + 'static>(value: T) -> T {
        value
    }
    runtime().block_on(async {
        let (_database, pool) = sqlite(1).await;
        drop(spawnable(acquire(&pool, LIMIT)).await);
        let theirs = pool.clone();
        let work = spawnable(async move {
            let name = String::from("borrowed");
            let one = with_connection(&theirs, LIMIT, async |connection| {
                assert_eq!(name.len(), 8);
                let mut transaction = connection.begin().await?;
                one(&mut transaction).await
            });
            one.await
        });
        assert_eq!(work.await.unwrap(), 1);
        drop(spawnable(close(&pool, LIMIT)).await);
        let error: Box<dyn std::error::Error + Send + Sync> = acquire(&pool, LIMIT).await.unwrap_err().into();
        assert_eq!(error.to_string(), "the pool is closed");
    });
}
