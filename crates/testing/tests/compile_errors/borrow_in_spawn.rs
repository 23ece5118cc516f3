use common::{Backend, backend::Reply};

async fn labels(backend: Backend, settings: Settings, ids: Vec<u32>) -> Vec<String> {
    let mut tasks = Vec::new();
    for id in ids {
        let call = backend.fetch(id);
        tasks.push(tokio::spawn(async {
            call.await.map(|reply| settings.label(&reply))
        }));
    }
    let mut labels = Vec::new();
    for task in tasks {
        labels.extend(task.await.unwrap());
    }
    labels
}

struct Settings;

impl Settings {
    fn label(&self, reply: &Reply) -> String {
        reply.body.clone()
    }
}

fn main() {
    drop(labels);
}
