"""A database for a test, as a context manager: what is left of it when the test fails, or is cancelled.

Run with: python3 docs/python/fixtures.py
"""

import asyncio
from contextlib import asynccontextmanager

# The databases that are on the server.
databases: set[str] = set()


async def create(name: str) -> str:
    await asyncio.sleep(0)
    databases.add(name)
    return name


async def remove(name: str) -> None:
    # Closes the sessions, then drops the database.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    databases.discard(name)


# ANCHOR: asyncio
@asynccontextmanager
async def database(name: str):
    yield await create(name)
    await remove(name)


async def a_failed_test_leaves_its_database() -> None:
    try:
        async with database("orders"):
            raise AssertionError("3 orders, not 4")
    except AssertionError:
        pass
    assert databases == {"orders"}
# ANCHOR_END: asyncio


# ANCHOR: finally
@asynccontextmanager
async def cleaned_database(name: str):
    await create(name)
    try:
        yield name
    finally:
        await remove(name)


async def a_second_cancellation_interrupts_the_clean_up() -> None:
    async def test() -> None:
        async with cleaned_database("orders"):
            await asyncio.Event().wait()

    task = asyncio.create_task(test())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()  # the time limit of the test
    await asyncio.sleep(0)
    task.cancel()  # Ctrl-C, in the middle of the clean-up
    await asyncio.gather(task, return_exceptions=True)
    assert databases == {"orders"}
# ANCHOR_END: finally


async def a_failed_test_is_cleaned_up_with_finally() -> None:
    try:
        async with cleaned_database("orders"):
            raise AssertionError("3 orders, not 4")
    except AssertionError:
        pass
    assert not databases


asyncio.run(a_failed_test_leaves_its_database())
databases.clear()
asyncio.run(a_failed_test_is_cleaned_up_with_finally())
asyncio.run(a_second_cancellation_interrupts_the_clean_up())
