//! Four questions to a server, of which three go wrong, one of them for its caller's patience: no session stays open.
//!
//! Run with: `cargo run -p resources --example scope`

use common::{
    Recorder,
    clock::paused,
    draw,
    server::{Call, Outcome, Server, Session},
};
use resources::{Reaper, ScopeError, scope};
use std::time::Duration;
use tokio::time::timeout;

// ANCHOR: answer
/// What a handler says of each end.
async fn answer(server: &Server, reaper: &Reaper, name: &'static str) -> String {
    let body = async |session: &mut Session| session.ask(7).await;
    match scope(reaper, name, server.open(name), body, Session::close).await {
        Ok(answer) => answer,
        Err(ScopeError::NotAcquired(error)) => format!("try again later: {error}"),
        // The work is done: the value counts, and the session is somebody else's to look after.
        Err(ScopeError::NotReleased { value, release }) => format!("{value} (but {release})"),
        Err(failed) => format!("failed: {failed}"),
    }
}
// ANCHOR_END: answer

fn main() {
    paused(async {
        let ms = Duration::from_millis;
        let recorder = Recorder::new("four sessions (virtual time)");
        let server = Server::new(&recorder)
            .on(Call::Open, "full", ms(10), Outcome::Fail)
            .on(Call::Ask, "broken", ms(10), Outcome::Fail)
            .on(Call::Close, "broken", ms(10), Outcome::Fail)
            .on(Call::Ask, "slow", ms(500), Outcome::Done);
        let reaper = Reaper::with_sink(ms(50), |lost| println!("lost: {lost}"));
        let asks = async |name| {
            let asked = recorder.lane(format!("asks {name}"), answer(&server, &reaper, name));
            match timeout(ms(100), asked).await {
                Ok(said) => println!("{name}: {said}"),
                Err(_elapsed) => println!("{name}: gave up"),
            }
        };
        tokio::join!(asks("good"), asks("full"), asks("broken"), asks("slow"));
        println!("open: {:?}, at the reaper: {}", server.left_open(), reaper.pending());
        println!("shutdown: {}", reaper.drain(ms(1000)).await);
        println!("open: {:?}", server.left_open());
        eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    });
}
