"""Giving a handler another name, and forgetting it: everything that is kept of it moves, or goes.

Rules of this file: what runs neither moves nor goes, and what was never handled goes only when the user says
so (`yes`); the row that names the mapping goes last, so that a drop that was cut off can be repeated.
Registered by `verbs`; `tailrace dev` forgets by itself what has nothing pending.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tailrace.deadletters.core.redrive import item_words
from tailrace.deadletters.views.letters import letters
from tailrace.errors import TailraceError
from tailrace.ports import StateStore
from tailrace.projections.views.projections import is_projection
from tailrace.rows.kinds import CHECKPOINT, EVENT_SOURCE_MAPPING, HAND_OVER, LEASE, MAPPING
from tailrace.rows.writes import Write
from tailrace.runtime.mapping_rows import moves, rename_mapping, renaming_to, rows_of
from tailrace.runtime.pages import rows
from tailrace.runtime.watermark import MappingName, positions
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import named
from tailrace.views.leases import WATCH_MS, watched
from tailrace.views.reading import ViewSources

SLICE: Final = 500
NAMED: Final = 20
"""So many letters that go are named; the others are counted."""


class UnhandledRows(Struct, frozen=True):
    """What of a mapping was never handled. Shape: `rows` by what they hold, in the plural. Units: since_ms
    since the epoch, None: no change waits.
    """

    rows: dict[str, int]
    since_ms: int | None

    def __bool__(self) -> bool:
        return bool(self.rows) or self.since_ms is not None

    @property
    def words(self) -> str:
        """All of it in words; empty: nothing."""
        counted = [f"{count} {kind}" for kind, count in self.rows.items()]
        return ", ".join([*counted, *(["changes in its streams"] if self.since_ms is not None else [])])


async def pending(reading: ViewSources, mapping: MappingName) -> UnhandledRows:
    """What would be lost with a mapping."""
    state = reading.state
    counts = Counter([place.kind.holds async for place, _ in rows_of(state, mapping.app, mapping.handler)])
    waiting = [
        place.oldest.created_ms
        async for place in positions(state, reading.log, [mapping])
        if place.oldest is not None
    ]
    del counts[""]
    return UnhandledRows(dict(counts), min(waiting, default=None))


async def check_owner(state: StateStore, mapping: MappingName) -> None:
    """Raises: TailraceError for a name that an event source mapping or a projection has."""
    name = mapping.handler
    if await state.get(EVENT_SOURCE_MAPPING.key(name)) is not None:
        raise TailraceError(
            f"{name!r} is an event source mapping of Lambda's API.",
            hint=f"aws lambda delete-event-source-mapping --uuid {name}",
        )
    await check_no_projection(state, mapping, "projection drop", ", or keep its name with id={!r}")


async def check_no_projection(
    state: StateStore, mapping: MappingName, command: str = "projection rebuild", more: str = ""
) -> None:
    """Raises: TailraceError for what brings changes into a projection, with the command that is meant."""
    projection = mapping.handler.rpartition("@v")[0]
    if await _is_projected(state, mapping):
        raise TailraceError(
            f"{mapping.handler!r} brings changes into the projection {projection!r}.",
            hint=f"tailrace {command} {projection}{more.format(projection)}",
        )


def check_stopped(subject: Subject, app: str, *handlers: str, why: str, hint: str) -> None:
    """Raises: TailraceError when one of these mappings runs here."""
    worker = subject.worker
    live = (
        []
        if worker is None or worker.app.name != app
        else [handler for handler in handlers if handler in worker.sinks]
    )
    if live:
        raise TailraceError(f"{live[0]!r} runs now: {why}.", hint=hint)


async def check_no_worker(subject: Subject, arguments: Arguments, app: str, why: str) -> None:
    """Raises: TailraceError when a worker of a fleet gives a sign of life: each runs all that there are rows
    of, or it would not have begun.
    """
    if not subject.is_far:
        return
    watch_ms = arguments.get("watch_ms", WATCH_MS)
    alive = await watched(subject.state, subject.clock, watch_ms, app)
    if alive:
        raise TailraceError(
            f"{', '.join(sorted(alive))} gave a sign of life, and may run it: {why}.",
            hint="end every worker of the app (SIGTERM drains it), then repeat this; tailrace leases ls",
        )


@verb("mapping.rename", changes=True, works_offline=True, works_afar=True)
async def mapping_rename(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler (the present id), to (the new one), dry_run. Everything kept under the old id goes
    to the new one.
    """
    mapping, to, state = await named(subject, arguments), arguments.get("to"), subject.state
    if not isinstance(to, str) or not to:
        raise TailraceError("A handler needs a new id.", hint="tailrace mapping rename OLD NEW")
    await check_owner(state, mapping)
    check_stopped(
        subject,
        mapping.app,
        mapping.handler,
        to,
        why="what it saves would go to the wrong name",
        hint="stop `tailrace dev`, rename, start it with the renamed handler",
    )
    await _check_new_name(state, mapping, to)
    await check_no_worker(subject, arguments, mapping.app, "what it saves would go to the wrong name")
    moved = len([row async for row in moves(state, mapping.app, mapping.handler, to)])
    if not arguments.get("dry_run"):
        await rename_mapping(state, mapping.app, mapping.handler, mapping.table, to)
    return {"handler": mapping.handler, "to": to, "rows": moved, "dry_run": bool(arguments.get("dry_run"))}


