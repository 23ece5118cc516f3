//! What is verified on any answer to `shared_state`.

use common::{
    Backend, Recorder, Trace, Verdict,
    backend::{FetchError, Outcome},
    draw::time,
    verdict::{Finding, Kind},
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use std::{future::ready, panic::AssertUnwindSafe, time::Duration};
use testing::{
    Case, Checked,
    case::{breaks, verdict, without_folders},
    every_await,
};
use tokio::time::{sleep, timeout};

type Moved = Result<bool, FetchError>;

/// A bank, as its customers see it.
pub(crate) struct Bank {
    pub(crate) transfer: Box<dyn Fn(u32, usize, usize, i64) -> BoxFuture<'static, Moved> + Send + Sync>,
    pub(crate) balance: Box<dyn Fn(usize) -> BoxFuture<'static, i64> + Send + Sync>,
}

/// Opens one.
type Open<'a> = &'a dyn Fn(Backend, Vec<i64>) -> Bank;

/// Opens the banks of a module.
macro_rules! banks {
    ($($module:ident)::+) => {
        &|clearing, balances| {
            let bank = std::sync::Arc::new($($module)::+::Bank::new(clearing, balances));
            let same = bank.clone();
            check::Bank {
                transfer: Box::new(move |id, from, to, cents| {
                    let bank = bank.clone();
                    Box::pin(async move { bank.transfer(id, from, to, cents).await })
                }),
                balance: Box::new(move |account| {
                    let bank = same.clone();
                    Box::pin(async move { bank.balance(account).await })
                }),
            }
        }
    };
}
pub(crate) use banks;

/// Holds an answer against the rules of the exercise.
pub(crate) fn check(open: Open<'_>) -> Verdict {
    verdict(|| {
        one_after_another(open)?;
        for after in [5, 15] {
            dropped(open, ms(after))?;
        }
        for kept in [(0, 1), (1, 0)] {
            dropped_beside_another(open, kept)?;
        }
        panics(open)?;
        dropped_at_every_await(open)?;
        to_itself(open)?;
        for rush in rushes() {
            at_once(open, &rush)?;
        }
        meet(open)?;
        for rush in rushes() {
            under_every_schedule(open, &rush)?;
        }
        Ok(())
    })
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Transfers that begin at once, or a little later: when, id, from, to, cents.
struct Rush {
    name: &'static str,
    balances: Vec<i64>,
    transfers: Vec<(u64, u32, usize, usize, i64)>,
    /// Those about which the clearing house says no, after 20 ms.
    refused: Vec<u32>,
    /// What each may give. Whether one waits for another's money or does without is the answer's own affair.
    may: Vec<Vec<Option<bool>>>,
}

fn rushes() -> Vec<Rush> {
    let (yes, no, error) = (Some(true), Some(false), None);
    let only = |each: &[Option<bool>]| each.iter().map(|one| vec![*one]).collect();
    vec![
        Rush {
            name: "two transfers in opposite directions",
            balances: vec![100, 100],
            transfers: vec![(0, 1, 0, 1, 30), (0, 2, 1, 0, 50)],
            refused: vec![],
            may: only(&[yes, yes]),
        },
        Rush {
            name: "three transfers in a circle, each of all that there is",
            balances: vec![100, 100, 100],
            transfers: vec![(0, 1, 0, 1, 100), (0, 2, 1, 2, 100), (0, 3, 2, 0, 100)],
            refused: vec![],
            may: only(&[yes, yes, yes]),
        },
        Rush {
            name: "three transfers of 80 from an account of 100",
            balances: vec![100, 0, 0, 0],
            transfers: vec![(0, 1, 0, 1, 80), (0, 2, 0, 2, 80), (0, 3, 0, 3, 80)],
            refused: vec![],
            may: vec![vec![yes, no]; 3],
        },
        Rush {
            name: "money that is spent before it is cleared, and then it is not",
            balances: vec![100, 0, 0],
            transfers: vec![(0, 1, 0, 1, 80), (5, 2, 1, 2, 80)],
            refused: vec![1],
            may: only(&[error, no]),
        },
        Rush {
            name: "one transfer is refused, the other two are not",
            balances: vec![100, 100, 100],
            transfers: vec![(0, 1, 0, 1, 30), (0, 2, 0, 2, 40), (0, 3, 2, 1, 50)],
            refused: vec![2],
            may: only(&[yes, error, yes]),
        },
    ]
}

/// What came of it.
struct Seen {
    moved: Vec<Moved>,
    balances: Vec<i64>,
    /// Transfers about which the clearing house was asked.
    asked: Vec<u32>,
    /// Whether each account's money could all be spent afterwards, and then again by who got it.
    spent: Vec<(bool, bool)>,
    /// What was recorded before that.
    trace: Trace,
}

impl Bank {
    async fn balances(&self, count: usize) -> Vec<i64> {
        let mut balances = Vec::new();
        for account in 0..count {
            balances.push((self.balance)(account).await);
        }
        balances
    }

    /// Waits until nothing is under way any more, looks at the accounts, and then spends all that is on each.
    async fn look(&self, recorder: &Recorder, clearing: &Backend, moved: Vec<Moved>, count: usize) -> Seen {
        // A transfer that goes on without its caller gets the time to end.
        sleep(ms(200)).await;
        let trace = recorder.trace();
        let balances = self.balances(count).await;
        let asked = clearing.calls().iter().map(|call| call.id).collect();
        let mut spent = Vec::new();
        for (account, cents) in balances.iter().enumerate() {
            if *cents == 0 {
                spent.push((true, true));
                continue;
            }
            let to = (account + 1) % count;
            let out = (self.transfer)(LATER, account, to, *cents).await;
            let back = (self.transfer)(LATER, to, account, *cents).await;
            spent.push((out == Ok(true), back == Ok(true)));
        }
        Seen { moved, balances, asked, spent, trace }
    }
}

/// The id of the transfers with which the check itself looks afterwards.
const LATER: u32 = 1000;

const STUCK: &str = "every transfer ends, whoever goes the other way";

fn one_after_another(open: Open<'_>) -> Checked {
    let case = Case::run(
        "transfers one after another: 30 of 100, then 80, then 20 that are refused",
        async |recorder: Recorder| {
            let clearing = Backend::new(&recorder).on(3, ms(10), Outcome::Fail);
            let bank = open(clearing.clone(), vec![100, 0]);
            let mut moved = Vec::new();
            for (id, cents) in [(1, 30), (2, 80), (3, 20)] {
                moved.push((bank.transfer)(id, 0, 1, cents).await);
            }
            bank.look(&recorder, &clearing, moved, 2).await
        },
    )
    .map_err(breaks(Kind::Deadlock, "ends", STUCK))?;
    let Seen { moved, balances, asked, .. } = &case.value;
    let wanted = "moved, not enough money, refused; 70 and 30";
    let told = format!("{}; {} and {}", words(moved), balances[0], balances[1]);
    shown(&case, case.rule("moved", told == wanted, wanted, told))?;
    let right = *asked == [1, 3];
    let (wanted, told) =
        ("the clearing house is asked about transfers 1 and 3", format!("it is asked about {asked:?}"));
    shown(&case, case.rule("funded", right, wanted, told))?;
    shown(&case, usable(&case))
}

/// A customer who leaves in the middle.
fn dropped(open: Open<'_>, after: Duration) -> Checked {
    let name = format!(
        "a transfer of 40 out of 100, cleared after 20 ms; its customer leaves after {}",
        time(after)
    );
    let case = Case::run(name, async |recorder: Recorder| {
        let clearing = Backend::new(&recorder).latency(ms(20));
        let bank = open(clearing.clone(), vec![100, 50]);
        drop(timeout(after, recorder.lane("the customer", (bank.transfer)(1, 0, 1, 40))).await);
        bank.look(&recorder, &clearing, Vec::new(), 2).await
    })
    .map_err(breaks(Kind::Deadlock, "usable", "the accounts can be used when a customer has left"))?;
    shown(&case, whole_or_not(&case))?;
    shown(&case, usable(&case))
}

/// A customer who leaves while another transfer, out of the same account or into it, is begun before and cleared
/// after: what comes back is the one's money, and the other's stays as it is.
fn dropped_beside_another(open: Open<'_>, (from, to): (usize, usize)) -> Checked {
    for first in [1, 2] {
        let name = format!(
            "a transfer of 40 from 0 to 1 whose customer leaves, beside one of 30 from {from} to {to}; {first} begins first"
        );
        // Cleared before the customer leaves, or after.
        for clears in [10, 30] {
            let case = Case::run(name.clone(), async |recorder: Recorder| {
                let clearing =
                    Backend::new(&recorder).on(1, ms(50), Outcome::Reply).on(2, ms(clears), Outcome::Reply);
                let bank = open(clearing.clone(), vec![100, 50]);
                let leaves = async {
                    sleep(ms(if first == 1 { 0 } else { 5 })).await;
                    drop(timeout(ms(20), recorder.lane("the customer", (bank.transfer)(1, 0, 1, 40))).await);
                };
                let stays = async {
                    sleep(ms(if first == 2 { 0 } else { 5 })).await;
                    recorder.lane("the other", (bank.transfer)(2, from, to, 30)).await
                };
                let ((), moved) = tokio::join!(leaves, stays);
                bank.look(&recorder, &clearing, vec![moved], 2).await
            })
            .map_err(breaks(
                Kind::Deadlock,
                "usable",
                "the accounts can be used when a customer has left",
            ))?;
            let Seen { moved, balances, .. } = &case.value;
            shown(
                &case,
                case.rule("moved", *moved == [Ok(true)], "the other transfer is moved", words(moved)),
            )?;
            let mut stays = [100, 50];
            stays[from] -= 30;
            stays[to] += 30;
            let [a, b] = stays;
            shown(
                &case,
                case.rule(
                    "whole",
                    *balances == stays || *balances == [a - 40, b + 40],
                    format!("{a} and {b} on the accounts, or {} and {}: 150 in all", a - 40, b + 40),
                    format!("{} and {} on the accounts", balances[0], balances[1]),
                ),
            )?;
            shown(&case, usable(&case))?;
        }
    }
    Ok(())
}

/// The client of the clearing house has a bug.
fn panics(open: Open<'_>) -> Checked {
    let name = "a transfer of 40 out of 100, and the clearing house's client panics after 20 ms";
    let case = Case::run(name, async |recorder: Recorder| {
        let clearing = Backend::new(&recorder).on(1, ms(20), Outcome::Panic);
        let bank = open(clearing.clone(), vec![100, 50]);
        // It may go on in the caller or not: what matters here is the money.
        drop(AssertUnwindSafe((bank.transfer)(1, 0, 1, 40)).catch_unwind().await);
        bank.look(&recorder, &clearing, Vec::new(), 2).await
    })
    .map_err(breaks(Kind::Deadlock, "usable", "the accounts can be used after a panic"))
    .map_err(breaks(Kind::Panic, "usable", "the accounts can be used after a panic"))?;
    shown(&case, whole_or_not(&case))?;
    shown(&case, usable(&case))
}

fn dropped_at_every_await(open: Open<'_>) -> Checked {
    let setup = || {
        let recorder = Recorder::new("dropped at an await");
        let clearing = Backend::new(&recorder).latency(ms(20));
        // Tasks that a dropped transfer leaves to itself are no mistake here: that they end is what counts. As many as
        // these, which end at once, are not counted as left, so that no await is the last one at which it is dropped.
        for _ in 0..64 {
            drop(tokio::spawn(ready(())));
        }
        (open(clearing.clone(), vec![100, 50]), clearing, recorder)
    };
    let told = every_await(
        setup,
        |(bank, ..)| (bank.transfer)(1, 0, 1, 40),
        async |(bank, clearing, recorder)| {
            let Seen { balances, spent, .. } = bank.look(&recorder, &clearing, Vec::new(), 2).await;
            if balances != [100, 50] && balances != [60, 90] {
                return Err(format!(
                    "whole: {} and {} on the accounts, that had 150",
                    balances[0], balances[1]
                ));
            }
            if spent.iter().any(|(out, _)| !out) {
                Err(String::from("usable: some of it can't be spent"))
            } else {
                Ok(())
            }
        },
    );
    let Err(told) = told else { return Ok(()) };
    let rule = if told.contains("whole: ") { "whole" } else { "usable" };
    let finding = Finding {
        rule: Some(String::from(rule)),
        case: String::from("a transfer of 40 out of 100, dropped at each await in turn"),
        expected: String::from("100 and 50, or 60 and 90, and all of it can be spent"),
        seen: without_folders(&told).replace("whole: ", "").replace("usable: ", ""),
        trace: None,
    };
    Err(Box::new(Verdict::found(Kind::RuleBroken, finding)))
}

fn to_itself(open: Open<'_>) -> Checked {
    for (cents, wanted, asked_about) in
        [(40, "moved; 100 and 50", vec![1]), (140, "not enough money; 100 and 50", vec![])]
    {
        let name = format!("a transfer of {cents} from an account of 100 to itself");
        let case = Case::run(name, async |recorder: Recorder| {
            let clearing = Backend::new(&recorder);
            let bank = open(clearing.clone(), vec![100, 50]);
            let moved = (bank.transfer)(1, 0, 0, cents).await;
            bank.look(&recorder, &clearing, vec![moved], 2).await
        })
        .map_err(breaks(Kind::Deadlock, "ends", "it ends"))?;
        let Seen { moved, balances, asked, .. } = &case.value;
        let told = format!("{}; {} and {}", words(moved), balances[0], balances[1]);
        shown(&case, case.rule("moved", told == wanted, wanted, told))?;
        let (wanted, told) = (
            format!("the clearing house is asked about {asked_about:?}"),
            format!("it is asked about {asked:?}"),
        );
        shown(&case, case.rule("funded", *asked == asked_about, wanted, told))?;
    }
    Ok(())
}

fn at_once(open: Open<'_>, rush: &Rush) -> Checked {
    let case = Case::run(rush.name, async |recorder: Recorder| {
        let (bank, clearing) = rush.open(open, &recorder);
        let transfers = rush.calls(&bank).into_iter().map(|(name, call)| recorder.lane(name, call));
        let moved = join_all(transfers).await;
        bank.look(&recorder, &clearing, moved, rush.balances.len()).await
    })
    .map_err(breaks(Kind::Deadlock, "ends", STUCK))?;
    shown(&case, rush.hold(&case))
}

fn under_every_schedule(open: Open<'_>, rush: &Rush) -> Checked {
    let body = async |schedule: testing::explore::Schedule| {
        let recorder = schedule.sim().recorder().clone();
        let (bank, clearing) = rush.open(open, &recorder);
        let tasks: Vec<_> =
            rush.calls(&bank).into_iter().map(|(name, call)| schedule.spawn(name, call)).collect();
        let mut moved = Vec::new();
        for task in tasks {
            moved.push(task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
        }
        bank.look(&recorder, &clearing, moved, rush.balances.len()).await
    };
    Case::explore(rush.name, 0..60, body, |case| shown(case, rush.hold(case))).map_err(breaks(
        Kind::Deadlock,
        "ends",
        STUCK,
    ))
}

impl Rush {
    fn open(&self, open: Open<'_>, recorder: &Recorder) -> (Bank, Backend) {
        let mut clearing = Backend::new(recorder).latency(ms(20));
        for id in &self.refused {
            clearing = clearing.on(*id, ms(20), Outcome::Fail);
        }
        (open(clearing.clone(), self.balances.clone()), clearing)
    }

    fn calls(&self, bank: &Bank) -> Vec<(String, BoxFuture<'static, Moved>)> {
        let calls = self.transfers.iter().map(|(after, id, from, to, cents)| {
            let (after, call) = (ms(*after), (bank.transfer)(*id, *from, *to, *cents));
            let call = async move {
                if !after.is_zero() {
                    sleep(after).await;
                }
                call.await
            };
            (format!("transfer {id}: {cents} from {from} to {to}"), call.boxed())
        });
        calls.collect()
    }

    fn hold(&self, case: &Case<Seen>) -> Checked {
        let Seen { moved, balances, asked, .. } = &case.value;
        let (before, after): (i64, i64) = (self.balances.iter().sum(), balances.iter().sum());
        case.rule(
            "whole",
            before == after,
            format!("{before} on all accounts"),
            format!("{after} on all accounts"),
        )?;
        case.rule(
            "funded",
            balances.iter().all(|balance| *balance >= 0),
            "no account below zero",
            format!("balances of {balances:?}"),
        )?;
        // What is there for one of them is there for one.
        let mut expected = self.balances.clone();
        for ((_, _, from, to, cents), moved) in self.transfers.iter().zip(moved) {
            if *moved == Ok(true) {
                expected[*from] -= cents;
                expected[*to] += cents;
            }
        }
        let seen = || format!("{}; balances of {balances:?}", words(moved));
        case.rule(
            "funded",
            expected.iter().all(|balance| *balance >= 0),
            "of the transfers that are moved, each had its money",
            seen(),
        )?;
        case.rule("moved", expected == *balances, format!("balances of {expected:?}"), seen())?;
        let may = moved.iter().zip(&self.may).all(|(moved, may)| may.contains(&moved.as_ref().ok().copied()));
        let wanted: Vec<Moved> =
            self.may.iter().zip(&self.transfers).map(|(may, transfer)| first(may, transfer.1)).collect();
        let one_of_three = self.may[0].len() > 1;
        case.rule(
            "funded",
            may && (!one_of_three || moved.iter().filter(|moved| **moved == Ok(true)).count() == 1),
            if one_of_three {
                String::from("one is moved, and for the others there is not enough money")
            } else {
                words(&wanted)
            },
            words(moved),
        )?;
        let unfunded: Vec<u32> = self
            .transfers
            .iter()
            .zip(moved)
            .filter(|(transfer, moved)| **moved == Ok(false) && asked.contains(&transfer.1))
            .map(|(transfer, _)| transfer.1)
            .collect();
        case.rule(
            "funded",
            unfunded.is_empty(),
            "the clearing house is not asked about money that is not there",
            format!("it is asked about {unfunded:?}, for which there was not enough money afterwards"),
        )?;
        usable(case)
    }
}

fn first(may: &[Option<bool>], id: u32) -> Moved {
    may[0].ok_or(FetchError::Unavailable { id })
}

/// The lower bound, proved by calls that wait for each other.
fn meet(open: Open<'_>) -> Checked {
    let name =
        "0 to 1, 2 to 3 and 4 to 5, and the clearing house answers when it has been asked about all three";
    Case::run(name, async |recorder: Recorder| {
        let clearing = Backend::new(&recorder).meeting_of(3);
        let bank = open(clearing, vec![50; 6]);
        let transfers = [(1, 0, 1), (2, 2, 3), (3, 4, 5)]
            .map(|(id, from, to)| recorder.lane(format!("transfer {id}"), (bank.transfer)(id, from, to, 20)));
        drop(join_all(transfers).await);
    })
    .map_err(breaks(Kind::Deadlock, "concurrent", "asked about 3 transfers at the same time"))?;
    Ok(())
}

/// Whether the one transfer of 40 has happened, or not.
fn whole_or_not(case: &Case<Seen>) -> Checked {
    let balances = &case.value.balances;
    let sum: i64 = balances.iter().sum();
    case.rule(
        "whole",
        *balances == [100, 50] || *balances == [60, 90],
        "100 and 50 on the accounts, or 60 and 90: 150 in all",
        format!("{} and {} on the accounts: {sum} in all", balances[0], balances[1]),
    )
}

/// The transfers with which the check looks afterwards are its own, and not in the picture.
fn shown(case: &Case<Seen>, checked: Checked) -> Checked {
    checked.map_err(|mut verdict| {
        if let Some(finding) = &mut verdict.finding {
            finding.trace = Some(case.value.trace.clone());
        }
        verdict
    })
}

fn usable(case: &Case<Seen>) -> Checked {
    let Seen { balances, spent, .. } = &case.value;
    for (cents, (account, (out, back))) in balances.iter().zip(spent.iter().enumerate()) {
        case.rule(
            "usable",
            *out,
            "all that is on an account can be spent when nothing is under way",
            format!("{cents} on account {account}, and a transfer of that much is not moved"),
        )?;
        case.rule(
            "moved",
            *back,
            "the money is on the other account when `transfer` gives `Ok(true)`",
            format!("{cents} moved from account {account}, and right afterwards they can't be moved back"),
        )?;
    }
    Ok(())
}

fn words(moved: &[Moved]) -> String {
    let word = |moved: &Moved| match moved {
        Ok(true) => "moved",
        Ok(false) => "not enough money",
        Err(_) => "refused",
    };
    moved.iter().map(word).collect::<Vec<_>>().join(", ")
}
