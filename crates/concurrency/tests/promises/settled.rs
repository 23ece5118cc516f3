//! What `Settled` and `Panic` promise.

use concurrency::{GroupError, Panic, Settled, task_group};
use std::{
    error::Error,
    panic::{catch_unwind, panic_any},
};

fn panic_of(what: impl FnOnce() + std::panic::UnwindSafe) -> Panic {
    Panic::new(catch_unwind(what).expect_err("it panics"))
}

#[test]
fn a_panic_says_what_it_said() {
    assert_eq!(panic_of(|| panic!("row 7")).message(), "row 7");
    let row = 7;
    assert_eq!(panic_of(|| panic!("row {row}")).message(), "row 7");
    assert_eq!(panic_of(|| panic_any(7)).message(), "a panic without a message");
}

#[test]
fn a_resumed_panic_has_its_payload() {
    let again = catch_unwind(|| panic_of(|| panic_any(vec![7])).resume()).expect_err("it goes on");
    assert_eq!(again.downcast_ref::<Vec<i32>>(), Some(&vec![7]));
}

/// An error that holds a panic goes through `?` into what services return: `Box<dyn Error + Send + Sync>`, anyhow.
#[test]
fn what_holds_a_panic_is_send_and_sync() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Panic>();
    shared::<Settled<u32, String>>();

    fn handler(failed: concurrency::FirstError<u32, String>) -> Result<(), Box<dyn Error + Send + Sync>> {
        Err(failed)?
    }
    let failed = concurrency::FirstError::NotEnoughAttempts { attempts: 0, wanted: 1 };
    assert!(handler(failed).is_err());
}

#[tokio::test]
async fn the_error_of_a_group_is_one_that_services_return() {
    async fn handler() -> Result<(), Box<dyn Error + Send + Sync>> {
        task_group(async |_group| Err::<(), _>(std::fmt::Error)).await?;
        Ok(())
    }
    let error = handler().await.expect_err("the body fails");
    assert!(error.downcast_ref::<GroupError<std::fmt::Error>>().is_some());
}
