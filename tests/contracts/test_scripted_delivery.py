"""Delivery of streams that are not ours: wide numbers, splits and merges, no hash ranges, a stream that ends
and another that begins.

Rules of this file: the worker is the real one; what is told of shards is what `ScriptedSource` tells.
"""

from itertools import count

import pytest

from tailrace.deadletters.core.requests import RedriveRequest
from tailrace.ports import Source
from tailrace.testing import ScriptedSource, check_source
from tests.contracts.delivering import Delivery, delivered, is_in_order

WIDTHS = [18, 27, 40, 56]


@pytest.mark.parametrize("digits", WIDTHS)
def test_every_change_is_delivered_once_and_each_key_in_order_over_splits_and_merges(digits: int) -> None:
    async def story(delivery: Delivery) -> None:
        source, keys = delivery.source, [f"o{number}" for number in range(12)]
        source.begin(2)
        process, written = delivery.start(), dict[str, list[int]]()

        def write() -> None:
            for key in keys:
                written.setdefault(key, []).append(source.write(key, n=len(written.get(key, ()))))

        write()
        low, high = source.split("shard-1")
        write()
        await delivery.rest()
        merged = source.merge(low, "shard-2")
        write()
        source.merge(high, merged)
        write()
        await delivery.rest()
        await process.stop()
        for key in keys:
            assert delivery.noted.of(key) == written[key], key

    delivered(story, digits)


@pytest.mark.parametrize("digits", WIDTHS)
def test_a_restart_goes_on_behind_its_checkpoint(digits: int) -> None:
    async def story(delivery: Delivery) -> None:
        source = delivery.source
        source.begin(2)
        process = delivery.start()
        before = [source.write(f"o{number}") for number in range(20)]
        await delivery.rest()
        await process.kill()
        after = [source.write(f"o{number}", n=1) for number in range(20)]
        process = delivery.start("two")
        await delivery.rest()
        await process.stop()
        assert sorted(sequence for _, sequence in delivery.noted.seen) == [*before, *after]

    delivered(story, digits)


@pytest.mark.parametrize("digits", WIDTHS)
@pytest.mark.parametrize("restarts", [False, True])
def test_parked_keys_follow_to_the_children(digits: int, restarts: bool) -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(2)
        noted.failing = {"o1", "o5"}
        process = delivery.start()
        written = {key: [source.write(key)] for key in ("o1", "o2", "o5")}
        await delivery.rest()
        for shard in ("shard-1", "shard-2"):
            source.split(shard)
        source.merge("shard-3", "shard-5")
        if restarts:
            await process.kill()
            process = delivery.start("two")
        noted.failing = set()  # what is parked stays parked, and what comes later waits behind it
        for key, numbers in written.items():
            numbers.append(source.write(key, n=1))
        await delivery.rest()
        assert (noted.of("o1"), noted.of("o2"), noted.of("o5")) == ([], written["o2"], [])
        parked = [letter.record.sequence for letter in await delivery.parked()]
        assert sorted(parked) == sorted([*written["o1"], *written["o5"]])
        await process.stop()

    delivered(story, digits)


def test_a_child_begins_after_all_of_its_parents() -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(2)
        numbers = [source.write("o1"), source.write("o2")]
        merged = source.merge("shard-1", "shard-2")
        numbers += [source.write("o1", n=1), source.write("o2", n=1)]
        process = delivery.start()
        await delivery.rest()
        await process.stop()
        assert [sequence for _, sequence in noted.seen][2:] == numbers[2:]
        assert is_in_order(noted.of("o1"))
        assert set(await delivery.checkpoints()) == {
            ("stream-1", shard) for shard in ("shard-1", "shard-2", merged)
        }

    delivered(story)


async def key_in(delivery: Delivery, shard_id: str) -> str:
    """A key of an open shard that was not used yet."""
    for number in count():
        key = f"in-{shard_id}-{number}"
        if delivery.source.shard_of(key) == shard_id:
            return key
    raise AssertionError


def test_only_the_descendants_of_a_shard_know_the_keys_that_were_parked_in_it() -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(2)
        key = await key_in(delivery, "shard-1")
        noted.failing = {key}
        process = delivery.start()
        source.write(key)
        await delivery.rest()
        assert process.parked_keys() == {"shard-1": 1, "shard-2": 0}
        low, high = source.split("shard-1")
        other, another = source.split("shard-2")
        await delivery.rest()
        assert process.parked_keys() == {low: 1, high: 1, other: 0, another: 0}
        await process.kill()
        process = delivery.start("two")
        await delivery.rest()
        assert process.parked_keys() == {low: 1, high: 1, other: 0, another: 0}
        for shard in ("shard-1", "shard-2"):
            source.forget(shard)
        merged = source.merge(low, other)
        await delivery.rest()
        assert process.parked_keys() == {high: 1, another: 0, merged: 1}
        rows = await delivery.checkpoints()
        assert rows["stream-1", merged]["ancestors"] == ["shard-1"], "of four, the one that has a parked key"
        await process.stop()

    delivered(story)


