"""Changes are put in order by the time of their creation (documented for DynamoDB's records).

In the wild: DynamoDB's records in a data stream may come in another order, and what they are sorted by is
`ApproximateCreationDateTime`, in milliseconds unless a destination asks for microseconds. Readers that sort
what they have by it leave changes of one millisecond as they came, the newer one of an item before the older.

Here: of changes of one time the images say which was first, for the old image of the second is the new one of
the first. What comes before the change that it follows waits for it.
"""

from typing import Any

import orjson

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
