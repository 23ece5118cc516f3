"""The Python half of the cheat sheet: each line is run, and what it does is asserted.

Run with: python3 docs/python/cheat_sheet.py
"""

# ANCHOR: imports
import asyncio
import contextvars
import unittest
from collections.abc import AsyncIterator
from contextlib import aclosing
# ANCHOR_END: imports
# ANCHOR: resources_imports
import signal
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.request import urlopen
# ANCHOR_END: resources_imports
import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from math import factorial
from pathlib import Path


async def fetch(id: int) -> str:
    """Stands in for a call over the network. It takes `id` turns of the loop: each run is the same. 13 is refused."""
    for _ in range(id):
        await asyncio.sleep(0)
    if id == 13:
        raise ConnectionError("refused")
    return f"page {id}"


async def hang() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return ""


async def serve() -> str:
    return "done"


def run_a_program() -> None:
    # ANCHOR: run
    result = asyncio.run(serve())
    # ANCHOR_END: run
    assert result == "done"


async def wait_a_moment() -> None:
    began = asyncio.get_running_loop().time()
    # ANCHOR: sleep
    await asyncio.sleep(0.002)
    # ANCHOR_END: sleep
    assert asyncio.get_running_loop().time() - began >= 0.002
    # ANCHOR: yield
    await asyncio.sleep(0)
    # ANCHOR_END: yield


async def call() -> None:
    # ANCHOR: call
    page = await fetch(1)
    # ANCHOR_END: call
    assert page == "page 1"


async def start_and_take_the_result_later() -> None:
    # ANCHOR: start
    task = asyncio.create_task(fetch(1))
    page = await task
    # ANCHOR_END: start
    assert page == "page 1"


async def two_at_once() -> None:
    # ANCHOR: join
    user, cart = await asyncio.gather(
        fetch(1), fetch(2)
    )
    # ANCHOR_END: join
    assert (user, cart) == ("page 1", "page 2")


async def two_to_their_end() -> None:
    # ANCHOR: join_all
    both = await asyncio.gather(
        fetch(13), fetch(14), return_exceptions=True
    )
    # ANCHOR_END: join_all
    assert [str(outcome) for outcome in both] == ["refused", "page 14"]


async def a_part_is_of_use() -> None:
    ids = [1, 13, 2]
    # ANCHOR: partial
    pages, errors = {}, {}

    async def safe_fetch(id: int) -> None:
        try:
            pages[id] = await fetch(id)
        except ConnectionError as error:
            errors[id] = error

    async with asyncio.TaskGroup() as group:
        for id in ids:
            group.create_task(safe_fetch(id))
    # ANCHOR_END: partial
    assert pages == {1: "page 1", 2: "page 2"} and list(errors) == [13]


async def many_at_once() -> None:
    ids = [1, 13, 2]
    pages, errors = [], []
    # ANCHOR: gather
    calls = (fetch(id) for id in ids)
    settled = await asyncio.gather(
        *calls, return_exceptions=True
    )
    for outcome in settled:
        if isinstance(outcome, BaseException):
            errors.append(outcome)
        else:
            pages.append(outcome)
    # ANCHOR_END: gather
    assert pages == ["page 1", "page 2"]
    assert [str(error) for error in errors] == ["refused"]


async def parts_of_one_whole() -> None:
    # ANCHOR: task_group
    async with asyncio.TaskGroup() as group:
        user = group.create_task(fetch(1))
        cart = group.create_task(fetch(2))
    pages = [user.result(), cart.result()]
    # ANCHOR_END: task_group
    assert pages == ["page 1", "page 2"]


async def a_part_fails() -> None:
    # ANCHOR: task_group_failed
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fetch(1))
            group.create_task(fetch(13))
            group.create_task(hang())
    except* ConnectionError as failed:
        errors = failed.exceptions
    # ANCHOR_END: task_group_failed
    assert [str(error) for error in errors] == ["refused"]


