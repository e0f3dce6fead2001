"""The contract of `Transactional`: rows and positions change together, under the epoch in the target alone.

Rules of this file: what is committed is compared with what the next process finds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from msgspec import structs

from tailrace.clocks.manual import ManualClock
from tailrace.errors import LeaseLost
from tailrace.ports import Outcome, RecordBatch, Sink, TargetPosition, Transactional, Written
from tailrace.streams.record import ChangeRecord
from tailrace.testing.contracts.rules import ContractBroken, holds, run_async, same, with_both_open
from tailrace.testing.contracts.sink import STREAM, batch_of

CLOCK: Final = ManualClock()
MAPPING: Final = "contract"
SHARD: Final = "shardId-1"
TAKERS: Final = 4


class TransactionalSink(Sink, Transactional, Protocol):
    """A sink that is both."""


class Place(NamedTuple):
    """What a rule works with: one target through two sinks.

    Shape:   `refusing` gives a sink over a target of its own that refuses these records.
    """

    sink: TransactionalSink
    other: TransactionalSink
    arrived: Callable[[Any], Iterable[int]]
    refusing: Callable[[frozenset[int]], TransactionalSink]


def check_transactional_sink(
    make: Callable[[frozenset[int]], TransactionalSink],
    arrived: Callable[[Any], Iterable[int]],
    *,
    again: Callable[[Any], TransactionalSink],
) -> None:
    """Whether a sink keeps the contract of `ports.Transactional`.

    Shape:   `make(refused)` gives a sink over a new, empty target that refuses the records with these
             sequence numbers; it is called inside a running loop. `again(sink)` gives another sink over the
             same target, as another worker has it. `arrived(sink)` gives the sequence numbers of all that the
             target holds, in the order in which they came, repeats included.
    Raises:  ContractBroken, naming the rule.
    """

    def place() -> Place:
        sink = make(frozenset())
        return Place(sink, again(sink), arrived, make)

    run_async(with_both_open(RULES, CLOCK), place)


async def a_new_shard_begins_at_its_beginning(place: Place) -> None:
    """Of a new shard a target has no position; the first stamp answers the beginning, and keeps it."""
    same(list(await place.sink.positions(MAPPING)), [], "the positions of an empty target")
    first = await place.sink.stamp(MAPPING, STREAM.label, SHARD, 3)
    same(first, TargetPosition(STREAM.label, SHARD, 3, 0), "what the first stamp answers")
    same(list(await place.other.positions(MAPPING)), [first], "the positions after it")


async def rows_and_position_come_together(place: Place) -> None:
    """A commit is there with its position for every sink; one without records moves that alone."""
    await place.sink.stamp(MAPPING, STREAM.label, SHARD, 1)
    records = batch_of("abca")
    await _commit(place.sink, records[:2], records[1].sequence)
    await _there(place, records[:2], TargetPosition(STREAM.label, SHARD, 1, records[1].sequence))
    await _commit(place.other, records[2:3], records[2].sequence)
    await _commit(place.sink, [], records[3].sequence)
    await _there(place, records[:3], TargetPosition(STREAM.label, SHARD, 1, records[3].sequence))


async def a_refused_batch_leaves_both(place: Place) -> None:
    """Of a batch that is not taken whole nothing is there, and the position stays where it was."""
    records = batch_of("abc")
    for refused in range(3):
        sink = place.refusing(frozenset({records[refused].sequence}))
        await sink.open(CLOCK)
        try:
            stamped = await sink.stamp(MAPPING, STREAM.label, SHARD, 1)
            outcome = await _outcome(
                sink, records, TargetPosition(STREAM.label, SHARD, 1, records[-1].sequence)
            )
            holds(not isinstance(outcome, Written), f"{outcome!r}, and a record was refused")
            same(list(place.arrived(sink)), [], "what arrived of a batch that was refused")
            same(list(await sink.positions(MAPPING)), [stamped], "the position after it")
        finally:
            await sink.close()


async def a_repeated_commit_is_written_once(place: Place) -> None:
    """A commit whose answer was lost may be repeated: Written, nothing twice, no position goes back."""
    await place.sink.stamp(MAPPING, STREAM.label, SHARD, 1)
    records = batch_of("abc")
    for _ in range(2):
        await _commit(place.sink, records[:2], records[1].sequence)
    await _commit(place.sink, records[2:], records[2].sequence)
    await _commit(place.sink, records[:1], records[0].sequence)
    await _there(place, records, TargetPosition(STREAM.label, SHARD, 1, records[2].sequence))


async def a_stamp_keeps_the_watermark(place: Place) -> None:
    """A stamp may be repeated and answers every commit before it; an older epoch is LeaseLost."""
    await place.sink.stamp(MAPPING, STREAM.label, SHARD, 5)
    records = batch_of("ab")
    await _commit(place.sink, records, records[1].sequence, epoch=5)
    expected = TargetPosition(STREAM.label, SHARD, 9, records[1].sequence)
    for _ in range(2):
        same(
            await place.other.stamp(MAPPING, STREAM.label, SHARD, 9), expected, "what the next stamp answers"
        )
    for epoch in (5, 8):
        stamp = partial(place.sink.stamp, MAPPING, STREAM.label, SHARD, epoch)
        await _lost(stamp, f"a stamp with epoch {epoch} after one with 9")
    await _there(place, records, expected)


async def nothing_is_committed_under_another_epoch(place: Place) -> None:
    """A commit without a stamp, or under another epoch, is LeaseLost, and nothing is changed."""
    records = batch_of("abc")
    await _lost(lambda: _commit(place.sink, records[:1], records[0].sequence), "a commit without a stamp")
    await place.sink.stamp(MAPPING, STREAM.label, SHARD, 1)
    await _commit(place.sink, records[:1], records[0].sequence)
    taken = await place.other.stamp(MAPPING, STREAM.label, SHARD, 2)
    for epoch in (1, 3):
        commit = partial(_commit, place.sink, records[1:], records[2].sequence, epoch=epoch)
        await _lost(commit, f"a commit under epoch {epoch} while 2 is there")
    await _there(place, records[:1], taken)
    await _commit(place.other, records[1:], records[2].sequence, epoch=2)
    await _there(place, records, TargetPosition(STREAM.label, SHARD, 2, records[2].sequence))


async def nothing_is_committed_behind_a_hole(place: Place) -> None:
    """A target that has less than the worker of a commit knows, as one that was restored, is LeaseLost, with
    and without records, and nothing is changed; what continues it, and what it has already, is Written.
    """
    await place.sink.stamp(MAPPING, STREAM.label, SHARD, 1)
    records = batch_of("abcd")
    first, second, third, fourth = (record.sequence for record in records)
    await _commit(place.sink, records[:2], second)
    restored = TargetPosition(STREAM.label, SHARD, 1, first)
    await place.sink.put_position(MAPPING, restored)
    for behind in (records[2:3], []):
        for after in (second, first + 1):
            commit = partial(_commit, place.other, behind, third, after=after)
            await _lost(commit, f"a commit after {after} while the target is at {first}")
            await _there(place, records[:2], restored)
    await _commit(place.sink, records[2:3], third, after=first)
    await _commit(place.other, records[2:3], third, after=second)
    await _commit(place.other, records[3:], fourth, after=second)
    await _there(place, records, TargetPosition(STREAM.label, SHARD, 1, fourth))


async def a_commit_is_before_a_stamp_or_lost(place: Place) -> None:
    """Of a commit and a stamp at once either the stamp answers the commit, or the commit is LeaseLost."""
    for turn in range(TAKERS):
        records = batch_of("ab", start=10 * turn)
        epoch = 2 * turn + 1
        before = await place.sink.stamp(MAPPING, STREAM.label, SHARD, epoch)
        position = TargetPosition(STREAM.label, SHARD, epoch, records[-1].sequence)
        calls: list[Awaitable[object]] = [
            _outcome(place.sink, records, position),
            place.other.stamp(MAPPING, STREAM.label, SHARD, epoch + 1),
        ]
        if turn % 2:
            stamped, committed = await asyncio.gather(*reversed(calls))
        else:
            committed, stamped = await asyncio.gather(*calls)
        expected = records[-1].sequence if isinstance(committed, Written) else before.watermark
        same(
            stamped,
            TargetPosition(STREAM.label, SHARD, epoch + 1, expected),
            f"what the stamp answers beside {committed!r}",
        )
        are_there = {record.sequence for record in records} <= set(place.arrived(place.sink))
        same(are_there, isinstance(committed, Written), f"whether the records are there after {committed!r}")


async def places_are_apart(place: Place) -> None:
    """Mappings, streams and shards have positions of their own: what happens to one changes no other."""
    names = [
        (mapping, stream, shard)
        for mapping in (MAPPING, "other")
        for stream in ("2026-01-01", "2026-01-02")
        for shard in ("shard 1", "shard 2")
    ]
    for epoch, (mapping, stream, shard) in enumerate(names, 1):
        await place.sink.stamp(mapping, stream, shard, epoch)
    records = batch_of("a")
    position = TargetPosition("2026-01-02", "shard 1", 3, records[0].sequence)
    await place.sink.commit(RecordBatch(records, MAPPING, STREAM, "shard 1"), position)
    for mapping in (MAPPING, "other"):
        positions = {
            (position.stream, position.shard_id): position
            for position in await place.other.positions(mapping)
        }
        expected = {
            (stream, shard): TargetPosition(stream, shard, epoch)
            for epoch, (of, stream, shard) in enumerate(names, 1)
            if of == mapping
        }
        same(
            positions,
            {**expected, ("2026-01-02", "shard 1"): position} if mapping == MAPPING else expected,
            f"the positions of {mapping}",
        )


async def a_position_is_put_as_told(place: Place) -> None:
    """A position may be put forwards and back under its epoch alone: no row changes, what comes after it is
    committed again, and under another epoch it is LeaseLost.
    """
    await place.sink.stamp(MAPPING, STREAM.label, SHARD, 2)
    records = batch_of("abc")
    await _commit(place.sink, records, records[2].sequence, epoch=2)
    back = TargetPosition(STREAM.label, SHARD, 2, records[0].sequence)
    for epoch in (1, 3):
        put = partial(place.other.put_position, MAPPING, structs.replace(back, epoch=epoch))
        await _lost(put, f"a position that is put under epoch {epoch} while 2 is there")
    unseen = structs.replace(back, shard_id="another")
    await _lost(lambda: place.other.put_position(MAPPING, unseen), "a position that is put without a stamp")
    ahead = structs.replace(back, watermark=records[2].sequence + 5)
    for position in (ahead, back, back):
        await place.sink.put_position(MAPPING, position)
        await _there(place, records, position)
    same(
        await place.other.stamp(MAPPING, STREAM.label, SHARD, 3),
        structs.replace(back, epoch=3),
        "what the next stamp answers",
    )
    later = batch_of("d", start=20)
    await _commit(place.other, later, later[0].sequence, epoch=3)
    await _there(place, [*records, *later], TargetPosition(STREAM.label, SHARD, 3, later[0].sequence))


async def _commit(
    sink: TransactionalSink, records: Sequence[ChangeRecord], watermark: int, epoch: int = 1, after: int = 0
) -> None:
    """Commit these. Raises: LeaseLost; ContractBroken when they are not Written."""
    position = TargetPosition(STREAM.label, SHARD, epoch, watermark, after)
    outcome = await sink.commit(RecordBatch(records, MAPPING, STREAM, SHARD), position)
    holds(isinstance(outcome, Written), f"the outcome is {outcome!r}")


async def _outcome(
    sink: TransactionalSink, records: Sequence[ChangeRecord], position: TargetPosition
) -> Outcome | Exception:
    try:
        return await sink.commit(RecordBatch(records, MAPPING, STREAM, SHARD), position)
    except Exception as error:  # raising is a sink's way to say that the whole batch failed
        return error


async def _lost(call: Callable[[], Awaitable[object]], subject: str) -> None:
    try:
        await call()
    except LeaseLost:
        return
    raise ContractBroken(f"{subject}: LeaseLost was expected, nothing was raised")


async def _there(place: Place, records: Sequence[ChangeRecord], position: TargetPosition) -> None:
    """Exactly these records and this position are in the target, whichever sink is asked."""
    for sink in (place.sink, place.other):
        same(sorted(place.arrived(sink)), [record.sequence for record in records], "what the target holds")
        same(list(await sink.positions(MAPPING)), [position], "its position")


RULES: Final[tuple[Callable[[Place], Awaitable[None]], ...]] = (
    a_new_shard_begins_at_its_beginning,
    rows_and_position_come_together,
    a_refused_batch_leaves_both,
    a_repeated_commit_is_written_once,
    a_stamp_keeps_the_watermark,
    nothing_is_committed_under_another_epoch,
    nothing_is_committed_behind_a_hole,
    a_commit_is_before_a_stamp_or_lost,
    places_are_apart,
    a_position_is_put_as_told,
)
