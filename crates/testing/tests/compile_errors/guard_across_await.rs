use common::Backend;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

async fn total(backend: Backend, ids: Vec<u32>) -> usize {
    let total = Arc::new(Mutex::new(0));
    let mut tasks = JoinSet::new();
    for id in ids {
        let (backend, total) = (backend.clone(), total.clone());
        tasks.spawn(async move {
            let mut total = total.lock().unwrap();
            *total += backend.fetch(id).await.map_or(0, |reply| reply.body.len());
        });
    }
    while tasks.join_next().await.is_some() {}
    *total.lock().unwrap()
}

fn main() {
    drop(total);
}
