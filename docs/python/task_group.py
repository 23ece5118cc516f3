"""What `asyncio.TaskGroup` promises, and what a dict of results takes away again.

Run with: python3 docs/python/task_group.py
"""

import asyncio

# How many turns of the event loop each address takes, and what comes of it.
SCRIPT = {
    "/slow": (5, "slow"),
    "/quick": (1, "quick"),
    "/broken": (2, ConnectionError("refused")),
}


async def fetch(url: str) -> str:
    """Stands in for an HTTP client. It counts turns, not seconds: each run is the same."""
    turns, outcome = SCRIPT[url]
    for _ in range(turns):
        await asyncio.sleep(0)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


# ANCHOR: dict
async def fetch_all(urls: list[str]) -> list[str]:
    results: dict[str, str] = {}
    async with asyncio.TaskGroup() as group:
        for url in urls:
            group.create_task(fetch_one(url, results))
    return list(results.values())


async def fetch_one(url: str, results: dict[str, str]) -> None:
    results[url] = await fetch(url)
# ANCHOR_END: dict


# ANCHOR: lost
async def a_dict_loses_order_and_duplicates() -> None:
    # In the order of completion, not as asked.
    assert await fetch_all(["/slow", "/quick"]) == ["quick", "slow"]
    # Three were asked for, and fetched; two come back.
    assert await fetch_all(["/slow", "/quick", "/quick"]) == ["quick", "slow"]
# ANCHOR_END: lost


# ANCHOR: tasks
async def fetch_in_order(urls: list[str]) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fetch(url)) for url in urls]
    return [task.result() for task in tasks]
# ANCHOR_END: tasks


async def tasks_keep_order_and_duplicates() -> None:
    assert await fetch_in_order(["/slow", "/quick", "/quick"]) == ["slow", "quick", "quick"]


# ANCHOR: cancels
async def one_failure_cancels_the_others_and_waits_for_them() -> None:
    log: list[str] = []

    async def lookup(url: str) -> None:
        try:
            await fetch(url)
            log.append(f"{url} answered")
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # Cleaning up may take a while: the group waits.
            log.append(f"{url} cancelled")
            raise

    try:
        async with asyncio.TaskGroup() as group:
            for url in ["/slow", "/quick", "/broken"]:
                group.create_task(lookup(url))
    except* ConnectionError as failed:  # A group of errors, even for one.
        log.append(f"{len(failed.exceptions)} failed")
    assert log == ["/quick answered", "/slow cancelled", "1 failed"]
# ANCHOR_END: cancels


async def main() -> None:
    await a_dict_loses_order_and_duplicates()
    await tasks_keep_order_and_duplicates()
    await one_failure_cancels_the_others_and_waits_for_them()


asyncio.run(main())
