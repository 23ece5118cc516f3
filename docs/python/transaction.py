"""What a cancel does to a transaction in an `async with` block.

Run with: python3 docs/python/transaction.py
"""

import asyncio
import pathlib
import sqlite3
import tempfile
from contextlib import asynccontextmanager


async def turns(count: int) -> None:
    """Stands in for the network. It counts turns of the loop, not seconds: each run is the same."""
    for _ in range(count):
        await asyncio.sleep(0)


async def ask(conn: sqlite3.Connection, sql: str) -> list:
    """Five turns until the statement has reached the database, and five until the answer is there."""
    await turns(5)
    rows = conn.execute(sql).fetchall()
    await turns(5)
    return rows


# ANCHOR: asyncio
@asynccontextmanager
async def transaction(pool: asyncio.Queue):
    conn = await pool.get()
    try:
        await ask(conn, "BEGIN")
        try:
            yield conn
        except BaseException:
            await ask(conn, "ROLLBACK")
            raise
        else:
            await ask(conn, "COMMIT")
    finally:
        pool.put_nowait(conn)
# ANCHOR_END: asyncio


async def order(pool: asyncio.Queue, name: str) -> None:
    async with transaction(pool) as conn:
        await ask(conn, f"INSERT INTO orders VALUES ('{name}')")


async def cancelled_after(count: int, task: asyncio.Task) -> None:
    await turns(count)
    task.cancel()


def elsewhere(path: str) -> list:
    with sqlite3.connect(path) as conn:
        return [name for (name,) in conn.execute("SELECT name FROM orders")]


# ANCHOR: begin
async def the_next_borrower_works_in_a_transaction_of_nobody(pool: asyncio.Queue, path: str) -> None:
    task = asyncio.create_task(order(pool, "first"))
    await cancelled_after(8, task)  # BEGIN is done, its answer on the way: the `try` is not entered
    await asyncio.wait([task])
    conn = await pool.get()
    await ask(conn, "INSERT INTO orders VALUES ('second')")  # no error
    assert conn.in_transaction
    assert elsewhere(path) == []  # and nobody sees it
# ANCHOR_END: begin


# ANCHOR: commit
async def it_is_committed_and_the_caller_hears_of_a_cancel(pool: asyncio.Queue, path: str) -> None:
    task = asyncio.create_task(order(pool, "first"))
    await cancelled_after(28, task)  # COMMIT is done, its answer on the way
    await asyncio.wait([task])
    assert task.cancelled()
    assert elsewhere(path) == ["first"]
# ANCHOR_END: commit


# ANCHOR: twice
async def a_second_cancel_interrupts_the_rollback(pool: asyncio.Queue, path: str) -> None:
    task = asyncio.create_task(order(pool, "first"))
    await cancelled_after(18, task)  # in the INSERT
    await cancelled_after(2, task)  # in the ROLLBACK: an impatient timeout, a second Ctrl-C
    await asyncio.wait([task])
    conn = await pool.get()
    assert conn.in_transaction
# ANCHOR_END: twice


async def with_a_pool_of_one(scene) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = str(pathlib.Path(folder) / "orders.sqlite")
        conn = sqlite3.connect(path, isolation_level=None)
        conn.execute("PRAGMA journal_mode = WAL").fetchall()
        conn.execute("CREATE TABLE orders (name TEXT)")
        pool: asyncio.Queue = asyncio.Queue()
        pool.put_nowait(conn)
        await scene(pool, path)
        conn.close()


for scene in [
    the_next_borrower_works_in_a_transaction_of_nobody,
    it_is_committed_and_the_caller_hears_of_a_cancel,
    a_second_cancel_interrupts_the_rollback,
]:
    asyncio.run(with_a_pool_of_one(scene))
