"""Why a test that counts who is inside accepts code that is serial.

Run with: python3 docs/python/naive_test.py
"""

import asyncio
from contextlib import AbstractAsyncContextManager


# ANCHOR: asyncio
async def limits_concurrency(limiter: AbstractAsyncContextManager) -> int:
    active = 0
    max_active = 0

    async def track_concurrency() -> None:
        nonlocal active, max_active
        async with limiter:
            active += 1
            max_active = max(max_active, active)
            await asyncio.sleep(0)
            active -= 1

    await asyncio.gather(*(track_concurrency() for _ in range(10)))
    assert max_active <= 3
    return max_active


async def main() -> None:
    assert await limits_concurrency(asyncio.Semaphore(3)) == 3
    # Each of these passes as well.
    assert await limits_concurrency(asyncio.Semaphore(2)) == 2
    assert await limits_concurrency(asyncio.Lock()) == 1
# ANCHOR_END: asyncio


asyncio.run(main())
