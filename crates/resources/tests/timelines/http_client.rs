//! Four calls to a service, one after the other, of which one gets no answer: with one client and a limit, and with a client
//! for each call.

use common::{
    Recorder, Trace,
    clock::paused,
    http::{Client, Host, Page},
    web::NetworkError,
};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const PATHS: [&str; 4] = ["/lamp", "/chair", "/shelf", "/table"];

fn host(recorder: &Recorder) -> Host {
    let page = |path: &str| Page::new(200, path).in_pieces(2, ms(5));
    PATHS.iter().fold(Host::new(recorder), |host, path| {
        let page = if *path == "/shelf" { page(path).hangs() } else { page(path) };
        host.on(path, [page])
    })
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: one client, and a limit for each call");
    let host = host(&recorder);
    let calls = async {
        // ANCHOR: right
        let client = Client::new(&host);
        for path in PATHS {
            // The limit is around the body, too.
            let call = timeout(ms(50), async { client.get(path).await?.text().await });
            match call.await {
                Ok(body) => println!("{path}: {body:?}"),
                Err(_) => println!("{path}: no answer in time"),
            }
        }
        // ANCHOR_END: right
        assert_eq!(host.connections(), 2);
    };
    recorder.lane("calls", calls).await;
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: a client for each call, and no limit");
    let host = host(&recorder);
    let calls = async {
        // ANCHOR: wrong
        for path in PATHS {
            let client = Client::new(&host);
            let body = client.get(path).await?.text().await?;
            println!("{path}: {body:?}");
        }
        // ANCHOR_END: wrong
        Ok::<_, NetworkError>(())
    };
    assert!(timeout(ms(200), recorder.lane("calls", calls)).await.is_err());
    assert_eq!((host.connections(), host.requests().len()), (3, 3));
    recorder.trace()
}
