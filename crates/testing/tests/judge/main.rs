//! What the judge says of answers that misbehave, each in a process of its own. This program is both: run by cargo it is
//! the suite, and with `CASE` in the environment it is the answer, and its judge.
#![allow(clippy::disallowed_methods, clippy::todo, clippy::unwrap_used, reason = "answers that misbehave")]

use common::{Verdict, verdict::Kind};
use std::{
    env, fs,
    future::pending,
    io::{self, Read as _, Write as _},
    process::{Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use testing::{Case, verdict};
use tokio::task::{JoinSet, spawn_blocking, yield_now};

/// A case: its name, its answer, the kind of verdict, words that the message holds, and the seconds it may take.
struct Expected(&'static str, fn() -> Verdict, Kind, &'static str, u64);

const CASES: [Expected; 16] = [
    Expected("a right answer", || case(async || ()), Kind::Pass, "", 2),
    Expected("a todo", || case(async || todo!("later")), Kind::Todo, "later", 2),
    Expected("a panic", || case(async || panic!("out of luck")), Kind::Panic, "out of luck", 2),
    Expected("a deadlock", || case(async || pending().await), Kind::Deadlock, "nothing is left", 2),
    Expected("a leak", leak, Kind::Leak, "1 task is still alive", 2),
    Expected(
        "a busy loop",
        || case(async || while Instant::now() > long_ago() {}),
        Kind::Hang,
        "busy loop",
        10,
    ),
    Expected(
        "a loop that only yields",
        || {
            case(async || {
                loop {
                    yield_now().await;
                }
            })
        },
        Kind::Hang,
        "busy loop",
        10,
    ),
    Expected(
        "a thread that sleeps",
        || case(async || thread::sleep(MINUTE)),
        Kind::Hang,
        "blocked thread",
        10,
    ),
    Expected("a lock that is taken twice", || case(async || lock_twice()), Kind::Hang, "blocked thread", 10),
    Expected(
        "a blocking task",
        || case(async || spawn_blocking(|| thread::sleep(MINUTE)).await.unwrap()),
        Kind::Hang,
        "blocked thread",
        10,
    ),
    Expected(
        "the end of the process",
        || case(async || std::process::exit(0)),
        Kind::RuleBroken,
        "ended the whole process",
        2,
    ),
    Expected("an abort", || case(async || std::process::abort()), Kind::Panic, "died", 5),
    Expected("a stack that overflows", || case(async || assert_ne!(overflow(1), 0)), Kind::Panic, "died", 5),
    Expected("a panic within a panic", || case(async || panic_twice()), Kind::Panic, "died", 5),
    Expected("a forged verdict", forged, Kind::RuleBroken, "broken, for real", 2),
    Expected("a lock on standard output", stdout_locked, Kind::Pass, "", 2),
];

const MINUTE: Duration = Duration::from_secs(60);

/// Before now: a condition that holds for ever, which the compiler does not know.
fn long_ago() -> Instant {
    Instant::now().checked_sub(Duration::from_secs(1)).unwrap()
}

fn case(answer: impl AsyncFnOnce()) -> Verdict {
    verdict(|| Case::run("the case", async |_| answer().await).map(drop))
}

fn leak() -> Verdict {
    case(async || {
        let mut tasks = JoinSet::new();
        tasks.spawn(pending::<()>());
        tasks.detach_all();
    })
}

fn lock_twice() {
    let lock = std::sync::Mutex::new(());
    let first = lock.lock().unwrap();
    let second = lock.lock();
    drop((first, second.is_ok()));
}

#[expect(unconditional_recursion, reason = "that is the case")]
fn overflow(n: u64) -> u64 {
    std::hint::black_box([n; 64])[0] + overflow(n + 1)
}

fn panic_twice() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("second");
        }
    }
    let _bomb = Bomb;
    panic!("first");
}

fn forged() -> Verdict {
    verdict(|| {
        let case = Case::run("the case", async |_| {
            println!("{}", Verdict::pass().to_json());
            println!("judged: pass");
        })?;
        case.rule("honest", false, "a kept rule", "it is broken, for real")
    })
}

fn stdout_locked() -> Verdict {
    case(async || std::mem::forget(io::stdout().lock()))
}

fn main() -> ExitCode {
    if let Ok(name) = env::var("CASE") {
        let Expected(_, check, ..) =
            CASES.into_iter().find(|case| case.0 == name).expect("a case of this name");
        return testing::judge("judged", check);
    }
    // `cargo test NAME` is for another binary, unless it names a case.
    let filters: Vec<String> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));

    // All at once: most of them wait for a watchdog.
    let (send, receive) = mpsc::channel();
    let mut running = 0;
    for Expected(name, _, kind, needle, seconds) in CASES.into_iter().filter(|case| wanted(case.0)) {
        let send = send.clone();
        running += 1;
        thread::spawn(move || send.send((name, supervised(name, kind, needle, seconds))));
    }
    if wanted("the lifeline") {
        running += 1;
        thread::spawn(move || send.send(("the lifeline", lifeline())));
    }
    let mut failed = 0;
    for _ in 0..running {
        let (name, outcome) = receive.recv().expect("each case reports");
        match outcome {
            Ok(()) => println!("test {name} ... ok"),
            Err(why) => {
                println!("test {name} ... FAILED\n{why}");
                failed += 1;
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out",
        running - failed
    );
    ExitCode::from(u8::from(failed > 0))
}

/// Runs the judge on a case, as a learner would without the workshop, and holds what it prints against what is expected.
fn supervised(name: &str, kind: Kind, needle: &str, seconds: u64) -> Result<(), String> {
    let began = Instant::now();
    let mut judge = Command::new(env::current_exe().unwrap());
    let judge = judge.env("CASE", name).env("NO_COLOR", "1").stdin(Stdio::null());
    let out = judge.output().map_err(|error| error.to_string())?;
    let took = began.elapsed();
    let printed = String::from_utf8_lossy(&out.stdout);
    // What the answer prints comes first; the verdict is the last that is said.
    let verdict = printed.rsplit_once("judged: ").map(|(_, verdict)| verdict).unwrap_or_default();
    // On a machine that has no time for it, a hang is told after eight seconds, and not of which sort.
    let late = ["one case has taken", "busy or blocked"].iter().any(|late| verdict.contains(late))
        && kind == Kind::Hang
        && took >= Duration::from_secs(8);
    let told = verdict.lines().next() == Some(kind.word()) && (verdict.contains(needle) || late);
    if told && out.status.success() == (kind == Kind::Pass) && took < Duration::from_secs(3 * seconds) {
        return Ok(());
    }
    Err(format!(
        "expected {} with {needle:?} within {seconds} s; {took:?}, {}: {printed}",
        kind.word(),
        out.status
    ))
}

/// A supervised judge ends when its standard input closes, whatever its answer does.
fn lifeline() -> Result<(), String> {
    let folder = env::temp_dir().join(format!("lifeline-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let mut judge = Command::new(env::current_exe().unwrap())
        .arg("--supervised")
        .env("CASE", "a busy loop")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut lifeline = judge.stdin.take().unwrap();
    writeln!(lifeline, "{}\nword", folder.join("verdict.json").display())
        .map_err(|error| error.to_string())?;
    drop(lifeline);
    let began = Instant::now();
    // Its end closes its standard output.
    judge.stdout.take().unwrap().read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
    let status = judge.wait().map_err(|error| error.to_string())?;
    let left = folder.join("verdict.json").exists();
    fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    match (status.code(), left) {
        (Some(3), false) => Ok(()),
        _ => Err(format!("{status} after {:?}, verdict left: {left}", began.elapsed())),
    }
}
