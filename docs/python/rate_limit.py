"""What an asyncio program does about "twenty requests a second", and how many that makes.

Run with: python3 docs/python/rate_limit.py
"""

import asyncio
import selectors


class Jumping(selectors.DefaultSelector):
    """Moves the loop's clock instead of waiting: each run is the same, and takes no time."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


class Api:
    """Answers after a while, and remembers when each request came."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.came: list[float] = []

    async def get(self) -> None:
        self.came.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)

    def in_the_first_second(self) -> int:
        return sum(came < 0.999 for came in self.came)


# ANCHOR: asyncio
async def with_a_semaphore(api: Api, count: int) -> None:
    limit = asyncio.Semaphore(20)

    async def request() -> None:
        async with limit:
            await api.get()

    await asyncio.gather(*(request() for _ in range(count)))
# ANCHOR_END: asyncio


# ANCHOR: sleep
async def with_a_sleep(api: Api, count: int) -> None:
    for _ in range(count):
        await api.get()
        await asyncio.sleep(1 / 20)
# ANCHOR_END: sleep


# ANCHOR: counted
async def main() -> None:
    quick, slow = Api(takes=0.01), Api(takes=0.2)
    await with_a_semaphore(quick, 4000)
    assert quick.in_the_first_second() > 1900, "twenty at once, each for ten milliseconds"
    await with_a_sleep(slow, 100)
    took = slow.came[-1] - slow.came[0]
    assert round(len(slow.came) / took) == 4, "four a second, and not twenty"
# ANCHOR_END: counted


def run() -> None:
    clock = Jumping()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now
    loop.run_until_complete(main())
    loop.close()


run()
