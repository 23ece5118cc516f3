"""What `AsyncExitStack` does with errors, a cancel, and a stack that nobody closes.

Run with: python3 docs/python/exit_stack.py
"""

import asyncio
import gc
import sys
import warnings
from contextlib import AsyncExitStack

# What has been opened and closed, in order.
log: list[str] = []
# What closing is to do, by name: it fails, or it never ends.
script: dict[str, str] = {}


class Session:
    """Stands in for a session with a server. It counts turns of the loop, not seconds: each run is the same."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __aenter__(self) -> "Session":
        log.append(f"open {self.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await turns(1_000_000 if script.get(self.name) == "hangs" else 5)
        if script.get(self.name) == "fails":
            raise OSError(f"could not close {self.name}")
        log.append(f"close {self.name}")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def begin(**closings: str) -> None:
    log.clear()
    script.clear()
    script.update(closings)


# ANCHOR: asyncio
async def program(names: list[str]) -> None:
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(Session(name))
        await turns(5)  # the work
# ANCHOR_END: asyncio


NAMES = ["telemetry", "database", "cache"]


async def the_last_is_closed_first() -> None:
    begin()
    await program(NAMES)
    assert log[3:] == ["close cache", "close database", "close telemetry"]


# ANCHOR: errors
async def only_the_last_error_is_raised() -> None:
    begin(cache="fails", telemetry="fails")
    try:
        await program(NAMES)
    except OSError as error:
        assert str(error) == "could not close telemetry"
        assert error.__context__ is None  # the cache's error is nowhere
    assert log[3:] == ["close database"]
# ANCHOR_END: errors


# ANCHOR: cancel
async def a_cancel_interrupts_the_one_in_hand() -> None:
    begin()
    task = asyncio.create_task(program(NAMES))
    await turns(8)  # the cache is being closed
    task.cancel()
    await asyncio.wait([task])
    assert log[3:] == ["close database", "close telemetry"]  # no "close cache"
# ANCHOR_END: cancel


# ANCHOR: hangs
async def a_timeout_helps_once() -> None:
    begin(cache="hangs", database="hangs")
    task = asyncio.create_task(program(NAMES))
    await turns(20)
    task.cancel()  # what `asyncio.timeout` does, and does once
    await turns(1000)
    assert not task.done() and log[3:] == []  # now the database hangs, and telemetry waits for it
# ANCHOR_END: hangs
    task.cancel()
    await asyncio.wait([task])
    assert log[3:] == ["close telemetry"]


# ANCHOR: forgotten
async def kept_for_later() -> AsyncExitStack:
    async with AsyncExitStack() as stack:
        for name in NAMES:
            await stack.enter_async_context(Session(name))
        return stack.pop_all()  # all is well: whoever is given it closes it


async def a_stack_that_is_dropped_closes_nothing() -> None:
    begin()
    await kept_for_later()  # nobody takes it
    gc.collect()
    await turns(100)
    assert log == ["open telemetry", "open database", "open cache"]  # and no warning
# ANCHOR_END: forgotten


warnings.simplefilter("error")
asyncio.run(the_last_is_closed_first())
# github.com/python/cpython/issues/102201, open with a fix proposed: then the earlier error is the context of the later.
if sys.version_info < (3, 15):
    asyncio.run(only_the_last_error_is_raised())
asyncio.run(a_cancel_interrupts_the_one_in_hand())
asyncio.run(a_timeout_helps_once())
asyncio.run(a_stack_that_is_dropped_closes_nothing())
