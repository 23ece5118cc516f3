"""State that several tasks change in asyncio: where a race is, where none is, and what a lock does not help against.

Run with: python3 docs/python/shared_state.py
"""

import asyncio


# ANCHOR: no_race
async def count(counter: dict[str, int]) -> None:
    for _ in range(100):
        counter["n"] += 1  # no await in it: nobody else runs in between, and no lock is needed
        await asyncio.sleep(0)
# ANCHOR_END: no_race


# ANCHOR: race
async def count_across_an_await(counter: dict[str, int]) -> None:
    for _ in range(100):
        read = counter["n"]
        await asyncio.sleep(0)  # the others read the same number
        counter["n"] = read + 1
# ANCHOR_END: race


# ANCHOR: lock
async def transfer(lock: asyncio.Lock, accounts: list[int]) -> None:
    async with lock:
        accounts[0] -= 10
        await asyncio.sleep(0.02)  # somebody is asked whether it may be
        accounts[1] += 10
# ANCHOR_END: lock


async def cancelled_under_the_lock() -> list[int]:
    lock, accounts = asyncio.Lock(), [50, 50]
    # ANCHOR: cancelled
    task = asyncio.create_task(transfer(lock, accounts))
    await asyncio.sleep(0)  # it has begun
    task.cancel()  # the client has left
    await asyncio.wait([task])
    assert not lock.locked() and accounts == [40, 50]
    # ANCHOR_END: cancelled
    return accounts


async def main() -> None:
    counter = {"n": 0}
    await asyncio.gather(count(counter), count(counter), count(counter))
    assert counter["n"] == 300

    counter = {"n": 0}
    await asyncio.gather(*(count_across_an_await(counter) for _ in range(3)))
    assert counter["n"] == 100

    assert sum(await cancelled_under_the_lock()) == 90


asyncio.run(main())
