//! A pool that has run dry, and what it says; on a migrated database, with queries that were checked at compile time.
//!
//! Run with: `cargo run -p resources --example database`

use resources::{PoolSettings, database, database::AcquireError, with_connection};
use sqlx::{SqliteConnection, migrate::Migrator, sqlite::SqliteConnectOptions};
use std::{error::Error, num::NonZeroU32, time::Duration};

const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();
const LIMIT: Duration = Duration::from_millis(200);
type Failure = Box<dyn Error + Send + Sync>;

// ANCHOR: query
/// What a customer has to pay. Columns and types were checked against the migrations, with no database at hand.
async fn due(connection: &mut SqliteConnection, customer: &str) -> sqlx::Result<i64> {
    let open = sqlx::query!("SELECT cents FROM orders WHERE customer = $1 AND receipt IS NULL", customer);
    Ok(open.fetch_all(connection).await?.iter().map(|order| order.cents).sum())
}
// ANCHOR_END: query

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("orders-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let options = SqliteConnectOptions::new().filename(folder.join("orders.db")).create_if_missing(true);
    // ANCHOR: pool
    static MIGRATIONS: Migrator = sqlx::migrate!();
    let pool = PoolSettings::new(TWO).pool(options);
    database::migrate(&pool, &MIGRATIONS, Duration::from_secs(60)).await?;
    // ANCHOR_END: pool
    sqlx::query!("INSERT INTO orders (id, customer, cents) VALUES (1, 'ada', 4500)").execute(&pool).await?;
    let due = with_connection(&pool, LIMIT, async |c| Ok::<_, Failure>(due(c, "ada").await?)).await?;
    println!("ada owes {due}");

    let second = async |_: &mut _| Ok::<_, Failure>(database::acquire(&pool, LIMIT).await?);
    let nested = with_connection(&pool, LIMIT, second).await;
    println!("within the first: {}", nested.err().map_or(String::new(), |error| error.to_string()));

    let held = (database::acquire(&pool, LIMIT).await?, database::acquire(&pool, LIMIT).await?);
    if let Err(AcquireError::Held { evidence }) = database::acquire(&pool, LIMIT).await {
        let places = evidence.holders.iter().map(|holder| holder.asked_at.to_string());
        println!("none came back, held by {}", places.collect::<Vec<_>>().join(" and "));
    }
    println!("closed, still out: {}", database::close(&pool, LIMIT).await.still_out);
    drop(held);
    println!("{}", database::close(&pool, Duration::from_secs(5)).await);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
