"""The contract of mirrors: the one in memory keeps it, and the check catches those that do not.

Rules of this file: one canary a rule at least; a canary changes one thing about the mirror in memory.
"""

from collections.abc import Callable, Mapping, Sequence

import pytest
from msgspec.structs import replace

from tailrace.ports import Mirror, Outcome, RecordBatch, SinkRow, Versioned, Written
from tailrace.sinks.law import newest
from tailrace.streams.record import image
from tailrace.streams.version import Version
from tailrace.testing import check_mirror_sink, check_versioned_sink
from tailrace.testing.contracts import mirror
from tailrace.testing.mirrors import MirrorMemory, MirrorRow, SimulatedMirror
from tests.contracts.breaking import breaks


def shown(sink: MirrorMemory) -> Mapping[str, int]:
    images = {key.decode(): image(data) for key, data in sink.target.shown.items()}
    return {key: int(item["n"]["N"]) for key, item in images.items() if item}


def live(sink: MirrorMemory) -> Mapping[str, Version]:
    return {key.decode(): row.version for key, row in sink.target.rows.items() if row.image is not None}


def over_the_same(sink: MirrorMemory) -> MirrorMemory:
    return type(sink)(sink.target)


def test_the_mirror_in_memory_keeps_both_contracts() -> None:
    check_mirror_sink(MirrorMemory, shown, again=over_the_same)
    check_versioned_sink(MirrorMemory, live, again=over_the_same)
    assert isinstance(MirrorMemory(), Mirror)
    assert isinstance(MirrorMemory(), Versioned)


