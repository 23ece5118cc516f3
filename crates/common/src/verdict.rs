//! What came of checking an answer.

use crate::{Trace, trace::Malformed};
use serde_json::{Value, json};

/// The verdict on one answer to one exercise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// What kind of verdict it is.
    pub kind: Kind,
    /// What was found; nothing for [`Kind::Pass`].
    pub finding: Option<Finding>,
}

/// The kinds of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Every rule is kept.
    Pass,
    /// The gap is still there: `todo!()` was reached.
    Todo,
    /// The answer does not compile.
    CompileError,
    /// A rule of the exercise is broken.
    RuleBroken,
    /// Every future waits, and nothing is left that could wake one.
    Deadlock,
    /// It does not end: the thread is blocked or busy, or timers keep firing.
    Hang,
    /// The answer panicked.
    Panic,
    /// Tasks were left running.
    Leak,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Pass,
        Self::Todo,
        Self::CompileError,
        Self::RuleBroken,
        Self::Deadlock,
        Self::Hang,
        Self::Panic,
        Self::Leak,
    ];

    /// The word for it in JSON and in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Todo => "todo",
            Self::CompileError => "compile_error",
            Self::RuleBroken => "rule_broken",
            Self::Deadlock => "deadlock",
            Self::Hang => "hang",
            Self::Panic => "panic",
            Self::Leak => "leak",
        }
    }

    /// The kind that a [`word`](Self::word) stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// The rules that hold for every exercise, next to those of its own: id, and what it asks for.
pub const GENERAL_RULES: [(&str, &str); 3] = [
    ("ends", "the answer ends: no deadlock, no busy loop, no blocked thread, no early exit"),
    ("no-panic", "the answer does not panic: it gives a value or an error, whatever the services do"),
    (
        "no-leak",
        "every task that the answer started has ended when it returns or is dropped (blocking threads are not counted)",
    ),
];

/// What a check found wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finding {
    /// The short id of the broken rule, as the exercise's README states it. [`GENERAL_RULES`] hold for every
    /// exercise.
    pub rule: Option<String>,
    /// The input on which it was seen.
    pub case: String,
    /// What the rule asks for.
    pub expected: String,
    /// What was seen instead.
    pub seen: String,
    /// The run on which it was seen.
    pub trace: Option<Trace>,
}

impl Verdict {
    /// Every rule is kept.
    pub const fn pass() -> Self {
        Self { kind: Kind::Pass, finding: None }
    }

    /// A verdict of another kind, with what was found.
    pub const fn found(kind: Kind, finding: Finding) -> Self {
        Self { kind, finding: Some(finding) }
    }

    /// Whether the exercise is solved.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.kind == Kind::Pass
    }

    /// The id of the broken rule.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.finding.as_ref()?.rule.as_deref()
    }

    /// What was seen and what was expected, in one paragraph; empty for a pass.
    #[must_use]
    pub fn message(&self) -> String {
        let Some(finding) = &self.finding else {
            return String::new();
        };
        match (finding.seen.as_str(), finding.expected.as_str()) {
            (seen, "") => seen.to_owned(),
            (seen, expected) => format!("{seen}; expected: {expected}"),
        }
    }

    /// The verdict as JSON, timeline included.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let finding = self.finding.as_ref().map(|finding| {
            json!({
                "rule": finding.rule,
                "case": finding.case,
                "expected": finding.expected,
                "seen": finding.seen,
                "trace": finding.trace.as_ref().map(Trace::to_json),
            })
        });
        json!({ "verdict": self.kind.word(), "finding": finding })
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// If a part is missing or of another kind.
    pub fn from_json(value: &Value) -> Result<Self, Malformed> {
        let kind = value["verdict"].as_str().and_then(Kind::from_word).ok_or(Malformed::new("verdict"))?;
        let finding = match &value["finding"] {
            Value::Null => None,
            finding => Some(Finding {
                rule: finding["rule"].as_str().map(str::to_owned),
                case: finding["case"].as_str().unwrap_or_default().to_owned(),
                expected: finding["expected"].as_str().unwrap_or_default().to_owned(),
                seen: finding["seen"].as_str().unwrap_or_default().to_owned(),
                trace: match &finding["trace"] {
                    Value::Null => None,
                    trace => Some(Trace::from_json(trace)?),
                },
            }),
        };
        Ok(Self { kind, finding })
    }
}
