//! A case under many schedules.

use super::{Case, Checked, TODO, without_folders};
use crate::{
    complaints::{self, Complaint},
    explore::{Exploration, Found, Schedule},
    sim::Simulation,
    simulation::HORIZON,
};
use common::{
    Verdict,
    verdict::{Finding, Kind},
};
use std::{cell::RefCell, ops::Range, panic::resume_unwind};
use tokio::time::Instant;

impl<T> Case<T> {
    /// Runs `body` once for each seed, under a [schedule](mod@crate::explore) that follows from it, and holds each run
    /// against the rules. The verdict names the schedule: its seed, and the pauses that it takes.
    ///
    /// # Errors
    /// The verdict of `hold` on the first run that it rejects, in its shortest form; or that on a deadlock and the like,
    /// as in [`Case::run`].
    ///
    /// # Examples
    /// ```
    /// use testing::{Case, verdict};
    /// use tokio::sync::Mutex;
    ///
    /// let lost = verdict(|| {
    ///     Case::explore("two increments", 0..100, async |schedule| {
    ///         let counter = Mutex::new(0);
    ///         let increment = async || {
    ///             let read = *counter.lock().await;
    ///             *counter.lock().await = read + 1;
    ///         };
    ///         tokio::join!(schedule.perturb("first", increment()), schedule.perturb("second", increment()));
    ///         counter.into_inner()
    ///     }, |case| case.rule("none-lost", case.value == 2, "2", case.value))
    /// });
    /// assert_eq!(lost.rule(), Some("none-lost"));
    /// ```
    pub fn explore(
        name: impl Into<String>,
        seeds: Range<u64>,
        body: impl AsyncFn(Schedule) -> T,
        hold: impl Fn(&Self) -> Checked,
    ) -> Checked {
        let name = name.into();
        let rejected = RefCell::new(None);
        let simulation = Simulation::new().horizon(HORIZON);
        let found = Exploration::new().seeds(seeds).simulation(simulation).here(&name, async |schedule| {
            rejected.take();
            let (recorder, start) = (schedule.sim().recorder().clone(), Instant::now());
            let value = body(schedule).await;
            let (elapsed, trace) = (start.elapsed(), recorder.trace());
            let case = Self { value, elapsed, name: name.clone(), trace, panics: Vec::new() };
            if let Err(verdict) = hold(&case) {
                rejected.replace(Some(verdict));
                // Not `panic!`: it is for the exploration to see, and for nobody to read.
                resume_unwind(Box::new("rejected"));
            }
        });
        let Err(found) = found else { return Ok(()) };
        let case = scheduled(&name, &found);
        let mut verdict = rejected.take().unwrap_or_else(|| broken_down(&found));
        if let Some(finding) = &mut verdict.finding {
            finding.case = case;
        }
        Err(verdict)
    }
}

/// Like "two increments; schedule 3: `first` pauses at src/counter.rs:4".
fn scheduled(name: &str, found: &Found) -> String {
    // The check's own turns mean nothing to a learner.
    let pauses = found.pauses.iter().filter(|pause| !pause.starts_with("`the body`"));
    let pauses: Vec<String> = pauses.map(|pause| without_folders(pause)).collect();
    let pauses = if pauses.is_empty() { String::new() } else { format!(": {}", pauses.join(", then ")) };
    format!("{name}; schedule {}{pauses}", found.seed)
}

/// The verdict on a run that did not come to its end as it should.
fn broken_down(found: &Found) -> Box<Verdict> {
    use complaints::Kind as Seen;
    let first = found.failure.complaints.first();
    let (seen, what) = first.map_or((Seen::Failed, ""), |Complaint { kind, what }| (*kind, what.as_str()));
    let (kind, rule, expected) = match seen {
        _ if what.contains(TODO) => (Kind::Todo, None, ""),
        Seen::Deadlock | Seen::LostWakeUp => (Kind::Deadlock, Some("ends"), "it ends under every schedule"),
        Seen::Endless | Seen::Stuck | Seen::Blocked => {
            (Kind::Hang, Some("ends"), "it ends under every schedule")
        }
        Seen::Leak => (
            Kind::Leak,
            Some("no-leak"),
            "every task that the answer started has ended when it returns or is dropped",
        ),
        _ => (Kind::Panic, Some("no-panic"), "the answer itself does not panic"),
    };
    let finding = Finding {
        rule: rule.map(str::to_owned),
        case: String::new(),
        expected: expected.to_owned(),
        seen: without_folders(&what.replacen("the body panicked", "a panic", 1)),
        trace: Some(found.failure.trace.clone()),
    };
    Box::new(Verdict::found(kind, finding))
}
