//! What the loopback server promises, each promise a test. Real sockets, and no sleep that a result depends on.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use common::upstream::{Response, Upstream};
use std::{
    future::Future,
    io::{self, ErrorKind},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(upstream: &Upstream) -> BufReader<TcpStream> {
    let url = upstream.url("");
    BufReader::new(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap())
}

/// Sends a request with a body and reads the status line and the body.
async fn request(stream: &mut BufReader<TcpStream>, path: &str) -> io::Result<(String, String)> {
    let text = format!("POST {path} HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\n\r\nhello");
    stream.get_mut().write_all(text.as_bytes()).await?;
    let mut status = String::new();
    if stream.read_line(&mut status).await? == 0 {
        return Err(ErrorKind::ConnectionReset.into());
    }
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        if header == "\r\n" {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((status.trim().to_owned(), String::from_utf8(body).unwrap()))
}

#[test]
fn one_connection_carries_many_requests() {
    run(async {
        let upstream = Upstream::start([("/a", Response::new(200, "A")), ("/b", Response::new(503, "B"))])
            .await
            .unwrap();
        let mut stream = connect(&upstream).await;
        for _ in 0..3 {
            assert_eq!(request(&mut stream, "/a").await.unwrap(), ("HTTP/1.1 200 OK".into(), "A".into()));
            assert_eq!(request(&mut stream, "/b").await.unwrap().0, "HTTP/1.1 503 Service Unavailable");
            assert_eq!(request(&mut stream, "/c").await.unwrap().0, "HTTP/1.1 404 Not Found");
        }
        assert_eq!((upstream.connections(), upstream.requests(), upstream.peak()), (1, 9, 1));
    });
}

#[test]
fn a_delay_is_waited_for_and_costs_no_other_connection_its_time() {
    run(async {
        let slow = Response::new(200, "slow").after(Duration::from_millis(80));
        let upstream = Upstream::start([("/slow", slow)]).await.unwrap();
        let (mut one, mut two) = (connect(&upstream).await, connect(&upstream).await);
        let start = Instant::now();
        let (first, second) = tokio::join!(request(&mut one, "/slow"), request(&mut two, "/slow"));
        assert!(first.is_ok() && second.is_ok());
        assert!(start.elapsed() >= Duration::from_millis(80));
        assert_eq!(upstream.peak(), 2, "both were in work at once");
    });
}

#[test]
fn a_client_that_leaves_before_its_answer_is_noticed_and_one_that_gets_it_is_not() {
    run(async {
        let slow = Response::new(200, "slow").after(Duration::from_secs(600));
        let upstream = Upstream::start([("/slow", slow), ("/a", Response::new(200, "A"))]).await.unwrap();
        let (mut patient, mut other) = (connect(&upstream).await, connect(&upstream).await);
        request(&mut patient, "/a").await.unwrap();
        drop(patient);
        other.get_mut().write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
        while upstream.requests() < 2 {
            tokio::task::yield_now().await;
        }
        let mut abandoned = Box::pin(upstream.abandoned(1));
        assert!(abandoned.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(other);
        abandoned.await;
        let first = request(&mut connect(&upstream).await, "/a").await.unwrap();
        assert_eq!(first.1, "A", "it serves others as before");
    });
}

#[test]
fn a_reset_is_an_error_and_a_truncated_body_ends_early() {
    run(async {
        let upstream = Upstream::start([
            ("/reset", Response::new(200, "never seen").reset()),
            ("/half", Response::new(200, "0123456789").truncated()),
        ])
        .await
        .unwrap();
        let reset = request(&mut connect(&upstream).await, "/reset").await.unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        let half = request(&mut connect(&upstream).await, "/half").await.unwrap_err();
        assert_eq!(half.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_trickled_body_arrives_whole() {
    run(async {
        let body = Response::new(200, "0123456789").trickle(3, Duration::from_millis(1));
        let upstream = Upstream::start([("/drip", body)]).await.unwrap();
        assert_eq!(request(&mut connect(&upstream).await, "/drip").await.unwrap().1, "0123456789");
    });
}

#[test]
fn dropped_it_closes_its_port_and_its_connections() {
    run(async {
        let upstream = Upstream::start([("/a", Response::new(200, "A"))]).await.unwrap();
        let mut stream = connect(&upstream).await;
        request(&mut stream, "/a").await.unwrap();
        let address = upstream.url("").strip_prefix("http://").unwrap().to_owned();
        drop(upstream);
        // The aborted tasks go when the scheduler reaches them; the end of the stream is the proof.
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(address).await.is_err());
    });
}

#[test]
fn dropped_while_it_starts_it_leaves_nothing() {
    run(async {
        let mut start = Box::pin(Upstream::start([("/a", Response::new(200, "A"))]));
        let mut cx = Context::from_waker(Waker::noop());
        // It is ready at its first poll; there is no await at which it could be dropped half-way.
        let Poll::Ready(Ok(upstream)) = start.as_mut().poll(&mut cx) else { panic!("it waited") };
        drop(upstream);
        drop(start);
        drop(Upstream::start([("/a", Response::new(200, "A"))]));
    });
}

#[test]
fn a_path_that_is_given_several_times_answers_in_that_order_with_its_headers() {
    run(async {
        let busy = Response::new(503, "busy").header("retry-after", 1);
        let upstream = Upstream::start([("/a", busy), ("/a", Response::new(200, "A"))]).await.unwrap();
        let mut stream = connect(&upstream).await;
        assert_eq!(request(&mut stream, "/a").await.unwrap().1, "busy");
        assert_eq!(request(&mut stream, "/a").await.unwrap().1, "A");
        assert_eq!(request(&mut stream, "/a").await.unwrap().1, "A");
    });
}

#[test]
fn a_held_answer_waits_for_its_release_and_a_heedless_one_is_made_for_nobody() {
    run(async {
        let held = Response::new(200, "A").held();
        let routes = [("/held", held.clone()), ("/heedless", held.heedless())];
        let upstream = Upstream::start(routes).await.unwrap();
        let (mut patient, mut leaves, mut leaves_too) =
            (connect(&upstream).await, connect(&upstream).await, connect(&upstream).await);
        leaves.get_mut().write_all(b"GET /held HTTP/1.1\r\n\r\n").await.unwrap();
        leaves_too.get_mut().write_all(b"GET /heedless HTTP/1.1\r\n\r\n").await.unwrap();
        upstream.until(|seen| seen.requests == 2).await;
        drop((leaves, leaves_too));
        upstream.abandoned(1).await;
        let answer = async {
            upstream.until(|seen| seen.requests == 3).await;
            assert_eq!((upstream.seen().carried_out, upstream.asked("/held")), (0, 2));
            upstream.release();
        };
        let (answered, ()) = tokio::join!(request(&mut patient, "/held"), answer);
        assert_eq!(answered.unwrap().1, "A");
        upstream.until(|seen| seen.carried_out == 2 && seen.open == 1).await;
        assert_eq!((upstream.seen().connections, upstream.seen().abandoned), (3, 1));
    });
}

#[test]
fn a_body_stalls_or_has_no_end_until_the_client_leaves() {
    run(async {
        let routes = [
            ("/stalls", Response::new(200, "0123456789").stalled()),
            ("/endless", Response::new(200, "01").endless()),
        ];
        let upstream = Upstream::start(routes).await.unwrap();
        for (path, end) in
            [("/stalls", "content-length: 10\r\n\r\n01234"), ("/endless", "\r\n\r\n2\r\n01\r\n2\r\n01\r\n")]
        {
            let mut stream = connect(&upstream).await;
            stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
            let mut read = String::new();
            while !read.contains(end) {
                read.push(char::from(stream.read_u8().await.unwrap()));
            }
        }
        upstream.until(|seen| seen.connections == 2 && seen.open == 0).await;
    });
}
