//! A question to a server whose asker gives up after 30 ms, and a shutdown then: in a scope, and in the lines after an await.

use common::{
    Recorder, Trace,
    clock::paused,
    server::{Server, ServerError, Session},
};
use resources::{Reaper, ScopeError, scope};
use std::{error::Error, time::Duration};
use tokio::time::timeout;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Opens in 20 ms, answers in 20 ms, closes in 20 ms.
fn server(recorder: &Recorder) -> Server {
    use common::server::{Call::*, Outcome::Done};
    [Open, Ask, Close]
        .into_iter()
        .fold(Server::new(recorder), |server, call| server.on(call, "s", ms(20), Done))
}

// ANCHOR: right
async fn ask(
    server: &Server,
    reaper: &Reaper,
) -> Result<String, ScopeError<String, ServerError, ServerError>> {
    let body = async |session: &mut Session| session.ask(7).await;
    scope(reaper, "session", server.open("s"), body, Session::close).await
}
// ANCHOR_END: right

async fn right() -> Trace {
    let recorder = Recorder::new("right: in a scope, and the shutdown drains");
    let (server, reaper) = (server(&recorder), Reaper::new(Duration::from_secs(5)));
    assert!(timeout(ms(30), recorder.lane("asker", ask(&server, &reaper))).await.is_err());
    // ANCHOR: shutdown
    let drained = recorder.lane("shutdown", reaper.drain(Duration::from_secs(10))).await;
    assert!(drained.is_clean(), "{drained}");
    // ANCHOR_END: shutdown
    assert!(server.left_open().is_empty());
    recorder.trace()
}

// ANCHOR: wrong
async fn ask_in_place(server: &Server) -> Result<String, Box<dyn Error>> {
    let mut session = server.open("s").await?;
    let answer = session.ask(7).await;
    // No `finally`: whoever is dropped above does not come here.
    session.close().await?;
    Ok(answer?)
}
// ANCHOR_END: wrong

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: closed in the line after the await");
    let server = server(&recorder);
    assert!(timeout(ms(30), recorder.lane("asker", ask_in_place(&server))).await.is_err());
    recorder.lane("shutdown", async {}).await;
    assert_eq!(server.left_open(), ["s"]);
    recorder.trace()
}
