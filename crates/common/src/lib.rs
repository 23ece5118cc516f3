//! What every chapter shares.
//!
//! | module | what is in it |
//! |---|---|
//! | [`trace`] | what each future did, and when: the data behind a timeline |
//! | [`draw`] | a [`Trace`] as terminal text, SVG or words |
//! | [`verdict`] | what came of checking an answer |

pub mod draw;
pub mod trace;
pub mod verdict;

pub use trace::Trace;
pub use verdict::Verdict;
