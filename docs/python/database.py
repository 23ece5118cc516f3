"""What a pool of connections does in asyncio when it runs dry, and when its callers leave.

Run with: python3 docs/python/database.py
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pool:
    """As those of asyncpg and SQLAlchemy: a queue of connections, and a timeout."""

    def __init__(self, size: int) -> None:
        self.free: asyncio.Queue[sqlite3.Connection] = asyncio.Queue()
        for _ in range(size):
            connection = sqlite3.connect("file:orders?mode=memory&cache=shared", uri=True, check_same_thread=False)
            self.free.put_nowait(connection)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[sqlite3.Connection]:
        connection = await asyncio.wait_for(self.free.get(), timeout=0.05)
        try:
            yield connection
        finally:
            self.free.put_nowait(connection)

    def close(self) -> None:
        while not self.free.empty():
            self.free.get_nowait().close()


async def fetch(connection: sqlite3.Connection, query: str) -> int:
    await asyncio.sleep(0)
    return connection.execute(query).fetchone()[0]


# ANCHOR: asyncio
async def checkout(pool: Pool) -> int:
    async with pool.acquire() as connection:
        price = await fetch(connection, "SELECT 4500")
        return price - await discount(pool)


async def discount(pool: Pool) -> int:
    async with pool.acquire() as connection:  # the caller has one already
        return await fetch(connection, "SELECT 300")
# ANCHOR_END: asyncio


# ANCHOR: nested
async def two_at_once_stand_still() -> None:
    pool = Pool(2)
    assert await checkout(pool) == 4200  # each works when it is alone
    ended = await asyncio.gather(checkout(pool), checkout(pool), return_exceptions=True)
    assert any(isinstance(error, TimeoutError) for error in ended)
    assert all(str(error) == "" for error in ended if isinstance(error, TimeoutError))  # and why?
    # ANCHOR_END: nested
    pool.close()


# ANCHOR: left
async def who_leaves_leaves_a_transaction() -> None:
    pool = Pool(1)
    async with pool.acquire() as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")

    async def order() -> None:
        async with pool.acquire() as connection:
            connection.execute("INSERT INTO orders VALUES (1)")
            await asyncio.sleep(3600)  # asks the bank; the client leaves here
            connection.commit()

    task = asyncio.create_task(order())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    async with pool.acquire() as connection:  # the next one has an order of its own
        connection.execute("INSERT INTO orders VALUES (2)")
        connection.commit()
        assert await fetch(connection, "SELECT count(*) FROM orders") == 2  # nobody has paid for the first
    # ANCHOR_END: left
    pool.close()


# ANCHOR: timeout
async def a_timeout_does_not_stop_the_statement() -> None:
    ended, wait = [], threading.Event()

    def statement() -> None:
        wait.wait()  # the database is at work
        ended.append("statement")

    try:
        await asyncio.wait_for(asyncio.to_thread(statement), timeout=0.01)
    except TimeoutError:
        assert ended == []
    wait.set()
    while not ended:
        await asyncio.sleep(0.001)
    assert ended == ["statement"]
# ANCHOR_END: timeout


asyncio.run(two_at_once_stand_still())
asyncio.run(who_leaves_leaves_a_transaction())
asyncio.run(a_timeout_does_not_stop_the_statement())
