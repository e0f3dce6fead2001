"""What a table's live stream has behind its journal: read for a question, within bounds; where not, why.

Theory of operation: a journal is about a second behind its stream, and more where its archiver lags. So a
question reads on in each shard from where the manifest that it asks ends: a change that is archived meanwhile
is in the stream's part alone. All of it counts or none, for what some shards have would show a change without
the one before it; a stream that is away, too slow or too far ahead is named, and the journal answers alone.
What was read to its end is remembered: when the journal has come that far itself, a question about a time
before it needs no stream.
Rules of this file: it only reads, and nothing is compared by content. Called by past.py.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final, TypeAlias

from msgspec import Struct

from tailrace.errors import PortError, SourceError
from tailrace.journal.core.change import JournalChange
from tailrace.journal.run.reading import JournalGap, JournalReader
from tailrace.ports import Clock

Positions: TypeAlias = Mapping[tuple[str, str], int]
"""(stream label, shard) → through which record."""
MARGIN_US: Final = 10_000_000
"""What a stream has not shown by then is not as old as that: clocks differ, and times may be coarse."""


class TailBounds(Struct, frozen=True):
    """How much a question asks of a stream.

    Shape:   `is_sure`: the stream is the one that is archived, whatever its name; else a journal that knows
             none of the table's streams is of another table. Of more changes or bytes than these nothing is
             taken.
    Units:   `most_bytes` of images; `patience_s`, None: it answers at once; an answer that is `fresh_ms` old
             is given again.
    """

    most_changes: int = 50_000
    most_bytes: int = 64 * 1024 * 1024
    patience_s: float | None = None
    fresh_ms: int = 0
    is_sure: bool = True


class Tail(Struct, frozen=True):
    """What the stream has. Shape: `missed` is what it has no more, and the journal has not; `labels` of the
    streams that were read. `is_read` says that nothing else was there, up to `until_us`, None: at
    all; `unread` why it was not, "" also where there is no stream to be asked. `is_of_deleted`: of the table
    nothing else is left.
    """

    changes: tuple[JournalChange, ...] = ()
    missed: tuple[JournalGap, ...] = ()
    labels: frozenset[str] = frozenset()
    is_read: bool = False
    until_us: int | None = None
    unread: str = ""
    is_of_deleted: bool = False


class TailReader:
    """The stream's part of answers about one table."""

    def __init__(self, journal: JournalReader, clock: Clock, bounds: TailBounds) -> None:
        self._journal = journal
        self._clock = clock
        self._bounds = bounds
        self._known_us = 0
        self._known: Positions = {}
        """Everything by that time is there, in a journal that has come as far."""

    async def read(self, positions: Positions, until_us: int | None = None) -> Tail:
        """What is behind a journal that stands there. Shape: with `until_us` changes up to then will do."""
        if not self._journal.is_live:
            return Tail()
        if until_us is not None and self._has_all_by(positions, until_us):
            return Tail(is_read=True, until_us=until_us)
        now_us = self._clock.now().wall_ms * 1_000
        reached = {**positions}
        try:
            async with asyncio.timeout(self._bounds.patience_s):
                tail = await self._read(reached)
        except TimeoutError:
            return Tail(unread=f"it did not answer within {self._bounds.patience_s:g} s")
        except PortError as error:
            return Tail(unread=str(error.args[0]))
        self._known_us = now_us - MARGIN_US
        self._known = {place: at for place, at in reached.items() if at != positions.get(place)}
        return tail

    def _has_all_by(self, positions: Positions, until_us: int) -> bool:
        return until_us < self._known_us and all(
            positions.get(place, -1) >= at for place, at in self._known.items()
        )

    async def _read(self, reached: dict[tuple[str, str], int]) -> Tail:
        """Raises: PortError."""
        archived, bounds = {*reached}, self._bounds
        changes: list[JournalChange] = []
        missed: list[JournalGap] = []
        size = 0
        async with aclosing(self._journal.live(reached, is_sure=bounds.is_sure)) as live:
            async for told in live:
                if isinstance(told, JournalGap):
                    missed.append(told)
                    continue
                changes.append(told)
                size += len(told.old or b"") + len(told.new or b"")
                if len(changes) > bounds.most_changes or size > bounds.most_bytes:
                    raise SourceError(f"it is more than {len(changes) - 1:,} changes ahead of the journal")
        labels = frozenset(label for label, _ in reached.keys() - archived)
        is_gone = self._journal.is_of_deleted
        return Tail(tuple(changes), tuple(missed), labels, is_read=True, is_of_deleted=is_gone)
