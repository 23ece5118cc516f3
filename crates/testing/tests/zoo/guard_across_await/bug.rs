//! The guard of a std `Mutex` lives across an await: a task that wants the lock blocks the thread for good.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

// ANCHOR: program
/// Looks a page up; one that is not there is fetched.
pub async fn program(pages: &Mutex<HashMap<u32, String>>, id: u32) -> String {
    let mut pages = pages.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(page) = pages.get(&id) {
        return page.clone();
    }
    sleep(Duration::from_millis(10)).await; // fetches it
    let page = format!("page {id}");
    pages.insert(id, page.clone());
    page
}
// ANCHOR_END: program
