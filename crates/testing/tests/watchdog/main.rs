//! What the watchdog reports, and what it must not. Real time: the limits are far from what they tell apart.
#![expect(clippy::disallowed_methods, reason = "the programs that block are what is tested")]
#![expect(clippy::unwrap_used, reason = "outside the tests themselves, but for them")]

mod found;
mod programs;
mod silent;
mod work;
