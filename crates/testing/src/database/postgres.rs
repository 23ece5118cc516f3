//! PostgreSQL: one server, a database per test, and the thread that creates and drops them.

use super::{Database, Error, Home, Setup};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Postgres,
    migrate::Migrator, postgres::PgConnectOptions,
};
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    str::FromStr as _,
    sync::{LazyLock, Mutex, mpsc},
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// How long a drop waits for a database on a server that is not the kit's own. What isn't dropped by then, the next
/// process drops.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thread with a runtime of its own: it neither stands still when a test's clock does, nor ends when a test's runtime
/// does.
static KEEPER: LazyLock<Result<mpsc::Sender<Order>, String>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime for it: {error}"))?;
    let keeper = move || {
        let mut keeper = None;
        for order in inbox {
            runtime.block_on(carry_out(&mut keeper, order));
        }
    };
    thread::Builder::new()
        .name("postgres keeper".to_owned())
        .spawn(keeper)
        .map_err(|error| error.to_string())?;
    Ok(orders)
});

/// What the keeper is asked for.
enum Order {
    Create { migrations: Option<Migrator>, reply: oneshot::Sender<Result<(Lease, PgConnectOptions), Error>> },
    Drop { name: String, done: mpsc::Sender<()> },
}

async fn carry_out(keeper: &mut Option<Keeper>, order: Order) {
    match order {
        Order::Create { migrations, reply } => {
            let created = match keeper {
                Some(keeper) => keeper.create(migrations).await,
                None => match Keeper::start().await {
                    Ok(started) => keeper.insert(started).create(migrations).await,
                    Err(error) => Err(error),
                },
            };
            // Nobody there any more: the lease comes back, and its drop is the next order.
            drop(reply.send(created));
        }
        Order::Drop { name, done } => {
            if let Some(keeper) = keeper {
                // If it can't be dropped, the server is gone or broken, and who holds the lease can't mend it.
                let _failed = keeper.take_back(&name).await;
            }
            let _nobody_waits = done.send(());
        }
    }
}

/// A database on the server; dropped, it is dropped there.
pub(super) struct Lease {
    name: String,
    /// Whether the server outlives us.
    foreign: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Ok(keeper) = &*KEEPER else { return };
        let (done, is_done) = mpsc::channel();
        let name = std::mem::take(&mut self.name);
        // Our own server goes with the process, and what is on it: there is nothing to wait for. The keeper itself must not
        // wait for itself.
        let waits = self.foreign && thread::current().name() != Some("postgres keeper");
        if keeper.send(Order::Drop { name, done }).is_ok() && waits {
            let _in_time = is_done.recv_timeout(PATIENCE);
        }
    }
}

pub(super) async fn open(setup: Setup<'_, Postgres>) -> Result<Database<Postgres>, Error> {
    let keeper = KEEPER.as_ref().map_err(|why| Error::Start { why: why.clone() })?;
    let gone =
        || Error::Start { why: "the thread that keeps the databases has panicked; see above".to_owned() };
    let (reply, created) = oneshot::channel();
    let migrations = setup.migrations.map(copy);
    keeper.send(Order::Create { migrations, reply }).map_err(|_| gone())?;
    let (lease, options) = created.await.map_err(|_| gone())??;
    let pool = setup.pool_options().connect_with(options.clone()).await?;
    let url = options.to_url_lossy().into();
    Ok(Database { pool, others: Mutex::default(), url, _home: Home::Server { _lease: lease } })
}

/// A migrator isn't `Clone`, and the keeper's thread outlives every borrow.
fn copy(migrations: &Migrator) -> Migrator {
    Migrator {
        migrations: migrations.migrations.clone(),
        ignore_missing: migrations.ignore_missing,
        locking: migrations.locking,
        no_tx: migrations.no_tx,
        table_name: migrations.table_name.clone(),
        create_schemas: migrations.create_schemas.clone(),
    }
}

/// The server, and what this process has on it.
struct Keeper {
    #[cfg(unix)]
    _server: Option<super::server::Server>,
    options: PgConnectOptions,
    connection: PgConnection,
    foreign: bool,
    /// The beginning of the names of this process's databases.
    prefix: String,
    templates: HashSet<String>,
    created: u64,
    /// Databases that are in use.
    leases: usize,
}

