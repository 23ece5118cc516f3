"""What an async context manager leaves behind: a class, and a function with `@asynccontextmanager`.

Run with: python3 docs/python/scope.py
"""

import asyncio
from contextlib import asynccontextmanager

# What the server has open, and how many sessions it was asked for.
is_open: list[str] = []
asked = 0


class Session:
    """Stands in for a connection. It counts turns of the loop, not seconds: each run is the same."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def login(self, fails: bool = False) -> None:
        await turns(5)
        if fails:
            raise PermissionError("wrong password")

    async def close(self, fails: bool = False) -> None:
        await turns(5)
        is_open.remove(self.name)
        if fails:
            raise ConnectionError("the server hung up")


async def connect(name: str) -> Session:
    global asked
    asked += 1
    is_open.append(name)  # from here on the server has it
    await turns(5)
    return Session(name)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# ANCHOR: asyncio
class Client:
    async def __aenter__(self) -> Session:
        self.session = await connect("class")
        await self.session.login(self.wrong_password)
        return self.session

    async def __aexit__(self, *exc: object) -> None:
        await self.session.close(self.broken)

    # ANCHOR_END: asyncio
    def __init__(self, wrong_password: bool = False, broken: bool = False) -> None:
        self.wrong_password, self.broken = wrong_password, broken


# ANCHOR: decorator
@asynccontextmanager
async def client():
    session = await connect("decorator")
    try:
        yield session
    finally:
        await session.close()
# ANCHOR_END: decorator


def leaves(*names: str) -> None:
    assert is_open == list(names), is_open
    is_open.clear()


async def cancelled(coroutine, *after: int) -> None:
    """Cancels it after so many turns, and after so many more."""
    task = asyncio.ensure_future(coroutine)
    for count in after:
        await turns(count)
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


# ANCHOR: half
async def half_an_entrance_has_no_exit() -> None:
    try:
        async with Client(wrong_password=True):
            pass
    except PermissionError:
        pass
    leaves("class")  # no `__aexit__` without an `__aenter__` that returned
# ANCHOR_END: half


async def use(manager) -> None:
    async with manager:
        await turns(10)


# ANCHOR: cancelled
async def a_cancel_interrupts_either_end() -> None:
    await cancelled(use(client()), 3)  # while it connects: no `try` yet
    leaves("decorator")
    await cancelled(use(client()), 8, 3)  # in the body; once more, while `finally` awaits
    leaves("decorator")
    await cancelled(use(Client()), 12, 3)  # the class is no better
    leaves("class")
# ANCHOR_END: cancelled


# ANCHOR: masked
async def the_error_of_the_exit_takes_the_place_of_the_first() -> None:
    try:
        async with Client(broken=True):
            raise ValueError("the order has no lines")
    except Exception as error:
        assert isinstance(error, ConnectionError)
        assert isinstance(error.__context__, ValueError)  # where no `except` looks
# ANCHOR_END: masked


class Pool:
    """Opens all its connections at once, as pools do."""

    async def start(self) -> "Pool":
        self.sessions = [await connect("pool") for _ in range(10)]
        return self

    @asynccontextmanager
    async def acquire(self):
        yield self.sessions[0]

    async def close(self) -> None:
        for session in self.sessions:
            await session.close()


# ANCHOR: pool
@asynccontextmanager
async def connection():
    pool = await Pool().start()
    try:
        async with pool.acquire() as session:
            yield session
    finally:
        await pool.close()


async def a_pool_for_each_connection_is_none() -> None:
    before = asked
    for _ in range(3):
        async with connection():
            pass
    assert asked - before == 30  # three uses of one connection each
# ANCHOR_END: pool


asyncio.run(half_an_entrance_has_no_exit())
asyncio.run(a_cancel_interrupts_either_end())
asyncio.run(the_error_of_the_exit_takes_the_place_of_the_first())
asyncio.run(a_pool_for_each_connection_is_none())
leaves()
