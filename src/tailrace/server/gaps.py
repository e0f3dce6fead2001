"""What handlers never saw: ranges of a stream that were trimmed before their reader came to them.

Rules of this file: read from rows alone, so that the answer is the same beside a server and without one. A gap has a row of its own, and stands in lag,
readiness and metrics until somebody acknowledges it; gaps of versions before that are read from the ledgers. Registered by `verbs`; the test world
asks it too.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from tailrace.deadletters.gap import Gap, read_gap
from tailrace.engine.engine import Engine
from tailrace.leases.ledger import EARLIER
from tailrace.rows.kinds import GAP
from tailrace.rows.writes import Write
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import declared, named
from tailrace.server.progress import ledgers
from tailrace.streams.sequence import SequenceNumber


def gaps(engine: Engine, mapping: MappingName) -> Iterator[Gap]:
    """Every gap of a handler, acknowledged ones too, in the order of their numbers inside each source."""
    told: dict[tuple[int, str], Gap] = {}
    for row in engine.state_query(GAP.prefix(mapping.app, mapping.handler)):
        gap = read_gap(row.fields)
        before = told.get((gap.first, gap.shard_id))  # its row of an older version, whose key names no shard
        told[gap.first, gap.shard_id] = gap if before is None or gap.acknowledged_ms else before
    yield from told.values()
    ranges = {(gap.first, gap.last) for gap in told.values()}
    for (_, shard_id), ledger in ledgers(engine, mapping.app, mapping.handler).items():
        for first, last, _, outcome in ledger.ranges:
            # A ledger that was folded does not know whose its ranges were.
            is_told = (first, last) in ranges if shard_id == EARLIER else (first, shard_id) in told
            if outcome == "trimmed" and not is_told:
                from_ms, until_ms = ledger.times.get(first, (0, 0))
                yield Gap(shard_id, first, last, from_ms, until_ms)


def open_gaps(engine: Engine, mapping: MappingName) -> list[Gap]:
    """The gaps of a handler that nobody has acknowledged."""
    return [gap for gap in gaps(engine, mapping) if not gap.acknowledged_ms]


def gap_age_ms(engine: Engine, mapping: MappingName) -> int | None:
    """How old the oldest change that a handler lost in an open gap is at least: it was trimmed. None: there is no open gap."""
    now_ms, retention_ms = engine.clock.now().wall_ms, engine.settings.retention_ms
    ages = [now_ms - gap.until_ms if gap.until_ms else 0 for gap in open_gaps(engine, mapping)]
    return max((max(age, retention_ms) for age in ages), default=None)


@verb("gaps")
async def gaps_of(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, or none for all. Units: from_ms, until_ms since the epoch, when the first and the last of them can have been made; null: not known."""
    yield [
        gap_value(mapping, gap)
        for mapping in _asked(subject, arguments)
        for gap in gaps(subject.engine, mapping)
    ]


@verb("gaps.acknowledge", changes=True, works_offline=True)
async def acknowledge(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, or none for all; dry_run. Answers the gaps that were open."""
    now_ms = subject.clock.now().wall_ms
    found = [
        (mapping, gap) for mapping in _asked(subject, arguments) for gap in open_gaps(subject.engine, mapping)
    ]
    if found and not arguments.get("dry_run"):
        subject.engine.state_transact([
            Write(gap.key(mapping.app, mapping.handler), gap.acknowledged(now_ms).fields())
            for mapping, gap in found
        ])  # fmt: skip
        if subject.flushed is not None:
            await subject.flushed()
    yield [gap_value(mapping, gap) for mapping, gap in found]


def _asked(subject: Subject, arguments: Arguments) -> list[MappingName]:
    return declared(subject) if arguments.get("handler") is None else [named(subject, arguments)]


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
    }
