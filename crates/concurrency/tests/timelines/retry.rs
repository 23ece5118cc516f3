//! An order against a site in trouble: within one deadline and with one key, and with a limit for each attempt alone. Then
//! three clients that failed at the same moment, with pauses that are drawn and with pauses that are not.

use common::{
    Recorder, Trace,
    clock::paused,
    web::{Answer, Client, NetworkError, Response, Site},
};
use concurrency::{Deadline, Idempotency, Retry, Retryable, retry::Backoff};
use futures_util::future::join3;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong()), paused(spread()), paused(herd())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[derive(Debug, thiserror::Error)]
enum OrderError {
    #[error("status {}", .0.status)]
    Status(Response),
    #[error(transparent)]
    Network(NetworkError),
}

impl Retryable for OrderError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Status(response) => matches!(response.status, 429 | 503),
            Self::Network(_) => true,
        }
    }

    fn had_no_effect(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Network(NetworkError::Refused))
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(response) => response.retry_after,
            Self::Network(_) => None,
        }
    }
}

async fn order(client: Client, key: Option<String>) -> Result<Response, OrderError> {
    let response = client.post(7, key.as_deref()).await.map_err(OrderError::Network)?;
    if response.is_success() { Ok(response) } else { Err(OrderError::Status(response)) }
}

/// Turned away; then carried out, but its answer never comes; then fine.
fn site_in_trouble(recorder: &Recorder) -> Site {
    Site::new(recorder).on(
        7,
        [
            Answer::status(503).after(ms(20)).retry_after(ms(60)),
            Answer::hang(),
            Answer::page("ordered").after(ms(20)),
        ],
    )
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: one deadline, one key, and the pause that the site asked for");
    let site = site_in_trouble(&recorder);
    let client = Client::new(&site);
    // ANCHOR: right
    let attempts = NonZeroUsize::new(4).expect("four is not zero");
    let retry = Retry::new(attempts, Backoff::new(ms(20), ms(200))).each(ms(80)).seed(1);
    let deadline = Deadline::after("the order", ms(400));
    let key = Idempotency::Keyed(Arc::from("order 7"));
    let work = retry.run(&deadline, key, |attempt| order(client.clone(), attempt.key().map(str::to_owned)));
    assert!(recorder.try_lane("retry", work).await.is_ok());
    // The second attempt was carried out, and nobody heard of it. The third had the same key.
    assert_eq!((site.requests().len(), site.orders(7)), (3, 1));
    // ANCHOR_END: right
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: at once, again and again, without a key: ordered twice");
    let site = site_in_trouble(&recorder);
    let client = Client::new(&site);
    // ANCHOR: wrong
    let work = async {
        for _ in 0..4 {
            if let Ok(Ok(response)) = timeout(ms(80), order(client.clone(), None)).await {
                return Ok(response);
            }
        }
        Err("no answer")
    };
    assert!(recorder.try_lane("loop", work).await.is_ok());
    assert_eq!(site.orders(7), 2);
    // ANCHOR_END: wrong
    recorder.trace()
}

/// Cannot serve anybody for a while: the first two requests of each are turned away.
fn busy_site(recorder: &Recorder) -> Site {
    let busy = || Answer::status(503).after(ms(10));
    (1..=3).fold(Site::new(recorder), |site, id| {
        site.on(id, [busy(), busy(), Answer::page("served").after(ms(10))])
    })
}

async fn get(client: Client, id: u32) -> Result<Response, OrderError> {
    let response = client.get(id).await.map_err(OrderError::Network)?;
    if response.is_success() { Ok(response) } else { Err(OrderError::Status(response)) }
}

async fn spread() -> Trace {
    let recorder = Recorder::new("right: pauses of 0 to 100 ms, then of 0 to 200 ms, drawn by each client");
    let site = busy_site(&recorder);
    let client = Client::new(&site);
    let backoff = Backoff::new(ms(100), ms(200));
    let page = |id: u32| {
        let (client, deadline) = (client.clone(), Deadline::after("the page", ms(900)));
        async move {
            let retry = Retry::new(NonZeroUsize::MAX, backoff).seed(u64::from(id));
            retry.run(&deadline, Idempotency::Idempotent, |_| get(client.clone(), id)).await
        }
    };
    let (one, two, three) = join3(page(1), page(2), page(3)).await;
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    recorder.trace()
}

async fn herd() -> Trace {
    let recorder = Recorder::new("wrong: pauses of 100 ms: who fails together comes back together");
    let site = busy_site(&recorder);
    let client = Client::new(&site);
    let page = |id: u32| {
        let client = client.clone();
        async move {
            while get(client.clone(), id).await.is_err() {
                sleep(ms(100)).await;
            }
        }
    };
    join3(page(1), page(2), page(3)).await;
    recorder.trace()
}
