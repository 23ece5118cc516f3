//! A test, tried on programs whose worth is known: for exercises in which the answer is a test.
//!
//! Each trial is a [`Case`]: it runs on the paused clock, and its timeline is what the program did while it was tested.

use crate::{Case, Checked, case::breaks};
use common::{Recorder, Verdict, verdict::Kind};
use std::time::{Duration, Instant};

/// The rule that a right program is let through.
pub const ACCEPTS: &str = "accepts";
/// The rule that a wrong program is rejected by an assertion, and not because the test itself breaks.
pub const ASSERTS: &str = "asserts";
/// The rule that a test takes no real time.
pub const INSTANT: &str = "instant";

/// Far more than any test takes that waits for nothing but the paused clock, on a busy machine too.
const REAL_TIME: Duration = Duration::from_secs(1);

/// Virtual time costs nothing: who waits for an hour, to be sure that nothing more comes, may do so several times.
const HORIZON: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the clock may move while a right program is tested: more often than in any test of which a person knows all
/// the steps, and soon over.
const MOVES: u64 = 20_000;

/// The same with a wrong program. It may well take more steps than a right one, and a test that would let it through in
/// the end has not rejected it.
const MOVES_OF_A_WRONG_ONE: u64 = 2 * MOVES;

/// Holds a test to letting a right program through, in no real time. `program` names it, with its article: "a sum".
///
/// # Errors
/// The verdict that [`ACCEPTS`] or [`INSTANT`] is broken; or that the test is still to do, or leaves tasks behind.
///
/// # Examples
/// ```
/// use testing::{trial, verdict};
///
/// let sum = |a: u32, b: u32| a + b;
/// let verdict = verdict(|| trial::accepts("a sum", async |_| assert_eq!(sum(2, 2), 4)));
/// assert!(verdict.is_pass());
/// ```
pub fn accepts(program: &str, test: impl AsyncFnMut(Recorder)) -> Checked {
    accepts_within(REAL_TIME, program, test)
}

fn accepts_within(limit: Duration, program: &str, mut test: impl AsyncFnMut(Recorder)) -> Checked {
    let expected = format!("the test passes: {program} is right");
    let mut tried = || {
        let began = Instant::now();
        let case = Case::run_within(program, HORIZON, MOVES, &mut test)
            .map_err(breaks(Kind::Panic, ACCEPTS, &expected))
            .map_err(breaks(Kind::Deadlock, ACCEPTS, &expected))
            .map_err(endless)
            .map_err(in_short)?;
        Checked::Ok((case, began.elapsed()))
    };
    let (mut case, mut took) = tried()?;
    if took > limit {
        // Once more: the machine may have been busy, or asleep.
        (case, took) = tried()?;
    }
    case.rule(
        INSTANT,
        took <= limit,
        "no real time: all that is waited for is the paused clock",
        format!(
            "{:.1} s of real time (and {:.1} s of virtual)",
            took.as_secs_f64(),
            case.elapsed.as_secs_f64()
        ),
    )
}

/// Whether it waits for something that never comes, or only does more than others do, nobody can tell.
fn endless(mut verdict: Box<Verdict>) -> Box<Verdict> {
    if verdict.kind == Kind::Hang
        && let Some(finding) = &mut verdict.finding
    {
        finding.expected = format!(
            "the test ends: it has {} h of virtual time, and {MOVES} timers",
            HORIZON.as_secs() / 3600
        );
    }
    verdict
}

/// Holds a test to rejecting a wrong program: by a failed assertion, or because it waits for ever, with timers or without.
/// `program` names it, with its article.
///
/// # Errors
/// The verdict that `rule` is broken, if the test passes; that [`ASSERTS`] is, if it ends in another way; or that the
/// test is still to do.
///
/// # Examples
/// ```
/// use testing::{trial, verdict};
///
/// let product = |a: u32, b: u32| a * b;
/// // Two and two are four both ways.
/// let verdict = verdict(|| trial::rejects("adds", "a product", async |_| assert_eq!(product(2, 2), 4)));
/// assert_eq!(verdict.rule(), Some("adds"));
/// assert_eq!(verdict.message(), "the test accepts a product; expected: the test fails: a product is wrong");
/// ```
pub fn rejects(rule: &str, program: &str, test: impl AsyncFnOnce(Recorder)) -> Checked {
    let expected = format!("the test fails: {program} is wrong");
    let verdict = match Case::run_within(program, HORIZON, MOVES_OF_A_WRONG_ONE, test) {
        Ok(case) => return case.rule(rule, false, expected, format!("the test accepts {program}")),
        Err(verdict) => verdict,
    };
    match verdict.kind {
        Kind::Todo => Err(verdict),
        Kind::Panic if crashed(&verdict) => Err(not_asserted(verdict, program)),
        Kind::Panic | Kind::Deadlock | Kind::Hang => Ok(()),
        Kind::Leak => {
            // It has returned, so that nothing it asserts can fail any more.
            let mut verdict = breaks(Kind::Leak, rule, &expected)(verdict);
            if let Some(finding) = &mut verdict.finding {
                finding.seen = format!("the test accepts {program}, and {}", finding.seen);
            }
            Err(verdict)
        }
        _ => Err(not_asserted(verdict, program)),
    }
}

