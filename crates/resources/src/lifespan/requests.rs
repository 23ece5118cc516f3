use futures_util::{Stream, StreamExt as _};
use std::{
    future::pending,
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// The requests to stop that have come, and those that will.
pub(super) struct Requests<'a, S> {
    /// Nothing once it has ended.
    stream: Option<Pin<&'a mut S>>,
    seen: Vec<&'static str>,
}

impl<'a, S: Stream<Item = &'static str>> Requests<'a, S> {
    pub(super) const fn new(stream: Pin<&'a mut S>) -> Self {
        Self { stream: Some(stream), seen: Vec::new() }
    }

    /// Waits until there were so many, for ever if there never are, and gives that one.
    ///
    /// # Cancel safety
    /// Cancel safe: what has come is kept.
    pub(super) async fn nth(&mut self, n: usize) -> &'static str {
        while self.seen.len() < n {
            let Some(stream) = &mut self.stream else { return pending().await };
            match stream.next().await {
                Some(why) => self.seen.push(why),
                None => self.stream = None,
            }
        }
        self.seen[n - 1]
    }

    pub(super) fn second(&self) -> Option<&'static str> {
        self.seen.get(1).copied()
    }
}

/// The signals that ask this process to stop, as they come: made by [`signals()`].
#[derive(Debug)]
#[must_use = "as long as it is there, nobody else stops the process"]
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(windows)]
    ctrl_c: tokio::signal::windows::CtrlC,
}

/// SIGTERM and SIGINT, on Windows Ctrl-C, from now on: what a [`Lifespan`](super::Lifespan) runs until.
///
/// Call it before anything starts: until then, a signal ends the process as it always has. From then on it does so no
/// more, in no part of the program, even when the stream has been dropped: that is why `ctrl_c().await` alone leaves a
/// user with a second Ctrl-C that does nothing.
///
/// # Shape
/// An item for each signal, with its name. Signals of one kind that come before the stream is polled are one item. It
/// never ends.
///
/// # Errors
/// If the system refuses.
///
/// # Panics
/// Outside a tokio runtime, or if its I/O is not enabled.
pub fn signals() -> io::Result<Signals> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
    #[cfg(windows)]
    {
        Ok(Signals { ctrl_c: tokio::signal::windows::ctrl_c()? })
    }
    #[cfg(not(any(unix, windows)))]
    {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Stream for Signals {
    type Item = &'static str;

    #[cfg(unix)]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<&'static str>> {
        if let Poll::Ready(Some(())) = self.terminate.poll_recv(cx) {
            return Poll::Ready(Some("SIGTERM"));
        }
        self.interrupt.poll_recv(cx).map(|come| come.map(|()| "SIGINT"))
    }

    #[cfg(windows)]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<&'static str>> {
        self.ctrl_c.poll_recv(cx).map(|come| come.map(|()| "Ctrl-C"))
    }

    #[cfg(not(any(unix, windows)))]
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<&'static str>> {
        Poll::Ready(None)
    }
}
