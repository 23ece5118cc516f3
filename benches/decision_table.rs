//! The decision table of the book, measured: for each row the mechanism that it recommends against the one that it warns of.
//!
//! Run with: `cargo bench -p benches --bench decision_table`, which prints the tables; with `-- --record` it writes them to
//! `benches/results/decision-table.md` as well, from where the book includes them. It takes about a minute.
//!
//! Both sides of a row take turns in one run, and the middle of the rounds is printed: what else the machine does hits both.
//! Peak memory, start-up and crashes are measured in processes of their own, which are this program again (`--child`).

#![expect(clippy::disallowed_methods, reason = "half of what is measured is what one should not do")]

use common::upstream::{Response, Upstream};
use concurrency::{Bulkhead, gather};
use futures_util::future::join_all;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    io,
    num::NonZeroUsize,
    panic::catch_unwind,
    process::Command,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc as std_mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, lookup_host},
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::{JoinSet, spawn_blocking, yield_now},
    time::{MissedTickBehavior, interval, sleep},
};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| arguments.iter().position(|argument| argument == flag);
    if let Some(child) = after("--child").and_then(|at| arguments.get(at + 1)) {
        return child_process(child);
    }
    // `cargo test --all-targets` starts it, too, without this.
    if after("--bench").is_none() {
        return Ok(());
    }
    let began = Instant::now();
    let report = report()?;
    println!("{report}");
    eprintln!("measured in {:.0} s", began.elapsed().as_secs_f64());
    if after("--record").is_some() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/results/decision-table.md"), report)?;
    }
    Ok(())
}

/// One row: what was done, and what came of it either way.
struct Row {
    work: &'static str,
    case: &'static str,
    take: String,
    not: String,
}

/// Anchors are link definitions, which no rendering shows.
fn report() -> io::Result<String> {
    let mut out = String::from("# The decision table, measured\n\n[_]: ANCHOR:machine\n\n");
    out += &machine()?;
    out += "\n\n[_]: ANCHOR_END:machine\n";
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let waits = vec![
        few_calls(&runtime),
        fan_out()?,
        one_client(&runtime)?,
        a_pool(&runtime)?,
        slow_reader()?,
        outlives(&runtime),
    ];
    let computes = vec![in_parts(&runtime), borrowed(&runtime), one_model(&runtime), native_code()?];
    let blocks = vec![behind_a_full_pool()?, many_files(&runtime)?, endless_loop()?, command_line_tool()?];
    for (anchor, rows) in [("waits", waits), ("computes", computes), ("blocks", blocks)] {
        writeln!(out, "\n[_]: ANCHOR:{anchor}\n\n| Work | Measured | Use | Not |\n|---|---|---|---|").ok();
        for Row { work, case, take, not } in rows {
            writeln!(out, "| {work} | {case} | {take} | {not} |").ok();
        }
        writeln!(out, "\n[_]: ANCHOR_END:{anchor}").ok();
    }
    out += "\n[_]: ANCHOR:hop\n\n";
    out += &hand_over(&runtime);
    out += "\n[_]: ANCHOR_END:hop\n\n[_]: ANCHOR:late\n\n";
    out += &late(&runtime);
    out += "\n[_]: ANCHOR_END:late\n";
    // Whatever still sleeps on a thread is not waited for.
    runtime.shutdown_background();
    Ok(out)
}

// How it is measured.

/// The middle of so many rounds in which both take turns.
fn take_turns(
    rounds: usize,
    mut take: impl FnMut() -> Duration,
    mut not: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who comes first changes, too.
        if round % 2 == 0 {
            ours.push(take());
            theirs.push(not());
        } else {
            theirs.push(not());
            ours.push(take());
        }
    }
    (middle(ours), middle(theirs))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// Runs it in a task, on a worker thread, as a server's handler does.
fn inside<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = T> + Send + 'static) -> T {
    runtime.block_on(runtime.spawn(work)).expect("it does not panic")
}

