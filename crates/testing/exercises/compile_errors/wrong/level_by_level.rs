//! Breaks `concurrent`: without recursion each level waits for the slowest item of the one above it.

use super::check::Settings;
use common::Backend;
use futures_util::future::BoxFuture;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::task::{JoinHandle, JoinSet};

pub async fn total(backend: Backend, ids: Vec<u32>) -> usize {
    let total = Arc::new(Mutex::new(0));
    let mut tasks = JoinSet::new();
    for id in ids {
        let (backend, total) = (backend.clone(), total.clone());
        tasks.spawn(async move {
            let length = backend.fetch(id).await.map_or(0, |reply| reply.body.len());
            // Locked after the await, for a moment: the guard is no part of the future, and nobody waits for the lock.
            *total.lock().unwrap() += length;
        });
    }
    while tasks.join_next().await.is_some() {}
    *total.lock().unwrap()
}

pub async fn pair(backend: Backend, settings: Settings, first: u32, second: u32) -> (String, String) {
    // `join!` polls both here, so they may borrow from here: no counting is needed, neither `Rc` nor `Arc`.
    tokio::join!(label(&backend, &settings, first), label(&backend, &settings, second))
}

async fn label(backend: &Backend, settings: &Settings, id: u32) -> String {
    match backend.fetch(id).await {
        Ok(reply) => settings.label(&reply),
        Err(error) => error.to_string(),
    }
}

pub async fn labels(backend: Backend, settings: Settings, ids: Vec<u32>) -> Vec<String> {
    // A task may outlive this function, so it must own what it uses: a share of the settings.
    let settings = Arc::new(settings);
    let mut tasks = Vec::new();
    for id in ids {
        let (call, settings) = (backend.fetch(id), settings.clone());
        tasks.push(tokio::spawn(async move { call.await.map(|reply| settings.label(&reply)) }));
    }
    let mut labels = Vec::new();
    for task in tasks {
        labels.extend(task.await.unwrap());
    }
    labels
}

pub struct Poller {
    backend: Backend,
    settings: Settings,
    seen: Mutex<Vec<String>>,
}

impl Poller {
    pub fn new(backend: Backend, settings: Settings) -> Self {
        Self { backend, settings, seen: Mutex::default() }
    }

    /// Whoever starts a poll has a share of the poller, and gives the task one.
    pub fn start(self: &Arc<Self>, id: u32) -> JoinHandle<()> {
        let poller = self.clone();
        tokio::spawn(async move {
            if let Ok(reply) = poller.backend.fetch(id).await {
                poller.seen.lock().unwrap().push(poller.settings.label(&reply));
            }
        })
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// What an `async fn` in a trait would return has no name, and another size in each implementation; this has one.
pub trait Source: Send + Sync {
    fn get(&self, id: u32) -> BoxFuture<'_, Option<String>>;
}

impl Source for HashMap<u32, String> {
    fn get(&self, id: u32) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move { Self::get(self, &id).cloned() })
    }
}

impl Source for Backend {
    fn get(&self, id: u32) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move { self.fetch(id).await.ok().map(|reply| reply.body) })
    }
}

pub async fn lookup(sources: Vec<Box<dyn Source>>, id: u32) -> Option<String> {
    for source in &sources {
        if let Some(found) = source.get(id).await {
            return Some(found);
        }
    }
    None
}

pub async fn count(backend: Backend, id: u32, last: u32) -> usize {
    let mut found = 0;
    let mut level: Vec<u32> = [id].into_iter().filter(|id| *id <= last).collect();
    while !level.is_empty() {
        let replies = futures_util::future::join_all(level.iter().map(|id| backend.fetch(*id))).await;
        let there = level.iter().zip(&replies).filter(|(_, reply)| reply.is_ok()).map(|(id, _)| *id);
        let there: Vec<u32> = there.collect();
        found += there.len();
        level = there.into_iter().flat_map(|id| [2 * id, 2 * id + 1]).filter(|id| *id <= last).collect();
    }
    found
}
