"""Which handlers there are, and what they came to.

Rules of this file: a handler is known once it has saved a checkpoint, was declared, or a worker runs it.
Where it stands is runtime/watermark.py's. Called by the other views and by every verb that names a handler.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from tailrace.leases.checkpoint import Ledger, ledgers_of
from tailrace.ports import LogReader, StateStore
from tailrace.rows.kinds import CHECKPOINT, LEDGER, MAPPING, words_of
from tailrace.runtime.pages import rows
from tailrace.runtime.watermark import MappingName
from tailrace.streams.kinesis.names import source_name, stream_of_label
from tailrace.views.reading import ViewSources, running

Ledgers: TypeAlias = Mapping[tuple[str, str], Ledger]
"""Of a handler, by stream label and shard id."""
OUTCOMES: Final = (
    "handled", "filtered", "parked", "discarded", "dropped", "trimmed", "duplicate", "carried"
)  # fmt: skip


async def known_mappings(state: StateStore, log: LogReader, *scope: str) -> list[MappingName]:
    """Every handler, of one app or of all, that has ever saved a checkpoint in a stream that can still be
    read.
    """
    table_of = {stream.label: stream.table for stream in await log.streams()}
    known: dict[MappingName, None] = {}
    async for row in rows(state, CHECKPOINT.prefix(*scope)):
        _, app, handler, label, _ = words_of(row.key)
        if label not in table_of and (name := stream_of_label(label)) is not None:
            table_of |= {stream.label: stream.table for stream in await log.streams(source_name(name))}
        if label in table_of:
            known[MappingName(app, handler, table_of[label])] = None
    return list(known)


async def begun(reading: ViewSources) -> list[MappingName]:
    """Every handler that runs or has ever saved a checkpoint."""
    return _sorted(
        [*running(reading.live), *await known_mappings(reading.state, reading.log, *reading.scope)]
    )


async def declared(reading: ViewSources) -> list[MappingName]:
    """Every handler that runs, was ever declared or has saved a checkpoint."""
    known = await begun(reading)
    async for row in rows(reading.state, MAPPING.prefix(*reading.scope)):
        known.append(MappingName(words_of(row.key)[1], row.fields["id"], row.fields["table"]))
    return _sorted(known)


def _sorted(mappings: Iterable[MappingName]) -> list[MappingName]:
    return sorted(set(mappings), key=lambda mapping: (mapping.app, mapping.table, mapping.handler))


async def ledgers(state: StateStore, mapping: MappingName) -> dict[tuple[str, str], Ledger]:
    """Every ledger of a handler, by stream label and shard id; (EARLIER, EARLIER) is that of forgotten
    shards.
    """
    checkpoints = [row async for row in rows(state, CHECKPOINT.prefix(mapping.app, mapping.handler))]
    older = [row async for row in rows(state, LEDGER.prefix(mapping.app, mapping.handler))]
    return ledgers_of(checkpoints, older)


async def totals(state: StateStore, mapping: MappingName) -> dict[str, int]:
    """What came to which end in all shards of all streams, since the data directory exists: counts by
    outcome.
    """
    return summed((await ledgers(state, mapping)).values())


def summed(known: Iterable[Ledger]) -> dict[str, int]:
    """The same of these ledgers."""
    settled = dict.fromkeys(OUTCOMES, 0)
    for ledger in known:
        for outcome, count in ledger.totals.items():
            settled[outcome] = settled.get(outcome, 0) + count
    return settled


def condensed(known: Ledgers) -> Ledgers:
    """The same totals and gaps in little memory: those without ranges count as one, of no shard."""
    kept = {place: ledger for place, ledger in known.items() if ledger.ranges}
    others = [ledger for ledger in known.values() if not ledger.ranges]
    return {**kept, ("", ""): Ledger(summed(others))}