/// Computes for as long as an undisturbed thread takes that time for. A number of turns and not a time: a thread that has
/// no processor does not get anything done meanwhile.
fn compute(time: Duration) -> u64 {
    static TURNS_PER_MICRO: OnceLock<f64> = OnceLock::new();
    let spin =
        |turns: u64| (0..turns).fold(1_u64, |n, turn| black_box(n.wrapping_mul(31).wrapping_add(turn)));
    let per_micro = TURNS_PER_MICRO.get_or_init(|| {
        let fastest = (0..50).map(|_| timed(|| spin(20_000))).min().unwrap_or_default();
        20_000.0 / (fastest.as_secs_f64() * 1e6)
    });
    spin((time.as_secs_f64() * 1e6 * per_micro) as u64)
}

/// With two digits that say something: "4.2 µs", "42 µs", "420 µs".
fn told(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    match value {
        v if v < 9.95 => format!("{v:.1} {unit}"),
        v if v < 99.5 => format!("{v:.0} {unit}"),
        v => format!("{:.0} {unit}", (v / 10.0).round() * 10.0),
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn limit(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("limits are not zero")
}

/// What this program prints as a child.
fn child(name: &str) -> io::Result<(String, Duration)> {
    let start = Instant::now();
    let output = Command::new(std::env::current_exe()?).args(["--child", name]).output()?;
    let took = start.elapsed();
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((if output.status.success() { printed } else { output.status.to_string() }, took))
}

/// What the command-line tool does.
fn plain() {
    println!("{}", fs::read_to_string("/etc/hostname").map_or(0, |name| name.len()));
}

fn child_process(name: &str) -> io::Result<()> {
    let runtime = || Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let start = Instant::now();
    match name {
        "join_all" => runtime()?.block_on(async { drop(join_all((0..ITEMS).map(call)).await) }),
        "gather" => runtime()?.block_on(async { drop(gather(0..ITEMS, limit(64), call).await) }),
        "bounded" => runtime()?.block_on(stream_through_a_bounded_channel()),
        "unbounded" => runtime()?.block_on(stream_through_an_unbounded_channel()),
        // As a call does whose caller hopes to survive it.
        "abort" => drop(catch_unwind(|| std::process::abort())),
        "plain" => plain(),
        "runtime" => runtime()?.block_on(async { plain() }),
        _ => {}
    }
    if ["join_all", "gather", "bounded", "unbounded"].contains(&name) {
        println!("{}, {}", told(start.elapsed()), peak_memory());
    }
    Ok(())
}

/// The most that this process had in memory, where the system tells.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak = peak.and_then(|kilobytes| kilobytes.parse::<f64>().ok());
    peak.map_or_else(|| String::from("memory unknown"), |kb| format!("{:.0} MB at most", kb / 1024.0))
}

fn machine() -> io::Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| String::from("an unknown processor"));
    let model = model.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let is_virtual = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    let kind = if is_virtual { "a virtual machine with" } else { "a machine with" };
    let cores = thread::available_parallelism()?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let rustc = Command::new("rustc").arg("--version").output()?;
    let rustc = String::from_utf8_lossy(&rustc.stdout);
    let rustc = rustc.split(' ').nth(1).unwrap_or("?");
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        after.split('"').next()
    };
    Ok(format!(
        "Measured on {} with `cargo bench -p benches --bench decision_table -- --record`: {kind} {cores} cores of an {model}, \
         rustc {rustc}, tokio {}, rayon {}, reqwest {}; a runtime with two workers; the load of the machine was {load} when it \
         began. Compare within a row: another machine gives other times.",
        today(),
        version("tokio").unwrap_or("?"),
        version("rayon").unwrap_or("?"),
        version("reqwest").unwrap_or("?"),
    ))
}

/// Like "2026-11-22". The arithmetic is that of Howard Hinnant's `civil_from_days`.
fn today() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let days = since.as_secs() / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

// Work that waits.

