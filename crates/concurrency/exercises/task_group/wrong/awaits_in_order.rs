//! Breaks `fail-fast`: awaits handles in their order, so a failure is noticed when its turn comes.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use std::panic::resume_unwind;
use tokio::task::JoinHandle;

pub async fn task_group(backend: Backend, ids: Vec<u32>) -> Result<Vec<Reply>, Vec<FetchError>> {
    let calls: Vec<JoinHandle<_>> = ids.into_iter().map(|id| tokio::spawn(backend.fetch(id))).collect();
    let aborts: Vec<_> = calls.iter().map(JoinHandle::abort_handle).collect();
    let (mut replies, mut errors) = (Vec::new(), Vec::new());
    for call in calls {
        match call.await {
            Ok(Ok(reply)) => replies.push(reply),
            Ok(Err(error)) => {
                errors.push(error);
                aborts.iter().for_each(tokio::task::AbortHandle::abort);
            }
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    if errors.is_empty() { Ok(replies) } else { Err(errors) }
}
