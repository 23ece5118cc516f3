//! SQLite: a file in a folder of its own, or memory.

use super::{Database, Error, Home, Kind, Setup};
use sqlx::{
    ConnectOptions as _, Sqlite,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

pub(super) async fn open(setup: Setup<'_, Sqlite>) -> Result<Database<Sqlite>, Error> {
    // Whether what was written survives the machine is no question of a test.
    let options = SqliteConnectOptions::new().create_if_missing(true).synchronous(SqliteSynchronous::Off);
    let (options, home) = match setup.kind {
        Kind::Memory => {
            // A name that begins with `/` is one database for all connections of the process, with locks that wait. Not
            // `mode=memory&cache=shared`: there, a reader is refused while somebody writes.
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let options = options.filename(format!("/testing-{}", NEXT.fetch_add(1, Relaxed))).vfs("memdb");
            // The database goes with its last connection, and a pool may close all that it has.
            let anchor = Mutex::new(options.connect().await?);
            (options, Home::Memory { _anchor: anchor })
        }
        Kind::File | Kind::Server => {
            let folder = Folder::new()?;
            let options =
                options.filename(folder.path.join("test.sqlite")).journal_mode(SqliteJournalMode::Wal);
            (options, Home::Folder { _folder: folder })
        }
    };
    let url = options.to_url_lossy().into();
    let pool = setup.pool_options().connect_with(options).await?;
    let database = Database { pool, others: Mutex::default(), url, _home: home };
    if let Some(migrations) = setup.migrations {
        migrations.run(database.pool()).await?;
    }
    Ok(database)
}

/// A folder that is removed with everything in it.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self, Error> {
        let parent = std::env::temp_dir();
        loop {
            let path = parent.join(format!("testing-sqlite-{:016x}", fastrand::u64(..)));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::Folder { parent, error }),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        if fs::remove_dir_all(&path).is_ok() {
            return;
        }
        // Windows keeps files that are open, and SQLite's threads close theirs a little later.
        let later = std::thread::Builder::new().spawn(move || {
            for _ in 0..100 {
                std::thread::park_timeout(std::time::Duration::from_millis(50));
                if fs::remove_dir_all(&path).is_ok() {
                    return;
                }
            }
        });
        drop(later);
    }
}
