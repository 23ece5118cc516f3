//! What the HTTP client promises, and what it is there for: what reqwest does when nobody tells it otherwise. Sockets are
//! real; in place of sleeps there are gates.

use common::upstream::{Response as Answer, Upstream};
use reqwest::{
    ClientBuilder, Method, StatusCode,
    dns::{Name, Resolve, Resolving},
};
use resources::{
    HttpClient,
    http_client::{HttpError, Limit, Limits, Response},
};
use std::{error::Error as _, future::pending, num::NonZeroUsize, sync::Arc, time::Duration};
use testing::{every_await, real_io::HeldClock, with_real_io};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Builder,
    select,
    task::{JoinSet, yield_now},
    time::{Instant, timeout},
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const LONG: Duration = Duration::from_secs(60);

/// Nothing is short, so that a test says what is.
fn limits() -> Limits {
    Limits {
        connect: LONG,
        silence: LONG,
        total: LONG,
        idle: LONG,
        in_flight: NonZeroUsize::new(4).unwrap(),
        wait: LONG,
        body_bytes: 1 << 20,
        redirects: 2,
    }
}

fn few(in_flight: usize) -> Limits {
    Limits { in_flight: NonZeroUsize::new(in_flight).unwrap(), ..limits() }
}

/// A client that no proxy of this machine's environment stands in front of.
fn client(base: &str, limits: Limits) -> HttpClient {
    HttpClient::with(ClientBuilder::new().no_proxy(), base, limits).unwrap()
}

fn plain() -> reqwest::Client {
    ClientBuilder::new().no_proxy().build().unwrap()
}

async fn upstream<const N: usize>(routes: [(&str, Answer); N]) -> Upstream {
    Upstream::start(routes).await.unwrap()
}

/// On a clock that runs. What waits for a connection that nobody closes is to fail, and not to hang.
fn run<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LONG, future).await.expect("nothing has happened for a minute") })
}

/// On a paused clock, which stands still in [`with_real_io`] only.
fn paused<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future)
}

/// More than the buffers of a socket take along with the head.
fn large() -> String {
    "x".repeat(1 << 20)
}

