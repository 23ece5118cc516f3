"""Whose timeout was it? What `except TimeoutError` cannot tell.

Run with: python3 docs/python/timeout.py
"""

import asyncio


async def fetch(url: str) -> str:
    """Stands in for an HTTP client: one address answers, one never does, and one meets the client's own limit."""
    if url == "/never":
        await asyncio.Event().wait()
    if url == "/library":
        raise TimeoutError("the client's own limit: no connection within 1 s")
    return "reply"


# ANCHOR: naive
async def fetch_with_timeout(url: str, seconds: float) -> dict:
    try:
        async with asyncio.timeout(seconds):
            return {"reply": await fetch(url)}
    except TimeoutError:
        return {"error": f"no answer in {seconds} s"}
# ANCHOR_END: naive


async def it_answers_and_it_gives_up() -> None:
    assert await fetch_with_timeout("/lamp", seconds=3600) == {"reply": "reply"}
    assert await fetch_with_timeout("/never", seconds=0) == {"error": "no answer in 0 s"}


# ANCHOR: conflated
async def another_timeout_is_taken_for_ours() -> None:
    # It failed at once, and says that it took an hour.
    answer = await fetch_with_timeout("/library", seconds=3600)
    assert answer == {"error": "no answer in 3600 s"}
# ANCHOR_END: conflated


# ANCHOR: expired
async def fetch_before_deadline(url: str, seconds: float) -> str | None:
    """Nothing, if there was no answer in time. Any other failure stays what it is."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await fetch(url)
    except TimeoutError:
        if not limit.expired():
            raise
        return None
# ANCHOR_END: expired


async def only_our_own_timeout_is_ours() -> None:
    assert await fetch_before_deadline("/lamp", seconds=3600) == "reply"
    assert await fetch_before_deadline("/never", seconds=0) is None
    try:
        await fetch_before_deadline("/library", seconds=3600)
    except TimeoutError as error:
        assert "the client's own limit" in str(error)
    else:
        raise AssertionError("the client's own timeout was lost")


# ANCHOR: swallowed
async def swallowed_cancellation_defeats_it() -> None:
    """A timeout is a request to stop. Code that catches too much never stops."""

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except BaseException:
            pass
        return "late, and no one was told"

    async with asyncio.timeout(0) as limit:
        answer = await stubborn()
    assert answer == "late, and no one was told" and limit.expired()
# ANCHOR_END: swallowed


async def main() -> None:
    await it_answers_and_it_gives_up()
    await another_timeout_is_taken_for_ours()
    await only_our_own_timeout_is_ours()
    await swallowed_cancellation_defeats_it()


asyncio.run(main())
