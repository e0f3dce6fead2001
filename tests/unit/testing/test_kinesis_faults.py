"""Changes on their way into data streams under `world.faults(kinesis=…)`: late, again, and never lost."""

from itertools import pairwise
from typing import Any

import orjson
import pytest

from tailrace import App, Change
from tailrace.errors import SettingsError
from tailrace.streams.kinesis.sequence_numbers import read_sequence_number
from tailrace.testing import Unsettled, World
from tailrace.testing.faults import LATE_MS, Faults

Seen = tuple[str, int]
"""An item, and its number after the change."""
ITEMS = "abc"
TIMES = 6
WRITTEN = [(name, number) for number in range(TIMES) for name in ITEMS]


class Copied:
    """A world whose table `orders` is copied into a data stream of two shards."""

    def __init__(self, world: World, app: App) -> None:
        self.world = world
        self.orders = app.table("orders", pk="id")

        @app.on(self.orders)
        def handled(change: Change) -> None:
            """A worker that may die."""

        world.use(app)
        self.kinesis = world.client("kinesis")
        self.kinesis.create_stream(StreamName="orders", ShardCount=2)
        arn = self.kinesis.describe_stream(StreamName="orders")["StreamDescription"]["StreamARN"]
        world.client("dynamodb").enable_kinesis_streaming_destination(TableName="orders", StreamArn=arn)

    def write(self) -> None:
        """Some changes of some items, and all that comes of it."""
        for name, number in WRITTEN:
            self.world.put(self.orders, {"id": name, "n": number})
        self.world.settle()

    def read(self) -> list[Seen]:
        """Every record, in the order in which they came."""
        records: list[Any] = []
        for shard in self.kinesis.list_shards(StreamName="orders")["Shards"]:
            token = self.kinesis.get_shard_iterator(
                StreamName="orders", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            records += self.kinesis.get_records(ShardIterator=token)["Records"]
        records.sort(key=lambda record: own_number(record["SequenceNumber"]))
        images = [orjson.loads(record["Data"])["dynamodb"]["NewImage"] for record in records]
        return [(image["id"]["S"], int(image["n"]["N"])) for image in images]


def seen_under(seed: int, **faults: Any) -> tuple[list[Seen], list[str], dict[str, int]]:
    """What came under faults, which struck, and how often."""
    with World(App("copied"), seed=seed) as world:
        copied = Copied(world, App("shop"))
        if not faults:
            copied.write()
            return copied.read(), list(world.struck), {}
        with world.faults(**faults) as struck:
            copied.write()
        return copied.read(), list(world.struck), dict(struck)


def own_number(text: str) -> int:
    """The engine's own number, which rises over all shards."""
    number = read_sequence_number(text)
    assert number is not None
    return number.own


def of_item(seen: list[Seen], name: str) -> list[Seen]:
    return [one for one in dict.fromkeys(seen) if one[0] == name]


def test_without_faults_nothing_comes_twice_or_out_of_its_order() -> None:
    seen, struck, _ = seen_under(1)
    assert sorted(seen) == sorted(WRITTEN)
    assert struck == []
    for name in ITEMS:
        assert of_item(seen, name) == of_item(WRITTEN, name)


def test_without_faults_changes_come_without_any_time_passing() -> None:
    with World(App("copied"), seed=1) as world:
        copied = Copied(world, App("shop"))
        before = world.clock.now()
        copied.write()
        assert sorted(copied.read()) == sorted(WRITTEN)
        assert world.clock.now() == before


def test_what_is_held_back_when_a_block_ends_comes_all_the_same() -> None:
    with World(App("copied"), seed=1) as world:
        copied = Copied(world, App("shop"))
        with world.faults(kinesis=1):
            world.put(copied.orders, {"id": "a", "n": 1})
            world.advance(0)
            assert copied.read() == []
        world.settle()
        assert copied.read() == [("a", 1)]
        assert 0 < world.clock.now().monotonic_ms <= LATE_MS


def test_a_world_that_does_not_settle_for_it_says_which_way_is_not_through() -> None:
    with World(App("copied"), seed=1) as world:
        copied = Copied(world, App("shop"))
        with (
            world.faults(kinesis=1),
            pytest.raises(Unsettled, match=r"orders into arn:aws:kinesis:.*waits for"),
        ):
            for number in range(20):  # one at a time: each is late by itself
                world.put(copied.orders, {"id": f"o{number}", "n": 1})
            world.advance(1)
            world.settle(within="1s")


@pytest.mark.parametrize("seed", range(4))
def test_changes_come_late_and_again_and_those_of_an_item_first_appear_in_order(seed: int) -> None:
    seen, struck, counts = seen_under(seed, kinesis=0.3)
    again = sum(occasion.startswith("kinesis-again") for occasion in struck)
    late = sum(occasion.startswith("kinesis-late") for occasion in struck)
    assert again > 0
    assert late > 0
    assert counts == {"kinesis": again + late}
    assert len(seen) == len(WRITTEN) + again
    for name in ITEMS:
        assert of_item(seen, name) == of_item(WRITTEN, name)
    assert list(dict.fromkeys(seen)) != WRITTEN, "items overtake each other"


def test_a_repetition_may_come_behind_later_changes_of_its_item() -> None:
    positions = []
    for seed in range(6):
        seen, _, _ = seen_under(seed, kinesis=0.5)
        for name in ITEMS:
            numbers = [number for one, number in seen if one == name]
            positions += [second < first for first, second in pairwise(numbers)]
    assert any(positions)


def test_the_first_change_of_a_block_does_both() -> None:
    _, struck, _ = seen_under(1, kinesis=0.001)
    assert struck[:2] == ["kinesis-late.1", "kinesis-again.1"]


def test_a_seed_repeats_what_came() -> None:
    assert seen_under(5, kinesis=0.4) == seen_under(5, kinesis=0.4)
    assert seen_under(5, kinesis=0.4)[1] != seen_under(6, kinesis=0.4)[1]


def test_each_occasion_may_be_left_out_alone() -> None:
    def struck(only: frozenset[str] | None) -> list[str]:
        faults = Faults(only=only)
        faults.begin({"kinesis": 0.5}, seed=2)
        for _ in range(20):
            faults.kinesis_ms("kinesis-late")
        return faults.struck

    every = struck(None)
    assert struck(frozenset(every[1:])) == every[1:]


def test_what_is_late_is_late_by_no_more_than_five_seconds() -> None:
    faults = Faults()
    faults.begin({"kinesis": 1}, seed=2)
    times = [faults.kinesis_ms("kinesis-late") or 0 for _ in range(200)]
    assert all(1 <= time_ms <= LATE_MS for time_ms in times)
    assert len(set(times)) > 100


def test_nothing_is_lost_when_workers_die_too() -> None:
    seen, _, counts = seen_under(3, kinesis=0.3, crash="anywhere", throttle=0.2)
    assert counts["crash"] > 0
    for name in ITEMS:
        assert of_item(seen, name) == of_item(WRITTEN, name)


@pytest.mark.parametrize("rate", [1.5, "0.3", True])
def test_a_rate_is_from_0_to_1(rate: Any) -> None:
    with World(App("copied"), seed=1) as world, pytest.raises(SettingsError, match="0 to 1"):
        world.faults(kinesis=rate)