async fn body(client: &HttpClient, path: &str) -> Result<String, HttpError> {
    let bytes = client.send(client.get(path)).await?.bytes().await?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn calls_in_turn_share_one_connection() {
    run(async {
        let upstream = upstream([
            ("/a", Answer::new(200, "A")),
            ("/b", Answer::new(404, "B")),
            ("/large", Answer::new(200, large())),
        ])
        .await;
        let client = client(&upstream.url(""), limits());
        for _ in 0..10 {
            assert_eq!(body(&client, "/a").await.unwrap(), "A");
            assert_eq!(body(&client.clone(), "/b").await.unwrap_err().status(), Some(StatusCode::NOT_FOUND));
            assert_eq!(body(&client, "/large").await.unwrap().len(), 1 << 20);
            client.send(client.get("/large")).await.unwrap().drain().await.unwrap();
        }
        assert_eq!((upstream.connections(), upstream.requests()), (1, 40));
    });
}

#[test]
fn a_client_for_each_call_opens_a_connection_for_each() {
    run(async {
        let upstream = upstream([("/a", Answer::new(200, "A"))]).await;
        for _ in 0..10 {
            assert_eq!(plain().get(upstream.url("/a")).send().await.unwrap().text().await.unwrap(), "A");
        }
        assert_eq!(upstream.connections(), 10);
    });
}

#[test]
fn a_body_that_is_not_read_costs_the_connection_unless_it_came_with_the_head() {
    run(async {
        let upstream =
            upstream([("/small", Answer::new(200, "A")), ("/large", Answer::new(200, large()))]).await;
        let client = client(&upstream.url(""), limits());
        for _ in 0..5 {
            drop(client.send(client.get("/small")).await.unwrap());
            // The connection goes back in a task of hyper's.
            for _ in 0..10 {
                yield_now().await;
            }
        }
        assert_eq!(upstream.connections(), 1);
        for _ in 0..5 {
            drop(client.send(client.get("/large")).await.unwrap());
            upstream.until(|seen| seen.open == 0).await;
        }
        assert_eq!(upstream.connections(), 5);
    });
}

#[test]
fn there_are_never_more_requests_in_flight_than_places_and_there_are_as_many() {
    for workers in [1, 4] {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(workers).enable_all().build().unwrap().block_on(async {
            let upstream = upstream([("/a", Answer::new(200, "A").held())]).await;
            let client = client(&upstream.url(""), few(3));
            let mut calls = JoinSet::new();
            for _ in 0..30 {
                let client = client.clone();
                calls.spawn(async move { body(&client, "/a").await.unwrap() });
            }
            upstream.until(|seen| seen.in_flight == 3).await;
            assert_eq!(upstream.requests(), 3);
            upstream.release();
            assert_eq!(calls.join_all().await, ["A"; 30]);
            assert_eq!((upstream.requests(), upstream.peak()), (30, 3));
        });
    }
}

#[test]
fn who_finds_no_place_in_time_is_turned_away_and_sends_nothing() {
    paused(async {
        let upstream = with_real_io(upstream([("/a", Answer::new(200, "A").held())])).await;
        let client = client(&upstream.url(""), Limits { wait: ms(100), ..few(2) });
        let calls = async { tokio::join!(body(&client, "/a"), body(&client, "/a")) };
        let late = async {
            with_real_io(upstream.until(|seen| seen.in_flight == 2)).await;
            let start = Instant::now();
            let error = body(&client, "/a").await.unwrap_err();
            assert!(matches!(error, HttpError::Busy { waited, .. } if waited == ms(100)));
            assert_eq!(error.to_string(), "2 requests are in flight, and none ended within 100ms");
            assert!(error.is_retryable() && error.had_no_effect());
            assert_eq!((start.elapsed(), upstream.requests()), (ms(100), 2));
            // Who has less time than that waits less.
            let impatient = client.get("/a").timeout(ms(30));
            let turned_away = client.send(impatient).await;
            assert!(matches!(turned_away, Err(HttpError::Busy { waited, .. }) if waited == ms(30)));
            assert_eq!(start.elapsed(), ms(130));
            let _clock = HeldClock::new();
            upstream.release();
            pending::<()>().await;
        };
        select! {
            calls = calls => assert!(calls.0.is_ok() && calls.1.is_ok()),
            () = late => {}
        }
        assert_eq!(with_real_io(body(&client, "/a")).await.unwrap(), "A");
        assert_eq!(upstream.requests(), 3);
    });
}

#[test]
fn the_place_is_kept_until_the_body_was_read_or_the_answer_is_dropped() {
    run(async {
        let upstream = upstream([("/a", Answer::new(200, large()))]).await;
        let client = client(&upstream.url(""), Limits { wait: Duration::ZERO, ..few(1) });
        let answer = client.send(client.get("/a")).await.unwrap();
        assert!(matches!(body(&client, "/a").await, Err(HttpError::Busy { .. })));
        answer.bytes().await.unwrap();
        let answer = client.send(client.get("/a")).await.unwrap();
        drop(answer);
        assert!(body(&client, "/a").await.is_ok());
        // An answer that is an error has no body that anybody could still read.
        assert_eq!(body(&client, "/b").await.unwrap_err().status(), Some(StatusCode::NOT_FOUND));
        assert!(body(&client, "/a").await.is_ok());
    });
}

#[test]
fn a_panic_and_an_abort_give_the_place_back() {
    run(async {
        let upstream =
            upstream([("/a", Answer::new(200, large())), ("/held", Answer::new(200, "A").held())]).await;
        let client = client(&upstream.url(""), Limits { wait: Duration::ZERO, ..few(1) });
        let mut tasks = JoinSet::new();
        let theirs = client.clone();
        tasks.spawn(async move {
            let _answer = theirs.send(theirs.get("/a")).await.unwrap();
            std::panic::resume_unwind(Box::new("with an answer in hand"));
        });
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
        let theirs = client.clone();
        tasks.spawn(async move { drop(body(&theirs, "/held").await) });
        upstream.until(|seen| seen.requests == 2).await;
        tasks.shutdown().await;
        upstream.abandoned(1).await;
        assert!(body(&client, "/a").await.is_ok());
    });
}

/// A name that is never found.
struct Unresolved;

impl Resolve for Unresolved {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(pending())
    }
}

