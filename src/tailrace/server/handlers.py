"""Verbs about handlers as such: pause, resume, list.

Rules of this file: what they change is a row, so that it holds after a restart and without a server; a
running worker of this process looks at it at once, every other at its next look. Registered by `verbs`.
"""

from typing import Any

from tailrace.deadletters.views.letters import heads
from tailrace.errors import TailraceError
from tailrace.rows.kinds import RESUMED
from tailrace.rows.writes import Write
from tailrace.runtime.pausing import resumed_row
from tailrace.runtime.recursion import pause_key, pause_row, resuming
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.views.pauses import is_paused, suspended
from tailrace.views.progress import declared
from tailrace.views.reading import running


async def named(subject: Subject, arguments: Arguments) -> MappingName:
    """The handler of an id or of app/id. Raises: TailraceError that names the handlers."""
    name = arguments.get("handler")
    known = await declared(subject.reading)
    matches = [mapping for mapping in known if name in (mapping.handler, f"{mapping.app}/{mapping.handler}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        words = ", ".join(f"{mapping.app}/{mapping.handler}" for mapping in matches)
        raise TailraceError(f"Several handlers are called {name!r}: {words}.", hint="name one as app/handler")
    words = ", ".join(mapping.handler for mapping in known) or "none"
    raise TailraceError(f"There is no handler {name!r}. There are: {words}.", hint="tailrace mapping ls")


@verb("pause", changes=True, works_offline=True, works_afar=True)
async def pause(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler."""
    return await _set_paused(subject, arguments, paused=True)


@verb("resume", changes=True, works_offline=True, works_afar=True)
async def resume(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler."""
    return await _set_paused(subject, arguments, paused=False)


async def _set_paused(subject: Subject, arguments: Arguments, *, paused: bool) -> dict[str, Any]:
    mapping, state = await named(subject, arguments), subject.state
    key = pause_key(mapping.app, mapping.handler)
    row = await state.get(key)
    before = None if row is None else row.fields
    by_itself = await suspended(state, mapping.app, mapping.handler)
    was = before is not None or bool(by_itself)
    writes = resuming(mapping.app, mapping.handler, before)
    if by_itself:
        ended = resumed_row(mapping.handler, by_itself)
        writes.append(Write(RESUMED.key(mapping.app, mapping.handler), ended))
    if paused:  # why it was paused before stays known, or a resume would not let it go on
        writes = [Write(key, before or pause_row(mapping.handler, subject.clock.now().wall_ms))]
    if not arguments.get("dry_run"):
        await state.transact(writes)
        if subject.worker is not None:
            await subject.worker.look_at_pauses()
    return {"handler": mapping.handler, "app": mapping.app, "paused": paused, "was_paused": was}


@verb("mapping.ls", works_afar=True)
async def mapping_ls(subject: Subject, arguments: Arguments) -> object:
    """Every handler that this directory or fleet knows. Shape: `running` is None of a fleet: its workers run
    whatever they were started with.
    """
    live, state = set(running(subject.worker)), subject.state
    return [
        {
            "handler": mapping.handler,
            "app": mapping.app,
            "table": mapping.table,
            "running": None if subject.is_far else mapping in live,
            "paused": await is_paused(state, mapping.app, mapping.handler),
            "parked_keys": len(await heads(state, mapping.app, mapping.handler)),
        }
        for mapping in await declared(subject.reading)
    ]
