//! A service that answers requests for pages. It works, and it leaves tasks behind, in four places. Task and rules:
//! `cargo run`, or README.md.

use common::Backend;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::mpsc::{Receiver, Sender},
    task::JoinSet,
    time::{interval, timeout},
};

/// What else is asked of the backend, beside the items of a page.
const ALIVE: u32 = 1;
const REPLICAS: [u32; 2] = [11, 12];
const SIMILAR: u32 = 20;
const PRICES: u32 = 30;

/// Answers each request, the ids of items, with a page, until there are no more requests or nobody wants the pages.
pub async fn serve(backend: Backend, mut requests: Receiver<Vec<u32>>, pages: Sender<Vec<String>>) {
    tokio::spawn(heartbeat(backend.clone()));
    let prices = Prices { backend: backend.clone(), known: Arc::new(Mutex::new(String::from("none"))) };
    while let Some(ids) = requests.recv().await {
        let prices = prices.latest();
        let (mut page, stock, similar) =
            tokio::join!(items(&backend, &ids), stock(&backend), similar(&backend));
        page.extend([format!("stock: {stock}"), format!("similar: {similar}"), format!("prices: {prices}")]);
        if pages.send(page).await.is_err() {
            break;
        }
    }
}

/// Tells the backend every 50 ms that we are there.
async fn heartbeat(backend: Backend) {
    let mut ticks = interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        backend.fetch(ALIVE).await.ok();
    }
}

/// All items at once; their lines are in the order of the ids.
async fn items(backend: &Backend, ids: &[u32]) -> Vec<String> {
    let mut lines = vec![String::new(); ids.len()];
    let mut calls = JoinSet::new();
    for (place, id) in ids.iter().enumerate() {
        let call = backend.fetch(*id);
        calls.spawn(async move { (place, call.await) });
    }
    while let Some(Ok((place, reply))) = calls.join_next().await {
        lines[place] = reply.map_or_else(|error| error.to_string(), |reply| reply.body);
    }
    lines
}

/// Asks both replicas; whoever answers first counts.
async fn stock(backend: &Backend) -> String {
    let mut first = tokio::spawn(backend.fetch(REPLICAS[0]));
    let mut second = tokio::spawn(backend.fetch(REPLICAS[1]));
    let reply = tokio::select! {
        reply = &mut first => reply,
        reply = &mut second => reply,
    };
    reply.ok().and_then(Result::ok).map_or_else(|| String::from("unknown"), |reply| reply.body)
}

/// Nice to have, so it gets 30 ms.
async fn similar(backend: &Backend) -> String {
    let call = tokio::spawn(backend.fetch(SIMILAR));
    match timeout(Duration::from_millis(30), call).await {
        Ok(Ok(Ok(reply))) => reply.body,
        _ => String::from("none"),
    }
}

/// The price list, as it was when it was last fetched.
struct Prices {
    backend: Backend,
    known: Arc<Mutex<String>>,
}

impl Prices {
    /// What is known, at once; a refresh is begun for the pages to come.
    fn latest(&self) -> String {
        let (call, known) = (self.backend.fetch(PRICES), self.known.clone());
        tokio::spawn(async move {
            if let Ok(reply) = call.await {
                *known.lock().unwrap() = reply.body;
            }
        });
        self.known.lock().unwrap().clone()
    }
}
