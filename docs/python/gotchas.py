"""Where the usual list of asyncio's gotchas is wrong, or half true.

Run with: python3 docs/python/gotchas.py
"""

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator


# ANCHOR: blocking
async def a_blocked_loop_is_late_for_everybody() -> None:
    """It is not only `time.sleep`: anything that takes long without an await keeps all others waiting."""
    beats = 0

    async def heartbeat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(heartbeat())
    await asyncio.sleep(0)
    before = beats
    sorted(range(20_000, 0, -1))  # A handler that sorts, parses, validates.
    assert beats == before
    await asyncio.to_thread(sorted, range(20_000, 0, -1))
    assert beats > before
    others.cancel()
# ANCHOR_END: blocking


# ANCHOR: forgotten
def the_warning_is_on_and_comes_late() -> None:
    """Nothing has to be enabled. But it is only a warning, on stderr, and the program exits with 0."""
    program = """
import asyncio

async def save(): ...

async def main():
    saved = save()
    if saved:
        print("saved")

asyncio.run(main())
"""
    plain = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    run = subprocess.run([sys.executable, "-c", program], env=plain, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "saved\n")
    assert "RuntimeWarning: coroutine 'save' was never awaited" in run.stderr
# ANCHOR_END: forgotten


async def pages(log: list[str]) -> AsyncIterator[int]:
    try:
        for page in range(10):
            yield page
    finally:
        log.append(f"closed by {asyncio.current_task().get_name()}")


# ANCHOR: generator
async def a_generator_is_closed_later_by_another_task() -> None:
    log: list[str] = []
    asyncio.current_task().set_name("main")
    async for _page in pages(log):
        break
    log.append("after the loop")
    while len(log) < 2:
        await asyncio.sleep(0)
    assert log[0] == "after the loop"
    assert log[1].startswith("closed by Task-")
# ANCHOR_END: generator


# ANCHOR: shared
async def without_an_await_nothing_comes_in_between() -> None:
    counts = {"atomic": 0, "torn": 0}

    async def increment() -> None:
        counts["atomic"] += 1  # No lock: nobody else runs before the next await.
        read = counts["torn"]
        await asyncio.sleep(0)
        counts["torn"] = read + 1

    await asyncio.gather(*(increment() for _ in range(100)))
    assert counts == {"atomic": 100, "torn": 1}
# ANCHOR_END: shared


# ANCHOR: session
async def a_synchronous_session_works_and_stops_everybody() -> None:
    """Nothing refuses it. And to hand over single statements is no cure: a transaction belongs to its thread."""
    beats = 0

    async def heartbeat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(heartbeat())
    await asyncio.sleep(0)
    before = beats
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE orders (id INTEGER)")
    assert beats == before
    try:
        await asyncio.to_thread(database.execute, "INSERT INTO orders VALUES (7)")
    except sqlite3.ProgrammingError as error:
        assert "can only be used in that same thread" in str(error)
    else:
        raise AssertionError("another thread may use it")
    database.close()
    others.cancel()
# ANCHOR_END: session


# ANCHOR: silenced
async def the_callback_silences_the_error() -> None:
    """The cheat sheet's `lambda t: t.exception() ...` counts as having looked."""
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context["message"]))

    async def background_work() -> None:
        raise ValueError("the mail was not sent")

    task = asyncio.create_task(background_work())
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert reports == ["Task exception was never retrieved"]

    task = asyncio.create_task(background_work())
    task.add_done_callback(lambda t: t.exception() if not t.cancelled() else None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert len(reports) == 1  # Not a word of the second.
# ANCHOR_END: silenced


# ANCHOR: collected
async def a_task_that_nobody_holds_may_be_collected() -> None:
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context["message"]))

    async def wait_for_a_reply() -> None:
        await asyncio.get_running_loop().create_future()

    asyncio.create_task(wait_for_a_reply())
    await asyncio.sleep(0)
    gc.collect()
    assert reports == ["Task was destroyed but it is pending!"]
# ANCHOR_END: collected


# ANCHOR: thread
async def a_timeout_does_not_stop_a_thread() -> None:
    go_on, charged = threading.Event(), []

    def charge() -> None:
        go_on.wait()
        charged.append(4200)

    try:
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(charge)
    except TimeoutError:
        go_on.set()
    while not charged:
        await asyncio.sleep(0.001)
    assert charged == [4200]
# ANCHOR_END: thread


# ANCHOR: cancelled
async def cancelling_is_a_request() -> None:
    """What was cancelled may still run, clean up, or even go on."""
    log: list[str] = []

    async def upload() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            log.append("file closed")

    task = asyncio.create_task(upload())
    await asyncio.sleep(0)
    task.cancel()
    assert not task.done()
    log.append("file removed")
    await asyncio.wait([task])
    assert log == ["file removed", "file closed"]
# ANCHOR_END: cancelled


async def main() -> None:
    await a_blocked_loop_is_late_for_everybody()
    await a_generator_is_closed_later_by_another_task()
    await without_an_await_nothing_comes_in_between()
    await a_synchronous_session_works_and_stops_everybody()
    await a_timeout_does_not_stop_a_thread()
    await cancelling_is_a_request()


def the_end_of_the_loop_cancels_and_waits() -> None:
    log: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    async def program() -> None:
        log.append(asyncio.create_task(background()).get_name())
        await asyncio.sleep(0)

    asyncio.run(program())
    assert log[1:] == ["cleaned up"]


# ANCHOR: nested
async def a_loop_does_not_run_in_a_loop() -> None:
    inner = asyncio.sleep(0)
    try:
        asyncio.run(inner)
    except RuntimeError as error:
        assert "cannot be called from a running event loop" in str(error)
    else:
        raise AssertionError("a loop ran within a loop")
    await inner
# ANCHOR_END: nested


the_warning_is_on_and_comes_late()
asyncio.run(main())
the_end_of_the_loop_cancels_and_waits()
asyncio.run(a_loop_does_not_run_in_a_loop())
# Each has a loop whose reports it takes.
asyncio.run(the_callback_silences_the_error())
asyncio.run(a_task_that_nobody_holds_may_be_collected())
