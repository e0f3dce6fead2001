"""Giving a handler another name, and forgetting it: everything that is kept of it moves, or goes.

Rules of this file: what runs neither moves nor goes, and what was never handled goes only when somebody said so (`yes`); the row that names the mapping goes
last, so that a drop that was cut off can be repeated. Registered by `verbs`; `tailrace dev` forgets by itself what has nothing pending.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from tailrace.deadletters.redrive import item_words
from tailrace.engine.engine import Engine
from tailrace.errors import TailraceError
from tailrace.projections.builds import served_key
from tailrace.rows.kinds import EVENT_SOURCE_MAPPING, LEASE, MAPPING
from tailrace.rows.writes import Write
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import named
from tailrace.server.letters import letters
from tailrace.server.mapping_rows import moves, rows_of
from tailrace.server.progress import positions

SLICE: Final = 500
NAMED: Final = 20
"""So many letters that go are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What of a mapping was never handled. Shape: `rows` by what they hold, in the plural. Units: since_ms since the epoch, None: no change waits."""

    rows: dict[str, int]
    since_ms: int | None

    def __bool__(self) -> bool:
        return bool(self.rows) or self.since_ms is not None

    @property
    def words(self) -> str:
        """All of it in words; empty: nothing."""
        counted = [f"{count} {what}" for what, count in self.rows.items()]
        return ", ".join([*counted, *(["changes in its streams"] if self.since_ms is not None else [])])


def pending(engine: Engine, mapping: MappingName) -> Pending:
    """What would be lost with a mapping."""
    counts = Counter(place.kind.holds for place, _ in rows_of(engine, mapping.app, mapping.handler))
    waiting = [each.oldest.created_ms for each in positions(engine, [mapping]) if each.oldest is not None]
    del counts[""]
    return Pending(dict(counts), min(waiting, default=None))


def check_owner(engine: Engine, mapping: MappingName) -> None:
    """Raises: TailraceError for a mapping whose name is somebody else's: an event source mapping's, a projection's."""
    name = mapping.handler
    if engine.state_get(EVENT_SOURCE_MAPPING.key(name)) is not None:
        raise TailraceError(
            f"{name!r} is an event source mapping of Lambda's API.",
            hint=f"aws lambda delete-event-source-mapping --uuid {name}",
        )
    projection = name.rpartition("@v")[0]
    if projection and engine.state_get(served_key(mapping.app, projection)) is not None:
        raise TailraceError(
            f"{name!r} brings changes into the projection {projection!r}.",
            hint=f"tailrace projection drop {projection}, or keep its name with id={projection!r}",
        )


def check_stopped(subject: Subject, app: str, *handlers: str, why: str, hint: str) -> None:
    """Raises: TailraceError when one of these mappings runs here."""
    worker = subject.worker
    live = (
        []
        if worker is None or worker.app.name != app
        else [each for each in handlers if each in worker.sinks]
    )
    if live:
        raise TailraceError(f"{live[0]!r} runs now: {why}.", hint=hint)


