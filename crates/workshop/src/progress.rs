use crate::{
    answer::Answer,
    cache::{Cache, Content},
    compile::Step,
    course::Exercise,
    judge::{Report, judge},
    process::Cancel,
    repository::Repository,
    stop::Stop,
};
use common::verdict::Kind;

/// Where the learner is with one exercise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The file is as it was shipped.
    Untouched,
    /// This content has this verdict.
    Judged(Kind, Option<String>),
    /// Changed since it was last judged.
    Unknown,
    /// The file cannot be read, and what to do.
    Unreadable(String),
}

impl Standing {
    /// The word for it in `list --json`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Untouched => Kind::Todo.word(),
            Self::Judged(kind, _) => kind.word(),
            Self::Unknown => "unknown",
            Self::Unreadable(_) => "unreadable",
        }
    }

    pub(crate) fn is_solved(&self) -> bool {
        matches!(self, Self::Judged(Kind::Pass, _))
    }
}

/// What the files and the cache say, with no build.
pub(crate) fn standing(repository: &Repository, exercise: Exercise) -> Standing {
    let answer = match repository.read(exercise, "exercise.rs") {
        Ok(answer) => answer,
        Err(stop) => return Standing::Unreadable(stop.to_string()),
    };
    // An exercise to mend runs as shipped, and breaks a rule: it is still to be done.
    if repository.read(exercise, "stub.rs").is_ok_and(|stub| stub == answer) {
        return Standing::Untouched;
    }
    let content = Content::of(repository, exercise, &answer);
    match Cache::new(repository).get(exercise, content) {
        Some((kind, rule)) => Standing::Judged(kind, rule),
        None => Standing::Unknown,
    }
}

/// As [`standing`]; what is unknown is judged.
pub(crate) fn settled(
    repository: &Repository,
    exercise: Exercise,
    step: &mut dyn FnMut(Step),
) -> Result<Standing, Stop> {
    match standing(repository, exercise) {
        Standing::Unknown => {
            let report = judge_own(repository, exercise, &Cancel::default(), step)?;
            Ok(Standing::Judged(report.verdict.kind, report.verdict.rule().map(str::to_owned)))
        }
        known => Ok(known),
    }
}

/// Judges the learner's own file and remembers the verdict.
pub(crate) fn judge_own(
    repository: &Repository,
    exercise: Exercise,
    cancel: &Cancel,
    step: &mut dyn FnMut(Step),
) -> Result<Report, Stop> {
    let answer = Answer::own(repository, exercise)?;
    // Before the check: files of the course that change meanwhile must not count as judged.
    let content = Content::of(repository, exercise, &answer.bytes);
    let report = judge(repository, exercise, &answer, cancel, step)?;
    Cache::new(repository).put(exercise, content, report.verdict.kind, report.verdict.rule());
    Ok(report)
}

/// The first exercise that is not solved; nothing when all are.
pub(crate) fn current(
    repository: &Repository,
    step: &mut dyn FnMut(Exercise, Step),
) -> Result<Option<Exercise>, Stop> {
    for exercise in repository.exercises() {
        if !settled(repository, exercise, &mut |next| step(exercise, next))?.is_solved() {
            return Ok(Some(exercise));
        }
    }
    Ok(None)
}
