"""Carrying out an export: a handler's checkpoints become leases with which KCL begins.

Rules of this file: it reads state and writes the lease table alone; state stays as it is, so that a handler
can go on. A lease that changed since it was seen is left as it is, and told. Decision 55.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from tailrace.deadletters.core.entry import deadletter_prefix, parked_prefix, read_deadletter
from tailrace.deadletters.core.evacuated import read_evacuated
from tailrace.errors import SettingsError
from tailrace.kcl.core.exporting import ExportedLease, ExportPlan, KeyForm, SetAside, plan_export
from tailrace.kcl.core.lease_table import LeaseTable
from tailrace.kcl.run.lease_table import KclTable, absent
from tailrace.kcl.run.sides import AT_WORK, LOOK_MS, HandlerSide, look_twice
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.ports import Shard, StreamRef
from tailrace.rows.kinds import EVACUATED, words_of
from tailrace.runtime.pages import rows
from tailrace.runtime.recursion import shown

CREATED_LOOK_MS: Final = 1_000
CREATED_LOOKS: Final = 120
"""A table is made within two minutes."""


class ExportChoice(Struct, frozen=True):
    """How it is asked for. Units: `look_ms` between two looks."""

    form: KeyForm = KeyForm()
    creates: bool = False
    leaves_parked: bool = False
    even_if_alive: bool = False
    look_ms: int = LOOK_MS


class PreparedExport(Struct, frozen=True):
    """What an export would do. Shape: `table` None: it is not there; `letters` are the event ids of dead
    letters, which are given up and concern nobody else; `refusals` why it is not done, each with what helps.
    """

    table: LeaseTable | None
    plan: ExportPlan
    letters: tuple[str, ...]
    alive: tuple[str, ...]
    refusals: tuple[tuple[str, str], ...]


async def prepare_export(table: KclTable, side: HandlerSide, choice: ExportChoice) -> PreparedExport:
    """Look at everything, and write nothing. Raises: SettingsError, SourceError, StoreError."""
    looks = await look_twice(table, side, choice.look_ms)
    if looks.table is None and not choice.creates:
        raise absent(table, "say --create to make it as KCL would, or name the table that there is")
    here = await side.checkpoints()
    if not here:
        raise SettingsError(
            f"handler {side.handler.id!r} has no checkpoint: it was never here",
            hint="name the handler, and the state that its workers were told",
        )
    aside = await _set_aside(side)
    streams = await side.readable(lambda stream, shard: _lowest(stream, shard, here, aside))
    leases = {} if looks.table is None else {lease.key: lease for lease in looks.table.leases}
    plan = plan_export(streams, here, aside, leases, choice.form, leaves_parked=choice.leaves_parked)
    letters = [
        read_deadletter(row.fields).event_id
        async for row in rows(side.state, deadletter_prefix(side.app.name, side.handler.id))
    ]
    refusals = tuple(_refusals(plan, looks.kcl, looks.workers, choice))
    return PreparedExport(looks.table, plan, tuple(letters), (*looks.workers, *looks.kcl), refusals)


def _lowest(
    stream: StreamRef, shard: Shard, here: Mapping[tuple[str, str], CheckpointRow], aside: Sequence[SetAside]
) -> int | None:
    """The position from which KCL may have to read a shard; None: from nowhere."""
    row = here.get((stream.label, shard.shard_id))
    first = min((change.sequence for change in aside if change.shard_id == shard.shard_id), default=None)
    if row is None or (row.finished and first is None):
        return None
    return row.watermark if first is None else min(row.watermark, first - 1)


async def _set_aside(side: HandlerSide) -> list[SetAside]:
    """What the handler has passed and not handled. Raises: StoreError."""
    app, handler = side.app.name, side.handler.id
    changes = []
    async for row in rows(side.state, parked_prefix(app, handler)):
        letter = read_deadletter(row.fields)
        changes.append(SetAside(letter.shard_id, letter.record.sequence, shown(letter.record)))
    async for row in rows(side.state, EVACUATED.prefix(app, handler)):
        record = read_evacuated(row.fields)
        changes.append(SetAside(words_of(row.key)[4], record.sequence, shown(record), is_evacuated=True))
    return sorted(changes, key=lambda change: change.sequence)


def _refusals(
    plan: ExportPlan, kcl: Sequence[str], workers: Sequence[str], choice: ExportChoice
) -> list[tuple[str, str]]:
    refusals = []
    for alive, words in ((workers, "a worker of the app"), (kcl, "KCL")):
        if alive and not choice.even_if_alive:
            refusals.append(
                (
                    f"{words} is at work: {', '.join(alive)}",
                    AT_WORK,
                )
            )
    if plan.left:
        left = ", ".join(line.shard_id for line in plan.left)
        refusals.append((f"{left}: {plan.left[0].words}", "let a worker run until `tailrace status` says so"))
    if plan.only_here and not choice.leaves_parked:
        items = ", ".join(dict.fromkeys(change.item for change in plan.only_here))
        refusals.append(
            (
                f"{len(plan.only_here)} changes are here alone, and no longer in the stream: {items}",
                "let a worker handle them (tailrace dlq redrive), or say --leave-parked: they stay here",
            )
        )
    return refusals


async def carry_out_export(
    prepared: PreparedExport, table: KclTable, side: HandlerSide
) -> list[ExportedLease]:
    """Write the leases. Returns: those that have changed meanwhile, and were left as they are. Repeatable.
    Raises: StoreError; SettingsError when a table that is made does not become active.
    """
    if prepared.table is None:
        await table.create()
        for _ in range(CREATED_LOOKS):
            if await table.is_active():
                break
            await side.clock.sleep_until(side.clock.now().monotonic_ms + CREATED_LOOK_MS)
        else:
            raise SettingsError(
                f"table {table.name!r} was made and is not active yet", hint="say the same again in a minute"
            )
    return await table.put(prepared.plan.lines)
