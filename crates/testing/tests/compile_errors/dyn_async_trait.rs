use common::Backend;
use std::collections::HashMap;

trait Source {
    async fn get(&self, id: u32) -> Option<String>;
}

impl Source for HashMap<u32, String> {
    async fn get(&self, id: u32) -> Option<String> {
        HashMap::get(self, &id).cloned()
    }
}

impl Source for Backend {
    async fn get(&self, id: u32) -> Option<String> {
        self.fetch(id).await.ok().map(|reply| reply.body)
    }
}

async fn lookup(sources: Vec<Box<dyn Source>>, id: u32) -> Option<String> {
    for source in &sources {
        if let Some(found) = source.get(id).await {
            return Some(found);
        }
    }
    None
}

fn main() {
    drop(lookup);
}
