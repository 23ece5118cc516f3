"""Cancelling a transfer at each turn of the event loop.

Run with: python3 docs/python/every_await.py
"""

import asyncio


class Account:
    def __init__(self) -> None:
        self.cents = 50
        self.lock = asyncio.Lock()


# ANCHOR: asyncio
async def transfer(source: Account, target: Account) -> None:
    async with source.lock:
        source.cents -= 10
    async with target.lock:
        target.cents += 10


async def cancelled_after(turns: int, source: Account, target: Account) -> int:
    task = asyncio.create_task(transfer(source, target))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return source.cents + target.cents
# ANCHOR_END: asyncio


async def the_test_passes() -> None:
    for turns in range(10):
        assert await cancelled_after(turns, Account(), Account()) == 100


async def with_somebody_else_at_the_second_lock_money_is_lost() -> None:
    source, target = Account(), Account()
    async with target.lock:
        assert await cancelled_after(1, source, target) == 90


async def main() -> None:
    await the_test_passes()
    await with_somebody_else_at_the_second_lock_money_is_lost()


asyncio.run(main())
