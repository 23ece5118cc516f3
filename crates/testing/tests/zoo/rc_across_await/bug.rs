//! An `Rc` that lives across an await: the task can't move to another thread, and `spawn` does not take it.

use std::rc::Rc;
use tokio::task::{JoinSet, yield_now};

/// Spawns a task that shares a name.
pub async fn program() {
    let mut tasks = JoinSet::new();
    tasks.spawn(async {
        let name = Rc::new("shared");
        yield_now().await;
        name.len()
    });
    while tasks.join_next().await.is_some() {}
}
