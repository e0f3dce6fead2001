"""Changes that the stream has forgotten and that were saved from its trim, because a handler still has to have them.

Rules of this file: it only reads; the rows are runtime/evacuation.py's, their layout deadletters/evacuated.py's. Called by `story`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

from tailrace.deadletters.evacuated import Evacuation, read_evacuated, read_evacuation
from tailrace.engine.engine import Engine
from tailrace.leases.checkpoint import Range
from tailrace.rows.kinds import EVACUATION, words_of
from tailrace.runtime.watermark import MappingName
from tailrace.streams.record import ChangeRecord

SLICE: Final = 500


def all_saved(engine: Engine, table: str | None = None) -> Iterator[tuple[MappingName, Evacuation]]:
    """What was saved for every handler, by shard; of one table or of all."""
    for row in engine.state_query(EVACUATION.prefix()):
        _, app, handler, *_ = words_of(row.key)
        saved = read_evacuation(app, handler, row.fields)
        if table in (None, saved.table):
            yield MappingName(app, handler, saved.table), saved


def saved_change(engine: Engine, saved: Evacuation, sequence: int) -> ChangeRecord | None:
    """The change of that sequence number; None: it is not among them."""
    fields = engine.state_get(saved.key_after(sequence))
    return None if fields is None else read_evacuated(fields)


async def saved_of_key(engine: Engine, saved: Evacuation, key: bytes) -> AsyncIterator[ChangeRecord]:
    """What was saved of one item, oldest first; read in slices."""
    after = ""
    while rows := engine.state_query(saved.prefix, after, SLICE):
        for row in rows:
            record = read_evacuated(row.fields)
            if record.key == key:
                yield record
        after = rows[-1].key
        await asyncio.sleep(0)


def saved_before(
    engine: Engine, saved: Evacuation, sequence: int, watermark: int, ranges: tuple[Range, ...], most: int
) -> int:
    """How many of them are not settled and come before a change; at most so many are counted."""
    rows = engine.state_query(saved.prefix, saved.key_after(watermark), most)
    numbers = [int(words_of(row.key)[-1]) for row in rows]
    return sum(
        each < sequence and not any(first <= each <= last for first, last in ranges) for each in numbers
    )
