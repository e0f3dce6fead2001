"""Whatever call of the archive fails, or ends the process: each change is there once, and nothing else.

Rules of this file: every call of a delivery is the one that fails, in each way. A canary is a copy with one
rule broken, and must be caught by the same comparison.
"""

import asyncio
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import LeaseLost, TailraceError, Unavailable
from tailrace.manifests.core.manifest import CommittedPosition, TableFile, TableManifest
from tailrace.manifests.run import target
from tailrace.ports import Outcome, RecordBatch, TargetPosition, Written
from tailrace.sinks.lake import compaction, reading
from tailrace.sinks.lake.compaction import Compaction
from tailrace.sinks.lake.layout import LakeLayout
from tailrace.sinks.lake.sink import ParquetLake, ParquetLog
from tailrace.sinks.lake.table import LakeTable
from tailrace.streams.version import Version
from tailrace.testing.contracts.mirror import put
from tailrace.testing.contracts.sink import STREAM
from tests.unit.sinks.lake.faults import (
    FAULTS,
    HOUR_MS,
    MAPPING,
    Fault,
    FaultyArchive,
    HookedArchive,
    YieldingArchive,
    delivered,
    history,
    shown_by,
)

FORMS = (ParquetLake, ParquetLog)


def every_call(form: type[Any], fault: Fault, first: int = 1, step: int = 1) -> None:
    """The history, with each call of it failing once: from `first` on, each `step`-th."""
    calls = delivered(form, FaultyArchive()).calls
    assert calls > 50
    for at in range(first, calls, step):
        delivered(form, FaultyArchive(at, fault))


@pytest.mark.parametrize("place", range(len(FAULTS)))
@pytest.mark.parametrize("form", FORMS)
def test_any_call_may_fail_in_some_way(form: type[Any], place: int) -> None:
    """Every call fails in one of the ways, and every way has its share of them."""
    every_call(form, FAULTS[place], 1 + place, len(FAULTS))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("form", FORMS)
def test_any_call_may_fail_in_any_way(form: type[Any], fault: Fault) -> None:
    """Its quicker kind is the one above."""
    every_call(form, fault)


async def opened(form: type[Any], archive: MemoryArchive, **settings: Any) -> Any:
    sink = form("memory", "orders", archive=archive, **settings)
    await sink.open(ManualClock())
    return sink


def sequences(log: ParquetLog) -> list[int]:
    packed = log.read().column("tailrace_version").to_pylist()
    return sorted(Version.from_packed(version).sequence for version in packed)


def written_until_it_is(fault: Fault) -> None:
    """Changes without a position: redriven ones, rows of a scan. Each write is repeated until it succeeds."""

    async def run(at: int) -> int:
        archive = FaultyArchive(at, fault)
        log = ParquetLog("memory", "orders", archive=archive)
        for number in range(1, 4):
            while True:
                try:
                    await log.open(ManualClock())
                    await log.write(RecordBatch([put("a", number, (1, number))], MAPPING, STREAM, "shard-1"))
                    break
                except Unavailable:
                    continue
        archive.at = 0
        assert sequences(log) == [1, 2, 3]
        return archive.calls

    for at in range(1, asyncio.run(run(0)) - 3):
        asyncio.run(run(at))


@pytest.mark.parametrize("fault", ["refused", "lost"])
def test_a_write_that_is_repeated_finds_what_it_has_written(fault: Fault) -> None:
    written_until_it_is(fault)


def test_a_batch_of_the_same_range_with_other_changes_is_another_file() -> None:
    async def run() -> None:
        archive = HookedArchive()
        log = await opened(ParquetLog, archive)
        position = await log.stamp(MAPPING, STREAM.label, "shard-1", 1)
        records = [put("a", 1, (1, 1)), put("b", 2, (1, 2)), put("c", 3, (1, 3))]
        to = TargetPosition(position.stream, "shard-1", 1, 3)

        async def fail() -> None:
            raise Unavailable("the delta is not written")

        archive.before_delta = fail
        with pytest.raises(Unavailable):
            await log.commit(RecordBatch(records, MAPPING, STREAM, "shard-1"), to)
        kept = [records[0], records[2]]  # the second one was given up meanwhile
        await log.commit(RecordBatch(kept, MAPPING, STREAM, "shard-1"), to)
        assert sequences(log) == [1, 3]

    asyncio.run(run())


