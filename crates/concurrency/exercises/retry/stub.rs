//! Send a request, and again when that may help, within one limit and without doing harm. Task and rules: `cargo run`, or README.md.

use super::check::{Failure, Jitter, Policy, Request};
use common::web::{Client, Response};

/// The response, if its status is one of success; otherwise the failure of every attempt.
pub async fn retry(
    client: Client,
    request: Request,
    policy: Policy,
    mut jitter: Jitter,
) -> Result<Response, Vec<Failure>> {
    let pause = jitter.up_to(policy.first_pause);
    todo!("send {request:?} with {client:?}, and again after a pause of {pause:?}")
}
