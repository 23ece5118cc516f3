use common::{Backend, backend::Reply};
use std::rc::Rc;

async fn pair(backend: Backend, settings: Settings, first: u32, second: u32) -> (String, String) {
    let settings = Rc::new(settings);
    tokio::join!(
        label(backend.clone(), settings.clone(), first),
        label(backend.clone(), settings.clone(), second),
    )
}

async fn label(backend: Backend, settings: Rc<Settings>, id: u32) -> String {
    match backend.fetch(id).await {
        Ok(reply) => settings.label(&reply),
        Err(error) => error.to_string(),
    }
}

fn spawned(backend: Backend, settings: Settings) {
    tokio::spawn(pair(backend, settings, 1, 2));
}

struct Settings;

impl Settings {
    fn label(&self, reply: &Reply) -> String {
        reply.body.clone()
    }
}

fn main() {
    drop(spawned);
}
