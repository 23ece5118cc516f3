use super::{Doing, Manage, Shared, Taken};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit, time::Instant};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// What is pooled, with its age.
pub(super) struct Item<R> {
    pub(super) resource: R,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
}

impl<R> Item<R> {
    pub(super) fn new(resource: R) -> Self {
        let now = Instant::now();
        Self { resource, opened: now, idle_since: now }
    }
}

/// A place in the pool, whatever is or happens in it. Dropped, it is free.
pub(super) struct Seat<M: Manage> {
    pub(super) shared: Arc<Shared<M>>,
    /// Its number in the list of those that are taken.
    number: u64,
    /// Where its tasks run, also if it is dropped on a thread without a runtime.
    runtime: Handle,
    /// Given back when the entry is gone. Nothing: what was idle is closed at the end, when nobody needs a place any more.
    _permit: Option<OwnedSemaphorePermit>,
    /// The pool is not empty as long as it is there.
    _out: TaskTrackerToken,
}

impl<M: Manage> Seat<M> {
    pub(super) fn new(
        shared: &Arc<Shared<M>>,
        permit: Option<OwnedSemaphorePermit>,
        asked_at: &'static Location<'static>,
    ) -> Self {
        let runtime = Handle::current();
        let number = {
            let mut state = shared.lock();
            let number = state.next;
            state.next += 1;
            let (since, lasted) = (Instant::now(), Duration::ZERO);
            state.taken.insert(number, Taken { doing: Doing::Opening, since, lasted, asked_at });
            number
        };
        Self { shared: shared.clone(), number, runtime, _permit: permit, _out: shared.out.token() }
    }

    /// Notes what happens in it from now on.
    pub(super) fn is(&self, doing: Doing) {
        if let Some(taken) = self.shared.lock().taken.get_mut(&self.number) {
            (taken.doing, taken.since) = (doing, Instant::now());
        }
    }

    pub(super) fn take_idle(&self) -> Option<Item<M::Resource>> {
        self.shared.lock().idle.pop()
    }

    /// Closes what is in it, as a task that keeps the place until then.
    pub(super) fn close(self, item: Item<M::Resource>) {
        self.is(Doing::Closing);
        let (out, runtime) = (self.shared.out.clone(), self.runtime.clone());
        drop(out.spawn_on(closed(Going { resource: item.resource, seat: self }), &runtime));
    }
}

/// What is to be closed, and its place. Of a task that is dropped before it begins, by a runtime that has ended, the fields
/// are dropped in this order: the place is free when the resource is gone.
struct Going<M: Manage> {
    resource: M::Resource,
    seat: Seat<M>,
}

async fn closed<M: Manage>(going: Going<M>) {
    let Going { seat, resource } = going;
    seat.shared.close(resource).await;
}

impl<M: Manage> Drop for Seat<M> {
    fn drop(&mut self) {
        self.shared.lock().taken.remove(&self.number);
    }
}

/// What was borrowed from a [`Pool`](super::Pool). Dropped, it goes back, at once and without an await.
///
/// It is closed instead, and the place is free when it is, if it is dropped while its thread unwinds from a panic, if the body of
/// [`with`](super::Pool::with) was dropped in the middle, if it was [marked as broken](Self::mark_broken), or if the pool is
/// closed.
///
/// A future with a plain `Pooled` in it that is dropped in the middle of a question looks like any other owner that is
/// done: what it had is lent again, after [`recycle`](Manage::recycle). So does one in another future of the same task, in a
/// `join!` say, which tokio drops after the unwinding. For these cases there is `with`.
#[must_use = "dropped, it goes back to the pool"]
pub struct Pooled<M: Manage> {
    /// Both are there until it is dropped or taken apart.
    item: Option<Item<M::Resource>>,
    seat: Option<Seat<M>>,
    broken: bool,
    /// Somebody has begun something with it, and not ended.
    unfinished: bool,
    /// A destructor that borrows one while a panic goes on has not caused it.
    panicked_before: bool,
}

impl<M: Manage> Pooled<M> {
    pub(super) fn new(item: Item<M::Resource>, seat: Seat<M>) -> Self {
        seat.is(Doing::InUse);
        let panicked_before = thread::panicking();
        Self { item: Some(item), seat: Some(seat), broken: false, unfinished: false, panicked_before }
    }

    pub(super) const fn begins(&mut self) {
        self.unfinished = true;
    }

    pub(super) const fn ended(&mut self) {
        self.unfinished = false;
    }

    /// It is closed when it is dropped, and not lent again.
    pub const fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// Takes it out of the pool, for good. The place is free at once; whoever has it now closes it.
    #[must_use = "the pool does not close it any more"]
    pub fn take(self) -> M::Resource {
        self.into_parts().0.resource
    }

    pub(super) fn into_parts(mut self) -> (Item<M::Resource>, Seat<M>) {
        match (self.item.take(), self.seat.take()) {
            (Some(item), Some(seat)) => (item, seat),
            _ => unreachable!("both are there until it is dropped"),
        }
    }
}

impl<M: Manage> Drop for Pooled<M> {
    // ANCHOR: drop
    fn drop(&mut self) {
        let (Some(mut item), Some(seat)) = (self.item.take(), self.seat.take()) else { return };
        let panicked = thread::panicking() && !self.panicked_before;
        item.idle_since = Instant::now();
        let mut state = seat.shared.lock();
        if state.closed || self.broken || self.unfinished || panicked {
            drop(state);
            seat.close(item);
        } else {
            // Before the place is free: whoever gets it finds this, and opens none.
            state.idle.push(item);
            state.taken.remove(&seat.number);
            drop(state);
            drop(seat);
        }
    }
    // ANCHOR_END: drop
}

impl<M: Manage> Deref for Pooled<M> {
    type Target = M::Resource;

    fn deref(&self) -> &M::Resource {
        match &self.item {
            Some(item) => &item.resource,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl<M: Manage> DerefMut for Pooled<M> {
    fn deref_mut(&mut self) -> &mut M::Resource {
        match &mut self.item {
            Some(item) => &mut item.resource,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl<M: Manage<Resource: fmt::Debug>> fmt::Debug for Pooled<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pooled").field(&**self).finish()
    }
}
