//! A start-up that opens as many shards as are configured, and is stopped while it closes them: nothing stays open.
//!
//! Run with: `cargo run -p resources --example exit_stack`

use common::{
    Recorder,
    clock::paused,
    draw,
    server::{Call, Outcome, Server, ServerError, Session},
};
use resources::{ExitStack, Reaper, exit_stack::Closed};
use std::time::Duration;
use tokio::time::timeout;

// ANCHOR: program
/// Opens what is configured, works, and closes it: the last one first.
async fn program(server: &Server, reaper: &Reaper, names: &[&'static str]) -> Result<Closed, ServerError> {
    let mut stack = ExitStack::new(reaper);
    let mut shards = Vec::new();
    for name in names {
        // Should a later one fail, `?` drops the stack, and the reaper closes those before.
        shards.push(stack.enter(*name, server.open(name), Session::close).await?);
    }
    for shard in &mut shards {
        println!("  {}", shard.ask(7).await?);
    }
    // Back to the stack with them: what is in use is not closed.
    drop(shards);
    Ok(stack.close().await)
}
// ANCHOR_END: program

async fn runs() -> Result<(), ServerError> {
    let (ms, names) = (Duration::from_millis, ["shard 1", "shard 2", "shard 3"]);
    let server = || Server::new(&Recorder::new("three shards"));
    println!("one can't be closed:");
    let (reaper, shards) = (Reaper::new(ms(500)), server().on(Call::Close, names[1], ms(10), Outcome::Fail));
    println!("  {}", program(&shards, &reaper, &names).await?);

    println!("one can't be opened:");
    let shards = server().on(Call::Open, names[2], ms(10), Outcome::Fail);
    if let Err(error) = program(&shards, &reaper, &names).await {
        println!("  {error}; left open by then: {:?}", shards.left_open());
    }
    println!("  {}; left open: {:?}", reaper.drain(ms(5000)).await, shards.left_open());

    println!("whoever closes them is gone in the middle:");
    let (recorder, reaper) = (Recorder::new("gone while it closes"), Reaper::new(ms(500)));
    let shards = Server::new(&recorder);
    let gone = timeout(ms(65), recorder.lane("program", program(&shards, &reaper, &names))).await.is_err();
    println!("  gone: {gone}; left open by then: {:?}", shards.left_open());
    println!("  {}; left open: {:?}", reaper.drain(ms(5000)).await, shards.left_open());
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}

fn main() -> Result<(), ServerError> {
    paused(runs())
}
