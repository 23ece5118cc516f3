//! A task that nobody waits for panics: the order is stored, the mail is not sent, and nobody hears of it.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// Takes an order.
pub async fn program(world: Arc<World>, _: usize) {
    world.store().await;
    tokio::spawn(async move {
        let address = world.address().await.expect("a customer has an address");
        world.mail(address).await;
    });
}
// ANCHOR_END: program
