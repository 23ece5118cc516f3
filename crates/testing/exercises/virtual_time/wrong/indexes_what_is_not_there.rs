//! Breaks `asserts`: counts on four calls before it has counted them.

use futures::{FutureExt as _, future::BoxFuture};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

pub type Call = Arc<dyn Fn() -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;
pub type Retry = Arc<dyn Fn(Call) -> BoxFuture<'static, io::Result<u32>> + Send + Sync>;

type Made = Arc<Mutex<Vec<Instant>>>;

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
    let (call, made) = service(usize::MAX, ErrorKind::TimedOut);
    let error = retry(call).await.expect_err("the service was down");
    let made = made.lock().unwrap().clone();
    for n in 0..3 {
        let pause = Duration::from_secs(1 << n);
        let seen = made[n + 1] - made[n];
        assert!((pause * 3 / 4..=pause * 5 / 4).contains(&seen), "pause {} was {seen:?}", n + 1);
    }
    assert_eq!(made.len(), 4);
    assert_eq!(made[3].elapsed(), Duration::ZERO);
    assert_eq!(error.to_string(), "call 4");

    let (call, made) = service(2, ErrorKind::ConnectionReset);
    assert_eq!(retry(call).await.unwrap(), 42);
    assert_eq!(made.lock().unwrap().len(), 3);

    let (call, made) = service(usize::MAX, ErrorKind::PermissionDenied);
    assert!(retry(call).await.is_err());
    assert_eq!(made.lock().unwrap().len(), 1);
}