impl Keeper {
    async fn start() -> Result<Self, Error> {
        let named = std::env::var("DATABASE_URL").ok();
        let named = named.filter(|url| url.starts_with("postgres://") || url.starts_with("postgresql://"));
        if let Some(url) = named {
            let options = PgConnectOptions::from_str(&url).map_err(Error::Server)?;
            let mut connection = PgConnection::connect_with(&options).await.map_err(Error::Server)?;
            let prefix = take_over(&mut connection).await.map_err(Error::Server)?;
            return Ok(Self {
                #[cfg(unix)]
                _server: None,
                options,
                connection,
                foreign: true,
                prefix,
                templates: HashSet::new(),
                created: 0,
                leases: 0,
            });
        }
        #[cfg(unix)]
        {
            let server = super::server::Server::start(false).await?;
            let options = server.options();
            let connection = PgConnection::connect_with(&options).await?;
            Ok(Self {
                _server: Some(server),
                options,
                connection,
                foreign: false,
                prefix: "test".to_owned(),
                templates: HashSet::new(),
                created: 0,
                leases: 0,
            })
        }
        #[cfg(not(unix))]
        Err(Error::Unavailable {
            why: "DATABASE_URL names none, and the kit starts one on Unix only".to_owned(),
        })
    }

    async fn create(&mut self, migrations: Option<Migrator>) -> Result<(Lease, PgConnectOptions), Error> {
        let template = match &migrations {
            Some(migrations) => self.template(migrations).await?,
            None => "template0".to_owned(),
        };
        self.created += 1;
        let name = format!("{}_{}", self.prefix, self.created);
        self.run(format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        self.leases += 1;
        let options = self.options.clone().database(&name);
        Ok((Lease { name, foreign: self.foreign }, options))
    }

    /// The database from which those with these migrations are copied.
    async fn template(&mut self, migrations: &Migrator) -> Result<String, Error> {
        let mut hash = DefaultHasher::new();
        migrations.table_name.hash(&mut hash);
        migrations.create_schemas.hash(&mut hash);
        for migration in migrations.iter() {
            (migration.version, &migration.checksum, migration.no_tx).hash(&mut hash);
        }
        let name = format!("{}_template_{:016x}", self.prefix, hash.finish());
        if self.templates.contains(&name) {
            return Ok(name);
        }
        self.run(format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let migrated = async {
            let mut connection = PgConnection::connect_with(&self.options.clone().database(&name)).await?;
            migrations.run(&mut connection).await?;
            // A database with a connection can't be copied.
            connection.close().await?;
            Ok(())
        };
        if let Err(error) = migrated.await {
            self.drop_database(&name).await?;
            return Err(error);
        }
        self.templates.insert(name.clone());
        Ok(name)
    }

    /// Drops a database that was given out.
    async fn take_back(&mut self, name: &str) -> sqlx::Result<()> {
        self.leases -= 1;
        self.drop_database(name).await?;
        // Nobody tells us that the process is about to end: without a database of ours, nothing of ours stays.
        if self.foreign && self.leases == 0 {
            for template in std::mem::take(&mut self.templates) {
                self.drop_database(&template).await?;
            }
        }
        Ok(())
    }

    async fn drop_database(&mut self, name: &str) -> sqlx::Result<()> {
        self.run(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Names are made here of letters and digits, and can't be bound in such a statement.
    async fn run(&mut self, statement: String) -> sqlx::Result<()> {
        self.connection.execute(AssertSqlSafe(statement)).await.map(drop)
    }
}

/// Announces this process on a server that others use, too, and drops what those have left that ended without a word.
/// Gives the prefix of this process's databases.
///
/// Whoever creates databases holds an advisory lock for as long as it lives, and its number is in their names. Such locks
/// count within the database that `DATABASE_URL` names: its own number is in the names, too.
async fn take_over(connection: &mut PgConnection) -> sqlx::Result<String> {
    let (here,): (i64,) =
        sqlx::query_as("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
            .fetch_one(&mut *connection)
            .await?;
    let ours = i64::from(fastrand::u32(1..));
    sqlx::query("SELECT pg_advisory_lock($1)").bind(ours).execute(&mut *connection).await?;

    let prefix = format!("testing_{here}_");
    let names: Vec<(String,)> =
        sqlx::query_as("SELECT datname FROM pg_database WHERE starts_with(datname, $1)")
            .bind(&prefix)
            .fetch_all(&mut *connection)
            .await?;
    for (name,) in names {
        let lock = name[prefix.len()..].split('_').next().and_then(|lock| lock.parse::<i64>().ok());
        let Some(lock) = lock.filter(|lock| *lock != ours) else { continue };
        let (ownerless,): (bool,) =
            sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(lock).fetch_one(&mut *connection).await?;
        if ownerless {
            // Somebody else may be at it as well; and what belongs to another user stays.
            let _failed = connection
                .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")))
                .await;
            sqlx::query("SELECT pg_advisory_unlock($1)").bind(lock).execute(&mut *connection).await?;
        }
    }
    Ok(format!("{prefix}{ours}"))
}
