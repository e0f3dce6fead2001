"""Asking a view without an event loop: over a store and a log in this process.

Rules of this file: it drives a coroutine without a loop, so nothing else runs meanwhile and no time passes.
Called by the test world and the demo, whose answers are plain values; it stands alone because servers and
commands, which have a loop, must never ask like this.
"""

from collections.abc import AsyncIterable, Coroutine
from typing import Any, TypeVar

from tailrace.errors import InternalError

Result = TypeVar("Result")


def at_once(asked: Coroutine[Any, Any, Result]) -> Result:
    """What a view comes to. It may give a loop back between its pages (`asyncio.sleep(0)`); none is there.
    Raises: InternalError when it waits for anything.
    """
    try:
        while True:
            if asked.send(None) is not None:
                raise InternalError("a view waits, and its store and log are in this process")
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        asked.close()


async def listed(values: AsyncIterable[Result]) -> list[Result]:
    """All values that a view tells one by one."""
    return [value async for value in values]
