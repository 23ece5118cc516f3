//! Breaks `pages`: a refresh that fails puts the text of its error in the place of the prices.

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
use tokio_util::task::AbortOnDropHandle;

/// What else is asked of the backend, beside the items of a page.
const ALIVE: u32 = 1;
const REPLICAS: [u32; 2] = [11, 12];
const SIMILAR: u32 = 20;
const PRICES: u32 = 30;

/// Answers each request, the ids of items, with a page, until there are no more requests or nobody wants the pages.
pub async fn serve(backend: Backend, mut requests: Receiver<Vec<u32>>, pages: Sender<Vec<String>>) {
    // Both are owned by this future, whose end, of whichever kind, drops and so aborts them.
    let _heartbeat = AbortOnDropHandle::new(tokio::spawn(heartbeat(backend.clone())));
    let mut prices = Prices {
        backend: backend.clone(),
        known: Arc::new(Mutex::new(String::from("none"))),
        refreshes: JoinSet::new(),
    };
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
    // The future that loses is dropped with the `select!`, and its call with it: no task, nobody to stop.
    let reply = tokio::select! {
        reply = backend.fetch(REPLICAS[0]) => reply,
        reply = backend.fetch(REPLICAS[1]) => reply,
    };
    reply.map_or_else(|_| String::from("unknown"), |reply| reply.body)
}

/// Nice to have, so it gets 30 ms.
async fn similar(backend: &Backend) -> String {
    // A timeout drops what it was given. Given a handle, it drops the handle; given the call, the call.
    match timeout(Duration::from_millis(30), backend.fetch(SIMILAR)).await {
        Ok(Ok(reply)) => reply.body,
        _ => String::from("none"),
    }
}

/// The price list, as it was when it was last fetched.
struct Prices {
    backend: Backend,
    known: Arc<Mutex<String>>,
    /// They outlive the page that began them, and not this.
    refreshes: JoinSet<()>,
}

impl Prices {
    /// What is known, at once; a refresh is begun for the pages to come.
    fn latest(&mut self) -> String {
        // Those that have ended leave the set: it grows with the requests otherwise.
        while self.refreshes.try_join_next().is_some() {}
        let (call, known) = (self.backend.fetch(PRICES), self.known.clone());
        self.refreshes.spawn(async move {
            let prices = call.await.map_or_else(|error| error.to_string(), |reply| reply.body);
            *known.lock().unwrap() = prices;
        });
        self.known.lock().unwrap().clone()
    }
}
