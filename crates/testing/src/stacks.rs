//! The lines at which a future waits; without the feature `stacks`, none.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Where a future waits, to be resolved when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    #[cfg(feature = "stacks")]
    waiting: await_stack::Waiting,
    /// The only lines that count, if not all do.
    #[cfg(feature = "stacks")]
    only: Option<Vec<String>>,
}

/// Polls `future`, and notes where it waits.
pub(crate) fn poll<F: Future + ?Sized>(
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> (Poll<F::Output>, Waiting) {
    #[cfg(feature = "stacks")]
    {
        let (poll, waiting) = await_stack::poll(future, cx);
        (poll, Waiting { waiting, only: None })
    }
    #[cfg(not(feature = "stacks"))]
    (future.poll(cx), Waiting {})
}

impl Waiting {
    /// The lines of the program at which it waits, without repetition; not those of the kit.
    pub(crate) fn lines(&self) -> Vec<String> {
        #[cfg(feature = "stacks")]
        {
            let mut lines = Vec::new();
            for stack in self.waiting.stacks() {
                let own = stack.frames.iter().find(|frame| frame.is_own() && !is_kit(&frame.file));
                if let Some(line) = own.map(ToString::to_string)
                    && !lines.contains(&line)
                    && self.only.as_ref().is_none_or(|only| only.contains(&line))
                {
                    lines.push(line);
                }
            }
            lines
        }
        #[cfg(not(feature = "stacks"))]
        Vec::new()
    }

    /// Leaves out the awaits that were passed: those that are not among what `still` waits for.
    pub(crate) fn narrow(&mut self, still: &Self) {
        #[cfg(feature = "stacks")]
        {
            let still = still.lines();
            if !still.is_empty() {
                self.only = Some(still);
            }
        }
        #[cfg(not(feature = "stacks"))]
        let _ = still;
    }

    /// Like "src/bank.rs:9 + src/bank.rs:12"; `None` if no line is known.
    pub(crate) fn words(&self) -> Option<String> {
        let lines = self.lines();
        (!lines.is_empty()).then(|| lines.join(" + "))
    }
}

/// Whether a file belongs to this crate's own code, or to that of `common`.
#[cfg(feature = "stacks")]
fn is_kit(file: &str) -> bool {
    use std::{env, path::Path};
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(""));
    // A relative file is relative to the working directory.
    let file = env::current_dir().unwrap_or_default().join(file);
    ["common", "testing"].iter().any(|name| file.starts_with(crates.join(name).join("src")))
}
