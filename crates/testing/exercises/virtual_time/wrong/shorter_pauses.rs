//! Breaks `accepts`: the usual cure for a slow test is to shorten its times, and these are not the test's to choose.

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
    let ended = tokio::time::timeout(Duration::from_millis(500), retry(call)).await;
    assert!(ended.expect("half a second is enough").is_err());
    assert_eq!(made.lock().unwrap().len(), 4);
}