fn few_calls(runtime: &Runtime) -> Row {
    const TURNS: u32 = 2000;
    async fn ask(what: &str) -> usize {
        yield_now().await;
        what.len()
    }
    let joined = || {
        inside(runtime, async {
            let what = String::from("a request");
            let start = Instant::now();
            for _ in 0..TURNS {
                black_box(tokio::join!(ask(&what), ask(&what), ask(&what)));
            }
            start.elapsed() / TURNS
        })
    };
    let spawned = || {
        inside(runtime, async {
            let what: Arc<str> = Arc::from("a request");
            let start = Instant::now();
            for _ in 0..TURNS {
                let tasks = [(); 3].map(|()| {
                    let what = what.clone();
                    tokio::spawn(async move { ask(&what).await })
                });
                for task in tasks {
                    black_box(task.await.expect("it does not panic"));
                }
            }
            start.elapsed() / TURNS
        })
    };
    let (take, not) = take_turns(15, joined, spawned);
    Row {
        work: "a few calls",
        case: "three calls that wait once each",
        take: format!("`join!`: {}", told(take)),
        not: format!("`spawn` and `Arc`: {}", told(not)),
    }
}

const ITEMS: u32 = 100_000;

/// Waits for a millisecond with a request of a kilobyte in hand.
async fn call(n: u32) -> Result<u32, ()> {
    let request = [n as u8; 1024];
    sleep(ms(1)).await;
    Ok(u32::from(black_box(&request)[7]))
}

fn fan_out() -> io::Result<Row> {
    Ok(Row {
        work: "many calls",
        case: "100,000 calls of 1 ms, 1 kB each, nobody refuses",
        take: format!("`gather`, 64 at once: {}", child("gather")?.0),
        not: format!(
            "`join_all`: {}, and 100,000 calls at once for whoever serves them",
            child("join_all")?.0
        ),
    })
}

fn one_client(runtime: &Runtime) -> io::Result<Row> {
    const CALLS: u32 = 400;
    let run = |shared: bool| -> io::Result<(Duration, usize)> {
        runtime.block_on(async {
            let upstream = Upstream::start([("/", Response::new(200, "{}"))]).await?;
            let (client, url) = (reqwest::Client::new(), upstream.url("/"));
            let start = Instant::now();
            let settled = gather(0..CALLS, limit(8), |_| {
                let client = if shared { client.clone() } else { reqwest::Client::new() };
                let url = url.clone();
                async move { client.get(url).send().await?.bytes().await }
            })
            .await;
            assert!(settled.iter().all(concurrency::Settled::is_ok), "every call is answered");
            Ok((start.elapsed() / CALLS, upstream.connections()))
        })
    };
    let (mut connections, mut of_their_own) = (0, 0);
    let mut failed = None;
    let mut turn = |shared: bool| match run(shared) {
        Ok((time, count)) => {
            *(if shared { &mut connections } else { &mut of_their_own }) = count;
            time
        }
        Err(error) => {
            failed = Some(error);
            Duration::ZERO
        }
    };
    let (mut take, mut not) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        take.push(turn(true));
        not.push(turn(false));
    }
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(Row {
        work: "HTTP calls",
        case: "400 calls to a server next door, no TLS, 8 at once",
        take: format!("one client: {} a call, {connections} connections", told(middle(take))),
        not: format!("a client each: {} a call, {of_their_own} connections", told(middle(not))),
    })
}

/// Stands for a database: a log-in takes two round trips, a query one.
async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.spawn(async move {
            let mut message = [0; 64];
            while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
        });
    }
}

async fn round_trips(stream: &mut TcpStream, count: u32) -> io::Result<()> {
    let mut message = [7; 64];
    for _ in 0..count {
        stream.write_all(&message).await?;
        stream.read_exact(&mut message).await?;
    }
    Ok(())
}

