//! What is to be sent is taken out first.

use std::{cell::RefCell, time::Duration};
use tokio::time::sleep;

/// Sends what is in the outbox.
pub async fn program(outbox: &RefCell<Vec<String>>) -> usize {
    let mails = outbox.take();
    let mut sent = 0;
    for mail in mails {
        sleep(Duration::from_millis(10)).await; // sends it
        sent += mail.len();
    }
    sent
}
