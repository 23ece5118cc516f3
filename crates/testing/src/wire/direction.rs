//! What is under way in each direction of a pair.

use super::{Ending, Wire};
use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use tokio::{
    io::ReadBuf,
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// Whom a change concerns.
pub(super) type Wakers = Vec<Waker>;

/// The two directions, and what they share.
pub(super) struct Link {
    directions: [Direction; 2],
    reset: bool,
}

impl Link {
    pub(super) fn new(directions: [Direction; 2]) -> Self {
        let reset = directions.iter().any(Direction::is_to_reset);
        Self { directions, reset }
    }

    /// Fails if the connection was reset.
    pub(super) fn intact(&self) -> io::Result<()> {
        if self.reset { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    pub(super) fn read(
        &mut self,
        from: usize,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> (Poll<io::Result<()>>, Wakers) {
        let direction = &mut self.directions[from];
        if buf.remaining() == 0 {
            return (Poll::Ready(Ok(())), Wakers::new());
        }
        if self.reset {
            return (Poll::Ready(self.intact()), Wakers::new());
        }
        if !direction.read(cx, buf) {
            return (Poll::Pending, Wakers::new());
        }
        let mut wakers = Wakers::from_iter(direction.writer.take());
        if direction.is_to_reset() {
            self.reset = true;
            wakers.extend(self.directions.iter_mut().flat_map(Direction::everybody));
        }
        (Poll::Ready(Ok(())), wakers)
    }

    pub(super) fn write(
        &mut self,
        into: usize,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> (Poll<io::Result<usize>>, Wakers) {
        let direction = &mut self.directions[into];
        if self.reset {
            return (Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())), Wakers::new());
        }
        if direction.shut || direction.abandoned || direction.is_at_eof() {
            return (Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), Wakers::new());
        }
        if buf.is_empty() {
            return (Poll::Ready(Ok(0)), Wakers::new());
        }
        match direction.write(buf) {
            0 => {
                remember(&mut direction.writer, cx);
                (Poll::Pending, Wakers::new())
            }
            n => (Poll::Ready(Ok(n)), Wakers::from_iter(direction.reader.take())),
        }
    }

    /// Nothing more will be written into this direction.
    pub(super) fn shut_down(&mut self, into: usize) -> Wakers {
        let direction = &mut self.directions[into];
        direction.shut = true;
        Wakers::from_iter(direction.reader.take())
    }

    /// This side is gone: the end that writes into its direction, and reads from the other.
    pub(super) fn close(&mut self, side: usize) -> Wakers {
        let mut wakers = self.shut_down(side);
        self.directions[side].writer = None;
        let direction = &mut self.directions[1 - side];
        direction.abandoned = true;
        direction.fragments.clear();
        // Its timer must not wake a task that has nothing to do with this connection any more.
        direction.arrival = None;
        direction.reader = None;
        wakers.extend(direction.writer.take());
        wakers
    }

    /// Bytes that this side has sent, and received.
    pub(super) const fn so_far(&self, side: usize) -> (usize, usize) {
        (self.directions[side].accepted, self.directions[1 - side].delivered)
    }
}

/// One direction: bytes under way, who waits for them, and what is still to happen.
pub(super) struct Direction {
    script: Wire,
    random: fastrand::Rng,
    fragments: VecDeque<Fragment>,
    /// Bytes that take room: accepted, and not yet delivered or lost.
    held: usize,
    accepted: usize,
    delivered: usize,
    /// When the last fragment under way arrives: the next one comes after it.
    last_arrival: Option<Instant>,
    arrival: Option<Pin<Box<Sleep>>>,
    shut: bool,
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Fragment {
    bytes: Vec<u8>,
    delivered: usize,
    /// Nothing: at once.
    arrives: Option<Instant>,
}

impl Direction {
    pub(super) fn new(script: Wire) -> Self {
        Self {
            random: fastrand::Rng::with_seed(script.seed),
            script,
            fragments: VecDeque::new(),
            held: 0,
            accepted: 0,
            delivered: 0,
            last_arrival: None,
            arrival: None,
            shut: false,
            abandoned: false,
            reader: None,
            writer: None,
        }
    }

    fn is_to_reset(&self) -> bool {
        self.script.ending == Some((self.delivered, Ending::Reset))
    }

    fn is_at_eof(&self) -> bool {
        self.script.ending == Some((self.accepted, Ending::Eof))
    }

    fn everybody(&mut self) -> impl Iterator<Item = Waker> {
        self.reader.take().into_iter().chain(self.writer.take())
    }

    /// Gives whether the reader has its answer: bytes, or the end.
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> bool {
        if let Some(fragment) = self.fragments.front_mut() {
            if let Some(at) = fragment.arrives.filter(|at| Instant::now() < *at) {
                remember(&mut self.reader, cx);
                let arrival = self.arrival.get_or_insert_with(|| Box::pin(sleep_until(at)));
                if arrival.deadline() != at {
                    arrival.as_mut().reset(at);
                }
                // The caller's unit of the budget pays for this, too: a task with one unit left would never get here.
                if pin!(unconstrained(arrival.as_mut())).poll(cx).is_pending() {
                    return false;
                }
            }
            let rest = &fragment.bytes[fragment.delivered..];
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            fragment.delivered += n;
            if fragment.delivered == fragment.bytes.len() {
                self.fragments.pop_front();
            }
            self.held -= n;
            self.delivered += n;
            return true;
        }
        let over = match self.script.ending {
            Some((n, ending)) if n == self.delivered => matches!(ending, Ending::Eof | Ending::Truncated),
            _ => self.shut,
        };
        if !over {
            remember(&mut self.reader, cx);
        }
        over
    }

    /// Gives how many bytes were taken; none: no room.
    fn write(&mut self, buf: &[u8]) -> usize {
        let (end, lost) = match self.script.ending {
            Some((end, ending)) => (end, ending == Ending::Truncated),
            None => (usize::MAX, false),
        };
        // How much of it will still arrive; after that, it is lost at once or takes room for ever.
        let rest = end.saturating_sub(self.accepted);
        let room = if rest == 0 && lost { usize::MAX } else { self.script.buffer - self.held };
        if room == 0 {
            return 0;
        }
        let fragment = self.script.fragments.clone().map_or(usize::MAX, |bytes| self.random.usize(bytes));
        let n = buf.len().min(room).min(fragment).min(if rest == 0 { usize::MAX } else { rest });
        self.accepted += n;
        self.held += n;
        if rest > 0 {
            let arrives = (!self.script.latency.is_zero()).then(|| {
                let now = Instant::now();
                self.last_arrival.map_or(now, |last| last.max(now)) + self.script.latency
            });
            self.last_arrival = arrives;
            self.fragments.push_back(Fragment { bytes: buf[..n].to_vec(), delivered: 0, arrives });
        }
        n
    }
}

/// Whoever polls last is woken.
fn remember(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}
