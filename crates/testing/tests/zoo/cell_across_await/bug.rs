//! A `RefCell` is borrowed across an await: whoever borrows it meanwhile panics.

use std::{cell::RefCell, time::Duration};
use tokio::time::sleep;

/// Sends what is in the outbox.
pub async fn program(outbox: &RefCell<Vec<String>>) -> usize {
    let mut mails = outbox.borrow_mut();
    let mut sent = 0;
    for mail in mails.drain(..) {
        sleep(Duration::from_millis(10)).await; // sends it
        sent += mail.len();
    }
    sent
}
