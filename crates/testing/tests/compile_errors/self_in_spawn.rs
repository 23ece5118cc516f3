use common::{Backend, backend::Reply};
use std::sync::Mutex;
use tokio::task::JoinHandle;

struct Poller {
    backend: Backend,
    settings: Settings,
    seen: Mutex<Vec<String>>,
}

impl Poller {
    fn start(&self, id: u32) -> JoinHandle<()> {
        tokio::spawn(async move {
            if let Ok(reply) = self.backend.fetch(id).await {
                self.seen.lock().unwrap().push(self.settings.label(&reply));
            }
        })
    }
}

struct Settings;

impl Settings {
    fn label(&self, reply: &Reply) -> String {
        reply.body.clone()
    }
}

fn main() {
    drop(Poller::start);
}