async def _check_new_name(state: StateStore, mapping: MappingName, to: str) -> None:
    """Raises: TailraceError when it is another mapping's, or when a renaming to another one was cut off."""
    begun = await renaming_to(state, mapping.app, mapping.handler)
    if begun not in (None, to):
        raise TailraceError(
            f"{mapping.handler!r} is on its way to {begun!r}: a renaming was cut off.",
            hint=f"tailrace mapping rename {mapping.handler} {begun}",
        )
    if begun is None:
        async for _ in rows_of(state, mapping.app, to):
            raise TailraceError(
                f"There is a handler {to!r} already, with checkpoints of its own.", hint="tailrace mapping ls"
            )


@verb("mapping.drop", changes=True, works_offline=True, works_afar=True)
async def mapping_drop(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler, dry_run, yes (also when something was never handled). Answers what went: rows by
    kind, and what of it was never handled.

    Shape: `left_in_target` are the ids under which its target goes on to have positions.
    Units: waiting_since_ms since the epoch, of the oldest change in its streams that it has not handled;
           null: there is none.
    """
    mapping, state = await named(subject, arguments), subject.state
    await check_owner(state, mapping)
    check_stopped(
        subject,
        mapping.app,
        mapping.handler,
        why="it would go on as one that is new",
        hint="remove it from the app, stop `tailrace dev`, then drop it",
    )
    await check_no_worker(subject, arguments, mapping.app, "it would go on as one that is new")
    lost, is_dry = await pending(subject.reading, mapping), bool(arguments.get("dry_run"))
    if lost and not is_dry and not arguments.get("yes"):
        raise TailraceError(
            f"{mapping.handler!r} has never handled {lost.words}: that would be lost.",
            hint=f"tailrace dlq ls {mapping.handler}; tailrace mapping drop {mapping.handler} --yes loses it",
        )
    answer = {
        "handler": mapping.handler,
        "app": mapping.app,
        "table": mapping.table,
        "dry_run": is_dry,
        "lost": lost.rows,
        "waiting_since_ms": lost.since_ms,
        "letters": await _letters(state, mapping),
        "left_in_target": await _left_in_target(state, mapping),
    }
    kinds = Counter([place.kind.name async for place, _ in rows_of(state, mapping.app, mapping.handler)])
    if not is_dry:
        await drop(state, mapping)
    return {**answer, "kinds": dict(kinds), "rows": kinds.total()}


async def _left_in_target(state: StateStore, mapping: MappingName) -> list[str]:
    """The ids under which a target has positions of a mapping, whose rows say so."""
    kept = rows(state, CHECKPOINT.prefix(mapping.app, mapping.handler))
    return sorted({row.fields["target"] async for row in kept if row.fields.get("target")})


async def _letters(state: StateStore, mapping: MappingName) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = []
    async for letter in letters(state, mapping.app, mapping.handler):
        if len(named) == NAMED:
            break
        named.append(
            {
                "event_id": letter.event_id,
                "key": item_words(letter),
                "condition": letter.condition,
                "error": letter.error.partition("\n")[0],
            }
        )
    return named


async def drop(state: StateStore, mapping: MappingName) -> None:
    """Remove every row of a mapping that no worker runs, and the leases of its app after the last."""
    await remove(state, (row.key async for _, row in rows_of(state, mapping.app, mapping.handler)))
    if not await state.count(MAPPING.prefix(mapping.app)):
        for kind in (LEASE, HAND_OVER):
            await remove(state, (row.key async for row in rows(state, kind.prefix(mapping.app))))


async def remove(state: StateStore, keys: AsyncIterator[str], *, dry_run: bool = False) -> int:
    """Remove these rows, in slices; each is durable before the next. Returns: how many."""
    removed, some = 0, list[str]()
    async for key in keys:
        some.append(key)
        if len(some) == SLICE:
            removed += await _remove_slice(state, some, dry_run=dry_run)
            some = []
    return removed + await _remove_slice(state, some, dry_run=dry_run)


async def _remove_slice(state: StateStore, keys: Sequence[str], *, dry_run: bool) -> int:
    if keys and not dry_run:
        await state.transact([Write(key, None) for key in keys])
    await asyncio.sleep(0)
    return len(keys)


# ---- what `tailrace dev` forgets by itself -----------------------------------------------------------------


async def undeclared(state: StateStore, app: str, declared: Mapping[str, str]) -> list[MappingName]:
    """An app's mappings that are declared no more; `declared` are the present ones, with their tables."""
    return [
        MappingName(app, str(row.fields["id"]), str(row.fields["table"]))
        async for row in rows(state, MAPPING.prefix(app))
        if row.fields["id"] not in declared and not row.fields.get("only_counts")
    ]


async def forget_idle(subject: Subject, app: str, declared: Mapping[str, str]) -> list[str]:
    """Forget what an app no longer declares, if none of that has anything pending. Returns: their names.

    Guarantee: nothing is forgotten when one of them has, or when a new mapping follows the same table: it may
               be the old one under another name, and would begin at the oldest change. The check of the start
               says so then. Earlier versions of projections are the projector's.
    """
    state, reading = subject.state, subject.reading
    projections = {name.rpartition("@v")[0] for name in declared} - {""}
    gone = [
        mapping
        for mapping in await undeclared(state, app, declared)
        if mapping.handler.rpartition("@v")[0] not in projections
    ]
    known = {str(row.fields["id"]) async for row in rows(state, MAPPING.prefix(app))}
    fresh = {table for name, table in declared.items() if name not in known}
    for mapping in gone:
        is_moving = await renaming_to(state, mapping.app, mapping.handler) is not None
        if is_moving or mapping.table in fresh or await _is_projected(state, mapping):
            return []
        if await pending(reading, mapping):
            return []
    for mapping in gone:
        await drop(state, mapping)
    return [mapping.handler for mapping in gone]


async def _is_projected(state: StateStore, mapping: MappingName) -> bool:
    projection = mapping.handler.rpartition("@v")[0]
    return bool(projection) and await is_projection(state, mapping.app, projection)
