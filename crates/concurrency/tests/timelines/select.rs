//! Four orders, a tick every 30 ms and a stop after 50: with the work behind the arm, inside of it, and with the orders
//! before everything else.

use common::{Backend, Recorder, Trace, clock::paused, recorder::note};
use concurrency::{Event, Events};
use std::{pin::pin, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Sleep, interval, sleep},
};

const PERIOD: Duration = Duration::from_millis(30);

pub(crate) fn record() -> Vec<Trace> {
    vec![paused(right()), paused(wrong()), paused(starved())]
}

fn shop(recorder: &Recorder) -> (Backend, mpsc::Sender<u32>, mpsc::Receiver<u32>) {
    let (send, orders) = mpsc::channel(8);
    for id in 1..=4 {
        send.try_send(id).expect("there is room");
    }
    (Backend::new(recorder).latency(Duration::from_millis(20)), send, orders)
}

/// Made now, and not at the first poll, as the body of an `async fn` would.
fn stop() -> Sleep {
    sleep(Duration::from_millis(50))
}

async fn right() -> Trace {
    let recorder = Recorder::new("right: Events, and the work behind the event");
    let (backend, send, orders) = shop(&recorder);
    let serve = async {
        // ANCHOR: right
        let mut events = Events::new(orders, stop()).every(PERIOD);
        let mut done = 0;
        while let Some(event) = events.next().await {
            match event {
                // Closed by now: what was accepted is still to come, and then it ends.
                Event::Stop => note("stop"),
                Event::Tick => note(format!("tick: {done} done")),
                Event::Item(id) => {
                    // No arm, and nothing that could win against it.
                    backend.fetch(id).await.ok();
                    done += 1;
                }
            }
        }
        // ANCHOR_END: right
        done
    };
    assert_eq!(recorder.lane("loop", serve).await, 4);
    assert!(send.is_closed());
    recorder.trace()
}

async fn wrong() -> Trace {
    let recorder = Recorder::new("wrong: an arm that receives and asks");
    let (backend, send, mut orders) = shop(&recorder);
    let serve = async {
        // ANCHOR: wrong
        let mut ticks = interval(PERIOD);
        let mut stop = pin!(stop());
        let mut done = 0;
        loop {
            let receive_and_look_up = async {
                let id = orders.recv().await?;
                backend.fetch(id).await.ok() // dropped here, it takes the order with it
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = ticks.tick() => note(format!("tick: {done} done")),
                reply = receive_and_look_up => match reply {
                    Some(_) => done += 1,
                    None => break,
                },
            }
        }
        // ANCHOR_END: wrong
        done
    };
    assert_eq!(recorder.lane("loop", serve).await, 1);
    // One was lost to the tick of 30 ms, one to the stop, and one is left in a queue that nobody reads any more.
    assert_eq!((backend.calls().len(), orders.len()), (3, 1));
    drop(send);
    recorder.trace()
}

async fn starved() -> Trace {
    let recorder = Recorder::new("wrong: biased, and the orders first");
    let (backend, send, mut orders) = shop(&recorder);
    let serve = async {
        // ANCHOR: starved
        let mut stop = pin!(stop());
        loop {
            tokio::select! {
                biased;
                // As long as an order waits, the stop is not even looked at.
                Some(id) = orders.recv() => drop(backend.fetch(id).await),
                () = &mut stop => break,
            }
        }
        // ANCHOR_END: starved
    };
    recorder.lane("loop", serve).await;
    assert_eq!(recorder.now(), Duration::from_millis(80));
    drop(send);
    recorder.trace()
}
