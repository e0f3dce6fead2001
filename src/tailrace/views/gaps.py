"""What handlers never saw: ranges of a stream that were trimmed before their reader came to them.

Rules of this file: read from rows alone, so that the answer is the same beside a server and without one. A
gap has a row of its own, and stands in lag, readiness and metrics until an operator acknowledges it; gaps of
versions before that are read from the ledgers. Called by the `gaps` verbs, `status`, metrics and the test
world.
"""

from typing import Any

from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.leases.checkpoint import EARLIER
from tailrace.ports import StateStore
from tailrace.rows.kinds import GAP
from tailrace.runtime.pages import rows
from tailrace.runtime.watermark import MappingName
from tailrace.streams.record import SequenceNumber
from tailrace.views.progress import Ledgers, ledgers
from tailrace.views.reading import ViewSources


async def gaps(state: StateStore, mapping: MappingName, said: Ledgers | None = None) -> list[Gap]:
    """Every gap of a handler, acknowledged ones too, in the order of their numbers inside each source. Shape:
    `said` are its ledgers, if they are known.
    """
    if said is None:
        said = await ledgers(state, mapping)
    known: dict[tuple[int, str], Gap] = {}
    of_items: list[Gap] = []
    async for row in rows(state, GAP.prefix(mapping.app, mapping.handler)):
        gap = read_gap(row.fields)
        if gap.item:
            of_items.append(gap)
            continue
        before = known.get((gap.first, gap.shard_id))  # its row of an older version, whose key names no shard
        known[gap.first, gap.shard_id] = gap if before is None or gap.acknowledged_ms else before
    listed = list(known.values())
    ranges = {(gap.first, gap.last) for gap in listed}
    for (_, shard_id), ledger in said.items():
        for first, last, _, outcome in ledger.ranges:
            # A ledger that was folded does not know whose its ranges were.
            is_told = (first, last) in ranges if shard_id == EARLIER else (first, shard_id) in known
            if outcome == "trimmed" and not is_told:
                from_ms, until_ms = ledger.times.get(first, (0, 0))
                listed.append(Gap(shard_id, first, last, from_ms, until_ms))
    return [*listed, *of_items]


async def open_gaps(state: StateStore, mapping: MappingName, said: Ledgers | None = None) -> list[Gap]:
    """The gaps of a handler that no operator has acknowledged."""
    return [gap for gap in await gaps(state, mapping, said) if not gap.acknowledged_ms]


def gap_age_ms(reading: ViewSources, open_ones: list[Gap]) -> int | None:
    """How old the oldest change that was lost in one of these gaps is at least: it was trimmed. None: there
    is no gap.
    """
    now_ms = reading.clock.now().wall_ms
    ages = [now_ms - gap.until_ms if gap.until_ms else 0 for gap in open_ones]
    return max((max(age, reading.retention_ms) for age in ages), default=None)


def gap_value(mapping: MappingName, gap: Gap) -> dict[str, Any]:
    """A gap for people and scripts."""
    return {
        "handler": mapping.handler,
        "app": mapping.app,
        "table": mapping.table,
        "shard": gap.shard_id,
        "first": SequenceNumber(gap.first).wire,
        "last": SequenceNumber(gap.last).wire,
        "from_ms": gap.from_ms or None,
        "until_ms": gap.until_ms or None,
        "acknowledged_ms": gap.acknowledged_ms or None,
        "skipped": gap.skipped or None,
        **({"item": gap.item} if gap.item else {}),
    }
