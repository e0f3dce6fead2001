"""What a data stream delivers twice and out of order comes out as the table's history: an independent oracle
(tests/noisy_streams.py), and readers that crash. A broken copy of each rule is caught:
test_canaries_of_holding.py.
"""

import itertools
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.streams.record import ChangeRecord
from tests.noisy_streams import DISORDER_MS, CrashingReader, Noise, NoisyStream, noisy_stream

seeds = st.integers(0, 2**32)


def read(stream: NoisyStream, seed: int, **settings: Any) -> CrashingReader:
    return CrashingReader(stream, Random(seed), **settings).run()


def told_at_times(records: Iterable[ChangeRecord]) -> list[tuple[int, list[tuple[Any, Any]]]]:
    """The contents of changes by their times; which came first of those of one time is for the images to
    say.
    """
    groups = itertools.groupby(records, key=lambda record: record.created_us)
    return [
        (time_us, sorted(((record.old, record.new) for record in group), key=str))
        for time_us, group in groups
    ]


def check_history(stream: NoisyStream, reader: CrashingReader) -> None:
    """Each change was handed over, in the order of its item, and nothing was told to be missing."""
    for key, changes in stream.history.items():
        handed = reader.first_handed(key)
        assert told_at_times(handed) == told_at_times(changes), key
        assert all(after.old == before.new for before, after in itertools.pairwise(handed))
    assert (reader.holes, reader.late) == ([], [])
    assert not any(row.carried for row in reader.rows.values())


def check_once(reader: CrashingReader) -> None:
    """Nothing was handed over twice or before what was written earlier, and each version is newer than the
    one before.
    """
    for records in reader.handed.values():
        ranks = [record.rank for record in records]
        times_us = [record.created_us for record in records]
        assert (ranks, times_us) == (sorted(set(ranks)), sorted(times_us))


def check_order_again(reader: CrashingReader) -> None:
    """In each of its lives everything is handed over once and in order; what had its version before has it
    again.
    """
    assert not reader.again
    versions: dict[tuple[bytes, int], tuple[bytes | None, bytes | None]] = {}
    for life in reader.lives:
        for key, records in life.items():
            ranks = [record.rank for record in records]
            assert ranks == sorted(set(ranks))
            for record in records:
                assert versions.setdefault((key, record.rank), (record.old, record.new)) == (
                    record.old,
                    record.new,
                )


def held_for_the_bound(seed: int) -> None:
    """Every change waits for the bound: whatever images come again, the history comes out."""
    noise = Noise(
        reshards=Random(seed).randrange(4),
        precision_us=Random(seed + 1).choice((1, 1_000)),
    )
    stream = noisy_stream(seed, noise)
    reader = read(stream, seed, waits_always=True)
    check_history(stream, reader)
    check_once(reader)


def held_for_the_bound_under_crashes(seed: int) -> None:
    stream = noisy_stream(seed, Noise(reshards=Random(seed).randrange(4)))
    reader = read(stream, seed, waits_always=True, crashes=0.1, filtered=0.2)
    check_history(stream, reader)
    check_order_again(reader)


def held_by_the_chain(seed: int) -> None:
    """Images that never come again say themselves whether something is missing."""
    random = Random(seed)
    noise = Noise(
        recurring=False, first_is_first=True, reshards=random.randrange(4),
        precision_us=random.choice((1, 1_000)),
    )  # fmt: skip
    stream = noisy_stream(seed, noise)
    reader = read(stream, seed)
    check_history(stream, reader)
    check_once(reader)


def held_by_the_chain_under_crashes(seed: int) -> None:
    noise = Noise(recurring=False, first_is_first=True, reshards=Random(seed).randrange(4))
    stream = noisy_stream(seed, noise)
    reader = read(stream, seed, crashes=0.1, filtered=0.2)
    check_history(stream, reader)
    check_order_again(reader)


def nothing_lost_in_silence(seed: int) -> None:
    """Whatever comes in whatever order: it is handed over, or told to be late; what is handed over is in
    order.
    """
    random = Random(seed)
    noise = Noise(reshards=random.randrange(4), precision_us=random.choice((1, 1_000)))
    stream = noisy_stream(seed, noise)
    reader = read(stream, seed, most=random.choice((2, 10_000)))
    told = {record.source_id for record in reader.late}
    handed = {record.source_id for records in reader.handed.values() for record in records}
    contents = {
        (record.key, record.old, record.new, record.created_us)
        for records in reader.handed.values()
        for record in records
    }
    for record in reader.duplicates:
        assert (
            record.source_id in handed
            or (record.key, record.old, record.new, record.created_us) in contents
            or record.source_id in told
        )
    known = {record.source_id for record in reader.duplicates}
    assert stream.ids <= handed | told | known
    check_once(reader)
    assert not any(row.carried for row in reader.rows.values())


def holes_are_told(seed: int) -> None:
    """What never comes is told as a hole, in front of what waited for it. After a while without changes an
    item's chain is forgotten, and nobody can tell.
    """
    noise = Noise(recurring=False, first_is_first=True, lost=0.15, reshards=Random(seed).randrange(2))
    stream = noisy_stream(seed, noise, keys=2)
    reader = read(stream, seed)
    check_once(reader)
    for key, changes in stream.history.items():
        kept = [record for record in changes if record.source_id not in stream.lost]
        assert told_at_times(reader.first_handed(key)) == told_at_times(kept)
        told = {hole.before for hole in reader.holes if hole.key == key}
        missing = [
            after.created_us - before.created_us
            for before, after in itertools.pairwise(kept)
            if before.new != after.old
        ]
        soon = [time_us for time_us in missing if 0 < time_us < DISORDER_MS * 1_000]
        assert len(told) >= len(soon)
        assert missing or not told
    assert not reader.late


def held_without_event_ids(seed: int) -> None:
    """What equals a settled change is a duplicate, also where no id says so."""
    noise = Noise(recurring=False, first_is_first=True, again=0.6, without_ids=True)
    stream = noisy_stream(seed, noise)
    reader = read(stream, seed)
    check_history(stream, reader)
    check_once(reader)


PROPERTIES = (
    held_without_event_ids,
    held_for_the_bound,
    held_for_the_bound_under_crashes,
    held_by_the_chain,
    held_by_the_chain_under_crashes,
    nothing_lost_in_silence,
    holes_are_told,
)


@pytest.mark.parametrize("holds", PROPERTIES, ids=lambda holds: holds.__name__)
@settings(max_examples=80, deadline=None)
@given(seed=seeds)
def test_the_history_comes_out(holds: Any, seed: int) -> None:
    holds(seed)
