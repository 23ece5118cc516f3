use common::Backend;

async fn count(backend: Backend, id: u32, last: u32) -> usize {
    if id > last || backend.fetch(id).await.is_err() {
        return 0;
    }
    let (left, right) = tokio::join!(
        count(backend.clone(), 2 * id, last),
        count(backend.clone(), 2 * id + 1, last),
    );
    1 + left + right
}

fn main() {
    drop(count);
}