@verb("mapping.rename", changes=True, works_offline=True)
async def mapping_rename(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler (the present id), to (the new one), dry_run. Everything kept under the old id goes to the new one."""
    mapping, to, engine = named(subject, arguments), arguments.get("to"), subject.engine
    if not isinstance(to, str) or not to:
        raise TailraceError("A handler needs a new id.", hint="tailrace mapping rename OLD NEW")
    check_owner(engine, mapping)
    check_stopped(
        subject, mapping.app, mapping.handler, to, why="what it saves would go to the wrong name",
        hint="stop `tailrace dev`, rename, start it with the renamed handler",
    )  # fmt: skip
    if any(rows_of(engine, mapping.app, to)):
        raise TailraceError(
            f"There is a handler {to!r} already, with checkpoints of its own.", hint="tailrace mapping ls"
        )
    writes = list(moves(engine, mapping.app, mapping.handler, to))
    if not arguments.get("dry_run"):
        engine.state_transact(writes)
        if subject.flushed is not None:
            await subject.flushed()
    moved = sum(write.fields is not None for write in writes)
    yield {"handler": mapping.handler, "to": to, "rows": moved, "dry_run": bool(arguments.get("dry_run"))}


@verb("mapping.drop", changes=True, works_offline=True)
async def mapping_drop(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, dry_run, yes (also when something was never handled). Answers what went: rows by kind, and what of it was never handled.

    Units: waiting_since_ms since the epoch, of the oldest change in its streams that it has not handled; null: there is none.
    """
    mapping, engine = named(subject, arguments), subject.engine
    check_owner(engine, mapping)
    check_stopped(
        subject, mapping.app, mapping.handler, why="it would go on as one that is new",
        hint="remove it from the app, stop `tailrace dev`, then drop it",
    )  # fmt: skip
    lost, is_dry = pending(engine, mapping), bool(arguments.get("dry_run"))
    if lost and not is_dry and not arguments.get("yes"):
        raise TailraceError(
            f"{mapping.handler!r} has never handled {lost.words}: that would be lost.",
            hint=f"tailrace dlq ls {mapping.handler}; tailrace mapping drop {mapping.handler} --yes loses it",
        )
    answer = {
        "handler": mapping.handler, "app": mapping.app, "table": mapping.table, "dry_run": is_dry,
        "lost": lost.rows, "waiting_since_ms": lost.since_ms, "letters": _letters(engine, mapping),
    }  # fmt: skip
    kinds = Counter(place.kind.name for place, _ in rows_of(engine, mapping.app, mapping.handler))
    if not is_dry:
        await drop(subject, mapping)
    yield {**answer, "kinds": dict(kinds), "rows": kinds.total()}


def _letters(engine: Engine, mapping: MappingName) -> list[dict[str, Any]]:
    return [
        {
            "event_id": each.event_id, "key": item_words(each), "condition": each.condition,
            "error": each.error.partition("\n")[0],
        }
        for each in islice(letters(engine, mapping.app, mapping.handler), NAMED)
    ]  # fmt: skip


async def drop(subject: Subject, mapping: MappingName) -> None:
    """Remove every row of a mapping that nobody runs, and the leases of its app when it was the last one."""
    engine = subject.engine
    await _remove(subject, (row.key for _, row in rows_of(engine, mapping.app, mapping.handler)))
    if not engine.state_count(MAPPING.prefix(mapping.app)):
        await _remove(subject, (row.key for row in engine.state_rows(LEASE.prefix(mapping.app), SLICE)))


async def _remove(subject: Subject, keys: Iterator[str]) -> None:
    while some := list(islice(keys, SLICE)):
        subject.engine.state_transact([Write(key, None) for key in some])
        if subject.flushed is not None:
            await subject.flushed()
        await asyncio.sleep(0)


# ---- what `tailrace dev` forgets by itself --------------------------------------------------------------------------------


def undeclared(engine: Engine, app: str, declared: dict[str, str]) -> list[MappingName]:
    """The mappings of an app that were declared once and are no more; `declared` are those of now, with their tables."""
    rows = engine.state_query(MAPPING.prefix(app))
    return [
        MappingName(app, str(row.fields["id"]), str(row.fields["table"]))
        for row in rows
        if row.fields["id"] not in declared and not row.fields.get("only_counts")
    ]


async def forget_idle(subject: Subject, app: str, declared: dict[str, str]) -> list[str]:
    """Forget what an app no longer declares, if none of that has anything pending. Returns: their names.

    Guarantee: nothing is forgotten when one of them has, or when a new mapping follows the same table: it may be the old one under another name, and would
               begin at the oldest change. The check of the start says so then. Earlier versions of projections are the projector's.
    """
    engine = subject.engine
    projections = {name.rpartition("@v")[0] for name in declared} - {""}
    gone = [
        each
        for each in undeclared(engine, app, declared)
        if each.handler.rpartition("@v")[0] not in projections
    ]
    known = {str(row.fields["id"]) for row in engine.state_query(MAPPING.prefix(app))}
    fresh = {table for name, table in declared.items() if name not in known}
    if any(_is_projected(engine, each) or each.table in fresh or pending(engine, each) for each in gone):
        return []
    for each in gone:
        await drop(subject, each)
    return [each.handler for each in gone]


def _is_projected(engine: Engine, mapping: MappingName) -> bool:
    projection = mapping.handler.rpartition("@v")[0]
    return bool(projection) and engine.state_get(served_key(mapping.app, projection)) is not None
