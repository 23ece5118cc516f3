"""What asyncio's debug mode says of a callback that does not come back, and of a task that waits for ever.

Run with: python3 docs/python/stuck.py
"""

import asyncio
import logging
import time

log: list[str] = []


class Kept(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.append(record.getMessage())


logger = logging.getLogger("asyncio")
logger.addHandler(Kept())
logger.propagate = False


# ANCHOR: asyncio
async def invoice() -> None:
    time.sleep(0.15)  # a driver that is not async
    assert not slow("invoice"), "nothing is said while it blocks"


async def serve() -> None:
    asyncio.get_running_loop().slow_callback_duration = 0.05
    await asyncio.create_task(invoice(), name="invoice")
    [report] = slow("invoice")
    # Executing <Task finished name='invoice' coro=<invoice() done, defined at ...> took 0.150 seconds
    assert "name='invoice'" in report and "seconds" in report
    assert "sleep" not in report, "which call it was is not told"
# ANCHOR_END: asyncio


def slow(task: str) -> list[str]:
    return [line for line in log if "took" in line and task in line]


# ANCHOR: stack
async def transfer(first: asyncio.Lock, second: asyncio.Lock) -> None:
    async with first:
        await asyncio.sleep(0)
        async with second:
            pass


async def two_transfers() -> None:
    a, b = asyncio.Lock(), asyncio.Lock()
    both = [asyncio.create_task(transfer(a, b)), asyncio.create_task(transfer(b, a))]
    await asyncio.sleep(0.1)
    # The loop is idle: no debug mode says a word. The stacks have to be asked for.
    assert not slow("transfer")
    stacks = [task.get_stack() for task in both]
    assert [[frame.f_code.co_name for frame in stack] for stack in stacks] == [["transfer"]] * 2
# ANCHOR_END: stack
    for task in both:
        task.cancel()


asyncio.run(serve(), debug=True)
log.clear()
asyncio.run(two_transfers(), debug=True)
