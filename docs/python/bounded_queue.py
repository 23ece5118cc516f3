"""What `asyncio.Queue` does not do: end, notice a dead consumer, keep an item whose consumer is cancelled.

Not called queue.py, which would hide the module of that name from `concurrent.futures`.

Run with: python3 docs/python/bounded_queue.py
"""

import asyncio


async def turns(count: int) -> None:
    """Lets everybody run so many times. It counts turns, not seconds: each run is the same."""
    for _ in range(count):
        await asyncio.sleep(0)


# ANCHOR: asyncio
async def pipeline(items: list, work, consumers: int) -> list:
    queue = asyncio.Queue(maxsize=2)
    results = []

    async def consume() -> None:
        while (item := await queue.get()) is not None:
            results.append(await work(item))

    tasks = [asyncio.create_task(consume()) for _ in range(consumers)]
    for item in items:
        await queue.put(item)
    # There is no end of a queue before Python 3.13: one sentinel for each consumer, no fewer.
    for _ in tasks:
        await queue.put(None)
    await asyncio.gather(*tasks)
    return results
# ANCHOR_END: asyncio


async def double(item: int) -> int:
    await turns(1)
    return 2 * item


async def picky(item: int) -> int:
    if item == 2:
        raise ValueError("no price")
    return await double(item)


async def it_works_while_nothing_fails() -> None:
    assert sorted(await pipeline([1, 2, 3, 4, 5], double, consumers=2)) == [2, 4, 6, 8, 10]


# ANCHOR: dead
async def a_producer_waits_for_a_dead_consumer() -> None:
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
    running = asyncio.create_task(pipeline(list(range(1, 9)), picky, consumers=1))
    await turns(1000)
    # The only consumer raised at 2. Nobody was told: the producer waits in `put`, and would for ever.
    assert not running.done() and told == []
# ANCHOR_END: dead
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# ANCHOR: lost
async def a_cancelled_consumer_takes_its_item_with_it() -> None:
    queue = asyncio.Queue()
    done = []

    async def consume() -> None:
        while True:
            item = await queue.get()
            await turns(5)
            done.append(item)

    for item in (1, 2, 3):
        queue.put_nowait(item)
    consumer = asyncio.create_task(consume())
    await turns(9)  # in the middle of the second
    consumer.cancel()
    await asyncio.gather(consumer, return_exceptions=True)
    assert done == [1]
    # The third is in the queue. The second is nowhere.
    assert [queue.get_nowait() for _ in range(queue.qsize())] == [3]
# ANCHOR_END: lost


async def without_a_size_it_takes_everything() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    for item in range(10_000):
        await queue.put(item)
    assert queue.qsize() == 10_000


async def main() -> None:
    await it_works_while_nothing_fails()
    await a_producer_waits_for_a_dead_consumer()
    await a_cancelled_consumer_takes_its_item_with_it()
    await without_a_size_it_takes_everything()


asyncio.run(main())
