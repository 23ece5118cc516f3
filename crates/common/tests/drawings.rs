//! What the drawings promise, each promise a test.

use common::{
    Trace,
    draw::{Svg, Terminal, svg, terminal, terminals, words},
    trace::{By, Event, Lane, What},
};
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn lane(name: &str, born: u64, events: impl IntoIterator<Item = (u64, What)>) -> Lane {
    let events = events.into_iter().map(|(at, what)| Event { at: ms(at), what }).collect();
    Lane { name: name.into(), born: ms(born), events }
}

/// Every kind of event, awkward names included.
fn everything() -> Trace {
    let polled = |until| What::Polled { until: ms(until) };
    Trace {
        title: "all < \"kinds\" & more".into(),
        lanes: vec![
            lane(
                "finished",
                0,
                [(0, polled(0)), (20, What::Woken(By::Clock)), (20, polled(20)), (20, What::Finished)],
            ),
            lane(
                "failed",
                0,
                [(0, polled(0)), (10, polled(10)), (10, What::Failed("no <route> & \"host\"".into()))],
            ),
            lane("panicked", 0, [(0, polled(0)), (15, polled(15)), (15, What::Panicked("boom".into()))]),
            lane("dropped", 5, [(5, polled(5)), (5, What::Waits("a permit".into())), (25, What::Dropped)]),
            lane("blocking", 0, [(0, polled(30)), (30, What::Note("half-way".into())), (30, What::Finished)]),
            lane("woken by a lane", 0, [(0, polled(0)), (25, What::Woken(By::Lane(3))), (25, polled(25))]),
            lane(
                "a name that is far longer than any column has room for, 名前",
                0,
                [(40, What::Woken(By::Other))],
            ),
        ],
    }
}

#[test]
fn json_keeps_everything() {
    let trace = everything();
    let text = trace.to_json().to_string();
    let read = Trace::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(read, trace);
}

#[test]
fn json_that_is_no_trace_is_refused_by_the_name_of_the_part() {
    for (text, part) in [
        ("{}", "title"),
        (r#"{"title":"t"}"#, "lanes"),
        (r#"{"title":"t","lanes":[{"name":"n"}]}"#, "born"),
        (r#"{"title":"t","lanes":[{"name":"n","born":0,"events":[{"at":1}]}]}"#, "event"),
        (r#"{"title":"t","lanes":[{"name":"n","born":0,"events":[{"at":1,"woken":-3}]}]}"#, "woken"),
    ] {
        let error = Trace::from_json(&serde_json::from_str(text).unwrap()).unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
}

#[test]
fn the_terminal_picture() {
    let trace = Trace { lanes: everything().lanes.into_iter().take(6).collect(), ..everything() };
    let expected = "\
all < \"kinds\" & more
                 0 ms            10 ms           20 ms           30 ms
 finished        ●───────────────────────────────✓                 finished 20 ms
 failed          ●───────────────✗                                 failed 10 ms
 panicked        ●───────────────────────!                         panicked 15 ms
 dropped                 ●───────────────────────────────╳         dropped 25 ms
 blocking        ████████████████████████████████████████████████✓ finished 30 ms
 woken by a lane ●───────────────────────────────────────●──────── still there
                 ● polled   ─ waiting   █ blocking the thread   ✓ finished
                 ╳ dropped   ✗ failed   ! panicked
                 woken by a lane woken by dropped at 25 ms
";
    let drawn = terminal(&trace, Terminal { width: 84, ..Terminal::default() });
    assert_eq!(drawn, expected);
}

#[test]
fn no_line_is_wider_than_asked_for() {
    for width in [40, 41, 60, 71, 72, 80, 133, 400] {
        for unicode in [true, false] {
            let drawn = terminal(&everything(), Terminal { width, unicode, colour: false });
            for line in drawn.lines() {
                assert!(line.chars().count() <= width, "{width}: {line:?}");
                assert!(unicode || line.is_ascii(), "{line:?}");
            }
        }
    }
}

#[test]
fn a_width_that_is_too_small_is_taken_as_forty() {
    let at = |width| terminal(&everything(), Terminal { width, ..Terminal::default() });
    assert_eq!(at(0), at(40));
}

#[test]
fn colour_adds_escapes_and_changes_nothing_else() {
    let plain = terminal(&everything(), Terminal::default());
    let coloured = terminal(&everything(), Terminal { colour: true, ..Terminal::default() });
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    assert_ne!(coloured, plain);
    assert_eq!(stripped, plain);
}

#[test]
fn pictures_on_one_scale_have_their_columns_in_the_same_place() {
    let short = Trace { title: "short".into(), lanes: vec![lane("a", 0, [(10, What::Finished)])] };
    let long = Trace {
        title: "long".into(),
        lanes: vec![lane("longer name", 0, [(10, What::Finished), (90, What::Note("".into()))])],
    };
    let drawn = terminals(&[short, long], Terminal::default());
    let ends: Vec<usize> = drawn
        .lines()
        .filter(|line| line.ends_with("finished 10 ms"))
        .filter_map(|line| line.chars().position(|c| c == '✓'))
        .collect();
    assert_eq!(ends.len(), 2, "{drawn}");
    assert_eq!(ends[0], ends[1], "{drawn}");
}

#[test]
fn an_empty_trace_is_drawn_too() {
    let empty = Trace { title: "nothing".into(), lanes: vec![] };
    assert!(terminal(&empty, Terminal::default()).contains("nothing"));
    assert!(svg(&empty, Svg { id: "e", until: None }).contains("nothing"));
    assert_eq!(words(&empty), "nothing\n");
}

#[test]
fn the_svg_is_well_formed_and_says_in_text_what_it_shows() {
    let drawn = svg(&everything(), Svg { id: "p", until: Some(ms(100)) });
    let mut open = Vec::new();
    for tag in drawn.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a tag is closed");
        assert!(
            !text.contains('&') || text.contains("&amp;") || text.contains("&quot;") || text.contains("&lt;")
        );
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!drawn.contains("\n"), "a blank line would end the HTML block of a Markdown page");
    for needle in [
        "role=\"img\"",
        "aria-labelledby=\"p-title p-words\"",
        "all &lt; &quot;kinds&quot; &amp; more",
        "failed at 10 ms: no &lt;route&gt; &amp; &quot;host&quot;",
        "was dropped at 25 ms",
        "panicked at 15 ms: boom",
        "dropped wakes woken by a lane at 25 ms",
        "blocks the thread from 0 ms to 30 ms",
        "still there",
    ] {
        assert!(drawn.contains(needle), "{needle} is missing:\n{drawn}");
    }
}

#[test]
fn the_words_have_a_line_for_every_event() {
    let told = words(&everything());
    let events: usize = everything().lanes.iter().map(|lane| lane.events.len() + 2).sum();
    let without_ending = 2;
    // A title; a name, a birth and its events for each lane; and "still there" for those without an ending.
    assert_eq!(told.lines().count(), 1 + events + without_ending, "{told}");
    for needle in
        ["waits for a permit", "woken by the clock", "woken by dropped", "half-way", "panicked: boom"]
    {
        assert!(told.contains(needle), "{needle}");
    }
}