async def a_few_at_once() -> None:
    ids = [3, 1, 2]
    # ANCHOR: bounded
    semaphore = asyncio.Semaphore(2)

    async def bounded(id: int) -> str:
        async with semaphore:
            return await fetch(id)

    calls = map(bounded, ids)
    for page in await asyncio.gather(*calls):
        show(page)
    # ANCHOR_END: bounded
    assert taken() == ["page 3", "page 1", "page 2"]


async def as_they_come() -> None:
    ids = [3, 1, 2]
    # ANCHOR: as_completed
    calls = [fetch(id) for id in ids]
    for call in asyncio.as_completed(calls):
        show(await call)
    # ANCHOR_END: as_completed
    assert taken() == ["page 1", "page 2", "page 3"]


async def a_limit_that_many_share() -> None:
    semaphore = asyncio.Semaphore(1)
    # ANCHOR: semaphore
    async with semaphore:
        page = await fetch(1)
    # ANCHOR_END: semaphore
    assert page == "page 1" and not semaphore.locked()


async def the_first_to_finish() -> None:
    # ANCHOR: first_completed
    tasks = [
        asyncio.create_task(fetch(id)) for id in (1, 9)
    ]
    done, pending = await asyncio.wait(
        tasks, return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        task.cancel()
    await asyncio.wait(pending)
    page = done.pop().result()
    # ANCHOR_END: first_completed
    assert page == "page 1" and tasks[1].cancelled()


async def the_first_to_succeed() -> None:
    # ANCHOR: first
    calls = [fetch(13), fetch(14)]
    page, errors = None, []
    for call in asyncio.as_completed(calls):
        try:
            page = await call
            break  # The others run on.
        except ConnectionError as error:
            errors.append(error)
    # ANCHOR_END: first
    assert page == "page 14" and len(errors) == 1


async def give_up() -> None:
    # ANCHOR: timeout
    try:
        async with asyncio.timeout(0.001):
            page = await hang()
    except TimeoutError:
        page = "too late"
    # ANCHOR_END: timeout
    assert page == "too late"


async def keep_what_is_there() -> None:
    # ANCHOR: wait_timeout
    tasks = [
        asyncio.create_task(fetch(1)),
        asyncio.create_task(hang()),
    ]
    done, late = await asyncio.wait(
        tasks, timeout=0.01
    )
    # ANCHOR_END: wait_timeout
    assert (len(done), len(late)) == (1, 1)
    # Unlike with `timeout`, whatever is late runs on.
    assert not tasks[1].done()
    tasks[1].cancel()


async def a_blocking_call() -> None:
    path = Path(tempfile.gettempdir())
    # ANCHOR: to_thread
    found = await asyncio.to_thread(path.exists)
    # ANCHOR_END: to_thread
    assert found


async def compute(pool: ProcessPoolExecutor) -> None:
    loop = asyncio.get_running_loop()
    # ANCHOR: compute
    result = await loop.run_in_executor(
        pool, factorial, 5
    )
    # ANCHOR_END: compute
    assert result == 120


async def from_another_thread() -> None:
    pages = []
    loop = asyncio.get_running_loop()

    def on_a_thread() -> None:
        # ANCHOR: from_a_thread
        future = asyncio.run_coroutine_threadsafe(
            fetch(1), loop
        )
        page = future.result()
        # ANCHOR_END: from_a_thread
        pages.append(page)

    await asyncio.to_thread(on_a_thread)
    assert pages == ["page 1"]


async def fire_and_forget() -> None:
    audits = []
    background: set[asyncio.Task] = set()

    async def audit() -> None:
        audits.append(await fetch(1))

    # ANCHOR: background
    task = asyncio.create_task(audit())
    background.add(task)
    task.add_done_callback(background.discard)
    # ... and at the end:
    await asyncio.gather(*background)
    # ANCHOR_END: background
    assert audits == ["page 1"] and not background


async def cancel() -> None:
    task = asyncio.create_task(hang())
    await asyncio.sleep(0)
    # ANCHOR: cancel
    task.cancel()
    await asyncio.wait([task])
    # ANCHOR_END: cancel
    assert task.cancelled()


async def ask_to_stop() -> None:
    rounds = 0
    stop = asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        # ANCHOR: stop
        while not stop.is_set():
            await fetch(1)
            rounds += 1
        # ANCHOR_END: stop

    worker = asyncio.create_task(work())
    while rounds < 3:
        await asyncio.sleep(0)
    stop.set()
    await worker
    assert rounds >= 3 and worker.done()


async def shield() -> None:
    saved = []

    async def save() -> None:
        await asyncio.sleep(0.01)
        saved.append("order")

    # ANCHOR: shield
    saving = asyncio.create_task(save())
    try:
        async with asyncio.timeout(0.001):
            await asyncio.shield(saving)
    except TimeoutError:
        show("still saving")
    # ANCHOR_END: shield
    assert taken() == ["still saving"] and not saved
    await saving
    assert saved == ["order"]


async def clean_up_whatever_happens() -> None:
    # ANCHOR: finally
    async def work() -> None:
        try:
            await hang()
        finally:
            show("released")
    # ANCHOR_END: finally

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert taken() == ["released"]


class Connection:
    def __init__(self) -> None:
        self.open = True

    async def query(self) -> str:
        return await fetch(1)

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.open = False


@asynccontextmanager
async def connect() -> AsyncIterator[Connection]:
    connection = Connection()
    try:
        yield connection
    finally:
        await connection.close()


async def open_and_close() -> None:
    # ANCHOR: async_with
    async with connect() as connection:
        row = await connection.query()
    # ANCHOR_END: async_with
    assert row == "page 1" and not connection.open


# The sessions that are open, in the order of their opening.
left_open: list[str] = []


class Session:
    def __init__(self, name: str) -> None:
        self.name = name

    async def ask(self, id: int) -> str:
        await asyncio.sleep(0)
        return f"{self.name}: {id}"

    async def close(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        left_open.remove(self.name)


async def open_session(name: str) -> Session:
    await asyncio.sleep(0)
    if name == "refused":
        raise ConnectionError(name)
    left_open.append(name)
    return Session(name)


@asynccontextmanager
async def session(name: str) -> AsyncIterator[Session]:
    opened = await open_session(name)
    try:
        yield opened
    finally:
        await opened.close()


async def close_whoever_is_gone() -> None:
    open = open_session

    async def use_one() -> str:
        # ANCHOR: scope
        session = await open("a")
        try:
            row = await session.ask(7)
        finally:
            closing = asyncio.create_task(session.close())
            await asyncio.shield(closing)
        # ANCHOR_END: scope
        return row

    assert await use_one() == "a: 7" and not left_open
    user = asyncio.create_task(use_one())
    while not left_open:
        await asyncio.sleep(0)
    # Two cancels: one in the body, and one in the exit.
    user.cancel()
    await asyncio.sleep(0)
    user.cancel()
    await asyncio.wait([user])
    # The closing goes on, and nobody waits for it.
    assert user.cancelled() and left_open == ["a"]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not left_open


async def close_as_many_as_there_are() -> None:
    names = ["a", "b"]
    # ANCHOR: exit_stack
    async with AsyncExitStack() as stack:
        for name in names:
            one = await stack.enter_async_context(
                session(name)
            )
            show(await one.ask(7))
    # ANCHOR_END: exit_stack
    assert taken() == ["a: 7", "b: 7"] and not left_open


async def open_all_or_nothing() -> None:
    # ANCHOR: connect
    async def connect(*names: str) -> AsyncExitStack:
        async with AsyncExitStack() as stack:
            for name in names:
                await stack.enter_async_context(
                    session(name)
                )
            return stack.pop_all()
    # ANCHOR_END: connect

    try:
        await connect("a", "refused")
    except ConnectionError:
        show("refused")
    assert taken() == ["refused"] and not left_open
    both = await connect("a", "b")
    assert left_open == ["a", "b"]
    await both.aclose()
    assert not left_open


async def lend_a_few_to_many() -> None:
    open = open_session
    # ANCHOR: pool
    pool = asyncio.Queue()
    for _ in range(2):
        pool.put_nowait(await open("a"))
    # ...
    session = await pool.get()
    try:
        row = await session.ask(7)
    finally:
        pool.put_nowait(session)
    # ANCHOR_END: pool
    assert row == "a: 7" and pool.qsize() == 2
    while not pool.empty():
        await pool.get_nowait().close()


async def all_statements_or_none() -> None:
    give = "UPDATE accounts SET balance = balance + ? WHERE name = 'bob'"
    take = "UPDATE accounts SET balance = balance - ? WHERE name = 'ada'"
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.execute("CREATE TABLE accounts (name, balance CHECK (balance >= 0))")
    db.execute("INSERT INTO accounts VALUES ('ada', 50), ('bob', 50)")
    db.commit()

    async def pay(cents: int) -> None:
        # ANCHOR: transaction
        def transfer() -> None:
            with db:
                db.execute(give, [cents])
                db.execute(take, [cents])

        await asyncio.to_thread(transfer)
        # ANCHOR_END: transaction

    await pay(20)
    try:
        await pay(60)
    except sqlite3.IntegrityError:
        show("refused")
    assert taken() == ["refused"]
    balances = db.execute("SELECT balance FROM accounts ORDER BY name")
    assert balances.fetchall() == [(30,), (70,)]
    db.close()


async def call_with_time_limits() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nlamp")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = "http://127.0.0.1:%d/items/7" % server.sockets[0].getsockname()[1]
    # ANCHOR: http_client
    def get() -> bytes:
        # Two seconds for each read.
        with urlopen(url, timeout=2) as reply:
            return reply.read()

    async with asyncio.timeout(5):  # For the wait.
        item = await asyncio.to_thread(get)
    # ANCHOR_END: http_client
    assert item == b"lamp"
    server.close()
    await server.wait_closed()


async def start_and_stop() -> None:
    async def open_pool() -> Session:
        return await open_session("pool")

    async def work(pool: Session) -> None:
        try:
            await hang()
        finally:
            # It stops before the pool is closed.
            show(await pool.ask(2))

    # ANCHOR: lifespan
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        pool = await open_pool()
        try:
            worker = asyncio.create_task(work(pool))
            try:
                yield
            finally:
                worker.cancel()
                await asyncio.wait([worker])
        finally:
            await pool.close()
    # ANCHOR_END: lifespan

    async def operator() -> None:
        while not left_open:
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    operating = asyncio.create_task(operator())
    loop = asyncio.get_running_loop()
    # ANCHOR: signal
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with lifespan():
        await stop.wait()
    # ANCHOR_END: signal
    await operating
    loop.remove_signal_handler(signal.SIGTERM)
    assert taken() == ["pool: 2"] and not left_open


async def hand_over() -> None:
    # ANCHOR: queue
    queue = asyncio.Queue(maxsize=100)
    await queue.put(7)  # Waits while it is full.
    item = await queue.get()  # Waits while it is empty.
    # ANCHOR_END: queue
    assert item == 7


async def work_a_queue_off() -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=100)
    # ANCHOR: queue_close
    await queue.put(7)
    await queue.put(None)  # Says that this was all.
    while (item := await queue.get()) is not None:
        show(item)
    # ANCHOR_END: queue_close
    assert taken() == [7]


async def workers_take_from_a_queue() -> None:
    ids = [1, 13, 2]
    done, failed = [], []
    # ANCHOR: workers
    queue = asyncio.Queue(maxsize=2)

    async def worker() -> None:
        while (id := await queue.get()) is not None:
            try:
                done.append(await fetch(id))
            except ConnectionError as error:
                failed.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(worker())
        for id in [*ids, None, None]:
            await queue.put(id)
    # ANCHOR_END: workers
    assert (len(done), len(failed)) == (2, 1)


async def do_not_wait_for_room() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    # ANCHOR: queue_full
    for item in (7, 8):
        try:
            queue.put_nowait(item)
        except asyncio.QueueFull:
            show(f"no room for {item}")
    # ANCHOR_END: queue_full
    assert taken() == ["no room for 8"]


async def hand_one_value_over() -> None:
    # ANCHOR: future
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.set_result(7)
    value = await future
    # ANCHOR_END: future
    assert value == 7


async def tell_all() -> None:
    # ANCHOR: event
    ready = asyncio.Event()
    waiting = asyncio.create_task(ready.wait())
    ready.set()
    await waiting
    # ANCHOR_END: event
    assert ready.is_set()


async def wait_for_a_state() -> None:
    stock = 0
    condition = asyncio.Condition()

    async def sell() -> None:
        # ANCHOR: condition
        async with condition:
            await condition.wait_for(lambda: stock > 0)
        # ANCHOR_END: condition

    seller = asyncio.create_task(sell())
    await asyncio.sleep(0)
    assert not seller.done()
    async with condition:
        stock = 1
        condition.notify_all()
    await seller


async def meet() -> None:
    met = []
    barrier = asyncio.Barrier(2)

    async def guest(name: str) -> None:
        # ANCHOR: barrier
        await barrier.wait()
        # ANCHOR_END: barrier
        met.append(name)

    await asyncio.gather(guest("one"), guest("two"))
    assert len(met) == 2


async def change_what_is_shared() -> None:
    # ANCHOR: shared
    counts = {"page": 0}
    counts["page"] += 1  # No await within: no lock.
    # ANCHOR_END: shared
    assert counts == {"page": 1}


async def lock_across_an_await() -> None:
    connection = Connection()
    # ANCHOR: lock
    lock = asyncio.Lock()
    async with lock:
        row = await connection.query()
    # ANCHOR_END: lock
    assert row == "page 1" and not lock.locked()


async def change_with_an_await_in_the_middle() -> None:
    lock = asyncio.Lock()
    accounts = [50, 50]

    async def check() -> None:
        await asyncio.sleep(0)

    async def transfer() -> None:
        # ANCHOR: change
        async with lock:
            await check()
            accounts[0] -= 10
            accounts[1] += 10
        # ANCHOR_END: change

    await transfer()
    assert accounts == [40, 60]


# ANCHOR: generator
async def pages(count: int) -> AsyncIterator[str]:
    for id in range(count):
        yield await fetch(id)
# ANCHOR_END: generator


async def iterate() -> None:
    # ANCHOR: async_for
    async for page in pages(2):
        show(page)
    # ANCHOR_END: async_for
    assert taken() == ["page 0", "page 1"]
    # ANCHOR: comprehension
    found = [
        page async for page in pages(3) if "2" in page
    ]
    # ANCHOR_END: comprehension
    assert found == ["page 2"]
    # ANCHOR: aclosing
    async with aclosing(pages(9)) as source:
        async for page in source:
            break
    # ANCHOR_END: aclosing
    assert page == "page 0"


# ANCHOR: iterator
class Countdown:
    def __init__(self, count: int) -> None:
        self.left = count

    def __aiter__(self) -> "Countdown":
        return self

    async def __anext__(self) -> int:
        if self.left == 0:
            raise StopAsyncIteration
        self.left -= 1
        return self.left
# ANCHOR_END: iterator


async def iterate_by_hand() -> None:
    assert [left async for left in Countdown(3)] == [2, 1, 0]


async def try_again() -> None:
    tries = 0

    async def flaky() -> str:
        nonlocal tries
        tries += 1
        return await fetch(13 if tries < 3 else 1)

    # ANCHOR: retry
    for attempt in range(3):
        try:
            page = await flaky()
            break
        except ConnectionError:
            if attempt == 2:
                raise
            await asyncio.sleep(0.001 * 2**attempt)
    # ANCHOR_END: retry
    assert (page, tries) == ("page 1", 3)


async def so_many_a_second() -> None:
    ids = [1, 2, 3]
    loop = asyncio.get_running_loop()
    began = loop.time()
    # ANCHOR: per_second
    begin = loop.time()
    for id in ids:
        await asyncio.sleep(begin - loop.time())
        begin = max(begin, loop.time()) + 0.002
        show(await fetch(id))
    # ANCHOR_END: per_second
    assert len(taken()) == 3 and loop.time() - began >= 0.004


async def keep_a_distance() -> None:
    ids = [1, 2, 3]
    loop = asyncio.get_running_loop()
    began = loop.time()
    # ANCHOR: rate_limit
    for id in ids:
        show(await fetch(id))
        await asyncio.sleep(0.002)
    # ANCHOR_END: rate_limit
    assert len(taken()) == 3 and loop.time() - began >= 0.006


async def carry_a_value_along() -> None:
    # ANCHOR: context
    request = contextvars.ContextVar("request")
    request.set("a7")

    async def handler() -> str:
        return request.get()

    # A task has a copy of its creator's context.
    seen = await asyncio.create_task(handler())
    # ANCHOR_END: context
    assert seen == "a7"


# ANCHOR: test
class Pages(unittest.IsolatedAsyncioTestCase):
    async def test_number(self) -> None:
        self.assertEqual(await fetch(1), "page 1")
# ANCHOR_END: test


# ANCHOR: test_timeout
class Late(unittest.IsolatedAsyncioTestCase):
    async def test_it_gives_up(self) -> None:
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
# ANCHOR_END: test_timeout


class Limit(unittest.IsolatedAsyncioTestCase):
    async def test_three_at_once_and_never_four(self) -> None:
        # ANCHOR: test_limit
        active = most = 0
        semaphore = asyncio.Semaphore(3)

        async def call() -> None:
            nonlocal active, most
            async with semaphore:
                active += 1
                most = max(most, active)
                await asyncio.sleep(0)
                active -= 1

        calls = (call() for _ in range(10))
        await asyncio.gather(*calls)
        assert most == 3  # One at a time is `<= 3` too.
        # ANCHOR_END: test_limit


def the_tests_pass() -> None:
    cases = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in (Pages, Late, Limit)
    )
    result = unittest.TestResult()
    cases.run(result)
    assert result.testsRun == 3 and result.wasSuccessful(), result


