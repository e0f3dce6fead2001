"""Carrying out an import: what a lease table says becomes checkpoints of handlers.

Theory of operation. First everything is looked at and nothing written, so that what speaks against it is said
at once and whole. Then, of each handler, the numbers of its table's streams, the row that says that it was
here (from then on no start position holds for it: a shard without a checkpoint is read from its beginning),
gaps, checkpoints. Each write is conditional on what was read and may be repeated: cut off anywhere, the same
import goes on. Where a handler has settled something itself, both are joined; nothing is ever set back.
Rules of this file: it refuses what would skip a change. Decision 55.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import StateConflict
from tailrace.kcl.core.importing import ImportedLease, ImportPlan, asks_horizon, joined, plan_import
from tailrace.kcl.core.lease_table import LeaseTable
from tailrace.kcl.run.lease_table import KclTable, absent
from tailrace.kcl.run.sides import AT_WORK, LOOK_MS, HandlerSide, look_twice
from tailrace.leases.checkpoint import checkpoint_key, unchanged
from tailrace.ports import Shard, StreamRef
from tailrace.rows.kinds import MAPPING
from tailrace.rows.writes import Absent, Write
from tailrace.sources.dialects import dialect_of
from tailrace.worker.beginning import checkpoint_since
from tailrace.worker.declared import mapping_write

LeaseBegin: TypeAlias = Literal["beginning", "now"] | int
"""Where a lease begins that says LATEST or AT_TIMESTAMP. Units: a time in ms since the epoch."""


class ImportChoice(Struct, frozen=True):
    """How it is asked for. Units: `look_ms` between two looks."""

    begin: LeaseBegin | None = None
    merges: bool = False
    even_if_alive: bool = False
    look_ms: int = LOOK_MS


class PreparedImport(Struct, frozen=True):
    """What an import would do. Shape: `refusals` why it is not done, each with what helps; `began_ms` what
    `--begin` was, as a time.
    """

    table: LeaseTable
    plan: ImportPlan
    alive: tuple[str, ...]
    refusals: tuple[tuple[str, str], ...]
    began_ms: int | None = None


async def prepare_import(
    table: KclTable, sides: Sequence[HandlerSide], choice: ImportChoice
) -> PreparedImport:
    """Look at everything, and write nothing. Shape: `sides` are handlers of one table. Raises: SettingsError,
    SourceError, StoreError.
    """
    side = sides[0]
    looks = await look_twice(table, side, choice.look_ms)
    if looks.table is None:
        raise absent(table, "the lease table of a KCL application has the application's name")
    by_shard = {lease.shard_id: lease for lease in looks.table.leases}

    def after(stream: StreamRef, shard: Shard) -> int | None:
        lease = by_shard.get(shard.shard_id)
        if not asks_horizon(lease):
            return None
        if lease is None or not lease.checkpoint.is_number:
            return 0
        return dialect_of(stream.arn).last(lease.checkpoint.text)

    plan = plan_import(looks.table, await side.readable(after))
    plan, began_ms = await _begun(plan, side, choice.begin)
    refusals = list(_refusals(plan, looks.kcl, choice))
    for handler_side in sides:
        refusals += await _was_here(handler_side, plan, choice)
    return PreparedImport(looks.table, plan, looks.kcl, tuple(refusals), began_ms)


async def _begun(
    plan: ImportPlan, side: HandlerSide, begin: LeaseBegin | None
) -> tuple[ImportPlan, int | None]:
    """With the checkpoints of leases that say no place, where it is said what they are to be."""
    if begin is None or not plan.of("time"):
        return plan, None
    since_ms = 0 if begin == "beginning" else await side.started.server_ms() if begin == "now" else begin
    refs = {stream.label: stream for stream, _ in await side.streams()}
    lines: list[ImportedLease] = []
    for line in plan.lines:
        if line.becomes == "time" and line.shard is not None:
            row = await checkpoint_since(side.started, since_ms, refs[line.stream], line.shard)
            words = "from its beginning, as --begin says" if not since_ms else "from --begin on"
            line = replace(line, row=row, words=words)
        lines.append(line)
    return replace(plan, lines=tuple(lines)), since_ms or None


def _refusals(plan: ImportPlan, alive: Sequence[str], choice: ImportChoice) -> list[tuple[str, str]]:
    refusals = []
    if alive and not choice.even_if_alive:
        refusals.append(
            (
                f"KCL is at work: {', '.join(alive)}",
                AT_WORK,
            )
        )
    if undecided := [line for line in plan.of("time") if line.row is None]:
        refusals.append(
            (
                f"{_shards(undecided)} {undecided[0].says}, which is no place",
                "--begin now (as KCL itself: what was written since it stopped is skipped), "
                "--begin beginning (nothing is skipped), or --begin TIME",
            )
        )
    for line in plan.of("refused"):
        refusals.append(
            (
                f"{line.shard_id}: {line.says} {line.words}",
                "is it the table of another stream? If the stream has just changed, say the same again",
            )
        )
    return refusals


def _shards(lines: Sequence[ImportedLease]) -> str:
    return f"{lines[0].shard_id} says" if len(lines) == 1 else f"{len(lines)} leases say"


# ---- what is there already ---------------------------------------------------------------------------------


async def _was_here(side: HandlerSide, plan: ImportPlan, choice: ImportChoice) -> list[tuple[str, str]]:
    """Why a handler that has come somewhere itself gets nothing."""
    if choice.merges:
        return []
    here = await side.checkpoints()
    differing = [
        line
        for line in plan.lines
        if line.row is not None
        and (row := here.get((line.stream, line.shard_id))) is not None
        and joined(row, line.row) is not row
    ]
    lacking = [line for line in plan.lines if line.row and (line.stream, line.shard_id) not in here]
    has_run = any(row.epoch for row in here.values())
    if differing or (has_run and lacking):
        return [
            (
                f"handler {side.handler.id!r} was here before, and has checkpoints of its own",
                "--merge joins both: what either has settled is not delivered again",
            )
        ]
    return []


async def carry_out_import(prepared: PreparedImport, side: HandlerSide) -> int:
    """Write one handler's rows. Returns: how many checkpoints changed. Repeatable. Raises: SourceError,
    StoreError.
    """
    app, handler = side.app.name, side.handler.id
    numbers = await side.generations()
    if await side.state.get(MAPPING.key(app, handler)) is None:
        await side.state.transact([mapping_write(app, side.handler)])
    changed = 0
    for line in prepared.plan.lines:
        if line.gap is not None:
            gap = replace(line.gap, generation=numbers[line.stream])
            with suppress(StateConflict):  # it is named already, and may be acknowledged
                await side.state.transact([Write(gap.key(app, handler), gap.fields(), Absent())])
        if line.row is not None:
            changed += await _put(side, line)
    return changed


async def _put(side: HandlerSide, line: ImportedLease) -> bool:
    """Write one checkpoint. Returns: whether it is another now. Guarantee: what a worker saves meanwhile
    counts.
    """
    assert line.row is not None
    key = checkpoint_key(side.app.name, side.handler.id, line.stream, line.shard_id)
    while True:
        there = await side.state.get(key)
        if there is None:
            write = Write(key, line.row.fields(), Absent())
        else:
            here = await side.read(there)
            merged = joined(here, line.row)
            if merged is here:
                return False
            write = Write(key, merged.fields(), unchanged(there.fields))
        try:
            await side.state.transact([write])
        except StateConflict:
            continue
        return True
