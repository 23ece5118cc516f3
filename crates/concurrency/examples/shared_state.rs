//! A shop's stock, owned by one task that writes each change to a store over HTTP before it counts. Some customers leave.
//!
//! Run with: `cargo run -p concurrency --example shared_state`

use common::{
    Recorder, draw,
    upstream::{Response, Upstream},
};
use concurrency::{
    join,
    shared_state::{CallError, Owned, own},
};
use futures_util::FutureExt as _;
use std::{collections::BTreeMap, error::Error, num::NonZeroUsize, time::Duration};
use tokio::time::timeout;

/// Pieces on the shelf.
type Stock = BTreeMap<&'static str, u32>;

// ANCHOR: take
/// Takes pieces, if they are there and the store has written it down. It runs in the owner: whoever calls may leave.
async fn take(
    stock: &Owned<Stock>,
    item: &'static str,
    pieces: u32,
    write: reqwest::RequestBuilder,
) -> Result<bool, CallError> {
    stock
        .call_async(move |stock| {
            let step = async move {
                let there = stock.get(item).copied().unwrap_or(0);
                let Some(left) = there.checked_sub(pieces) else { return false };
                let written = write.send().await.and_then(reqwest::Response::error_for_status);
                // One step, after the await: until then the shelf is as it was.
                if written.is_ok() {
                    stock.insert(item, left);
                }
                written.is_ok()
            };
            step.boxed()
        })
        .await
}
// ANCHOR_END: take

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let upstream = Upstream::start([
        ("/ok", Response::new(200, "written").after(ms(60))),
        ("/slow", Response::new(200, "written").after(ms(200))),
        ("/full", Response::new(507, "no room").after(ms(60))),
    ])
    .await?;
    let recorder = Recorder::new("four customers, one at a time; the second leaves after 120 ms (real time)");
    let client = reqwest::Client::new();
    let put = |path| client.put(upstream.url(path));
    let (stock, owner) = own(Stock::from([("lamp", 5)]), NonZeroUsize::new(8).ok_or("no mailbox")?);

    let buy = |name: &'static str, pieces, path| recorder.lane(name, take(&stock, "lamp", pieces, put(path)));
    let impatient = async { Ok::<_, CallError>(timeout(ms(120), buy("slow", 1, "/slow")).await.ok()) };
    let (first, second, third, fourth) =
        join::all((buy("ok", 2, "/ok"), impatient, buy("full", 1, "/full"), buy("too many", 9, "/ok")))
            .await?;
    println!("two lamps: {first}, one: {second:?}, one more: {third}, nine: {fourth}");
    println!("left after the last call: {:?}", owner.shutdown().await.map_err(|panic| panic.to_string())?);
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
