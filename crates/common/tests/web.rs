//! What the website in memory promises.

use common::{
    Recorder,
    backend::CallEnd,
    clock::paused,
    web::{Answer, Client, Method, NetworkError, Site},
};
use std::time::Duration;
use tokio::time::timeout;

const MS: Duration = Duration::from_millis(1);

#[test]
fn answers_come_in_the_order_of_the_script_and_the_last_one_stays() {
    paused(async {
        let site =
            Site::new(&Recorder::new("")).on(1, [Answer::status(503), Answer::page("a"), Answer::page("b")]);
        let client = Client::new(&site);
        let mut bodies = Vec::new();
        for _ in 0..4 {
            bodies.push(client.get(1).await.unwrap().body);
        }
        assert_eq!(bodies, ["", "a", "b", "b"]);
        assert_eq!(client.clone().get(2).await.unwrap().body, "item 2");
        assert_eq!(site.clients(), 1);
    });
}

#[test]
fn a_response_of_any_status_has_a_body() {
    paused(async {
        let busy = Answer::status(503).body("come back later");
        let site = Site::new(&Recorder::new("")).on(1, [busy]);
        let response = Client::new(&site).get(1).await.unwrap();
        assert_eq!((response.status, response.body.as_str()), (503, "come back later"));
    });
}

#[test]
fn an_order_is_carried_out_whatever_the_client_hears_of_it_and_once_a_key() {
    paused(async {
        let site = Site::new(&Recorder::new(""))
            .on(1, [Answer::broken(NetworkError::Reset), Answer::page("done")])
            .on(2, [Answer::broken(NetworkError::Refused), Answer::status(503), Answer::page("done")])
            .on(3, [Answer::hang()]);
        let client = Client::new(&site);
        assert_eq!(client.post(1, Some("k")).await, Err(NetworkError::Reset));
        assert!(client.post(1, Some("k")).await.unwrap().is_success());
        assert_eq!(site.orders(1), 1);
        assert!(client.post(1, None).await.unwrap().is_success());
        assert_eq!(site.orders(1), 2);
        assert!(client.post(2, None).await.is_err());
        assert_eq!(client.post(2, None).await.unwrap().status, 503);
        assert_eq!(site.orders(2), 0);
        assert!(timeout(20 * MS, client.post(3, None)).await.is_err());
        assert_eq!(site.orders(3), 1);
        let last = site.requests().pop().unwrap();
        assert_eq!((last.method, last.call.ended), (Method::Post, Some((70 * MS, CallEnd::Dropped))));
        assert_eq!(site.in_flight(), 0);
    });
}

#[test]
fn a_lane_that_ends_well_tells_of_a_success() {
    let trace = paused(async {
        let recorder = Recorder::new("");
        let site = Site::new(&recorder).on(1, [Answer::status(500)]);
        let client = Client::new(&site);
        assert_eq!(client.get(1).await.unwrap().status, 500);
        assert_eq!(client.get(2).await.unwrap().status, 200);
        recorder.trace()
    });
    let words = common::draw::words(&trace);
    assert!(words.contains("failed: status 500") && words.contains("GET 2"), "{words}");
}
