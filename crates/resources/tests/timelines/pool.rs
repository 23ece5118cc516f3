//! Three handlers, a pool of two, and a helper that needs a session too: passed down, asked for again, and refused.

use common::{Recorder, Trace, clock::paused, recorder::waits_for};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use resources::pool::{Limits, Manage, Pool, PoolError, Pooled};
use std::{convert::Infallible, num::NonZeroUsize, time::Duration};
use tokio::time::sleep;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong()), paused(refused())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What is pooled here does nothing but take its time.
struct Session;

async fn open() -> Result<Session, Infallible> {
    sleep(ms(10)).await;
    Ok(Session)
}

impl Session {
    async fn ask(&mut self) {
        waits_for("an answer", sleep(ms(20))).await;
    }
}

/// Two sessions, and 100 ms to wait for one.
fn pool() -> Pool<impl Manage<Resource = Session, Error = Infallible>> {
    Pool::new(open, Limits::new(NonZeroUsize::MIN.saturating_add(1), ms(100)))
}

type Told = Result<(), PoolError<Infallible>>;

/// Runs it in three lanes at once.
async fn three(recorder: &Recorder, handler: impl AsyncFn() -> Told) -> Vec<Result<(), &'static str>> {
    let short = async || {
        handler().await.map_err(|error| match error {
            PoolError::TimedOut { .. } => "no session in time",
            PoolError::Nested { .. } => "a second one is refused",
            _ => "something else",
        })
    };
    let lanes = (1..=3).map(|n| recorder.try_lane(format!("handler {n}"), short()));
    lanes.collect::<FuturesUnordered<_>>().collect().await
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: one session for each handler, passed down");
    let pool = pool();
    // ANCHOR: right
    async fn audit(session: &mut Session) {
        session.ask().await;
    }
    let handler = async || {
        let work = pool.with(async |session| {
            session.ask().await;
            audit(session).await;
        });
        waits_for("the pool", work).await
    };
    // ANCHOR_END: right
    assert!(three(&recorder, handler).await.iter().all(Result::is_ok));
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: two guards for each handler, nobody gets a second");
    let pool = pool();
    // ANCHOR: wrong
    let audit = async || {
        let mut session = waits_for("a second session", pool.get()).await?;
        session.ask().await;
        Ok(())
    };
    let handler = async || {
        let mut session = waits_for("a session", pool.get()).await?;
        session.ask().await;
        // Holds one, and waits for one that is held by somebody who waits for one.
        audit().await
    };
    // ANCHOR_END: wrong
    let told = three(&recorder, handler).await;
    assert!(told.contains(&Err("no session in time")));
    recorder.trace()
}

async fn refused() -> Trace {
    let recorder = Recorder::new("refused: the same with `with`, told at once");
    let pool = pool();
    let audit = async || pool.with(async |session: &mut Pooled<_>| session.ask().await).await;
    let handler = async || {
        let work = pool.with(async |session| {
            session.ask().await;
            audit().await
        });
        waits_for("the pool", work).await?
    };
    let told = three(&recorder, handler).await;
    assert_eq!(told, [Err("a second one is refused"); 3]);
    recorder.trace()
}
