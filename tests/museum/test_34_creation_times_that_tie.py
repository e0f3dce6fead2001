"""Changes are put in order by the time of their creation (documented for DynamoDB's records).

In the wild: DynamoDB's records in a data stream may come in another order, and what they are sorted by is
`ApproximateCreationDateTime`, in milliseconds unless a destination asks for microseconds. Readers that sort
what they have by it leave changes of one millisecond as they came, the newer one of an item before the older;
a target that keeps what has the later time passes over a change whose time is before that of the last one.

Here: of changes of one time the images say which was first, for the old image of the second is the new one of
the first. What comes before the change that it follows waits for it. Where a clock ran backwards no order is
known: the change that is older by its time is kept as a dead letter, with both images, and not passed over.
"""

from typing import Any

import orjson
from msgspec.structs import replace

from tests.museum.data_stage import DataReader, DataStage
from tests.museum.reader import Place
from tests.museum.stage import RIGHT, Verdict


def time_of(record: dict[str, Any]) -> int:
    time: int = orjson.loads(record["Data"])["dynamodb"]["ApproximateCreationDateTime"]
    return time


class SortsByTime(DataReader):
    """The mistake: the time of creation is taken for the order."""

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        super().deliver(place, sorted(records, key=time_of))


class KeepsTheLatest(DataReader):
    """The other mistake: what is older by its time is passed over."""

    latest = 0

    def deliver(self, place: Place, records: list[dict[str, Any]]) -> None:
        for record in records:
            if time_of(record) >= self.latest:
                super().deliver(place, [record])
                self.latest = time_of(record)


def play(stage: DataStage, reader: DataReader) -> None:
    stage.put("a", "a", "a", "b")
    first, second, third, other = stage.changes()
    stage.tell(first, third, second, other)
    stage.pass_time("1m", reader, every="1m")


def test_the_model_leaves_what_ties_as_it_came() -> None:
    with DataStage(is_copied=False) as stage:
        reader = SortsByTime(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered) == Verdict([], [], ["a3"])


def test_ours_asks_the_images() -> None:
    with DataStage(is_copied=False) as stage:
        play(stage, SortsByTime(stage))
        assert stage.judge_ours() == RIGHT


def play_skewed(stage: DataStage, reader: DataReader) -> None:
    stage.put("a")
    stage.put("a")
    first, second = stage.changes()
    stage.tell(first, replace(second, created_us=first.created_us - 5_000))
    stage.pass_time("1m", reader, every="1m")


def test_the_other_model_passes_over_what_seems_to_be_older() -> None:
    with DataStage(is_copied=False) as stage:
        reader = KeepsTheLatest(stage)
        play_skewed(stage, reader)
        assert stage.judge(reader.delivered) == Verdict(["a2"], [], [])


def test_ours_keeps_it_as_a_dead_letter_that_says_why() -> None:
    with DataStage(is_copied=False) as stage:
        play_skewed(stage, KeepsTheLatest(stage))
        assert stage.judge_ours() == Verdict(["a2"], [], [])
        (letter,) = stage.world.dead_letters("ours")
        assert (letter.condition, letter.change.new["n"]) == ("ArrivedLate", 2)
