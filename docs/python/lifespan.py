"""What the lifespan of an asyncio service leaves open.

Run with: python3 docs/python/lifespan.py
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

# What has been done, in order.
log: list[str] = []
# What goes wrong.
broken: set[str] = set()


async def turns(count: int) -> None:
    """Counts turns of the loop, not seconds: each run is the same."""
    for _ in range(count):
        await asyncio.sleep(0)


async def start(name: str) -> None:
    await turns(2)
    if name in broken:
        raise ConnectionError(name)
    log.append(f"{name} started")


async def stop(name: str) -> None:
    while name in broken:
        await turns(1)
    await turns(5)
    log.append(f"{name} stopped")


# ANCHOR: asyncio
@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    await start("pool")
    await start("workers")
    try:
        yield
    finally:
        await stop("workers")
        await stop("pool")
# ANCHOR_END: asyncio


async def serve() -> None:
    async with lifespan():
        await asyncio.Event().wait()


def again(*what: str) -> None:
    log.clear()
    broken.clear()
    broken.update(what)


async def in_the_usual_case_all_is_well() -> None:
    again()
    task = asyncio.create_task(serve())
    await turns(10)
    task.cancel()
    await asyncio.wait([task])
    assert log == ["pool started", "workers started", "workers stopped", "pool stopped"]


# ANCHOR: start
async def a_start_that_fails_leaves_the_pool_open() -> None:
    again("workers")
    with suppress(ConnectionError):
        await serve()
    assert log == ["pool started"]
# ANCHOR_END: start


# ANCHOR: twice
async def the_second_cancel_skips_the_rest() -> None:
    again()
    task = asyncio.create_task(serve())
    await turns(10)
    task.cancel()  # Ctrl-C
    await turns(3)
    task.cancel()  # somebody is in a hurry, or a timeout is
    await asyncio.wait([task])
    assert log == ["pool started", "workers started"]  # no "stopped"
# ANCHOR_END: twice


# ANCHOR: stuck
async def one_that_is_stuck_keeps_all() -> None:
    again()
    task = asyncio.create_task(serve())
    await turns(10)
    broken.add("workers")
    task.cancel()
    await turns(10_000)
    assert not task.done() and "pool stopped" not in log
# ANCHOR_END: stuck
    broken.clear()
    await asyncio.wait([task])


asyncio.run(in_the_usual_case_all_is_well())
asyncio.run(a_start_that_fails_leaves_the_pool_open())
asyncio.run(the_second_cancel_skips_the_rest())
asyncio.run(one_that_is_stuck_keeps_all())
