"""Locks in two orders, and a task that runs on while somebody waits for it.

Run with: python3 docs/python/deadlock.py
"""

import asyncio


async def turns(count: int) -> None:
    """Counts turns of the loop, not seconds: each run is the same."""
    for _ in range(count):
        await asyncio.sleep(0)


class Account:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.balance = 50


# ANCHOR: asyncio
async def transfer(source: Account, target: Account) -> None:
    async with source.lock:
        await asyncio.sleep(0)  # anything that is awaited
        async with target.lock:
            source.balance -= 10
            target.balance += 10
# ANCHOR_END: asyncio


async def one_after_the_other_it_works() -> None:
    a, b = Account(), Account()
    await transfer(a, b)
    await transfer(b, a)
    assert (a.balance, b.balance) == (50, 50)


async def at_the_same_time_it_stands_still() -> None:
    a, b = Account(), Account()
    tasks = [asyncio.create_task(transfer(a, b)), asyncio.create_task(transfer(b, a))]
    await turns(1000)
    # No error, no warning, and nothing left that could wake either.
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()


async def a_task_has_no_futurelock() -> None:
    journal: list[str] = []
    lock = asyncio.Lock()

    async def write(line: str) -> None:
        async with lock:
            journal.append(line)

    await lock.acquire()
    sale = asyncio.create_task(write("sold"))
    await turns(5)
    line = asyncio.create_task(write("slow"))
    lock.release()
    # Nobody awaits the sale here, and it runs all the same.
    await line
    assert journal == ["sold", "slow"]
    await sale


asyncio.run(one_after_the_other_it_works())
asyncio.run(at_the_same_time_it_stands_still())
asyncio.run(a_task_has_no_futurelock())
