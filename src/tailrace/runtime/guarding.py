"""Tasks that the user's code begins: fenced too, for asyncio lets what ends a process out of any task, through the whole loop.

Rules of this file: only what ends a process is held; a task of the user's may be cancelled by whoever has it. Called by sinks/calling.py.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any, Final

from tailrace.app.fence import END_FENCE

IN_USERS_CODE: Final[ContextVar[bool]] = ContextVar("tailrace_users_code", default=False)
"""Whether a task that is begun now is one of the user's."""


def guard_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have tasks that are begun in the user's code fenced. Repeatable."""
    make = loop.get_task_factory()
    if getattr(make, "is_fenced", False):
        return

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if IN_USERS_CODE.get() and asyncio.iscoroutine(coroutine):
            coroutine = _fenced(coroutine)
        if make is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        return make(loop, coroutine, **options)

    factory.is_fenced = True  # type: ignore[attr-defined]
    loop.set_task_factory(factory)


async def _fenced(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with END_FENCE:
        return await coroutine
