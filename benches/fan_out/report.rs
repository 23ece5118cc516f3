//! All ways in turn, and what came of it as Markdown.

use crate::{
    LIMIT,
    ways::{Kind, WAYS},
};
use std::{collections::BTreeMap, env, error::Error, process::Command, time::Duration};

/// The program that does the same in asyncio.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/fan_out.py");

/// What was done, and what the columns are.
const HOW: &str = "\
Each item waits once (`yield_now`, `asyncio.sleep(0)`); limit LIMIT; a process for each measurement, the ways take turns, the
middle one counts. With the most items: the peak, which is what the process's memory grew by, results included, and the tasks
that were alive at once. In flight: calls at once, with 1,000 items. A dash: not measured, for it takes too long.";

/// A way that has taken so long in all with one number of items is not measured again with it, and with more of them not at
/// all if they would take as long: some ways take asyncio's ten seconds for a million, some grow with the square.
const LONG: Duration = Duration::from_secs(8);

/// One process's answer.
#[derive(Clone, Copy)]
struct Measured {
    nanoseconds: u64,
    kib: u64,
    tasks: u64,
    in_flight: u64,
}

/// What is known of one way with one number of items, a measurement a round.
type Rounds = BTreeMap<(String, usize, u64), Vec<Measured>>;

/// Measures all, and prints the tables.
pub(crate) fn print(sizes: &[(u64, usize)]) -> Result<(), Box<dyn Error>> {
    let peers = run(Command::new("python3").arg(PYTHON))?;
    let peers: Vec<&str> = peers.lines().collect();
    let mut rounds = Rounds::new();
    let program = env::current_exe()?;
    for (place, &(items, times)) in sizes.iter().enumerate() {
        let fewer = place.checked_sub(1).map(|place| sizes[place].0);
        let n = items.to_string();
        for round in 0..times {
            eprintln!("{items} items, round {} of {times}", round + 1);
            for threads in [1, 2] {
                for way in &WAYS {
                    let mut command = Command::new(&program);
                    command.args(["child", way.name, &threads.to_string(), &n]);
                    measure(&mut rounds, (way.name, threads, items), fewer, &mut command)?;
                }
            }
            for peer in &peers {
                let mut command = Command::new("python3");
                measure(&mut rounds, (peer, 1, items), fewer, command.args([PYTHON, peer, &n]))?;
            }
        }
    }
    let sizes: Vec<u64> = sizes.iter().map(|(items, _)| *items).collect();
    println!("# A fan-out over many items\n");
    println!("{}\n", machine()?);
    println!("{}", HOW.replace("LIMIT", &LIMIT.to_string()));
    for threads in [1, 2] {
        table(&rounds, &sizes, threads, &peers);
    }
    goal(&rounds, &sizes);
    against_python(&rounds, &sizes, &peers);
    Ok(())
}

/// One more measurement, unless it would take too long.
fn measure(
    rounds: &mut Rounds,
    (way, threads, items): (&str, usize, u64),
    fewer: Option<u64>,
    command: &mut Command,
) -> Result<(), Box<dyn Error>> {
    let taken = |items| {
        let measured = rounds.get(&(way.to_owned(), threads, items))?;
        Some(Duration::from_nanos(measured.iter().map(|measured| measured.nanoseconds).sum()))
    };
    // What was not measured with fewer items took too long with fewer still.
    let too_long = fewer.is_some_and(|fewer| taken(fewer).is_none_or(|taken| taken > LONG));
    if too_long || taken(items) > Some(LONG) {
        return Ok(());
    }
    let measured = measured(command)?;
    rounds.entry((way.to_owned(), threads, items)).or_default().push(measured);
    Ok(())
}

fn table(rounds: &Rounds, sizes: &[u64], threads: usize, peers: &[&str]) {
    println!("\n## {}\n", if threads == 1 { "One thread" } else { "Two threads" });
    let heads: Vec<String> = sizes.iter().map(|items| grouped(*items)).collect();
    println!("| | {} | peak | tasks | in flight |", heads.join(" | "));
    println!("|---|{}---:|---:|---:|", "---:|".repeat(sizes.len()));
    let kinds = [
        (Kind::TasksInOrder, "**tasks, bounded, a list in input order**"),
        (Kind::TasksStreamed, "**tasks, bounded, a stream**"),
        (Kind::TasksUnbounded, "**tasks, all at once**"),
        (Kind::FuturesInTurn, "**futures that one task polls in turn**"),
    ];
    for (kind, title) in kinds {
        println!("| {title} |{}", " |".repeat(sizes.len() + 3));
        for way in WAYS.iter().filter(|way| way.kind == kind) {
            row(rounds, sizes, threads, way.name);
        }
    }
    if threads == 1 {
        println!("| **asyncio** |{}", " |".repeat(sizes.len() + 3));
        for peer in peers {
            row(rounds, sizes, threads, peer);
        }
    }
}

