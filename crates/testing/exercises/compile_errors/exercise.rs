//! Six pieces that do not compile the way they are written first. Task, code and messages: `cargo run`, or README.md.

use super::check::Settings;
use common::Backend;
use std::{collections::HashMap, sync::Mutex};
use tokio::task::JoinHandle;

/// 1. The lengths of the replies' bodies added up, all calls at the same time. A call that fails adds nothing.
pub async fn total(backend: Backend, ids: Vec<u32>) -> usize {
    todo!("total: ask {backend:?} for {ids:?}")
}

/// 2. The labels of two items, both calls at the same time; in place of a label, the text of the error.
pub async fn pair(backend: Backend, settings: Settings, first: u32, second: u32) -> (String, String) {
    todo!("pair: ask {backend:?} for {first} and {second}, have {settings:?} label them")
}

/// 3. The labels of all items, in the order of the ids, all calls at the same time; items that fail are left out.
pub async fn labels(backend: Backend, settings: Settings, ids: Vec<u32>) -> Vec<String> {
    todo!("labels: ask {backend:?} for {ids:?}, have {settings:?} label them")
}

/// 4. Asks for items in the background, and keeps their labels.
pub struct Poller {
    backend: Backend,
    settings: Settings,
    seen: Mutex<Vec<String>>,
}

impl Poller {
    pub fn new(backend: Backend, settings: Settings) -> Self {
        Self { backend, settings, seen: Mutex::default() }
    }

    /// Asks for one item in a task of its own; `self` may be received in another way.
    pub fn start(&self, id: u32) -> JoinHandle<()> {
        todo!("start: ask {:?} for {id}, have {:?} label it, push the label", self.backend, self.settings)
    }

    /// The labels so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// 5. Where items are looked for. Its method is yours: of a kind that allows for a `dyn Source`.
pub trait Source: Send + Sync {}

impl Source for HashMap<u32, String> {}

/// What it has is the body of the backend's reply, and nothing if the call fails.
impl Source for Backend {}

/// Asks one source after the other, until one has the item.
pub async fn lookup(sources: Vec<Box<dyn Source>>, id: u32) -> Option<String> {
    todo!("lookup: ask {} sources for {id}, one after the other", sources.len())
}

/// 6. How many items there are in the tree below `id`: the children of 3 are 6 and 7; there is none above `last`, and none
///    below an item that fails. Both children at the same time.
pub async fn count(backend: Backend, id: u32, last: u32) -> usize {
    todo!("count: ask {backend:?} for {id}, count its children up to {last}")
}
