//! A PostgreSQL server of our own, that can't outlive us.

use super::Error;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Lines, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

/// Runs below a shell that ends it when its standard input does: that is when the process is over that holds the other end,
/// whatever its end was. The shell makes and removes the folder, so there is no moment at which it has no owner.
///
/// A database is some 300 files, and making them is most of the work: on Linux they are in memory, if there is a gigabyte
/// of it and nobody has set `TMPDIR`. Measured: 25 ms for a database rather than 370.
///
/// `mmap`: shared memory that would outlive a killed server would be in the folder, and go with it.
const SCRIPT: &str = r#"
umask 077
trap '' HUP INT QUIT TERM
base=$1
programs=$2
commit=$3
room() { df -Pk "$1" 2>/dev/null | { read -r _; read -r _ _ _ free _; echo "${free:-0}"; }; }
if [ -z "${TMPDIR-}" ] && [ -w /dev/shm ] && [ "$(room /dev/shm)" -gt 1000000 ]; then base=/dev/shm; fi
folder=$(mktemp -d "$base/testing-postgres-XXXXXX") || exit
echo "$folder"
server=
start() {
    "$programs/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c max_connections=300 \
        -c fsync=off -c synchronous_commit="$commit" -c full_page_writes=off -c autovacuum=off \
        -c dynamic_shared_memory_type=mmap -c unix_socket_permissions=0700 \
        </dev/null >>"$folder/log" 2>&1 &
    server=$!
    echo "$server"
}
if "$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync </dev/null >"$folder/log" 2>&1
then
    start
else
    echo failed
fi
while read -r order; do
    case $order in
        kill) kill -KILL "$server"; wait "$server"; echo killed ;;
        start) start ;;
    esac
done
if [ "$server" ]; then
    kill -QUIT "$server"
    wait "$server"
fi
rm -rf "$folder"
"#;

/// A socket's path has room for about a hundred bytes, and we add some fifty.
const LONGEST: usize = 50;

pub(super) struct Server {
    folder: PathBuf,
    /// Its standard input is what keeps the server.
    shell: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts it and waits until it takes connections. What was committed outlives a kill, if it `keeps` it; that costs
    /// a write for each commit.
    pub(super) async fn start(keeps: bool) -> Result<Self, Error> {
        let programs = programs()?;
        let fallen = if rustix::process::geteuid().is_root() { lesser_user() } else { None };
        let base = base(fallen.is_some());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(&base).arg(&programs).arg(if keeps { "on" } else { "off" });
        // A Ctrl-C at the terminal is for us, and the server must still be there to be stopped in order.
        shell.process_group(0).current_dir(&base).env("LC_ALL", "C");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some((uid, gid)) = fallen {
            shell.uid(uid).gid(gid);
        }
        let failed = |why: String| Error::Start { why };
        let mut shell = shell.spawn().map_err(|error| failed(format!("no /bin/sh: {error}")))?;
        let said = shell.stdout.take().ok_or_else(|| failed(String::from("/bin/sh has no output")))?;
        let mut said = BufReader::new(said).lines();
        let Some(Ok(folder)) = said.next() else {
            return Err(failed(format!("no folder can be made in {}", base.display())));
        };
        let mut server = Self { folder: folder.into(), shell, said };
        match server.next_word() {
            Some(pid) if pid != "failed" && server.is_ready(&pid).await => Ok(server),
            _ => Err(failed(server.log())),
        }
    }

    /// Kills it with SIGKILL, which it can't see coming, and waits until it is gone. Its connections break.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.order("kill").map(drop)
    }

    /// Starts it again, where it was.
    pub(super) async fn restart(&mut self) -> Result<(), Error> {
        // What served a connection may outlive the killed server for a moment, and until then it does not start.
        for _ in 0..600 {
            let pid = self.order("start").map_err(|error| Error::Start { why: error.to_string() })?;
            if self.is_ready(&pid).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Error::Start { why: self.log() })
    }

    /// Tells the shell to do something, and gives its answer.
    fn order(&mut self, order: &str) -> io::Result<String> {
        let lost = || io::Error::other("the shell that keeps the server is gone");
        writeln!(self.shell.stdin.as_ref().ok_or_else(lost)?, "{order}")?;
        self.next_word().ok_or_else(lost)
    }

    fn next_word(&mut self) -> Option<String> {
        self.said.next()?.ok()
    }

    /// Waits until the server with this process id takes connections, or says that it won't.
    async fn is_ready(&self, pid: &str) -> bool {
        // The last line of this file says how far it has come, the first one who; `pg_ctl --wait` looks at it, too.
        let (status, log) = (self.folder.join("data/postmaster.pid"), self.folder.join("log"));
        // Connections that are cut off or come too early say FATAL, too.
        let refusal = format!("[{pid}] FATAL:");
        for _ in 0..6000 {
            let is = fs::read_to_string(&status).unwrap_or_default();
            let mut is = is.lines();
            if is.next() == Some(pid) && is.nth(6).is_some_and(|state| state.starts_with("ready")) {
                return true;
            }
            if fs::read_to_string(&log).is_ok_and(|log| log.contains(&refusal)) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// How to connect to it; nothing is taken from the environment.
    pub(super) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .port(5432)
            .username("postgres")
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
    }

    /// The end of what it said.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(5).collect();
        end.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _gone = self.shell.wait();
    }
}

/// The folder with `initdb` and `postgres`.
fn programs() -> Result<PathBuf, Error> {
    let complete = |folder: &PathBuf| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file());
    if let Some(folder) = env::var_os("POSTGRES_BIN").map(PathBuf::from) {
        return Some(&folder).filter(|folder| complete(folder)).cloned().ok_or_else(|| Error::Unavailable {
            why: format!("POSTGRES_BIN is {}, and there is no `initdb` or no `postgres`", folder.display()),
        });
    }
    let on_path = env::var_os("PATH").and_then(|path| env::split_paths(&path).find(complete));
    let debian = || {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let numbered = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
        let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
        versions.sort_by_key(numbered);
        versions.into_iter().rev().map(|version| version.join("bin")).find(complete)
    };
    on_path.or_else(debian).ok_or_else(|| Error::Unavailable {
        why: "DATABASE_URL names none, and `initdb` and `postgres` are neither on PATH nor in \
              /usr/lib/postgresql/*/bin"
            .to_owned(),
    })
}

/// PostgreSQL refuses to run as root: user and group of the one to take instead.
fn lesser_user() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|name| {
        let mut fields =
            users.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(name))?;
        Some((fields.nth(2)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// Where the folder goes: the usual place for temporary files, unless its path is too long for a socket, or closed to the
/// user that the server runs as.
fn base(as_other: bool) -> PathBuf {
    let usual = env::temp_dir();
    let open = |folder: &Path| {
        let mode = fs::metadata(folder).map(|folder| folder.permissions().mode()).unwrap_or_default();
        mode & 0o001 != 0
    };
    let fits = usual.as_os_str().len() <= LONGEST;
    let writable = !as_other
        || (usual.ancestors().all(open)
            && fs::metadata(&usual).is_ok_and(|usual| usual.permissions().mode() & 0o002 != 0));
    if fits && writable { usual } else { PathBuf::from("/tmp") }
}
