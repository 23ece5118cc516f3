//! Why there is no answer.

use crate::Settled;

use std::{error::Error, fmt};

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum FirstError<T, E> {
    /// Fewer attempts were given than successes wanted, mostly none at all; nothing was begun. To try again is of no
    /// use without more of them.
    NotEnoughAttempts {
        /// How many there were.
        attempts: usize,
        /// How many successes were wanted.
        wanted: usize,
    },
    /// Too many attempts failed. What they failed of says whether another try may help.
    TooFew {
        /// How many successes were wanted.
        wanted: usize,
        /// How each attempt ended that was begun, in input order.
        outcomes: Vec<Settled<T, E>>,
    },
}

impl<T, E: fmt::Display> fmt::Display for FirstError<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnoughAttempts { attempts, wanted } => {
                write!(f, "too few attempts: {attempts}, and {wanted} are to succeed")
            }
            Self::TooFew { wanted, outcomes } => {
                let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                write!(f, "{succeeded} of {} attempts succeeded, not {wanted}", outcomes.len())?;
                for (attempt, outcome) in outcomes.iter().enumerate() {
                    match outcome {
                        Settled::Ok(_) | Settled::Cancelled => {}
                        Settled::Failed(error) => write!(f, "; {attempt}: {error}")?,
                        Settled::Panicked(panic) => write!(f, "; {attempt} panicked: {panic}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

// Several errors, so none of them is *the* source; the message has them all.
impl<T: fmt::Debug, E: fmt::Debug + fmt::Display> Error for FirstError<T, E> {}
