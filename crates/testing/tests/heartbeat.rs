//! The lag that a heartbeat measures.
#![expect(clippy::disallowed_methods, reason = "loops that are blocked are what is measured")]

use std::{
    thread,
    time::{Duration, Instant},
};
use testing::Heartbeat;
use tokio::{
    runtime::{Builder, Handle},
    task::yield_now,
    time::sleep,
};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn on_one_thread<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

#[test]
fn a_blocked_loop_shows_while_it_is_blocked_and_afterwards() {
    on_one_thread(async {
        let heartbeat = Heartbeat::start(&Handle::current(), ms(5));
        sleep(ms(30)).await;
        thread::sleep(ms(200));
        // No beat has come since.
        assert!(heartbeat.last() >= ms(190), "{:?}", heartbeat.last());
        assert!(heartbeat.worst() >= ms(190));
        while heartbeat.percentile(100.0).is_none_or(|latest| latest < ms(190)) {
            sleep(ms(1)).await;
        }
        assert!(
            heartbeat.worst() >= ms(190) && heartbeat.percentile(100.0).unwrap() <= heartbeat.worst() * 5 / 4
        );
    });
}

#[test]
fn a_loop_that_is_blocked_before_the_first_beat_shows() {
    on_one_thread(async {
        let heartbeat = Heartbeat::start(&Handle::current(), ms(5));
        thread::sleep(ms(100));
        while heartbeat.count() == 0 {
            sleep(ms(1)).await;
        }
        assert!(heartbeat.worst() >= ms(95), "{:?}", heartbeat.worst());
    });
}

#[test]
fn the_pause_between_two_beats_is_no_lag() {
    let begun = Instant::now();
    let (count, median) = on_one_thread(async {
        let heartbeat = Heartbeat::start(&Handle::current(), ms(40));
        while heartbeat.count() < 5 {
            sleep(ms(5)).await;
        }
        (heartbeat.count(), heartbeat.percentile(50.0).unwrap())
    });
    assert_eq!(count, 5);
    assert!(begun.elapsed() >= 5 * ms(40));
    // A machine that is busy may add some, but in each of five beats not as much as the pause.
    assert!(median < ms(30), "{median:?}");
}

#[test]
fn reset_forgets_what_was() {
    on_one_thread(async {
        let heartbeat = Heartbeat::start(&Handle::current(), ms(5));
        thread::sleep(ms(100));
        while heartbeat.count() == 0 {
            sleep(ms(1)).await;
        }
        heartbeat.reset();
        assert_eq!((heartbeat.count(), heartbeat.percentile(50.0)), (0, None));
        assert!(heartbeat.worst() < ms(95));
    });
}

#[test]
fn dropped_it_leaves_no_task_and_with_its_runtime_it_ends() {
    on_one_thread(async {
        drop(Heartbeat::start(&Handle::current(), ms(5)));
        let metrics = Handle::current().metrics();
        while metrics.num_alive_tasks() > 0 {
            yield_now().await;
        }
    });
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let heartbeat = Heartbeat::start(runtime.handle(), ms(5));
    drop(runtime);
    thread::sleep(ms(30));
    assert_eq!((heartbeat.last(), heartbeat.count()), (Duration::ZERO, 0));
}

#[test]
fn on_the_paused_clock_the_beats_come_early_and_have_no_lag() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let heartbeat = Heartbeat::start(&Handle::current(), Duration::from_secs(600));
        sleep(Duration::from_secs(6000)).await;
        assert!(heartbeat.count() > 0);
        assert_eq!((heartbeat.last(), heartbeat.worst()), (Duration::ZERO, Duration::ZERO));
    });
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn a_runtime_without_timers_is_refused_where_it_is_started() {
    let runtime = Builder::new_current_thread().build().unwrap();
    drop(Heartbeat::start(runtime.handle(), ms(5)));
}
