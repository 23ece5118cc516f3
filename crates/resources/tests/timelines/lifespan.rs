//! SIGTERM while a request is in flight and a job is stuck: stopped in reverse, each with a bound, and all at once.

use common::{
    Recorder, Trace,
    clock::paused,
    server::{Server, ServerError, Session},
};
use futures_util::stream;
use resources::lifespan::{Lifespan, Limits, StartError, Starting};
use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One session, for everybody in turn.
#[derive(Clone)]
struct Pool(Arc<Mutex<Option<Session>>>);

impl Pool {
    async fn open(server: &Server) -> Result<Self, ServerError> {
        Ok(Self(Arc::new(Mutex::new(Some(server.open("pool").await?)))))
    }

    async fn ask(&self) -> Result<(), &'static str> {
        let mut session = self.0.lock().await;
        let session = session.as_mut().ok_or("the pool is closed")?;
        session.ask(1).await.map(drop).map_err(|_| "the server would not")
    }

    async fn close(self) -> Result<(), ServerError> {
        let session = self.0.lock().await.take();
        match session {
            Some(session) => session.close().await,
            None => Ok(()),
        }
    }
}

/// What runs over the pool.
#[derive(Clone)]
struct Service(Recorder);

impl Service {
    /// A request of 50 ms that asks the pool at its end; the server stops when it has been answered.
    async fn serve(self, pool: Pool, stop: CancellationToken) -> Result<(), Infallible> {
        let request = async {
            sleep(ms(50)).await;
            pool.ask().await
        };
        self.0.try_lane("request", request).await.ok();
        stop.cancelled().await;
        Ok(())
    }

    /// A job that never ends.
    async fn work(self, _pool: Pool, _stop: CancellationToken) -> Result<(), Infallible> {
        self.0.lane("job", pending()).await
    }
}

// ANCHOR: right
const LIMITS: Limits = Limits { start: ms(1000), stop: ms(80) };

async fn start(app: &mut Starting, server: &Server, service: Service) -> Result<(), StartError> {
    let pool = app.open("pool", LIMITS, Pool::open(server), Pool::close).await?;

    let (jobs, theirs) = (service.clone(), pool.clone());
    let workers = async { Ok::<_, Infallible>(((), |stop| jobs.work(theirs, stop))) };
    app.start("workers", LIMITS, workers).await?;

    let listener = async { Ok::<_, Infallible>(((), |stop| service.serve(pool, stop))) };
    app.start("server", LIMITS, listener).await
}
// ANCHOR_END: right

async fn right() -> Trace {
    let recorder = Recorder::new("right: in reverse, each with a bound");
    let (server, service) = (Server::new(&recorder), Service(recorder.clone()));
    let sigterm = stream::once(Box::pin(async {
        sleep(ms(30)).await;
        "SIGTERM"
    }));
    let run = Lifespan::new(ms(200)).run(sigterm, async |app| start(app, &server, service).await);
    let report = recorder.lane("service", run).await;
    let told = report.map(|report| report.to_string());
    let expected = "stopped for SIGTERM in 130ms: server finished in 40ms, workers aborted after 80ms, pool finished in 10ms";
    assert_eq!(told.as_deref().ok(), Some(expected));
    assert!(server.left_open().is_empty());
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: all of them at once, and one bound for all");
    let (server, service) = (Server::new(&recorder), Service(recorder.clone()));
    let run = async {
        let Ok(pool) = Pool::open(&server).await else { return };
        // ANCHOR: wrong
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(service.clone().work(pool.clone(), stop.clone()));
        tasks.spawn(service.serve(pool.clone(), stop.clone()));
        let closing = stop.clone();
        tasks.spawn(async move {
            closing.cancelled().await;
            pool.close().await
        });
        sleep(ms(20)).await; // SIGTERM.
        stop.cancel();
        tasks.close();
        timeout(ms(200), tasks.wait()).await.ok();
        // And `main` returns: whoever is left goes with the runtime, and nobody says who that was.
        // ANCHOR_END: wrong
    };
    recorder.lane("service", run).await;
    recorder.trace()
}