#[test]
fn a_connection_that_does_not_come_about_ends_at_its_limit_and_nothing_was_sent() {
    paused(async {
        let builder = ClientBuilder::new().no_proxy().dns_resolver(Arc::new(Unresolved));
        let client = HttpClient::with(builder, "http://prices.test", Limits { connect: ms(200), ..limits() });
        let start = Instant::now();
        let error = body(&client.unwrap(), "/a").await.unwrap_err();
        assert_eq!(start.elapsed(), ms(200));
        assert!(matches!(error, HttpError::TimedOut { limit: Limit::Connect, after } if after == ms(200)));
        assert!(error.is_retryable() && error.had_no_effect(), "{error}");
    });
    run(async {
        // A port that was free a moment ago, and that nobody listens at.
        let base = upstream([("/a", Answer::new(200, "A"))]).await.url("");
        let client = client(&base, limits());
        let error = loop {
            match body(&client, "/a").await {
                Err(error) if error.had_no_effect() => break error,
                _ => yield_now().await,
            }
        };
        assert!(matches!(error, HttpError::Connect(_)), "{error:?}");
        assert!(error.is_retryable());
    });
}

/// Sends once the clock may not move, and lets it go as soon as `begun` says that the rest is silence.
async fn timed_out(
    upstream: &Upstream,
    client: &HttpClient,
    path: &str,
    requests: usize,
) -> (Limit, Duration) {
    let start = Instant::now();
    let clock = HeldClock::new();
    let call = body(client, path);
    let silence = async {
        upstream.until(|seen| seen.requests == requests).await;
        // Half of a body is on its way.
        for _ in 0..100 {
            yield_now().await;
        }
        drop(clock);
        pending::<()>().await;
    };
    let error = select! { ended = call => ended.unwrap_err(), () = silence => unreachable!() };
    assert!(error.is_retryable() && !error.had_no_effect(), "{error}");
    let HttpError::TimedOut { limit, after } = error else { panic!("{error:?}") };
    assert_eq!(start.elapsed(), after);
    (limit, after)
}

#[test]
fn silence_ends_at_its_limit_before_the_head_and_in_the_body() {
    paused(async {
        let routes =
            [("/held", Answer::new(200, "A").held()), ("/stalls", Answer::new(200, large()).stalled())];
        let upstream = with_real_io(upstream(routes)).await;
        let client = client(&upstream.url(""), Limits { silence: ms(300), ..limits() });
        assert_eq!(timed_out(&upstream, &client, "/held", 1).await, (Limit::Silence, ms(300)));
        assert_eq!(timed_out(&upstream, &client, "/stalls", 2).await, (Limit::Silence, ms(300)));
        // Both connections are closed: the server is told in the only way that there is.
        with_real_io(upstream.until(|seen| seen.open == 0 && seen.abandoned == 1)).await;
    });
}

