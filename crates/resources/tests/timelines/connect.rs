//! A set-up whose caller leaves in the middle of the second step: on a stack, and with clean-up in the error path.

use common::{
    Recorder, Trace,
    clock::paused,
    server::{Server, ServerError, Session},
};
use resources::{ConnectError, Lent, Ready, Reaper, connect};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong())]
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

// ANCHOR: right
/// Exists only with all that it stands on.
#[expect(dead_code, reason = "nobody gets as far as using it")]
struct Client {
    session: Lent<Session>,
    lease: Lent<Session>,
}

async fn client(server: &Server, reaper: &Reaper) -> Result<Ready<Client>, ConnectError<ServerError>> {
    connect(reaper, async |stack| {
        let session = stack.enter("session", server.open("session"), Session::close).await?;
        let lease = stack.enter("lease", server.open("lease"), Session::close).await?;
        Ok(Client { session, lease })
    })
    .await
}
// ANCHOR_END: right

async fn right() -> Trace {
    let recorder = Recorder::new("right: steps on a stack");
    let (server, reaper) = (Server::new(&recorder).opens_at_once(), Reaper::new(ms(50)));
    assert!(timeout(ms(15), recorder.lane("client", client(&server, &reaper))).await.is_err());
    let drained = recorder.lane("shutdown", reaper.drain(ms(5000))).await;
    assert!(drained.is_clean() && server.left_open().is_empty());
    recorder.trace()
}

// ANCHOR: wrong
async fn in_the_error_path(server: &Server) -> Result<(Session, Session), ServerError> {
    let session = server.open("session").await?;
    match server.open("lease").await {
        Ok(lease) => Ok((session, lease)),
        Err(error) => {
            // Whoever is dropped above has no error, and does not come here.
            session.close().await?;
            Err(error)
        }
    }
}
// ANCHOR_END: wrong

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: closed in the error path");
    let server = Server::new(&recorder).opens_at_once();
    assert!(timeout(ms(15), recorder.lane("client", in_the_error_path(&server))).await.is_err());
    recorder.lane("shutdown", async {}).await;
    assert_eq!(server.left_open(), ["session", "lease"]);
    recorder.trace()
}
