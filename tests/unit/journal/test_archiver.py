"""The archiver: whatever call fails or ends the process, each change is there once, in its shard's sequence.

Rules of this file: what is there is read by control.py, which knows nothing of Tailrace. A canary is a copy
with one rule broken, and must be caught by the same comparison.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import pytest
from msgspec.structs import replace

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import LeaseLost, TailraceError, Unavailable
from tailrace.journal.core.places import JournaledStream, JournaledTable
from tailrace.journal.run import archiver as module
from tailrace.journal.run.archiver import Archiver
from tailrace.manifests.core.manifest import CommittedPosition, TableManifest
from tailrace.ports import Failed, RecordBatch, TargetPosition, Written
from tailrace.streams.record import ChangeRecord
from tailrace.testing.contracts import transactional
from tailrace.testing.contracts.rules import run_async, with_both_open
from tailrace.testing.contracts.sink import STREAM
from tests.unit.journal.control import ControlJournal, read_control, root_of, root_of_frontier
from tests.unit.sinks.lake.faults import FAULTS, SHARDS, Fault, FaultyArchive, Killed, history

TABLE: Final = JournaledTable("orders", "eu-west-1", "123456789012")
FOLDER: Final = "eu-west-1/123456789012/id-1"
MAPPING: Final = "orders.archive"
IMAGES: Final = replace(STREAM, view_type="NEW_AND_OLD_IMAGES")


async def identify(label: str) -> JournaledStream:
    return JournaledStream(label, "id-1", f"arn:{label}")


def archiver(archive: MemoryArchive) -> Archiver:
    return Archiver(archive, TABLE, identify, ManualClock())


def batch(records: Sequence[ChangeRecord], shard: str) -> RecordBatch:
    return RecordBatch(records, MAPPING, IMAGES, shard)


def control(archive: MemoryArchive) -> ControlJournal:
    return read_control(archive._blobs)[FOLDER]


def sequences(journal: ControlJournal, shard: str) -> list[int]:
    return [int.from_bytes(row["sequence"], "big") for row in journal.of_shard(shard)]


def check_journal(archive: MemoryArchive, changes: dict[str, list[ChangeRecord]]) -> None:
    """The journal is what was delivered, and its trees are over it."""
    journal = control(archive)
    for shard, records in changes.items():
        rows = journal.of_shard(shard)
        assert sequences(journal, shard) == [record.sequence for record in records]
        assert [(row["key"], row["old"], row["new"], row["event"]) for row in rows] == [
            (record.key, record.old, record.new, record.event_name) for record in records
        ]
        size, frontier = journal.trees[IMAGES.label, shard]
        assert size == len(rows)
        assert root_of_frontier(frontier) == root_of([row["leaf"] for row in rows])


# ---- the contract ------------------------------------------------------------------------------------------

OTHERWISE: Final = (
    "a_refused_batch_leaves_both",
    "a_position_is_put_as_told",
    "nothing_is_committed_behind_a_hole",  # which that rule makes by a position that is put back
    "places_are_apart",
)
"""A journal refuses no record of its own, takes no position back, and has one chain a shard, whoever writes
it.
"""


class OfBothImages(Archiver):
    """The contract's stream has fewer images."""

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Any:
        return await super().commit(replace(batch, stream=IMAGES), position)


def test_it_keeps_the_contract_of_a_target_that_owns_the_checkpoint() -> None:
    rules: list[Callable[[transactional.Place], Awaitable[None]]] = [
        rule for rule in transactional.RULES if rule.__name__ not in OTHERWISE
    ]
    assert len(rules) == len(transactional.RULES) - len(OTHERWISE)

    def place() -> transactional.Place:
        archive = MemoryArchive()
        made = partial(OfBothImages, archive, TABLE, identify, transactional.CLOCK)

        def arrived(_: Any) -> list[int]:
            if not any(name.startswith(FOLDER) for name in archive._blobs):
                return []
            journal = control(archive)
            return sorted(int.from_bytes(row["sequence"], "big") for row in journal.rows)

        return transactional.Place(made(), made(), arrived, lambda refused: made())

    run_async(with_both_open(rules, transactional.CLOCK), place)


