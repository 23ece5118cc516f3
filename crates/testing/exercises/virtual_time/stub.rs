//! Make this test exact, and instant. Task and rules: `cargo run`, or README.md.

use futures::{FutureExt as _, future::BoxFuture};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Calls a service.
pub type Call = Arc<dyn Fn() -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;

/// What is tested: calls, and calls again if that failed in a way that may pass.
pub type Retry = Arc<dyn Fn(Call) -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;

/// Counts its calls, and fails so many times.
fn service(failures: u32, calls: &Arc<AtomicU32>) -> Call {
    let calls = calls.clone();
    Arc::new(move || {
        let n = calls.fetch_add(1, Relaxed) + 1;
        async move { if n <= failures { Err(ErrorKind::ConnectionRefused.into()) } else { Ok(42) } }.boxed()
    })
}

/// Panics, or stands still, unless `retry` is right. It runs on the paused clock.
pub async fn virtual_time(retry: Retry) {
    // The service is down: 7 s, more or less.
    let calls = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let result = retry(service(u32::MAX, &calls)).await;
    let took = began.elapsed();
    assert!(result.is_err());
    assert!(calls.load(Relaxed) > 2, "it tries again");
    // It was 6 to 8 s, until it failed on a busy machine. Then it was 5 to 10 s.
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(12), "it took {took:?}");

    // The service is back for the third call: 3 s, and 2 s more to see that no fourth one comes.
    let calls = Arc::new(AtomicU32::new(0));
    assert!(retry(service(2, &calls)).await.is_ok());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(calls.load(Relaxed), 3);
}
