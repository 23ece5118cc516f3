//! Three scenes, each call with its time: on the paused clock an exact assertion is not a flaky one.

use futures::{FutureExt as _, future::BoxFuture};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

pub type Call = Arc<dyn Fn() -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;
pub type Retry = Arc<dyn Fn(Call) -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;

/// When it was called. `tokio::time::Instant` is the clock that `sleep` waits for.
type Made = Arc<Mutex<Vec<Instant>>>;

/// Each failure is another one, so that it shows which of them is handed on.
fn service(failures: usize, kind: ErrorKind) -> (Call, Made) {
    let made = Made::default();
    let noted = made.clone();
    let call: Call = Arc::new(move || {
        let mut made = noted.lock().unwrap();
        made.push(Instant::now());
        let n = made.len();
        async move { if n <= failures { Err(io::Error::new(kind, format!("call {n}"))) } else { Ok(42) } }
            .boxed()
    });
    (call, made)
}

pub async fn virtual_time(retry: Retry) {
    // The service is down.
    let (call, made) = service(usize::MAX, ErrorKind::TimedOut);
    let error = retry(call).await.expect_err("the service was down");
    let made = made.lock().unwrap().clone();
    assert_eq!(made.len(), 4, "four calls, not one more");
    for n in 0..3 {
        let pause = Duration::from_secs(1 << n);
        let jittered = pause * 3 / 4..=pause * 5 / 4;
        let seen = made[n + 1] - made[n];
        assert!(jittered.contains(&seen), "pause {} was {seen:?}, not within {jittered:?}", n + 1);
    }
    // The next call would be 8 s away: whoever waits for it shows here and nowhere else.
    assert_eq!(made[3].elapsed(), Duration::ZERO, "the last error is given at once");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TimedOut, "call 4"));

    // It is back for the third call.
    let (call, made) = service(2, ErrorKind::ConnectionReset);
    assert_eq!(retry(call).await.expect("the service was back"), 42);
    assert_eq!(made.lock().unwrap().len(), 3, "no call after a success");

    // It will not let us in, however often we ask.
    let (call, made) = service(usize::MAX, ErrorKind::PermissionDenied);
    let start = Instant::now();
    let error = retry(call).await.expect_err("permission was denied");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!((made.lock().unwrap().len(), start.elapsed()), (1, Duration::ZERO), "it is given at once");
}