fn row(rounds: &Rounds, sizes: &[u64], threads: usize, way: &str) {
    let of = |items: &u64| rounds.get(&(way.to_owned(), threads, *items)).cloned().unwrap_or_default();
    let each = |items: &u64| {
        let nanoseconds = middle(of(items).iter().map(|measured| measured.nanoseconds as f64));
        nanoseconds.map_or_else(|| "-".into(), |all| format!("{:.0} ns", all / *items as f64))
    };
    let times: Vec<String> = sizes.iter().map(each).collect();
    let most = sizes.last().map(of).unwrap_or_default();
    let peak = middle(most.iter().map(|measured| measured.kib as f64));
    let peak = peak.map_or_else(|| "-".into(), |kib| format!("{:.1} MiB", kib / 1024.0));
    let tasks = most.iter().map(|measured| measured.tasks).max();
    let in_flight = sizes.iter().flat_map(of).map(|measured| measured.in_flight).max().unwrap_or_default();
    let tasks = tasks.map_or_else(|| "-".into(), grouped);
    println!("| {way} | {} | {peak} | {tasks} | {} |", times.join(" | "), grouped(in_flight));
}

/// What this crate adds to the best that one would write with tasks, in the same round.
fn goal(rounds: &Rounds, sizes: &[u64]) {
    println!("\n## Next to the best by hand\n");
    println!("The middle of the ratios within a round.\n");
    let pairs = [
        ("gather", "JoinSet, refilled by hand"),
        ("bounded::in_input_order", "buffered, over JoinHandles"),
        ("bounded::as_completed", "buffered, over JoinHandles"),
    ];
    let heads: Vec<String> = sizes.iter().map(|items| grouped(*items)).collect();
    println!("| | threads | {} |", heads.join(" | "));
    println!("|---|---|{}", "---:|".repeat(sizes.len()));
    for (way, best) in pairs {
        for threads in [1, 2] {
            let ratios: Vec<String> =
                sizes.iter().map(|items| ratio(rounds, (way, threads), (best, threads), *items, 2)).collect();
            println!("| {way} / {best} | {threads} | {} |", ratios.join(" | "));
        }
    }
}

fn against_python(rounds: &Rounds, sizes: &[u64], peers: &[&str]) {
    println!("\n## asyncio next to `gather` on one thread\n");
    println!("How many times as long asyncio takes.\n");
    let heads: Vec<String> = sizes.iter().map(|items| grouped(*items)).collect();
    println!("| | {} |", heads.join(" | "));
    println!("|---|{}", "---:|".repeat(sizes.len()));
    for peer in peers {
        let ratios: Vec<String> =
            sizes.iter().map(|items| ratio(rounds, (peer, 1), ("gather", 1), *items, 0)).collect();
        println!("| {peer} | {} |", ratios.join(" | "));
    }
}

fn ratio(rounds: &Rounds, way: (&str, usize), other: (&str, usize), items: u64, digits: usize) -> String {
    let of = |(name, threads): (&str, usize)| {
        rounds.get(&(name.to_owned(), threads, items)).cloned().unwrap_or_default()
    };
    let pairs = of(way).into_iter().zip(of(other));
    let ratio = middle(pairs.map(|(way, other)| way.nanoseconds as f64 / other.nanoseconds as f64));
    ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.digits$}"))
}

fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn measured(command: &mut Command) -> Result<Measured, Box<dyn Error>> {
    let told = run(command)?;
    let numbers: Vec<u64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [nanoseconds, kib, tasks, in_flight] = numbers[..] else {
        return Err(format!("not four numbers: {told}").into());
    };
    Ok(Measured { nanoseconds, kib, tasks, in_flight })
}

fn run(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Where and with what this was measured.
fn machine() -> Result<String, Box<dyn Error>> {
    let told = |program: &str, words: &[&str]| {
        Ok::<_, Box<dyn Error>>(run(Command::new(program).args(words))?.trim().to_owned())
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cpu = cpu.trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism()?;
    let (date, rustc, python) =
        (told("date", &["-u", "+%F"])?, told("rustc", &["--version"])?, told("python3", &["--version"])?);
    Ok(format!("{date}, {cores} cores of {cpu}, {}, {python}.", rustc.split(" (").next().unwrap_or(&rustc)))
}

/// 1000000 as 1,000,000.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
