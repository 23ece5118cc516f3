//! A transfer whose client leaves between debit and credit, and a server that shuts down then: shielded, and in the handler.

use common::{Recorder, Trace, clock::paused};
use concurrency::{Scope, cancel::Cancelled};
use std::{convert::Infallible, time::Duration};
use tokio::time::{sleep, timeout};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What is asked, 20 ms each.
#[derive(Clone)]
struct Bank(Recorder);

impl Bank {
    fn ask(&self, what: &'static str) -> impl Future<Output = ()> + Send + use<> {
        self.0.lane(what, sleep(ms(20)))
    }
}

// ANCHOR: right
async fn transfer(request: Scope, bank: Bank) -> Result<(), Cancelled> {
    let theirs = bank.clone();
    let body = async {
        // A cancel stops this ...
        request.run("quote", bank.ask("quote")).await?;
        // ... and not this.
        bank.ask("debit").await;
        bank.ask("credit").await;
        Ok(())
    };
    let unlock = move || async move {
        theirs.ask("unlock").await;
        Ok::<_, Infallible>(())
    };
    request.with_cleanup("transfer", ms(50), body, unlock).await.body
}

async fn handler(request: Scope, bank: Bank) {
    // The client is gone when the handler is dropped: what may stop is to stop then.
    let _left = request.cancel_on_drop("the client has left");
    // The await goes with the handler; the work does not.
    request.shield("transfer", transfer(request.clone(), bank)).await.ok();
}
// ANCHOR_END: right

async fn right() -> Trace {
    let recorder = Recorder::new("right: shielded, and waited for");
    let server = Scope::new("server", |lost| panic!("{lost}"));
    let request = handler(server.child("request"), Bank(recorder.clone()));
    assert!(timeout(ms(30), recorder.lane("handler", request)).await.is_err());
    let report = recorder.lane("shutdown", server.close("shutdown", ms(5000))).await;
    assert!(report.is_clean());
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: all of it in the handler");
    let bank = Bank(recorder.clone());
    // ANCHOR: wrong
    let handler = async {
        bank.ask("quote").await;
        bank.ask("debit").await;
        bank.ask("credit").await;
        // No `finally`: whoever is dropped above does not come here.
        bank.ask("unlock").await;
    };
    // ANCHOR_END: wrong
    assert!(timeout(ms(30), recorder.lane("handler", handler)).await.is_err());
    recorder.lane("shutdown", async {}).await;
    recorder.trace()
}
