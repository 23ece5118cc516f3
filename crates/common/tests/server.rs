//! What the server in memory promises.

use common::{
    Recorder,
    clock::paused,
    server::{Call, Outcome, Server, ServerError, What},
};
use futures_util::FutureExt as _;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::time::timeout;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn log(server: &Server) -> Vec<(u64, String, What)> {
    let line = |line: common::server::Line| (line.at.as_millis() as u64, line.session, line.what);
    server.log().into_iter().map(line).collect()
}

fn lines<const N: usize>(lines: [(u64, &str, What); N]) -> Vec<(u64, String, What)> {
    lines.map(|(at, session, what)| (at, session.to_owned(), what)).to_vec()
}

#[test]
fn a_session_is_open_until_it_is_closed() {
    paused(async {
        let server = Server::new(&Recorder::new("")).on(Call::Close, "a", ms(30), Outcome::Done);
        let a = server.open("a").await.unwrap();
        let mut b = server.open("b").await.unwrap();
        assert_eq!(b.ask(7).await.unwrap(), "b: 7");
        assert_eq!((server.left_open(), server.peak()), (vec!["a".into(), "b".into()], 2));
        a.close().await.unwrap();
        drop(b);
        assert_eq!((server.left_open(), server.opened_so_far(), server.peak()), (vec!["b".into()], 2, 2));
        assert_eq!(
            log(&server),
            lines([
                (10, "a", What::Opened),
                (20, "b", What::Opened),
                (30, "a", What::Closing),
                (60, "a", What::Closed),
                (60, "b", What::Left),
            ])
        );
    });
}

#[test]
fn a_close_that_is_dropped_leaves_the_session_open() {
    paused(async {
        let server = Server::new(&Recorder::new(""));
        let never_begun = server.open("a").await.unwrap().close();
        drop(never_begun);
        let session = server.open("b").await.unwrap();
        timeout(ms(5), session.close()).await.unwrap_err();
        assert_eq!(server.left_open(), ["a", "b"]);
    });
}

#[test]
fn calls_end_as_scripted_and_a_session_whose_closing_fails_is_gone() {
    paused(async {
        let server = Server::new(&Recorder::new(""))
            .on(Call::Open, "no", ms(3), Outcome::Fail)
            .on(Call::Open, "never", ms(3), Outcome::Hang)
            .on(Call::Ask, "a", ms(3), Outcome::Fail)
            .on(Call::Close, "a", ms(3), Outcome::Fail)
            .on(Call::Close, "b", ms(3), Outcome::Panic);
        let no = ServerError { call: Call::Open, session: "no".into() };
        assert_eq!(server.open("no").await.unwrap_err(), no);
        assert_eq!(no.to_string(), "the server could not open no");
        timeout(ms(500), server.open("never")).await.unwrap_err();
        let mut a = server.open("a").await.unwrap();
        assert_eq!(a.ask(1).await.unwrap_err().call, Call::Ask);
        assert_eq!(a.close().await.unwrap_err().call, Call::Close);
        let b = server.open("b").await.unwrap();
        AssertUnwindSafe(b.close()).catch_unwind().await.unwrap_err();
        assert!(server.left_open().is_empty());
        let ends: Vec<_> = server.log().into_iter().map(|line| line.what).collect();
        let closed = [What::Opened, What::Closing, What::NotClosed];
        assert_eq!(ends, [&[What::NotOpened][..], &closed, &closed].concat());
    });
}

#[test]
fn a_server_that_opens_at_once_has_a_session_for_a_caller_that_has_left() {
    paused(async {
        let server = Server::new(&Recorder::new("")).on(Call::Open, "no", ms(3), Outcome::Fail);
        timeout(ms(5), server.open("a")).await.unwrap_err();
        assert!(server.left_open().is_empty());
        let server = server.opens_at_once();
        timeout(ms(5), server.open("a")).await.unwrap_err();
        server.open("no").await.unwrap_err();
        assert_eq!(server.left_open(), ["a"]);
        server.open("b").await.unwrap().close().await.unwrap();
        assert_eq!(server.left_open(), ["a"]);
    });
}
