"""What becomes of a task that is created and forgotten, and of its exception.

Run with: python3 docs/python/background.py
"""

import asyncio
import gc


async def a_few_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def background_work() -> None:
    await asyncio.sleep(0)
    raise ConnectionError("the mail server refused")


def listen() -> list[str]:
    """What the event loop has to say of lost tasks, in place of its log."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context["message"]))
    return told


# ANCHOR: silenced
async def the_callback_silences_the_error() -> None:
    told = listen()
    task = asyncio.create_task(background_work())
    task.add_done_callback(lambda t: t.exception() if not t.cancelled() else None)
    await a_few_turns()
    del task
    gc.collect()
    assert told == []  # It was fetched, so asyncio takes it for handled.
# ANCHOR_END: silenced


async def without_it_the_error_is_logged_when_the_task_is_collected() -> None:
    told = listen()
    task = asyncio.create_task(background_work())
    await a_few_turns()
    assert told == []  # Not when it happens,
    del task
    gc.collect()
    assert told == ["Task exception was never retrieved"]  # but when nobody has the task any more.


# ANCHOR: collected
async def a_task_that_nobody_keeps_may_vanish() -> None:
    told = listen()

    async def wait_for_a_reply() -> None:
        await asyncio.get_running_loop().create_future()

    asyncio.create_task(wait_for_a_reply())
    await a_few_turns()
    gc.collect()  # The event loop holds its tasks weakly.
    assert told == ["Task was destroyed but it is pending!"]
# ANCHOR_END: collected


# ANCHOR: asyncio
running: set[asyncio.Task] = set()


def spawn(name: str, work, log: list[str]) -> None:
    task = asyncio.create_task(work, name=name)
    running.add(task)

    def ended(task: asyncio.Task) -> None:
        running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.append(f"{task.get_name()}: {error}")

    task.add_done_callback(ended)
# ANCHOR_END: asyncio


async def kept_and_told(log: list[str]) -> None:
    async def write_slowly() -> None:
        for _ in range(100):
            await asyncio.sleep(0)
        log.append("written")

    spawn("mail 7", background_work(), log)
    spawn("audit", write_slowly(), log)
    await a_few_turns()
    assert log == ["mail 7: the mail server refused"]
    assert {task.get_name() for task in running} == {"audit"}


def the_end_of_run_cuts_off_what_is_under_way() -> None:
    log: list[str] = []
    asyncio.run(kept_and_told(log))
    # `asyncio.run` cancels what is left: the line was never written, and nobody is told.
    assert log == ["mail 7: the mail server refused"]


asyncio.run(the_callback_silences_the_error())
asyncio.run(without_it_the_error_is_logged_when_the_task_is_collected())
asyncio.run(a_task_that_nobody_keeps_may_vanish())
the_end_of_run_cuts_off_what_is_under_way()
