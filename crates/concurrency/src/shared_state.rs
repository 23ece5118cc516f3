//! State that several tasks change, and that is whole after each of them, also if one is dropped half way.
//!
//! | the change | take |
//! |---|---|
//! | needs no await | a std `Mutex`, locked for a moment |
//! | awaits in the middle, and is to happen not at all if its caller goes | [`Committed`]: a draft, and one step that puts it in place |
//! | awaits in the middle, and is to be brought to its end if its caller goes | [`own`]: one task owns the state, and is sent what to do |
//!
//! What they are against: tokio's `Mutex` may be held across an await, and has no poisoning. A caller that is dropped
//! there, by a timeout or a client who left, unlocks it with half a change inside, and the next one works with that.

mod committed;
mod owner;

pub use committed::{Committed, Draft};
pub use owner::{CallError, Owned, Owner, own};
