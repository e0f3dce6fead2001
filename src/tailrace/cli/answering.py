"""The answers of a verb that is run in this process, where a command wants them: one after the other.

Stands alone because its two callers import an engine and a client of AWS, and neither needs what is the
other's. Rules of this file: a loop for one question, and its end closes what the verb has opened. Called by
offline.py and far.py.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any


def one_by_one(values: AsyncGenerator[Any, None]) -> Iterator[Any]:
    """Every value, when it is asked for. Raises: what the verb raises."""
    with asyncio.Runner() as runner:
        try:
            while True:
                yield runner.run(_following(values))
        except StopAsyncIteration:
            return
        finally:
            runner.run(values.aclose())


async def _following(values: AsyncGenerator[Any, None]) -> Any:
    return await anext(values)
