//! A test body in a simulated run: what it fails for, beside the test's own assertions.
//!
//! Run with: `cargo run -p testing --example kit`

use testing::sim::Simulation;
use tokio::sync::Notify;

fn main() {
    // ANCHOR: sim
    let failure = Simulation::new().check(async |sim| {
        let audit = sim.spawn("audit", async { panic!("the audit failed") });
        let refresh = sim.spawn("refresh", async { Notify::new().notified().await });
        sim.settle().await;
        let orders = [7];
        assert_eq!(orders, [7]);
        drop((audit, refresh));
    });
    println!("{}", failure.expect_err("two things are wrong with it"));
    // ANCHOR_END: sim
}