fn not_asserted(verdict: Box<Verdict>, program: &str) -> Box<Verdict> {
    let kind = verdict.kind;
    let expected = format!("a failed assertion, or an endless wait: {program} is wrong");
    in_short(breaks(kind, ASSERTS, &expected)(verdict))
}

/// Whether a panic comes from a mistake in an expression: whoever meets it in a test mends the test.
fn crashed(verdict: &Verdict) -> bool {
    let seen = verdict.finding.as_ref().map(|finding| finding.seen.as_str()).unwrap_or_default();
    // "a panic at FILE:LINE: message"; a path has no space behind a colon.
    let message = seen.split_once(": ").map_or(seen, |(_, message)| message);
    let arithmetic = message.starts_with("attempt to ")
        && (message.contains("with overflow") || message.contains(" zero"));
    arithmetic
        || [
            "index out of bounds",
            "range start index",
            "range end index",
            "slice index starts",
            "overflow when ",
            "already borrowed",
            "already mutably borrowed",
            "RefCell already",
        ]
        .iter()
        .any(|crash| message.starts_with(crash))
}

/// An assertion of the kit has its own picture below it; a verdict has one already.
fn in_short(mut verdict: Box<Verdict>) -> Box<Verdict> {
    if let Some(finding) = &mut verdict.finding {
        let told = finding.seen.split("\n\n").next().unwrap_or_default();
        finding.seen = told.lines().map(str::trim).collect::<Vec<_>>().join(", ");
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    async fn for_ever() {
        loop {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The rule that is broken, and what was seen.
    fn told(checked: Checked) -> (String, String) {
        let finding = checked.expect_err("a rule is broken").finding.unwrap_or_default();
        (finding.rule.unwrap_or_default(), finding.seen)
    }

    #[test]
    fn a_right_program_may_take_all_the_virtual_time_it_likes() {
        assert!(accepts("a nap", async |_| sleep(5000 * SECOND).await).is_ok());
        let (rule, seen) = told(accepts("a nap", async |_| sleep(2 * HORIZON).await));
        assert_eq!(rule, "ends");
        assert_eq!(
            seen,
            "timers keep firing, or one is far away: it had not ended after 86400 s of virtual time"
        );
    }

    #[test]
    fn a_test_that_takes_real_time_is_told_how_much() {
        let (rule, seen) = told(accepts_within(Duration::ZERO, "a nap", async |_| sleep(7 * SECOND).await));
        assert_eq!((rule.as_str(), seen.as_str()), (INSTANT, "0.0 s of real time (and 7.0 s of virtual)"));
    }

    #[test]
    fn a_right_program_that_is_rejected_is_named_with_the_assertion() {
        let (rule, seen) = told(accepts("a sum", async |_| panic!("expected: 4\n    seen: 5\n\na picture")));
        assert_eq!(rule, ACCEPTS);
        assert!(seen.ends_with(": expected: 4, seen: 5"), "{seen}");
        assert_eq!(told(accepts("a sum", async |_| pending().await)).0, ACCEPTS);
    }

    #[test]
    fn a_wrong_program_may_fail_an_assertion_or_wait_for_ever() {
        assert!(rejects("rule", "a product", async |_| panic!("5 is not 6")).is_ok());
        assert!(
            rejects("rule", "a product", async |_| panic!("attempt to call again: it was not asked for"))
                .is_ok()
        );
        assert!(rejects("rule", "a product", async |_| pending().await).is_ok());
        assert!(rejects("rule", "a product", async |_| for_ever().await).is_ok());
    }

    #[test]
    fn an_endless_wait_with_timers_is_told_as_what_it_is() {
        let (rule, seen) = told(accepts("a sum", async |_| for_ever().await));
        assert_eq!(rule, "ends");
        assert_eq!(seen, "timers kept firing, 20000 times in 20 s of virtual time, but it had not ended");
    }

    #[test]
    fn a_long_time_is_no_rejection() {
        let checked = rejects("rule", "a product", async |_| sleep(5000 * SECOND).await);
        assert_eq!(told(checked).0, "rule");
    }

    #[test]
    fn a_slip_is_no_rejection() {
        let none: Vec<u32> = Vec::new();
        assert_eq!(told(rejects("rule", "a product", async |_| assert_eq!(none[0], 1))).0, ASSERTS);
        let little = Duration::from_secs(none.len() as u64);
        assert_eq!(
            told(rejects("rule", "a product", async |_| assert_eq!(little - SECOND, SECOND))).0,
            ASSERTS
        );
    }

    #[test]
    fn a_test_that_leaves_its_assertion_to_a_task_has_accepted() {
        let detached = async |_| {
            #[expect(clippy::disallowed_methods, reason = "what is to be found")]
            drop(tokio::spawn(async {
                sleep(SECOND).await;
                panic!("nobody hears of it");
            }));
        };
        let (rule, seen) = told(rejects("rule", "a product", detached));
        assert_eq!(
            (rule.as_str(), seen.as_str()),
            ("rule", "the test accepts a product, and 1 task is still alive")
        );
    }

    #[test]
    fn what_is_to_do_stays_to_do() {
        let to_do = async |_| panic!("not yet implemented: all of it");
        assert_eq!(accepts("a sum", to_do).expect_err("to do").kind, Kind::Todo);
        assert_eq!(rejects("rule", "a sum", to_do).expect_err("to do").kind, Kind::Todo);
    }
}
