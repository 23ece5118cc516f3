/// A chapter and its exercises, in the order in which they are taught.
#[derive(Debug)]
pub(crate) struct Chapter {
    /// The chapter's crate.
    pub(crate) name: &'static str,
    /// The folders under its `exercises/`. A name is used once in the whole course.
    pub(crate) exercises: &'static [&'static str],
}

/// The course, in order.
pub(crate) const COURSE: &[Chapter] = &[
    Chapter {
        name: "concurrency",
        exercises: &[
            "gather",
            "task_group",
            "bounded",
            "timeout",
            "join",
            "partial",
            "first",
            "queue",
            "background",
            "blocking",
            "cancel",
            "select",
            "shared_state",
            "deadlock",
            "retry",
            "rate_limit",
        ],
    },
    Chapter {
        name: "resources",
        exercises: &[
            "pool",
            "scope",
            "exit_stack",
            "connect",
            "transaction",
            "database",
            "http_client",
            "lifespan",
        ],
    },
    Chapter {
        name: "testing",
        exercises: &[
            "limiter_test",
            "virtual_time",
            "invariant",
            "leak_hunt",
            "lost_update",
            "fixture",
            "compile_errors",
        ],
    },
];

/// One exercise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exercise {
    /// The chapter's crate.
    pub(crate) chapter: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
}

/// All exercises, in order.
pub(crate) fn exercises() -> impl Iterator<Item = Exercise> {
    COURSE
        .iter()
        .flat_map(|chapter| chapter.exercises.iter().map(|name| Exercise { chapter: chapter.name, name }))
}