def test_a_position_is_never_taken_back() -> None:
    async def run() -> None:
        archive = MemoryArchive()
        target, records = archiver(archive), history(1)["shard-1"]
        await target.open(ManualClock())
        position = await target.stamp(MAPPING, IMAGES.label, "shard-1", 1)
        through = records[2].sequence
        await target.commit(batch(records[:3], "shard-1"), replace(position, watermark=through))
        await target.put_position(MAPPING, replace(position, watermark=records[0].sequence))
        assert (await target.positions(MAPPING))[0].watermark == through
        # What an operator has set back is read again: what is there is left out, what is behind it comes.
        last = records[4].sequence
        await target.commit(
            batch(records[1:5], "shard-1"), replace(position, watermark=last, after=records[0].sequence)
        )
        assert sequences(control(archive), "shard-1") == [record.sequence for record in records[:5]]

    asyncio.run(run())


def test_a_gap_is_named_in_the_step_that_passes_it() -> None:
    async def run() -> None:
        archive = MemoryArchive()
        target = archiver(archive)
        await target.open(ManualClock())
        position = await target.stamp(MAPPING, IMAGES.label, "shard-1", 1)
        await target.commit(batch([], "shard-1"), replace(position, watermark=9, gaps=((3, 9),)))
        assert control(archive).gaps == [("shard-1", 3, 9)]
        await target.put_position(MAPPING, replace(position, watermark=20))
        assert control(archive).gaps == [("shard-1", 3, 9), ("shard-1", 10, 20)]

    asyncio.run(run())


def test_a_stream_without_old_images_stops_the_shard_in_words() -> None:
    async def run() -> None:
        target = archiver(MemoryArchive())
        await target.open(ManualClock())
        position = await target.stamp(MAPPING, STREAM.label, "shard-1", 1)
        poor = RecordBatch(
            history(1)["shard-1"][:1], MAPPING, replace(STREAM, view_type="NEW_IMAGE"), "shard-1"
        )
        outcome = await target.commit(poor, replace(position, watermark=9))
        assert isinstance(outcome, Failed)
        assert outcome.whole is not None
        assert "a journal needs both images" in outcome.whole.error
        assert not isinstance(await target.write(poor), Written)

    asyncio.run(run())


def test_two_incarnations_have_folders_of_their_own() -> None:
    async def run() -> None:
        archive = MemoryArchive()

        async def of_label(label: str) -> JournaledStream:
            return JournaledStream(label, f"id-of-{label}", "")

        target = Archiver(archive, TABLE, of_label, ManualClock())
        await target.open(ManualClock())
        for label in ("2026-01", "2026-02"):
            await target.stamp(MAPPING, label, "shard-1", 1)
        assert sorted(read_control(archive._blobs)) == [
            "eu-west-1/123456789012/id-of-2026-01",
            "eu-west-1/123456789012/id-of-2026-02",
        ]
        again = archiver(archive)  # whose table says another id now: what was noted counts
        await again.open(ManualClock())
        await again.stamp(MAPPING, "2026-01", "shard-1", 2)
        assert {position.stream for position in await again.positions("any")} == {"2026-01", "2026-02"}

    asyncio.run(run())


# ---- whatever fails ----------------------------------------------------------------------------------------


async def _until_done(action: Callable[[], Awaitable[Any]]) -> Any:
    while True:
        try:
            return await action()
        except Unavailable:
            continue


async def delivered_to(archive: FaultyArchive, changes: dict[str, list[ChangeRecord]]) -> None:
    """Deliver both shards, by a worker after the one that was killed, each under the next epoch."""
    for epoch in range(1, 4):
        try:
            target = archiver(archive)
            await _until_done(partial(target.open, ManualClock()))
            for shard in SHARDS:
                stamped: TargetPosition = await _until_done(
                    partial(target.stamp, MAPPING, IMAGES.label, shard, epoch)
                )
                after = stamped.watermark
                rest = [record for record in changes[shard] if record.sequence > after]
                for first in range(0, len(rest), 3):
                    some = rest[first : first + 3]
                    to = replace(stamped, watermark=some[-1].sequence, after=after)
                    outcome = await _until_done(partial(target.commit, batch(some, shard), to))
                    assert isinstance(outcome, Written)
                    after = to.watermark
            return
        except Killed:
            continue


