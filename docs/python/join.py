"""A few different things at once in asyncio: what becomes of the others when one fails.

Run with: python3 docs/python/join.py
"""

import asyncio


async def write(part: str, log: list[str], fails_after: int | None = None) -> str:
    """Uploads a part, then enters it into an index. It counts turns of the loop: each run is the same."""
    for turn in range(8):
        if turn == fails_after:
            raise OSError(f"no room for {part}")
        await asyncio.sleep(0)
    log.append(f"{part} uploaded")
    for _ in range(4):
        await asyncio.sleep(0)
    log.append(f"{part} in the index")
    return part


# ANCHOR: gather
async def gather_tells_one_error_and_leaves_the_rest(log: list[str]) -> None:
    try:
        await asyncio.gather(write("text", log), write("image", log, 2), write("sound", log, 3))
    except OSError as error:
        log.append(f"told: {error}")
# ANCHOR_END: gather


# ANCHOR: group
async def a_task_group_cuts_off_what_is_under_way(log: list[str]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(write("text", log))
            group.create_task(write("image", log, 2))
            await asyncio.sleep(0)
    except* OSError as errors:
        log.append(f"told: {len(errors.exceptions)} error")
# ANCHOR_END: group


# ANCHOR: row
async def coroutines_in_a_row(log: list[str]) -> None:
    text, image = write("text", log), write("image", log)
    await text  # neither has begun before it is awaited
    await image
# ANCHOR_END: row


async def main() -> None:
    log: list[str] = []
    await gather_tells_one_error_and_leaves_the_rest(log)
    # The caller goes on while the first write is still at it, and the third one's error is told to nobody.
    assert log == ["told: no room for image"], log
    for _ in range(20):
        await asyncio.sleep(0)
    assert log == ["told: no room for image", "text uploaded", "text in the index"], log

    log = []
    await a_task_group_cuts_off_what_is_under_way(log)
    assert log == ["told: 1 error"], log

    log = []
    await coroutines_in_a_row(log)
    assert log == ["text uploaded", "text in the index", "image uploaded", "image in the index"], log


asyncio.run(main())
