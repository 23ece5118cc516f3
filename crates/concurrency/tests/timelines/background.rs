//! A refresher that panics, a mail that is under way at the shutdown, and statistics that take too long for it: under a
//! supervisor, and in tasks that nobody owns.

use common::{
    Recorder, Trace,
    clock::{paused, paused_runtime},
};
use concurrency::{
    Supervisor,
    background::{Backoff, Incident, Refusal, Restart},
};
use std::{
    io,
    panic::resume_unwind,
    sync::{
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), wrong()]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Works in the background, and draws it.
struct Service {
    recorder: Recorder,
    refreshers: AtomicU32,
}

impl Service {
    fn new(recorder: &Recorder) -> Self {
        Self { recorder: recorder.clone(), refreshers: AtomicU32::new(0) }
    }

    /// Fetches the prices until it is told to stop. The first time, one of them has no currency.
    fn refresh(&self, stop: CancellationToken) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let n = self.refreshers.fetch_add(1, Relaxed) + 1;
        self.recorder.try_lane(format!("refresher {n}"), async move {
            sleep(ms(20)).await;
            if n == 1 {
                // Not `panic!`: it is scripted, and has no business on anybody's screen.
                resume_unwind(Box::new("a price without a currency"));
            }
            stop.cancelled().await;
            Ok(())
        })
    }

    /// Takes so long, whoever is waiting.
    fn work(
        &self,
        name: &'static str,
        time: Duration,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let recorder = self.recorder.clone();
        async move {
            let work = async {
                sleep(time).await;
                Ok(())
            };
            recorder.try_lane(name, work).await
        }
    }
}

const BACKOFF: Backoff =
    Backoff { first: ms(40), longest: ms(1000), restarts: 5, window: Duration::from_secs(60), seed: 7 };

async fn right() -> Trace {
    let recorder = Recorder::new("right: a supervisor");
    let service = Service::new(&recorder);
    let (log, logged) = mpsc::channel();
    // ANCHOR: right
    let supervisor = Supervisor::unbounded(move |incident: Incident<io::Error>| {
        drop(log.send(incident.to_string()));
    });
    let background = supervisor.spawner();
    let (mail, statistics) = (service.work("mail", ms(60)), service.work("statistics", ms(500)));
    let serve = async {
        let refresh = move |stop| service.refresh(stop);
        background.keep_up("refresher", Restart::Always(BACKOFF), refresh).map_err(|refused| refused.why)?;
        sleep(ms(70)).await; // Requests come and go.
        background.spawn("mail", |_stop| mail).map_err(|refused| refused.why)?;
        background.spawn("statistics", |_stop| statistics).map_err(|refused| refused.why)?;
        sleep(ms(30)).await;
        Ok::<_, Refusal>(())
    };
    let served = recorder.lane("serve", serve).await;
    let report = recorder.lane("shutdown", supervisor.shutdown(ms(60))).await;
    // ANCHOR_END: right
    assert_eq!(served, Ok(()));
    assert_eq!(report.to_string(), "2 finished, 1 aborted (statistics)");
    let told: Vec<String> = logged.iter().collect();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with(
            "`refresher` panicked: a price without a currency (attempt 1, after 20ms; again in "
        )
    );
    recorder.trace()
}

fn wrong() -> Trace {
    let runtime = paused_runtime();
    let recorder = runtime.block_on(async {
        let recorder = Recorder::new("wrong: tasks that are spawned and forgotten");
        let service = Service::new(&recorder);
        let (mail, statistics) = (service.work("mail", ms(60)), service.work("statistics", ms(500)));
        #[expect(clippy::disallowed_methods, reason = "the mistake that is shown")]
        // ANCHOR: wrong
        let serve = async {
            tokio::spawn(service.refresh(CancellationToken::new()));
            sleep(ms(70)).await; // Requests come and go.
            tokio::spawn(mail);
            tokio::spawn(statistics);
            sleep(ms(30)).await;
        };
        // ANCHOR_END: wrong
        recorder.lane("serve", serve).await;
        recorder
    });
    // The end of `main`: what is under way ends here.
    drop(runtime);
    recorder.trace()
}