fn a_pool(runtime: &Runtime) -> io::Result<Row> {
    const QUERIES: u32 = 300;
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let address = listener.local_addr()?;
    let server = runtime.spawn(serve(listener));
    let connect = async move || -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        round_trips(&mut stream, 2).await?;
        Ok(stream)
    };
    let kept = || {
        runtime.block_on(async {
            let mut stream = connect().await.expect("the server is here");
            let start = Instant::now();
            for _ in 0..QUERIES {
                round_trips(&mut stream, 1).await.expect("the server is here");
            }
            start.elapsed() / QUERIES
        })
    };
    let fresh = || {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..QUERIES {
                let mut stream = connect().await.expect("the server is here");
                round_trips(&mut stream, 1).await.expect("the server is here");
            }
            start.elapsed() / QUERIES
        })
    };
    let (take, not) = take_turns(7, kept, fresh);
    server.abort();
    Ok(Row {
        work: "database queries",
        case: "a query of one round trip to a stand-in next door, two for a log-in, no TLS",
        take: format!("a connection from a pool: {}", told(take)),
        not: format!("a connection each: {}", told(not)),
    })
}

const MESSAGES: u32 = 100_000;

/// Takes 5 µs for each message of a kilobyte.
async fn stream_through_a_bounded_channel() {
    let (send, mut receive) = mpsc::channel::<Vec<u8>>(64);
    let sender = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            drop(send.send(vec![7; 1024]).await);
        }
    });
    while let Some(message) = receive.recv().await {
        black_box(message);
        compute(Duration::from_micros(5));
    }
    drop(sender.await);
}

async fn stream_through_an_unbounded_channel() {
    let (send, mut receive) = mpsc::unbounded_channel::<Vec<u8>>();
    let sender = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            drop(send.send(vec![7; 1024]));
        }
    });
    while let Some(message) = receive.recv().await {
        black_box(message);
        compute(Duration::from_micros(5));
    }
    drop(sender.await);
}

fn slow_reader() -> io::Result<Row> {
    Ok(Row {
        work: "an event stream",
        case: "100,000 messages of 1 kB, a reader that takes 5 µs for each",
        take: format!("a channel for 64: {}", child("bounded")?.0),
        not: format!("an unbounded one: {}", child("unbounded")?.0),
    })
}

fn outlives(runtime: &Runtime) -> Row {
    async fn job(n: u32) -> Result<(), u32> {
        yield_now().await;
        if n.is_multiple_of(10) { Err(n) } else { Ok(()) }
    }
    let heard = runtime.block_on(async {
        let mut jobs: JoinSet<_> = (0..100).map(job).collect();
        let mut heard = 0;
        while let Some(ended) = jobs.join_next().await {
            heard += u32::from(!matches!(ended, Ok(Ok(()))));
        }
        heard
    });
    // Nobody has the handle: there is nothing to count.
    runtime.block_on(async { (0..100).for_each(|n| drop(tokio::spawn(job(n)))) });
    Row {
        work: "work that outlives its request",
        case: "100 jobs, of which 10 fail",
        take: format!("a set that is joined: {heard} failures heard of"),
        not: String::from("bare `spawn`: 0"),
    }
}

// Work that computes.

fn hand_over(runtime: &Runtime) -> String {
    let mut out = String::from(
        "| Computing for | in place | `spawn_blocking` | `Bulkhead::run` |\n|---|---|---|---|\n",
    );
    compute(ms(1));
    let sizes = [(0, 4000), (1, 4000), (10, 2000), (100, 500), (1000, 60), (10_000, 12)];
    for (micros, turns) in sizes {
        let work = Duration::from_micros(micros);
        let one = |kind: u8| {
            inside(runtime, async move {
                let bulkhead = Bulkhead::new(limit(1), 0);
                let start = Instant::now();
                for _ in 0..turns {
                    match kind {
                        0 => drop(black_box(compute(work))),
                        1 => drop(black_box(spawn_blocking(move || compute(work)).await)),
                        _ => drop(black_box(bulkhead.run(move |_| compute(work)).await)),
                    }
                }
                start.elapsed() / turns
            })
        };
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..7 {
            for (kind, times) in (0..).zip(&mut times) {
                times.push(one(kind));
            }
        }
        let [inline, raw, bounded] = times.map(middle);
        let times = |time: Duration| {
            let times = time.as_secs_f64() / inline.as_secs_f64();
            if micros == 0 { String::new() } else { format!(" ({times:.1} times)") }
        };
        let name = if micros == 0 { String::from("nothing") } else { told(work) };
        let (raw, bounded) = (told(raw) + &times(raw), told(bounded) + &times(bounded));
        writeln!(out, "| {name} | {} | {raw} | {bounded} |", told(inline)).ok();
    }
    out
}