#[test]
fn all_of_it_ends_at_its_limit_and_a_request_may_ask_for_less_but_not_for_more() {
    paused(async {
        let upstream = with_real_io(upstream([("/held", Answer::new(200, "A").held())])).await;
        let client = client(&upstream.url(""), Limits { total: ms(500), ..limits() });
        assert_eq!(timed_out(&upstream, &client, "/held", 1).await, (Limit::Total, ms(500)));
        for (asked, gets) in [(ms(70), ms(70)), (LONG, ms(500))] {
            let requests = upstream.requests();
            let call = client.send(client.get("/held").timeout(asked));
            let clock = HeldClock::new();
            let silence = async {
                upstream.until(|seen| seen.requests > requests).await;
                drop(clock);
                pending::<()>().await;
            };
            let start = Instant::now();
            let error = select! { ended = call => ended.unwrap_err(), () = silence => unreachable!() };
            assert!(
                matches!(error, HttpError::TimedOut { limit: Limit::Total, after } if after == gets),
                "{error:?}"
            );
            assert_eq!(start.elapsed(), gets);
        }
    });
}

#[test]
fn a_body_that_trickles_ends_at_the_limit_of_all_though_it_is_never_silent() {
    run(async {
        let drip = Answer::new(200, large()).trickle(1, ms(1));
        let upstream = upstream([("/drip", drip)]).await;
        let client = client(&upstream.url(""), Limits { total: ms(50), silence: LONG, ..limits() });
        let error = body(&client, "/drip").await.unwrap_err();
        assert!(matches!(error, HttpError::TimedOut { limit: Limit::Total, .. }), "{error:?}");
        upstream.until(|seen| seen.open == 0).await;
    });
}

#[test]
fn the_wait_for_a_place_counts_towards_all_of_it() {
    paused(async {
        let upstream = with_real_io(upstream([("/held", Answer::new(200, "A").held())])).await;
        let client = client(&upstream.url(""), Limits { total: ms(500), ..few(1) });
        let start = Instant::now();
        let first = async {
            let error = client.send(client.get("/held").timeout(ms(200))).await.unwrap_err();
            assert!(matches!(error, HttpError::TimedOut { .. }));
        };
        let second = async {
            // It gets its place when the first has gone, after 200 ms.
            let error = body(&client, "/held").await.unwrap_err();
            assert!(matches!(error, HttpError::TimedOut { limit: Limit::Total, .. }), "{error:?}");
        };
        // The clock need not wait for the server: whatever it does, it does not answer.
        tokio::join!(first, second);
        assert_eq!(start.elapsed(), ms(500));
    });
}

#[test]
fn reqwest_alone_has_no_time_limit() {
    paused(async {
        let upstream = with_real_io(upstream([("/held", Answer::new(200, "A").held())])).await;
        let client = plain();
        let call = client.get(upstream.url("/held")).send();
        let day = async {
            with_real_io(upstream.until(|seen| seen.requests == 1)).await;
            tokio::time::sleep(24 * 60 * LONG).await;
        };
        select! { ended = call => panic!("it ended: {ended:?}"), () = day => {} }
    });
}

#[test]
fn a_timeout_around_the_send_alone_does_not_cover_the_body_and_that_of_reqwest_does() {
    paused(async {
        let upstream = with_real_io(upstream([("/stalls", Answer::new(200, large()).stalled())])).await;
        let client = plain();
        let answer =
            with_real_io(timeout(ms(100), client.get(upstream.url("/stalls")).send())).await.unwrap();
        let body = timeout(24 * 60 * LONG, answer.unwrap().bytes()).await;
        assert!(body.is_err(), "nothing ended it in a day");

        let start = Instant::now();
        let answer = with_real_io(client.get(upstream.url("/stalls")).timeout(ms(100)).send()).await.unwrap();
        assert!(answer.bytes().await.unwrap_err().is_timeout());
        assert_eq!(start.elapsed(), ms(100));
    });
}

#[test]
fn a_server_that_does_not_look_carries_out_what_has_timed_out() {
    run(async {
        let held = Answer::new(200, "A").held();
        let routes = [("/looks", held.clone()), ("/works_on", held.heedless())];
        let upstream = upstream(routes).await;
        let client = client(&upstream.url(""), limits());
        for (requests, path) in [(1, "/looks"), (2, "/works_on")] {
            let call = client.send(client.post(path).body("an order"));
            select! {
                ended = call => panic!("{ended:?}"),
                () = upstream.until(|seen| seen.requests == requests) => {}
            }
        }
        upstream.abandoned(1).await;
        upstream.release();
        upstream.until(|seen| seen.carried_out == 1 && seen.open == 0).await;
        assert_eq!(upstream.seen().abandoned, 1);
    });
}