def every_call(fault: Fault) -> None:
    changes = history(7)
    whole = FaultyArchive()
    asyncio.run(delivered_to(whole, changes))
    check_journal(whole, changes)
    assert whole.calls > 20
    for at in range(1, whole.calls):
        archive = FaultyArchive(at, fault)
        asyncio.run(delivered_to(archive, changes))
        check_journal(archive, changes)


@pytest.mark.parametrize("fault", FAULTS)
def test_any_call_may_fail(fault: Fault) -> None:
    every_call(fault)


def two_owners() -> None:
    """A worker that has lost its lease goes on writing beside the new owner."""

    async def run() -> None:
        archive, changes = MemoryArchive(), history(3)["shard-1"]
        old, new = archiver(archive), archiver(archive)
        for target in (old, new):
            await target.open(ManualClock())
        first = await old.stamp(MAPPING, IMAGES.label, "shard-1", 1)
        await old.commit(batch(changes[:2], "shard-1"), replace(first, watermark=changes[1].sequence))
        second = await new.stamp(MAPPING, IMAGES.label, "shard-1", 2)
        stale = replace(first, watermark=changes[3].sequence, after=changes[1].sequence)
        with pytest.raises(LeaseLost):
            await old.commit(batch(changes[2:4], "shard-1"), stale)
        to = replace(second, watermark=changes[-1].sequence, after=second.watermark)
        await new.commit(batch(changes[2:], "shard-1"), to)
        check_journal(archive, {"shard-1": changes})

    asyncio.run(run())


def test_what_a_lost_owner_writes_is_void() -> None:
    two_owners()


# ---- canaries ----------------------------------------------------------------------------------------------


def loses_a_range(patch: pytest.MonkeyPatch) -> None:
    """Of a repeated batch what comes first is left out."""
    original = Archiver._commit

    async def commit(self: Archiver, journal: Any, records: Any, segment: Any, salt: int) -> None:
        await original(self, journal, records[1:] if len(records) > 2 else records, segment, salt)

    patch.setattr(Archiver, "_commit", commit)


def doubles_a_range(patch: pytest.MonkeyPatch) -> None:
    """What was committed is committed again."""

    def step(self: Any, manifest: TableManifest) -> Any:
        there = manifest.positions.get(self.place, CommittedPosition(0))
        return module.DeltaPart(
            self.place, self.position.epoch, there.through, max(there.through, self.position.watermark) + 1
        )

    patch.setattr(module._Segment, "step", step)


def swaps_the_images(patch: pytest.MonkeyPatch) -> None:
    """A wrong old image."""
    from tailrace.journal.run import segments

    original = segments.encoded_segment
    patch.setattr(
        segments,
        "encoded_segment",
        lambda records, shard, tree: original(
            [replace(record, old=record.new) for record in records], shard, tree
        ),
    )


def forgets_the_tree(patch: pytest.MonkeyPatch) -> None:
    """Each segment begins a tree of its own."""
    patch.setattr(module._Segment, "frontier", property(lambda self: module.Frontier()))


def believes_any_epoch(patch: pytest.MonkeyPatch) -> None:
    """A stale owner's delta counts."""

    def under_any(now: TableManifest, place: str, position: TargetPosition) -> TargetPosition:
        there = now.positions.get(place, CommittedPosition(0))
        return replace(position, watermark=there.through, after=0)

    patch.setattr(module, "position_of", under_any)


@pytest.mark.parametrize(
    ("breaking", "comparison"),
    [
        (loses_a_range, lambda: every_call("lost")),
        (doubles_a_range, lambda: every_call("lost")),
        (swaps_the_images, lambda: every_call("lost")),
        (forgets_the_tree, lambda: every_call("lost")),
        (believes_any_epoch, two_owners),
    ],
)
def test_a_broken_copy_is_caught(
    breaking: Callable[[pytest.MonkeyPatch], None],
    comparison: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaking(monkeypatch)
    with pytest.raises((AssertionError, TailraceError, pytest.fail.Exception)):
        comparison()
