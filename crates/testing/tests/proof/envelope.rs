use crate::ms;
use common::{Recorder, clock};
use futures_util::{StreamExt as _, future::join_all, stream};
use std::time::Duration;
use testing::{latencies, proof::Envelope};
use tokio::time::{Instant, sleep};

fn elapsed(body: impl AsyncFnOnce()) -> Duration {
    clock::paused(async {
        let start = Instant::now();
        body().await;
        start.elapsed()
    })
}

#[test]
fn each_schedule_takes_in_truth_what_was_computed() {
    for seed in 0..1000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let n = random.usize(0..40);
        let drawn: Vec<Duration> = (0..n).map(|_| ms(random.u64(0..100))).collect();
        let limit = random.usize(1..10);
        let envelope = Envelope::of(&drawn, limit);
        let naps = || drawn.iter().copied().map(sleep);
        let told = [
            envelope.serial(),
            envelope.ideal(),
            envelope.in_order(),
            envelope.chunked(),
            envelope.unbounded(),
        ];
        let seen = [
            elapsed(async || {
                for latency in &drawn {
                    sleep(*latency).await;
                }
            }),
            elapsed(async || stream::iter(naps()).buffer_unordered(limit).collect().await),
            elapsed(async || stream::iter(naps()).buffered(limit).collect().await),
            elapsed(async || {
                for chunk in drawn.chunks(limit) {
                    join_all(chunk.iter().copied().map(sleep)).await;
                }
            }),
            elapsed(async || drop(join_all(naps()).await)),
        ];
        assert_eq!(told, seen, "seed {seed}, limit {limit}: {drawn:?}");
        envelope.assert(seen[1]);
    }
}

#[test]
fn a_time_names_the_schedule_that_it_fits() {
    let drawn = [50, 10, 40, 20, 30, 60].map(ms);
    let envelope = Envelope::of(&drawn, 3);
    let seen = |elapsed| envelope.check(elapsed).unwrap_err().seen;
    assert_eq!(envelope.check(ms(210)).unwrap_err().expected, "100 ms, which 3 at a time take");
    assert_eq!(seen(ms(210)), "210 ms, which one after another take");
    assert_eq!(seen(ms(60)), "60 ms, which all at once take");
    assert_eq!(seen(ms(110)), "110 ms, which chunks of 3 take, each waiting for its slowest");
    envelope.assert(ms(100));
    assert_eq!(seen(ms(59)), "59 ms, less than the longest alone takes (60 ms): not all was waited for");
    assert_eq!(
        seen(ms(211)),
        "211 ms, more than one after another take (210 ms): something else takes time too"
    );
    assert_eq!(
        seen(ms(111)),
        "111 ms, which no schedule known here takes (all at once 60 ms, in chunks 110 ms, one after another 210 ms)"
    );
}

#[test]
fn a_limit_that_is_off_by_one_is_named() {
    let drawn = latencies(1, 12);
    for (limit, other) in [(3, 2), (3, 4), (4, 3), (5, 6)] {
        let seen = Envelope::of(&drawn, limit).check(Envelope::of(&drawn, other).ideal()).unwrap_err().seen;
        assert!(seen.contains(&format!("{other} at a time take")), "{seen}");
    }
}

#[test]
fn chunks_and_a_slow_one_at_the_head_are_named() {
    let envelope = Envelope::of(&[90, 70, 10, 20, 30, 10].map(ms), 2);
    let seen = |elapsed| envelope.check(elapsed).unwrap_err().seen;
    assert_eq!(envelope.ideal(), ms(120));
    assert_eq!(seen(envelope.chunked()), "140 ms, which chunks of 2 take, each waiting for its slowest");
    assert_eq!(
        seen(envelope.in_order()),
        "130 ms, which 2 at a time take if a slow one holds up those behind it"
    );
}

#[test]
fn latencies_that_cannot_tell_are_told() {
    assert_eq!(
        Envelope::of(&[ms(10); 9], 3).twins(),
        ["4 at a time take"],
        "nine equal ones; in chunks they take the best time, which is then no other schedule"
    );
    let twins = Envelope::of(&[90, 10, 10, 10].map(ms), 2).twins();
    assert!(twins.contains(&String::from("all at once take")), "{twins:?}");
    assert_eq!(Envelope::of(&latencies(3, 12), 3).twins(), [] as [&str; 0]);
    assert_eq!(Envelope::of(&latencies(3, 12), 1).twins(), [] as [&str; 0]);
    // The longest alone takes as long as all at once: with room enough for the others beside it, the limit is not seen.
    let twins = Envelope::of(&latencies(3, 12), 12).twins();
    assert!(twins.contains(&String::from("11 at a time take")), "{twins:?}");
    assert_eq!(Envelope::of(&[ms(10); 3], usize::MAX).twins(), [] as [&str; 0]);
}

#[test]
fn without_a_recorder_the_ideal_is_drawn_and_with_one_what_was_seen() {
    let envelope = Envelope::of(&[20, 10, 30].map(ms), 2);
    let mismatch = envelope.check(ms(60)).unwrap_err();
    assert_eq!(mismatch.trace.lanes.len(), 3);
    assert_eq!((mismatch.trace.lanes[2].born, mismatch.trace.end()), (ms(10), ms(40)));
    assert!(mismatch.to_string().contains("item 3"));
    let recorder = Recorder::new("seen");
    assert_eq!(envelope.on(&recorder).check(ms(60)).unwrap_err().trace.title, "seen");
}

#[test]
fn no_work_takes_no_time() {
    Envelope::of(&[], 3).assert(ms(0));
    assert!(Envelope::of(&[], 3).check(ms(1)).is_err());
}

#[test]
#[should_panic(expected = "a limit of 0 lets nothing begin")]
fn a_limit_of_nothing_is_refused() {
    drop(Envelope::of(&[ms(10)], 0));
}