def cleaned_before_it_is_named(form: type[Any]) -> None:
    """A file is there, its delta is not: another process cleans twice, with an hour between."""

    async def run() -> None:
        archive = HookedArchive()
        sink = await opened(form, archive)
        cleaner = form("memory", "orders", archive=archive)
        clock = ManualClock()
        await cleaner.open(clock)
        await sink.write(RecordBatch([put("z", 0, (1, 1))], MAPPING, STREAM, "shard-1"))

        async def clean() -> None:
            await cleaner._opened.compaction.clean()
            clock.advance(HOUR_MS)
            await cleaner._opened.compaction.clean()

        archive.before_delta = clean
        await sink.write(RecordBatch([put("a", 7, (1, 7))], MAPPING, STREAM, "shard-1"))
        assert {row["pk"]: row["n"] for row in sink.read().to_pylist()} == {"a": 7, "z": 0}

    asyncio.run(run())


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_cleaned_away_before_its_delta_is_written_again(form: type[Any]) -> None:
    cleaned_before_it_is_named(form)


def compacted_for_an_hour(form: type[Any]) -> None:
    """What a compaction has written has no name yet; another process cleans twice, with an hour between."""

    async def run() -> None:
        archive = HookedArchive()
        sink = await opened(form, archive)
        for number, key in enumerate("abc", 1):
            await sink.write(RecordBatch([put(key, number, (1, number))], MAPPING, STREAM, "shard-1"))
        cleaner, clock = form("memory", "orders", archive=archive), ManualClock()
        await cleaner.open(clock)
        deleted: list[int] = []

        async def clean() -> None:
            await cleaner._opened.compaction.clean()
            clock.advance(HOUR_MS)
            deleted.append(await cleaner._opened.compaction.clean())

        archive.before_delta = clean
        assert not await sink._opened.compaction.compact()
        assert deleted[0] > 0
        for is_done in (False, True):
            assert {row["pk"]: row["n"] for row in sink.read().to_pylist()} == {"a": 1, "b": 2, "c": 3}
            assert is_done or await sink._opened.compaction.compact()

    asyncio.run(run())


@pytest.mark.parametrize("form", FORMS)
def test_a_compaction_that_took_an_hour_is_given_up_and_made_again(form: type[Any]) -> None:
    compacted_for_an_hour(form)


def test_a_log_that_is_folded_in_pieces_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    folds: list[int] = []
    whole = Compaction.folded

    async def folded(self: Compaction, *arguments: Any, **named: Any) -> Any:
        folds.append(len(named["log"]))
        return await whole(self, *arguments, **named)

    monkeypatch.setattr(Compaction, "folded", folded)
    monkeypatch.setattr(compaction, "FOLDED_BYTES", 1)
    calls = delivered(ParquetLake, FaultyArchive()).calls
    assert set(folds) == {1}
    for at in range(1, calls, 7):
        delivered(ParquetLake, FaultyArchive(at, "killed"))


