"""A queue of connections as a pool, and what gets lost.

Run with: python3 docs/python/pool.py
"""

import asyncio


class Connection:
    """Stands in for a connection with an answer on the way for each question. Turns of the loop count, not seconds."""

    opened = 0

    def __init__(self) -> None:
        self.answers: list[str] = []

    @classmethod
    async def open(cls) -> "Connection":
        await turns(5)
        cls.opened += 1
        return cls()

    async def ask(self, question: str) -> str:
        self.answers.append(question)
        await turns(5)
        return self.answers.pop(0)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# ANCHOR: asyncio
class Pool:
    @classmethod
    async def create(cls, size: int) -> "Pool":
        pool = cls()
        pool.idle = asyncio.Queue()
        for _ in range(size):
            pool.idle.put_nowait(await Connection.open())
        return pool

    async def acquire(self) -> Connection:
        connection = await self.idle.get()
        await turns(1)  # is it still alive?
        return connection

    def release(self, connection: Connection) -> None:
        self.idle.put_nowait(connection)


async def fetch(pool: Pool, question: str) -> str:
    connection = await pool.acquire()
    try:
        return await connection.ask(question)
    finally:
        pool.release(connection)
# ANCHOR_END: asyncio


# ANCHOR: lost
async def a_cancel_in_acquire_takes_the_connection_along() -> None:
    pool = await Pool.create(1)
    task = asyncio.create_task(fetch(pool, "apples"))
    await turns(1)  # it has the connection, and `try` has not begun
    task.cancel()
    await asyncio.wait([task])
    assert pool.idle.qsize() == 0  # for ever
# ANCHOR_END: lost


# ANCHOR: stale
async def the_next_one_reads_the_answer_of_who_was_cancelled() -> None:
    pool = await Pool.create(1)
    task = asyncio.create_task(fetch(pool, "apples"))
    await turns(4)
    task.cancel()
    await asyncio.wait([task])
    assert await fetch(pool, "pears") == "apples"
# ANCHOR_END: stale


# ANCHOR: twice
async def given_back_twice_it_is_lent_to_two() -> None:
    pool = await Pool.create(1)
    connection = await pool.acquire()
    pool.release(connection)
    pool.release(connection)  # an `except` and a `finally`
    assert await pool.acquire() is await pool.acquire()
# ANCHOR_END: twice


# ANCHOR: overtaken
async def who_does_not_wait_is_served_before_who_does() -> None:
    pool = await Pool.create(1)
    mine = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await turns(3)
    for _ in range(100):
        pool.release(mine)  # it wakes the waiter, who has to look again
        mine = await pool.acquire()
    assert not waiter.done()
    waiter.cancel()
# ANCHOR_END: overtaken


# ANCHOR: nested
async def two_that_need_two_wait_for_ever() -> None:
    pool = await Pool.create(2)

    async def handler() -> str:
        connection = await pool.acquire()
        await connection.ask("order")
        return await fetch(pool, "audit")  # a helper, and it needs a connection

    tasks = [asyncio.create_task(handler()) for _ in range(2)]
    await turns(1000)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
# ANCHOR_END: nested


async def main() -> None:
    await a_cancel_in_acquire_takes_the_connection_along()
    await the_next_one_reads_the_answer_of_who_was_cancelled()
    await given_back_twice_it_is_lent_to_two()
    await who_does_not_wait_is_served_before_who_does()
    await two_that_need_two_wait_for_ever()


asyncio.run(main())