fn in_parts(runtime: &Runtime) -> Row {
    const PARTS: u32 = 10_000;
    let part = Duration::from_micros(2);
    let by_rayon = || {
        inside(runtime, async move {
            let start = Instant::now();
            let (reply, sum) = oneshot::channel();
            rayon::spawn(move || {
                // A panic in here would end the process.
                let sum = catch_unwind(|| (0..PARTS).into_par_iter().map(|_| compute(part) & 1).sum::<u64>());
                drop(reply.send(sum));
            });
            assert!(sum.await.is_ok_and(|sum| sum.is_ok()), "it gives a sum");
            start.elapsed()
        })
    };
    let peak = Arc::new(AtomicUsize::new(0));
    let by_hops = || {
        let peak = peak.clone();
        inside(runtime, async move {
            let alive = Arc::new(AtomicUsize::new(0));
            let start = Instant::now();
            let mut parts = JoinSet::new();
            for _ in 0..PARTS {
                let (alive, peak) = (alive.clone(), peak.clone());
                parts.spawn_blocking(move || {
                    peak.fetch_max(alive.fetch_add(1, SeqCst) + 1, SeqCst);
                    let sum = compute(part) & 1;
                    alive.fetch_sub(1, SeqCst);
                    sum
                });
            }
            black_box(parts.join_all().await);
            start.elapsed()
        })
    };
    let (take, not) = take_turns(9, by_rayon, by_hops);
    Row {
        work: "a lot, in parts",
        case: "10,000 parts of 2 µs",
        take: format!("rayon, and a `oneshot`: {}", told(take)),
        not: format!(
            "a `spawn_blocking` each: {}, on up to {} threads at once",
            told(not),
            peak.load(SeqCst)
        ),
    }
}

fn borrowed(runtime: &Runtime) -> Row {
    let numbers: Arc<Mutex<Vec<u64>>> = Arc::new(Mutex::new((0..4_000_000).collect()));
    let scoped = || {
        let numbers = numbers.clone();
        inside(runtime, async move {
            let start = Instant::now();
            let sum = spawn_blocking(move || {
                let numbers = numbers.lock().expect("not poisoned");
                let (left, right) = numbers.split_at(numbers.len() / 2);
                thread::scope(|scope| {
                    let left = scope.spawn(|| left.iter().sum::<u64>());
                    right.iter().sum::<u64>() + left.join().expect("it does not panic")
                })
            });
            black_box(sum.await.expect("it does not panic"));
            start.elapsed()
        })
    };
    let copied = || {
        let numbers = numbers.clone();
        inside(runtime, async move {
            let start = Instant::now();
            let halves = {
                let numbers = numbers.lock().expect("not poisoned");
                let (left, right) = numbers.split_at(numbers.len() / 2);
                [left.to_vec(), right.to_vec()]
            };
            let sums = halves.map(|half| spawn_blocking(move || half.iter().sum::<u64>()));
            for sum in sums {
                black_box(sum.await.expect("it does not panic"));
            }
            start.elapsed()
        })
    };
    let (take, not) = take_turns(9, scoped, copied);
    Row {
        work: "borrowed data",
        case: "the sum of 32 MB, in two halves",
        take: format!("`thread::scope` in one `spawn_blocking`: {}", told(take)),
        not: format!("copies, since a task must own what it has: {}", told(not)),
    }
}

/// A model that takes 200 µs for a batch, and 10 µs for each item in it.
fn predict(batch: usize) {
    compute(Duration::from_micros(200 + 10 * batch as u64));
}

