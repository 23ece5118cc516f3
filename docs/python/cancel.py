"""What `asyncio.shield` and `finally` do with a cancel.

Run with: python3 docs/python/cancel.py
"""

import asyncio

# What has been done, in order.
log: list[str] = []


async def ask(step: str) -> None:
    """Stands in for a call over the network. It counts turns of the loop, not seconds: each run is the same."""
    await turns(20 if step == "credit" else 5)
    log.append(step)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def money() -> None:
    await ask("debit")
    await ask("credit")


# ANCHOR: asyncio
async def transfer() -> None:
    await ask("quote")
    try:
        await asyncio.shield(money())  # the money is not to stop half-way
    finally:
        await ask("unlock")  # and the account is to be given back
# ANCHOR_END: asyncio


async def cancelled_after_the_quote() -> asyncio.Task:
    log.clear()
    task = asyncio.create_task(transfer())
    await turns(8)
    assert log == ["quote"]
    task.cancel()
    return task


# ANCHOR: early
async def the_account_is_given_back_while_the_money_moves() -> None:
    task = await cancelled_after_the_quote()
    await asyncio.wait([task])
    assert log == ["quote", "debit", "unlock"]  # no credit yet
    await turns(30)
    assert log == ["quote", "debit", "unlock", "credit"]
# ANCHOR_END: early


# ANCHOR: exit
async def main_that_returns() -> None:
    task = await cancelled_after_the_quote()
    await asyncio.wait([task])


def the_shielded_work_is_cancelled_when_the_loop_closes() -> None:
    asyncio.run(main_that_returns())
    assert log == ["quote", "debit", "unlock"]  # and there never is one
# ANCHOR_END: exit


# ANCHOR: twice
async def the_second_cancel_interrupts_the_clean_up() -> None:
    task = await cancelled_after_the_quote()
    await turns(2)
    task.cancel()  # an impatient timeout, a second Ctrl-C
    await asyncio.wait([task])
    await turns(30)
    assert log == ["quote", "debit", "credit"]  # no unlock
# ANCHOR_END: twice


asyncio.run(the_account_is_given_back_while_the_money_moves())
the_shielded_work_is_cancelled_when_the_loop_closes()
asyncio.run(the_second_cancel_interrupts_the_clean_up())
