//! Right programs of several shapes pass, with a thousand seeds each.

use crate::ms;
use futures_util::{StreamExt as _, stream};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use testing::{
    proof::{Envelope, Gauge, Ledger, Rendezvous},
    simulate,
    simulation::End,
};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn with_a_semaphore(jobs: Vec<Job>, limit: usize) {
    let permits = Arc::new(Semaphore::new(limit));
    let mut tasks = JoinSet::new();
    for job in jobs {
        let permits = permits.clone();
        tasks.spawn(async move {
            let _permit = permits.acquire().await.expect("nobody closes it");
            job.await;
        });
    }
    tasks.join_all().await;
}

async fn with_workers(jobs: Vec<Job>, limit: usize) {
    let queue = Arc::new(Mutex::new(VecDeque::from(jobs)));
    let mut workers = JoinSet::new();
    for _ in 0..limit {
        let queue = queue.clone();
        workers.spawn(async move {
            loop {
                let Some(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                    break;
                };
                job.await;
            }
        });
    }
    workers.join_all().await;
}

async fn with_a_full_set(jobs: Vec<Job>, limit: usize) {
    let mut tasks = JoinSet::new();
    for job in jobs {
        if tasks.len() == limit {
            tasks.join_next().await;
        }
        tasks.spawn(job);
    }
    tasks.join_all().await;
}

async fn with_a_stream(jobs: Vec<Job>, limit: usize) {
    stream::iter(jobs).buffer_unordered(limit).count().await;
}

fn a_thousand_runs_pass(program: impl AsyncFn(Vec<Job>, usize)) {
    for seed in 0..1000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let limit = random.usize(1..9);
        let drawn: Vec<Duration> =
            (0..random.usize(limit..limit + 24)).map(|_| ms(random.u64(1..100))).collect();
        let n = drawn.len();
        // With the meetings, the time is another; without them, nothing proves the lower bound but the peak.
        let rendezvous = random.bool().then(|| Rendezvous::of(limit, n));
        let (gauge, ledger) = (Gauge::new(), Ledger::new());
        let run = simulate("", async |recorder| {
            let gauge = gauge.clone().on(&recorder);
            let ledger = ledger.clone().on(&recorder);
            let job = |(item, latency): (usize, &Duration)| {
                let (latency, meeting) =
                    (*latency, rendezvous.as_ref().map(|all| all.arrive(format!("{item}"))));
                let work = async move {
                    if let Some(meeting) = meeting {
                        meeting.await;
                    }
                    sleep(latency).await;
                };
                let work = ledger.watch(format!("work {item}"), work);
                Box::pin(gauge.hold(format!("job {item}"), work)) as Job
            };
            let jobs = drawn.iter().enumerate().map(job).collect();
            ledger.watch("all", program(jobs, limit)).await;
        });
        assert_eq!(run.end, End::Returned(()), "seed {seed}");
        gauge.assert_peak(limit);
        gauge.assert_at_most(limit);
        gauge.assert_total(n);
        gauge.assert_idle();
        ledger.assert_all_finished();
        ledger.assert_over_before("all");
        match rendezvous {
            Some(rendezvous) => rendezvous.assert_met(),
            None => Envelope::of(&drawn, limit).assert(run.elapsed),
        }
    }
}

#[test]
fn tasks_behind_a_semaphore_pass() {
    a_thousand_runs_pass(with_a_semaphore);
}

#[test]
fn workers_with_a_queue_pass() {
    a_thousand_runs_pass(with_workers);
}

#[test]
fn a_join_set_that_is_kept_full_passes() {
    a_thousand_runs_pass(with_a_full_set);
}

#[test]
fn a_stream_of_futures_passes() {
    a_thousand_runs_pass(with_a_stream);
}
