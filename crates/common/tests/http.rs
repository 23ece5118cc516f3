//! What HTTP in memory promises: that it is like reqwest over HTTP/1, as far as connections go.

use common::{
    Recorder, clock,
    http::{CONNECT, Client, Host, Page},
    web::NetworkError,
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn host() -> Host {
    Host::new(&Recorder::new("http"))
        .on("/small", [Page::new(200, "small")])
        .on("/large", [Page::new(200, "x".repeat(100)).in_pieces(5, ms(2))])
        .on("/untold", [Page::new(200, "x".repeat(100)).in_pieces(5, ms(2)).of_untold_length()])
        .on("/hangs", [Page::new(200, "").hangs()])
        .on("/stalls", [Page::new(200, "0123").in_pieces(4, ms(2)).stalls()])
        .on("/resets", [Page::new(200, "").resets()])
        .on("/breaks", [Page::new(200, "0123").in_pieces(4, ms(2)).breaks()])
        .on("/twice", [Page::new(503, "busy"), Page::new(200, "done")])
}

#[test]
fn a_connection_is_kept_when_the_body_was_read_and_costs_its_time_once() {
    clock::paused(async {
        let (host, start) = (host(), Instant::now());
        let client = Client::new(&host);
        for _ in 0..3 {
            assert_eq!(client.clone().get("/large").await.unwrap().text().await.unwrap().len(), 100);
            assert_eq!(client.post("/untold").await.unwrap().text().await.unwrap().len(), 100);
            drop(client.get("/small").await.unwrap());
            assert_eq!(client.get("/nothing").await.unwrap().status(), 404);
        }
        assert_eq!(start.elapsed(), CONNECT + 3 * (4 * ms(10) + 2 * 5 * ms(2)));
        assert_eq!((host.connections(), host.open(), host.peak(), host.taken()), (1, 1, 1, 600));
        drop(client);
        assert_eq!((host.open(), host.in_flight()), (0, 0));
    });
}

#[test]
fn a_body_that_is_not_read_to_its_end_costs_the_connection() {
    clock::paused(async {
        let host = host();
        let client = Client::new(&host);
        for path in ["/large", "/untold", "/large"] {
            let mut response = client.get(path).await.unwrap();
            response.chunk().await.unwrap();
            assert_eq!((host.open(), host.in_flight()), (1, 1));
            drop(response);
            assert_eq!((host.open(), host.in_flight()), (0, 0));
        }
        assert_eq!((host.connections(), host.taken()), (3, 60));
    });
}

#[test]
fn what_is_dropped_is_given_up_wherever_it_was() {
    clock::paused(async {
        for after in [5, 25, 33] {
            let host = host();
            let client = Client::new(&host);
            let call = async { client.get("/large").await.unwrap().text().await };
            assert!(timeout(ms(after), call).await.is_err());
            assert_eq!((host.open(), host.in_flight()), (0, 0));
            assert_eq!(host.requests().len(), usize::from(after > 20));
            drop(client.get("/small").await.unwrap());
            drop(client);
            assert_eq!(host.open(), 0);
        }
    });
}

#[test]
fn what_goes_wrong_goes_wrong() {
    clock::paused(async {
        let host = host();
        let client = Client::new(&host);
        for (path, end) in [("/hangs", None), ("/stalls", None), ("/resets", Some(())), ("/breaks", Some(()))]
        {
            let call = async { client.get(path).await?.text().await };
            let ended = timeout(ms(10_000), call).await;
            assert_eq!(ended.ok(), end.map(|()| Err(NetworkError::Reset)), "{path}");
            assert_eq!((host.open(), host.in_flight()), (0, 0), "{path}");
        }
        assert_eq!(client.get("/twice").await.unwrap().status(), 503);
        for _ in 0..2 {
            assert_eq!(client.get("/twice").await.unwrap().text().await.unwrap(), "done");
        }
        let lines: Vec<String> = host.requests().into_iter().map(|request| request.line).collect();
        assert_eq!(lines[4..], ["GET /twice", "GET /twice", "GET /twice"]);
    });
}
