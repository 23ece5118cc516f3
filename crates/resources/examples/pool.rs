//! Questions over TCP to a server that answers line by line, and clients that leave before they are answered.
//!
//! Run with: `cargo run -p resources --example pool`

use resources::pool::{Limits, Manage, Pool};
use std::{io, net::SocketAddr, num::NonZeroUsize, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

const ANSWERS_AFTER: Duration = Duration::from_millis(100);

struct Lines(SocketAddr);

impl Manage for Lines {
    type Resource = BufStream<TcpStream>;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Self::Resource> {
        Ok(BufStream::new(TcpStream::connect(self.0).await?))
    }
}

async fn ask(lines: &mut BufStream<TcpStream>, question: &str) -> io::Result<String> {
    lines.write_all(question.as_bytes()).await?;
    lines.flush().await?;
    let mut answer = String::new();
    lines.read_line(&mut answer).await?;
    Ok(answer)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (listener, mut server) = (TcpListener::bind(("127.0.0.1", 0)).await?, JoinSet::new());
    let limits = Limits::new(NonZeroUsize::MIN, Duration::from_secs(5));
    let pool = Pool::new(Lines(listener.local_addr()?), limits);
    server.spawn(serve(listener));
    // ANCHOR: leaves
    let mut lines = pool.get().await?;
    assert!(timeout(ANSWERS_AFTER / 2, ask(&mut lines, "apples\n")).await.is_err());
    drop(lines); // It goes back to the pool, with an answer on the way.
    let mut lines = pool.get().await?;
    print!("get:  asked for pears, told {}", ask(&mut lines, "pears\n").await?);
    lines.mark_broken();
    drop(lines);

    let leaves = pool.with(async |lines| ask(lines, "apples\n").await);
    assert!(timeout(ANSWERS_AFTER / 2, leaves).await.is_err());
    print!("with: asked for pears, told {}", pool.with(async |lines| ask(lines, "pears\n").await).await??);
    // ANCHOR_END: leaves
    println!("still out at the end: {}", pool.close(Duration::from_secs(1)).await.taken.len());
    Ok(())
}

/// Answers each client's questions with themselves, after a while: one client after the other.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut client, mut line) = (listener.accept().await?.0, [0; 64]);
        while let Ok(length @ 1..) = client.read(&mut line).await {
            sleep(ANSWERS_AFTER).await;
            client.write_all(&line[..length]).await.ok();
        }
    }
}
