"""What the usual retry loop does in an outage.

Run with: python3 docs/python/retry.py
"""

import asyncio

# Seconds pass only in this list: each run is the same, and takes no time.
CLOCK = [0.0]


async def sleep(seconds: float) -> None:
    """Stands in for `asyncio.sleep`, for one task at a time."""
    CLOCK[0] += seconds


class Site:
    """Carries out an order at once, and answers after so many seconds: first late, then quickly."""

    def __init__(self, *latencies: float) -> None:
        self.latencies, self.orders, self.asked_at = list(latencies), 0, []

    async def order(self, timeout: float) -> str:
        self.asked_at.append(CLOCK[0])
        self.orders += 1
        latency = self.latencies.pop(0) if len(self.latencies) > 1 else self.latencies[0]
        await sleep(min(latency, timeout))
        if latency > timeout:
            raise TimeoutError
        return "ordered"


# ANCHOR: asyncio
async def order_with_retry(site: Site, attempts: int = 3) -> str:
    for attempt in range(attempts):
        try:
            return await site.order(timeout=5.0)
        except Exception as exc:
            last = exc
            await sleep(2**attempt)
    raise last


async def what_goes_wrong() -> None:
    # The answer was late, the order was not.
    twice = Site(6.0, 1.0)
    assert await order_with_retry(twice) == "ordered"
    assert twice.orders == 2

    # Five seconds for each attempt, and three pauses: 22 seconds, four of them after the last attempt.
    CLOCK[0], down = 0.0, Site(60.0)
    try:
        await order_with_retry(down)
    except TimeoutError:
        assert CLOCK[0] == 22.0

    # Whoever failed at the same moment comes back at the same moment.
    moments = []
    for _ in range(1000):
        CLOCK[0], client = 0.0, Site(60.0)
        await asyncio.gather(order_with_retry(client), return_exceptions=True)
        moments.append(tuple(client.asked_at))
    assert set(moments) == {(0.0, 6.0, 13.0)}
# ANCHOR_END: asyncio


asyncio.run(what_goes_wrong())
