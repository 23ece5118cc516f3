//! One moment at which all is over, and five questions after each failure.

use super::check::{Failure, Jitter, Policy, Request};
use common::web::{Client, NetworkError, Response};
use tokio::time::{Instant, sleep, timeout_at};

const fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Status(status) => matches!(status, 429 | 500 | 503),
        Failure::Network(_) | Failure::TimedOut => true,
    }
}

/// Only what is certain counts: a timeout says nothing about what the site has done.
const fn was_not_carried_out(failure: &Failure) -> bool {
    matches!(failure, Failure::Status(429 | 503) | Failure::Network(NetworkError::Refused))
}

pub async fn retry(
    client: Client,
    request: Request,
    policy: Policy,
    mut jitter: Jitter,
) -> Result<Response, Vec<Failure>> {
    // A moment, and not a length of time: pauses and attempts all count down the same clock.
    let over = Instant::now() + policy.total;
    let mut ceiling = policy.first_pause;
    let mut failures = Vec::new();
    loop {
        let limit = over.min(Instant::now() + policy.each);
        let mut asked_for = None;
        let failure = match timeout_at(limit, request.send(&client)).await {
            Ok(Ok(response)) if response.is_success() => return Ok(response),
            Ok(Ok(response)) => {
                asked_for = response.retry_after;
                Failure::Status(response.status)
            }
            Ok(Err(error)) => Failure::Network(error),
            Err(_) => Failure::TimedOut,
        };
        let again = may_pass(&failure) && (request.repeatable || was_not_carried_out(&failure));
        failures.push(failure);
        if !again || failures.len() == policy.attempts {
            return Err(failures);
        }
        // On top of what the site asked for: it has told everybody the same.
        let pause = asked_for.unwrap_or_default() + jitter.up_to(ceiling.min(policy.longest_pause));
        ceiling = ceiling.saturating_mul(2);
        // Asked before the pause. Afterwards it would have been slept in vain.
        if Instant::now() + pause >= over {
            return Err(failures);
        }
        sleep(pause).await;
    }
}
