//! What the page on fixtures shows: a server with a script, a stream with a script, and the clock beside them.

use common::upstream::{Response, Upstream};
use std::{io, time::Duration};
use testing::{
    wire::{self, Wire},
    with_real_io,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

// ANCHOR: read
/// Reads a message: its length in two bytes, then as many bytes of text.
async fn message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut bytes = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut bytes).await?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
// ANCHOR_END: read

async fn over(wire: Wire) -> io::Result<String> {
    let (mut client, mut server) = wire::pair(Wire::new(0), wire);
    let send = async {
        // A writer that meets the end of the wire is told, or is not: the reader is what is tested.
        server.write_all(b"\x00\x0dan order of 3").await.ok();
        server.shutdown().await.ok();
    };
    tokio::join!(message(&mut client), send).0
}

// ANCHOR: wire
#[test]
fn a_message_is_read_whole_or_its_error_says_why_not() {
    testing::sim(async |_| {
        let crumbs = |seed| Wire::new(seed).fragments(1..=3).latency(Duration::from_millis(5));
        for seed in 0..100 {
            assert_eq!(over(crumbs(seed)).await.unwrap(), "an order of 3");
            for bytes in 0..15 {
                let cut = over(crumbs(seed).truncate_after(bytes)).await.unwrap_err();
                assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
                let reset = over(crumbs(seed).reset_after(bytes)).await.unwrap_err();
                assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
            }
        }
    });
}
// ANCHOR_END: wire

async fn get(upstream: &Upstream, path: &str) -> io::Result<String> {
    let address = upstream.url("").replace("http://", "");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await?;
    // It answers, and then sees that nothing more will be asked.
    stream.shutdown().await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

// ANCHOR: upstream
#[tokio::test(start_paused = true)]
async fn a_real_server_answers_within_half_a_minute_of_virtual_time() {
    let replies = [
        ("/items/1", Response::new(200, r#"{"name":"lamp"}"#)),
        ("/items/2", Response::new(200, "{}").reset()),
    ];
    let upstream = with_real_io(Upstream::start(replies)).await.unwrap();
    let start = Instant::now();
    let lamp = with_real_io(timeout(HALF_A_MINUTE, get(&upstream, "/items/1"))).await.unwrap();
    assert!(lamp.unwrap().ends_with(r#"{"name":"lamp"}"#));
    let reset = with_real_io(timeout(HALF_A_MINUTE, get(&upstream, "/items/2"))).await.unwrap();
    assert!(reset.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
}
// ANCHOR_END: upstream
