"""The fan-out of benches/fan_out, in asyncio: one measurement in a process of its own.

python3 benches/peers/fan_out.py WAY ITEMS prints nanoseconds, KiB at the peak beyond those at the start, the most
tasks alive, and the most calls in flight in the warm-up; without arguments, the ways.
"""

import asyncio
import gc
import sys
import time

LIMIT = 64
most_tasks = 0
counting, now, in_flight = False, 0, 0


async def call(n):
    """Waits once, as the smallest real call does."""
    global most_tasks, now, in_flight
    if counting:
        now += 1
        in_flight = max(in_flight, now)
        await asyncio.sleep(0)
        now -= 1
        return n
    await asyncio.sleep(0)
    if n % 65536 == 500:  # all_tasks() builds a set of them all
        most_tasks = max(most_tasks, len(asyncio.all_tasks()))
    return n


async def gather(items):
    return await asyncio.gather(*(call(n) for n in range(items)))


async def task_group(items):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call(n)) for n in range(items)]
    return [task.result() for task in tasks]


async def semaphore(items):
    permits = asyncio.Semaphore(LIMIT)

    async def limited(n):
        async with permits:
            return await call(n)

    return await asyncio.gather(*(limited(n) for n in range(items)))


async def workers(items):
    """As many tasks as the limit, which share one iterator: the form that does not grow with the input."""
    replies = [None] * items
    waiting = iter(range(items))

    async def worker():
        for n in waiting:
            replies[n] = await call(n)

    async with asyncio.TaskGroup() as group:
        for _ in range(LIMIT):
            group.create_task(worker())
    return replies


WAYS = {
    "asyncio.gather": gather,
    "asyncio.TaskGroup": task_group,
    "asyncio.Semaphore and gather": semaphore,
    "asyncio, 64 workers": workers,
}


def memory(line):
    with open("/proc/self/status") as status:
        return next(int(told.split()[1]) for told in status if told.startswith(line))


def main():
    if len(sys.argv) != 3:
        print("\n".join(WAYS))
        return
    way, items = WAYS[sys.argv[1]], int(sys.argv[2])
    with asyncio.Runner() as runner:
        global counting
        counting = True
        runner.run(way(1000))
        counting = False
        gc.collect()
        with open("/proc/self/clear_refs", "w") as marks:
            marks.write("5")
        before = memory("VmRSS:")
        begun = time.perf_counter_ns()
        replies = runner.run(way(items))
        taken = time.perf_counter_ns() - begun
        peak = memory("VmHWM:") - before
    assert replies == list(range(items))
    print(taken, peak, most_tasks, in_flight)


main()
