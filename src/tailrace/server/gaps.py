"""What handlers never saw: ranges of a stream that were trimmed before their reader came to them.

Rules of this file: read from the ledgers alone, so that the answer is the same beside a server and without one. Registered by `verbs`;
the test world asks it too.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import NamedTuple

from tailrace.engine.engine import Engine
from tailrace.rows.kinds import LEDGER, words_of
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import declared, named
from tailrace.server.progress import MappingName
from tailrace.streams.sequence import SequenceNumber


class Gap(NamedTuple):
    """Records that a handler never saw.

    Shape:   sequence numbers, inclusive; how many records there were nobody can count.
    Units:   from_ms, until_ms since the epoch: all of them were written between the two; None: not known.
    """

    shard_id: str
    first: int
    last: int
    from_ms: int | None = None
    until_ms: int | None = None


def gaps(engine: Engine, mapping: MappingName) -> Iterator[Gap]:
    """Every gap of a handler that its ledgers still name."""
    for row in engine.state_query(LEDGER.prefix(mapping.app, mapping.handler)):
        times = row.fields.get("times", {})
        for first, last, _, outcome in row.fields["ranges"]:
            if outcome == "trimmed":
                from_ms, until_ms = times.get(str(first), (None, None))
                yield Gap(words_of(row.key)[-1], first, last, from_ms or None, until_ms or None)


@verb("gaps")
async def gaps_of(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: handler, or none for all. Units: from_ms, until_ms since the epoch, when the first and the last of them can have been made; null: not known."""
    asked = declared(subject) if arguments.get("handler") is None else [named(subject, arguments)]
    yield [
        {
            "handler": mapping.handler,
            "app": mapping.app,
            "table": mapping.table,
            "shard": gap.shard_id,
            "first": SequenceNumber(gap.first).wire,
            "last": SequenceNumber(gap.last).wire,
            "from_ms": gap.from_ms,
            "until_ms": gap.until_ms,
        }
        for mapping in asked
        for gap in gaps(subject.engine, mapping)
    ]
