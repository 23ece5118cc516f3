//! Panics of the code under test, caught before they reach the terminal.

use std::{
    backtrace::Backtrace,
    cell::RefCell,
    panic,
    sync::Once,
    task::{Context, Poll, Waker},
};
use tokio::task::coop;

/// A panic, as the panic hook saw it.
#[derive(Debug)]
pub(crate) struct Panic {
    pub(crate) message: String,
    /// `file:line`, empty if unknown.
    pub(crate) place: String,
    /// Whether a task panicked, and not the body of the run.
    pub(crate) in_a_task: bool,
    /// Whether somebody was seen to wait for that task.
    pub(crate) awaited: bool,
    /// Where it was, to be read only if somebody asks.
    pub(crate) stack: Option<Backtrace>,
}

impl Panic {
    /// Whether the task caught it itself, and did not end of it: the innermost `catch_unwind` is not the runtime's.
    pub(crate) fn was_caught(&self) -> bool {
        let Some(stack) = &self.stack else { return false };
        let text = stack.to_string();
        let mut functions = text.lines().filter_map(|line| {
            let (number, function) = line.trim().split_once(": ")?;
            number.parse::<u32>().is_ok().then_some(function)
        });
        while functions.any(|function| function.contains("__rust_try")) {
            let whose = functions.find(|function| !function.contains("catch_unwind<"));
            match whose {
                // A lane only looks at the panic, and passes it on.
                Some(function) if function.contains("common::recorder") => {}
                Some(function) => return !function.contains("tokio::runtime"),
                None => return false,
            }
        }
        false
    }
}

thread_local! {
    static CAUGHT: RefCell<Option<Vec<Panic>>> = const { RefCell::new(None) };
}

/// Uses up the task's cooperative budget: it marks the rest of this poll, in which the runtime wakes whoever awaits the
/// task. See [`woken`].
fn spend_budget() {
    let mut cx = Context::from_waker(Waker::noop());
    // A budget is 128 units; the bound is for a task that is exempt and never runs out.
    for _ in 0..4096 {
        match coop::poll_proceed(&mut cx) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => return,
        }
    }
}

/// To be called by a waker that was called. If that was by a task which has just panicked, because of its end, then the
/// waker's owner awaits that task.
///
/// The runtime does that after the task's future is gone, in the same poll: no task is at work any more, as it would be while
/// destructors run, and the budget is still spent. Every other task has a budget of its own.
///
/// It gives whether that is so.
pub(crate) fn woken() -> bool {
    if tokio::task::try_id().is_some() || coop::has_budget_remaining() {
        return false;
    }
    with_last(|last| last.awaited = true)
}

/// As [`woken`], for the waker of somebody who was woken by a task that panicked, and has not been polled since. A set of
/// tasks wakes its owner once, however many of them end: what panics meanwhile is taken for another of the set.
pub(crate) fn forgive_from(first: usize) {
    // A waker may be called while the thread's locals are being dropped.
    let _gone = CAUGHT.try_with(|caught| {
        for panic in caught.borrow_mut().iter_mut().flatten().skip(first) {
            panic.awaited = true;
        }
    });
}

/// How many panics there were so far.
pub(crate) fn count() -> usize {
    CAUGHT.try_with(|caught| caught.borrow().as_ref().map_or(0, Vec::len)).unwrap_or(0)
}

fn with_last(with: impl FnOnce(&mut Panic)) -> bool {
    CAUGHT
        .try_with(|caught| match caught.borrow_mut().as_mut().and_then(|caught| caught.last_mut()) {
            Some(last) => {
                with(last);
                true
            }
            None => false,
        })
        .unwrap_or(false)
}

/// Runs `body`; panics on this thread are collected and not printed, whether `body` recovers from them or not.
///
/// The hook is the process's and is installed once; a thread that is not in here keeps the behaviour it had.
pub(crate) fn collect<T>(body: impl FnOnce() -> T) -> (T, Vec<Panic>) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let in_a_task = tokio::task::try_id().is_some();
            let caught = CAUGHT.with_borrow_mut(|caught| {
                let Some(caught) = caught else { return false };
                caught.push(Panic {
                    message: info.payload_as_str().unwrap_or("a panic without a message").to_owned(),
                    place: info
                        .location()
                        .map(|at| format!("{}:{}", at.file(), at.line()))
                        .unwrap_or_default(),
                    in_a_task,
                    awaited: false,
                    stack: in_a_task.then(Backtrace::force_capture),
                });
                spend_budget();
                true
            });
            if !caught {
                before(info);
            }
        }));
    });
    /// If `body` itself unwinds, later panics of this thread are none of ours.
    struct Collecting;
    impl Drop for Collecting {
        fn drop(&mut self) {
            for panic in CAUGHT.take().unwrap_or_default() {
                eprintln!("a panic at {}: {}", panic.place, panic.message);
            }
        }
    }
    CAUGHT.set(Some(Vec::new()));
    let collecting = Collecting;
    let out = body();
    let caught = CAUGHT.take().unwrap_or_default();
    drop(collecting);
    (out, caught)
}
