"""Verbs about handlers as such: pause, resume, list.

Rules of this file: what they change is a row, so that it holds after a restart and without a server; a running worker of this process looks at it at once, every other at its next look.
Registered by `verbs`.
"""

from collections.abc import AsyncGenerator
from typing import Any

from tailrace.engine.engine import Engine
from tailrace.errors import TailraceError
from tailrace.leases.checkpoint import suspended_of
from tailrace.mapping.outcomes import first_line
from tailrace.rows.kinds import CHECKPOINT, MAPPING, RESUMED, words_of
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.pausing import Suspension, ended_suspensions, resumed_row
from tailrace.runtime.recursion import pause_key, pause_row, resuming
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.letters import kept
from tailrace.server.progress import known_mappings
from tailrace.server.story import running


def declared(subject: Subject) -> list[MappingName]:
    """Every handler that runs, was ever declared or has saved a checkpoint."""
    found = dict.fromkeys(running(subject))
    found.update(dict.fromkeys(known_mappings(subject.engine)))
    for row in subject.engine.state_query(MAPPING.prefix()):
        found[MappingName(words_of(row.key)[1], row.fields["id"], row.fields["table"])] = None
    return sorted(found, key=lambda each: (each.app, each.table, each.handler))


def named(subject: Subject, arguments: Arguments) -> MappingName:
    """The handler that is meant, by its id or as app/id. Raises: TailraceError with those that there are."""
    name = arguments.get("handler")
    known = declared(subject)
    found = [each for each in known if name in (each.handler, f"{each.app}/{each.handler}")]
    if len(found) == 1:
        return found[0]
    if found:
        words = ", ".join(f"{each.app}/{each.handler}" for each in found)
        raise TailraceError(f"Several handlers are called {name!r}: {words}.", hint="name one as app/handler")
    words = ", ".join(each.handler for each in known) or "none"
    raise TailraceError(f"There is no handler {name!r}. There are: {words}.", hint="tailrace mapping ls")


def is_paused(engine: Engine, app: str, handler: str) -> bool:
    """Whether a handler was told to pause, or has paused by itself."""
    return engine.state_get(pause_key(app, handler)) is not None or bool(suspended(engine, app, handler))


def pause_reason(engine: Engine, app: str, handler: str) -> str | None:
    """Why a handler is paused when it was no person who paused it."""
    row = engine.state_get(pause_key(app, handler))
    if row is not None:
        return row.get("reason")
    reasons = [reason for each in suspended(engine, app, handler) if (reason := suspended_of(each.fields))]
    if not reasons:
        return None
    _, error, _, version = min(reasons, key=lambda each: each[2])
    of = f" (version {version} of its code)" if version else ""
    return (
        f"no more of its keys can be parked, and the last ones tried all failed alike{of}: {first_line(error)}. One change a minute is tried; "
        "another version of its code goes on by itself and puts back what failed"
    )


def suspended(engine: Engine, app: str, handler: str) -> list[StateRow]:
    """The checkpoints of a handler that has paused by itself, where nobody has let it go on."""
    ended = ended_suspensions(engine.state_get(RESUMED.key(app, handler)))
    rows = engine.state_query(CHECKPOINT.prefix(app, handler))
    return [row for row in rows if suspended_of(row.fields) is not None and _suspension(row) not in ended]


def _suspension(row: StateRow) -> Suspension:
    reason = suspended_of(row.fields)
    assert reason is not None
    _, _, _, label, shard_id = words_of(row.key)
    return label, shard_id, reason[2]


@verb("pause", changes=True, works_offline=True)
async def pause(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler."""
    yield await _set_paused(subject, arguments, paused=True)


@verb("resume", changes=True, works_offline=True)
async def resume(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler."""
    yield await _set_paused(subject, arguments, paused=False)


async def _set_paused(subject: Subject, arguments: Arguments, *, paused: bool) -> dict[str, Any]:
    mapping = named(subject, arguments)
    key = pause_key(mapping.app, mapping.handler)
    before = subject.engine.state_get(key)
    by_itself = suspended(subject.engine, mapping.app, mapping.handler)
    was = before is not None or bool(by_itself)
    writes = resuming(mapping.app, mapping.handler, before)
    if by_itself:
        ended = resumed_row(mapping.handler, [_suspension(row) for row in by_itself])
        writes.append(Write(RESUMED.key(mapping.app, mapping.handler), ended))
    if paused:  # why it was paused before stays known, or a resume would not let it go on
        writes = [Write(key, before or pause_row(mapping.handler, subject.clock.now().wall_ms))]
    if not arguments.get("dry_run"):
        subject.engine.state_transact(writes)
        if subject.flushed is not None:
            await subject.flushed()
        if subject.worker is not None:
            await subject.worker.look_at_pauses()
    return {"handler": mapping.handler, "app": mapping.app, "paused": paused, "was_paused": was}


@verb("mapping.ls")
async def mapping_ls(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Every handler that this directory knows."""
    live = set(running(subject))
    yield [
        {
            "handler": each.handler,
            "app": each.app,
            "table": each.table,
            "running": each in live,
            "paused": is_paused(subject.engine, each.app, each.handler),
            "parked_keys": kept(subject.engine, each.app, each.handler).parked_keys,
        }
        for each in declared(subject)
    ]