def test_what_came_and_went_while_nobody_read_is_a_gap_and_parked_keys_are_found_behind_it() -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(1)
        noted.failing = {"o1"}
        process = delivery.start()
        parked, last = source.write("o1"), source.write("o2")
        await delivery.rest()
        await process.kill()
        noted.failing = set()
        low, high = source.split("shard-1")  # a pause of thirty hours begins
        source.write("o1", n="lost")
        children = [*source.split(low), *source.split(high)]
        for shard in ("shard-1", low, high):
            source.forget(shard)
        later = source.write("o1", n="later")
        process = delivery.start("two")
        await delivery.rest()
        assert noted.of("o1") == [], "it waits behind what was parked before the pause"
        assert [letter.record.sequence for letter in await delivery.parked()] == [parked, later]
        assert process.parked_keys() == dict.fromkeys(children, 1)
        firsts = [shard.first for shard in await source.shards()]
        assert {(gap.first, gap.last) for gap in await delivery.gaps()} <= {
            (last + 1, first - 1) for first in firsts
        }
        assert len(await delivery.gaps()) >= 1
        await process.stop()

    delivered(story)


def test_a_child_of_a_parent_that_was_read_to_its_end_has_no_gap() -> None:
    async def story(delivery: Delivery) -> None:
        source = delivery.source
        source.begin(1)
        process = delivery.start()
        source.write("o1")
        (low, _) = source.split("shard-1")
        await delivery.rest()
        source.forget("shard-1")
        source.split(low)
        source.write("o1", n=1)
        await delivery.rest()
        assert await delivery.gaps() == []
        assert len(delivery.noted.of("o1")) == 2
        await process.stop()

    delivered(story)


def test_a_stream_that_ends_is_read_to_its_end_before_the_next_one_begins() -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(2)
        process = delivery.start()
        first = [source.write(f"o{number}") for number in range(8)]
        source.end()
        source.begin(3)
        second = [source.write(f"o{number}", n=1) for number in range(8)]
        assert second[0] in first or second[0] < first[-1], "numbers begin anew"
        await delivery.rest()
        for number in range(8):
            assert noted.of(f"o{number}") == [first[number], second[number]]
        await process.stop()

    delivered(story)


def test_what_a_stream_took_along_that_went_unread_is_a_gap_and_the_next_one_is_read_whole() -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(2)
        process = delivery.start()
        read = {source.shard_of(f"o{number}"): source.write(f"o{number}") for number in range(8)}
        await delivery.rest()
        await process.kill()
        for number in range(8):
            source.write(f"o{number}", n="lost")
        source.end()
        source.forget_streams()
        source.begin(1)
        later = [source.write(f"o{number}", n="later") for number in range(8)]
        process = delivery.start("two")
        await delivery.rest()
        assert [sequence for _, sequence in noted.seen][8:] == later
        assert {(gap.shard_id, gap.first) for gap in await delivery.gaps()} == {
            (shard_id, last + 1) for shard_id, last in read.items()
        }
        await process.stop()

    delivered(story)


def test_a_stream_that_went_after_it_was_read_to_its_end_leaves_no_gap() -> None:
    async def story(delivery: Delivery) -> None:
        source = delivery.source
        source.begin(2)
        process = delivery.start()
        source.write("o1")
        source.end()
        await delivery.rest()
        source.forget_streams()
        source.begin(1)
        source.write("o1", n=1)
        await delivery.rest()
        assert len(delivery.noted.of("o1")) == 2
        assert await delivery.gaps() == []
        await process.stop()

    delivered(story)


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_parked_stays_parked_in_the_next_stream_whose_numbers_begin_anew(restarts: bool) -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin(2)
        noted.failing = {"o1"}
        process = delivery.start()
        for _ in range(9):
            source.write("o2")
        parked = source.write("o1")
        await delivery.rest()
        noted.failing = set()
        source.end()
        if restarts:
            await process.kill()
        source.begin(3)
        later = source.write("o1", n="later")
        assert later < parked
        if restarts:
            process = delivery.start("two")
        await delivery.rest()
        assert noted.of("o1") == []
        assert [letter.record.sequence for letter in await delivery.parked()] == [parked, later]
        await delivery.ask(RedriveRequest("r1", "note"))
        await delivery.rest()
        assert noted.of("o1") == [parked, later]
        assert await delivery.heads() == []
        again = source.write("o1", n="again")
        await delivery.rest()
        assert noted.of("o1") == [parked, later, again]
        await process.stop()

    delivered(story)


class Scripted(ScriptedSource):
    """A scripted source that the contract check can write to."""

    def __init__(self) -> None:
        super().__init__("orders", digits=56)
        self.begin(2)
        self.total = 0

    def add(self, count: int) -> int:
        for _ in range(count):
            self.write(f"item {self.total}", n=self.total)
            self.total += 1
        return self.total


def add(source: Source, count: int) -> int:
    assert isinstance(source, Scripted)
    return source.add(count)


def split_and_merge(source: Source) -> None:
    """Close every open shard: the first is split, the others are merged."""
    assert isinstance(source, Scripted)
    first, *others = source.open_shards
    source.split(first)
    source.merge(*others)


def test_the_scripted_source_keeps_the_contract() -> None:
    check_source(Scripted, add, roll=split_and_merge)


def test_a_change_of_the_next_stream_waits_behind_its_parked_key_though_its_number_is_smaller() -> None:
    async def story(delivery: Delivery) -> None:
        source, noted = delivery.source, delivery.noted
        source.begin()
        for number in range(5):
            source.write("o2", n=number)
        noted.failing = {"o1"}
        process = delivery.start()
        first = source.write("o1")
        await delivery.rest()
        source.end()
        source.begin()
        second = source.write("o1", n=1)
        assert second < first, "or this tests nothing"
        await delivery.rest()
        assert [letter.record.sequence for letter in await delivery.parked()] == [first, second]
        assert noted.of("o1") == []
        await process.stop()

    delivered(story)
