//! A transfer over HTTP whose client leaves in the middle, and a server that shuts down: what has begun is finished.
//!
//! Run with: `cargo run -p concurrency --example cancel`

use common::{Recorder, draw, upstream::Response, upstream::Upstream};
use concurrency::Scope;
use std::{error::Error, time::Duration};

const BOUND: Duration = Duration::from_millis(500);

// ANCHOR: transfer
type Failure = Box<dyn Error + Send + Sync>;

/// Stops at once before the debit, finishes after it, and gives the account back in any case.
async fn transfer<A, F>(request: Scope, ask: A) -> Result<(), Failure>
where
    A: Fn(&'static str) -> F + Clone + Send + 'static,
    F: Future<Output = Result<(), reqwest::Error>> + Send + 'static,
{
    let unlock = ask.clone();
    let body = async {
        request.run("quote", ask("/quote")).await??;
        ask("/debit").await?;
        ask("/credit").await?;
        Ok(())
    };
    let ended = request.with_cleanup("transfer", BOUND, body, move || unlock("/unlock")).await;
    if let Err(error) = ended.clean_up {
        println!("the account may still be locked: {error}");
    }
    ended.body
}
// ANCHOR_END: transfer

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let ms = Duration::from_millis;
    let steps = ["/quote", "/debit", "/credit", "/unlock"];
    let upstream = Upstream::start(steps.map(|step| (step, Response::new(200, "{}").after(ms(100))))).await?;
    let (recorder, client) = (Recorder::new("two transfers over HTTP (real time)"), reqwest::Client::new());
    let (lanes, site) = (recorder.clone(), upstream.url(""));
    let ask = move |step: &'static str| {
        let call = client.post(format!("{site}{step}")).send();
        let call = async move { call.await?.error_for_status().map(|_| println!("  {step}")) };
        lanes.try_lane(step, call)
    };
    for (what, leaves) in [("early", ms(50)), ("late", ms(150))] {
        println!("the client leaves {what}:");
        let server = Scope::new("server", |lost| println!("  {lost}"));
        let request = server.child("request");
        let work = request.shield("transfer", transfer(request.clone(), ask.clone()));
        let left = request.cancel_on_drop("the client has left");
        assert!(tokio::time::timeout(leaves, work).await.is_err());
        drop(left);
        let report = server.close("shutdown", ms(5000)).await;
        println!("  shut down, nothing aborted: {}", report.is_clean());
    }
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