# What a program does with a page, and what has been done since the last look.
shown: list = []
show = shown.append


def taken() -> list:
    now = shown.copy()
    shown.clear()
    return now


async def main(pool: ProcessPoolExecutor) -> None:
    await compute(pool)
    for line in (
        wait_a_moment,
        call,
        start_and_take_the_result_later,
        two_at_once,
        two_to_their_end,
        a_part_is_of_use,
        many_at_once,
        parts_of_one_whole,
        a_part_fails,
        a_few_at_once,
        as_they_come,
        a_limit_that_many_share,
        the_first_to_finish,
        the_first_to_succeed,
        give_up,
        keep_what_is_there,
        a_blocking_call,
        from_another_thread,
        fire_and_forget,
        cancel,
        ask_to_stop,
        shield,
        clean_up_whatever_happens,
        open_and_close,
        close_whoever_is_gone,
        close_as_many_as_there_are,
        open_all_or_nothing,
        lend_a_few_to_many,
        all_statements_or_none,
        call_with_time_limits,
        start_and_stop,
        hand_over,
        work_a_queue_off,
        workers_take_from_a_queue,
        do_not_wait_for_room,
        hand_one_value_over,
        tell_all,
        wait_for_a_state,
        meet,
        change_what_is_shared,
        lock_across_an_await,
        change_with_an_await_in_the_middle,
        iterate,
        iterate_by_hand,
        try_again,
        so_many_a_second,
        keep_a_distance,
        carry_a_value_along,
    ):
        await line()


# The process pool imports this file again.
if __name__ == "__main__":
    run_a_program()
    the_tests_pass()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        # Its start takes a while, and would hold up the loop.
        pool.submit(factorial, 1).result()
        asyncio.run(main(pool))