class ForgetsDeletions(MirrorMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        for record in batch.records:
            if record.event_name == "REMOVE":
                self.target.rows.pop(record.key, None)
        return outcome


class DeletesOnlyWhatIsThere(MirrorMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        there = [one for one in batch.records if one.event_name != "REMOVE" or one.key in self.target.rows]
        return await super().write(replace(batch, records=there))


class TakesTheLastOfABatch(MirrorMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        last = {record.key: record for record in batch.records}
        return await super().write(replace(batch, records=list(last.values())))


class LetsAScanWin(MirrorMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        if batch.is_snapshot:
            for record in batch.records:
                self.target.rows.pop(record.key, None)
        return await super().write(batch)


class LetsAScanPassDeletions(MirrorMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        if batch.is_snapshot:
            for record in batch.records:
                if record.key in self.target.rows and record.key not in self.target.shown:
                    del self.target.rows[record.key]
        return await super().write(batch)


class ListsWhatIsShown(MirrorMemory):
    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        return [row for row in await super().rows(after, limit) if not row.is_deleted]


class ListsFromTheLastKey(MirrorMemory):
    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        return await super().rows(after[:-1], limit) if after else await super().rows(after, limit)


class DigestsVersions(MirrorMemory):
    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        digests = await super().digests(batch)
        return [
            digest and digest + record.version.packed
            for digest, record in zip(digests, batch.records, strict=True)
        ]


class DigestsBytes(MirrorMemory):
    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        return [record.new or b"" for record in batch.records]

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        shown = self.target.shown
        return [replace(row, digest=shown.get(row.key, b"")) for row in await super().rows(after, limit)]


class WritesToDigest(MirrorMemory):
    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        await self.write(batch)
        return await super().digests(batch)


class DigestsKeys(MirrorMemory):
    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        return [b"" if record.new is None else record.key for record in batch.records]

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        rows = await super().rows(after, limit)
        return [replace(row, digest=b"" if row.is_deleted else row.key) for row in rows]


class SweepsEverything(MirrorMemory):
    async def sweep(self, first: bytes, last: bytes | None, below: Version, by: Version, limit: int) -> int:
        return await super().sweep(first, last, Version(9, 0), by, limit)


class SweepsAllKeys(MirrorMemory):
    async def sweep(self, first: bytes, last: bytes | None, below: Version, by: Version, limit: int) -> int:
        return await super().sweep(b"", None, below, by, limit)


class SweepsWithoutATombstone(MirrorMemory):
    async def sweep(self, first: bytes, last: bytes | None, below: Version, by: Version, limit: int) -> int:
        before = dict(self.target.rows)
        swept = await super().sweep(first, last, below, by, limit)
        for key, row in list(self.target.rows.items()):
            if row != before[key]:
                del self.target.rows[key]
        return swept


class SweepsWhatIsDeleted(MirrorMemory):
    async def sweep(self, first: bytes, last: bytes | None, below: Version, by: Version, limit: int) -> int:
        for key, row in self.target.rows.items():
            if row.image is None and row.version < below:
                self.target.rows[key] = MirrorRow(by, None, by.sequence)
        return await super().sweep(first, last, below, by, limit)


class TakesVersionsForTimes(MirrorMemory):
    async def sweep(self, first: bytes, last: bytes | None, below: Version, by: Version, limit: int) -> int:
        before = dict(self.target.rows)
        swept = await super().sweep(first, last, below, by, limit)
        for key, row in self.target.rows.items():
            if row != before[key]:
                self.target.rows[key] = replace(row, created_us=by.sequence)
        return swept


class MendsWhateverIsThere(MirrorMemory):
    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        rows = self.target.rows
        return await super().mend(
            batch, [rows[one.key].version if one.key in rows else None for one in batch.records]
        )


class MendsOnlyByTheLaw(MirrorMemory):
    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        await self.write(batch)
        return await super().mend(replace(batch, records=[]), [])


class ForgetsWhatIsShown(MirrorMemory):
    async def forget(self, before_us: int, limit: int) -> int:
        old = [key for key, row in self.target.rows.items() if row.created_us < before_us]
        for key in old[:limit]:
            del self.target.rows[key]
        return len(old[:limit])


class ForgetsOneTooMany(MirrorMemory):
    async def forget(self, before_us: int, limit: int) -> int:
        return await super().forget(before_us + 1, limit)


class ComparesWithinABatch(MirrorMemory):
    """Of each batch the newest, whatever is there of the same generation."""

    async def write(self, batch: RecordBatch) -> Outcome:
        for place in newest(batch.records):
            record = batch.records[place]
            there = self.target.rows.get(record.key)
            if there is None or there.version.generation <= record.generation:
                self.target.rows[record.key] = MirrorRow(
                    record.version, None if record.event_name == "REMOVE" else record.new, record.created_us
                )
        return Written()


class ReadsBeforeItWrites(MirrorMemory):
    """What another writes between the two is lost."""

    async def write(self, batch: RecordBatch) -> Outcome:
        alone = SimulatedMirror(dict(self.target.rows))
        outcome = await MirrorMemory(alone).write(batch)
        if not batch.is_snapshot:
            from asyncio import sleep

            await sleep(0)
        self.target.rows.update(alone.rows)
        return outcome


BROKEN: list[tuple[type[MirrorMemory], Callable[..., object]]] = [
    (ForgetsDeletions, mirror.a_deletion_is_remembered),
    (DeletesOnlyWhatIsThere, mirror.a_deletion_is_remembered),
    (TakesTheLastOfABatch, mirror.the_newest_of_a_batch_is_written),
    (LetsAScanWin, mirror.a_scan_replaces_nothing_that_a_change_has_written),
    (LetsAScanPassDeletions, mirror.a_scan_replaces_nothing_that_a_change_has_written),
    (ListsWhatIsShown, mirror.rows_are_listed_in_pages),
    (ListsFromTheLastKey, mirror.rows_are_listed_in_pages),
    (DigestsVersions, mirror.a_digest_is_of_what_is_shown),
    (DigestsBytes, mirror.a_digest_is_of_what_is_shown),
    (WritesToDigest, mirror.a_digest_is_of_what_is_shown),
    (DigestsKeys, mirror.a_digest_is_of_what_is_shown),
    (SweepsEverything, mirror.a_sweep_deletes_what_is_old),
    (SweepsAllKeys, mirror.a_sweep_deletes_what_is_old),
    (SweepsWithoutATombstone, mirror.a_sweep_deletes_what_is_old),
    (SweepsWhatIsDeleted, mirror.a_sweep_deletes_what_is_old),
    (TakesVersionsForTimes, mirror.a_swept_row_is_old_from_then_on),
    (MendsWhateverIsThere, mirror.mending_compares_and_sets),
    (MendsOnlyByTheLaw, mirror.mending_compares_and_sets),
    (ForgetsWhatIsShown, mirror.old_deletions_are_forgotten),
    (ForgetsOneTooMany, mirror.old_deletions_are_forgotten),
    (ComparesWithinABatch, mirror.whatever_the_order_it_converges),
    (ReadsBeforeItWrites, mirror.two_writers_at_once_converge),
]


@pytest.mark.parametrize(("make", "rule"), BROKEN)
def test_a_broken_mirror_is_caught(make: type[MirrorMemory], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_mirror_sink(make, shown, again=over_the_same))
