//! The other threads of the process: that a worker waits is not the program's fault while the thread that it waits for
//! gets no processor.

use crate::activity::{self, Sample, State};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The threads that may hold what a blocked one waits for.
#[derive(Debug, Default)]
pub(super) struct Bystanders(HashMap<PathBuf, Bystander>);

/// Which threads are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Any thread may hold a lock.
    Anybody,
    /// A thread that is to take the worker over, and has not come to its first hook. It has the name of who started it.
    Newborn,
}

/// What a thread has used when it comes to its first hook, at most.
const BIRTH: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy)]
struct Bystander {
    sample: Sample,
    /// It has been on a processor since it last waited: what it held for a moment only, it has let go.
    had_its_turn: bool,
}

impl Bystanders {
    /// Looks at other threads than the blocked one, and gives for how much of the time that has `passed` since the last
    /// look one of them may have held it up.
    pub(super) fn look(&mut self, blocked: &Path, who: Who, passed: Duration) -> Duration {
        let this = activity::this_thread();
        let name = |thread: &Path| fs::read_to_string(thread.join("comm")).ok();
        let family = name(blocked);
        let mut seen = HashMap::new();
        let mut held_up = Duration::ZERO;
        for thread in activity::threads() {
            if thread == blocked || Some(&thread) == this.as_ref() {
                continue;
            }
            let Some(sample) = activity::sample(&thread) else { continue };
            if who == Who::Newborn && (sample.used > BIRTH || name(&thread) != family) {
                continue;
            }
            let before = self.0.get(&thread);
            let (bystander, waited) = Bystander::step(before, sample, passed);
            held_up = held_up.max(waited);
            seen.insert(thread, bystander);
        }
        self.0 = seen;
        held_up
    }
}

impl Bystander {
    fn step(before: Option<&Self>, sample: Sample, passed: Duration) -> (Self, Duration) {
        let ready = sample.state == State::Ready;
        let Some(before) = before else {
            return (Self { sample, had_its_turn: false }, if ready { passed } else { Duration::ZERO });
        };
        let ran = sample.used > before.sample.used;
        let bystander = Self { sample, had_its_turn: ready && (before.had_its_turn || ran) };
        let waited = if ran {
            sample.queued.saturating_sub(before.sample.queued).min(passed)
        } else if ready {
            passed
        } else {
            Duration::ZERO
        };
        // One that computes all the time waits for its turns too, and holds nothing.
        let waited = if before.had_its_turn { Duration::ZERO } else { waited };
        (bystander, waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    /// Used and queued milliseconds, and the state, at one look after the other; gives for how long it held up.
    fn looks<const N: usize>(looks: [(u64, u64, State); N]) -> [u128; N] {
        let ms = Duration::from_millis;
        let mut before = None;
        looks.map(|(used, queued, state)| {
            let sample = Sample { used: ms(used), queued: ms(queued), state };
            let (bystander, waited) = Bystander::step(before.as_ref(), sample, TICK);
            before = Some(bystander);
            waited.as_millis()
        })
    }

    #[test]
    fn one_that_gets_no_processor_holds_up_until_it_has_had_its_turn() {
        use State::Ready;
        let starved = [(5, 0, Ready), (5, 0, Ready)];
        let computes = [(7, 25, Ready), (7, 25, Ready), (7, 25, Ready)];
        assert_eq!(
            looks([starved[0], starved[1], computes[0], computes[1], computes[2]]),
            [10, 10, 10, 0, 0]
        );
    }

    #[test]
    fn one_that_waits_itself_holds_nobody_up_and_once_woken_it_may() {
        use State::{Ready, Waiting};
        let states = [(5, 0, Waiting), (5, 0, Waiting), (5, 0, Ready), (6, 12, Waiting), (7, 16, Ready)];
        assert_eq!(looks(states), [0, 0, 10, 10, 4]);
    }
}