fn one_model(runtime: &Runtime) -> Row {
    const CALLERS: usize = 16;
    const EACH: u32 = 25;
    let in_batches = || {
        inside(runtime, async {
            let (send, mut receive) = mpsc::channel::<oneshot::Sender<()>>(64);
            let owner = thread::spawn(move || {
                while let Some(first) = receive.blocking_recv() {
                    let mut batch = vec![first];
                    while batch.len() < CALLERS
                        && let Ok(next) = receive.try_recv()
                    {
                        batch.push(next);
                    }
                    predict(batch.len());
                    for reply in batch {
                        reply.send(()).ok();
                    }
                }
            });
            let start = Instant::now();
            let mut callers = JoinSet::new();
            for _ in 0..CALLERS {
                let send = send.clone();
                callers.spawn(async move {
                    for _ in 0..EACH {
                        let (reply, answer) = oneshot::channel();
                        drop(send.send(reply).await);
                        drop(answer.await);
                    }
                });
            }
            callers.join_all().await;
            let took = start.elapsed();
            drop(send);
            owner.join().expect("it does not panic");
            took
        })
    };
    let one_by_one = || {
        inside(runtime, async {
            let model = Arc::new(Mutex::new(()));
            let start = Instant::now();
            let mut callers = JoinSet::new();
            for _ in 0..CALLERS {
                let model = model.clone();
                callers.spawn(async move {
                    for _ in 0..EACH {
                        let model = model.clone();
                        let answer = spawn_blocking(move || {
                            let _held = model.lock().expect("not poisoned");
                            predict(1);
                        });
                        answer.await.expect("it does not panic");
                    }
                });
            }
            callers.join_all().await;
            start.elapsed()
        })
    };
    let (take, not) = take_turns(5, in_batches, one_by_one);
    let rate = |time: Duration| CALLERS as f64 * f64::from(EACH) / time.as_secs_f64();
    Row {
        work: "model inference",
        case: "16 callers; a batch takes 200 µs, and 10 µs an item",
        take: format!("one thread, batches: {:.0} answers a second", rate(take)),
        not: format!("a mutex around the model: {:.0}", rate(not)),
    }
}

fn native_code() -> io::Result<Row> {
    let mut starts = Vec::new();
    for _ in 0..15 {
        starts.push(child("nothing")?.1);
    }
    Ok(Row {
        work: "code that may crash",
        case: "a call that aborts",
        take: format!(
            "a process: whoever called is told \"{}\"; {} to start and to end one",
            child("abort")?.0,
            told(middle(starts))
        ),
        not: String::from("`catch_unwind`: it was around that call, and its process has ended"),
    })
}

// Work that blocks.

fn behind_a_full_pool() -> io::Result<Row> {
    const CALLS: usize = 600;
    let run = |bounded: bool| -> io::Result<Duration> {
        // One of its own: the threads that it starts would stay for the next row.
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let waited = runtime.block_on(async {
            let bulkhead = Bulkhead::new(limit(8), CALLS);
            let mut calls = JoinSet::new();
            for _ in 0..CALLS {
                let bulkhead = bulkhead.clone();
                let slow = || thread::sleep(ms(200));
                calls.spawn(async move {
                    if bounded {
                        drop(bulkhead.run(move |_| slow()).await);
                    } else {
                        drop(spawn_blocking(slow).await);
                    }
                });
            }
            // By now all of them have asked for a thread.
            sleep(ms(100)).await;
            let start = Instant::now();
            let found = lookup_host(("localhost", 80)).await.map(|mut found| found.next());
            let waited = start.elapsed();
            found.map(|_| waited)
        });
        runtime.shutdown_background();
        waited
    };
    let (mut take, mut not) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        take.push(run(true)?);
        not.push(run(false)?);
    }
    Ok(Row {
        work: "a library without async twin",
        case: "600 calls of 200 ms are under way, and somebody looks up a name",
        take: format!("8 at once: it takes {}", told(middle(take))),
        not: format!("a raw `spawn_blocking` each: it takes {}", told(middle(not))),
    })
}