#[test]
fn a_status_that_is_no_success_is_an_error_with_a_piece_of_its_body() {
    run(async {
        let upstream = upstream([
            ("/busy", Answer::new(503, "x".repeat(5000)).header("retry-after", 7)),
            ("/when", Answer::new(429, "line\nline").header("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")),
            ("/missing", Answer::new(404, "")),
        ])
        .await;
        let client = client(&upstream.url(""), limits());
        let busy = body(&client, "/busy").await.unwrap_err();
        let HttpError::Status { status, excerpt, retry_after } = &busy else { panic!("{busy:?}") };
        assert_eq!((status.as_u16(), excerpt.len(), *retry_after), (503, 1024, Some(Duration::from_secs(7))));
        assert!(busy.is_retryable() && !busy.had_no_effect());
        let when = body(&client, "/when").await.unwrap_err();
        assert_eq!((when.retry_after(), when.had_no_effect()), (None, true));
        assert_eq!(when.to_string(), r#"the answer is 429 Too Many Requests: "line\nline""#);
        let missing = body(&client, "/missing").await.unwrap_err();
        assert!(!missing.is_retryable());
        assert_eq!(upstream.connections(), 1, "the bodies were read");
    });
}

#[test]
fn the_body_of_an_error_is_read_as_long_as_it_is_small_and_hides_no_status() {
    run(async {
        let upstream = upstream([
            ("/small", Answer::new(500, "x".repeat(64 << 10))),
            ("/large", Answer::new(500, large())),
            ("/endless", Answer::new(500, "x".repeat(4096)).endless()),
            ("/half", Answer::new(500, "0123456789").truncated()),
        ])
        .await;
        let client = client(&upstream.url(""), limits());
        for path in ["/small", "/small", "/large", "/endless", "/half"] {
            let error = body(&client, path).await.unwrap_err();
            assert_eq!(error.status(), Some(StatusCode::INTERNAL_SERVER_ERROR), "{path}: {error:?}");
        }
        upstream.until(|seen| seen.open == 0).await;
        assert_eq!(upstream.connections(), 3, "one is closed for `large`, `endless` and `half` each");
    });
    paused(async {
        let stalls = Answer::new(500, "0123456789").stalled();
        let upstream = with_real_io(upstream([("/stalls", stalls)])).await;
        let client = client(&upstream.url(""), Limits { silence: ms(300), ..limits() });
        let call = body(&client, "/stalls");
        let silence = async {
            with_real_io(async {
                upstream.until(|seen| seen.carried_out == 1).await;
                // The head and half of the body are on their way, through a socket of this machine.
                for _ in 0..1000 {
                    yield_now().await;
                }
            })
            .await;
            pending::<()>().await;
        };
        let error = select! { ended = call => ended.unwrap_err(), () = silence => unreachable!() };
        assert_eq!(error.to_string(), r#"the answer is 500 Internal Server Error: "01234""#);
    });
}

#[test]
fn a_body_that_is_too_large_is_not_taken_whether_or_not_its_size_is_told() {
    run(async {
        let upstream = upstream([
            ("/fits", Answer::new(200, "x".repeat(1000))),
            ("/told", Answer::new(200, "x".repeat(1001)).stalled()),
            ("/endless", Answer::new(200, "x".repeat(300)).endless()),
        ])
        .await;
        let client = client(&upstream.url(""), Limits { body_bytes: 1000, ..limits() });
        assert_eq!(body(&client, "/fits").await.unwrap().len(), 1000);
        // Half of it never comes: it is refused before it is read.
        for path in ["/told", "/endless"] {
            let error = body(&client, path).await.unwrap_err();
            assert!(matches!(error, HttpError::TooLarge { limit: 1000 }), "{path}: {error:?}");
            assert!(!error.is_retryable() && !error.had_no_effect());
            let error = client.send(client.get(path)).await.unwrap().drain().await.unwrap_err();
            assert!(matches!(error, HttpError::TooLarge { limit: 1000 }), "{path}: {error:?}");
        }
        upstream.until(|seen| seen.open == 0).await;
    });
}

#[test]
fn what_is_no_json_of_the_type_is_told_as_such() {
    run(async {
        let upstream =
            upstream([("/a", Answer::new(200, r#"{"name":7}"#)), ("/b", Answer::new(200, "[1,2]"))]).await;
        let client = client(&upstream.url(""), limits());
        let error = client.send(client.get("/a")).await.unwrap().json::<Vec<u32>>().await.unwrap_err();
        assert!(matches!(error, HttpError::Decode(_)) && !error.is_retryable(), "{error:?}");
        assert_eq!(client.send(client.get("/b")).await.unwrap().json::<Vec<u32>>().await.unwrap(), [1, 2]);
        assert_eq!(upstream.connections(), 1);
    });
}

#[test]
fn a_connection_that_breaks_leaves_open_what_the_server_has_done() {
    run(async {
        let upstream = upstream([
            ("/reset", Answer::new(200, "A").reset()),
            ("/half", Answer::new(200, "0123456789").truncated()),
        ])
        .await;
        let client = client(&upstream.url(""), limits());
        for path in ["/reset", "/half"] {
            let error = body(&client, path).await.unwrap_err();
            assert!(matches!(error, HttpError::Broken(_)), "{path}: {error:?}");
            assert!(error.is_retryable() && !error.had_no_effect());
        }
        assert_eq!(upstream.requests(), 2, "nothing was sent again");
    });
}

#[test]
fn redirects_are_followed_on_the_same_origin_and_no_more_than_told() {
    run(async {
        let elsewhere = upstream([("/a", Answer::new(200, "a secret of the cloud"))]).await;
        let to = |place: &str| Answer::new(302, "").header("location", place);
        let upstream = upstream([
            ("/3", to("/2")),
            ("/2", to("/1")),
            ("/1", to("/a")),
            ("/a", Answer::new(200, "A")),
            ("/elsewhere", to(&elsewhere.url("/a"))),
        ])
        .await;
        let client = client(&upstream.url(""), limits());
        assert_eq!(body(&client, "/2").await.unwrap(), "A");
        for path in ["/3", "/elsewhere"] {
            assert_eq!(body(&client, path).await.unwrap_err().status(), Some(StatusCode::FOUND), "{path}");
        }
        assert_eq!((elsewhere.connections(), upstream.asked("/a")), (0, 1));
        // reqwest alone takes a redirect that was not followed for an answer, and `error_for_status` for no error.
        let follows_none =
            ClientBuilder::new().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = follows_none.get(upstream.url("/1")).send().await.unwrap().error_for_status();
        assert_eq!(answer.unwrap().status(), StatusCode::FOUND);
    });
}

#[test]
fn what_a_post_has_done_is_not_denied_by_the_error_of_a_later_request() {
    run(async {
        for status in [301, 302, 303, 307, 308] {
            let upstream = upstream([
                ("/orders", Answer::new(status, "").header("location", "/orders/7")),
                ("/orders/7", Answer::new(429, "slow down")),
            ])
            .await;
            let client = client(&upstream.url(""), limits());
            let error = client.send(client.post("/orders")).await.unwrap_err();
            assert!(!error.had_no_effect(), "{error}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
            assert_eq!(upstream.asked("/orders/7"), 0, "nothing that was not asked for is sent");
        }
        // The next connection would be refused.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            drop(listener);
            let mut head = [0; 4096];
            assert!(socket.read(&mut head).await.unwrap() > 0);
            let answer =
                b"HTTP/1.1 303 See Other\r\nlocation: /7\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            socket.write_all(answer).await.unwrap();
        };
        let client = client(&base, limits());
        let (error, ()) = tokio::join!(client.send(client.post("/orders")), server);
        let error = error.unwrap_err();
        assert!(!error.had_no_effect(), "{error}");
    });
}

#[test]
fn the_longest_of_all_durations_is_no_limit() {
    run(async {
        let upstream = upstream([("/a", Answer::new(200, "A"))]).await;
        let none = Limits {
            connect: Duration::MAX,
            silence: Duration::MAX,
            total: Duration::MAX,
            idle: Duration::MAX,
            wait: Duration::MAX,
            in_flight: NonZeroUsize::MAX,
            body_bytes: usize::MAX,
            redirects: usize::MAX,
        };
        let client = client(&upstream.url(""), none);
        for _ in 0..2 {
            let answer = client.send(client.get("/a").timeout(Duration::MAX)).await.unwrap();
            assert_eq!(answer.bytes().await.unwrap(), b"A");
        }
        assert_eq!(upstream.connections(), 1);
    });
}

#[test]
fn no_secret_of_the_url_or_of_a_header_is_in_debug_of_an_answer() {
    run(async {
        let page = Answer::new(200, "A").header("set-cookie", "hunter2");
        let upstream = upstream([("/a?key=hunter2", page)]).await;
        let client = client(&upstream.url("").replace("//", "//user:hunter2@"), limits());
        let answer = client.send(client.get("/a?key=hunter2")).await.unwrap();
        assert!(answer.headers().contains_key("set-cookie"));
        let told = format!("{answer:?}");
        assert!(told.contains("200") && !told.contains("hunter2"), "{told}");
    });
}

#[test]
fn no_secret_of_the_url_is_in_an_error_or_in_debug() {
    run(async {
        let upstream = upstream([("/a", Answer::new(200, "A").reset())]).await;
        let base = upstream.url("").replace("//", "//user:hunter2@");
        let client = client(&base, limits());
        let mut told = vec![format!("{client:?}")];
        let broken = body(&client, "/a?key=hunter2").await.unwrap_err();
        let unsendable = client.get("/a?key=hunter2").header("x", "line\n");
        let request = client.send(unsendable).await.unwrap_err();
        assert!(
            matches!(request, HttpError::Request(_)) && request.had_no_effect() && !request.is_retryable()
        );
        let no_http = HttpClient::new("ftp://user:hunter2@prices.test", limits()).unwrap();
        let scheme = body(&no_http, "/a?key=hunter2").await.unwrap_err();
        assert!(matches!(scheme, HttpError::Request(_)), "{scheme:?}");
        drop(upstream);
        let gone = loop {
            match body(&client, "/a?key=hunter2").await {
                Err(error @ HttpError::Connect(_)) => break error,
                _ => yield_now().await,
            }
        };
        for error in [&broken, &request, &scheme, &gone] {
            told.push(format!("{error:?}"));
            let mut source = Some(error as &dyn std::error::Error);
            while let Some(error) = source {
                told.push(error.to_string());
                source = error.source();
            }
        }
        assert!(gone.source().is_some());
        for told in told {
            assert!(!told.contains("hunter2"), "{told}");
        }
    });
}

#[test]
fn a_path_stays_with_the_host_of_the_base() {
    let client = client("http://prices.test/v1/", limits());
    for (path, url) in [
        ("/items/7?page=2", "http://prices.test/v1/items/7?page=2"),
        ("items/7", "http://prices.test/v1/items/7"),
        ("", "http://prices.test/v1/"),
        ("//evil.test/a", "http://prices.test/v1/evil.test/a"),
        ("http://evil.test/a", "http://prices.test/v1/http://evil.test/a"),
        ("@evil.test", "http://prices.test/v1/@evil.test"),
        ("\\\\evil.test", "http://prices.test/v1///evil.test"),
    ] {
        let request = client.request(Method::GET, path).build().unwrap();
        assert_eq!(request.url().as_str(), url);
    }
    assert_eq!(client.post("a").build().unwrap().method(), Method::POST);
    assert!(matches!(HttpClient::new("prices.test", limits()), Err(HttpError::Request(_))));
    for base in ["http://prices.test/?key=", "http://prices.test/#a"] {
        assert!(matches!(HttpClient::new(base, limits()), Err(HttpError::Base)));
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    run(async {
        let upstream = upstream([("/a", Answer::new(200, "A"))]).await;
        let client = client(&upstream.url(""), Limits { idle: ms(1), ..limits() });
        body(&client, "/a").await.unwrap();
        upstream.until(|seen| seen.open == 0).await;
        body(&client, "/a").await.unwrap();
        assert_eq!(upstream.connections(), 2);
    });
}

#[test]
fn a_client_works_on_in_the_next_runtime_when_the_one_it_was_used_in_is_gone() {
    let served = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let upstream = served.block_on(upstream([("/a", Answer::new(200, "A"))]));
    let client = client(&upstream.url(""), few(1));
    for _ in 0..3 {
        assert_eq!(run(body(&client, "/a")).unwrap(), "A");
    }
    assert_eq!(upstream.connections(), 3, "its connections were tasks of the runtime");
}

#[test]
fn dropped_at_any_await_it_leaves_a_client_with_all_its_places_and_no_request_behind() {
    let awaits = every_await::with_io(
        async || {
            let upstream =
                upstream([("/a", Answer::new(200, large())), ("/no", Answer::new(500, large()))]).await;
            let client = client(&upstream.url(""), Limits { wait: Duration::from_secs(5), ..few(1) });
            (upstream, client)
        },
        |(_, client)| {
            let client = client.clone();
            async move {
                client.send(client.get("/no")).await.unwrap_err();
                client.send(client.get("/a")).await.unwrap().bytes().await.unwrap();
                client.send(client.get("/a")).await.unwrap().drain().await.unwrap();
                client.send(client.get("/a")).await.unwrap().json::<u32>().await.unwrap_err();
            }
        },
        async |(upstream, client)| {
            let all =
                client.send(client.get("/a")).await.map_err(|error| format!("the place is gone: {error}"))?;
            all.drain().await.map_err(|error| error.to_string())?;
            drop(client);
            let gone = upstream.until(|seen| seen.open == 0 && seen.in_flight == 0);
            timeout(Duration::from_secs(5), gone)
                .await
                .map_err(|_| format!("left behind: {:?}", upstream.seen()))
        },
    );
    assert!(awaits.unwrap() >= 4);
}

#[test]
fn a_waiter_that_is_dropped_takes_no_place() {
    run(async {
        let upstream = upstream([("/held", Answer::new(200, "A").held())]).await;
        let client = client(&upstream.url(""), few(1));
        let first = body(&client, "/held");
        let waiters = async {
            upstream.until(|seen| seen.requests == 1).await;
            for _ in 0..3 {
                let waits = client.send(client.get("/held"));
                assert!(futures_util::FutureExt::now_or_never(waits).is_none());
            }
            upstream.release();
        };
        let (first, ()) = tokio::join!(first, waiters);
        assert_eq!(first.unwrap(), "A");
        assert_eq!(body(&client, "/held").await.unwrap(), "A");
        assert_eq!(upstream.requests(), 2);
    });
}

#[test]
fn its_futures_can_be_spawned_and_its_answers_sent() {
    fn sendable<T: Send + 'static>(_: T) {}
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let client = client("http://prices.test", limits());
    shared(&client);
    sendable(async move {
        let answer: Response = client.send(client.get("/a")).await?;
        let _: u32 = answer.json().await?;
        client.send(client.get("/a")).await?.drain().await
    });
}
