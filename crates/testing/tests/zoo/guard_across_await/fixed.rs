//! The lock is held to look, and to write, and not in between.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// Looks a page up; one that is not there is fetched.
pub async fn program(pages: &Mutex<HashMap<u32, String>>, id: u32) -> String {
    // ANCHOR: cure
    let known = pages.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
    if let Some(page) = known {
        return page;
    }
    sleep(Duration::from_millis(10)).await; // fetches it
    let page = format!("page {id}");
    pages.lock().unwrap_or_else(PoisonError::into_inner).insert(id, page.clone());
    page
    // ANCHOR_END: cure
}
