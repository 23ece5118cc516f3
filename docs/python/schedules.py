"""A quota that is never overdrawn, until somebody awaits something in the middle.

Run with: python3 docs/python/schedules.py
"""

import asyncio


class Quota:
    def __init__(self) -> None:
        self.left = 1
        self.lock = asyncio.Lock()


async def nothing() -> None:
    """Never gives way."""


async def audit() -> None:
    """Gives way once, as any call over the network does."""
    await asyncio.sleep(0)


# ANCHOR: asyncio
async def admit(quota: Quota, check) -> bool:
    async with quota.lock:
        if quota.left == 0:
            return False
    await check()
    async with quota.lock:
        quota.left -= 1
    return True


async def admitted(check) -> int:
    quota = Quota()
    return sum(await asyncio.gather(*(admit(quota, check) for _ in range(100))))
# ANCHOR_END: asyncio


async def main() -> None:
    for _ in range(100):
        assert await admitted(nothing) == 1
    assert await admitted(audit) == 100


asyncio.run(main())
