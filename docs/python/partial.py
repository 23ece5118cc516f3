"""What becomes of failures that are caught in the children of a task group.

Run with: python3 docs/python/partial.py
"""

import asyncio

# How many turns of the event loop each address takes, and what comes of it.
SCRIPT = {
    "/lamp": (9, {"cents": 4200}),
    "/desk": (1, TimeoutError()),
    "/chair": (3, {"cent": 990}),
    "/shelf": (2, {"cents": 1500}),
}


async def fetch(url: str) -> dict:
    """Stands in for an HTTP client. It counts turns, not seconds: each run is the same."""
    turns, outcome = SCRIPT[url]
    for _ in range(turns):
        await asyncio.sleep(0)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


# ANCHOR: asyncio
async def prices(urls: list[str]) -> tuple[list[int], list[str]]:
    results, errors = [], []

    async def price(url: str) -> None:
        try:
            page = await fetch(url)
            results.append(page["cents"])
        except Exception as exc:
            errors.append(f"{url}: {exc}")

    async with asyncio.TaskGroup() as group:
        for url in urls:
            group.create_task(price(url))
    return results, errors


async def what_is_lost() -> None:
    results, errors = await prices(list(SCRIPT))
    # The lamp was asked for first, and nothing says which price is its.
    assert results == [1500, 4200]
    # A timeout has no text. A misspelt key, which is a bug, looks like any other failure.
    assert errors == ["/desk: ", "/chair: 'cents'"]
# ANCHOR_END: asyncio


# ANCHOR: down
async def a_source_that_is_down() -> None:
    """Nobody counts: a thousand addresses of a server that is down are a thousand calls."""
    addresses = [f"/{n}" for n in range(1000)]
    SCRIPT.update({url: (1, ConnectionError("refused")) for url in addresses})
    results, errors = await prices(addresses)
    assert (len(results), len(errors)) == (0, 1000)
# ANCHOR_END: down


async def main() -> None:
    await what_is_lost()
    await a_source_that_is_down()


asyncio.run(main())