def at_once(form: type[Any], seed: int) -> None:
    """Two owners of each shard, who rob each other; compactions and cleanings beside them."""

    async def run() -> None:
        draw = random.Random(seed)
        archive = YieldingArchive(seed)
        changes = history(seed, 40)
        epochs = count(1)

        async def own(shard: str) -> None:
            sink = await opened(form, archive)
            last = changes[shard][-1].sequence
            while True:
                epoch = next(epochs)
                try:
                    position = await sink.stamp(MAPPING, STREAM.label, shard, epoch)
                    while position.watermark < last:
                        rest = [one for one in changes[shard] if one.sequence > position.watermark]
                        records = rest[: draw.randrange(1, 6)]
                        position = replace(position, watermark=records[-1].sequence)
                        batch = RecordBatch(records, MAPPING, STREAM, shard)
                        assert isinstance(await sink.commit(batch, position), Written)
                    return
                except LeaseLost:
                    continue

        async def tidy() -> None:
            sink = await opened(form, archive)
            for _ in range(6):
                await sink._opened.compaction.compact()
                await sink._opened.compaction.clean()

        await asyncio.gather(*(own(shard) for shard in changes for _ in range(2)), tidy(), tidy())
        sink = await opened(form, archive)
        rows = sink.read() if form is ParquetLake else sink.read(newest=True)
        assert {row["pk"]: row["n"] for row in rows.to_pylist()} == shown_by(changes)
        if form is ParquetLog:
            assert sequences(sink) == sorted(one.sequence for records in changes.values() for one in records)

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("form", FORMS)
def test_several_owners_and_compactions_at_once(form: type[Any], seed: int) -> None:
    at_once(form, seed)


# ---- canaries ----------------------------------------------------------------------------------------------


def lists_and_trusts(patch: pytest.MonkeyPatch) -> None:
    """Readers take every file that lies there."""

    async def rows_in(lake: LakeTable, now: TableManifest, *rest: Any, **named: Any) -> Any:
        there = await lake.archive.list(f"{lake.layout.table}/data/")
        files = {name: TableFile(name, "data", 1, 1) for name in there}
        return await original(lake, replace(now, files=files), *rest, **named)

    original = reading.rows_in
    patch.setattr(reading, "rows_in", rows_in)


def saves_positions_apart(patch: pytest.MonkeyPatch) -> None:
    async def commit(lake: LakeTable, batch: RecordBatch, position: TargetPosition) -> Outcome:
        outcome = await lake.write(batch)
        await lake.put_position(batch.mapping_id, position)
        return outcome

    patch.setattr(LakeTable, "commit", commit)


def names_by_count(patch: pytest.MonkeyPatch) -> None:
    """A name is new each time that a file is written."""
    numbers = count()
    original = LakeLayout.file_name

    def file_name(self: LakeLayout, part: str, stem: str, data: bytes, salt: int) -> str:
        return original(self, part, f"{stem}-{next(numbers)}", data, salt)

    patch.setattr(LakeLayout, "file_name", file_name)


def forgets_the_epoch(patch: pytest.MonkeyPatch) -> None:
    def under_any_epoch(now: TableManifest, place: str, position: TargetPosition) -> TargetPosition:
        there = now.positions.get(place, CommittedPosition(0))
        return replace(position, watermark=there.through, after=0)

    patch.setattr(target, "position_of", under_any_epoch)


def never_looks_again(patch: pytest.MonkeyPatch) -> None:
    """A file that was written is there for ever, whatever was cleaned since."""
    original = LakeTable._named

    def named(lake: LakeTable, files: Any, needs: Any, check: Any, number: int, now: TableManifest) -> Any:
        return original(lake, files, needs, check, now.number, now)

    patch.setattr(LakeTable, "_named", named)


@pytest.mark.parametrize(
    ("breaking", "comparison"),
    [
        (lists_and_trusts, lambda: every_call(ParquetLog, "killed")),
        (saves_positions_apart, lambda: every_call(ParquetLog, "killed")),
        (names_by_count, lambda: written_until_it_is("lost")),
        (forgets_the_epoch, lambda: [at_once(ParquetLog, seed) for seed in range(4)]),
        (never_looks_again, lambda: cleaned_before_it_is_named(ParquetLog)),
        (never_looks_again, lambda: compacted_for_an_hour(ParquetLake)),
    ],
)
def test_a_broken_copy_is_caught(
    breaking: Callable[[pytest.MonkeyPatch], None],
    comparison: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaking(monkeypatch)
    with pytest.raises((AssertionError, TailraceError)):
        comparison()
