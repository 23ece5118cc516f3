//! Breaks `jitter`: half of all come back at once, the other half together.

use super::check::{Failure, Jitter, Policy, Request};
use common::web::{Client, NetworkError, Response};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

const fn may_pass(failure: &Failure) -> bool {
    match failure {
        Failure::Status(status) => matches!(status, 429 | 500 | 503),
        Failure::Network(_) | Failure::TimedOut => true,
    }
}

const fn was_not_carried_out(failure: &Failure) -> bool {
    matches!(failure, Failure::Status(429 | 503) | Failure::Network(NetworkError::Refused))
}

pub async fn retry(
    client: Client,
    request: Request,
    policy: Policy,
    mut jitter: Jitter,
) -> Result<Response, Vec<Failure>> {
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
        let coin = u32::from(!jitter.up_to(Duration::from_millis(1)).is_zero());
        let pause = asked_for.unwrap_or_default() + ceiling.min(policy.longest_pause) * coin;
        ceiling = ceiling.saturating_mul(2);
        if Instant::now() + pause >= over {
            return Err(failures);
        }
        sleep(pause).await;
    }
}
