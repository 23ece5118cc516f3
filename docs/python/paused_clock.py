"""What becomes of time when a test replaces `asyncio.sleep`, and when it replaces the loop's clock.

Run with: python3 docs/python/paused_clock.py
"""

import asyncio
from unittest.mock import patch

real_sleep = asyncio.sleep


# ANCHOR: asyncio
async def instantly(delay: float) -> None:
    await real_sleep(0)


async def nap(seconds: float, log: list[float]) -> None:
    await asyncio.sleep(seconds)
    log.append(seconds)


async def sleep_is_replaced() -> None:
    log: list[float] = []
    with patch("asyncio.sleep", instantly):
        await asyncio.gather(nap(2, log), nap(1, log))
        # Two seconds are over before one is.
        assert log == [2, 1]
        # An hour is not too long for a timeout of a second.
        async with asyncio.timeout(1):
            await asyncio.sleep(3600)
# ANCHOR_END: asyncio


# ANCHOR: loop
class VirtualTime(asyncio.SelectorEventLoop):
    """With nothing to run, its clock jumps to the next timer. These names are CPython's own, and may change."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()
# ANCHOR_END: loop


async def the_clock_is_replaced() -> None:
    log: list[float] = []
    start = asyncio.get_running_loop().time()
    await asyncio.gather(nap(2, log), nap(1, log))
    assert log == [1, 2]
    assert asyncio.get_running_loop().time() - start == 2
    try:
        async with asyncio.timeout(1):
            await asyncio.sleep(3600)
    except TimeoutError:
        return
    raise AssertionError("an hour within a second")


asyncio.run(sleep_is_replaced())
with asyncio.Runner(loop_factory=VirtualTime) as runner:
    runner.run(the_clock_is_replaced())
