"""What `asyncio.to_thread` does when its caller goes, and how much it takes on.

Run with: python3 docs/python/blocking.py
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor


class Reader:
    """A blocking call that takes as long as its gate is shut, and a count of the threads that are in it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.changed = threading.Condition()
        self.started = self.running = self.peak = 0

    def read(self) -> str:
        with self.changed:
            self.started += 1
            self.running += 1
            self.peak = max(self.peak, self.running)
            self.changed.notify_all()
        self.gate.wait()
        with self.changed:
            self.running -= 1
            self.changed.notify_all()
        return "a report"

    def wait_until_running(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.running == count, timeout=10)


# ANCHOR: asyncio
async def report(places: asyncio.Semaphore, reader: Reader) -> str:
    async with places:
        return await asyncio.to_thread(reader.read)
# ANCHOR_END: asyncio


# ANCHOR: limit
async def the_limit_does_not_hold() -> None:
    """The caller gives its place back when it is cancelled. The thread does not notice."""
    places, reader = asyncio.Semaphore(1), Reader()
    for _ in range(3):
        caller = asyncio.create_task(report(places, reader))
        await asyncio.to_thread(reader.wait_until_running, reader.running + 1)
        caller.cancel()
        await asyncio.wait([caller])
        assert caller.cancelled()
    assert (reader.running, reader.peak) == (3, 3)  # where one was allowed
    reader.gate.set()
    await asyncio.to_thread(reader.wait_until_running, 0)  # they do end, for nobody
# ANCHOR_END: limit


# ANCHOR: queue
async def the_queue_has_no_end() -> None:
    """An executor bounds its threads, not what waits for them: nobody is ever told to come again."""
    loop, reader = asyncio.get_running_loop(), Reader()
    with ThreadPoolExecutor(max_workers=1) as executor:
        calls = [loop.run_in_executor(executor, reader.read) for _ in range(5_000)]
        await asyncio.to_thread(reader.wait_until_running, 1)
        assert (reader.started, sum(call.done() for call in calls)) == (1, 0)
        reader.gate.set()
        assert len(await asyncio.gather(*calls)) == 5_000
# ANCHOR_END: queue


async def main() -> None:
    await the_limit_does_not_hold()
    await the_queue_has_no_end()


asyncio.run(main())
