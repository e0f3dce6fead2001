"""Verbs about handlers as such: pause, resume, list, rename.

Rules of this file: what they change is a row, so that it holds after a restart and without a server; a running worker is told at once.
Registered by `verbs`.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final

from tailrace.engine.engine import Engine
from tailrace.errors import TailraceError
from tailrace.leases.rows import key_of
from tailrace.ports import StateWrite
from tailrace.runtime.recursion import pause_key, pause_row, resuming
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.letters import kept
from tailrace.server.progress import MappingName, known_mappings, words_of
from tailrace.server.story import running

MOVED: Final = (
    "checkpoint",
    "ledger",
    "head",
    "parked",
    "deadletter",
    "passed",
    "pause",
    "generations",
    "mapping",
)
"""Rows that are kept under an app and a handler's id, in the order in which they are moved."""


def declared(subject: Subject) -> list[MappingName]:
    """Every handler that runs, was ever declared or has saved a checkpoint."""
    found = dict.fromkeys(running(subject))
    found.update(dict.fromkeys(known_mappings(subject.engine)))
    for row in subject.engine.state_query("mapping/"):
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
    """Whether a handler was told to pause."""
    return engine.state_get(pause_key(app, handler)) is not None


def pause_reason(engine: Engine, app: str, handler: str) -> str | None:
    """Why a handler is paused when it was no person who paused it."""
    row = engine.state_get(pause_key(app, handler))
    return None if row is None else row.get("reason")


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
    was = before is not None
    writes = resuming(mapping.app, mapping.handler, before)
    if paused:  # why it was paused before stays known, or a resume would not let it go on
        writes = [StateWrite(key, before or pause_row(mapping.handler, subject.clock.now().wall_ms))]
    if not arguments.get("dry_run"):
        subject.engine.state_transact(writes)
        if subject.flushed is not None:
            await subject.flushed()
        if subject.worker is not None:
            subject.worker.set_paused(mapping.handler, paused=paused)
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


@verb("mapping.rename", changes=True, works_offline=True)
async def mapping_rename(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler (the present id), to (the new one), dry_run. Everything kept under the old id goes to the new one."""
    mapping, to = named(subject, arguments), arguments.get("to")
    if not isinstance(to, str) or not to:
        raise TailraceError("A handler needs a new id.", hint="tailrace mapping rename OLD NEW")
    live = {each.handler for each in running(subject)}
    if live & {mapping.handler, to}:
        raise TailraceError(
            f"{mapping.handler!r} or {to!r} runs now: what it saves would go to the wrong name.",
            hint="stop `tailrace dev`, rename, start it with the renamed handler",
        )
    writes = moves(subject.engine, mapping, to)
    if not arguments.get("dry_run"):
        subject.engine.state_transact(writes)
        if subject.flushed is not None:
            await subject.flushed()
    moved = sum(write.fields is not None for write in writes)
    yield {"handler": mapping.handler, "to": to, "rows": moved, "dry_run": bool(arguments.get("dry_run"))}


def moves(engine: Engine, mapping: MappingName, to: str) -> list[StateWrite]:
    """Every row of a handler under its new id. Raises: TailraceError when that has rows of its own."""
    writes: list[StateWrite] = []
    for kind in MOVED:
        if _rows(engine, kind, mapping.app, to):
            raise TailraceError(
                f"There is a handler {to!r} already, with checkpoints of its own.", hint="tailrace mapping ls"
            )
        for key, fields in _rows(engine, kind, mapping.app, mapping.handler):
            changed = dict(fields)
            for name in ("id", "handler"):
                if name in changed:
                    changed[name] = to
            rest = key.removeprefix(key_of(kind, mapping.app, mapping.handler))
            writes += [StateWrite(key, None), StateWrite(key_of(kind, mapping.app, to) + rest, changed)]
    for row in engine.state_query(key_of("redrive", mapping.app, "")):
        if row.fields["handler"] == mapping.handler:
            writes.append(StateWrite(row.key, {**row.fields, "handler": to}))
    old, new = (key_of("mark", f"{mapping.app}.{name}", "") for name in (mapping.handler, to))
    for row in engine.state_query(old):
        writes += [StateWrite(row.key, None), StateWrite(new + row.key.removeprefix(old), row.fields)]
    return writes


def _rows(engine: Engine, kind: str, app: str, handler: str) -> list[tuple[str, Any]]:
    whole = key_of(kind, app, handler)
    found = [(row.key, row.fields) for row in engine.state_query(f"{whole}/")]
    alone = engine.state_get(whole)
    return found if alone is None else [(whole, alone), *found]
