//! A backtrace, read.

use std::{backtrace::Backtrace, fmt};

/// A chain of awaits, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stack {
    /// From the primitive that waits out to the future that was polled.
    pub frames: Vec<Frame>,
}

impl Stack {
    /// The innermost line of the program itself: that of the `.await`.
    #[must_use]
    pub fn line(&self) -> Option<&Frame> {
        self.frames.iter().find(|frame| frame.is_own())
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            Some(frame) => frame.fmt(f),
            None => f.write_str("a line that the debug information does not name"),
        }
    }
}

/// One call of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its source file; relative, if it lies below the working directory.
    pub file: String,
    /// Its line there.
    pub line: u32,
}

impl Frame {
    /// Whether this is a line of the program itself: not of the standard library, nor of a crate from a registry.
    #[must_use]
    pub fn is_own(&self) -> bool {
        !["/rustc/", "/lib/rustlib/src/", "/registry/src/"].iter().any(|foreign| self.file.contains(foreign))
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Reads the part of a backtrace that lies between the clone of the spy and [`poll`](crate::poll()).
///
/// The standard library gives a backtrace as text only: a line `3: function` for each frame, then perhaps one
/// `at file:line:column`. A test holds it to that.
pub(crate) fn read(backtrace: &Backtrace) -> Stack {
    let text = backtrace.to_string();
    let (mut frames, mut below, mut spy) = (Vec::new(), false, false);
    for line in text.lines().map(str::trim) {
        let Some(place) = line.strip_prefix("at ") else {
            spy = line.contains("await_stack::spy::cloned");
            if spy {
                // What is above took the backtrace.
                frames.clear();
                below = true;
            } else if below && ["await_stack::spy::poll", "Spy>::lend"].iter().any(|end| line.contains(end)) {
                break;
            }
            continue;
        };
        let mut parts = place.rsplitn(3, ':');
        let (_column, at, file) = (parts.next(), parts.next(), parts.next());
        // The place of the spy itself is there only if this crate has debug information.
        if let (true, false, Some(file), Some(Ok(at))) = (below, spy, file, at.map(str::parse)) {
            frames.push(Frame { file: file.strip_prefix("./").unwrap_or(file).to_owned(), line: at });
        }
    }
    Stack { frames }
}