fn many_files(runtime: &Runtime) -> io::Result<Row> {
    const FILES: u32 = 1000;
    let folder = std::env::temp_dir().join(format!("decision-table-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let paths: Arc<[_]> = (0..FILES).map(|n| folder.join(format!("{n}.txt"))).collect();
    for path in paths.iter() {
        fs::write(path, "a file")?;
    }
    let one_hop = || {
        let paths = paths.clone();
        inside(runtime, async move {
            let start = Instant::now();
            let sizes = spawn_blocking(move || {
                paths.iter().map(|path| fs::metadata(path).map_or(0, |file| file.len())).sum::<u64>()
            });
            assert_eq!(sizes.await.ok(), Some(6 * u64::from(FILES)));
            start.elapsed() / FILES
        })
    };
    // What `tokio::fs` does for each of its calls.
    let a_hop_each = || {
        let paths = paths.clone();
        inside(runtime, async move {
            let (start, mut sizes) = (Instant::now(), 0);
            for path in paths.iter().cloned() {
                let size = spawn_blocking(move || fs::metadata(path).map_or(0, |file| file.len()));
                sizes += size.await.unwrap_or_default();
            }
            assert_eq!(sizes, 6 * u64::from(FILES));
            start.elapsed() / FILES
        })
    };
    let (take, not) = take_turns(9, one_hop, a_hop_each);
    fs::remove_dir_all(folder)?;
    Ok(Row {
        work: "many files",
        case: "the sizes of 1000 files",
        take: format!("one `spawn_blocking` for all: {} a file", told(take)),
        not: format!("one for each, as `tokio::fs` does: {} a file", told(not)),
    })
}

fn endless_loop() -> io::Result<Row> {
    let run = |own: bool| -> io::Result<Duration> {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (stop, (here, came)) = (Arc::new(AtomicBool::new(false)), std_mpsc::channel());
        let stopped = stop.clone();
        let until = Instant::now() + ms(300);
        let device = move || {
            here.send(()).ok();
            while !stopped.load(SeqCst) && Instant::now() < until {
                thread::sleep(ms(1));
            }
        };
        let thread = if own {
            Some(thread::spawn(device))
        } else {
            runtime.block_on(async { drop(spawn_blocking(device)) });
            None
        };
        came.recv().ok();
        let took = timed(|| drop(runtime));
        stop.store(true, SeqCst);
        if let Some(thread) = thread {
            thread.join().map_err(|_| io::Error::other("the device's thread panicked"))?;
        }
        Ok(took)
    };
    Ok(Row {
        work: "an endless loop",
        case: "the runtime is dropped; the loop would end 300 ms later",
        take: format!("a thread of its own: dropped in {}", told(run(true)?)),
        not: format!("`spawn_blocking`: in {}, and without that end never", told(run(false)?)),
    })
}

fn command_line_tool() -> io::Result<Row> {
    let (mut take, mut not) = (Vec::new(), Vec::new());
    for _ in 0..51 {
        take.push(child("plain")?.1);
        not.push(child("runtime")?.1);
    }
    Ok(Row {
        work: "a command-line tool",
        case: "start, read a file, print, end",
        take: format!("plain Rust: {}", told(middle(take))),
        not: format!("with a runtime around it: {}", told(middle(not))),
    })
}

/// How late a ticker comes, at most, while workers are blocked.
fn late(runtime: &Runtime) -> String {
    let mut out =
        String::from("| Blocked for 150 ms | a tick that is due every 5 ms comes late by |\n|---|---|\n");
    for (blocked, name) in [(0, "no worker"), (1, "one of two workers"), (2, "both workers")] {
        let mut rounds = Vec::new();
        for _ in 0..5 {
            rounds.push(inside(runtime, async move {
                let ticker = tokio::spawn(async {
                    let mut ticks = interval(ms(5));
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                    let mut latest = Duration::ZERO;
                    for _ in 0..50 {
                        latest = latest.max(ticks.tick().await.elapsed());
                    }
                    latest
                });
                sleep(ms(20)).await;
                let blocking: Vec<_> =
                    (0..blocked).map(|_| tokio::spawn(async { thread::sleep(ms(150)) })).collect();
                for task in blocking {
                    drop(task.await);
                }
                ticker.await.unwrap_or_default()
            }));
        }
        writeln!(out, "| {name} | {} |", told(middle(rounds))).ok();
    }
    out
}
