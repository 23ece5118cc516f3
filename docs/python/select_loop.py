"""How an event loop of one's own loses messages in asyncio.

Not called select.py, which would hide the module of that name from asyncio itself.

Run with: python3 docs/python/select_loop.py
"""

import asyncio


async def turns(count: int) -> None:
    """Lets everybody run so many times. It counts turns, not seconds: each run is the same."""
    for _ in range(count):
        await asyncio.sleep(0)


# ANCHOR: asyncio
async def serve(orders: asyncio.Queue, tick: asyncio.Event, written: list, look_up) -> None:
    async def receive_and_look_up():
        return await look_up(await orders.get())

    while True:
        order = asyncio.create_task(receive_and_look_up())
        ticking = asyncio.create_task(tick.wait())
        done, pending = await asyncio.wait({order, ticking}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if ticking in done:
            tick.clear()
            written.append("tick")
        else:
            written.append(order.result())
# ANCHOR_END: asyncio


async def look_up(order: int) -> str:
    await turns(4)
    return f"order {order}"


async def run(serving, steps) -> None:
    task = asyncio.create_task(serving)
    await steps()
    task.cancel()
    # What it had started goes on without it, and nobody would end it.
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for one in left:
        one.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def it_works_while_nothing_comes_in_between() -> None:
    orders, tick, written = asyncio.Queue(), asyncio.Event(), []
    for order in (1, 2, 3):
        orders.put_nowait(order)
    await run(serve(orders, tick, written, look_up), lambda: turns(50))
    assert written == ["order 1", "order 2", "order 3"]


# ANCHOR: lost
async def a_tick_takes_an_order_with_it() -> None:
    orders, tick, written = asyncio.Queue(), asyncio.Event(), []
    for order in (1, 2, 3):
        orders.put_nowait(order)

    async def steps() -> None:
        await turns(4)  # the first is being looked up
        tick.set()
        await turns(50)

    await run(serve(orders, tick, written, look_up), steps)
    assert written == ["tick", "order 2", "order 3"]
# ANCHOR_END: lost


# ANCHOR: both
async def an_order_that_comes_with_the_tick_is_forgotten() -> None:
    orders, tick, written = asyncio.Queue(), asyncio.Event(), []

    async def at_once(order: int) -> str:
        return f"order {order}"

    async def steps() -> None:
        await turns(4)  # both wait
        orders.put_nowait(1)
        tick.set()
        await turns(50)

    await run(serve(orders, tick, written, at_once), steps)
    # Both tasks were in `done`, nothing was cancelled, and `else` threw one away.
    assert written == ["tick"]
# ANCHOR_END: both


async def main() -> None:
    await it_works_while_nothing_comes_in_between()
    await a_tick_takes_an_order_with_it()
    await an_order_that_comes_with_the_tick_is_forgotten()


asyncio.run(main())
