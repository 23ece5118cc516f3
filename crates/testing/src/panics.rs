//! Panics of the code under test, caught before they reach the terminal.

use std::{cell::RefCell, panic, sync::Once};

/// A panic, as the panic hook saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) message: String,
    /// `file:line`, empty if unknown.
    pub(crate) place: String,
    /// Whether a task panicked, and not the body of the run.
    pub(crate) in_a_task: bool,
}

thread_local! {
    static CAUGHT: RefCell<Option<Vec<Panic>>> = const { RefCell::new(None) };
}

/// Runs `body`; panics on this thread are collected and not printed, whether `body` recovers from them or not.
///
/// The hook is the process's and is installed once; a thread that is not in here keeps the behaviour it had.
pub(crate) fn collect<T>(body: impl FnOnce() -> T) -> (T, Vec<Panic>) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let caught = CAUGHT.with_borrow_mut(|caught| {
                let Some(caught) = caught else { return false };
                caught.push(Panic {
                    message: info.payload_as_str().unwrap_or("a panic without a message").to_owned(),
                    place: info
                        .location()
                        .map(|at| format!("{}:{}", at.file(), at.line()))
                        .unwrap_or_default(),
                    in_a_task: tokio::task::try_id().is_some(),
                });
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
