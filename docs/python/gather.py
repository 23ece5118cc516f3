"""What `asyncio.gather` does with failures.

Run with: python3 docs/python/gather.py
"""

import asyncio

# How many turns of the event loop each address takes, and what comes of it.
SCRIPT = {
    "/lamp": (6, "lamp"),
    "/desk": (1, ConnectionError("refused")),
    "/chair": (9, "chair"),
}


async def fetch(url: str, log: list[str]) -> str:
    """Stands in for an HTTP client. It counts turns, not seconds: each run is the same."""
    turns, outcome = SCRIPT[url]
    for _ in range(turns):
        await asyncio.sleep(0)
    if isinstance(outcome, Exception):
        raise outcome
    log.append(f"{url} answered")
    return outcome


# ANCHOR: fetch_all
async def fetch_all(calls: list) -> list[dict]:
    replies = await asyncio.gather(*calls, return_exceptions=True)
    results = []
    for reply in replies:
        if isinstance(reply, Exception):
            results.append({"error": str(reply)})
        else:
            results.append({"name": reply.title()})
    return results
# ANCHOR_END: fetch_all


async def failures_come_back_as_values() -> None:
    results = await fetch_all([fetch(url, []) for url in SCRIPT])
    assert results == [{"name": "Lamp"}, {"error": "refused"}, {"name": "Chair"}]


# ANCHOR: cancelled
async def a_cancelled_call_slips_through() -> None:
    """CancelledError is a BaseException, not an Exception: it is taken for a reply."""
    calls = [asyncio.create_task(fetch(url, [])) for url in SCRIPT]
    calls[0].cancel()
    try:
        await fetch_all(calls)
    except AttributeError as error:
        # The replies that did arrive are lost with it.
        assert "'CancelledError' object has no attribute 'title'" in str(error)
    else:
        raise AssertionError("fetch_all noticed the cancelled call")
# ANCHOR_END: cancelled


# ANCHOR: siblings
async def the_siblings_run_on() -> None:
    """Without `return_exceptions` the caller goes on, and so do the other calls, unowned."""
    log: list[str] = []
    try:
        await asyncio.gather(*(fetch(url, log) for url in SCRIPT))
    except ConnectionError:
        log.append("the caller has given up")
    for _ in range(20):
        await asyncio.sleep(0)
    assert log == ["the caller has given up", "/lamp answered", "/chair answered"]
# ANCHOR_END: siblings


async def main() -> None:
    await failures_come_back_as_values()
    await a_cancelled_call_slips_through()
    await the_siblings_run_on()


asyncio.run(main())
