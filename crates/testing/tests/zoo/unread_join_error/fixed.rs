//! What may be wrong with a row is a `Result`, and what a task gives is read.

use super::world::{ROWS, World};
use std::{num::ParseIntError, sync::Arc};
use tokio::task::JoinSet;

/// Imports all rows.
pub async fn program(world: Arc<World>, _: usize) {
    let mut imports = JoinSet::new();
    for row in ROWS {
        let world = world.clone();
        imports.spawn(async move {
            let price = row.parse()?;
            world.import(price).await;
            Ok::<(), ParseIntError>(())
        });
    }
    while let Some(joined) = imports.join_next().await {
        if let Err(error) = joined.expect("no import panics") {
            world.rejected.lock().expect("no panic holds it").push(error.to_string());
        }
    }
}
