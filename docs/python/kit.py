"""A test that passes although a task failed and another one never ended.

Run with: python3 docs/python/kit.py
"""

import asyncio
import logging
import unittest

# ANCHOR: asyncio
class Checkout(unittest.IsolatedAsyncioTestCase):
    async def test_that_the_order_is_placed(self) -> None:
        orders: list[int] = []

        async def audit() -> None:
            raise ValueError("the audit failed")

        async def refresh() -> None:
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(audit()), asyncio.create_task(refresh())]
        await asyncio.sleep(0)
        orders.append(7)
        self.assertEqual(orders, [7])
# ANCHOR_END: asyncio


logging.disable(logging.CRITICAL)  # "Task exception was never retrieved" is a line of the log, and no failure
result = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(Checkout).run(result)
assert result.testsRun == 1
assert result.wasSuccessful()
