"""The embedded source keeps the contract of Source, and the check catches a source that does not.

Rules of this file: one canary a rule.
"""

from collections.abc import Callable
from typing import ClassVar

import msgspec
import pytest
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.ports import ReadDone, Shard, Source, StreamRef
from tailrace.sources.embedded import EmbeddedSource
from tailrace.streams.record import ChangeRecord
from tailrace.testing import check_source
from tailrace.testing.contracts import source
from tests.contracts.breaking import breaks
from tests.unit.engine.building import HOUR_MS, arn_of, put, with_table


class Fed(EmbeddedSource):
    """The embedded source over an engine of its own, and how changes are made in it."""

    shards_at_first: ClassVar[int] = 2

    def __init__(self) -> None:
        self.engine: Engine
        self.clock: ManualClock
        self.engine, self.clock = with_table(settings=EngineSettings(shards=self.shards_at_first))
        self.total = 0
        super().__init__(self.engine, "orders")

    def close(self) -> None:
        self.engine.close()


def write(fed: Source, count: int) -> int:
    assert isinstance(fed, Fed)
    for _ in range(count):
        put(fed.engine, f"item {fed.total}", fed.total)
        fed.total += 1
    return fed.total


def roll(fed: Source) -> None:
    assert isinstance(fed, Fed)
    fed.clock.advance(4 * HOUR_MS)
    fed.engine.describe_stream(arn_of(fed.engine), None, None, None)
    fed.engine.committer.flush()


class OneShard(Fed):
    shards_at_first = 1


@pytest.mark.parametrize("make", [Fed, OneShard])
def test_the_embedded_source_keeps_the_contract(make: Callable[[], Source]) -> None:
    check_source(make, write, roll=roll, idle_ms=3)


# ---- canaries ----------------------------------------------------------------------------------------------


class ChangesItsName(Fed):
    async def stream(self) -> StreamRef:
        return replace(await super().stream(), label=str(self.total))


class RepeatsAnId(Fed):
    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        return [*await super().shards(), (await super().shards())[0]]


class IncludesThePosition(Fed):
    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        return await super().read(shard, max(0, after - 1), limit)


class SkipsARecord(Fed):
    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await super().read(shard, after, limit + 1)
        return replace(page, records=page.records[:limit])


class KnowsOnlyItsOwnPositions(Fed):
    """Goes on from the next position that it has handed out, so that no other is any use."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, set[int]] = {}

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        known = self.known.setdefault(shard.place, {0})
        page = await super().read(shard, min((one for one in known if one >= after), default=after), limit)
        known.add(page.next_after)
        return page


class LosesWhatACancelledReadSaw(Fed):
    def __init__(self) -> None:
        super().__init__()
        self.lost: set[tuple[str, str]] = set()

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        is_done = False
        try:
            page = await super().read(shard, after, limit)
            is_done = True
        finally:
            if not is_done and after:
                self.lost.add(shard.place)
        return replace(page, records=page.records[1:]) if shard.place in self.lost else page


class MissesWhatComesWhileItWaits(Fed):
    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        before = self.total
        page = await super().read(shard, after, limit)
        if self.total > before:
            self.skipped = page.records[0].sequence
        skipped = getattr(self, "skipped", 0)
        return replace(page, records=[record for record in page.records if record.sequence != skipped])


class EndsTooEarly(Fed):
    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await super().read(shard, after, limit)
        present = self.engine.shards_of(arn_of(self.engine))
        is_closed = any(one.place == shard.place and one.is_closed for one in present)
        return replace(page, closed=is_closed)


class NamesNoStream(Fed):
    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        return [msgspec.structs.replace(shard, stream="") for shard in await super().shards(stream)]


class BeginsTooLate(Fed):
    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        shards = await super().shards(stream)
        return [msgspec.structs.replace(shard, first=self.engine.last_sequence) for shard in shards]


class EndsBeforeItsRecords(Fed):
    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        shards = await super().shards(stream)
        return [
            shard if shard.last is None else msgspec.structs.replace(shard, last=shard.first)
            for shard in shards
        ]


class ListsChildrenFirst(Fed):
    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        return (await super().shards())[::-1]


class GivesNoAge(Fed):
    """The child's records come under its parent too late: numbers are counted anew in each shard."""

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        page = await super().read(shard, 0, 1_000)
        numbered = [_numbered(record, place + 1) for place, record in enumerate(page.records)]
        later = [record for record in numbered if record.sequence > after][:limit]
        if not later and not page.closed:
            return await super().read(shard, 1 << 62, 1)
        is_end = not later or later[-1].sequence == len(numbered)
        return ReadDone(later, later[-1].sequence if later else after, closed=page.closed and is_end)


def _numbered(record: ChangeRecord, number: int) -> ChangeRecord:
    return msgspec.structs.replace(record, sequence=number)


CANARIES: list[tuple[Callable[[], Source], Callable[..., object]]] = [
    (ChangesItsName, source.names_are_stable),
    (RepeatsAnId, source.shards_are_distinct),
    (NamesNoStream, source.shards_are_distinct),
    (BeginsTooLate, source.records_are_within_their_shard),
    (EndsBeforeItsRecords, source.records_are_within_their_shard),
    (SkipsARecord, source.every_record_is_read_once),
    (IncludesThePosition, source.every_record_is_read_once),
    (KnowsOnlyItsOwnPositions, source.reading_is_repeatable),
    (LosesWhatACancelledReadSaw, source.a_waiting_read_can_be_cancelled),
    (MissesWhatComesWhileItWaits, source.a_waiting_read_gets_the_record),
    (EndsTooEarly, source.closed_shards_end),
    (ListsChildrenFirst, source.closed_shards_end),
    (GivesNoAge, source.children_continue_their_parents),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_source_is_caught(make: Callable[[], Source], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_source(make, write, roll=roll, idle_ms=3))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == {*source.RULES, *source.ROLLING_RULES}
