//! What is verified on any answer to `limiter_test`: that it accepts right limiters, and rejects wrong ones.

use common::{Recorder, Verdict};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, LocalBoxFuture},
    stream,
};
use std::{
    ops::RangeInclusive,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use testing::{case::verdict, trial};
use tokio::{
    sync::{self, Semaphore, mpsc},
    task::JoinSet,
};

type Job = BoxFuture<'static, ()>;
type Run = BoxFuture<'static, ()>;
type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> Run + Send + Sync>;
type Answer<'a> = &'a dyn Fn(Limiter) -> LocalBoxFuture<'static, ()>;

/// Limiters, each with what it does.
type Limiters<'a> = &'a [(&'a str, fn(Vec<Job>, usize) -> Run)];

const RIGHT: Limiters<'_> = &[
    ("a limiter that spawns a task when it has a permit", permit_then_task),
    ("a limiter that is a `buffer_unordered`", buffer_unordered),
    ("a limiter that is a pool of workers with one queue", workers),
    ("a limiter that spawns all, and each waits for its permit", permit_in_the_task),
    ("a limiter that is a channel to a pool of workers", channel),
];

const WRONG: &[(&str, Limiters<'_>)] = &[
    (
        "every-job",
        &[("a limiter that leaves the last job out", |jobs, limit| {
            let but_the_last = jobs.len().saturating_sub(1);
            permit_then_task(jobs.into_iter().take(but_the_last).collect(), limit)
        })],
    ),
    (
        "bounded",
        &[
            ("a limiter that has one too many in flight", |jobs, limit| permit_then_task(jobs, limit + 1)),
            ("a limiter that runs all at once", all_at_once),
            ("a limiter that lets go of its permits before the work", permit_let_go),
        ],
    ),
    (
        "concurrent",
        &[
            ("a limiter that runs one after another", one_after_another),
            ("a limiter that has one too few in flight", |jobs, limit| workers(jobs, (limit - 1).max(1))),
            ("a limiter that runs chunk by chunk, each as long as its slowest", chunk_by_chunk),
        ],
    ),
];

/// The limits of limiters that have their own: those that a test might try are among them.
const OWN: RangeInclusive<usize> = 1..=64;

/// A picture of more jobs is no picture any more.
const MOST_LANES: usize = 24;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check<F>(answer: impl Fn(Limiter) -> F) -> Verdict
where
    F: Future<Output = ()> + 'static,
{
    let answer: Answer<'_> = &|limiter| answer(limiter).boxed_local();
    verdict(|| {
        for (what, run) in RIGHT {
            trial::accepts(what, async |recorder| answer(limiter(recorder, *run)).await)?;
        }
        for (rule, wrong) in WRONG {
            for (what, run) in *wrong {
                trial::rejects(rule, what, async |recorder| answer(limiter(recorder, *run)).await)?;
            }
        }
        for own in OWN {
            let what = format!("a limiter that takes {own} at a time, whatever the caller says");
            let run = move |jobs, _| permit_then_task(jobs, own);
            trial::rejects("any-limit", &what, async |recorder| answer(limiter(recorder, run)).await)?;
        }
        // Once more, for a test that has not forgotten what it saw before.
        for (what, run) in RIGHT {
            trial::accepts(what, async |recorder| answer(limiter(recorder, *run)).await)?;
        }
        Ok(())
    })
}

/// Draws the jobs, so that a verdict shows how they were run.
fn limiter(recorder: Recorder, run: impl Fn(Vec<Job>, usize) -> Run + Send + Sync + 'static) -> Limiter {
    let runs = AtomicUsize::new(0);
    Arc::new(move |jobs, limit| {
        assert!(limit > 0, "a limit of 0 lets nothing begin: limits are 1 or more");
        let prefix = match runs.fetch_add(1, Relaxed) + 1 {
            1 => String::new(),
            run => format!("{run}: "),
        };
        let drawn = recorder.trace().lanes.len();
        let lane = |(n, job): (usize, Job)| {
            if drawn + n > MOST_LANES { job } else { recorder.lane(format!("{prefix}job {n}"), job).boxed() }
        };
        run((1..).zip(jobs).map(lane).collect(), limit)
    })
}

/// Waits for all; a panic of one goes on to the caller.
async fn all_of(mut tasks: JoinSet<()>) {
    while let Some(joined) = tasks.join_next().await {
        if let Err(error) = joined {
            resume_unwind(error.into_panic());
        }
    }
}

fn permit_then_task(jobs: Vec<Job>, limit: usize) -> Run {
    Box::pin(async move {
        let permits = Arc::new(Semaphore::new(limit));
        let mut tasks = JoinSet::new();
        for job in jobs {
            let permit = permits.clone().acquire_owned().await;
            tasks.spawn(async move {
                job.await;
                drop(permit);
            });
        }
        all_of(tasks).await;
    })
}

fn permit_in_the_task(jobs: Vec<Job>, limit: usize) -> Run {
    Box::pin(async move {
        let permits = Arc::new(Semaphore::new(limit));
        let mut tasks = JoinSet::new();
        for job in jobs {
            let permits = permits.clone();
            tasks.spawn(async move {
                let _permit = permits.acquire().await;
                job.await;
            });
        }
        all_of(tasks).await;
    })
}

fn buffer_unordered(jobs: Vec<Job>, limit: usize) -> Run {
    Box::pin(stream::iter(jobs).buffer_unordered(limit).collect())
}

fn workers(jobs: Vec<Job>, limit: usize) -> Run {
    Box::pin(async move {
        let queue = Arc::new(Mutex::new(jobs.into_iter()));
        let mut tasks = JoinSet::new();
        for _ in 0..limit {
            let queue = queue.clone();
            let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            tasks.spawn(async move {
                while let Some(job) = next() {
                    job.await;
                }
            });
        }
        all_of(tasks).await;
    })
}

fn channel(jobs: Vec<Job>, limit: usize) -> Run {
    Box::pin(async move {
        let (send, receive) = mpsc::channel::<Job>(1);
        let receive = Arc::new(sync::Mutex::new(receive));
        let mut tasks = JoinSet::new();
        for _ in 0..limit {
            let receive = receive.clone();
            tasks.spawn(async move {
                loop {
                    let Some(job) = receive.lock().await.recv().await else { return };
                    job.await;
                }
            });
        }
        drop(receive);
        for job in jobs {
            if send.send(job).await.is_err() {
                break; // Every worker is gone: one of them panicked, and `all_of` says so.
            }
        }
        drop(send);
        all_of(tasks).await;
    })
}

fn all_at_once(jobs: Vec<Job>, _: usize) -> Run {
    Box::pin(async move { all_of(jobs.into_iter().collect()).await })
}

fn permit_let_go(jobs: Vec<Job>, limit: usize) -> Run {
    Box::pin(async move {
        let permits = Arc::new(Semaphore::new(limit));
        let mut tasks = JoinSet::new();
        for job in jobs {
            drop(permits.clone().acquire_owned().await);
            tasks.spawn(job);
        }
        all_of(tasks).await;
    })
}

fn one_after_another(jobs: Vec<Job>, _: usize) -> Run {
    Box::pin(async move {
        for job in jobs {
            job.await;
        }
    })
}

fn chunk_by_chunk(jobs: Vec<Job>, limit: usize) -> Run {
    Box::pin(async move {
        let mut jobs = jobs.into_iter().peekable();
        while jobs.peek().is_some() {
            all_of(jobs.by_ref().take(limit).collect()).await;
        }
    })
}
