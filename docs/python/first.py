"""What `asyncio.wait(return_when=FIRST_COMPLETED)` means by "first", and what it leaves behind.

Run with: python3 docs/python/first.py
"""

import asyncio

# How many turns of the event loop each replica takes, and what comes of it.
SCRIPT = {
    "slow": (9, "17"),
    "down": (1, ConnectionError("refused")),
    "near": (4, "17"),
}


async def ask(replica: str, log: list[str]) -> str:
    """Stands in for an HTTP client. It counts turns, not seconds: each run is the same."""
    turns, outcome = SCRIPT[replica]
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        log.append(f"{replica} gives its connection back")
        raise
    if isinstance(outcome, Exception):
        raise outcome
    log.append(f"{replica} answered")
    return outcome


# ANCHOR: asyncio
async def first(calls: list) -> str:
    tasks = [asyncio.create_task(call) for call in calls]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return done.pop().result()
# ANCHOR_END: asyncio


async def turns(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


# ANCHOR: error
async def the_first_to_end_has_failed() -> None:
    try:
        await first([ask(replica, []) for replica in ("near", "down")])
    except ConnectionError:
        return
    raise AssertionError("the replica that is down did not win")
# ANCHOR_END: error


# ANCHOR: losers
async def the_loser_is_still_there() -> None:
    """`cancel()` asks for an end. It comes when the loop next runs the task."""
    log: list[str] = []
    await first([ask(replica, log) for replica in ("slow", "near")])
    log.append("the caller goes on")
    await turns(3)
    assert log == ["near answered", "the caller goes on", "slow gives its connection back"]
# ANCHOR_END: losers


# ANCHOR: caller
async def a_cancelled_caller_leaves_all_of_them() -> None:
    """`wait` cancels nothing when it is cancelled, and the loop after it is never reached."""
    log: list[str] = []
    caller = asyncio.create_task(first([ask(replica, log) for replica in ("slow", "near")]))
    await turns(2)
    caller.cancel()
    await turns(20)
    assert caller.cancelled()
    assert log == ["near answered", "slow answered"]
# ANCHOR_END: caller


async def none_is_an_error_of_another_kind() -> None:
    try:
        await first([])
    except ValueError:
        return
    raise AssertionError("an empty list was waited for")


async def main() -> None:
    await the_first_to_end_has_failed()
    await the_loser_is_still_there()
    await a_cancelled_caller_leaves_all_of_them()
    await none_is_an_error_of_another_kind()


asyncio.run(main())
