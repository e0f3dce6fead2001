"""What was saved from the trim is read as the beginning of its shard: every gap in it is told, and where
reading begins at all.
"""

import pytest
from msgspec.structs import replace

from tailrace.deadletters.core.evacuated import Evacuation, LostChanges, copied
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.mapping.commands import Read
from tailrace.ports import Shard
from tailrace.runtime.delivering import Delivery, MappingShard, Settling
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.kept import horizon as horizon_of
from tailrace.runtime.steps import ReadShard
from tailrace.streams.moment import Now
from tailrace.streams.record import ReadDone
from tailrace.testing.simulation_rows import SimulatedRows
from tests.unit.sinks.batches import STREAM, record

SHARD = Shard("shardId-1", 1, before=0)
PLACE = MappingShard("shop", "note", "orders", STREAM.label, SHARD.shard_id)


def saved(
    sequences: tuple[int, ...], lost: tuple[tuple[int, int], ...]
) -> tuple[SavedChanges, SimulatedRows]:
    """What is kept of these records, with these gaps in front of or between them."""
    stream = (STREAM.arn, STREAM.label, STREAM.view_type, STREAM.region)
    nothing = Evacuation("shop", "note", "orders", stream, SHARD)
    records = [record(sequence, "a") for sequence in sequences]
    through = max([sequences[-1], *(last for _, last in lost)])
    evacuation, writes = copied(
        nothing, 0, records, through=through, closed=False, shard=SHARD, trimmed=False
    )
    rows = SimulatedRows()
    rows.transact(writes)
    return SavedChanges(replace(evacuation, lost=tuple(LostChanges(*fields) for fields in lost))), rows


def told(kept: SavedChanges, rows: SimulatedRows, limit: int) -> list[tuple[list[int], int, bool]]:
    """Every read, one after the other: its records, where it ends, whether something is gone before them."""
    after, reads = 0, []
    while kept.has_after(after):
        done: ReadDone = rows.perform(kept.read(after, limit), Now(0, 0))
        assert done.next_after > after
        reads.append(([record.sequence for record in done.records], done.next_after, done.trimmed))
        after = done.next_after
    return reads


@pytest.mark.parametrize(
    ("sequences", "lost", "reads"),
    [
        ((1, 2), (), [([1, 2], 2, False)]),
        ((1, 4), ((2, 3),), [([1], 1, False), ([4], 4, True)]),
        # two gaps are told in two reads: one page between them would pass over the second in silence
        ((1, 4, 7), ((2, 3), (5, 6)), [([1], 1, False), ([4], 4, True), ([7], 7, True)]),
        ((1, 4, 5, 9), ((2, 3), (6, 8)), [([1], 1, False), ([4, 5], 5, True), ([9], 9, True)]),
        # two gaps with nothing between them
        ((1, 9), ((2, 3), (4, 8)), [([1], 1, False), ([], 3, True), ([9], 9, True)]),
        ((4, 7), ((1, 3), (5, 6)), [([4], 4, True), ([7], 7, True)]),
        ((1, 4), ((2, 3), (5, 6)), [([1], 1, False), ([4], 4, True), ([], 6, True)]),
    ],
)
def test_every_gap_is_told(
    sequences: tuple[int, ...],
    lost: tuple[tuple[int, int], ...],
    reads: list[tuple[list[int], int, bool]],
) -> None:
    assert told(*saved(sequences, lost), limit=10) == reads


def test_a_small_page_ends_where_it_is_full() -> None:
    kept, rows = saved((1, 4, 5, 9), ((2, 3), (6, 8)))
    reads = [([1], 1, False), ([4], 4, True), ([5], 5, False), ([9], 9, True)]
    assert told(kept, rows, limit=1) == reads


@pytest.mark.parametrize(("gone", "begin", "horizon"), [(5, 2, 2), (5, 5, 5), (5, 6, 5), (0, 0, 0)])
def test_what_was_saved_is_not_gone(gone: int, begin: int, horizon: int) -> None:
    """A mapping that begins after the trim would else pass over what was saved for it before."""
    kept, _ = saved((9,), ())
    assert kept.evacuation is not None
    assert horizon_of(gone, replace(kept.evacuation, begin=begin)) == horizon


def test_without_anything_saved_all_that_is_forgotten_is_gone() -> None:
    assert horizon_of(5, None) == 5


def test_what_is_saved_while_the_stream_is_asked_and_forgotten_before_it_answers_is_no_gap() -> None:
    """Simulation, seed 5943: the answer said that the records were gone, and they were settled as trimmed
    while they lay saved.
    """
    kept, rows = saved((1, 2), ())
    evacuation, kept.evacuation = kept.evacuation, None
    settling = Settling(PLACE, CheckpointRow(1))
    steps = Delivery(SHARD, STREAM, kept, settling).steps(Read(1, 10))
    assert next(steps) == ReadShard(SHARD, 1, 10)
    kept.evacuation = evacuation
    call = steps.send(ReadDone([record(3, "a")], 3, trimmed=True))
    with pytest.raises(StopIteration) as end:
        while True:
            call = steps.send(rows.answer(call, Now(0, 0)))
    (done,) = end.value.value
    assert ([record.sequence for record in done.records], done.next_after, done.trimmed) == ([2], 2, False)


def test_what_another_worker_has_saved_behind_what_is_known_is_not_read_with_it() -> None:
    """Between the two there may be a gap that is not known here yet."""
    kept, rows = saved((1, 2, 7), ())
    assert kept.evacuation is not None
    kept.hold(replace(kept.evacuation, through=2))
    assert told(kept, rows, limit=10) == [([1, 2], 2, False)]


@pytest.mark.parametrize(
    ("known", "there", "after"),
    [((0, 2), (0, 3), (0, 3)), ((0, 3), (0, 2), (0, 3)), ((0, 3), (5, 1), (5, 1)), ((5, 1), (0, 3), (5, 1))],
)
def test_a_look_forgets_nothing_that_is_newer(
    known: tuple[int, int], there: tuple[int, int], after: tuple[int, int]
) -> None:
    """What is known may have been written here while the row was on its way."""
    kept, rows = saved((1, 2), ())
    assert kept.evacuation is not None
    key, row = kept.evacuation.row_key, dict(rows[kept.evacuation.row_key])
    rows[key] = {**row, "begin": str(there[0]), "version": there[1]}
    kept.hold(replace(kept.evacuation, begin=known[0], version=known[1]))
    rows.perform(kept.look(PLACE.words), Now(0, 0))
    assert kept.evacuation.age == after
    del rows[key]
    rows.perform(kept.look(PLACE.words), Now(0, 0))
    assert kept.evacuation.age == after


@pytest.mark.parametrize(
    ("after", "read"), [(5, (99, True)), (98, (99, True)), (0, (99, False)), (99, (120, False))]
)
def test_what_was_lost_before_a_saved_shard_is_told_also_where_its_source_does_not_know_how_much(
    after: int, read: tuple[int, bool]
) -> None:
    """Found over HTTP: a shard was saved from the trim before its driver began, and what had gone with its
    parent was passed over in silence.
    """
    kept, rows = saved((130,), ())
    assert kept.evacuation is not None
    begin = 120 if after == 99 else 99
    kept.evacuation = replace(kept.evacuation, shard=Shard("shardId-2", 100), begin=begin)
    done: ReadDone = rows.perform(kept.read(after, 10), Now(0, 0))
    assert (list(done.records), done.next_after, done.trimmed) == ([], *read)
