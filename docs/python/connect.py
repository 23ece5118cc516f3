"""What becomes of a set-up in steps that fails, is repeated, or is cancelled.

Run with: python3 docs/python/connect.py
"""

import asyncio
from contextlib import AsyncExitStack

# What is open at the server, in the order in which it was asked for.
open_now: list[str] = []
# What the server refuses.
refused: set[str] = set()


class Session:
    """Stands in for a session with a server. It counts turns of the loop, not seconds: each run is the same."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def close(self) -> None:
        await turns(5)
        open_now.remove(self.name)


async def open_session(name: str) -> Session:
    # The server has it from the moment in which it is asked. The answer comes later.
    open_now.append(name)
    await turns(5)
    if name in refused:
        open_now.remove(name)
        raise ConnectionError(name)
    return Session(name)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def begin(*refuse: str) -> None:
    open_now.clear()
    refused.clear()
    refused.update(refuse)


# ANCHOR: asyncio
class Client:
    async def connect(self) -> None:
        self._session = await open_session("session")
        self._lease = await open_session("lease")

    async def close(self) -> None:
        await self._lease.close()
        await self._session.close()

    async def __aenter__(self) -> "Client":
        await self.connect()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
# ANCHOR_END: asyncio


async def it_works() -> None:
    begin()
    async with Client():
        assert open_now == ["session", "lease"]
    assert open_now == []


# ANCHOR: half
async def half_a_client_stays_open() -> None:
    begin("lease")
    client = Client()
    try:
        async with client:
            raise AssertionError("it is not entered")
    except ConnectionError:
        pass
    assert open_now == ["session"]  # who is not entered, is not left: no `__aexit__`

    try:
        await client.close()  # by hand, then
    except AttributeError as error:
        assert "_lease" in str(error)
    assert open_now == ["session"]
# ANCHOR_END: half


# ANCHOR: twice
async def connected_twice_closed_once() -> None:
    begin()
    client = Client()
    await client.connect()
    await client.connect()  # a retry, or two callers of one client
    await client.close()
    assert open_now == ["session", "lease"]  # the first ones, and nobody has them
# ANCHOR_END: twice


async def cancelled_in_the_second_step(connect) -> None:
    begin()
    task = asyncio.create_task(connect)
    await turns(8)
    task.cancel()
    await asyncio.wait([task])
    await turns(50)


# ANCHOR: stack
async def connect() -> AsyncExitStack:
    async with AsyncExitStack() as stack:
        session = await open_session("session")
        stack.push_async_callback(session.close)
        lease = await open_session("lease")
        stack.push_async_callback(lease.close)
        return stack.pop_all()
# ANCHOR_END: stack


async def a_stack_closes_all_but_the_step_in_hand() -> None:
    begin("lease")
    try:
        await connect()
    except ConnectionError:
        pass
    assert open_now == []  # better: what was open is closed

    await cancelled_in_the_second_step(Client().connect())
    assert open_now == ["session", "lease"]
    await cancelled_in_the_second_step(connect())
    assert open_now == ["lease"]  # asked for, and not yet pushed


asyncio.run(it_works())
asyncio.run(half_a_client_stays_open())
asyncio.run(connected_twice_closed_once())
asyncio.run(a_stack_closes_all_but_the_step_in_hand())
