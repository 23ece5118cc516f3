"""What a semaphore bounds in asyncio, and what it does not.

Run with: python3 docs/python/bounded.py
"""

import asyncio
from collections.abc import Iterable


class Service:
    """Stands in for an HTTP service, and counts what is going on while it is asked."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.most_in_flight = 0
        self.most_tasks = 0

    async def fetch(self, url: str) -> str:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.most_tasks = max(self.most_tasks, len(asyncio.all_tasks()))
        # Some answers take longer; counted in turns of the loop, so that each run is the same.
        for _ in range(1 + len(url) % 3):
            await asyncio.sleep(0)
        self.in_flight -= 1
        return url.upper()


# ANCHOR: semaphore
async def fetch_with_limit(service: Service, urls: list[str], limit: int) -> list[str]:
    semaphore = asyncio.Semaphore(limit)

    async def bounded_fetch(url: str) -> str:
        async with semaphore:
            return await service.fetch(url)

    return await asyncio.gather(*(bounded_fetch(url) for url in urls))
# ANCHOR_END: semaphore


# ANCHOR: all_at_once
async def every_task_exists_from_the_start() -> None:
    service = Service()
    urls = [f"/{number}" for number in range(1000)]
    replies = await fetch_with_limit(service, urls, limit=3)
    assert replies == urls
    assert service.most_in_flight == 3
    # Three run; the others wait for the semaphore, each with its stack and its arguments. (And this task.)
    assert service.most_tasks == 1000 + 1
# ANCHOR_END: all_at_once


# ANCHOR: workers
async def fetch_with_workers(service: Service, urls: Iterable[str], limit: int) -> list[str]:
    """As many tasks as calls in flight; the addresses are taken from their source one by one."""
    numbered = enumerate(urls)
    replies: dict[int, str] = {}

    async def worker() -> None:
        for number, url in numbered:
            replies[number] = await service.fetch(url)

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(worker())
    return [replies[number] for number in sorted(replies)]
# ANCHOR_END: workers


async def workers_are_as_many_as_the_limit() -> None:
    service = Service()
    urls = [f"/{number}" for number in range(1000)]
    assert await fetch_with_workers(service, iter(urls), limit=3) == urls
    assert (service.most_in_flight, service.most_tasks) == (3, 3 + 1)


# ANCHOR: zero
async def a_limit_of_zero_waits_for_ever() -> None:
    call = asyncio.create_task(fetch_with_limit(Service(), ["/1"], limit=0))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not call.done()
    call.cancel()
# ANCHOR_END: zero


async def main() -> None:
    await every_task_exists_from_the_start()
    await workers_are_as_many_as_the_limit()
    await a_limit_of_zero_waits_for_ever()


asyncio.run(main())
