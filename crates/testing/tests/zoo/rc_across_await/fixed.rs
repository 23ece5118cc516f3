//! An `Arc` may move.

use std::sync::Arc;
use tokio::task::{JoinSet, yield_now};

/// Spawns a task that shares a name.
pub async fn program() {
    let mut tasks = JoinSet::new();
    tasks.spawn(async {
        let name = Arc::new("shared");
        yield_now().await;
        name.len()
    });
    while tasks.join_next().await.is_some() {}
}
