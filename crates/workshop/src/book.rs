use crate::stop::Stop;

/// `workshop book`: without the feature, only how to get it. The book's builder is a large dependency that a learner at
/// the exercises need not wait for.
pub(crate) fn run(_args: &[String]) -> Result<bool, Stop> {
    Err(Stop::because(
        "the book is built by a larger program, which is compiled only when asked for: \
         cargo run -p workshop --features book -- book",
    ))
}
