//! Five pages, two at a time, for a reader that renders each for 30 ms: with tasks, with futures, and with futures that
//! hold what the reader needs.

use common::{Backend, Recorder, Trace, backend::Outcome, clock::paused, recorder::waits_for};
use concurrency::bounded;
use futures_util::{StreamExt as _, stream};
use std::{num::NonZeroUsize, pin::pin, time::Duration};
use tokio::time::{sleep, timeout};

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong()), paused(deadlock())]
}

fn five_pages(recorder: &Recorder) -> Backend {
    let ms = Duration::from_millis;
    Backend::new(recorder).latency(ms(25)).on(1, ms(20), Outcome::Reply)
}

async fn render() {
    waits_for("rendering", sleep(Duration::from_millis(30))).await;
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: bounded::in_input_order, limit 2");
    let backend = five_pages(&recorder);
    let read = recorder.lane("reader", async {
        // ANCHOR: right
        let limit = NonZeroUsize::new(2).expect("two is not zero");
        let mut pages = pin!(bounded::in_input_order(stream::iter(1..=5), limit, |id| backend.fetch(id)));
        let mut rendered = 0;
        while let Some(page) = pages.next().await {
            assert!(page.is_ok());
            render().await;
            rendered += 1;
        }
        // ANCHOR_END: right
        rendered
    });
    assert_eq!(read.await, 5);
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: buffered(2), whose calls stand still while the reader renders");
    let backend = five_pages(&recorder);
    let read = recorder.lane("reader", async {
        // ANCHOR: wrong
        let mut pages = stream::iter(1..=5).map(|id| backend.fetch(id)).buffered(2);
        let mut rendered = 0;
        while let Some(page) = pages.next().await {
            assert!(page.is_ok());
            // Nobody polls `pages` now, and so nobody polls the two calls inside.
            render().await;
            rendered += 1;
        }
        // ANCHOR_END: wrong
        rendered
    });
    assert_eq!(read.await, 5);
    recorder.trace()
}

async fn deadlock() -> Trace {
    let recorder = Recorder::new("wrong: buffered(2), one connection for the pages and for the reader");
    let backend = five_pages(&recorder).places(1);
    // ANCHOR: deadlock
    let read = async {
        let mut pages = stream::iter(1..=5).map(|id| backend.fetch(id)).buffered(2);
        while let Some(page) = pages.next().await {
            assert!(page.is_ok());
            // `fetch 2` was given the connection, and is not polled: it can neither use it nor give it back.
            let author = backend.fetch(91).await;
            assert!(author.is_ok());
        }
    };
    // ANCHOR_END: deadlock
    assert!(timeout(Duration::from_millis(150), recorder.lane("reader", read)).await.is_err());
    recorder.trace()
}
