use common::{Recorder, Trace, recorder::Recorded};
use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Waker},
    time::Duration,
};

/// The recorder of one piece and its clones. It begins with the first use, not when the piece is made: that may be outside
/// of the runtime, on another clock.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    title: Arc<str>,
    recorder: Arc<OnceLock<Recorder>>,
}

impl Timeline {
    pub(super) fn new(title: impl Into<Arc<str>>) -> Self {
        Self { title: title.into(), recorder: Arc::default() }
    }

    /// From now on `recorder` is used, unless something was recorded already.
    pub(super) fn draw_on(&self, recorder: &Recorder) {
        self.recorder.get_or_init(|| recorder.clone());
    }

    pub(super) fn recorder(&self) -> &Recorder {
        self.recorder.get_or_init(|| Recorder::new(&*self.title))
    }

    pub(super) fn now(&self) -> Duration {
        self.recorder().now()
    }

    pub(super) fn trace(&self) -> Trace {
        self.recorder().trace()
    }
}

/// A lane for something that is not a future. A recorder records futures; this one is polled only when it is to end.
#[derive(Debug)]
pub(super) struct Span(Pin<Box<Recorded<Ready<()>>>>);

impl Span {
    pub(super) fn begin(timeline: &Timeline, name: String) -> Self {
        Self(Box::pin(timeline.recorder().lane(name, ready(()))))
    }

    /// Ends the lane as finished; one that is only dropped ends as dropped.
    pub(super) fn finish(&mut self) {
        let ended = self.0.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(ended.is_ready(), "`ready` is ready");
    }
}
