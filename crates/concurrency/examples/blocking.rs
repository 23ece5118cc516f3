//! A client that only knows blocking calls: two reports at once, two callers may wait, and one has little patience.
//!
//! Run with: `cargo run -p concurrency --example blocking`

use common::upstream::{Response, Upstream};
use common::{Recorder, draw};
use concurrency::{Bulkhead, Settled, gather};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::{error::Error, io, net::TcpStream, num::NonZeroUsize, time::Duration};
use tokio::time::timeout;

// ANCHOR: client
/// HTTP as an old library does it: the thread stands still until the answer is there.
fn get(url: &str) -> io::Result<String> {
    let (host, path) =
        url.trim_start_matches("http://").split_once('/').ok_or(io::ErrorKind::InvalidInput)?;
    let mut stream = BufReader::new(TcpStream::connect(host)?);
    write!(stream.get_mut(), "GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n")?;
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line)? > 2 {
        length = line.strip_prefix("content-length: ").and_then(|n| n.trim().parse().ok()).unwrap_or(length);
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    String::from_utf8(body).map_err(io::Error::other)
}
// ANCHOR_END: client

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let report = |id| (format!("/{id}"), Response::new(200, format!("report {id}")).after(ms(300)));
    let upstream = Upstream::start((1..=6).map(report)).await?;
    let recorder = Recorder::new("six callers of a blocking client (real time)");
    // ANCHOR: run
    let reports = Bulkhead::new(NonZeroUsize::new(2).ok_or("not zero")?, 2);
    let call = |id| {
        let (reports, url) = (reports.clone(), upstream.url(&format!("/{id}")));
        let patience = if id == 2 { ms(100) } else { ms(5000) };
        async move { timeout(patience, reports.run(move |_| get(&url))).await }
    };
    // ANCHOR_END: run
    let all = NonZeroUsize::new(6).ok_or("not zero")?;
    let settled = gather(1..=6, all, |id| recorder.try_lane(format!("caller {id}"), call(id))).await;
    for (id, outcome) in (1..).zip(settled) {
        match outcome {
            Settled::Ok(Ok(report)) => println!("{id}: {}", report?),
            Settled::Ok(Err(error)) => println!("{id}: {error}"),
            _ => println!("{id}: gave up; its thread reads on"),
        }
    }
    println!("connections at once: at most {}", upstream.peak());
    eprintln!("\n{}", draw::terminal(&recorder.trace(), draw::Terminal::here()));
    Ok(())
}
